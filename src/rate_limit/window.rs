//! Windows: "so many requests in so long", and where a response reports on them.
//!
//! DigiKey allows 120 requests a minute *and* 1000 a day, per API product: two windows, which make
//! one quota (`quota.rs`) for each product.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderName;
use time::{Date, Month, OffsetDateTime, Time};

use super::pace::Pacing;
use crate::clock::Now;
use crate::cost::REQUESTS;
use crate::error::Error;
use crate::verdict::Verdict;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A clock that NTP sets right runs too slow by up to one part in so many (500 ppm, the most that a
/// kernel allows), and a server may count in whole milliseconds. Without that margin a client
/// nearby is a hair too early now and then.
const CLOCK_DRIFT: u32 = 2_000;
const CLOCK_GRAIN: Duration = Duration::from_millis(1);

/// No clock of this crate lives to see a longer one end, and sums with it do not overflow.
const LONGEST: Duration = Duration::from_nanos(u64::MAX);

/// A limit on the number of requests, or of what else they cost ([`unit`](Self::unit)), in a length
/// of time.
///
/// Written as text (configuration files, command lines, [`FromStr`]) it is `LIMIT/LENGTH`:
/// `120/min`, `10/s`, `20/500ms`, `3000/12h`, `5000/day` (any 24 hours), `1000/utc-day` (resets at
/// 00:00 UTC), `10000/utc-month`.
///
/// Responses may report on it. Without header names of its own a window reads those in common use:
/// the IETF's `RateLimit` and `RateLimit-Policy` (drafts 06 to 10; the policy of its length or
/// limit), else `X-RateLimit-*`, `X-Rate-Limit-*` or `X-BurstLimit-*`. Where there are several
/// windows, the shortest reads `X-BurstLimit-*` and the longest the other two, unless they tell the
/// limit of another window.
///
/// ```
/// use std::time::Duration;
/// use reqwest_tollgate::Window;
///
/// let window: Window = "20/500ms".parse()?;
/// assert_eq!(window, Window::new(20, Duration::from_millis(500)));
/// assert_eq!(window.to_string(), "20/500ms");
/// # Ok::<(), reqwest_tollgate::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub(crate) limit: u64,
    pub(crate) span: Span,
    pub(crate) unit: Arc<str>,
    /// Its length before a margin was added, if one was.
    pub(crate) shown: Option<Duration>,
    pub(crate) headers: WindowHeaders,
    pub(crate) pacing: Pacing,
    pub(crate) reserve: u64,
    // Setters never fail; `build()` reports what they could not take.
    pub(crate) problems: Vec<String>,
}

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

/// The response headers that report on a window; empty: the usual names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WindowHeaders {
    pub(crate) limit: Option<HeaderName>,
    pub(crate) remaining: Option<HeaderName>,
    pub(crate) reset: Option<HeaderName>,
    pub(crate) reset_time: Option<HeaderName>,
    pub(crate) reset_unit: ResetUnit,
}

impl WindowHeaders {
    /// Whether any name was set.
    pub(crate) fn are_named(&self) -> bool {
        self.limit.is_some()
            || self.remaining.is_some()
            || self.reset.is_some()
            || self.reset_time.is_some()
    }
}

