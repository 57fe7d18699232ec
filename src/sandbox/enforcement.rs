//! The choice of how a window is counted.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use super::meter::{FixedWindow, Meter, SlidingCounter, SlidingLog, TokenBucket};
use crate::error::Error;
use crate::rate_limit::Window;
use crate::rate_limit::window::Span;

/// How a server counts the requests of a window.
///
/// As text: `fixed-window`, `sliding-log`, `sliding-counter`, `token-bucket`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Enforcement {
    /// One count per period, back to zero at each boundary; the boundaries lie anywhere. Up to
    /// twice the limit can pass around a boundary.
    #[default]
    FixedWindow,
    /// The time of every request is kept: never more than the limit in any span of the window's
    /// length.
    SlidingLog,
    /// The count of this period, plus the last period's by the share of it that the window still
    /// covers. It takes the last period's requests for evenly spread, and so also refuses a client
    /// that never exceeded the limit in any span.
    SlidingCounter,
    /// As many tokens as the limit, which come back evenly over the window's length.
    TokenBucket,
}

const NAMES: [(Enforcement, &str); 4] = [
    (Enforcement::FixedWindow, "fixed-window"),
    (Enforcement::SlidingLog, "sliding-log"),
    (Enforcement::SlidingCounter, "sliding-counter"),
    (Enforcement::TokenBucket, "token-bucket"),
];

impl fmt::Display for Enforcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(this, _)| this == self);
        f.pad(name.map_or("", |(_, name)| name))
    }
}

impl FromStr for Enforcement {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), with the names that there are.
    fn from_str(text: &str) -> Result<Self, Error> {
        let found = NAMES.iter().find(|(_, name)| *name == text);
        found.map(|(this, _)| *this).ok_or_else(|| {
            Error::config(format!(
                "{text:?} is not an enforcement: expected fixed-window, sliding-log, \
                 sliding-counter or token-bucket"
            ))
        })
    }
}

impl Enforcement {
    /// What counts this window; a calendar window is a fixed one whatever was chosen.
    pub(super) fn meter(
        self,
        window: &Window,
        start: SystemTime,
        random: &mut fastrand::Rng,
    ) -> Box<dyn Meter> {
        let (limit, length) = (window.limit(), window.length().as_nanos());
        if let Span::Calendar(period) = window.span {
            let ahead = period.ends_after(start).duration_since(start);
            let first_end = ahead.unwrap_or_default().as_nanos();
            return Box::new(FixedWindow::new(limit, length, first_end));
        }
        // The first boundary lies anywhere, and never at the start itself.
        let first_end = random.u128(1..=length.max(1));
        match self {
            Self::FixedWindow => Box::new(FixedWindow::new(limit, length, first_end)),
            Self::SlidingLog => Box::new(SlidingLog::new(limit, length)),
            Self::SlidingCounter => Box::new(SlidingCounter::new(limit, length, first_end)),
            Self::TokenBucket => Box::new(TokenBucket::new(limit, length)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enforcement_reads_as_it_is_written() {
        for (enforcement, name) in NAMES {
            assert_eq!(enforcement.to_string(), name);
            assert_eq!(name.parse::<Enforcement>().ok(), Some(enforcement));
        }
        let error = "leaky".parse::<Enforcement>().expect_err("no such thing");
        assert!(error.to_string().contains("token-bucket"), "{error}");
    }
}
