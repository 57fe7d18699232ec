//! What a response says about limits: header fields in, plain values out.
//!
//! Nobody standardized these fields in time, so every server has its own: a reset may be seconds to
//! go, milliseconds to go, seconds since 1970 or a date (one vendor's own two documents disagree),
//! and the IETF's drafts differ from each other. All of it comes from outside: whatever cannot be
//! understood counts as absent, every span is clamped, and nothing here can panic.

#[cfg(test)]
mod dialect_tests;
mod family;
mod policies;
#[allow(dead_code)] // Until the ledger reads reports.
pub(crate) mod report;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use smallvec::SmallVec;

use self::family::{Family, Usual};
use self::policies::{Policies, Policy, Reset};
use super::window::{ResetUnit, Window};
use crate::clock::Now;
use crate::header_value::{self, When};

/// Servers round a reset to the second, and some add another half on the way.
pub(super) const RESET_GRAIN: Duration = Duration::from_millis(1_500);

/// Windows up to this length may be a sliding counter's.
const LONGEST_COUNTER: Duration = Duration::from_secs(60 * 60);

/// The fields that may report on one window.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    /// Those that the window's place gives it, then those that have to tell its limit.
    families: SmallVec<[Family; 3]>,
    by_place: usize,
    named: bool,
    limit: u64,
    /// The limits of the quota's other windows.
    siblings: SmallVec<[u64; 2]>,
    length: Duration,
    reset_unit: ResetUnit,
}

/// What a response says about one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) limit: Option<u64>,
    pub(crate) remaining: Option<u64>,
    /// How long until the window resets.
    pub(crate) reset: Option<Duration>,
}

/// Which of the usual names a response has at all; most have none, and looking for one that is not
/// there costs as much as for one that is.
#[derive(Clone, Copy, Default)]
struct Present {
    ietf: bool,
    /// By [`Usual`].
    families: [bool; 3],
}

/// What these headers say about each window of a quota.
pub(crate) fn read(windows: &[Fields], headers: &HeaderMap, now: Now) -> SmallVec<[Reading; 2]> {
    let mut present = Present::default();
    if windows.iter().any(|fields| !fields.named) {
        present = Present::of(headers);
    }
    let policies = match present.ietf {
        true => policies::read(headers),
        false => Policies::new(),
    };
    let mut readings = SmallVec::new();
    for fields in windows {
        readings.push(fields.read(&policies, present, headers, now));
    }
    readings
}

impl Present {
    fn of(headers: &HeaderMap) -> Self {
        let mut present = Self::default();
        for name in headers.keys() {
            let name = name.as_str();
            present.ietf |= name.starts_with("ratelimit");
            for usual in Usual::ALL {
                present.families[usual as usize] |= name.starts_with(usual.prefix());
            }
        }
        present
    }

    /// Whether it is worth looking for this family.
    fn has(self, family: &Family) -> bool {
        family
            .usual
            .is_none_or(|usual| self.families[usual as usize])
    }
}

impl Fields {
    /// The fields of the window at `index` of these windows, which are sorted by length.
    ///
    /// A window without names of its own reads the usual ones: the IETF's policy of its length or
    /// limit, else the family that tells its limit, else what its place gives it. The only window
    /// takes whichever is there; of several, the shortest reads `X-BurstLimit-*` and the longest
    /// `X-RateLimit-*`, unless these tell the limit of another one.
    pub(crate) fn of(windows: &[Window], index: usize) -> Option<Self> {
        let window = windows.get(index)?;
        let named = window.headers.are_named();
        let (families, by_place) = match named {
            true => (
                SmallVec::from_iter([Family::named(window.headers.clone())]),
                1,
            ),
            false => usual(index, windows.len()),
        };
        let others = windows.iter().enumerate().filter(|(at, _)| *at != index);
        Some(Self {
            families,
            by_place,
            named,
            limit: window.limit,
            siblings: others.map(|(_, other)| other.limit).collect(),
            length: window.length(),
            reset_unit: window.headers.reset_unit,
        })
    }

    fn read(
        &self,
        policies: &Policies<'_>,
        present: Present,
        headers: &HeaderMap,
        now: Now,
    ) -> Reading {
        let family = |family: &Family| self.reading_of_family(family, headers, now);
        let policy = |policy: &Policy<'_>| self.reading_of_policy(policy, headers, now);
        (self.fitting(policies, Policy::has_state).map(policy))
            .or_else(|| self.of_our_limit(present, headers).map(family))
            .or_else(|| self.only(policies).map(policy))
            .or_else(|| self.of_our_place(present, headers).map(family))
            .or_else(|| self.fitting(policies, |_| true).map(policy))
            .unwrap_or_default()
    }

