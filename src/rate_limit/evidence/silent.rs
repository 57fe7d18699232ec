//! Our own requests that were answered without a report: what was told before counts them not.
//!
//! Pure.

use std::collections::VecDeque;

use crate::clock::Moment;

/// Older ones are counted together. More are never on the wire while a report is.
const MOST: usize = 1_024;

#[derive(Clone, Debug, Default)]
pub(super) struct Silent {
    times: VecDeque<Moment>,
    /// How many before those, and when the last of them was answered.
    older: u64,
    last: Moment,
}

impl Silent {
    pub(super) fn count(&self) -> u64 {
        self.older.saturating_add(self.times.len() as u64)
    }

    pub(super) fn add(&mut self, now: Moment) {
        if self.times.len() >= MOST {
            if let Some(first) = self.times.pop_front() {
                self.older = self.older.saturating_add(1);
                self.last = first;
            }
        }
        self.times.push_back(now);
    }

    /// A report to a request that left at `sent` counts those that were answered before.
    pub(super) fn counted_until(&mut self, sent: Moment) {
        if self.last < sent {
            self.older = 0;
        }
        while self.times.front().is_some_and(|time| *time < sent) {
            self.times.pop_front();
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
