//! Our own requests in one window: those that were answered, and still count.
//!
//! Pure: `now` is an argument.

mod saved;

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use super::window::{Period, Span, Window};
use crate::clock::{Moment, Now};

/// So far from ours the server's clock may be. A day counts as over only so long after 00:00; and
/// what was answered so long before it or later may count in the new day already.
const CALENDAR_MARGIN: Duration = Duration::from_secs(2);

/// One part in so many of the limit may leave while nobody knows which day it is, and counts in
/// both: a burst then, counted twice, would take the new day.
const TWICE: u64 = 50;

/// Beyond so many entries, neighbours are merged: an entry costs 16 bytes, and a day's quota may
/// be a million.
const FINEST_ENTRIES: u64 = 4096;

/// Our requests that were answered and still count.
#[derive(Clone, Debug)]
pub(super) enum Answered {
    /// Each until its response's arrival + W: the server counted it no later than that.
    Rolling {
        length: Duration,
        grain: Duration,
        entries: VecDeque<Entry>,
        total: u64,
    },
    /// All since the last boundary.
    Calendar {
        period: Period,
        ends: SystemTime,
        total: u64,
        /// Those of them that may count in the next period.
        next: u64,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    from: Moment,
    until: Moment,
    count: u64,
}

impl Answered {
    pub(super) fn new(window: &Window, now: Now) -> Self {
        match window.span {
            Span::Rolling(length) => Self::Rolling {
                length,
                grain: grain(length, window.limit),
                entries: VecDeque::new(),
                total: 0,
            },
            Span::Calendar(period) => Self::Calendar {
                period,
                ends: period.ends_after(now.wall),
                total: 0,
                next: 0,
            },
        }
    }

    /// How many.
    pub(super) fn total(&self) -> u64 {
        match self {
            Self::Rolling { total, .. } | Self::Calendar { total, .. } => *total,
        }
    }

    /// When it forgets.
    pub(super) fn span(&self) -> Span {
        match self {
            Self::Rolling { length, .. } => Span::Rolling(*length),
            Self::Calendar { period, .. } => Span::Calendar(*period),
        }
    }

    /// The window's limit is another one.
    pub(super) fn set_limit(&mut self, limit: u64) {
        if let Self::Rolling { length, grain, .. } = self {
            *grain = self::grain(*length, limit);
        }
    }

    /// Counts what a window of another length knows of the same requests: rather too many than too
    /// few.
    pub(super) fn take_over(&mut self, other: &Self, now: Now) {
        match (other, &*self) {
            (Self::Calendar { total, .. }, _) => self.push(now.moment, *total, now),
            (
                Self::Rolling {
                    entries, length, ..
                },
                Self::Rolling { .. },
            ) => {
                for entry in entries {
                    self.push(entry.until.earlier(*length), entry.count, now);
                }
            }
            (
                Self::Rolling {
                    entries, length, ..
                },
                Self::Calendar { period, ends, .. },
            ) => {
                let began = now.moment_at(*ends - period.longest());
                let answered = entries
                    .iter()
                    .filter(|entry| entry.until >= began + *length);
                let count = answered.fold(0, |sum: u64, entry| sum.saturating_add(entry.count));
                self.push(now.moment, count, now);
            }
        }
        self.forget(now);
    }

    /// The length of a rolling window.
    pub(super) fn rolling(&self) -> Option<Duration> {
        match self {
            Self::Rolling { length, .. } => Some(*length),
            Self::Calendar { .. } => None,
        }
    }

    /// The end of the calendar's period.
    pub(super) fn calendar_end(&self) -> Option<SystemTime> {
        match self {
            Self::Calendar { ends, .. } => Some(*ends),
            Self::Rolling { .. } => None,
        }
    }

    /// Counts so many that were answered then.
    pub(super) fn push(&mut self, answered: Moment, count: u64, now: Now) {
        if count == 0 {
            return;
        }
        match self {
            Self::Calendar {
                ends, total, next, ..
            } => {
                *total = total.saturating_add(count);
                if is_near(*ends, now) {
                    *next = next.saturating_add(count);
                }
            }
            Self::Rolling {
                length,
                grain,
                entries,
                total,
            } => {
                *total = total.saturating_add(count);
                let is_long = entries.len() as u64 >= FINEST_ENTRIES;
                let grain = if is_long { finest(*length) } else { *grain };
                let until = answered + *length;
                match entries.back_mut() {
                    // To its later end: an early end would let one leave too soon.
                    Some(last) if until - last.from < grain => {
                        last.until = until;
                        last.count = last.count.saturating_add(count);
                    }
                    _ => entries.push_back(Entry {
                        from: until,
                        until,
                        count,
                    }),
                }
            }
        }
    }

