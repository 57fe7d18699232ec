//! What a rejection does to everybody on the quota.
//!
//! | state      | entered when                                  | who may leave                |
//! |------------|-----------------------------------------------|------------------------------|
//! | open       | a probe was answered                          | all whom the windows allow, at first a few |
//! | closed     | the server rejected a request                 | nobody until its end         |
//! | half open  | the closure is over, or a spent day began anew | one probe at a time          |
//!
//! A probe that was dropped, never left or stays unanswered hands over to the next request. A probe
//! that came back 401 keeps its right: its replay inherits it.
//!
//! Those who waited for the probe do not leave as a herd: at first two may be on the wire, and each
//! answer that is no rejection allows one more, so that the number doubles each round trip. Windows
//! that spread their requests need no such care.
//!
//! Pure: `now` is an argument.

mod back_off;

use std::time::Duration;

use super::saved::{self, Dial};
use super::ticket::Ticket;
use crate::clock::{Moment, Now};

/// A probe is given up after this long, or four mean round trips if they take longer.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);
const PROBE_ROUND_TRIPS: u32 = 4;

/// Who waited for a probe is released for so long, or so many mean round trips if they take longer.
const RELEASE: Duration = Duration::from_secs(60);
const RELEASE_ROUND_TRIPS: u32 = 16;

#[derive(Clone, Debug, Default)]
pub(crate) struct Gate {
    state: State,
    /// In a row, without a success between them.
    rejections: u32,
    round_trip: Duration,
    release: Option<Release>,
    /// The end that the last rejection told which closed it.
    told_end: Option<Moment>,
}

/// How those are let go who waited for a probe.
#[derive(Clone, Copy, Debug)]
struct Release {
    most: u64,
    until: Moment,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Closed {
        until: Moment,
    },
    HalfOpen {
        probe: Option<Probe>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Probe {
    ticket: Ticket,
    given_up: Moment,
}

/// What a rejection says of when to come back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) span: Duration,
    /// For so long at most, unless the next probe is told the same end again.
    pub(crate) believed: Duration,
}

/// When the gate lets a request pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    Now,
    /// Not before this moment.
    At(Moment),
    /// With the answer to the probe, which is given up at this moment.
    WithProbe(Moment),
}

impl Gate {
    /// When this request may pass.
    pub(crate) fn opens(&mut self, ticket: Ticket, now: Moment) -> Opening {
        if let State::Closed { until } = self.state {
            if until > now {
                return Opening::At(until);
            }
            self.probe_first();
        }
        match self.state {
            State::HalfOpen { probe: Some(probe) }
                if probe.ticket != ticket && probe.given_up > now =>
            {
                Opening::WithProbe(probe.given_up)
            }
            _ => Opening::Now,
        }
    }

    /// The request leaves; if the gate is half open, as the probe.
    pub(crate) fn pass(&mut self, ticket: Ticket, now: Moment) {
        if let State::HalfOpen { probe } = &mut self.state {
            let patience = PROBE_PATIENCE.max(self.round_trip * PROBE_ROUND_TRIPS);
            *probe = Some(Probe {
                ticket,
                given_up: now + patience,
            });
        }
    }

    /// From now on one request goes ahead.
    pub(crate) fn probe_first(&mut self) {
        self.state = State::HalfOpen { probe: None };
    }

    /// The server rejected a request: no other leaves for a while (`gate/back_off.rs`). Gives the
    /// end of the pause, which a later rejection can only move on. `longest`: of the windows.
    pub(crate) fn close(&mut self, told: Option<Told>, longest: Duration, now: Moment) -> Moment {
        let old = self.closed_until();
        // While it is closed nobody leaves: a rejection then is of the burst that closed it.
        if old.is_none() {
            self.rejections = self.rejections.saturating_add(1);
        }
        let told = told.map(|told| self.believed(told, old.is_none(), now));
        let span = back_off::pause(told, self.rejections, longest);
        let until = (now + span).max(old.unwrap_or(Moment::ZERO));
        self.state = State::Closed { until };
        self.release = None;
        until
    }

    /// A word that nothing corroborates is believed for a while, and then a probe goes. If that is
    /// told the same end again, the word is corroborated: a log that counts what it rejects would
    /// be kept full by probes (0.00 instead of 1.00 used).
    fn believed(&mut self, told: Told, closes: bool, now: Moment) -> Duration {
        let end = now + told.span;
        let off = |known: Moment| (known - end).max(end - known);
        let grain = Duration::from_secs(2) + told.span / 100;
        let again = self.told_end.is_some_and(|known| off(known) <= grain);
        if closes {
            self.told_end = Some(end);
        }
        match again && closes {
            true => told.span,
            false => told.span.min(told.believed),
        }
    }

    /// A request was answered, and not rejected, while so many others are in flight. True if that
    /// opened the gate.
    pub(crate) fn answered(
        &mut self,
        ticket: Ticket,
        sent: Moment,
        others: u64,
        now: Moment,
    ) -> bool {
        self.round_trip = (self.round_trip * 7 + (now - sent)) / 8;
        let probe = self.is_probe(ticket);
        if let Some(release) = &mut self.release {
            release.most = release.most.saturating_add(1);
        }
        if probe {
            self.state = State::Open;
            let span = RELEASE.max(self.round_trip * RELEASE_ROUND_TRIPS);
            self.release = Some(Release {
                most: others.saturating_add(2),
                until: now + span,
            });
        }
        if self.state == State::Open {
            self.rejections = 0;
        }
        probe
    }

    /// A request was answered 401: its replay inherits the probe.
    pub(crate) fn unauthorized(&mut self, ticket: Ticket, now: Moment) {
        if self.is_probe(ticket) {
            self.pass(ticket, now);
        }
    }

    /// A request never left, was lost, or will not come back: the next one probes.
    pub(crate) fn abandoned(&mut self, ticket: Ticket) {
        if self.is_probe(ticket) {
            self.probe_first();
        }
    }

    /// The end of the pause, while there is one.
    pub(crate) fn closed_until(&self) -> Option<Moment> {
        match self.state {
            State::Closed { until } => Some(until),
            _ => None,
        }
    }

    /// How many may be in flight while those who waited for a probe are let go.
    pub(crate) fn most_in_flight(&self, now: Moment) -> Option<u64> {
        let release = self.release.filter(|release| release.until > now);
        release.map(|release| release.most)
    }

    /// Open as at first.
    pub(crate) fn reopen(&mut self) {
        *self = Self {
            round_trip: self.round_trip,
            ..Self::default()
        };
    }

    /// When nobody, and then a probe, may leave, to be saved; and how many rejections led there.
    pub(super) fn save(&self, now: Now) -> (Option<u64>, u32) {
        let until = match self.state {
            State::Open => None,
            State::Closed { until } => Some(saved::saved(until, now)),
            State::HalfOpen { .. } => Some(saved::saved(now.moment, now)),
        };
        (until, self.rejections)
    }

    pub(super) fn restore(&mut self, until: Option<u64>, rejections: u32, dial: Dial) {
        if let Some(until) = until {
            let until = dial.until(until);
            self.state = State::Closed { until };
            self.rejections = rejections;
        }
    }

    /// The mean of the last ones.
    pub(crate) fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// Whether this request is the probe on its way.
    pub(crate) fn is_probe(&self, ticket: Ticket) -> bool {
        matches!(self.state, State::HalfOpen { probe: Some(probe) } if probe.ticket == ticket)
    }
}

#[cfg(test)]
mod tests;
