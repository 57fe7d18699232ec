//! Windows as text: `LIMIT/LENGTH`.
//!
//! Pure.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{DAY, HOUR, MINUTE, Offset, Period, SECOND, Span, Window};
use crate::error::Error;

impl FromStr for Window {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), with the text and what was expected.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::config(format!(
                "{text:?} is not a window: expected LIMIT/LENGTH with a LENGTH such as s, min, h, \
                 day, 500ms, 12h, utc-day, utc-month, day-06:00 or month+05:30 (up to 14:00)"
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
                .map(Span::Rolling)
                .or_else(|| parse_local(other).map(Span::Calendar))
                .map(|span| Self::with_span(limit, span))
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

/// A calendar period by a clock other than UTC: `day+05:30`, `month-06:00`.
fn parse_local(text: &str) -> Option<Period> {
    let offset_of = |period| text.strip_prefix(period).and_then(Offset::parse);
    let day = offset_of("day").map(Period::Day);
    day.or_else(|| offset_of("month").map(Period::Month))
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.limit, self.span)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = match self {
            Self::Calendar(Period::Day(Offset::UTC)) => return f.write_str("utc-day"),
            Self::Calendar(Period::Month(Offset::UTC)) => return f.write_str("utc-month"),
            Self::Calendar(Period::Day(offset)) => return write!(f, "day{offset}"),
            Self::Calendar(Period::Month(offset)) => return write!(f, "month{offset}"),
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
