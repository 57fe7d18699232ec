//! The distributor's side of a quota: which request is refused, and what the headers then say.
//!
//! Pure: a [`Quota`] sees each request with the time it arrived at and answers at once. How a
//! single window counts is its [`Meter`]'s affair; here is only what several windows have to do
//! with each other.

use std::time::{Duration, SystemTime};

use smallvec::SmallVec;

use super::enforcement::Enforcement;
use super::meter::Meter;
use crate::rate_limit::Window;

/// All windows of the sandbox, shortest first.
pub(super) struct Quota {
    windows: Vec<Counted>,
    count_rejected: bool,
}

struct Counted {
    limit: u64,
    meter: Box<dyn Meter>,
}

/// What a quota says to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// After this request, shortest window first.
    pub(super) windows: SmallVec<[Standing; 2]>,
    /// None: accepted.
    pub(super) refusal: Option<Refusal>,
}

/// One window, as the headers tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) limit: u64,
    pub(super) remaining: u64,
    /// Until the window has forgotten everything it counted so far.
    pub(super) reset: Duration,
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The window that keeps it out the longest.
    pub(super) window: usize,
    /// Until one more request would be accepted, should nobody else come.
    pub(super) retry_after: Duration,
}

impl Quota {
    /// `start` is the wall time at which the quota's own time is zero; each window's periods begin
    /// at a phase drawn from `random`, a calendar window's at its calendar's boundary.
    pub(super) fn new(
        windows: &[Window],
        enforcement: Enforcement,
        count_rejected: bool,
        start: SystemTime,
        random: &mut fastrand::Rng,
    ) -> Self {
        let mut windows: Vec<_> = windows.to_vec();
        windows.sort_by_key(Window::length);
        let counted = |window: &Window| Counted {
            limit: window.limit(),
            meter: enforcement.meter(window, start, random),
        };
        Self {
            windows: windows.iter().map(counted).collect(),
            count_rejected,
        }
    }

    /// A request arrives. It has to pass every window, and counts in all of them or in none.
    pub(super) fn decide(&mut self, now: Duration) -> Verdict {
        let now = now.as_nanos();
        for window in &mut self.windows {
            window.meter.advance(now);
        }
        let refused = self.refusal(now).is_some();
        if !refused || self.count_rejected {
            for window in &mut self.windows {
                window.meter.count(now);
            }
        }
        // Asked again, since a refusal that counts makes the wait longer.
        let refusal = self.refusal(now).filter(|_| refused);
        let windows = self.windows.iter().map(|window| window.standing(now));
        Verdict {
            windows: windows.collect(),
            refusal,
        }
    }

    fn refusal(&self, now: u128) -> Option<Refusal> {
        let wait = |(index, window): (usize, &Counted)| (window.meter.wait(now), index);
        let (wait, window) = self.windows.iter().enumerate().map(wait).max()?;
        (wait > 0).then(|| Refusal {
            window,
            retry_after: span(wait),
        })
    }
}

impl Counted {
    fn standing(&self, now: u128) -> Standing {
        Standing {
            limit: self.limit,
            remaining: self.meter.remaining(now),
            reset: span(self.meter.reset(now)),
        }
    }
}

fn span(nanos: u128) -> Duration {
    let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
    Duration::new(seconds, (nanos % 1_000_000_000) as u32)
}

#[cfg(test)]
mod tests;
