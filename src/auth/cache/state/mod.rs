//! All that is known about an account's token, and how that changes. Pure: functions of state,
//! input and `now`.
//!
//! What a request does in each state is the [`decision`](super::decision)'s; here is what the
//! states are, and in [`outcome`](super::outcome) how the end of a flight leads from one to the
//! next.

use std::sync::Arc;
use std::time::Duration;

use super::bucket::Bucket;
use super::decision::{Column, Decision, Row, decide};
use crate::auth::challenge::{self, Standing};
use crate::auth::token::Token;
use crate::clock::{Moment, Now};
use crate::error::{Error, ErrorKind, Recovery};
use crate::observe::event::RenewalReason;

const LAUNCH_BURST: u32 = 3;
const LAUNCH_EVERY: Duration = Duration::from_secs(1);
const FORCED_BURST: u32 = 2;
const FORCED_EVERY: Duration = Duration::from_secs(60);

/// All that is known about an account's token.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(in crate::auth) token: Option<Arc<Token>>,
    pub(in crate::auth) phase: Phase,
    /// Generations up to this one were refused by the API.
    pub(in crate::auth) watermark: u64,
    /// Generations up to this one were taken for refused because somebody said so.
    pub(super) invalidated: u64,
    /// Generations given out.
    pub(in crate::auth) issued: u64,
    /// Renewals failed since the last that succeeded.
    pub(in crate::auth) failures: u32,
    pub(in crate::auth) launches: Bucket,
    pub(in crate::auth) forced: Bucket,
    /// Requests to be sent again with a token that was refused to them but works for others.
    pub(in crate::auth) retries: Bucket,
    /// Why the last renewal failed, if none has succeeded since.
    pub(in crate::auth) last_error: Option<Error>,
    /// Whether a store may bring news from another process.
    pub(in crate::auth) has_store: bool,
}

/// What the renewal is doing.
#[derive(Clone, Debug)]
pub(in crate::auth) enum Phase {
    Idle,
    Refreshing {
        forced: bool,
        /// The latch that the flight looks into the store for.
        latch: Option<(Latch, Error)>,
    },
    BackingOff {
        until: Moment,
        error: Error,
        /// What the account is latched by, where the store could not be looked into.
        latch: Option<(Latch, Error)>,
    },
    Latched {
        latch: Latch,
        error: Error,
    },
}

/// What a latch waits for, beside a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::auth) struct Latch {
    /// The endpoint is asked once more.
    pub(in crate::auth) probe: Moment,
    /// The store is looked into.
    pub(in crate::auth) reread: Moment,
}

/// Which token a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Any that is not expired.
    Usable,
    /// The API refused this generation to the request itself.
    NewerThan(u64),
}

/// What a flight (one run of the renewal) has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The generation of the token it may bring.
    pub(crate) generation: u64,
    pub(crate) reason: RenewalReason,
    /// Only look for a newer record in the store.
    pub(crate) reread_only: bool,
}

/// Why a login cannot exchange its code right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::auth) enum Hold {
    /// A flight is under way.
    Flight,
    /// The launch bucket is empty until then.
    Until(Moment),
}

impl State {
    pub(crate) fn new(has_store: bool) -> Self {
        Self {
            token: None,
            phase: Phase::Idle,
            watermark: 0,
            invalidated: 0,
            issued: 0,
            failures: 0,
            launches: Bucket::new(LAUNCH_BURST, LAUNCH_EVERY),
            forced: Bucket::new(FORCED_BURST, FORCED_EVERY),
            retries: challenge::retries(),
            last_error: None,
            has_store,
        }
    }

    pub(crate) fn token(&self) -> Option<&Arc<Token>> {
        self.token.as_ref()
    }

    /// The generation of the present token; 0 while there is none.
    pub(crate) fn generation(&self) -> u64 {
        self.token.as_ref().map_or(0, |token| token.generation())
    }

    /// Whether the token has neither expired nor been refused.
    pub(crate) fn is_usable(&self, now: Now) -> bool {
        matches!(self.row(Need::Usable, now), Row::Fresh | Row::Stale)
    }

    /// What a request does now. `room` is when the published limits of the token endpoint allow the
    /// next token request; now or earlier: at once.
    pub(crate) fn decide(&self, need: Need, now: Now, room: Moment) -> Decision {
        let row = self.row(need, now);
        let launch = Some(self.launches.next().max(room)).filter(|&at| at > now.moment);
        let forced = self.forced.next() <= now.moment;
        decide(row, self.column(now.moment), launch, forced)
    }

    fn row(&self, need: Need, now: Now) -> Row {
        let Some(token) = &self.token else {
            return Row::Spent;
        };
        if token.times().is_expired(now) {
            return Row::Spent;
        }
        match need {
            Need::NewerThan(generation) if token.generation() <= generation => Row::Refused,
            _ if token.generation() <= self.watermark => Row::Rejected,
            _ if token.times().is_stale(now) => Row::Stale,
            _ => Row::Fresh,
        }
    }

    fn column(&self, now: Moment) -> Column {
        match self.phase {
            Phase::Idle => Column::Idle,
            Phase::Refreshing { .. } => Column::Refreshing,
            Phase::BackingOff { until, .. } if until > now => Column::BackingOff(until),
            Phase::BackingOff {
                latch: Some((latch, _)),
                ..
            } if latch.probe > now => Column::Latched { reread: true },
            Phase::BackingOff { .. } => Column::Idle,
            Phase::Latched { latch, .. } if latch.probe <= now => Column::Idle,
            Phase::Latched { latch, .. } => Column::Latched {
                reread: latch.reread <= now,
            },
        }
    }

