//! What can be made to go wrong, and how a command line writes it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::text::{parse_span, write_span};
use crate::error::Error;

/// Something that goes wrong on demand ([`Sandbox::inject`](super::Sandbox::inject)).
///
/// As text it is `NAME` or `NAME=ARGUMENT`; each variant says its own. Several faults can be active
/// at once: a request meets the one that was injected first, and the next one once that is used up.
///
/// ```
/// use reqwest_tollgate::sandbox::{Dose, Fault};
///
/// let fault: Fault = "server-error=2%".parse()?;
/// assert_eq!(fault, Fault::ServerError(Dose::Ratio(0.02)));
/// assert_eq!(fault.to_string(), "server-error=2%");
/// # Ok::<(), reqwest_tollgate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// The token endpoint answers 503, without `Retry-After`. `token-down=3s` or `token-down=2`
    /// (requests).
    TokenDown(Outage),
    /// The token endpoint takes so much longer, for each request until
    /// [`clear_faults`](super::Sandbox::clear_faults). `token-slow=800ms`.
    TokenSlow(Duration),
    /// The next so many token requests get a 200 with an HTML page, as a captive portal sends.
    /// `token-html=2`.
    TokenHtml(u64),
    /// The next so many token requests act (a refresh token is spent, tokens are issued), but the
    /// connection closes without an answer. `token-lost=1`.
    TokenLost(u64),
    /// The next token requests get a 429 with `Retry-After`. `token-throttled=2s` (one request) or
    /// `token-throttled=3x2s` (three).
    TokenThrottled {
        /// How many.
        requests: u64,
        /// Sent in whole seconds, rounded up.
        retry_after: Duration,
    },
    /// API requests are refused as with an expired token or a bad key, though theirs is good: with
    /// a 401, or as the vendor's [`Manners`](super::Manners) have it. The quota does not count
    /// them. `unauthorized=5` (the next five), `unauthorized=every-10`, `unauthorized=1%`.
    Unauthorized(Dose),
    /// The next so many API requests are refused for what stands beside the token, as that of a
    /// client that did not subscribe to the API: no new token helps. Where the vendor has no words
    /// of its own for it, it says what it says of a bad token. The quota does not count them.
    /// `not-subscribed=1`.
    NotSubscribed(u64),
    /// API requests that the quota accepted get a 500. `server-error=5`, `server-error=every-10`,
    /// `server-error=2%`.
    ServerError(Dose),
    /// API requests that the quota accepted get no answer: their connection closes. `reset=5`,
    /// `reset=every-10`, `reset=2%`.
    Reset(Dose),
    /// The next API requests that the quota accepted wait so much longer for their answer.
    /// `hang=30s` (one request) or `hang=3x30s`.
    Hang {
        /// How many.
        requests: u64,
        /// How long.
        span: Duration,
    },
    /// The next so many API requests are told that they come too fast, which no quota asked for:
    /// with a 429, `Retry-After: 1` and no other header of a limit, or as the vendor's
    /// [`Manners`](super::Manners) have it, with a second to go. The quota does not count them.
    /// `rate-limited=1`.
    RateLimited(u64),
    /// The next so many API requests are told that the longest window is spent, with an hour to go
    /// where the vendor's words tell a time; the quota does not count them. `quota-spent=1`.
    QuotaSpent(u64),
}

/// How long the token endpoint is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outage {
    /// For the next so many requests. As text: `2`.
    Requests(u64),
    /// For so long, from its injection. As text: `3s`.
    Span(Duration),
}

/// Which requests a fault meets.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Dose {
    /// The next so many. As text: `5`.
    Next(u64),
    /// Every nth, until the faults are cleared; 0 is none. As text: `every-10`.
    Every(u64),
    /// Each by chance, from 0 (none) to 1 (all), until the faults are cleared. As text: `2%`.
    Ratio(f64),
}

impl FromStr for Fault {
    type Err = Error;

