//! What one answer reports: its header fields in, one [`Report`] for each family of them out.
//!
//! Pure, and bounded: so many reports, so much text of an answer, every span.

mod base;
mod family_name;
mod found;
mod lines;
#[cfg(test)]
mod tests;
mod unreadable;

use std::time::Duration;

use http::HeaderMap;
use smallvec::SmallVec;

use self::base::{Base, HOUR, bounded};
pub(crate) use self::family_name::FamilyName;
#[cfg(test)]
pub(crate) use self::family_name::Prefix;
use self::found::{Found, Group};
use self::lines::Lines;
pub(crate) use self::unreadable::unreadable;
use super::fields::Fields;
use super::policies::{self, Policy, Reset};
use crate::clock::Now;
use crate::header_value::MOST_MEMBERS;
use crate::rate_limit::window::ResetUnit;

/// No server counts that far: it is a mistake, or means "unlimited".
const HIGHEST_COUNT: u64 = 1 << 40;

/// What one response reports in one family of header fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) family: FamilyName,
    /// None where absent, zero, impossibly high, or less than what remains.
    pub(crate) limit: Option<u64>,
    pub(crate) remaining: Option<u64>,
    /// From now.
    pub(crate) reset: Option<Duration>,
    /// Whether `reset` was a bare number, read as seconds: it may turn out to be milliseconds.
    pub(crate) reset_is_bare: bool,
    /// How long the window is, where the response says it.
    pub(crate) length: Option<Duration>,
}

/// All that a response reports.
///
/// A window that names its headers has them alone. Several lines of one name are several reports:
/// the service's, and those of the gateways in front of it. Of those of one family, limit and
/// length, the one with the least left stays.
pub(crate) fn reports(windows: &[Fields], headers: &HeaderMap, now: Now) -> SmallVec<[Report; 2]> {
    let found = Found::of(windows, headers);
    let mut reports = Reports(SmallVec::new());
    if found.is_empty() {
        return reports.0;
    }
    let base = Base::new(headers, now);
    for (index, lines) in &found.named {
        if let Some(window) = windows.get(*index) {
            let base = base.of(window.reset_unit, window.length);
            reports.add_named(*index, lines, window.limit, &base);
        }
    }
    let base = for_usual_names(windows, base);
    for group in &found.groups {
        reports.add_group(group, &base);
    }
    reports.0
}

/// The usual names serve all windows without names of their own.
fn for_usual_names<'h>(windows: &[Fields], base: Base<'h>) -> Base<'h> {
    let usual = || windows.iter().filter(|window| !window.named);
    let mut units = usual().map(|window| window.reset_unit);
    let unit = units.find(|unit| *unit != ResetUnit::Auto);
    match usual().map(|window| window.length).max() {
        // Whose they are is not known: maybe those of an hour that was not configured.
        Some(longest) => base.of(unit.unwrap_or_default(), longest.max(HOUR)),
        None => base,
    }
}

struct Reports(SmallVec<[Report; 2]>);

impl Reports {
    fn add_named(&mut self, index: usize, lines: &Lines<'_>, limit: u64, base: &Base<'_>) {
        let family = || FamilyName::Named(index);
        if lines.are_listed() {
            let listed = lines.listed(base);
            let of_limit = listed.iter().find(|(_, entry)| entry.limit == Some(limit));
            let only = || listed.first().filter(|_| listed.len() == 1);
            if let Some((_, entry)) = of_limit.or_else(only) {
                self.add(family(), entry);
            }
            return;
        }
        let policies = lines.policies();
        for state in policies::resolved(policies, lines.states(base)) {
            self.add(family(), &state);
        }
    }

    fn add_group(&mut self, group: &Group<'_>, base: &Base<'_>) {
        let prefix = group.prefix;
        let mut policies = group.policies();
        let mut states = group.states();
        for (unit, lines) in &group.lines {
            if lines.are_listed() {
                for (name, entry) in lines.listed(base) {
                    self.add(FamilyName::listed(prefix, name), &entry);
                }
            } else if let Some(unit) = unit {
                for mut state in lines.states(base) {
                    state.length = Some(unit.length().as_secs());
                    self.add(FamilyName::UsualOf(prefix, *unit), &state);
                }
            } else {
                if policies.is_empty() {
                    policies = lines.policies();
                }
                states.extend(lines.states(base));
            }
        }
        for policy in policies::resolved(policies, states) {
            let family = FamilyName::of_policy(prefix, &policy);
            self.add(family, &policy);
        }
    }

    fn add(&mut self, family: FamilyName, policy: &Policy<'_>) {
        let (reset, reset_is_bare) = match policy.reset {
            Some(Reset::Told(span, is_bare)) => (Some(span), is_bare),
            Some(Reset::Seconds(seconds)) => (Some(bounded(seconds)), false),
            None => (None, false),
        };
        let possible = |count: &u64| *count <= HIGHEST_COUNT;
        let remaining = policy.remaining.filter(possible);
        let fits = |limit: &u64| possible(limit) && *limit >= remaining.unwrap_or(0).max(1);
        let length = policy.length.filter(|seconds| *seconds > 0);
        let report = Report {
            family,
            limit: policy.limit.filter(fits),
            remaining,
            reset,
            reset_is_bare,
            length: length.map(bounded),
        };
        if report.limit.is_some() || report.remaining.is_some() || report.reset.is_some() {
            self.merge(report);
        }
    }

    /// Of the same family, limit and length, the one with the least left, and of those the one
    /// that resets last.
    fn merge(&mut self, report: Report) {
        let key = |report: &Report| (report.limit, report.length);
        let is_same = |known: &Report| known.family == report.family && key(known) == key(&report);
        let left = |report: &Report| report.remaining.unwrap_or(u64::MAX);
        let Some(known) = self.0.iter().position(is_same) else {
            if self.0.len() < MOST_MEMBERS {
                self.0.push(report);
            }
            return;
        };
        if let Some(known) = self.0.get_mut(known) {
            let tighter = left(&report) < left(known);
            let longer = left(&report) == left(known) && report.reset > known.reset;
            if tighter || longer {
                *known = report;
            }
        }
    }
}
