//! How the requests of one window follow each other.
//!
//! | state  | entered when                                      | who may leave              |
//! |--------|---------------------------------------------------|----------------------------|
//! | burst  | at first; an hour or more after one of the others | all whom the ledger allows |
//! | spread | the server rejected what the ledger had allowed   | one per slot               |
//! | shared | the server counts more than ours (`share.rs`)     | one per slot of our share  |
//!
//! A window that was shared stays spread for an hour. One that is longer than an hour is spread on
//! conditions (`pace/long.rs`).
//!
//! `Burst` and `Spread` stay what they are, `Auto` goes from one to the other.
//!
//! *The slot.* A sliding counter takes previous · (1 − elapsed/W) + current for the count. Requests
//! that leave every I, and come late by times that differ by J at most, bring that to
//! (W + J)/I + 1 at most, wherever its boundaries lie. So there is a slot per (W + J)/(L − 1), and
//! the mean round trip stands for J: the ledger asks for W plus a round trip anyway. Or how late a
//! slot may be taken, if that is more. What costs c takes c · (W + J)/(L − c), for the same reason.
//!
//! *The rate factor.* A rejection while spread slows the slots down: somebody else takes part of
//! the quota. Successes restore the rate (`rate_factor.rs`).
//!
//! A rejection of a request that had left before the last cut says nothing new, and that of a
//! probe says that the pause was too short, not that the rate was too high.
//!
//! Pure: `now` is an argument.

mod long;
mod shared;

use std::time::Duration;

use self::long::{LONGEST_SHORT, Suspicion};
use super::pacing::Pacing;
use super::rate_factor::RateFactor;
use super::saved::{self, Dial, SavedPace};
use super::share::{FASTEST, Share};
use super::window::{Span, Window};
use crate::clock::{Moment, Now};

/// `Auto` spreads for so long at least; doubled for each time that it was too short.
const SHORTEST_SPREAD: Duration = Duration::from_secs(60 * 60);
const MOST_DOUBLINGS: u32 = 5;

/// A sliding counter takes evenly spaced requests for up to one more than there are, and what it
/// tells is rounded.
const SLACK: u64 = 2;

/// A timer rings up to a millisecond late, a busy runtime some more. So much does not shift the
/// slots that follow. In a shared window what was missed beyond that is lost: slots do not
/// accumulate.
const TIMER_GRAIN: Duration = Duration::from_millis(4);

/// Of a window that is ours alone so much may be made up, or a mean round trip if all workers are
/// under way, but no more than a fiftieth: who sent nothing for half an hour would have a burst of
/// a day's window. Where only 4 ms were, a machine with three times as much to do as it has
/// processors took up to 19 s for 5 000 requests of 1 000/s. In a shared window it would be for
/// those who were held back to make up, at the cost of the others.
const LATEST: Duration = Duration::from_millis(10);
const WINDOWS_LATE: u32 = 50;

/// The pace of one window.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    pacing: Pacing,
    length: Duration,
    /// `Auto` may spread it.
    is_rolling: bool,
    /// `Auto` spreads it on conditions (`pace/long.rs`).
    is_long: bool,
    /// What may prove that it is full, if it is long.
    suspicion: Option<Suspicion>,
    /// `Auto` spreads until then.
    spread_until: Option<Moment>,
    relapses: u32,
    factor: RateFactor,
    /// The last cut; requests that left before it cannot cut again.
    cut: Option<Moment>,
    /// The next slot, while spread.
    slot: Moment,
    /// So many of the limit are for high priority alone.
    reserve: u64,
    /// What is ours, if others use it too.
    share: Share,
}

impl Pace {
    pub(super) fn new(window: &Window) -> Self {
        let length = window.length();
        let is_rolling = matches!(window.span, Span::Rolling(_));
        Self {
            pacing: window.pacing,
            length,
            is_rolling,
            is_long: window.configured_length() > LONGEST_SHORT,
            suspicion: None,
            spread_until: None,
            relapses: 0,
            factor: RateFactor::FULL,
            cut: None,
            slot: Moment::ZERO,
            reserve: window.reserve,
            share: Share::default(),
        }
    }

    /// The same window's pace with what was configured since.
    pub(super) fn changed(self, window: &Window) -> Self {
        match self.pacing == window.pacing {
            true => Self {
                reserve: window.reserve,
                ..self
            },
            false => Self::new(window),
        }
    }

    pub(super) fn save(&self, now: Now) -> SavedPace {
        let end = |moment| saved::saved_end(moment, now);
        SavedPace {
            factor: self.factor.get(),
            // Past ones too: after them the window is tried.
            spread_until: self.spread_until.map(|end| saved::saved(end, now)),
            relapses: self.relapses,
            slot: end(self.slot),
        }
    }

    pub(super) fn restore(&mut self, saved: &SavedPace, dial: Dial) {
        self.factor = RateFactor::restored(saved.factor);
        self.spread_until = saved.spread_until.map(|end| dial.until(end));
        self.relapses = saved.relapses.min(MOST_DOUBLINGS);
        self.slot = saved.slot.map_or(Moment::ZERO, |slot| dial.until(slot));
    }

    /// The slot to wait for, if it has not come, or the end of the hold.
    pub(super) fn opens(
        &self,
        cost: u64,
        limit: u64,
        round_trip: Duration,
        now: Moment,
    ) -> Option<Moment> {
        let slot = Some(self.slot).filter(|slot| *slot > now && self.is_spread(now));
        if !self.is_shared(now) {
            return slot;
        }
        slot.max(self.share.holds(cost, self.terms(limit, round_trip), now))
    }

