//! Values of header fields: numbers, spans, dates, and `Retry-After`.
//!
//! Servers write the same thing in many ways, and anything may come: what cannot be understood
//! counts as absent, every span has a bound, and nothing here can panic. Pure.

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};
use smallvec::SmallVec;
use time::format_description::well_known::{Iso8601, Rfc2822};
use time::{OffsetDateTime, PrimitiveDateTime};

/// No server means a longer pause than this, and a month fits in.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(32 * 24 * 60 * 60);

/// How much text of an answer is looked at in all fields of one kind, in bytes. The longest such
/// fields that are known (policies of several limiters, each with a key) have a few hundred.
const MOST_TEXT: usize = 4096;

/// Of a field that has more lines, or of a list that has more members, the rest is not looked at.
pub(crate) const MOST_MEMBERS: usize = 16;

/// A longer text is no number, span or date. The longest date has 33 characters.
const LONGEST_VALUE: usize = 64;

/// Numbers from here on are seconds since 1970 (this one was in 2001), not a span.
const UNIX_SECONDS: f64 = 1e9;
const UNIX_MILLISECONDS: f64 = 1e12;
const UNIX_MICROSECONDS: f64 = 1e15;

/// How much of an answer may still be looked at.
pub(crate) struct Budget(usize);

/// A span or a time, as it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum When {
    /// A number that is too small for a time: seconds, usually.
    Number(f64),
    /// A span with its units.
    Span(Duration),
    /// A date, or a number of the size of a time.
    At(SystemTime),
}

impl Default for Budget {
    fn default() -> Self {
        Self(MOST_TEXT)
    }
}

impl Budget {
    /// The text of a field line; of one that goes beyond the budget, the members of its list that
    /// do not.
    pub(crate) fn text<'h>(&mut self, value: &'h HeaderValue) -> Option<&'h str> {
        let bytes = value.as_bytes();
        let within = bytes.get(..bytes.len().min(self.0))?;
        self.0 -= within.len();
        let text = std::str::from_utf8(within).ok()?;
        let whole = if within.len() == bytes.len() {
            text
        } else {
            text.rsplit_once(',')?.0
        };
        Some(whole.trim())
    }
}

/// `Retry-After` (RFC 9110 section 10.2.3): seconds or a date; some send seconds since 1970, or a
/// span with its units. Of several, the longest.
///
/// Zero and the past are taken for absent, since they say nothing about when it would help.
pub(crate) fn retry_after(headers: &HeaderMap, wall: SystemTime) -> Option<Duration> {
    let mut budget = Budget::default();
    let lines = headers.get_all(RETRY_AFTER).into_iter().take(MOST_MEMBERS);
    let lines = lines.filter_map(|line| budget.text(line));
    let told = lines.flat_map(|line| members(line, when)).flatten();
    let spans = told.filter_map(|when| match when {
        When::Number(number) => seconds(number),
        When::Span(span) => Some(span),
        When::At(time) => until(time, headers, wall),
    });
    let longest = spans.max().filter(|span| !span.is_zero());
    longest.map(|span| span.min(LONGEST_PAUSE))
}

/// When the server sent it, by its own clock.
pub(crate) fn sent(headers: &HeaderMap) -> Option<SystemTime> {
    let value = headers.get(DATE)?;
    if value.len() > LONGEST_VALUE {
        return None;
    }
    date(value.to_str().ok()?.trim())
}

/// The span from the response's own `Date`, so that the two clocks need not agree; from ours, where
/// it has none. None of the past.
pub(crate) fn until(time: SystemTime, headers: &HeaderMap, wall: SystemTime) -> Option<Duration> {
    time.duration_since(sent(headers).unwrap_or(wall)).ok()
}

/// A line as the one thing that it says, or as a list of them; none for what cannot be read.
pub(crate) fn members<T>(line: &str, read: impl Fn(&str) -> Option<T>) -> SmallVec<[Option<T>; 1]> {
    match read(line) {
        None if line.contains(',') && !is_grouped(line) => {
            let members = line.split(',').take(MOST_MEMBERS);
            members.map(|member| read(member.trim())).collect()
        }
        one => SmallVec::from_iter([one]),
    }
}

/// A number, a span or a date.
pub(crate) fn when(text: &str) -> Option<When> {
    if text.len() > LONGEST_VALUE {
        return None;
    }
    match number(text) {
        Some(number) if number >= UNIX_SECONDS => unix_by_size(number).map(When::At),
        Some(number) => Some(When::Number(number)),
        None => (span(text).map(When::Span)).or_else(|| date(text).map(When::At)),
    }
}