    /// Why the last renewal failed, if no other has succeeded since; also while the next is under
    /// way.
    pub(crate) fn last_error(&self) -> Option<&Error> {
        self.last_error.as_ref()
    }

    /// Why no other renewal is due yet.
    pub(crate) fn error(&self) -> Option<&Error> {
        match &self.phase {
            Phase::BackingOff { error, .. } | Phase::Latched { error, .. } => Some(error),
            Phase::Idle | Phase::Refreshing { .. } => None,
        }
    }

    /// When back-off ends or ended, if the last renewal failed and no other was tried since.
    pub(crate) fn backs_off_until(&self) -> Option<Moment> {
        match self.phase {
            Phase::BackingOff { until, .. } => Some(until),
            _ => None,
        }
    }

    /// The error of a caller who cannot wait until `at`.
    pub(crate) fn not_before(&self, at: Moment, now: Now) -> Error {
        // An attempt that is due is held up by the limits alone.
        let due = self.backs_off_until().is_some_and(|until| until < at);
        let error = self.error().filter(|_| !due).cloned();
        error.unwrap_or_else(|| no_room(at, now))
    }

    /// Whether a flight that begins now would only read the store again.
    pub(crate) fn only_rereads(&self, now: Now) -> bool {
        matches!(self.column(now.moment), Column::Latched { .. })
    }

    /// A flight begins, after [`State::decide`] said so.
    pub(crate) fn take_off(&mut self, need: Need, now: Now) -> Plan {
        let row = self.row(need, now);
        let reread_only = self.only_rereads(now);
        let forced = matches!(row, Row::Rejected | Row::Refused) && !reread_only;
        if forced {
            self.forced.take(now.moment);
        }
        if !reread_only {
            self.launches.take(now.moment);
        }
        let latch = match &self.phase {
            Phase::Latched { latch, error } if reread_only => Some((*latch, error.clone())),
            Phase::BackingOff { latch, .. } if reread_only => latch.clone(),
            _ => None,
        };
        self.phase = Phase::Refreshing { forced, latch };
        self.issued += 1;
        Plan {
            generation: self.issued,
            reason: self.reason(row),
            reread_only,
        }
    }

    fn reason(&self, row: Row) -> RenewalReason {
        match row {
            _ if self.token.is_none() => RenewalReason::Cold,
            Row::Rejected if self.generation() <= self.invalidated => RenewalReason::Manual,
            Row::Rejected | Row::Refused => RenewalReason::Rejected,
            Row::Spent => RenewalReason::Expired,
            Row::Fresh | Row::Stale => RenewalReason::Stale,
        }
    }

    /// The exchange of a code takes the place of a flight, whatever a failed renewal says: a login
    /// is what it waits for. Gives the phase to return to if the login brings nothing.
    pub(in crate::auth) fn take_off_for_login(
        &mut self,
        now: Moment,
    ) -> Result<(Plan, Phase), Hold> {
        if let Phase::Refreshing { .. } = self.phase {
            return Err(Hold::Flight);
        }
        if !self.launches.take(now) {
            return Err(Hold::Until(self.launches.next()));
        }
        let under_way = Phase::Refreshing {
            forced: false,
            latch: None,
        };
        let before = std::mem::replace(&mut self.phase, under_way);
        self.issued += 1;
        let plan = Plan {
            generation: self.issued,
            reason: RenewalReason::LoggedIn,
            reread_only: false,
        };
        Ok((plan, before))
    }

    /// A login ended well, if only with a refresh token: a new chain begins. The former token may
    /// be another person's.
    pub(in crate::auth) fn start_over(&mut self, token: Option<Arc<Token>>) {
        self.token = token;
        self.phase = Phase::Idle;
        self.failures = 0;
        self.last_error = None;
    }

    /// Another token request within the same flight; false if the launch bucket is empty.
    pub(crate) fn launch_another(&mut self, now: Moment) -> bool {
        self.launches.take(now)
    }

    /// A token request leaves.
    pub(in crate::auth) fn leave(&mut self, now: Moment) {
        self.launches.leave(now);
    }

    /// What is known of a token that the API refused to a request.
    pub(crate) fn standing(&self, token: &Token, now: Moment) -> Standing {
        let evidence = token.evidence();
        match token.generation() {
            generation if generation < self.generation() => Standing::Replaced,
            generation if generation <= self.watermark => Standing::Replaced,
            _ if evidence.exonerates(now) => Standing::Exonerated,
            _ if evidence.works(now) => Standing::Works,
            _ => Standing::Unproved,
        }
    }

    /// The API refused this generation: nobody begins with it while its successor is under way.
    pub(crate) fn condemn(&mut self, generation: u64) {
        self.watermark = self.watermark.max(generation);
    }

    /// Somebody has the present token taken for refused.
    pub(in crate::auth) fn invalidate(&mut self) {
        self.invalidated = self.generation();
        self.condemn(self.invalidated);
    }
}

/// The error of a caller who cannot wait until `at`, when the limits on token requests leave room.
pub(in crate::auth) fn no_room(at: Moment, now: Now) -> Error {
    let text = "no token request now: the limit on them is reached";
    let recovery = Recovery::WaitUntil(now.wall_at(at));
    Error::new(ErrorKind::TokenEndpoint, recovery, text)
}

#[cfg(test)]
mod tests;
