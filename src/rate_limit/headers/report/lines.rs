//! The header lines of an answer that report on limits, sorted by family, and their values.
//!
//! Pure.

use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

use super::super::policies::{self, Policies, Policy, Reset};
use super::super::{Fields, ResetUnit};
use super::{Prefix, Unit};
use crate::clock::Now;
use crate::header_value::{self, Budget, MOST_MEMBERS, When};

/// Longer spans are cut. Nothing counts for longer than a year.
const LONGEST_SPAN: Duration = Duration::from_secs(400 * 86_400);

/// How far a time may lie ahead of our own clock where nothing else is known.
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);

/// From so many seconds on, a `Retry-After` that is a thousandth of a reset is no chance, even where
/// one of them is rounded.
const SURELY: f64 = 10.0;

pub(super) fn bounded(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(LONGEST_SPAN)
}

type Values<'h> = SmallVec<[&'h str; 1]>;

/// The lines of one family.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines<'h> {
    limit: Values<'h>,
    remaining: Values<'h>,
    reset: Values<'h>,
    reset_time: Values<'h>,
}

/// The lines of the families of one usual prefix.
pub(super) struct Group<'h> {
    pub(super) prefix: Prefix,
    policies: Values<'h>,
    states: Values<'h>,
    pub(super) lines: SmallVec<[(Option<Unit>, Lines<'h>); 1]>,
}

/// All of an answer.
pub(super) struct Found<'h> {
    pub(super) named: SmallVec<[(usize, Lines<'h>); 1]>,
    pub(super) groups: SmallVec<[Group<'h>; 1]>,
}

impl<'h> Found<'h> {
    pub(super) fn is_empty(&self) -> bool {
        self.named.is_empty() && self.groups.is_empty()
    }

    pub(super) fn of(windows: &[Fields], headers: &'h HeaderMap) -> Self {
        let mut budget = Budget::default();
        let mut found = Self {
            named: SmallVec::new(),
            groups: SmallVec::new(),
        };
        let named = || {
            windows
                .iter()
                .enumerate()
                .filter(|(_, window)| window.named)
        };
        for (index, window) in named() {
            let lines = window.named_lines(|name| {
                let values = headers.get_all(name).into_iter();
                values.filter_map(|value| budget.text(value)).collect()
            });
            found.named.push((index, lines));
        }
        for (name, value) in headers {
            let is_named = || named().any(|(_, window)| window.names(name));
            let Some((prefix, rest)) = Prefix::of(name.as_str()).filter(|_| !is_named()) else {
                continue;
            };
            if let Some(place) = found.place(prefix, rest) {
                place.extend(budget.text(value));
            }
        }
        found
    }

    /// Where the values of a name go that begins and goes on so.
    fn place(&mut self, prefix: Prefix, rest: &str) -> Option<&mut Values<'h>> {
        let mut parts = rest.strip_prefix('-').unwrap_or(rest).splitn(2, '-');
        let (field, suffix) = (parts.next()?, parts.next());
        let unit = match suffix {
            Some(suffix) => Some(Unit::of(suffix)?),
            None => None,
        };
        if !["", "policy", "limit", "remaining", "reset", "resettime"].contains(&field) {
            return None;
        }
        let group = self.group(prefix)?;
        match field {
            "" if prefix == Prefix::Ietf && unit.is_none() => Some(&mut group.states),
            "policy" if unit.is_none() => Some(&mut group.policies),
            "limit" => Some(&mut group.lines(unit)?.limit),
            "remaining" => Some(&mut group.lines(unit)?.remaining),
            "reset" => Some(&mut group.lines(unit)?.reset),
            "resettime" => Some(&mut group.lines(unit)?.reset_time),
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
}

impl<'h> Group<'h> {
    fn lines(&mut self, unit: Option<Unit>) -> Option<&mut Lines<'h>> {
        let known = self.lines.iter().position(|(of, _)| *of == unit);
        let at = known.unwrap_or(self.lines.len());
        if known.is_none() {
            self.lines.push((unit, Lines::default()));
        }
        self.lines.get_mut(at).map(|(_, lines)| lines)
    }

    pub(super) fn policies(&self) -> Policies<'h> {
        self.policies
            .iter()
            .flat_map(|line| policies::list(line))
            .take(MOST_MEMBERS)
            .collect()
    }

    pub(super) fn states(&self) -> Policies<'h> {
        self.states
            .iter()
            .flat_map(|line| policies::states(line))
            .take(MOST_MEMBERS)
            .collect()
    }
}

impl Fields {
    fn named_lines<'h>(&self, mut values: impl FnMut(&HeaderName) -> Values<'h>) -> Lines<'h> {
        let mut lines = Lines::default();
        if let Some(family) = self.families.first() {
            let mut of =
                |name: &Option<HeaderName>| name.as_ref().map(&mut values).unwrap_or_default();
            lines.limit = of(&family.limit);
            lines.remaining = of(&family.remaining);
            lines.reset = of(&family.reset);
            lines.reset_time = of(&family.reset_time);
        }
        lines
    }

    fn names(&self, name: &HeaderName) -> bool {
        let family = self.families.first();
        family.is_some_and(|family| family.names().any(|named| named == name))
    }
}

