//! The care of a client that cannot know yet whether it is alone: how much may be on its way.
//!
//! Pure: `now` is an argument.

use std::time::Duration;

use super::is_ablated;
use crate::clock::Moment;

/// Others show by then, if there are any.
const WINDOWS_OF_CARE: u32 = 3;

/// An answer is worth waiting for so many mean round trips.
pub(super) const PATIENCE: u32 = 2;

/// What was heard lately, in whatever order it came.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Care {
    /// When the first answer told.
    began: Option<Moment>,
    least: Option<Least>,
    /// When one left though nothing had been heard for long; none once an answer came.
    scout: Option<Moment>,
}

/// The least that was told to remain within a round trip.
#[derive(Clone, Copy, Debug)]
struct Least {
    remaining: u64,
    heard: Moment,
}

impl Care {
    /// An answer tells what remains.
    pub(super) fn learn(&mut self, remaining: u64, round_trip: Duration, now: Moment) {
        self.scout = None;
        self.began.get_or_insert(now);
        let is_least =
            |least: Least| remaining <= least.remaining || now - least.heard > round_trip;
        if self.least.is_none_or(is_least) {
            let heard = now;
            self.least = Some(Least { remaining, heard });
        }
    }

    /// A request leaves.
    pub(super) fn grant(&mut self, round_trip: Duration, now: Moment) {
        if self.is_silent(round_trip, now) && !is_ablated("scout") {
            self.scout.get_or_insert(now);
        }
    }

    /// Whether so many on their way are all that may leave, and since when that is known; none when
    /// the first windows are over.
    pub(super) fn takes_all(
        &self,
        in_flight: u64,
        length: Duration,
        now: Moment,
    ) -> Option<(bool, Moment)> {
        let least = self.least.filter(|_| self.is_careful(length, now))?;
        Some(match self.scout {
            Some(scout) => (in_flight > 0, scout),
            None => (in_flight > 0 && least.remaining <= in_flight, least.heard),
        })
    }

    /// Whether nothing has been heard for so long that what was is of no use.
    fn is_silent(&self, round_trip: Duration, now: Moment) -> bool {
        let ended = |least: Least| least.heard + round_trip * PATIENCE <= now;
        self.least.is_some_and(ended)
    }

    fn is_careful(&self, length: Duration, now: Moment) -> bool {
        let care = length.saturating_mul(WINDOWS_OF_CARE);
        !is_ablated("care") && self.began.is_some_and(|began| now - began < care)
    }
}
