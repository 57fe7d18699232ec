//! Which configured window a report speaks of.
//!
//! | the report                                                         | speaks of               |
//! |--------------------------------------------------------------------|-------------------------|
//! | in headers that a window names, its limit or one that no other has | that window; adopted    |
//! | tells a window's length                                            | that window; adopted    |
//! | tells a length that no window has                                  | a window to be learned  |
//! | a window's limit; of several, the shortest as long as the reset    | that window             |
//! | tells what remains                                                 | a window to be learned  |
//! | tells a limit alone                                                | it is not known: tested |
//!
//! "Adopted": the limit that it tells is proof enough to change the configured one.
//!
//! The first row is no proof where two windows name the same headers, nor of another limit that is
//! told with another length: Envoy lists all of its policies under one name.
//!
//! Each row of a window also asks whether the reset fits: one of up to an hour may be a sliding
//! counter's, which forgets all only after two lengths; any other's is at most one length off.
//! Attribution by the mere place of a header is what stopped crawls: a gateway's 20 in 2 s, taken
//! for a limit of 20 a day.
//!
//! Pure.

use std::time::Duration;

use http::HeaderName;

use super::fields::{Fields, LONGEST_COUNTER};
use super::report::{FamilyName, Report};

/// What a report speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// This window.
    Window {
        index: usize,
        /// Whether its limit is proof enough to change the configured one.
        adopts: bool,
        /// Whether it is weighed as evidence beside the window's own count.
        is_weighed: bool,
    },
    /// A window that is not configured.
    Learned,
    /// It tells a limit, and nothing of whose it is.
    LimitAlone,
    /// A reset alone, or a limit of a length that no window has.
    Nothing,
}

impl Owner {
    /// Whether the report is weighed as evidence.
    pub(crate) fn is_weighed(self) -> bool {
        match self {
            Self::Learned => true,
            Self::Window { is_weighed, .. } => is_weighed,
            Self::LimitAlone | Self::Nothing => false,
        }
    }
}

/// What this report speaks of, and its reset as that window means it.
pub(super) fn attribute(report: &Report, windows: &[Fields]) -> (Owner, Option<Duration>) {
    let found = match report.family {
        FamilyName::Named(index) => of_the_named(report, index, windows),
        _ => of_its_length(report, windows).or_else(|| of_its_limit(report, windows)),
    };
    match found {
        Some((index, adopts, reset)) => {
            let of_its_kind = windows.get(index).is_some_and(Fields::is_weighed);
            let is_weighed = of_its_kind && report.remaining.is_some();
            let owner = Owner::Window {
                index,
                adopts,
                is_weighed,
            };
            (owner, reset)
        }
        None if report.remaining.is_some() => (Owner::Learned, report.reset),
        // That of another length is no window's.
        None if report.limit.is_some() && report.length.is_none() => {
            (Owner::LimitAlone, report.reset)
        }
        None => (Owner::Nothing, report.reset),
    }
}

type Found = Option<(usize, bool, Option<Duration>)>;

fn of_the_named(report: &Report, index: usize, windows: &[Fields]) -> Found {
    let window = windows.get(index)?;
    if !window.may_own(report, index, windows) {
        return of_its_length(report, windows).or_else(|| of_its_limit(report, windows));
    }
    let reset = window.reset_of(report)?;
    Some((index, true, reset))
}

/// Of several, the one of its limit; else it counts requests.
fn of_its_length(report: &Report, windows: &[Fields]) -> Found {
    let told = report.length?;
    let of_length = windows.iter().enumerate().filter_map(|(index, window)| {
        let is_of_another_limit = report.limit != Some(window.limit);
        let may_be_its = !is_of_another_limit || window.counts_requests;
        let rank = (is_of_another_limit, !window.counts_requests);
        (may_be_its && window.has_length(told)).then_some((rank, index, window))
    });
    let (_, index, window) = of_length.min_by_key(|(rank, ..)| *rank)?;
    let reset = window.reset_of(report)?;
    Some((index, true, reset))
}

fn of_its_limit(report: &Report, windows: &[Fields]) -> Found {
    if report.length.is_some() {
        return None;
    }
    let limit = report.limit?;
    let fitting = windows.iter().enumerate().filter_map(|(index, window)| {
        let reset = window.reset_of(report).filter(|_| window.limit == limit)?;
        let is_shorter = reset.is_some_and(|reset| window.length < reset);
        let is_thousandth = reset != report.reset;
        let rank = (
            is_thousandth,
            is_shorter,
            window.length,
            !window.counts_requests,
        );
        Some((rank, index, reset))
    });
    let (_, index, reset) = fitting.min_by_key(|(rank, ..)| *rank)?;
    Some((index, false, reset))
}

impl Fields {
    /// Whether a report in the headers that this window names can be its own.
    fn may_own(&self, report: &Report, index: usize, windows: &[Self]) -> bool {
        if report.limit == Some(self.limit) {
            return true;
        }
        let mut others = (windows.iter().enumerate()).filter(|(other, _)| *other != index);
        let has_its_length = report.length.is_none_or(|told| self.has_length(told));
        has_its_length
            && !others.any(|(_, other)| {
                // A higher one may be a raise, where the other has headers of its own.
                let is_of_its_limit =
                    report.limit == Some(other.limit) && (other.limit < self.limit || !other.named);
                is_of_its_limit || self.names_as(other)
            })
    }

    /// Whether a header is named by both.
    fn names_as(&self, other: &Self) -> bool {
        let (own, others) = (&self.names, &other.names);
        let is_same =
            |one: &Option<HeaderName>, other: &Option<HeaderName>| one.is_some() && one == other;
        is_same(&own.limit, &others.limit) || is_same(&own.remaining, &others.remaining)
    }

    /// Whole seconds are told.
    fn has_length(&self, told: Duration) -> bool {
        let rounded_up = |length: Duration| {
            let begun = u64::from(length.subsec_nanos() > 0);
            length.as_secs().saturating_add(begun)
        };
        let lengths = rounded_up(self.shortest)..=rounded_up(self.length);
        lengths.contains(&told.as_secs())
    }

    /// Of a rolling window beyond an hour nothing is learned that its own count needs: a counter of
    /// a day told what was left, and a client that did not listen used 0.2 of it.
    fn is_weighed(&self) -> bool {
        !self.is_calendar && self.length > LONGEST_COUNTER
    }

    /// The report's reset as this window's would be meant, if it can be this window's at all: a
    /// number too large for seconds may be milliseconds.
    fn reset_of(&self, report: &Report) -> Option<Option<Duration>> {
        let Some(reset) = report.reset else {
            return Some(None);
        };
        let read = [Some(reset), report.reset_is_bare.then(|| reset / 1_000)];
        let fits = |span: &Duration| *span <= self.longest_reset();
        read.into_iter().flatten().find(fits).map(Some)
    }
}

#[cfg(test)]
mod tests;