    /// Before when no slot comes after those of `ahead`, at the full rate.
    pub(super) fn not_before(
        &self,
        ahead: u64,
        limit: u64,
        round_trip: Duration,
        now: Moment,
    ) -> Moment {
        if !self.is_spread(now) {
            return now;
        }
        let is_shared = self.is_shared(now);
        let mut windows = ahead as f64 / limit.max(1) as f64;
        if is_shared {
            windows /= FASTEST;
        }
        let span = Duration::try_from_secs_f64(self.length.as_secs_f64() * windows);
        let slot = self.taken(round_trip, now) + span.unwrap_or(Duration::MAX);
        // The slots of what costs much may end there.
        let reset = self.share.reset(now).filter(|_| is_shared);
        let slot = slot.min(reset.unwrap_or(Moment::NEVER));
        match self.pacing {
            Pacing::Auto => slot.min(self.spread_until.unwrap_or(now)),
            _ => slot,
        }
    }

    /// A request leaves. `limit` is the window's limit in force, `round_trip` the mean.
    pub(super) fn grant(&mut self, cost: u64, limit: u64, round_trip: Duration, now: Moment) {
        self.share.grant(cost, round_trip, now);
        if self.is_spread(now) {
            let taken = self.taken(round_trip, now);
            let interval = match self.is_shared(now) {
                true => self
                    .share
                    .interval(cost, self.terms(limit, round_trip), now),
                false => self.interval(cost, limit, round_trip),
            };
            self.slot = taken + interval;
        }
    }

    /// Which slot a request takes that leaves now.
    fn taken(&self, round_trip: Duration, now: Moment) -> Moment {
        match now - self.slot <= self.grain(round_trip, now) {
            true => self.slot,
            false => now,
        }
    }

    /// So late a slot is on time.
    fn grain(&self, round_trip: Duration, now: Moment) -> Duration {
        match self.is_shared(now) {
            true => TIMER_GRAIN,
            false => self.longest_grain(round_trip),
        }
    }

    fn longest_grain(&self, round_trip: Duration) -> Duration {
        let part = self.length / WINDOWS_LATE;
        part.min(round_trip.max(LATEST)).max(TIMER_GRAIN)
    }

    /// A request of this cost that left at `granted` was accepted.
    pub(super) fn accepted(&mut self, cost: u64, limit: u64, granted: Moment) {
        self.accepted_of_long(cost, limit, granted);
        if !self.is_before_cut(granted) {
            self.factor.accepted(cost, limit);
        }
    }

    /// The server rejected a request that left at `granted`, though the ledger had allowed it.
    fn rejected(&mut self, granted: Moment, now: Moment) {
        if self.is_before_cut(granted) {
            return;
        }
        // What remains tells a window that is shared how fast it may be.
        if self.is_shared(now) {
            return;
        }
        if self.is_spread(now) {
            self.factor.cut();
        } else if self.spread_until.is_some() {
            self.relapses = (self.relapses + 1).min(MOST_DOUBLINGS);
        }
        self.cut = Some(now);
        self.spread_until = Some(now + SHORTEST_SPREAD * 2_u32.pow(self.relapses));
    }

    pub(super) fn has_reserve(&self) -> bool {
        self.reserve > 0
    }

    /// What is kept from others. Should the server's limit prove lower than the configured one,
    /// something is left for them.
    pub(super) fn reserve(&self, limit: u64) -> u64 {
        self.reserve.min(limit.saturating_sub(1))
    }

    /// By how much the server's count may exceed ours though nobody else takes part: a sliding
    /// counter only estimates it.
    pub(super) fn slack(&self, now: Moment) -> u64 {
        match self.is_spread(now) {
            true => SLACK,
            false => 0,
        }
    }

    fn is_before_cut(&self, granted: Moment) -> bool {
        self.cut.is_some_and(|cut| granted <= cut)
    }

    pub(super) fn is_spread(&self, now: Moment) -> bool {
        match self.pacing {
            Pacing::Burst => false,
            Pacing::Spread => true,
            Pacing::Auto => self.is_shared(now) || self.spread_by_auto(now),
        }
    }

    fn spread_by_auto(&self, now: Moment) -> bool {
        self.spread_until.is_some_and(|until| now < until)
    }

    /// `cost` slots. Two windows are enough for any cost: a sliding counter has forgotten it.
    fn interval(&self, cost: u64, limit: u64, round_trip: Duration) -> Duration {
        let gaps = limit.saturating_sub(cost).max(1) as f64;
        let windows = (cost as f64 / gaps).min(2.0);
        let differing = round_trip.max(self.longest_grain(round_trip));
        let seconds = (self.length + differing).as_secs_f64() * windows / self.factor.get();
        Duration::try_from_secs_f64(seconds).unwrap_or(self.length)
    }

    /// Whether a rejection that closes the quota for `told` can be this window's. A sliding counter
    /// may take two windows to forget.
    fn explains(&self, told: Option<Duration>) -> bool {
        told.is_none_or(|told| told <= self.length.saturating_mul(2))
    }
}

/// The server rejected what the ledger had allowed: slows the shortest window that explains how
/// long it closed, if that one's pace may change at all. Each pace with the limit in force.
pub(super) fn slow_down<'a>(
    paces: impl Iterator<Item = (&'a mut Pace, u64)>,
    told: Option<Duration>,
    granted: Moment,
    now: Moment,
) {
    let explained = paces.filter(|(pace, _)| pace.explains(told));
    let shortest = explained.min_by_key(|(pace, _)| pace.length);
    if let Some((pace, limit)) = shortest {
        let may_change = match pace.pacing {
            Pacing::Burst => false,
            Pacing::Spread => true,
            Pacing::Auto => pace.is_rolling && pace.takes_for_its_own(told, limit, granted, now),
        };
        if may_change {
            pace.rejected(granted, now);
        }
    }
}

#[cfg(test)]
mod tests;
