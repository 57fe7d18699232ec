//! What a response says about limits: header fields in, plain values out.
//!
//! Nobody standardized these fields in time, so every server has its own: a reset may be seconds to
//! go, milliseconds to go, seconds since 1970 or a date (DigiKey's own two documents disagree). All
//! of it comes from outside: whatever cannot be understood counts as absent, every span is clamped,
//! and nothing here can panic.

use std::time::{Duration, SystemTime};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;
use time::format_description::well_known::{Iso8601, Rfc2822};
use time::{OffsetDateTime, PrimitiveDateTime};

use super::window::{ResetUnit, Window};
use crate::clock::Now;

/// No server means a longer pause than this, and a month fits in.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(32 * 24 * 60 * 60);

/// Numbers from here on are seconds since 1970 (this one was in 2001), not a span.
const UNIX_SECONDS: f64 = 1e9;
const UNIX_MILLISECONDS: f64 = 1e12;
const UNIX_MICROSECONDS: f64 = 1e15;

/// The fields that may report on one window.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    families: SmallVec<[Family; 3]>,
    limit: u64,
    length: Duration,
    reset_unit: ResetUnit,
}

/// Fields that belong together.
#[derive(Clone, Debug, Default)]
struct Family {
    limit: Option<HeaderName>,
    remaining: Option<HeaderName>,
    reset_time: Option<HeaderName>,
    reset: Option<HeaderName>,
}

/// What a response says about one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) limit: Option<u64>,
    pub(crate) remaining: Option<u64>,
    /// How long until the window resets.
    pub(crate) reset: Option<Duration>,
}

impl Fields {
    /// The fields of the window at `index` of these windows, which are sorted by length.
    ///
    /// A window without names of its own reads the usual ones: where it is the only window,
    /// `X-RateLimit-*`, `RateLimit-*` or `X-BurstLimit-*`, whichever tells its limit, else
    /// whichever is there; of several, the shortest reads `X-BurstLimit-*` and the longest
    /// `X-RateLimit-*`, as at DigiKey.
    pub(crate) fn of(window: &Window, index: usize, count: usize) -> Self {
        let usual: &[&str] = match (index, count) {
            (_, 1) => &["x-ratelimit", "ratelimit", "x-burstlimit"],
            (0, _) => &["x-burstlimit"],
            (last, _) if last + 1 == count => &["x-ratelimit"],
            _ => &[],
        };
        let mut families = SmallVec::new();
        if window.headers.are_named() {
            families.push(Family::named(window));
        } else {
            families.extend(usual.iter().map(|prefix| Family::usual(prefix)));
        }
        Self {
            families,
            limit: window.limit,
            length: window.length(),
            reset_unit: window.headers.reset_unit,
        }
    }

    /// What these headers say about the window.
    pub(crate) fn read(&self, headers: &HeaderMap, now: Now) -> Reading {
        let limit_of = |family: &Family| field(headers, &family.limit).and_then(integer);
        let mut present = self.families.iter().filter(|family| family.is_in(headers));
        let by_limit = present
            .clone()
            .find(|family| limit_of(family) == Some(self.limit));
        let Some(family) = by_limit.or_else(|| present.next()) else {
            return Reading::default();
        };
        let span = |name| field(headers, name).and_then(|value| self.span(value, headers, now));
        Reading {
            // A limit of nothing would stop the account for good on one broken answer.
            limit: limit_of(family).filter(|limit| *limit > 0),
            remaining: field(headers, &family.remaining).and_then(integer),
            reset: span(&family.reset_time).or_else(|| span(&family.reset)),
        }
    }

    /// A reset field as a span from now, at most the window's length (a rounded-up second more).
    fn span(&self, value: &HeaderValue, headers: &HeaderMap, now: Now) -> Option<Duration> {
        let text = value.to_str().ok()?.trim();
        let longest = self.length.saturating_add(Duration::from_secs(1));
        let span = match number(text) {
            Some(number) => self.number_as_span(number, headers, now)?,
            None => until(date(text)?, headers, now)?,
        };
        Some(span.min(longest))
    }

