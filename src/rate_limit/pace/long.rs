//! How `Auto` spreads a window longer than an hour.
//!
//! Evenly, the requests of a day are so far apart that a caller waits for hours. So such a window
//! is spread on conditions that a shorter one does without:
//!
//! *The proof.* A rejection does not tell which window was full. It may be one of a gateway's that
//! nobody configured, twenty in two seconds. A full window hands out no more than its own rate, and
//! the gateway's much more. So only what is accepted after one rejection tells, and three that
//! follow each other soon, with no more between them than that, are a proof. Without this rule,
//! that gateway would turn ten a second into one in nine seconds, and a day of which another
//! client takes a tenth at once lost 4 % to 9 %.
//!
//! *The span.* The spread lasts an hour, doubled for each relapse, and not the whole window. It
//! ends at once when an answer tells at least what is left by our own count.
//!
//! *The trial.* For a window's length after the spread not all that wait leave at once, since what
//! was sent in one burst is forgotten in one: few are in flight, so that a relapse costs few
//! rejections, and a rejection is one without further proof. So it is after a rejection that may
//! become a proof, for as long as it may. Windows longer than ten minutes are tried: a counter of
//! an hour rejected up to 91 of a lone client's requests in 30 windows, and now 43.
//!
//! *The share.* What others take decides only while the window is spread.
//!
//! Pure: `now` is an argument.

use std::time::Duration;

use super::Pace;
use crate::clock::Moment;
use crate::rate_limit::pacing::Pacing;

/// A window that is not longer is spread at the first rejection.
pub(super) const LONGEST_SHORT: Duration = Duration::from_secs(60 * 60);

/// So many rejections after the first one show a full window.
const PROOFS: u32 = 2;

/// So many times what a window hands out, and one more, may be accepted while it is full: more of
/// ours may be forgotten at once.
const HANDED_OUT: f64 = 2.0;
const MORE: f64 = 1.0;

/// A pause counts for so many of the window's slots at most, or for a second, to which it was
/// rounded up: a gateway's may be long as well.
const SLOTS_PAUSED: u32 = 2;
const PAUSE_GRAIN: Duration = Duration::from_secs(1);

/// Longer windows are tried, with so many in flight, or what twice their own rate needs.
const SHORTEST_TRIED: Duration = Duration::from_secs(600);
const ON_TRIAL: u64 = 4;
const RATES_ON_TRIAL: f64 = 2.0;

/// Rejections that are further apart, and by more of the slots, prove nothing together: who sends
/// little is accepted little.
const SOON: Duration = Duration::from_secs(60 * 60);
const SLOTS_SOON: u32 = 4;

/// What may prove that a long window is full: how little is accepted after rejections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspicion {
    rejections: u32,
    /// When the pause after the last rejection ended.
    resumed: Moment,
    /// Since the first rejection, in the window's unit.
    accepted: u64,
    /// What the window handed out until then, in its unit.
    handed_out: f64,
}

impl Suspicion {
    /// The first rejection, or the next one.
    fn rejected(before: Option<Self>, told: Duration, slot: Duration, now: Moment) -> Self {
        let is_soon = |suspicion: &Self| now - suspicion.resumed <= SOON.max(slot * SLOTS_SOON);
        let (rejections, accepted, handed_out) = match before.filter(is_soon) {
            None => (0, 0, 0.0),
            Some(suspicion) => (
                suspicion.rejections + 1,
                suspicion.accepted,
                suspicion.hands_out(slot, now),
            ),
        };
        let paused = told.min(PAUSE_GRAIN.max(slot * SLOTS_PAUSED));
        Self {
            rejections,
            resumed: now + told,
            accepted,
            handed_out: handed_out + paused.div_duration_f64(slot),
        }
    }

    /// What a window with such slots hands out until now.
    fn hands_out(&self, slot: Duration, now: Moment) -> f64 {
        self.handed_out + (now - self.resumed).div_duration_f64(slot)
    }

    /// A request of this cost that left at `granted` was accepted; none if it is more than a full
    /// window hands out.
    fn accepted(mut self, cost: u64, slot: Duration, granted: Moment) -> Option<Self> {
        if granted >= self.resumed {
            self.accepted = self.accepted.saturating_add(cost);
        }
        let most = HANDED_OUT * self.hands_out(slot, granted) + MORE;
        (self.accepted as f64 <= most).then_some(self)
    }
}

impl Pace {
    /// Whether a rejection of a request that left at `granted`, and that closed the quota for
    /// `told`, shows that this window is full.
    pub(super) fn takes_for_its_own(
        &mut self,
        told: Option<Duration>,
        limit: u64,
        granted: Moment,
        now: Moment,
    ) -> bool {
        let is_relapse = self
            .spread_until
            .is_some_and(|until| now < until + self.length);
        if !self.is_long || is_relapse {
            return true;
        }
        // It left before the pause, with the one that closed the quota.
        if self
            .suspicion
            .is_some_and(|suspicion| granted < suspicion.resumed)
        {
            return false;
        }
        let told = told.unwrap_or_default();
        let suspicion = Suspicion::rejected(self.suspicion, told, self.slot_of(limit), now);
        let is_proved = suspicion.rejections >= PROOFS;
        self.suspicion = (!is_proved).then_some(suspicion);
        is_proved
    }

    /// A request of this cost that left at `granted` was accepted.
    pub(super) fn accepted_of_long(&mut self, cost: u64, limit: u64, granted: Moment) {
        if let Some(suspicion) = self.suspicion {
            self.suspicion = suspicion.accepted(cost, self.slot_of(limit), granted);
        }
    }

    /// How long it takes the window to hand out one.
    fn slot_of(&self, limit: u64) -> Duration {
        let slots = u32::try_from(limit).unwrap_or(u32::MAX).max(1);
        (self.length / slots).max(Duration::from_nanos(1))
    }

    /// An answer tells what remains, and so much is left by our own count.
    pub(in crate::rate_limit) fn left_is_told(&mut self, told: u64, by_us: u64, now: Moment) {
        if self.is_long && told >= by_us && self.spread_by_auto(now) {
            self.spread_until = Some(now);
        }
    }

    /// How many may be in flight while the window is tried.
    pub(in crate::rate_limit) fn most_on_trial(
        &self,
        limit: u64,
        round_trip: Duration,
        now: Moment,
    ) -> Option<u64> {
        let may = self.pacing == Pacing::Auto && self.length > SHORTEST_TRIED;
        if !may || self.spread_by_auto(now) {
            return None;
        }
        let rejected = self.suspicion.map(|suspicion| suspicion.resumed);
        let began = self.spread_until.max(rejected)?;
        let enough = RATES_ON_TRIAL * limit as f64 * round_trip.div_duration_f64(self.length);
        (now < began + self.length).then(|| ON_TRIAL.max(enough.ceil() as u64))
    }
}
