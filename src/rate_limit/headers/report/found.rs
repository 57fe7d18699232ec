//! The header lines of an answer that report on limits, by family.
//!
//! Pure.

use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

use super::super::fields::Fields;
use super::super::policies::{self, Policies};
use super::base::Values;
use super::family_name::{Prefix, Unit};
use super::lines::Lines;
use crate::header_value::{Budget, MOST_MEMBERS};

/// All of an answer.
#[derive(Default)]
pub(super) struct Found<'h> {
    /// By the index of the window that names them.
    pub(super) named: SmallVec<[(usize, Lines<'h>); 1]>,
    pub(super) groups: SmallVec<[Group<'h>; 1]>,
}

/// The lines of one usual prefix.
pub(super) struct Group<'h> {
    pub(super) prefix: Prefix,
    policies: Values<'h>,
    states: Values<'h>,
    pub(super) lines: SmallVec<[(Option<Unit>, Lines<'h>); 1]>,
}

impl<'h> Found<'h> {
    pub(super) fn of(windows: &[Fields], headers: &'h HeaderMap) -> Self {
        let mut budget = Budget::default();
        let mut found = Self::default();
        for (index, window) in windows.iter().enumerate() {
            if window.named {
                let lines = window.named_lines(headers, &mut budget);
                found.named.push((index, lines));
            }
        }
        for (name, value) in headers {
            let Some((prefix, rest)) = Prefix::of(name.as_str()) else {
                continue;
            };
            if windows.iter().any(|window| window.names(name)) {
                continue;
            }
            let place = found.place(prefix, rest);
            if let Some(values) = place.filter(|values| values.len() < MOST_MEMBERS) {
                values.extend(budget.text(value));
            }
        }
        found
    }

    pub(super) fn is_empty(&self) -> bool {
        self.named.is_empty() && self.groups.is_empty()
    }

    /// Where the values of a name go that begins so and goes on so.
    fn place(&mut self, prefix: Prefix, rest: &str) -> Option<&mut Values<'h>> {
        let (field, suffix) = match rest.strip_prefix('-') {
            Some(rest) => rest.split_once('-').unwrap_or((rest, "")),
            None => (rest, ""),
        };
        let unit = Unit::of(suffix);
        if unit.is_none() && !suffix.is_empty() {
            return None;
        }
        match (field, unit) {
            ("", None) if prefix == Prefix::Ietf => Some(&mut self.group(prefix)?.states),
            ("policy", None) => Some(&mut self.group(prefix)?.policies),
            ("limit", _) => Some(&mut self.lines(prefix, unit)?.limit),
            ("remaining", _) => Some(&mut self.lines(prefix, unit)?.remaining),
            ("reset", _) => Some(&mut self.lines(prefix, unit)?.reset),
            ("resettime", _) => Some(&mut self.lines(prefix, unit)?.reset_time),
            _ => None,
        }
    }

    fn group(&mut self, prefix: Prefix) -> Option<&mut Group<'h>> {
        let known = self.groups.iter().position(|group| group.prefix == prefix);
        let at = known.unwrap_or(self.groups.len());
        if known.is_none() {
            self.groups.push(Group {
                prefix,
                policies: Values::new(),
                states: Values::new(),
                lines: SmallVec::new(),
            });
        }
        self.groups.get_mut(at)
    }

    fn lines(&mut self, prefix: Prefix, unit: Option<Unit>) -> Option<&mut Lines<'h>> {
        let lines = &mut self.group(prefix)?.lines;
        let known = lines.iter().position(|(of, _)| *of == unit);
        let at = known.unwrap_or(lines.len());
        if known.is_none() {
            lines.push((unit, Lines::default()));
        }
        lines.get_mut(at).map(|(_, lines)| lines)
    }
}

impl<'h> Group<'h> {
    pub(super) fn policies(&self) -> Policies<'h> {
        let lines = self.policies.iter();
        let members = lines.flat_map(|line| policies::list(line));
        members.take(MOST_MEMBERS).collect()
    }

    pub(super) fn states(&self) -> Policies<'h> {
        let lines = self.states.iter();
        let members = lines.flat_map(|line| policies::states(line));
        members.take(MOST_MEMBERS).collect()
    }
}

impl Fields {
    fn named_lines<'h>(&self, headers: &'h HeaderMap, budget: &mut Budget) -> Lines<'h> {
        let mut values = |name: &Option<HeaderName>| {
            let lines = name.iter().flat_map(|name| headers.get_all(name));
            let lines = lines.take(MOST_MEMBERS);
            lines.filter_map(|line| budget.text(line)).collect()
        };
        Lines {
            limit: values(&self.names.limit),
            remaining: values(&self.names.remaining),
            reset: values(&self.names.reset),
            reset_time: values(&self.names.reset_time),
        }
    }

    /// Whether the window names this header.
    fn names(&self, name: &HeaderName) -> bool {
        let names = &self.names;
        let names = [
            &names.limit,
            &names.remaining,
            &names.reset,
            &names.reset_time,
        ];
        names.into_iter().flatten().any(|named| named == name)
    }
}
