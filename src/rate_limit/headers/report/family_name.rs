//! The name of a family: which header fields belong together.
//!
//! Pure.

use std::fmt;
use std::time::Duration;

use super::super::policies::Policy;
use crate::printable::one_line;

/// A longer name of a policy is cut; drafts and servers have a few words.
const LONGEST_NAME: usize = 64;

/// Header fields that report on one thing together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FamilyName {
    /// Those that the window of this index names.
    Named(usize),
    /// `X-RateLimit-Limit` and the like, and the policies without a name.
    Usual(Prefix),
    /// `X-RateLimit-Limit-Minute` and the like, which tell the length.
    UsualOf(Prefix, Unit),
    /// A policy of the IETF's drafts 08 and later, and whose part of it.
    Policy {
        name: Box<str>,
        partition: Option<Box<[u8]>>,
    },
    /// One of a list: `X-RateLimit-Limit: name=hourly,100; name=daily,1000;`.
    Listed { prefix: Prefix, name: Box<str> },
}

/// How the usual names begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Prefix {
    Ietf,
    Rate,
    HyphenatedRate,
    Burst,
}

/// What a name ends in that tells a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Month,
}

impl FamilyName {
    pub(super) fn listed(prefix: Prefix, name: &str) -> Self {
        let name = cut(name);
        Self::Listed { prefix, name }
    }

    pub(super) fn of_policy(prefix: Prefix, policy: &Policy<'_>) -> Self {
        match &policy.name {
            None => Self::Usual(prefix),
            Some(name) => Self::Policy {
                name: cut(name),
                partition: policy.partition.as_deref().map(|partition| {
                    let end = partition.len().min(LONGEST_NAME);
                    partition.get(..end).unwrap_or_default().into()
                }),
            },
        }
    }
}

fn cut(name: &str) -> Box<str> {
    match name.char_indices().nth(LONGEST_NAME) {
        Some((end, _)) => name.get(..end).unwrap_or_default().into(),
        None => name.into(),
    }
}

impl Prefix {
    /// The usual beginning of a name in lower case, and the rest of it.
    pub(super) fn of(name: &str) -> Option<(Self, &str)> {
        // Almost all names end here.
        if !name.starts_with(['r', 'x']) {
            return None;
        }
        let all = [Self::Ietf, Self::Rate, Self::HyphenatedRate, Self::Burst];
        all.into_iter()
            .find_map(|prefix| Some((prefix, name.strip_prefix(prefix.lower_case())?)))
    }

    const fn lower_case(self) -> &'static str {
        match self {
            Self::Ietf => "ratelimit",
            Self::Rate => "x-ratelimit",
            Self::HyphenatedRate => "x-rate-limit",
            Self::Burst => "x-burstlimit",
        }
    }
}

impl Unit {
    /// What the name ends in, in lower case.
    pub(super) fn of(suffix: &str) -> Option<Self> {
        match suffix {
            "second" => Some(Self::Second),
            "minute" => Some(Self::Minute),
            "hour" => Some(Self::Hour),
            "day" => Some(Self::Day),
            "month" => Some(Self::Month),
            _ => None,
        }
    }

    /// Of a month, the longest.
    pub(super) const fn length(self) -> Duration {
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
            Self::Month => 31 * 86_400,
        })
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ietf => "RateLimit",
            Self::Rate => "X-RateLimit",
            Self::HyphenatedRate => "X-Rate-Limit",
            Self::Burst => "X-BurstLimit",
        })
    }
}

impl fmt::Display for FamilyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(index) => write!(f, "the headers named for window {}", index + 1),
            Self::Usual(prefix) => write!(f, "{prefix}-*"),
            Self::UsualOf(prefix, unit) => write!(f, "{prefix}-*-{unit:?}"),
            Self::Policy { name, partition } => {
                write!(f, "RateLimit \"{}\"", one_line(name))?;
                match partition {
                    Some(partition) => write!(
                        f,
                        " of {}",
                        String::from_utf8_lossy(partition).escape_default()
                    ),
                    None => Ok(()),
                }
            }
            Self::Listed { prefix, name } => write!(f, "{prefix}-* \"{}\"", one_line(name)),
        }
    }
}
