//! How a window is made: so much, in so long.
//!
//! Pure.

use std::time::Duration;

use super::{DAY, HOUR, MINUTE, Offset, Pacing, Period, SECOND, Span, Window, WindowHeaders};
use crate::cost::REQUESTS;

/// So much, in so long.
impl Window {
    /// `limit` requests in any span of this length.
    ///
    /// A request counts from the moment it leaves until `length` after its response arrived, since
    /// the server may have counted it at any moment between.
    pub fn new(limit: u64, length: Duration) -> Self {
        let mut window = Self::with_span(limit, Span::Rolling(length));
        if length.is_zero() {
            window
                .problems
                .push("a window's length must be more than zero".to_owned());
        }
        window
    }

    /// `limit` requests in any second.
    pub fn per_second(limit: u64) -> Self {
        Self::new(limit, SECOND)
    }

    /// `limit` requests in any minute.
    pub fn per_minute(limit: u64) -> Self {
        Self::new(limit, MINUTE)
    }

    /// `limit` requests in any hour.
    pub fn per_hour(limit: u64) -> Self {
        Self::new(limit, HOUR)
    }

    /// `limit` requests in any 24 hours, and so in any day, wherever its midnight lies.
    pub fn per_day(limit: u64) -> Self {
        Self::new(limit, DAY)
    }

    /// `limit` requests from 00:00 UTC to 00:00 UTC.
    ///
    /// The server's clock may differ from ours by two seconds. So long before midnight and after it
    /// nobody knows in which day a request counts: a fiftieth of the limit may leave then, and
    /// counts in both; the others wait.
    pub fn per_utc_day(limit: u64) -> Self {
        Self::with_span(limit, Span::Calendar(Period::Day(Offset::UTC)))
    }

    /// `limit` requests in a calendar month, which begins on the 1st at 00:00 UTC.
    /// Around that moment it is as with [`per_utc_day`](Self::per_utc_day).
    pub fn per_utc_month(limit: u64) -> Self {
        Self::with_span(limit, Span::Calendar(Period::Month(Offset::UTC)))
    }

    /// `limit` requests from 00:00 to 00:00 by a clock of this offset from UTC, written `±HH:MM`
    /// (RFC 3339 section 5.6): `"-06:00"` is six hours behind UTC, and its day ends at 06:00 UTC.
    /// Up to 14 hours; [`build`](crate::AccountBuilder::build) refuses anything else.
    ///
    /// For a vendor whose day ends at another midnight than that of UTC, and whose responses do not
    /// tell when: DigiKey's old documentation has 00:00 US Central. Around that moment it is as
    /// with [`per_utc_day`](Self::per_utc_day).
    ///
    /// The offset is fixed: daylight saving is not followed. Where the vendor's clock does, the two
    /// days end an hour apart for a part of the year; what leaves in that hour counts in different
    /// days, and only the server's word or its rejection tells. Where that is too much, or the
    /// offset is not known, [`per_day`](Self::per_day) keeps to the limit of any day.
    ///
    /// ```
    /// use reqwest_tollgate::Window;
    ///
    /// let window = Window::per_local_day(5000, "-06:00");
    /// assert_eq!(window.to_string(), "5000/day-06:00");
    /// ```
    pub fn per_local_day(limit: u64, offset: &str) -> Self {
        Self::local(limit, offset, Period::Day)
    }

    /// `limit` requests in a calendar month, which begins on the 1st at 00:00 by a clock of this
    /// offset: see [`per_local_day`](Self::per_local_day).
    pub fn per_local_month(limit: u64, offset: &str) -> Self {
        Self::local(limit, offset, Period::Month)
    }

    pub(crate) fn with_span(limit: u64, span: Span) -> Self {
        let problems = match limit {
            0 => vec!["a window's limit must be at least 1".to_owned()],
            _ => Vec::new(),
        };
        Self {
            limit,
            span,
            unit: REQUESTS.into(),
            shown: None,
            headers: WindowHeaders::default(),
            pacing: Pacing::default(),
            reserve: 0,
            follows_raises: false,
            problems,
        }
    }

    fn local(limit: u64, offset: &str, period: fn(Offset) -> Period) -> Self {
        let parsed = Offset::parse(offset);
        let span = Span::Calendar(period(parsed.unwrap_or(Offset::UTC)));
        let mut window = Self::with_span(limit, span);
        if parsed.is_none() {
            let expected = "expected -14:00 to +14:00, written like -06:00 or +05:30";
            let problem = format!("found the offset {offset:?}; {expected}");
            window.problems.push(problem);
        }
        window
    }
}