    fn number_as_span(&self, number: f64, headers: &HeaderMap, now: Now) -> Option<Duration> {
        match self.reset_unit {
            ResetUnit::Seconds => seconds(number),
            ResetUnit::Milliseconds => seconds(number / 1e3),
            ResetUnit::UnixSeconds => until(unix(number)?, headers, now),
            ResetUnit::UnixMilliseconds => until(unix(number / 1e3)?, headers, now),
            ResetUnit::Date => None,
            ResetUnit::Auto if number >= UNIX_SECONDS => until(unix_by_size(number)?, headers, now),
            ResetUnit::Auto => seconds(self.seconds_by_size(number)),
        }
    }

    /// A span beyond the window's end is not seconds: TE counts milliseconds. Servers round a
    /// second up, and some add another.
    fn seconds_by_size(&self, number: f64) -> f64 {
        let longest = self.length.as_secs_f64().ceil() + 1.0;
        if number > longest {
            number / 1e3
        } else {
            number
        }
    }
}

impl Family {
    fn named(window: &Window) -> Self {
        let headers = window.headers.clone();
        Self {
            limit: headers.limit,
            remaining: headers.remaining,
            reset_time: headers.reset_time,
            reset: headers.reset,
        }
    }

    fn usual(prefix: &str) -> Self {
        let name = |suffix: &str| HeaderName::try_from(format!("{prefix}-{suffix}")).ok();
        Self {
            limit: name("limit"),
            remaining: name("remaining"),
            reset_time: name("resettime"),
            reset: name("reset"),
        }
    }

    fn is_in(&self, headers: &HeaderMap) -> bool {
        let names = [&self.limit, &self.remaining, &self.reset, &self.reset_time];
        names.into_iter().any(|name| field(headers, name).is_some())
    }
}

fn field<'h>(headers: &'h HeaderMap, name: &Option<HeaderName>) -> Option<&'h HeaderValue> {
    headers.get(name.as_ref()?)
}

/// `Retry-After` (RFC 9110 section 10.2.3): seconds or a date; some send seconds since 1970.
///
/// Zero and the past are taken for absent, since they say nothing about when it would help.
pub(crate) fn retry_after(headers: &HeaderMap, now: Now) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let span = match number(text) {
        Some(number) if number >= UNIX_SECONDS => until(unix_by_size(number)?, headers, now)?,
        Some(number) => seconds(number)?,
        None => until(date(text)?, headers, now)?,
    };
    (!span.is_zero()).then(|| span.min(LONGEST_PAUSE))
}

/// The span from the response's own `Date`, so that the two clocks need not agree; from ours, where
/// it has none.
fn until(time: SystemTime, headers: &HeaderMap, now: Now) -> Option<Duration> {
    let sent = headers
        .get(DATE)
        .and_then(|value| date(value.to_str().ok()?));
    time.duration_since(sent.unwrap_or(now.wall)).ok()
}

/// The leading integer: draft 06 lists the policy behind the limit, `100, 100;w=60`.
fn integer(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?.trim();
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = text.get(end..)?.trim_start();
    let ends_well = rest.is_empty() || rest.starts_with([',', ';', '.']);
    if ends_well {
        text.get(..end)?.parse().ok()
    } else {
        None
    }
}

/// Digits with at most one point. `f64::from_str` alone would take `inf`, `NaN` and `1e300`.
fn number(text: &str) -> Option<f64> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    if plain { text.parse().ok() } else { None }
}

fn seconds(number: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number).ok()
}

fn unix(number: f64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(seconds(number)?)
}

fn unix_by_size(number: f64) -> Option<SystemTime> {
    if number >= UNIX_MICROSECONDS {
        unix(number / 1e6)
    } else if number >= UNIX_MILLISECONDS {
        unix(number / 1e3)
    } else {
        unix(number)
    }
}

