//! A token bucket as one moment (GCRA): when it would be full again. Pure.

use std::time::Duration;

use crate::clock::Moment;

/// Allows a burst, then one per `every`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    burst: u32,
    every: Duration,
    full_at: Moment,
}

impl Bucket {
    /// A full one.
    pub(crate) const fn new(burst: u32, every: Duration) -> Self {
        Self {
            burst,
            every,
            full_at: Moment::ZERO,
        }
    }

    /// When the next one is allowed; now or earlier means at once.
    pub(crate) fn next(&self) -> Moment {
        self.full_at
            .earlier(self.every * self.burst.saturating_sub(1))
    }

    /// Takes one, if one is left.
    pub(crate) fn take(&mut self, now: Moment) -> bool {
        if self.next() > now {
            return false;
        }
        self.full_at = self.full_at.max(now) + self.every;
        true
    }

    /// What was taken before is used only now.
    pub(crate) fn leave(&mut self, now: Moment) {
        self.full_at = self.full_at.max(now + self.every);
    }

    /// Gives one back.
    pub(crate) fn refund(&mut self) {
        self.full_at = self.full_at.earlier(self.every);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    #[test]
    fn a_burst_then_one_per_interval() {
        let mut bucket = Bucket::new(3, SECOND);
        assert_eq!((0..5).filter(|_| bucket.take(at(100))).count(), 3);
        assert_eq!(bucket.next(), at(101));
        assert!(bucket.take(at(101)) && !bucket.take(at(101)));
    }

    #[test]
    fn in_any_time_no_more_than_the_burst_and_one_per_interval() {
        let mut bucket = Bucket::new(2, 60 * SECOND);
        let taken = (0..3_600).filter(|&second| bucket.take(at(10_000 + second)));
        assert_eq!(taken.count(), 2 + 3_599 / 60);
    }

    #[test]
    fn what_is_taken_early_and_used_late_does_not_add_to_the_burst() {
        let mut bucket = Bucket::new(3, SECOND);
        assert!(bucket.take(at(100)));
        bucket.leave(at(110));
        assert_eq!((0..5).filter(|_| bucket.take(at(110))).count(), 2);
        bucket.leave(at(110));
        assert_eq!(bucket.next(), at(111), "used at once, it costs no more");
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let mut bucket = Bucket::new(2, 60 * SECOND);
        assert!(bucket.take(at(100)) && bucket.take(at(100)) && !bucket.take(at(100)));
        bucket.refund();
        assert!(bucket.take(at(100)) && !bucket.take(at(100)));
    }
}
