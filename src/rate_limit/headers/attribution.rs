//! Which configured window a report speaks of.
//!
//! | the report                                                   | speaks of                        |
//! |---------------------------------------------------------------|----------------------------------|
//! | in the headers that a window names, of its limit or a lower one that is no sibling's | that window; the limit is adopted |
//! | tells a window's length                                        | that window; the limit is adopted |
//! | tells a length that no window has                              | a window that is learned          |
//! | of a window's limit; of several, the shortest as long as its reset | that window                   |
//! | tells what remains                                             | a window that is learned          |
//! | tells a limit alone                                            | it is not known: it is tested     |
//!
//! Each row of a window also asks whether the reset fits: one of up to an hour may be a sliding
//! counter's, which forgets all only after two lengths; any other's is at most one length off.
//! Attribution by the mere place of a header is what stopped crawls: a gateway's 20 in 2 s, taken
//! for a limit of 20 a day.
//!
//! Pure.

use std::time::Duration;

use super::Fields;
use super::report::{FamilyName, Report};

/// What a report speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// This window; whether its limit is proof enough to change the configured one.
    Window { index: usize, adopts: bool },
    /// A window that is not configured.
    Learned,
    /// It tells a limit, and nothing of whose it is.
    LimitAlone,
    /// Of a window whose own headers say it better, or of none.
    Nothing,
}

/// What this report speaks of, and its reset as that window means it.
pub(super) fn attribute(report: &Report, windows: &[Fields]) -> (Owner, Option<Duration>) {
    let found = match report.family {
        FamilyName::Named(index) => of_the_named(report, index, windows),
        _ => of_its_length(report, windows).or_else(|| of_its_limit(report, windows)),
    };
    match found {
        Some((index, adopts, reset)) => (Owner::Window { index, adopts }, reset),
        None if report.remaining.is_some() => (Owner::Learned, report.reset),
        None if report.limit.is_some() => (Owner::LimitAlone, report.reset),
        None => (Owner::Nothing, report.reset),
    }
}

type Found = Option<(usize, bool, Option<Duration>)>;

fn of_the_named(report: &Report, index: usize, windows: &[Fields]) -> Found {
    let window = windows.get(index)?;
    let is_its = |limit: u64| limit >= window.limit || !windows.iter().any(|w| w.limit == limit);
    if report.limit.is_some_and(|limit| !is_its(limit)) {
        return of_its_limit(report, windows);
    }
    let reset = window.reset_of(report)?;
    Some((index, true, reset))
}

/// Whole seconds are told.
fn of_its_length(report: &Report, windows: &[Fields]) -> Found {
    let told = report.length?;
    let has_it = |window: &&(usize, &Fields)| {
        let begun = u64::from(window.1.length.subsec_nanos() > 0);
        window.1.length.as_secs().saturating_add(begun) == told.as_secs()
    };
    let windows: smallvec::SmallVec<[_; 4]> = windows.iter().enumerate().collect();
    let same_limit = |(_, window): &&(usize, &Fields)| report.limit == Some(window.limit);
    let of_length = || windows.iter().filter(has_it);
    let (index, window) = (of_length().find(same_limit))
        .or_else(|| of_length().find(|(_, window)| window.counts_requests))?;
    let reset = window.reset_of(report)?;
    Some((*index, true, reset))
}

fn of_its_limit(report: &Report, windows: &[Fields]) -> Found {
    if report.length.is_some() {
        return None;
    }
    let limit = report.limit?;
    let fitting = windows.iter().enumerate().filter_map(|(index, window)| {
        let reset = window.reset_of(report).filter(|_| window.limit == limit)?;
        let is_shorter = reset.is_some_and(|reset| window.length < reset);
        Some((is_shorter, window.length, index, reset))
    });
    let (_, _, index, reset) = fitting.min_by_key(|(short, length, ..)| (*short, *length))?;
    Some((index, false, reset))
}

impl Fields {
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