/// A date in one of the three forms of RFC 9110 section 5.6.7, of RFC 5322 (`-0000`), or of ISO
/// 8601, where no offset means UTC.
pub(crate) fn date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text)
        .ok()
        .or_else(|| {
            OffsetDateTime::parse(text, &Rfc2822)
                .ok()
                .map(SystemTime::from)
        })
        .or_else(|| {
            OffsetDateTime::parse(text, &Iso8601::PARSING)
                .ok()
                .map(SystemTime::from)
        })
        .or_else(|| {
            let local = PrimitiveDateTime::parse(text, &Iso8601::PARSING).ok()?;
            Some(SystemTime::from(local.assume_utc()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use proptest::prelude::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT, the moment of RFC 9110's examples.
    const EXAMPLE: u64 = 784_111_777;

    fn now() -> Now {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(EXAMPLE - 30);
        Now {
            moment: Moment::after_start(Duration::from_secs(1_000)),
            wall,
        }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_str(value).expect("a value"));
        }
        headers
    }

    fn retry(value: &str) -> Option<u64> {
        retry_after(&headers(&[("retry-after", value)]), now()).map(|span| span.as_secs())
    }

    fn reset(window: &str, value: &str) -> Option<Duration> {
        let window: Window = window.parse().expect("a window");
        let fields = Fields::of(&window, 0, 1);
        fields
            .read(&headers(&[("x-ratelimit-reset", value)]), now())
            .reset
    }

    #[test]
    fn retry_after_reads_seconds_and_the_three_forms_of_a_date() {
        assert_eq!(retry("120"), Some(120));
        assert_eq!(retry("Sun, 06 Nov 1994 08:49:37 GMT"), Some(30));
        assert_eq!(retry("Sunday, 06-Nov-94 08:49:37 GMT"), Some(30));
        assert_eq!(retry("Sun Nov  6 08:49:37 1994"), Some(30));
        assert_eq!(retry("Sun, 06 Nov 1994 08:49:37 -0000"), Some(30));
    }

    #[test]
    fn a_date_is_measured_from_the_responses_own_date() {
        let both = headers(&[
            ("date", "Sun, 06 Nov 1994 08:49:27 GMT"),
            ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ]);
        assert_eq!(retry_after(&both, now()), Some(Duration::from_secs(10)));
    }

    #[test]
    fn a_retry_after_of_zero_or_in_the_past_is_absent() {
        for value in ["0", "0.0", "Sun, 06 Nov 1994 08:00:00 GMT"] {
            assert_eq!(retry(value), None, "{value}");
        }
    }

    #[test]
    fn hostile_values_are_absent_or_clamped() {
        for value in [
            "-5", "NaN", "inf", "1e300", "+5", "²", "", ".", "1.2.3", "soon", "0x10",
        ] {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("bytes");
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", value.clone());
            headers.insert("x-ratelimit-reset", value.clone());
            headers.insert("x-ratelimit-remaining", value.clone());
            assert_eq!(retry_after(&headers, now()), None, "{value:?}");
            let reading = Fields::of(&Window::per_minute(9), 0, 1).read(&headers, now());
            assert_eq!(reading.reset, None, "{value:?}");
        }
        assert_eq!(retry("99999999"), Some(LONGEST_PAUSE.as_secs()));
        assert_eq!(retry("9".repeat(400).as_str()), None);
    }

    /// Each row: who sends it, the window, the value, the seconds it means.
    #[test]
    fn a_reset_is_read_by_its_size() {
        // Half a minute before 2026-07-15T10:36:17Z, which is 1784111777.
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_784_111_777 - 30);
        let now = Now { wall, ..now() };
        let rows = [
            (
                "DigiKey, official: seconds to go",
                "1000/utc-day",
                "28416",
                28_416.0,
            ),
            (
                "DigiKey, source document 003: Unix time",
                "1000/utc-day",
                "1784111777",
                30.0,
            ),
            ("Sourcengine: Unix time", "10/min", "1784111760", 13.0),
            (
                "JavaScript servers: Unix milliseconds",
                "10/min",
                "1784111777000",
                30.0,
            ),
            (
                "slowapi: Unix time with a fraction",
                "10/min",
                "1784111777.5",
                30.5,
            ),
            (
                "TE: milliseconds to go",
                "1000/utc-day",
                "86382593",
                86_382.593,
            ),
            ("express-rate-limit, rounded up", "20/2s", "3", 3.0),
            ("a second's window told in milliseconds", "10/s", "500", 0.5),
            ("an ISO date", "10/min", "2026-07-15T10:36:17Z", 30.0),
            (
                "an ISO date without offset",
                "10/min",
                "2026-07-15T10:36:17",
                30.0,
            ),
        ];
        for (who, window, value, expected) in rows {
            let fields = Fields::of(&window.parse().expect("a window"), 0, 1);
            let read = fields
                .read(&headers(&[("x-ratelimit-reset", value)]), now)
                .reset;
            let read = read
                .unwrap_or_else(|| panic!("{who}: nothing read"))
                .as_secs_f64();
            assert!((read - expected).abs() < 1e-3, "{who}: {read}");
        }
    }

    #[test]
    fn a_reset_beyond_the_window_is_clamped_to_it() {
        assert_eq!(
            reset("10/min", "Sun, 06 Nov 2094 08:49:37 GMT"),
            Some(Duration::from_secs(61))
        );
    }

    #[test]
    fn reset_time_goes_before_reset() {
        let windows = [Window::per_minute(120), Window::per_utc_day(1000)];
        let both = headers(&[
            ("x-burstlimit-resettime", "1994-11-06T08:49:12Z"),
            ("x-burstlimit-reset", "44"),
        ]);
        let reading = Fields::of(&windows[0], 0, 2).read(&both, now());
        assert_eq!(reading.reset, Some(Duration::from_secs(5)));
    }

    #[test]
    fn of_two_windows_the_short_one_reads_burst_and_the_long_one_rate() {
        let windows = [Window::per_minute(120), Window::per_utc_day(1000)];
        let six = headers(&[
            ("x-ratelimit-limit", "1000"),
            ("x-ratelimit-remaining", "17"),
            ("x-burstlimit-limit", "120"),
            ("x-burstlimit-remaining", "3"),
        ]);
        let minute = Fields::of(&windows[0], 0, 2).read(&six, now());
        let day = Fields::of(&windows[1], 1, 2).read(&six, now());
        assert_eq!((minute.limit, minute.remaining), (Some(120), Some(3)));
        assert_eq!((day.limit, day.remaining), (Some(1000), Some(17)));
    }

    #[test]
    fn the_only_window_reads_the_family_that_tells_its_limit() {
        let day_and_burst = headers(&[
            ("x-ratelimit-limit", "1000"),
            ("x-ratelimit-remaining", "900"),
            ("x-burstlimit-limit", "40"),
            ("x-burstlimit-remaining", "39"),
        ]);
        let window = Window::new(40, Duration::from_secs(2));
        let reading = Fields::of(&window, 0, 1).read(&day_and_burst, now());
        assert_eq!((reading.limit, reading.remaining), (Some(40), Some(39)));
    }

    #[test]
    fn the_limit_of_draft_06_is_its_leading_integer() {
        let window = Window::per_minute(100).limit_header("RateLimit-Limit");
        let policy = headers(&[("ratelimit-limit", "100, 100;w=60")]);
        assert_eq!(
            Fields::of(&window, 0, 1).read(&policy, now()).limit,
            Some(100)
        );
    }

    proptest! {
        #[test]
        fn no_header_value_makes_it_panic_or_sleep_for_years(
            bytes in prop::collection::vec(32_u8..=255, 0..40),
        ) {
            let not_a_value = |_| TestCaseError::reject("not a value");
            let value = HeaderValue::from_bytes(&bytes).map_err(not_a_value)?;
            let mut headers = HeaderMap::new();
            for name in ["retry-after", "date"] {
                headers.insert(name, value.clone());
            }
            for name in ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"] {
                headers.insert(name, value.clone());
            }
            let window = Window::per_minute(9);
            let reading = Fields::of(&window, 0, 1).read(&headers, now());
            prop_assert!(reading.reset.is_none_or(|span| span <= Duration::from_secs(61)));
            prop_assert!(retry_after(&headers, now()).is_none_or(|span| span <= LONGEST_PAUSE));
        }
    }
}
