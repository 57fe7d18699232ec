//! What a response says about limits: header fields in, plain values out.
//!
//! These fields were standardized too late, so every server has its own: a reset may be seconds to
//! go, milliseconds to go, seconds since 1970 or a date (one vendor's own two documents disagree),
//! and the IETF's drafts differ from each other. All of it comes from outside: what cannot be
//! understood counts as absent, every span is bounded, and nothing here can panic.
//!
//! `report` reads an answer, family by family; `attribution` decides which configured window a
//! report belongs to, if any.

mod attribution;
mod fields;
mod policies;
pub(crate) mod report;
#[cfg(test)]
mod tests;

use std::time::Duration;

use http::HeaderMap;
use smallvec::SmallVec;

pub(crate) use self::attribution::Owner;
use self::attribution::attribute;
pub(crate) use self::fields::{Fields, RESET_GRAIN};
use self::report::Report;
use crate::clock::Now;

/// What a response says about one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) limit: Option<u64>,
    pub(crate) remaining: Option<u64>,
    /// How long until the window resets.
    pub(crate) reset: Option<Duration>,
}

/// All that a response tells a quota.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// One for each window, in order; none at all where the response tells nothing.
    pub(crate) readings: SmallVec<[Reading; 2]>,
    /// Each report, and what it speaks of.
    pub(crate) reports: SmallVec<[(Report, Owner); 2]>,
}

/// What these headers say about the windows of a quota, and beside them.
pub(crate) fn read(windows: &[Fields], headers: &HeaderMap, now: Now) -> Told {
    let mut told = Told::default();
    for report in report::reports(windows, headers, now) {
        let (owner, reset) = attribute(&report, windows);
        if let Owner::Window { index, adopts, .. } = owner {
            if told.readings.is_empty() {
                told.readings.resize(windows.len(), Reading::default());
            }
            if let (Some(known), Some(window)) = (told.readings.get_mut(index), windows.get(index))
            {
                known.merge(Reading {
                    limit: report
                        .limit
                        .filter(|limit| adopts || *limit == window.limit),
                    remaining: report.remaining,
                    reset: reset.map(|span| window.bounded(span)),
                });
            }
        }
        told.reports.push((report, owner));
    }
    told
}

impl Reading {
    /// Of two, the one with less left; of those, the one that resets later.
    fn merge(&mut self, other: Self) {
        let left = |reading: &Self| reading.remaining.unwrap_or(u64::MAX);
        let is_later = left(&other) == left(self) && other.reset > self.reset;
        if *self == Self::default() || left(&other) < left(self) || is_later {
            *self = other;
        }
    }
}