/// The counts of one field: those that stand alone, and the policies among them (draft 06 lists
/// them behind the limit, `100, 100;w=60`).
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
        counts
    }

    fn add(&mut self, line: &'h str) {
        if header_value::is_grouped(line) {
            return self.plain.push(None);
        }
        for member in line.split(',').take(MOST_MEMBERS) {
            match member.contains(';') {
                true => self.policies.extend(policies::list(member)),
                false => self.plain.push(header_value::integer(member.trim())),
            }
        }
        self.plain.truncate(MOST_MEMBERS);
        self.policies.truncate(MOST_MEMBERS);
    }
}

impl<'h> Lines<'h> {
    /// Whether they are lists of several limits, each with its name.
    pub(super) fn are_listed(&self) -> bool {
        let mut counts = self.limit.iter().chain(&self.remaining);
        counts.any(|line| line.contains('='))
            && self
                .limit
                .iter()
                .chain(&self.remaining)
                .any(|line| line.contains("name="))
    }

    /// The limits that a gateway lists, `name=hourly,100; name=daily,1000;`, each with its name.
    pub(super) fn listed(&self, base: &Base) -> SmallVec<[(&'h str, Policy<'h>); 2]> {
        let mut listed: SmallVec<[(&str, Policy<'_>); 2]> = SmallVec::new();
        for (name, limit) in self
            .limit
            .iter()
            .flat_map(|line| entries(line))
            .take(MOST_MEMBERS)
        {
            let mut left = self
                .remaining
                .iter()
                .flat_map(|line| entries(line))
                .take(MOST_MEMBERS);
            let policy = Policy {
                limit: Some(limit),
                remaining: left.find(|(of, _)| *of == name).map(|(_, left)| left),
                ..Policy::default()
            };
            listed.push((name, policy));
        }
        // A single reset is that of a single limit.
        if let [(_, policy)] = &mut listed[..] {
            policy.reset = self.reset(base, 0);
        }
        listed
    }

    pub(super) fn policies(&self) -> Policies<'h> {
        let policies = Counts::of(&self.limit).policies;
        policies
            .into_iter()
            .filter(|policy| policy.length.is_some())
            .collect()
    }

    /// The nth limit belongs to what remains of the nth, and its reset is the nth. Where there are
    /// more of one field than of another, which of them lacks it is not known: they all do.
    pub(super) fn states(&self, base: &Base) -> Policies<'h> {
        let (limits, left) = (
            Counts::of(&self.limit).plain,
            Counts::of(&self.remaining).plain,
        );
        let resets = base.resets(&self.reset);
        let times = base.resets(&self.reset_time);
        let same =
            are_equal(&limits) && are_equal(&left) && are_equal(&resets) && are_equal(&times);
        let most = limits
            .len()
            .max(left.len())
            .max(resets.len())
            .max(times.len());
        let count = if same { most.min(1) } else { most };
        let mut states = Policies::new();
        for index in 0..count {
            let reset = nth(&times, index, count).or_else(|| nth(&resets, index, count));
            let state = Policy {
                limit: nth(&limits, index, count),
                remaining: nth(&left, index, count),
                reset,
                ..Policy::default()
            };
            if state.limit.is_some() || state.has_state() {
                states.push(state);
            }
        }
        states
    }

