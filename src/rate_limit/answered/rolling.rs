//! Those of a rolling window: each until its response's arrival + W, since the server counted it no
//! later than that.
//!
//! Pure: `now` is an argument.

use std::collections::VecDeque;
use std::time::Duration;

use super::times;
use crate::clock::Moment;

/// Beyond so many entries, neighbours are merged: an entry costs 24 bytes, and a day's quota may
/// be a million.
const FINEST_ENTRIES: u64 = 4096;

#[derive(Clone, Debug)]
pub(in crate::rate_limit) struct Rolling {
    pub(super) length: Duration,
    grain: Duration,
    pub(super) entries: VecDeque<Entry>,
    total: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    from: Moment,
    pub(super) until: Moment,
    pub(super) count: u64,
}

impl Rolling {
    pub(super) fn new(length: Duration, limit: u64) -> Self {
        Self {
            length,
            grain: grain(length, limit),
            entries: VecDeque::new(),
            total: 0,
        }
    }

    pub(super) fn length(&self) -> Duration {
        self.length
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn set_limit(&mut self, limit: u64) {
        self.grain = grain(self.length, limit);
    }

    /// When they were answered, and how many.
    pub(super) fn answered(&self) -> impl Iterator<Item = (Moment, u64)> {
        let answered = |entry: &Entry| (entry.until.earlier(self.length), entry.count);
        self.entries.iter().map(answered)
    }

    pub(super) fn push(&mut self, answered: Moment, count: u64) {
        self.total = self.total.saturating_add(count);
        let is_long = self.entries.len() as u64 >= FINEST_ENTRIES;
        let grain = if is_long {
            finest(self.length)
        } else {
            self.grain
        };
        let until = answered + self.length;
        match self.entries.back_mut() {
            // To its later end: an early end would let one leave too soon.
            Some(last) if until - last.from < grain => {
                last.until = until;
                last.count = last.count.saturating_add(count);
            }
            _ => self.entries.push_back(Entry {
                from: until,
                until,
                count,
            }),
        }
    }

    pub(super) fn forget(&mut self, now: Moment) {
        while let Some(first) = self.entries.front().filter(|first| first.until <= now) {
            self.total = self.total.saturating_sub(first.count);
            self.entries.pop_front();
        }
    }

    pub(super) fn when_freed(&self, count: u64) -> Option<Moment> {
        let mut freed = 0_u64;
        let enough = self.entries.iter().find(|entry| {
            freed = freed.saturating_add(entry.count);
            freed >= count
        });
        enough.map(|entry| entry.until)
    }

    pub(super) fn not_before(
        &self,
        amount: u64,
        in_flight: u64,
        limit: u64,
        now: Moment,
    ) -> Moment {
        let used = self.total.saturating_add(in_flight);
        let last = amount.saturating_sub(1);
        let over = used.saturating_add(last % limit + 1).saturating_sub(limit);
        let first = match over {
            0 => now,
            _ => self.when_freed(over).unwrap_or(now + self.length),
        };
        first + times(self.length, last / limit)
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.entries.capacity()
    }
}

fn grain(length: Duration, limit: u64) -> Duration {
    if limit <= FINEST_ENTRIES {
        Duration::ZERO
    } else {
        finest(length)
    }
}

fn finest(length: Duration) -> Duration {
    length / u32::try_from(FINEST_ENTRIES).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LENGTH: Duration = Duration::from_secs(4096);
    const LIMIT: u64 = 40_960;

    fn at(milliseconds: u64) -> Moment {
        Moment::after_start(Duration::from_millis(milliseconds))
    }

    #[test]
    fn a_large_window_merges_neighbours_to_their_later_end() {
        let mut rolling = Rolling::new(LENGTH, LIMIT);
        for milliseconds in 1_000..2_000 {
            rolling.push(at(milliseconds), 1);
        }
        assert_eq!(rolling.entries.len(), 1);
        rolling.forget(at(1_999 + 4_095_999));
        assert_eq!(rolling.total(), 1_000, "one of them still counts");
        assert_eq!(rolling.when_freed(1), Some(at(1_999) + LENGTH));
    }

    proptest! {
        #[test]
        fn what_is_merged_ends_late_by_less_than_its_grain_and_never_early(
            steps in prop::collection::vec((0..2_000_u64, 1..5_u64), 1..200),
            later in 0..500_000_u64,
        ) {
            let mut rolling = Rolling::new(LENGTH, LIMIT);
            let mut exact = Vec::new();
            let mut milliseconds = 0;
            for (step, count) in steps {
                milliseconds += step;
                rolling.push(at(milliseconds), count);
                exact.push((at(milliseconds), count));
            }
            let now = at(later) + LENGTH;
            let counts_at = |now: Moment| {
                let counts = exact.iter().filter(|(answered, _)| *answered + LENGTH > now);
                counts.map(|(_, count)| count).sum::<u64>()
            };
            rolling.forget(now);
            prop_assert!(rolling.total() >= counts_at(now));
            prop_assert!(rolling.total() <= counts_at(now.earlier(finest(LENGTH))));
        }
    }
}
