//! Limits that are told without what remains: whose they are shows in a test by one request.
//!
//! A limit of 20 beside a window of 10 000 a day may be that day's, or a gateway's of two seconds.
//! Once as many of ours count in the window as the limit allows, all in flight are answered and one
//! request goes alone. Accepted, the limit is not the window's, for good. Rejected, it is if the
//! last of that many answers reach back over at least half of the window until the told end: one
//! rejection of a limit of 2 s must not become a day's limit (R23).
//!
//! Pure: `now` is an argument.

use std::collections::VecDeque;
use std::time::Duration;

use smallvec::SmallVec;

use super::answer::Answer;
use super::chance::Chance;
use crate::clock::Moment;
use crate::rate_limit::in_flight::PermitId;

/// The most limits in question at the same time, and the most that are known to be wrong.
const MOST: usize = 16;

/// The most entries that are kept of when our requests were answered.
const MOST_TIMES: usize = 512;

/// What a test showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The limit is that of the window.
    Adopted { window: usize, limit: u64 },
    /// It is not.
    Refuted { window: usize, limit: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LimitTest {
    window: usize,
    limit: u64,
    by: Option<PermitId>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct LimitTests {
    pending: SmallVec<[LimitTest; 1]>,
    refuted: SmallVec<[(usize, u64); 2]>,
    /// When ours were answered since the first limit was told, and how many.
    times: VecDeque<(Moment, u64)>,
}

impl LimitTests {
    pub(super) fn chance(&self, in_flight: u64, own: impl Fn(usize) -> u64) -> Chance {
        let is_due = |test: &LimitTest| own(test.window) >= test.limit;
        match in_flight > 0 && self.pending.iter().any(is_due) {
            true => Chance::WhenAnswered(Moment::NEVER),
            false => Chance::Now,
        }
    }

    pub(super) fn grant(&mut self, permit: PermitId, own: impl Fn(usize) -> u64) {
        for test in &mut self.pending {
            if own(test.window) >= test.limit {
                test.by = Some(permit);
            }
        }
    }

    pub(super) fn withdraw(&mut self, permit: PermitId) {
        for test in &mut self.pending {
            test.by = test.by.filter(|by| *by != permit);
        }
    }

    /// An answer told these limits alone; `window`: the limit and the length of each that a limit
    /// may be of, in order.
    pub(super) fn heard(
        &mut self,
        limits: impl Iterator<Item = u64>,
        window: impl Fn(usize) -> Option<(u64, Duration)>,
        answer: Answer,
    ) -> Vec<Verdict> {
        let limits: SmallVec<[u64; 1]> = limits.take(MOST).collect();
        if limits.is_empty() && self.pending.is_empty() {
            return Vec::new();
        }
        for (index, (of_window, _)) in (0..).map_while(|index| Some((index, window(index)?))) {
            for limit in limits.iter().filter(|limit| **limit < of_window) {
                self.doubt(index, *limit);
            }
        }
        self.count(answer.now);
        self.judge(answer, window)
    }

    fn doubt(&mut self, window: usize, limit: u64) {
        let is_known = |test: &LimitTest| (test.window, test.limit) == (window, limit);
        let is_refuted = self.refuted.contains(&(window, limit));
        if !is_refuted && self.pending.len() < MOST && !self.pending.iter().any(is_known) {
            let by = None;
            self.pending.push(LimitTest { window, limit, by });
        }
    }

    fn count(&mut self, now: Moment) {
        if self.times.len() >= MOST_TIMES {
            // To the later time of two: the span that they reach back is never overstated.
            let merged = self.times.make_contiguous().chunks(2);
            let merged = merged.filter_map(|two| {
                let (last, _) = *two.last()?;
                Some((last, two.iter().map(|(_, count)| count).sum()))
            });
            self.times = merged.collect();
        }
        self.times.push_back((now, 1));
    }

    /// All tests that this request made end together.
    fn judge(
        &mut self,
        answer: Answer,
        window: impl Fn(usize) -> Option<(u64, Duration)>,
    ) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for mut test in std::mem::take(&mut self.pending) {
            let is_decided = answer.is_rejected || answer.is_success;
            if test.by != Some(answer.permit) || !is_decided {
                test.by = test.by.filter(|by| *by != answer.permit);
                self.pending.push(test);
                continue;
            }
            let LimitTest {
                window: index,
                limit,
                ..
            } = test;
            let length = window(index).map(|(_, length)| length);
            let reaches_back = |length| self.span_of(limit, answer) >= Some(length / 2);
            if answer.is_rejected && length.is_some_and(reaches_back) {
                verdicts.push(Verdict::Adopted {
                    window: index,
                    limit,
                });
                continue;
            }
            if self.refuted.len() >= MOST {
                self.refuted.remove(0);
            }
            self.refuted.push((index, limit));
            verdicts.push(Verdict::Refuted {
                window: index,
                limit,
            });
        }
        verdicts
    }

    /// From the answer so many before the last to the told end.
    fn span_of(&self, limit: u64, answer: Answer) -> Option<Duration> {
        let mut left = limit;
        let first = self.times.iter().rev().find_map(|(at, count)| {
            left = left.saturating_sub(*count);
            (left == 0).then_some(*at)
        });
        // Fewer are known: the first of them is the latest that it can be.
        let first = first.or_else(|| self.times.front().map(|(at, _)| *at))?;
        Some((answer.now + answer.pause.unwrap_or_default()) - first)
    }
}

#[cfg(test)]
mod tests;
