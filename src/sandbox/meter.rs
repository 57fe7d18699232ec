//! Four ways to count the requests of one window.
//!
//! All times are nanoseconds of the sandbox, and all arithmetic is in whole numbers, so that the
//! wait that is told is exact.

use std::collections::VecDeque;

/// Counts the requests of one window. `now` never goes back, and [`advance`](Self::advance) is
/// called with it before anything else is asked.
pub(super) trait Meter: Send {
    /// Forgets what is over.
    fn advance(&mut self, now: u128);
    /// How long until one more request fits; 0: it fits now.
    fn wait(&self, now: u128) -> u128;
    /// Counts a request, whether or not it fits.
    fn count(&mut self, now: u128);
    /// How many more requests fit now.
    fn remaining(&self, now: u128) -> u64;
    /// How long until everything that was counted is forgotten.
    fn reset(&self, now: u128) -> u128;
}

/// One count per period.
pub(super) struct FixedWindow {
    limit: u64,
    length: u128,
    ends: u128,
    count: u64,
}

impl FixedWindow {
    pub(super) fn new(limit: u64, length: u128, first_end: u128) -> Self {
        Self {
            limit,
            length,
            ends: first_end,
            count: 0,
        }
    }
}

impl Meter for FixedWindow {
    fn advance(&mut self, now: u128) {
        let periods = periods_over(now, self.ends, self.length);
        if periods > 0 {
            self.ends += periods * self.length;
            self.count = 0;
        }
    }

    fn wait(&self, now: u128) -> u128 {
        match self.count < self.limit {
            true => 0,
            false => self.ends - now,
        }
    }

    fn count(&mut self, _now: u128) {
        self.count += 1;
    }

    fn remaining(&self, _now: u128) -> u64 {
        self.limit.saturating_sub(self.count)
    }

    fn reset(&self, now: u128) -> u128 {
        self.ends - now
    }
}

/// How many periods ended since the one that ends at `ends`, itself included.
fn periods_over(now: u128, ends: u128, length: u128) -> u128 {
    match now.checked_sub(ends) {
        None => 0,
        Some(over) => over / length + 1,
    }
}

/// The time of every request that counts.
pub(super) struct SlidingLog {
    limit: usize,
    length: u128,
    times: VecDeque<u128>,
}

impl SlidingLog {
    pub(super) fn new(limit: u64, length: u128) -> Self {
        Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            length,
            times: VecDeque::new(),
        }
    }
}

impl Meter for SlidingLog {
    fn advance(&mut self, now: u128) {
        let over = |time: &u128| now - time >= self.length;
        while self.times.front().is_some_and(over) {
            self.times.pop_front();
        }
    }

    fn wait(&self, now: u128) -> u128 {
        // The last `limit` are what keeps the next one out: the oldest of them has to go.
        let keeper = self.times.len().checked_sub(self.limit);
        let time = keeper.and_then(|index| self.times.get(index));
        time.map_or(0, |time| time + self.length - now)
    }

    fn count(&mut self, now: u128) {
        self.times.push_back(now);
        // Only the last `limit` can ever keep one out.
        if self.times.len() > self.limit {
            self.times.pop_front();
        }
    }

    fn remaining(&self, _now: u128) -> u64 {
        (self.limit - self.times.len()) as u64
    }

    fn reset(&self, now: u128) -> u128 {
        self.times.back().map_or(0, |time| time + self.length - now)
    }
}

/// This period's count, and the last one's by the share that the window still covers.
pub(super) struct SlidingCounter {
    limit: u128,
    length: u128,
    ends: u128,
    previous: u128,
    current: u128,
}

impl SlidingCounter {
    pub(super) fn new(limit: u64, length: u128, first_end: u128) -> Self {
        Self {
            limit: limit.into(),
            length,
            ends: first_end,
            previous: 0,
            current: 0,
        }
    }

    /// What counts at `now`, times the length.
    fn weight(&self, now: u128) -> u128 {
        self.previous * (self.ends - now) + self.current * self.length
    }

    /// How much of a period must be left at most, for one more to fit beside `current` requests of
    /// it and `previous` ones of the period before.
    fn share_that_fits(&self, previous: u128, current: u128) -> u128 {
        let room = (self.limit - 1 - current) * self.length;
        room.checked_div(previous)
            .map_or(self.length, |left| left.min(self.length))
    }
}

impl Meter for SlidingCounter {
    fn advance(&mut self, now: u128) {
        let periods = periods_over(now, self.ends, self.length);
        if periods > 0 {
            self.ends += periods * self.length;
            self.previous = if periods == 1 { self.current } else { 0 };
            self.current = 0;
        }
    }

    fn wait(&self, now: u128) -> u128 {
        let left = self.ends - now;
        if self.current < self.limit {
            return left.saturating_sub(self.share_that_fits(self.previous, self.current));
        }
        // Not in this period: in the next one, where `current` is the period before.
        left + self.length - self.share_that_fits(self.current, 0)
    }

    fn count(&mut self, _now: u128) {
        self.current += 1;
    }

    fn remaining(&self, now: u128) -> u64 {
        let room = (self.limit * self.length).saturating_sub(self.weight(now));
        u64::try_from(room / self.length).unwrap_or(u64::MAX)
    }

    fn reset(&self, now: u128) -> u128 {
        let left = self.ends - now;
        match self.current {
            0 => left,
            _ => left + self.length,
        }
    }
}

/// Tokens that come back evenly.
///
/// Kept as the time at which the bucket will be full, in parts of a nanosecond: one token is
/// `length` of them, and a nanosecond brings `limit`.
pub(super) struct TokenBucket {
    limit: u128,
    length: u128,
    full_at: u128,
}

impl TokenBucket {
    pub(super) fn new(limit: u64, length: u128) -> Self {
        Self {
            limit: limit.into(),
            length,
            full_at: 0,
        }
    }

    /// The time to fill, were the bucket empty now.
    fn empty(&self, now: u128) -> u128 {
        (now + self.length) * self.limit
    }
}

impl Meter for TokenBucket {
    fn advance(&mut self, now: u128) {
        self.full_at = self.full_at.max(now * self.limit);
    }

    fn wait(&self, now: u128) -> u128 {
        let lacking = (self.full_at + self.length).saturating_sub(self.empty(now));
        lacking.div_ceil(self.limit)
    }

    fn count(&mut self, now: u128) {
        // A refused request that counts takes what has come back of a token.
        self.full_at = (self.full_at + self.length).min(self.empty(now));
    }

    fn remaining(&self, now: u128) -> u64 {
        let tokens = (self.empty(now) - self.full_at) / self.length;
        u64::try_from(tokens).unwrap_or(u64::MAX)
    }

    fn reset(&self, now: u128) -> u128 {
        (self.full_at - now * self.limit).div_ceil(self.limit)
    }
}
