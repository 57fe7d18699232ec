//! When windows forget: each request after a while, or all of them at a boundary of the calendar.
//!
//! Pure.

use std::time::{Duration, SystemTime};

use time::{Date, Month, OffsetDateTime, Time};

use super::{DAY, Offset};

/// When a window forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Span {
    /// Each request counts for so long.
    Rolling(Duration),
    /// All requests since the last boundary count.
    Calendar(Period),
}

/// A calendar period, by a clock of this offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Period {
    /// From 00:00 to 00:00.
    Day(Offset),
    /// From the 1st, 00:00, to the next 1st.
    Month(Offset),
}

impl Period {
    /// How long it is at most.
    pub(crate) fn longest(self) -> Duration {
        match self {
            Self::Day(_) => DAY,
            Self::Month(_) => 31 * DAY,
        }
    }

    /// How long it is at least.
    pub(crate) fn shortest(self) -> Duration {
        match self {
            Self::Day(_) => DAY,
            Self::Month(_) => 28 * DAY,
        }
    }

    /// The first boundary after `time`.
    pub(crate) fn ends_after(self, time: SystemTime) -> SystemTime {
        let (Self::Day(offset) | Self::Month(offset)) = self;
        let offset = offset.to_time();
        let there = OffsetDateTime::from(time).checked_to_offset(offset);
        let next = there.and_then(|there| match self {
            Self::Day(_) => there.date().next_day(),
            Self::Month(_) => first_of_next_month(there.date()),
        });
        // Without a next day the calendar has ended; a day on is as good as anything.
        next.map_or(time + DAY, |day| {
            day.with_time(Time::MIDNIGHT).assume_offset(offset).into()
        })
    }
}

fn first_of_next_month(date: Date) -> Option<Date> {
    let (year, month) = match date.month() {
        Month::December => (date.year() + 1, Month::January),
        month => (date.year(), month.next()),
    };
    Date::from_calendar_date(year, month, 1).ok()
}
