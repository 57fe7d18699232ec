//! All that is known about an account's token, and how that changes. Pure: functions of state, input
//! and `now`.
//!
//! What a request does in each state is the [`table`](super::table)'s; here is what the states are and
//! how one leads to another.
//!
//! A failed renewal leads to one of these:
//!
//! | class          | then                                                                  |
//! |----------------|-----------------------------------------------------------------------|
//! | transient      | back off: 0.5 s, doubling up to 60 s; with a usable token a share of what it has left |
//! | throttled      | the same, but not before the endpoint's `Retry-After`                 |
//! | client rejected| latched, with a probe after 1, 2, 4, 8, 15, 15 … minutes               |
//! | grant rejected | latched until the store has a newer record, re-read every 5 s at most |
//!
//! A usable token stays in use whatever happens to its renewal. Once the answer to a refresh token
//! may be lost, that token is presented only once more, as the last resort: when nothing usable is
//! left. A server that takes the repetition for theft voids the whole family (RFC 9700).

use std::sync::Arc;
use std::time::Duration;

use super::answer::{Class, Refusal};
use super::bucket::Bucket;
use super::table::{Column, Decision, Row, decide};
use super::token::Token;
use crate::clock::{Moment, Now};
use crate::error::{Error, ErrorKind, Recovery};
use crate::event::RenewalReason;

const LAUNCH_BURST: u32 = 3;
const LAUNCH_EVERY: Duration = Duration::from_secs(1);
const FORCED_BURST: u32 = 2;
const FORCED_EVERY: Duration = Duration::from_secs(60);
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
const FIRST_PROBE: Duration = Duration::from_secs(60);
const LONGEST_PROBE: Duration = Duration::from_secs(15 * 60);
const REREAD: Duration = Duration::from_secs(5);
const MAY_BE_LOST: &str = "log in again: the answer to a renewal was lost, and with it perhaps the \
    only valid refresh token";

/// All that is known about an account's token.
#[derive(Clone, Debug)]
pub(crate) struct State {
    token: Option<Arc<Token>>,
    phase: Phase,
    /// Generations up to this one were refused by the API.
    watermark: u64,
    /// Generations given out.
    issued: u64,
    /// Renewals failed since the last that succeeded.
    failures: u32,
    launches: Bucket,
    forced: Bucket,
    /// The answer to the refresh token may be lost: its next use is the last.
    lost: bool,
    /// Whether a store may bring news from another process.
    has_store: bool,
}

#[derive(Clone, Debug)]
enum Phase {
    Idle,
    Refreshing {
        forced: bool,
        latch: Option<Error>,
    },
    BackingOff {
        until: Moment,
        error: Error,
    },
    Latched {
        next: Next,
        at: Moment,
        error: Error,
    },
}

/// What a latch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Probe,
    Reread,
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
    /// The refresh token was presented before, and the answer was lost.
    pub(crate) last_resort: bool,
}

/// How a flight failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) refusal: Refusal,
    /// A refresh token that may be good for one use was presented, and an answer may be lost.
    pub(crate) lost: bool,
}

/// How a flight ended.
#[derive(Clone, Debug)]
pub(crate) enum Landing {
    Renewed(Arc<Token>),
    Failed(Failure),
    /// A look into the store found nothing newer.
    NothingNew,
}

