//! One header value: a number, a span, a date.

use std::time::{Duration, SystemTime};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};
use time::format_description::well_known::{Iso8601, Rfc2822};
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::clock::Now;

/// No server means a longer pause than this, and a month fits in.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(32 * 24 * 60 * 60);

/// Numbers from here on are seconds since 1970 (this one was in 2001), not a span.
pub(super) const UNIX_SECONDS: f64 = 1e9;
const UNIX_MILLISECONDS: f64 = 1e12;
const UNIX_MICROSECONDS: f64 = 1e15;

/// `Retry-After` (RFC 9110 section 10.2.3): seconds or a date; some send seconds since 1970.
///
/// Zero and the past are taken for absent, since they say nothing about when it would help.
pub(crate) fn retry_after(headers: &HeaderMap, now: Now) -> Option<Duration> {
    let text = text(headers.get(RETRY_AFTER)?)?;
    let span = match number(text) {
        Some(number) if number >= UNIX_SECONDS => until(unix_by_size(number)?, headers, now)?,
        Some(number) => seconds(number)?,
        None => until(date(text)?, headers, now)?,
    };
    (!span.is_zero()).then(|| span.min(LONGEST_PAUSE))
}

/// The span from the response's own `Date`, so that the two clocks need not agree; from ours, where
/// it has none.
pub(super) fn until(time: SystemTime, headers: &HeaderMap, now: Now) -> Option<Duration> {
    let sent = headers.get(DATE).and_then(text).and_then(date);
    time.duration_since(sent.unwrap_or(now.wall)).ok()
}

pub(super) fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok().map(str::trim)
}

/// Digits between two commas of a number that is written for people.
const GROUP: usize = 3;

/// The leading integer, or what is before the point of a decimal: draft 06 lists the policy behind
/// the limit, `100, 100;w=60`.
pub(super) fn integer(text: &str) -> Option<u64> {
    let end = digits(text);
    let rest = text.get(end..)?;
    if end <= GROUP && is_group(rest) {
        return None;
    }
    let fraction = rest.strip_prefix('.');
    let rest = fraction.map_or(rest, |digits| {
        digits.trim_start_matches(|c: char| c.is_ascii_digit())
    });
    let rest = rest.trim_start();
    let ends_well = rest.is_empty() || rest.starts_with([',', ';']);
    if ends_well {
        text.get(..end)?.parse().ok()
    } else {
        None
    }
}

/// Whether a text is a number that may be written in groups of digits, or two numbers.
pub(super) fn is_grouped(text: &str) -> bool {
    let end = digits(text);
    end > 0 && end <= GROUP && text.get(end..).is_some_and(is_group)
}

/// Whether a number may go on here as `1,000` does. `12,340` may also be two numbers (a vendor of
/// that way to list them is in the tests), so it is neither. Lists are written with a space behind
/// the comma (RFC 9651 section 4.1.1; RFC 9110 section 5.3, of lines that were joined).
fn is_group(rest: &str) -> bool {
    rest.strip_prefix(',')
        .is_some_and(|group| digits(group) == GROUP)
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// Digits with at most one point. `f64::from_str` alone would take `inf`, `NaN` and `1e300`.
pub(super) fn number(text: &str) -> Option<f64> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    if plain { text.parse().ok() } else { None }
}

pub(super) fn seconds(number: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number).ok()
}

pub(super) fn unix(number: f64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(seconds(number)?)
}

pub(super) fn unix_by_size(number: f64) -> Option<SystemTime> {
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
pub(super) fn date(text: &str) -> Option<SystemTime> {
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
