//! How the sandbox speaks of its quotas: which headers, when, and in which unit.
//!
//! DigiKey's documents disagree with each other, so both readings are here. The shortest window is
//! the burst limit, the longest the day's; a window between the two is enforced, but no header
//! tells of it.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};

use super::calendar::{iso8601, unix_seconds, whole_seconds};
use super::quota::{Standing, Verdict};
use crate::error::Error;
use crate::rate_limit::{ResetUnit, Window};

const BURST_LIMIT: HeaderName = HeaderName::from_static("x-burstlimit-limit");
const BURST_REMAINING: HeaderName = HeaderName::from_static("x-burstlimit-remaining");
const BURST_RESET: HeaderName = HeaderName::from_static("x-burstlimit-reset");
const BURST_RESET_TIME: HeaderName = HeaderName::from_static("x-burstlimit-resettime");
const DAY_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const DAY_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const DAY_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const DAY_RESET_TIME: HeaderName = HeaderName::from_static("x-ratelimit-resettime");

/// Which headers tell of the quotas.
///
/// As text: `digikey`, `source-document`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// As DigiKey's own pages have it: `X-RateLimit-Limit` and `-Remaining` (the day) on every
    /// response. A 429 has `Retry-After` and, of the window that refused, the limit, what remains,
    /// the seconds until it resets (`-Reset`) and that moment in ISO 8601 (`-ResetTime`), as
    /// `X-BurstLimit-*` or `X-RateLimit-*`.
    #[default]
    DigiKey,
    /// As another description of the same API has it: limit, remaining and reset of both windows on
    /// every response, `X-RateLimit-Reset` as a Unix timestamp, `X-BurstLimit-Reset` in seconds to
    /// go; `Retry-After` on a 429.
    SourceDocument,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::DigiKey => "digikey",
            Self::SourceDocument => "source-document",
        })
    }
}

impl FromStr for Dialect {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), with the names that there are.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "digikey" => Ok(Self::DigiKey),
            "source-document" => Ok(Self::SourceDocument),
            _ => Err(Error::config(format!(
                "{text:?} is not a dialect: expected digikey or source-document"
            ))),
        }
    }
}

/// What a window is called in headers and messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Burst,
    Day,
    Between,
}

impl Role {
    /// The role of the window with this index of `count`, shortest first.
    pub(super) fn of(index: usize, count: usize) -> Self {
        match index {
            0 => Self::Burst,
            _ if index + 1 == count => Self::Day,
            _ => Self::Between,
        }
    }
}

impl Dialect {
    /// The window as a client configures it that has read this dialect's documentation.
    pub(super) fn describe(self, window: Window, role: Role) -> Window {
        match role {
            Role::Between => window,
            Role::Burst => window
                .limit_header(BURST_LIMIT.as_str())
                .remaining_header(BURST_REMAINING.as_str())
                .reset_header(BURST_RESET.as_str())
                .reset_time_header(BURST_RESET_TIME.as_str())
                .reset_unit(ResetUnit::Seconds),
            Role::Day => window
                .limit_header(DAY_LIMIT.as_str())
                .remaining_header(DAY_REMAINING.as_str())
                .reset_header(DAY_RESET.as_str())
                .reset_time_header(DAY_RESET_TIME.as_str())
                .reset_unit(match self {
                    Self::DigiKey => ResetUnit::Seconds,
                    Self::SourceDocument => ResetUnit::UnixSeconds,
                }),
        }
    }

    /// The headers of a response to which the quota said `verdict` at `now`.
    pub(super) fn headers(self, verdict: &Verdict, now: SystemTime) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(refusal) = verdict.refusal {
            headers.insert(RETRY_AFTER, whole_seconds(refusal.retry_after).into());
        }
        let count = verdict.windows.len();
        for (index, standing) in verdict.windows.iter().enumerate() {
            let refuses = verdict.refusal.is_some_and(|it| it.window == index);
            let role = Role::of(index, count);
            match self {
                Self::DigiKey => digikey(&mut headers, role, standing, refuses, now),
                Self::SourceDocument => source_document(&mut headers, role, standing, now),
            }
        }
        headers
    }
}

fn digikey(
    headers: &mut HeaderMap,
    role: Role,
    standing: &Standing,
    refuses: bool,
    now: SystemTime,
) {
    let reset_time = || text(&iso8601(later(now, standing.reset)));
    match role {
        Role::Burst if refuses => {
            headers.insert(BURST_LIMIT, standing.limit.into());
            headers.insert(BURST_REMAINING, standing.remaining.into());
            headers.insert(BURST_RESET, whole_seconds(standing.reset).into());
            headers.insert(BURST_RESET_TIME, reset_time());
        }
        Role::Day => {
            headers.insert(DAY_LIMIT, standing.limit.into());
            headers.insert(DAY_REMAINING, standing.remaining.into());
            if refuses {
                headers.insert(DAY_RESET, whole_seconds(standing.reset).into());
                headers.insert(DAY_RESET_TIME, reset_time());
            }
        }
        Role::Burst | Role::Between => {}
    }
}