    /// An argument may be left out where "once" makes sense of it.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), with the text and what was expected.
    fn from_str(text: &str) -> Result<Self, Error> {
        let (name, argument) = match text.split_once('=') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        let once = argument.unwrap_or("1");
        Ok(match name {
            "token-down" => Self::TokenDown(once.parse()?),
            "token-slow" => Self::TokenSlow(parse_span(required(text, argument)?)?),
            "token-html" => Self::TokenHtml(parse_count(once)?),
            "token-lost" => Self::TokenLost(parse_count(once)?),
            "token-throttled" => {
                let (requests, retry_after) = parse_times(required(text, argument)?)?;
                Self::TokenThrottled {
                    requests,
                    retry_after,
                }
            }
            "unauthorized" => Self::Unauthorized(once.parse()?),
            "not-subscribed" => Self::NotSubscribed(parse_count(once)?),
            "server-error" => Self::ServerError(once.parse()?),
            "reset" => Self::Reset(once.parse()?),
            "hang" => {
                let (requests, span) = parse_times(required(text, argument)?)?;
                Self::Hang { requests, span }
            }
            "rate-limited" => Self::RateLimited(parse_count(once)?),
            "quota-spent" => Self::QuotaSpent(parse_count(once)?),
            _ => return Err(unknown(name)),
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TokenDown(outage) => write!(f, "token-down={outage}"),
            Self::TokenSlow(span) => write!(f, "token-slow={}", write_span(*span)),
            Self::TokenHtml(requests) => write!(f, "token-html={requests}"),
            Self::TokenLost(requests) => write!(f, "token-lost={requests}"),
            Self::TokenThrottled {
                requests,
                retry_after,
            } => write!(f, "token-throttled={requests}x{}", write_span(*retry_after)),
            Self::Unauthorized(dose) => write!(f, "unauthorized={dose}"),
            Self::NotSubscribed(requests) => write!(f, "not-subscribed={requests}"),
            Self::ServerError(dose) => write!(f, "server-error={dose}"),
            Self::Reset(dose) => write!(f, "reset={dose}"),
            Self::Hang { requests, span } => write!(f, "hang={requests}x{}", write_span(*span)),
            Self::RateLimited(requests) => write!(f, "rate-limited={requests}"),
            Self::QuotaSpent(requests) => write!(f, "quota-spent={requests}"),
        }
    }
}

impl FromStr for Outage {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), with the text and what was expected.
    fn from_str(text: &str) -> Result<Self, Error> {
        match parse_count(text) {
            Ok(requests) => Ok(Self::Requests(requests)),
            Err(_) => parse_span(text).map(Self::Span),
        }
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests(requests) => write!(f, "{requests}"),
            Self::Span(span) => f.write_str(&write_span(*span)),
        }
    }
}

impl FromStr for Dose {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), with the text and what was expected.
    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some(every) = text.strip_prefix("every-") {
            return parse_count(every).map(Self::Every);
        }
        let Some(percent) = text.strip_suffix('%') else {
            return parse_count(text).map(Self::Next);
        };
        let percent = percent.parse::<f64>().ok();
        percent
            .filter(|percent| (0.0..=100.0).contains(percent))
            .map(|percent| Self::Ratio(percent / 100.0))
            .ok_or_else(|| Error::config(format!("{text:?} is not a share: expected 0% to 100%")))
    }
}

impl fmt::Display for Dose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Next(requests) => write!(f, "{requests}"),
            Self::Every(every) => write!(f, "every-{every}"),
            // 0.07 times 100 is 7.000000000000001.
            Self::Ratio(ratio) => write!(f, "{}%", (ratio * 1e8).round() / 1e6),
        }
    }
}

fn required<'a>(fault: &str, argument: Option<&'a str>) -> Result<&'a str, Error> {
    argument.ok_or_else(|| Error::config(format!("{fault:?} needs a span, as in {fault}=2s")))
}

fn parse_count(text: &str) -> Result<u64, Error> {
    let count = text.parse().ok().filter(|_| !text.starts_with('+'));
    count.ok_or_else(|| Error::config(format!("{text:?} is not a number of requests")))
}

/// `2s` is once two seconds, `3x2s` three times.
fn parse_times(text: &str) -> Result<(u64, Duration), Error> {
    match text.split_once('x') {
        Some((times, span)) => Ok((parse_count(times)?, parse_span(span)?)),
        None => Ok((1, parse_span(text)?)),
    }
}

fn unknown(name: &str) -> Error {
    Error::config(format!(
        "{name:?} is not a fault: expected token-down, token-slow, token-html, token-lost, \
         token-throttled, unauthorized, not-subscribed, server-error, reset, hang, rate-limited or \
         quota-spent"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_reads_as_it_is_written() {
        for text in [
            "token-down=3s",
            "token-down=2",
            "token-slow=800ms",
            "token-html=2",
            "token-lost=1",
            "token-throttled=3x2s",
            "unauthorized=every-10",
            "not-subscribed=1",
            "server-error=7%",
            "reset=5",
            "hang=1x30s",
            "rate-limited=4",
            "quota-spent=2",
        ] {
            let fault: Fault = text.parse().expect(text);
            assert_eq!(fault.to_string(), text);
        }
    }

    #[test]
    fn a_name_alone_means_once() {
        for name in [
            "token-down",
            "token-html",
            "token-lost",
            "unauthorized",
            "not-subscribed",
            "server-error",
            "reset",
            "rate-limited",
            "quota-spent",
        ] {
            let fault: Fault = name.parse().expect(name);
            assert_eq!(fault.to_string(), format!("{name}=1"));
        }
    }

    #[test]
    fn nonsense_is_refused_with_what_was_expected() {
        let expected = [
            ("tokendown", "expected token-down"),
            ("token-slow", "token-slow=2s"),
            ("token-slow=soon", "500ms"),
            ("reset=-1", "number of requests"),
            ("reset=+1", "number of requests"),
            ("reset=101%", "0% to 100%"),
            ("reset=NaN%", "0% to 100%"),
            ("hang=3x", "span of time"),
        ];
        for (text, hint) in expected {
            let error = text.parse::<Fault>().expect_err(text).to_string();
            assert!(error.contains(hint), "{error}");
        }
    }
}