/// What the number in a reset header counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResetUnit {
    /// Told by its size: below 10⁹ seconds to go (milliseconds where seconds would exceed the
    /// window, or two of up to an hour), then seconds, milliseconds or microseconds since 1970; a
    /// date is read as a date.
    #[default]
    Auto,
    /// Seconds to go.
    Seconds,
    /// Milliseconds to go.
    Milliseconds,
    /// Seconds since 1970.
    UnixSeconds,
    /// Milliseconds since 1970.
    UnixMilliseconds,
    /// A date, in any form of RFC 9110 section 5.6.7 or of ISO 8601.
    Date,
}

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

    /// `limit` requests in any 24 hours.
    pub fn per_day(limit: u64) -> Self {
        Self::new(limit, DAY)
    }

    /// `limit` requests from 00:00 UTC to 00:00 UTC.
    pub fn per_utc_day(limit: u64) -> Self {
        Self::with_span(limit, Span::Calendar(Period::UtcDay))
    }

    /// `limit` requests in a calendar month, which begins on the 1st at 00:00 UTC.
    pub fn per_utc_month(limit: u64) -> Self {
        Self::with_span(limit, Span::Calendar(Period::UtcMonth))
    }

    /// What the window counts; default `"requests"`, of which every request costs one.
    ///
    /// A request is concerned by a window of another unit only if it names its cost in that unit
    /// ([`RequestOptions::cost`](crate::RequestOptions::cost)). What the window's limit, reserve
    /// and response headers tell is in this unit too.
    ///
    /// ```
    /// use reqwest_tollgate::{Account, RequestOptions, Window};
    ///
    /// let account = Account::builder("acme", "https://api.acme.example")
    ///     .window(Window::per_minute(100).unit("lines"))
    ///     .window(Window::per_day(1000))
    ///     .build()?;
    /// let order = RequestOptions::new().cost("lines", 12);
    /// # Ok::<(), reqwest_tollgate::Error>(())
    /// ```
    #[must_use]
    pub fn unit(mut self, unit: &str) -> Self {
        if unit.trim().is_empty() {
            self.problems.push("a window's unit is empty".to_owned());
        }
        self.unit = unit.into();
        self
    }

    /// How the requests follow each other; default [`Pacing::Auto`].
    #[must_use]
    pub fn pacing(mut self, pacing: Pacing) -> Self {
        self.pacing = pacing;
        self
    }

    /// Keeps the last `amount` of the window for
    /// [`Priority::High`](crate::Priority::High); default 0, and less than the limit.
    ///
    /// In a quota with such a window a request of high priority passes all others, however long
    /// they have waited.
    #[must_use]
    pub fn reserve(mut self, amount: u64) -> Self {
        if amount >= self.limit {
            let limit = self.limit;
            let problem = format!("a reserve of {amount} leaves nothing of a limit of {limit}");
            self.problems.push(problem);
        }
        self.reserve = amount;
        self
    }

    /// The response header that tells the window's limit.
    #[must_use]
    pub fn limit_header(mut self, name: &str) -> Self {
        self.headers.limit = self.header_name(name);
        self
    }

    /// The response header that tells how many requests are left in the window.
    #[must_use]
    pub fn remaining_header(mut self, name: &str) -> Self {
        self.headers.remaining = self.header_name(name);
        self
    }

    /// The response header that tells when the window resets, as a number
    /// ([`reset_unit`](Self::reset_unit)) or as a date.
    #[must_use]
    pub fn reset_header(mut self, name: &str) -> Self {
        self.headers.reset = self.header_name(name);
        self
    }

    /// A second header that tells the same moment, as a date; it goes before
    /// [`reset_header`](Self::reset_header) (DigiKey's `X-BurstLimit-ResetTime`).
    #[must_use]
    pub fn reset_time_header(mut self, name: &str) -> Self {
        self.headers.reset_time = self.header_name(name);
        self
    }

    /// What the number in the reset header counts; default: told by its size.
    #[must_use]
    pub fn reset_unit(mut self, unit: ResetUnit) -> Self {
        self.headers.reset_unit = unit;
        self
    }

    /// How many requests the window allows, or how much of its unit.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// How long the window is; a month counts as 31 days.
    pub fn length(&self) -> Duration {
        match self.span {
            Span::Rolling(length) => length,
            Span::Calendar(period) => period.longest(),
        }
    }

    /// How long to pause once the server called it spent and did not say until when: to its end by
    /// the calendar, or a while.
    pub(crate) fn pause(&self, now: Now) -> Duration {
        match self.span {
            Span::Rolling(length) => length.min(Verdict::LOOK_AGAIN),
            Span::Calendar(period) => {
                let end = period.ends_after(now.wall);
                end.duration_since(now.wall).unwrap_or_default()
            }
        }
    }

    /// Whether it was told no more than its limit and its length.
    pub(crate) fn is_plain(&self) -> bool {
        let is_default =
            self.pacing == Pacing::default() && self.reserve == 0 && &*self.unit == REQUESTS;
        is_default && self.headers == WindowHeaders::default()
    }

    /// Whether both count the same in the same length, so that one replaces the other.
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        self.length() == other.length() && self.unit == other.unit
    }

    /// As long as it may be by the server's clock.
    pub(crate) fn by_another_clock(&self) -> Self {
        let mut window = self.clone();
        if let Span::Rolling(length) = self.span {
            let by_theirs = length.saturating_add(length / CLOCK_DRIFT + CLOCK_GRAIN);
            window.span = Span::Rolling(by_theirs.min(LONGEST));
            window.shown = Some(length);
        }
        window
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
            problems,
        }
    }

    fn header_name(&mut self, name: &str) -> Option<HeaderName> {
        let parsed = HeaderName::from_str(name).ok();
        if parsed.is_none() {
            self.problems.push(format!("{name:?} is not a header name"));
        }
        parsed
    }
}

impl FromStr for Window {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), with the text and what was expected.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::config(format!(
                "{text:?} is not a window: expected LIMIT/LENGTH with a LENGTH such as s, min, h, \
                 day, 500ms, 12h, utc-day or utc-month"
            ))
        };
        let (limit, length) = text.split_once('/').ok_or_else(wrong)?;
        let limit = parse_digits(limit.trim())
            .filter(|limit| *limit > 0)
            .ok_or_else(wrong)?;
        match length.trim() {
            "utc-day" => Ok(Self::per_utc_day(limit)),
            "utc-month" => Ok(Self::per_utc_month(limit)),
            other => parse_length(other)
                .map(|length| Self::new(limit, length))
                .ok_or_else(wrong),
        }
    }
}

