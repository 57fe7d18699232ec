//! The lines of one family, and what they say.
//!
//! Pure.

use smallvec::SmallVec;

use super::super::policies::{self, Policies, Policy, Reset};
use super::base::{Base, Values};
use crate::header_value::{self, MOST_MEMBERS};

/// The lines of one family, each field's in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines<'h> {
    pub(super) limit: Values<'h>,
    pub(super) remaining: Values<'h>,
    pub(super) reset: Values<'h>,
    pub(super) reset_time: Values<'h>,
}

/// The counts of one field: those that stand alone, and the policies that draft 06 lists behind the
/// limit, `100, 100;w=60`. None for what cannot be read.
#[derive(Default)]
struct Counts<'h> {
    plain: SmallVec<[Option<u64>; 2]>,
    policies: Policies<'h>,
}

impl<'h> Counts<'h> {
    fn of(lines: &Values<'h>) -> Self {
        let mut counts = Self::default();
        for line in lines {
            counts.add(line);
        }
        counts.plain.truncate(MOST_MEMBERS);
        counts.policies.truncate(MOST_MEMBERS);
        counts
    }

    fn add(&mut self, line: &'h str) {
        // Almost all are one count.
        if !line.contains([',', ';']) {
            return self.plain.push(header_value::integer(line));
        }
        let mut members = match line.contains(';') {
            true => policies::list(line),
            false => Policies::new(),
        };
        let with_length = members.iter().any(|member| member.length.is_some());
        let is_plain = |member: &Policy<'_>| member.length.is_none();
        if header_value::is_grouped(line) {
            self.plain.push(None);
        } else if with_length {
            let plain = members.iter().filter(|member| is_plain(member));
            self.plain.extend(plain.map(|member| member.limit));
        } else {
            self.plain.extend(header_value::members(line, |member| {
                header_value::integer(member).filter(|_| !member.contains(','))
            }));
        }
        members.retain(|member| !is_plain(member));
        self.policies.extend(members);
    }
}

impl<'h> Lines<'h> {
    /// Whether they are lists of several limits, each with its name.
    pub(super) fn are_listed(&self) -> bool {
        let mut lines = self.limit.iter().chain(&self.remaining);
        lines.any(|line| line.starts_with(LISTED))
    }

    /// The limits that a gateway lists, `name=hourly,100; name=daily,1000;`, each with its name.
    pub(super) fn listed(&self, base: &Base<'_>) -> SmallVec<[(&'h str, Policy<'h>); 2]> {
        let entries = |lines: &Values<'h>| -> SmallVec<[(&'h str, u64); 2]> {
            let entries = lines.iter().flat_map(|line| entries(line));
            entries.take(MOST_MEMBERS).collect()
        };
        let (limits, left) = (entries(&self.limit), entries(&self.remaining));
        let resets = self.resets(base);
        // A single reset may be that of any of them.
        let reset = resets.first().copied().flatten();
        let reset = reset.filter(|_| limits.len() == 1);
        let policy = |(name, limit)| {
            let left = left.iter().find(|(of, _)| *of == name);
            let policy = Policy {
                limit: Some(limit),
                remaining: left.map(|(_, left)| *left),
                reset,
                ..Policy::default()
            };
            (name, policy)
        };
        limits.into_iter().map(policy).collect()
    }

    /// The policies behind the limit.
    pub(super) fn policies(&self) -> Policies<'h> {
        match self.limit.iter().any(|line| line.contains(';')) {
            true => Counts::of(&self.limit).policies,
            false => Policies::new(),
        }
    }

    /// What remains is of the limit, and until the reset, that have its place in their lines. Where
    /// there are more of one field than of another, which belong together is not known: each speaks
    /// for itself.
    pub(super) fn states(&self, base: &Base<'_>) -> Policies<'h> {
        let mut limits = Counts::of(&self.limit).plain;
        let mut left = Counts::of(&self.remaining).plain;
        let mut resets = self.resets(base);
        // A line that came twice says nothing more.
        if are_equal(&limits) && are_equal(&left) && are_equal(&resets) {
            limits.truncate(1);
            left.truncate(1);
            resets.truncate(1);
        }
        let fields = if left.is_empty() {
            limits.len()
        } else {
            left.len()
        };
        let (with_limit, with_reset) = (limits.len() == fields, resets.len() == fields);
        let mut states = Policies::new();
        let mut say = |limit: Option<u64>, remaining, reset: Option<Reset>| {
            let state = Policy {
                limit,
                remaining,
                reset,
                ..Policy::default()
            };
            if state.limit.is_some() || state.has_state() {
                states.push(state);
            }
        };
        for index in 0..limits.len().max(left.len()).max(resets.len()) {
            let limit = limits.get(index).copied().flatten();
            let left = left.get(index).copied().flatten();
            let reset = resets.get(index).copied().flatten();
            say(
                limit.filter(|_| with_limit),
                left,
                reset.filter(|_| with_reset),
            );
            say(limit.filter(|_| !with_limit), None, None);
            say(None, None, reset.filter(|_| !with_reset));
        }
        states
    }

    /// The date takes precedence over the number.
    fn resets(&self, base: &Base<'_>) -> SmallVec<[Option<Reset>; 2]> {
        let times = base.resets(&self.reset_time);
        let numbers = base.resets(&self.reset);
        if times.len() == numbers.len() {
            let both = times.into_iter().zip(numbers);
            return both.map(|(time, number)| time.or(number)).collect();
        }
        if times.iter().any(Option::is_some) {
            times
        } else {
            numbers
        }
    }
}

/// Whether a window may call this text its limit or what remains of it.
pub(super) fn is_count(text: &str) -> bool {
    let mut counts = Counts::default();
    counts.add(text);
    let is_whole = !counts.plain.is_empty() && counts.plain.iter().all(Option::is_some);
    is_whole || !counts.policies.is_empty() || entries(text).next().is_some()
}

fn are_equal<T: PartialEq>(values: &[T]) -> bool {
    values.windows(2).all(|two| two.first() == two.last())
}

/// How each entry of a list begins.
const LISTED: &str = "name=";

fn entries(line: &str) -> impl Iterator<Item = (&str, u64)> {
    line.split(';').filter_map(|entry| {
        let (name, count) = entry.trim().strip_prefix(LISTED)?.split_once(',')?;
        Some((name.trim(), header_value::integer(count.trim())?))
    })
}