fn source_document(headers: &mut HeaderMap, role: Role, standing: &Standing, now: SystemTime) {
    match role {
        Role::Burst => {
            headers.insert(BURST_LIMIT, standing.limit.into());
            headers.insert(BURST_REMAINING, standing.remaining.into());
            headers.insert(BURST_RESET, whole_seconds(standing.reset).into());
        }
        Role::Day => {
            headers.insert(DAY_LIMIT, standing.limit.into());
            headers.insert(DAY_REMAINING, standing.remaining.into());
            let reset = unix_seconds(later(now, standing.reset));
            headers.insert(DAY_RESET, reset.into());
        }
        Role::Between => {}
    }
}

fn later(now: SystemTime, span: Duration) -> SystemTime {
    now.checked_add(span).unwrap_or(now)
}

/// A header value of visible ASCII, which dates are.
fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::quota::Refusal;
    use smallvec::smallvec;

    // 2026-11-21T02:04:19.5Z
    const NOW: Duration = Duration::from_millis(1_795_226_659_500);

    fn verdict(refused_by: Option<usize>) -> Verdict {
        Verdict {
            windows: smallvec![
                Standing {
                    limit: 120,
                    remaining: 0,
                    reset: Duration::from_millis(2_100),
                },
                Standing {
                    limit: 1_000,
                    remaining: 880,
                    reset: Duration::from_secs(3_600),
                },
            ],
            refusal: refused_by.map(|window| Refusal {
                window,
                retry_after: Duration::from_millis(1_001),
            }),
        }
    }

    /// Sorted `name: value` lines.
    fn spoken(dialect: Dialect, refused_by: Option<usize>) -> Vec<String> {
        let headers = dialect.headers(&verdict(refused_by), SystemTime::UNIX_EPOCH + NOW);
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}: {}", value.to_str().expect("text"))
        };
        let mut lines: Vec<_> = headers.iter().map(line).collect();
        lines.sort();
        lines
    }

    #[test]
    fn digikey_tells_the_day_and_nothing_else_when_it_accepts() {
        let expected = ["x-ratelimit-limit: 1000", "x-ratelimit-remaining: 880"];
        assert_eq!(spoken(Dialect::DigiKey, None), expected);
    }

    #[test]
    fn digikey_tells_a_spent_burst_in_seconds_rounded_up_and_as_a_date() {
        let expected = [
            "retry-after: 2",
            "x-burstlimit-limit: 120",
            "x-burstlimit-remaining: 0",
            "x-burstlimit-reset: 3",
            "x-burstlimit-resettime: 2026-11-21T02:04:22Z",
            "x-ratelimit-limit: 1000",
            "x-ratelimit-remaining: 880",
        ];
        assert_eq!(spoken(Dialect::DigiKey, Some(0)), expected);
    }

    #[test]
    fn digikey_tells_a_spent_day_in_seconds_and_as_a_date() {
        let expected = [
            "retry-after: 2",
            "x-ratelimit-limit: 1000",
            "x-ratelimit-remaining: 880",
            "x-ratelimit-reset: 3600",
            "x-ratelimit-resettime: 2026-11-21T03:04:20Z",
        ];
        assert_eq!(spoken(Dialect::DigiKey, Some(1)), expected);
    }

    #[test]
    fn the_source_document_tells_everything_always_and_the_day_as_a_timestamp() {
        let mut expected = vec![
            "x-burstlimit-limit: 120",
            "x-burstlimit-remaining: 0",
            "x-burstlimit-reset: 3",
            "x-ratelimit-limit: 1000",
            "x-ratelimit-remaining: 880",
            "x-ratelimit-reset: 1795230260",
        ];
        assert_eq!(spoken(Dialect::SourceDocument, None), expected);
        expected.insert(0, "retry-after: 2");
        assert_eq!(spoken(Dialect::SourceDocument, Some(0)), expected);
    }

    #[test]
    fn a_window_between_the_shortest_and_the_longest_has_no_header() {
        assert_eq!(Role::of(0, 1), Role::Burst);
        assert_eq!(Role::of(1, 3), Role::Between);
        assert_eq!(Role::of(2, 3), Role::Day);
    }

    #[test]
    fn a_dialect_reads_as_it_is_written() {
        for dialect in [Dialect::DigiKey, Dialect::SourceDocument] {
            assert_eq!(dialect.to_string().parse::<Dialect>().ok(), Some(dialect));
        }
        "klingon".parse::<Dialect>().expect_err("no such thing");
    }
}