    /// True if a calendar period has ended.
    pub(super) fn forget(&mut self, now: Now) -> bool {
        match self {
            Self::Rolling { entries, total, .. } => {
                while let Some(first) = entries.front().filter(|first| first.until <= now.moment) {
                    *total = total.saturating_sub(first.count);
                    entries.pop_front();
                }
                false
            }
            Self::Calendar {
                period,
                ends,
                total,
                next,
            } => {
                let over = now.wall >= *ends + CALENDAR_MARGIN;
                if over {
                    let just_ended = period.ends_after(*ends) > now.wall;
                    *total = if just_ended { *next } else { 0 };
                    *next = 0;
                    *ends = period.ends_after(now.wall);
                }
                over
            }
        }
    }

    /// Until when `more` beside those that were answered have to wait, since nobody knows which
    /// period they would count in.
    pub(super) fn held(&self, more: u64, limit: u64, now: Now) -> Option<Moment> {
        match self {
            Self::Rolling { .. } => None,
            Self::Calendar { ends, next, .. } => {
                let are_too_many = next.saturating_add(more) > (limit / TWICE).max(1);
                (are_too_many && is_near(*ends, now))
                    .then(|| now.moment_at(*ends + CALENDAR_MARGIN))
            }
        }
    }

    /// When so many of the requests will no longer count.
    pub(super) fn when_freed(&self, count: u64, now: Now) -> Option<Moment> {
        match self {
            Self::Calendar { ends, total, .. } => {
                let any = count > 0 && *total >= count;
                any.then(|| now.moment_at(*ends + CALENDAR_MARGIN))
            }
            Self::Rolling { entries, .. } => {
                let mut freed = 0_u64;
                let enough = entries.iter().find(|entry| {
                    freed = freed.saturating_add(entry.count);
                    freed >= count
                });
                enough.map(|entry| entry.until)
            }
        }
    }

    /// Before when `amount` more cannot leave at this limit, as if everything in flight were
    /// answered now, and everything else at once: what leaves a limit's worth later leaves a window
    /// later.
    pub(super) fn not_before(&self, amount: u64, in_flight: u64, limit: u64, now: Now) -> Moment {
        let used = self.total().saturating_add(in_flight);
        match self {
            Self::Rolling { length, .. } => {
                let last = amount.saturating_sub(1);
                let over = used.saturating_add(last % limit + 1).saturating_sub(limit);
                let first = match over {
                    0 => now.moment,
                    _ => self.when_freed(over, now).unwrap_or(now.moment + *length),
                };
                first + times(*length, last / limit)
            }
            Self::Calendar { period, ends, .. } => {
                match amount.checked_sub(limit.saturating_sub(used).saturating_add(1)) {
                    None => now.moment,
                    Some(later) => {
                        let end = now.moment_at(*ends + CALENDAR_MARGIN);
                        end + times(period.shortest(), later / limit)
                    }
                }
            }
        }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Rolling { entries, .. } => entries.capacity(),
            Self::Calendar { .. } => 1,
        }
    }

    /// When a window that begins now has ended.
    pub(super) fn longest(&self, now: Now) -> Moment {
        match self {
            Self::Rolling { length, .. } => now.moment + *length,
            Self::Calendar { ends, .. } => now.moment_at(*ends + CALENDAR_MARGIN),
        }
    }
}

/// Whether the server may have begun the next period, by its clock. When it must have, the period
/// is over.
fn is_near(ends: SystemTime, now: Now) -> bool {
    now.wall >= ends - CALENDAR_MARGIN
}

fn times(span: Duration, count: u64) -> Duration {
    span.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
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
    use super::*;

    fn at(seconds: u64) -> Now {
        Now::after_start(Duration::from_secs(seconds))
    }

    #[test]
    fn a_large_window_merges_neighbours_to_their_later_end() {
        let window = Window::new(40_960, Duration::from_secs(4096));
        let mut answered = Answered::new(&window, at(0));
        for _ in 0..40_960 {
            answered.push(at(1).moment, 1, at(1));
        }
        answered.forget(at(4096));
        assert_eq!(answered.when_freed(1, at(4096)), Some(at(4097).moment));
        let Answered::Rolling { entries, .. } = &answered else {
            panic!("rolling")
        };
        assert_eq!(entries.len(), 1);
    }
}