impl State {
    pub(crate) fn new(has_store: bool) -> Self {
        Self {
            token: None,
            phase: Phase::Idle,
            watermark: 0,
            issued: 0,
            failures: 0,
            launches: Bucket::new(LAUNCH_BURST, LAUNCH_EVERY),
            forced: Bucket::new(FORCED_BURST, FORCED_EVERY),
            lost: false,
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

    /// What a request does now.
    pub(crate) fn decide(&self, need: Need, now: Now) -> Decision {
        let row = self.row(need, now);
        let launch = Some(self.launches.next()).filter(|&at| at > now.moment);
        let forced = self.forced.next() <= now.moment;
        decide(row, self.column(row, now.moment), launch, forced)
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

    fn column(&self, row: Row, now: Moment) -> Column {
        match self.phase {
            // The last resort is not for a token that still works.
            _ if self.lost && row == Row::Stale => Column::Latched { reread: false },
            Phase::Idle => Column::Idle,
            Phase::Refreshing { .. } => Column::Refreshing,
            Phase::BackingOff { until, .. } if until > now => Column::BackingOff(until),
            Phase::BackingOff { .. } => Column::Idle,
            Phase::Latched { at, .. } if at > now => Column::Latched { reread: false },
            Phase::Latched { next, .. } => match next {
                Next::Probe => Column::Idle,
                Next::Reread => Column::Latched { reread: true },
            },
        }
    }

    /// Why the last renewal failed, if no other has succeeded since.
    pub(crate) fn error(&self) -> Option<&Error> {
        match &self.phase {
            Phase::BackingOff { error, .. } | Phase::Latched { error, .. } => Some(error),
            Phase::Idle | Phase::Refreshing { .. } => None,
        }
    }

    /// The error of a caller who cannot wait until `at`.
    pub(crate) fn not_before(&self, at: Moment, now: Now) -> Error {
        self.error().cloned().unwrap_or_else(|| {
            Error::new(
                ErrorKind::TokenEndpoint,
                Recovery::WaitUntil(now.wall_at(at)),
                "no token now: token requests are limited to one per second",
            )
        })
    }

    /// A flight begins, after [`State::decide`] said so.
    pub(crate) fn take_off(&mut self, need: Need, now: Now) -> Plan {
        let row = self.row(need, now);
        let reread_only = matches!(self.column(row, now.moment), Column::Latched { .. });
        let forced = matches!(row, Row::Rejected | Row::Refused) && !reread_only;
        if forced {
            self.forced.take(now.moment);
        }
        if !reread_only {
            self.launches.take(now.moment);
        }
        let latch = self.error().cloned().filter(|_| reread_only);
        self.phase = Phase::Refreshing { forced, latch };
        self.issued += 1;
        Plan {
            generation: self.issued,
            reason: self.reason(row),
            reread_only,
            last_resort: self.lost,
        }
    }

    fn reason(&self, row: Row) -> RenewalReason {
        match row {
            _ if self.token.is_none() => RenewalReason::Cold,
            Row::Rejected | Row::Refused => RenewalReason::Rejected,
            Row::Spent => RenewalReason::Expired,
            Row::Fresh | Row::Stale => RenewalReason::Stale,
        }
    }

    /// Another token request within the same flight; false if the launch bucket is empty.
    pub(crate) fn launch_another(&mut self, now: Moment) -> bool {
        self.launches.take(now)
    }

    /// The API refused this generation: nobody begins with it while its successor is under way.
    pub(crate) fn condemn(&mut self, generation: u64) {
        self.watermark = self.watermark.max(generation);
    }

    /// A flight ended. `draw` in 0..1 is the jitter.
    pub(crate) fn land(&mut self, landing: &Landing, now: Now, draw: f64) -> Result<(), Error> {
        let (forced, latch) = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Refreshing { forced, latch } => (forced, latch),
            _ => (false, None),
        };
        match landing {
            Landing::Renewed(token) => {
                self.token = Some(token.clone());
                self.failures = 0;
                self.lost = false;
                Ok(())
            }
            Landing::Failed(failure) => {
                if forced {
                    self.forced.refund();
                }
                Err(self.fail(failure, now, draw))
            }
            Landing::NothingNew => {
                let error = latch.unwrap_or_else(nothing_new);
                self.latch(Next::Reread, REREAD, error.clone(), now);
                Err(error)
            }
        }
    }

    /// A flight ended without a result: it panicked, or its runtime is gone.
    pub(crate) fn abandon(&mut self, lost: bool) {
        if let Phase::Refreshing { forced: true, .. } = self.phase {
            self.forced.refund();
        }
        self.lost |= lost;
        self.phase = Phase::Idle;
    }

    fn fail(&mut self, failure: &Failure, now: Now, draw: f64) -> Error {
        let refusal = &failure.refusal;
        let earlier = self.lost;
        self.lost |= failure.lost;
        let failures = self.failures;
        self.failures = failures.saturating_add(1);
        match refusal.class {
            Class::GrantRejected => self.log_in(refusal, now),
            _ if failure.lost && earlier => self.log_in(refusal, now),
            Class::ClientRejected | Class::Misconfigured => {
                let span = doubled(FIRST_PROBE, failures, LONGEST_PROBE);
                let error = refusal.error(Recovery::Reconfigure);
                self.latch(Next::Probe, jittered(span, draw), error.clone(), now);
                error
            }
            Class::Transient | Class::Store => self.back_off(refusal, Duration::ZERO, now, draw),
            Class::Throttled { retry_after } => {
                self.back_off(refusal, retry_after.unwrap_or_default(), now, draw)
            }
        }
    }

    fn back_off(&mut self, refusal: &Refusal, least: Duration, now: Now, draw: f64) -> Error {
        let good = |token: &&Arc<Token>| token.generation() > self.watermark;
        let left = self.token.as_ref().filter(good);
        let left = left.map(|token| token.times().left(now));
        let span = match left.filter(|left| !left.is_zero()) {
            Some(left) => (left / 8).clamp(FIRST_BACKOFF, LONGEST_BACKOFF),
            None => {
                let earlier = self.failures.saturating_sub(1);
                doubled(FIRST_BACKOFF, earlier, LONGEST_BACKOFF)
            }
        };
        let until = now.moment + jittered(span, draw).max(least);
        let error = refusal.error(Recovery::WaitUntil(now.wall_at(until)));
        self.phase = Phase::BackingOff {
            until,
            error: error.clone(),
        };
        error
    }

    fn log_in(&mut self, refusal: &Refusal, now: Now) -> Error {
        let message = match self.lost {
            true => format!("{MAY_BE_LOST} ({})", refusal.message),
            false => format!("log in again: {}", refusal.message),
        };
        let refusal = Refusal {
            class: Class::GrantRejected,
            message,
            status: refusal.status,
        };
        let error = refusal.error(Recovery::LogIn);
        let span = if self.has_store {
            REREAD
        } else {
            Duration::MAX
        };
        self.latch(Next::Reread, span, error.clone(), now);
        error
    }

    fn latch(&mut self, next: Next, span: Duration, error: Error, now: Now) {
        let at = now.moment + span;
        self.phase = Phase::Latched { next, at, error };
    }
}

fn nothing_new() -> Error {
    Refusal::new(Class::GrantRejected, "log in again").error(Recovery::LogIn)
}

fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << times.min(16)).min(longest)
}

/// Three quarters of it to all of it.
fn jittered(span: Duration, draw: f64) -> Duration {
    span.mul_f64(0.75 + 0.25 * draw.clamp(0.0, 1.0))
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
