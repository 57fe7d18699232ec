//! Spans and ranges as command lines write them.

use std::ops::Range;
use std::time::Duration;

use crate::error::Error;
use crate::rate_limit::window::parse_length;

/// Reads a span of time such as `500ms`, `5s`, `10min`, `12h` or `0`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config), with the text.
pub fn parse_span(text: &str) -> Result<Duration, Error> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    if !digits.is_empty() && digits.bytes().all(|digit| digit == b'0') {
        return Ok(Duration::ZERO);
    }
    let number_first = text.starts_with(|c: char| c.is_ascii_digit());
    parse_length(text).filter(|_| number_first).ok_or_else(|| {
        Error::config(format!(
            "{text:?} is not a span of time: expected a number with its unit, such as 500ms or 5s"
        ))
    })
}

/// Reads a range of spans such as `5ms..40ms`, for [`SandboxBuilder::latency`]; a lone span means
/// always so long.
///
/// [`SandboxBuilder::latency`]: super::SandboxBuilder::latency
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config), with the text.
pub fn parse_range(text: &str) -> Result<Range<Duration>, Error> {
    let (start, end) = text.split_once("..").unwrap_or((text, text));
    Ok(parse_span(start)?..parse_span(end)?)
}

/// A span as [`parse_span`] reads it, in its largest whole unit.
pub(super) fn write_span(span: Duration) -> String {
    let millis = span.as_millis();
    match millis % 1000 {
        0 => format!("{}s", millis / 1000),
        _ => format!("{millis}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_ranges_are_read_with_their_units() {
        let millis = Duration::from_millis;
        assert_eq!(parse_span("0").ok(), Some(Duration::ZERO));
        assert_eq!(parse_span("0ms").ok(), Some(Duration::ZERO));
        assert_eq!(parse_span("2s").ok(), Some(millis(2_000)));
        assert_eq!(parse_range("5ms..40ms").ok(), Some(millis(5)..millis(40)));
        assert_eq!(parse_range("0..1s").ok(), Some(millis(0)..millis(1_000)));
        assert_eq!(parse_range("7ms").ok(), Some(millis(7)..millis(7)));
    }

    #[test]
    fn a_span_without_a_number_or_a_unit_is_refused() {
        for text in ["", "5", "s", "-5s", "5 s", "5parsec", "..", "1s..", "0..x"] {
            parse_range(text).expect_err(text);
        }
    }

    #[test]
    fn a_span_reads_as_it_is_written() {
        for text in ["0s", "1500ms", "3s", "3600s"] {
            assert_eq!(parse_span(text).map(write_span).ok().as_deref(), Some(text));
        }
    }
}
