//! Those of a window by the calendar: all since its last boundary.
//!
//! The server's clock may differ from ours, so near a boundary nobody knows in which period it
//! counts a request. A period counts as over only when it must be; and what was answered when the
//! next one may have begun is kept for that one too. So that a burst which is counted twice does
//! not take the whole of it, only a few may leave meanwhile.
//!
//! Pure: `now` is an argument.

use std::time::{Duration, SystemTime};

use super::times;
use crate::clock::{Moment, Now};
use crate::rate_limit::window::Period;

/// So far from ours the server's clock may be.
const MARGIN: Duration = Duration::from_secs(2);

/// One part in so many of the limit may leave while nobody knows which period it is.
const TWICE: u64 = 50;

#[derive(Clone, Debug)]
pub(in crate::rate_limit) struct Calendar {
    pub(super) period: Period,
    pub(super) ends: SystemTime,
    pub(super) total: u64,
    /// Those of them that may count in the next period.
    pub(super) next: u64,
}

/// The ends of the periods that count what is answered now; mostly they are the same.
pub(in crate::rate_limit) fn ends_of_those_that_count(period: Period, now: Now) -> [SystemTime; 2] {
    [now.wall - MARGIN, now.wall + MARGIN].map(|wall| period.ends_after(wall))
}

impl Calendar {
    pub(super) fn new(period: Period, now: Now) -> Self {
        Self {
            period,
            ends: period.ends_after(now.wall),
            total: 0,
            next: 0,
        }
    }

    pub(super) fn period(&self) -> Period {
        self.period
    }

    pub(super) fn ends(&self) -> SystemTime {
        self.ends
    }

    /// When the period began, or earlier.
    pub(super) fn began(&self, now: Now) -> Moment {
        now.moment_at(self.ends - self.period.longest())
    }

    /// When the period is over.
    pub(super) fn over(&self, now: Now) -> Moment {
        now.moment_at(self.ends + MARGIN)
    }

    /// Whether a period with this end is over.
    pub(super) fn is_over(ends: SystemTime, now: Now) -> bool {
        now.wall >= ends + MARGIN
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn push(&mut self, count: u64, now: Now) {
        self.total = self.total.saturating_add(count);
        if self.may_be_over(now) {
            self.next = self.next.saturating_add(count);
        }
    }

    /// Whether the server may have begun the next period, by its clock.
    fn may_be_over(&self, now: Now) -> bool {
        now.wall >= self.ends - MARGIN
    }

    /// Whether the wall clock was set back to before the period: its end would not come for as long
    /// as that is. What was counted is kept, since it may be of the period that it is now.
    fn is_ahead(&self, now: Now) -> bool {
        self.ends > now.wall + self.period.longest() + MARGIN
    }

    pub(super) fn forget(&mut self, now: Now) -> bool {
        if self.is_ahead(now) {
            self.ends = self.period.ends_after(now.wall);
        }
        let is_over = Self::is_over(self.ends, now);
        if is_over {
            let is_next = self.period.ends_after(self.ends) > now.wall;
            self.total = if is_next { self.next } else { 0 };
            self.next = 0;
            self.ends = self.period.ends_after(now.wall);
        }
        is_over
    }

    pub(super) fn held(&self, more: u64, limit: u64, now: Now) -> Option<Moment> {
        let are_too_many = self.next.saturating_add(more) > (limit / TWICE).max(1);
        (are_too_many && self.may_be_over(now)).then(|| self.over(now))
    }

    pub(super) fn when_freed(&self, count: u64, now: Now) -> Option<Moment> {
        let any = count > 0 && self.total >= count;
        any.then(|| self.over(now))
    }

    pub(super) fn not_before(&self, amount: u64, in_flight: u64, limit: u64, now: Now) -> Moment {
        let used = self.total.saturating_add(in_flight);
        match amount.checked_sub(limit.saturating_sub(used).saturating_add(1)) {
            None => now.moment,
            Some(later) => self.over(now) + times(self.period.shortest(), later / limit),
        }
    }
}