    fn reset(&self, base: &Base, index: usize) -> Option<Reset<'h>> {
        let of = |lines| base.resets(lines).get(index).copied().flatten();
        of(&self.reset_time).or_else(|| of(&self.reset))
    }
}

fn are_equal<T: PartialEq>(values: &[T]) -> bool {
    values.windows(2).all(|two| two.first() == two.last())
}

fn nth<T: Copy>(values: &[Option<T>], index: usize, count: usize) -> Option<T> {
    let is_whole = count == 1 || values.len() == count;
    values.get(index).copied().flatten().filter(|_| is_whole)
}

fn entries(line: &str) -> impl Iterator<Item = (&str, u64)> {
    line.split(';').filter_map(|entry| {
        let (name, count) = entry.trim().strip_prefix("name=")?.split_once(',')?;
        Some((name.trim(), header_value::integer(count.trim())?))
    })
}

/// What a reset is read with.
#[derive(Clone, Copy)]
pub(super) struct Base {
    unit: ResetUnit,
    /// When the answer was sent, by its own clock.
    sent: Option<SystemTime>,
    wall: SystemTime,
    /// How far ahead a time may lie by our own clock.
    farthest: Duration,
    /// `Retry-After`, where it is a number of seconds.
    retry_after: Option<f64>,
}

impl Base {
    pub(super) fn new(headers: &HeaderMap, now: Now) -> Self {
        let retry_after = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|text| header_value::number(text.trim()));
        Self {
            unit: ResetUnit::Auto,
            sent: header_value::sent(headers),
            wall: now.wall,
            farthest: HOUR,
            retry_after,
        }
    }

    /// For a window of this length, which tells its resets in this unit.
    pub(super) fn of(self, unit: ResetUnit, length: Duration) -> Self {
        let farthest = length.saturating_mul(2);
        Self {
            unit,
            farthest,
            ..self
        }
    }

    /// The resets of these lines.
    fn resets<'v>(&self, lines: &Values<'_>) -> SmallVec<[Option<Reset<'v>>; 2]> {
        let members = |line: &&str| header_value::members(line, |text| self.reset(text));
        lines.iter().flat_map(members).take(MOST_MEMBERS).collect()
    }

    fn reset<'v>(&self, text: &str) -> Option<Reset<'v>> {
        let (span, is_bare) = match self.unit.read(text)? {
            When::Number(number) if self.is_milliseconds(number) => {
                (header_value::seconds(number / 1e3)?, false)
            }
            When::Number(number) => (header_value::seconds(number)?, true),
            When::Span(span) => (span, false),
            When::At(time) => (self.until(time)?, false),
        };
        Some(Reset::Told(span.min(LONGEST_SPAN), is_bare))
    }

    /// Whether a `Retry-After` beside it says the same in seconds.
    fn is_milliseconds(&self, number: f64) -> bool {
        let Some(seconds) = self.retry_after else {
            return false;
        };
        let off = (number / 1e3 - seconds).abs();
        seconds >= 1.0 && (off < f64::EPSILON || (seconds >= SURELY && off <= 1.0))
    }

    fn until(&self, time: SystemTime) -> Option<Duration> {
        match self.sent {
            Some(sent) => time.duration_since(sent).ok(),
            None => {
                let span = time.duration_since(self.wall).ok();
                span.filter(|span| !span.is_zero() && *span <= self.farthest)
            }
        }
    }
}
