//! Our own requests in one window: those that were answered, and still count.
//!
//! Pure: `now` is an argument.

mod calendar;
mod rolling;
mod saved;

use std::time::{Duration, SystemTime};

use self::calendar::Calendar;
pub(super) use self::calendar::ends_of_those_that_count;
use self::rolling::Rolling;
use super::window::{Span, Window};
use crate::clock::{Moment, Now};

/// Our requests that were answered and still count.
#[derive(Clone, Debug)]
pub(super) enum Answered {
    Rolling(Rolling),
    Calendar(Calendar),
}

impl Answered {
    pub(super) fn new(window: &Window, now: Now) -> Self {
        match window.span {
            Span::Rolling(length) => Self::Rolling(Rolling::new(length, window.limit)),
            Span::Calendar(period) => Self::Calendar(Calendar::new(period, now)),
        }
    }

    /// How many.
    pub(super) fn total(&self) -> u64 {
        match self {
            Self::Rolling(rolling) => rolling.total(),
            Self::Calendar(calendar) => calendar.total(),
        }
    }

    /// When it forgets.
    pub(super) fn span(&self) -> Span {
        match self {
            Self::Rolling(rolling) => Span::Rolling(rolling.length()),
            Self::Calendar(calendar) => Span::Calendar(calendar.period()),
        }
    }

    /// The window's limit is another one.
    pub(super) fn set_limit(&mut self, limit: u64) {
        if let Self::Rolling(rolling) = self {
            rolling.set_limit(limit);
        }
    }

    /// Counts what a window of another length knows of the same requests: rather too many than too
    /// few.
    pub(super) fn take_over(&mut self, other: &Self, now: Now) {
        match (other, &mut *self) {
            (Self::Calendar(other), _) => self.push(now.moment, other.total(), now),
            (Self::Rolling(other), Self::Rolling(rolling)) => {
                for (answered, count) in other.answered() {
                    rolling.push(answered, count);
                }
            }
            (Self::Rolling(other), Self::Calendar(calendar)) => {
                let began = calendar.began(now);
                let since = other.answered().filter(|(answered, _)| *answered >= began);
                let count = since.fold(0, |sum: u64, (_, count)| sum.saturating_add(count));
                calendar.push(count, now);
            }
        }
        self.forget(now);
    }

    /// The length of a rolling window.
    pub(super) fn rolling(&self) -> Option<Duration> {
        match self {
            Self::Rolling(rolling) => Some(rolling.length()),
            Self::Calendar(_) => None,
        }
    }

    /// The end of the calendar's period.
    pub(super) fn calendar_end(&self) -> Option<SystemTime> {
        match self {
            Self::Calendar(calendar) => Some(calendar.ends()),
            Self::Rolling(_) => None,
        }
    }

    /// Counts so many that were answered then; it is now.
    pub(super) fn push(&mut self, answered: Moment, count: u64, now: Now) {
        if count == 0 {
            return;
        }
        match self {
            Self::Rolling(rolling) => rolling.push(answered, count),
            Self::Calendar(calendar) => calendar.push(count, now),
        }
    }

    /// True if a calendar period has ended.
    pub(super) fn forget(&mut self, now: Now) -> bool {
        match self {
            Self::Rolling(rolling) => {
                rolling.forget(now.moment);
                false
            }
            Self::Calendar(calendar) => calendar.forget(now),
        }
    }

    /// Until when `more` beside those that were answered have to wait, since nobody knows which
    /// period they would count in.
    pub(super) fn held(&self, more: u64, limit: u64, now: Now) -> Option<Moment> {
        match self {
            Self::Rolling(_) => None,
            Self::Calendar(calendar) => calendar.held(more, limit, now),
        }
    }

    /// When so many of the requests will no longer count.
    pub(super) fn when_freed(&self, count: u64, now: Now) -> Option<Moment> {
        match self {
            Self::Rolling(rolling) => rolling.when_freed(count),
            Self::Calendar(calendar) => calendar.when_freed(count, now),
        }
    }

    /// Before when `amount` more cannot leave at this limit, as if everything in flight were
    /// answered now, and everything else at once: what leaves a limit's worth later leaves a window
    /// later.
    pub(super) fn not_before(&self, amount: u64, in_flight: u64, limit: u64, now: Now) -> Moment {
        match self {
            Self::Rolling(rolling) => rolling.not_before(amount, in_flight, limit, now.moment),
            Self::Calendar(calendar) => calendar.not_before(amount, in_flight, limit, now),
        }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Rolling(rolling) => rolling.size(),
            Self::Calendar(_) => 1,
        }
    }

    /// When a window that begins now has ended.
    pub(super) fn longest(&self, now: Now) -> Moment {
        match self {
            Self::Rolling(rolling) => now.moment + rolling.length(),
            Self::Calendar(calendar) => calendar.over(now),
        }
    }
}

fn times(span: Duration, count: u64) -> Duration {
    span.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
}