/// ASCII digits only: `str::parse` alone would also take a plus sign.
fn parse_digits(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// A span of time such as `500ms`, `2s`, `15min`, `12h`, `1day`; a bare unit is one of it.
pub(crate) fn parse_length(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number = if number.is_empty() {
        1
    } else {
        parse_digits(number)?
    };
    let unit = match unit {
        "ms" => Duration::from_millis(1),
        "s" | "sec" | "second" => SECOND,
        "m" | "min" | "minute" => MINUTE,
        "h" | "hour" => HOUR,
        "d" | "day" => DAY,
        _ => return None,
    };
    unit.checked_mul(u32::try_from(number).ok()?)
        .filter(|length| !length.is_zero())
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.limit, self.span)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = match self {
            Self::Calendar(Period::UtcDay) => return f.write_str("utc-day"),
            Self::Calendar(Period::UtcMonth) => return f.write_str("utc-month"),
            Self::Rolling(length) => length,
        };
        let units = [(DAY, "day"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s")];
        let whole = |unit: Duration| length.as_nanos() % unit.as_nanos() == 0;
        match units.into_iter().find(|(unit, _)| whole(*unit)) {
            Some((unit, name)) if *length == unit => f.write_str(name),
            Some((unit, name)) => write!(f, "{}{name}", length.as_nanos() / unit.as_nanos()),
            None => write!(f, "{}ms", length.as_millis()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::gate::Ticket;
    use super::super::state::{Admission, Ledger, Settlement};
    use super::*;
    use crate::clock::Moment;
    use crate::cost::Costs;

    #[test]
    fn a_window_reads_as_it_is_written() {
        for text in [
            "120/min",
            "10/s",
            "20/500ms",
            "3000/12h",
            "5000/day",
            "1000/utc-day",
            "7/2s",
        ] {
            let window: Window = text.parse().expect(text);
            assert_eq!(window.to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_text_and_what_was_expected() {
        for text in [
            "",
            "120",
            "120/",
            "/min",
            "0/min",
            "-1/s",
            "+1/s",
            "1/0s",
            "1/fortnight",
            "²/s",
        ] {
            let error = text.parse::<Window>().expect_err(text).to_string();
            assert!(error.contains("expected LIMIT/LENGTH"), "{error}");
        }
    }

    #[test]
    fn a_day_ends_at_midnight_and_a_month_on_the_first() {
        let end = |period: Period, text: &str| {
            let time = httpdate::parse_http_date(text).expect("a date");
            httpdate::fmt_http_date(period.ends_after(time))
        };
        let midnight = "Sun, 01 Feb 2026 00:00:00 GMT";
        assert_eq!(
            end(Period::UtcDay, "Sat, 31 Jan 2026 12:00:00 GMT"),
            midnight
        );
        assert_eq!(
            end(Period::UtcMonth, "Sat, 31 Jan 2026 12:00:00 GMT"),
            midnight
        );
        assert_eq!(
            end(Period::UtcDay, midnight),
            "Mon, 02 Feb 2026 00:00:00 GMT"
        );
        let new_year = "Fri, 01 Jan 2027 00:00:00 GMT";
        assert_eq!(
            end(Period::UtcMonth, "Thu, 31 Dec 2026 23:59:59 GMT"),
            new_year
        );
        let leap_year = end(Period::UtcMonth, "Sun, 27 Feb 1972 12:00:00 GMT");
        assert_eq!(leap_year, "Wed, 01 Mar 1972 00:00:00 GMT");
    }

    #[test]
    fn another_clock_may_take_a_little_longer() {
        let minute = Window::per_minute(9).by_another_clock();
        assert_eq!(minute.length(), Duration::from_millis(60_031));
        assert_eq!(
            Window::per_utc_day(9).by_another_clock(),
            Window::per_utc_day(9)
        );
    }

    #[test]
    fn a_window_that_never_ends_overflows_nothing() {
        for pacing in [Pacing::Auto, Pacing::Burst, Pacing::Spread] {
            let window = Window::new(2, Duration::MAX).pacing(pacing);
            let now = Now {
                moment: Moment::after_start(SECOND),
                wall: SystemTime::UNIX_EPOCH + DAY,
            };
            let mut ledger = Ledger::new(&[window.by_another_clock()], None, MINUTE, now);
            let ticket = Ticket::numbered(1);
            assert_eq!(ledger.when(ticket, &Costs::ONE, now), Admission::Now);
            let permit = ledger.grant(ticket, &Costs::ONE, now);
            ledger.settle(permit, ticket, &Settlement::Lost, now);
            ledger.when(ticket, &Costs::ONE, now);
        }
    }
}
