//! What changed the limiter's mind, to be reported.
//!
//! Pure.

use std::time::Duration;

use super::limit_test::Verdict;
use crate::clock::Moment;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// The server tells a limit for the window of this index that is not the configured one.
    Limit {
        window: usize,
        told: u64,
        adopted: bool,
    },
    Learned(Learned),
    Forgotten(Learned),
    /// The headers of these names said three times that nothing was left, and requests passed.
    Lies {
        names: String,
    },
    /// Nothing corroborates a pause until `told`: it is kept until `until`.
    PauseCapped {
        told: Moment,
        until: Moment,
    },
}

/// A learned window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Learned {
    pub(crate) limit: Option<u64>,
    pub(crate) length: Option<Duration>,
    /// The headers that tell it.
    pub(crate) names: String,
}

impl From<Verdict> for News {
    fn from(verdict: Verdict) -> Self {
        let (window, told, adopted) = match verdict {
            Verdict::Adopted { window, limit } => (window, limit, true),
            Verdict::Refuted { window, limit } => (window, limit, false),
        };
        Self::Limit {
            window,
            told,
            adopted,
        }
    }
}