    /// The policy of our length or limit; of several, the one with the least left.
    fn fitting<'p, 'h>(
        &self,
        policies: &'p Policies<'h>,
        chosen: impl Fn(&Policy<'h>) -> bool,
    ) -> Option<&'p Policy<'h>> {
        let fitting = policies
            .iter()
            .filter(|policy| self.fit(policy) > 0 && chosen(policy));
        let left = |policy: &Policy<'_>| policy.remaining.unwrap_or(u64::MAX);
        fitting.max_by_key(|policy| (self.fit(policy), Reverse(left(policy))))
    }

    fn fit(&self, policy: &Policy<'_>) -> u8 {
        let our_limit = policy.limit == Some(self.limit);
        match policy.length {
            Some(length) if length == self.whole_seconds() => 2 + u8::from(our_limit),
            Some(_) => u8::from(our_limit && self.is_alone()),
            None => u8::from(our_limit && !self.siblings.contains(&self.limit)),
        }
    }

    /// The only policy, for the only window; not that of a shorter time, whose limit is lower.
    fn only<'p, 'h>(&self, policies: &'p Policies<'h>) -> Option<&'p Policy<'h>> {
        let mut with_state = policies.iter().filter(|policy| policy.has_state());
        let policy = with_state.next().filter(|_| self.is_alone())?;
        let as_long = |length| length >= self.whole_seconds();
        let fits = with_state.next().is_none() && policy.length.is_none_or(as_long);
        fits.then_some(policy)
    }

    fn of_our_limit(&self, present: Present, headers: &HeaderMap) -> Option<&Family> {
        let is_clear = !self.siblings.contains(&self.limit);
        let mut candidates = self.families.iter().enumerate();
        let found = candidates.find(|(index, family)| {
            (is_clear || *index < self.by_place)
                && present.has(family)
                && family.limit(headers, self.limit) == Some(self.limit)
        });
        found.map(|(_, family)| family)
    }

    fn of_our_place(&self, present: Present, headers: &HeaderMap) -> Option<&Family> {
        let of_another = |family: &Family| {
            let limit = family.limit(headers, self.limit);
            !self.named && limit.is_some_and(|limit| self.siblings.contains(&limit))
        };
        let mut candidates = self.families.iter().take(self.by_place);
        candidates
            .find(|family| present.has(family) && family.is_in(headers) && !of_another(family))
    }

    fn is_alone(&self) -> bool {
        self.siblings.is_empty()
    }

    fn whole_seconds(&self) -> u64 {
        let begun = u64::from(self.length.subsec_nanos() > 0);
        self.length.as_secs().saturating_add(begun)
    }

    fn reading_of_policy(&self, policy: &Policy<'_>, headers: &HeaderMap, now: Now) -> Reading {
        Reading {
            limit: possible(policy.limit),
            remaining: policy.remaining,
            reset: policy.reset.and_then(|reset| match reset {
                Reset::Seconds(seconds) => Some(self.clamped(Duration::from_secs(seconds))),
                Reset::Field(value) => self.span(value, headers, now),
                Reset::Told(span, _) => Some(self.clamped(span)),
            }),
        }
    }

    fn reading_of_family(&self, family: &Family, headers: &HeaderMap, now: Now) -> Reading {
        let (limit, remaining) = family.counts(headers, self.limit);
        Reading {
            limit: possible(limit),
            remaining,
            reset: (family.resets(headers)).find_map(|value| self.span(value, headers, now)),
        }
    }

    /// A reset field as a span from now.
    fn span(&self, value: &HeaderValue, headers: &HeaderMap, now: Now) -> Option<Duration> {
        let span = match self.reset_unit.read(value.to_str().ok()?.trim())? {
            When::Number(number) => header_value::seconds(self.seconds_by_size(number))?,
            When::Span(span) => span,
            When::At(time) => header_value::until(time, headers, now.wall)?,
        };
        Some(self.clamped(span))
    }

    /// At most the window's length, and a rounded-up second more.
    fn clamped(&self, span: Duration) -> Duration {
        span.min(self.length.saturating_add(Duration::from_secs(1)))
    }

    /// A span beyond the window's end is not seconds: some count milliseconds. Servers round a
    /// second up, and some add another. A sliding counter forgets all only after two windows, and
    /// says so; none is known that counts a day that way.
    fn seconds_by_size(&self, number: f64) -> f64 {
        let windows = match self.length <= LONGEST_COUNTER {
            true => 2.0,
            false => 1.0,
        };
        let longest = windows * self.length.as_secs_f64().ceil() + 1.0;
        if number > longest {
            number / 1e3
        } else {
            number
        }
    }
}

/// A limit of nothing would stop the account for good on one broken answer.
fn possible(limit: Option<u64>) -> Option<u64> {
    limit.filter(|limit| *limit > 0)
}

/// All usual families, and how many of the first ones a window has by its place alone.
fn usual(index: usize, count: usize) -> (SmallVec<[Family; 3]>, usize) {
    let [rate, hyphenated, burst] = Usual::ALL;
    let (families, by_place) = match index {
        0 if count > 1 => ([burst, rate, hyphenated], 1),
        _ if count == 1 => ([rate, hyphenated, burst], 3),
        _ if index + 1 == count => ([rate, hyphenated, burst], 2),
        _ => ([rate, hyphenated, burst], 0),
    };
    (families.map(Family::usual).into_iter().collect(), by_place)
}
