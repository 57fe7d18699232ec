//! When windows forget: each request after a while, or all of them at a boundary of the calendar.
//!
//! Pure.

use std::time::{Duration, SystemTime};

use time::{Date, Month, OffsetDateTime, Time};

use super::DAY;

/// When a window forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Span {
    /// Each request counts for so long.
    Rolling(Duration),
    /// All requests since the last boundary count.
    Calendar(Period),
}

/// A calendar period, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Period {
    /// From 00:00 to 00:00.
    UtcDay,
    /// From the 1st, 00:00, to the next 1st.
    UtcMonth,
}

impl Period {
    /// How long it is at most.
    pub(crate) fn longest(self) -> Duration {
        match self {
            Self::UtcDay => DAY,
            Self::UtcMonth => 31 * DAY,
        }
    }

    /// How long it is at least.
    pub(crate) fn shortest(self) -> Duration {
        match self {
            Self::UtcDay => DAY,
            Self::UtcMonth => 28 * DAY,
        }
    }

    /// The first boundary after `time`.
    pub(crate) fn ends_after(self, time: SystemTime) -> SystemTime {
        let date = OffsetDateTime::from(time).date();
        let next = match self {
            Self::UtcDay => date.next_day(),
            Self::UtcMonth => first_of_next_month(date),
        };
        // Without a next day the calendar has ended; a day on is as good as anything.
        next.map_or(time + DAY, |day| {
            day.with_time(Time::MIDNIGHT).assume_utc().into()
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