/// Digits between two commas of a number that is written for people.
const GROUP: usize = 3;

/// The leading integer, or what is before the point of a decimal: draft 06 lists the policy behind
/// the limit, `100, 100;w=60`.
pub(crate) fn integer(text: &str) -> Option<u64> {
    if is_grouped(text) {
        return None;
    }
    let end = digits(text);
    let rest = text.get(end..)?;
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

/// Whether it may be one number, as `1,000` is, and may as well be two: `12,340` (a vendor of that
/// way to list them is in the tests). So it is neither. Lists are written with a space behind the
/// comma (RFC 9651 section 4.1.1; RFC 9110 section 5.3, of lines that were joined).
pub(crate) fn is_grouped(text: &str) -> bool {
    let end = digits(text);
    let rest = text.get(end..).and_then(|rest| rest.strip_prefix(','));
    end <= GROUP && rest.is_some_and(|group| digits(group) == GROUP)
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// Digits with at most one point. `f64::from_str` alone would take `inf`, `NaN` and `1e300`.
pub(crate) fn number(text: &str) -> Option<f64> {
    let is_plain = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    let is_number = text.len() <= LONGEST_VALUE && text.bytes().all(is_plain);
    if is_number { text.parse().ok() } else { None }
}

pub(crate) fn seconds(number: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number).ok()
}

pub(crate) fn unix(number: f64) -> Option<SystemTime> {
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

/// A span with its units: `3s`, `6m0s` (Go), `2m59.56s`, `30 seconds`, or `PT3S` (ISO 8601, without
/// months and years, whose length differs).
fn span(text: &str) -> Option<Duration> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || c == '.' || c == 'P' || c == 'p') {
        return None;
    }
    let text = text.to_ascii_lowercase();
    let Some(iso) = text.strip_prefix('p') else {
        return sum(&text, unit);
    };
    let (days, time) = iso.split_once('t').unwrap_or((iso, ""));
    let day = |name: &str| (name == "d").then(|| unit(name)).flatten();
    let of_clock = |name: &str| {
        ["h", "m", "s"]
            .contains(&name)
            .then(|| unit(name))
            .flatten()
    };
    match (days, time) {
        (days, "") => sum(days, day),
        ("", time) => sum(time, of_clock),
        (days, time) => sum(days, day)?.checked_add(sum(time, of_clock)?),
    }
}

/// The sum of numbers, each with its unit behind it.
fn sum(text: &str, unit: impl Fn(&str) -> Option<f64>) -> Option<Duration> {
    let mut rest = text.trim();
    let mut sum = None;
    while !rest.is_empty() {
        let is_digit = |c: char| c.is_ascii_digit() || c == '.';
        let (amount, behind) = rest.split_at(rest.find(|c| !is_digit(c))?);
        let behind = behind.trim_start();
        let end = behind.find(|c: char| !c.is_ascii_alphabetic());
        let (name, behind) = behind.split_at(end.unwrap_or(behind.len()));
        let part = seconds(number(amount)? * unit(name)?)?;
        sum = Some(sum.unwrap_or(Duration::ZERO).checked_add(part)?);
        rest = behind.trim_start();
    }
    sum
}

/// In seconds.
fn unit(name: &str) -> Option<f64> {
    Some(match name {
        "us" => 1e-6,
        "ms" | "msec" | "millisecond" | "milliseconds" => 1e-3,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hour" | "hours" => 3_600.0,
        "d" | "day" | "days" => 86_400.0,
        _ => return None,
    })
}

/// A date in one of the three forms of RFC 9110 section 5.6.7, of RFC 5322 (`-0000`), or of ISO
/// 8601, where no offset means UTC, and a blank may stand for its `T`.
fn date(text: &str) -> Option<SystemTime> {
    let mail = || OffsetDateTime::parse(text, &Rfc2822).ok();
    httpdate::parse_http_date(text)
        .ok()
        .or_else(|| mail().map(SystemTime::from))
        .or_else(|| iso_date(text))
        .or_else(|| {
            let (day, time) = text.split_once(' ')?;
            iso_date(&format!("{day}T{}", time.trim()))
        })
}

fn iso_date(text: &str) -> Option<SystemTime> {
    let with_offset = OffsetDateTime::parse(text, &Iso8601::PARSING).ok();
    let local = || PrimitiveDateTime::parse(text, &Iso8601::PARSING).ok();
    let time = with_offset.or_else(|| local().map(PrimitiveDateTime::assume_utc));
    time.map(SystemTime::from)
}
