//! What survives the process of our own requests in one window.
//!
//! Pure: `now` is an argument.

use super::Answered;
use super::calendar::Calendar;
use super::rolling::Rolling;
use crate::clock::{Moment, Now};
use crate::rate_limit::saved::{self, Dial};

/// A window is saved in about so many pieces: they are written every second.
const SAVED_PIECES: u32 = 256;

/// No count that is read is larger, so that no sum of them overflows.
const LARGEST_COUNT: u64 = 1 << 40;

impl Answered {
    /// As it is saved: see [`SavedLive`](saved::SavedLive).
    pub(in crate::rate_limit) fn save(&self, now: Now) -> Vec<(u64, u64)> {
        match self {
            Self::Rolling(rolling) => rolling.save(now),
            Self::Calendar(calendar) => calendar.save(),
        }
    }

    /// Counts what was saved.
    pub(in crate::rate_limit) fn restore(&mut self, pieces: &[(u64, u64)], dial: Dial) {
        let pieces = pieces.iter().copied().filter(|(_, count)| *count > 0);
        let mut pieces: Vec<_> = pieces.collect();
        pieces.sort_unstable();
        for (time, count) in pieces {
            let count = count.min(LARGEST_COUNT);
            match self {
                Self::Rolling(rolling) => rolling.push(dial.past(time), count),
                Self::Calendar(calendar) => calendar.restore(time, count, dial),
            }
        }
        self.forget(dial.now);
    }
}

impl Rolling {
    fn save(&self, now: Now) -> Vec<(u64, u64)> {
        let grain = self.length / SAVED_PIECES;
        let mut pieces: Vec<(u64, u64)> = Vec::new();
        let mut began = Moment::ZERO;
        for entry in &self.entries {
            let answered = saved::saved(entry.until.earlier(self.length), now);
            match pieces.last_mut() {
                // To its later end, as ever.
                Some((last, count)) if entry.until - began < grain => {
                    *last = answered;
                    *count = count.saturating_add(entry.count);
                }
                _ => {
                    began = entry.until;
                    pieces.push((answered, entry.count));
                }
            }
        }
        pieces
    }
}

impl Calendar {
    /// What may count in the next period is saved as of that one too.
    fn save(&self) -> Vec<(u64, u64)> {
        let next = (self.period.ends_after(self.ends), self.next);
        let pieces = [(self.ends, self.total), next].into_iter();
        let pieces = pieces.filter(|(_, count)| *count > 0);
        let pieces = pieces.map(|(ends, count)| (saved::millis(ends), count));
        pieces.collect()
    }

    /// The earlier period comes first.
    fn restore(&mut self, ends: u64, count: u64, dial: Dial) {
        let ends = saved::wall(ends);
        if self.total > 0 && ends > self.ends {
            self.next = self.next.saturating_add(count);
        } else if !Self::is_over(ends, dial.now) {
            self.total = self.total.saturating_add(count);
            self.ends = ends.min(self.ends);
        }
    }
}
