//! What survives the process of our own requests in one window.
//!
//! Pure: `now` is an argument.

use super::{Answered, CALENDAR_MARGIN};
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
            Self::Calendar {
                period,
                ends,
                total,
                next,
            } => [(*ends, *total), (period.ends_after(*ends), *next)]
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(ends, count)| (saved::millis(ends), count))
                .collect(),
            Self::Rolling {
                length, entries, ..
            } => {
                let grain = *length / SAVED_PIECES;
                let mut pieces: Vec<(u64, u64)> = Vec::new();
                let mut began = Moment::ZERO;
                for entry in entries {
                    let answered = saved::saved(entry.until.earlier(*length), now);
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
    }

    /// Counts what was saved.
    pub(in crate::rate_limit) fn restore(&mut self, pieces: &[(u64, u64)], dial: Dial) {
        let mut pieces = pieces.to_vec();
        pieces.sort_unstable();
        for (time, count) in pieces {
            let count = count.min(LARGEST_COUNT);
            match self {
                Self::Rolling { .. } => self.push(dial.past(time), count, dial.now),
                Self::Calendar {
                    ends, total, next, ..
                } => {
                    let ended = saved::wall(time);
                    // What may count in the next period is saved as of that one too.
                    if *total > 0 && ended > *ends {
                        *next = next.saturating_add(count);
                    } else if dial.now.wall < ended + CALENDAR_MARGIN {
                        *total = total.saturating_add(count);
                        *ends = ended.min(*ends);
                    }
                }
            }
        }
        self.forget(dial.now);
    }
}
