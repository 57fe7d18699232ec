//! The pace of a window that others use too: it asks the share (`share.rs`).
//!
//! Pure: `now` is an argument.

use std::time::Duration;

use super::{Pace, SHORTEST_SPREAD};
use crate::clock::Moment;
use crate::rate_limit::pacing::Pacing;
use crate::rate_limit::share::{Heard, Terms};

impl Pace {
    /// Whether others use this window too, and it takes its part.
    pub(in crate::rate_limit) fn is_shared(&self, now: Moment) -> bool {
        let may = self.is_rolling && self.pacing != Pacing::Burst;
        let has_condition = self.is_long && !self.spread_by_auto(now);
        may && !has_condition && self.share.is_shared(now)
    }

    /// What is on its way takes all that the server said is left, so the next one waits for an
    /// answer, until this moment at most.
    pub(in crate::rate_limit) fn needs_answer(
        &self,
        in_flight: u64,
        limit: u64,
        round_trip: Duration,
        now: Moment,
    ) -> Option<Moment> {
        let may = self.is_rolling && self.pacing == Pacing::Auto && !self.is_shared(now);
        if !may {
            return None;
        }
        let terms = self.terms(limit, round_trip);
        self.share.needs_answer(in_flight, terms, now)
    }

    /// An answer tells what remains.
    pub(in crate::rate_limit) fn heard(&mut self, heard: Heard, round_trip: Duration, now: Moment) {
        self.share.learn(heard, self.length, round_trip, now);
        if self.is_shared(now) && !self.is_long {
            self.spread_until = self.spread_until.max(Some(now + SHORTEST_SPREAD));
        }
    }

    /// What others took and until when, where they use the window too; `ours` is what we did.
    pub(in crate::rate_limit) fn by_others(&self, ours: u64, now: Moment) -> Option<(u64, Moment)> {
        let shared = self.is_shared(now);
        shared.then(|| self.share.by_others(ours, now)).flatten()
    }

    /// How much later than told to come back.
    pub(in crate::rate_limit) fn shift(
        &self,
        limit: u64,
        round_trip: Duration,
        now: Moment,
    ) -> Duration {
        match self.is_shared(now) {
            true => self.share.shift(self.terms(limit, round_trip), now),
            false => Duration::ZERO,
        }
    }

    pub(super) fn terms(&self, limit: u64, round_trip: Duration) -> Terms {
        let length = self.length;
        Terms {
            limit,
            length,
            round_trip,
        }
    }
}
