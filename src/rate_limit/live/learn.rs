//! What an answer tells of a window: how much of it others took, and when it resets.
//!
//! Pure: `now` is an argument.

use std::time::Duration;

use super::{Live, Others, Reset};
use crate::clock::{Moment, Now};
use crate::rate_limit::evidence;
use crate::rate_limit::headers::{RESET_GRAIN, Reading};
use crate::rate_limit::share::{Heard, Own};

/// How long to stay away when nothing is left for a reason unknown, until a time unknown: a tenth
/// of the window, but within these bounds.
const SHORTEST_BLIND_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_BLIND_PAUSE: Duration = Duration::from_secs(60);

impl Live {
    /// What a response says to a request that left at `sent`, for the window's share; none if it is
    /// stale, or tells too little: without a reset nobody knows how soon what is taken comes back.
    pub(in crate::rate_limit) fn heard(
        &self,
        reading: Reading,
        own: Own,
        sent: Moment,
        now: Now,
    ) -> Option<Heard> {
        let reset = now.moment + reading.reset?;
        if self.is_stale(Some(reset), sent) {
            return None;
        }
        Some(Heard {
            remaining: reading.remaining?,
            reset,
            total: reading.limit.unwrap_or(self.total),
            own,
            sent,
        })
    }

    /// The window's share decides what others leave; the count of what they took need not.
    pub(in crate::rate_limit) fn leave_others_to_share(&mut self) {
        self.others = None;
        self.spent_until = Moment::ZERO;
        self.blind_until = None;
    }

    /// Takes in what a response says to a request that left at `sent`. `ours` is the most that the
    /// server can have counted of our own requests when it said so.
    ///
    /// The server's count beyond that is what others took. It is a lower bound, so it never holds a
    /// lone client back, and until the window resets it only grows: a late response cannot undo it.
    pub(crate) fn learn(&mut self, reading: Reading, ours: u64, sent: Moment, now: Now) {
        let told = reading.reset.map(|span| now.moment + span);
        if self.is_stale(told, sent) {
            return;
        }
        let known = self.reset;
        if let Some(limit) = reading.limit {
            self.adopt_limit(limit, sent, now);
        }
        if let Some(at) = told {
            self.begin_anew(at, now);
            let told = now.moment;
            self.reset = Some(Reset { at, told });
        }
        let Some(remaining) = reading.remaining else {
            return;
        };
        self.left_by_server = Some(remaining);
        let total = reading.limit.unwrap_or(self.total);
        let by_others = total.saturating_sub(remaining).saturating_sub(ours);
        if by_others > 0 {
            let told = told.map(|at| self.believed(at, known, now));
            self.others_took(by_others, remaining, told, now);
        }
    }

    /// The server's limit is this one.
    pub(in crate::rate_limit) fn adopt_limit(&mut self, limit: u64, sent: Moment, now: Now) {
        // The answer was overtaken by that to a later request: what it says may be over.
        if limit < self.total && sent < self.limit_sent {
            return;
        }
        // Where a limit above the configured one is not taken, what others took counts against it
        // alone.
        self.limit = limit.min(self.highest());
        self.total = limit;
        self.limit_told = now.moment;
        self.limit_sent = self.limit_sent.max(sent);
    }

    /// Whether a reset belongs to an earlier window: it is clearly before the one that is known,
    /// and the server may have told it earlier, since the request was on the wire already.
    fn is_stale(&self, told: Option<Moment>, sent: Moment) -> bool {
        let (Some(told), Some(known)) = (told, self.reset) else {
            return false;
        };
        told + RESET_GRAIN < known.at && sent <= known.told
    }

    /// A reset that was rounded up is told until the next window has begun: what others took in the
    /// old one does not last through the new one.
    fn begin_anew(&mut self, reset: Moment, now: Now) {
        let is_over = |others: Others| {
            others.until <= now.moment + RESET_GRAIN && others.until + RESET_GRAIN < reset
        };
        if self.others.is_some_and(is_over) {
            self.others = None;
        }
    }

    fn others_took(&mut self, count: u64, remaining: u64, told: Option<Moment>, now: Now) {
        let in_the_dark = told.is_none() && (remaining == 0 || self.blind_until.is_some());
        if in_the_dark && self.pause_blindly(now) {
            return;
        }
        let until = told.unwrap_or_else(|| self.answered.longest(now));
        let known = self.others.unwrap_or(Others { count: 0, until });
        self.others = Some(Others {
            count: known.count.max(count),
            until: known.until.max(until),
        });
        if remaining == 0 {
            self.spent_until = self.spent_until.max(told.unwrap_or(Moment::ZERO));
        }
    }

    /// A first word that nothing is left, told by one answer alone, stops a day for an hour at
    /// most; then one request goes and tries.
    fn believed(&mut self, at: Moment, known: Option<Reset>, now: Now) -> Moment {
        let latest = now.moment + evidence::believed(None);
        let calendar = self.answered.calendar_end().map(|end| now.moment_at(end));
        let known = known.map(|reset| reset.at).into_iter().chain(calendar);
        let off = |known: Moment| (known - at).max(at - known);
        let grain = Duration::from_secs(2) + (at - now.moment) / 100;
        if at <= latest || known.into_iter().any(|known| off(known) <= grain) {
            return at;
        }
        self.blind_until = Some(latest);
        latest
    }

    /// Nothing is left, and nobody knows until when: a pause, then a probe. Not where the end is
    /// known, by the calendar or by an earlier response.
    fn pause_blindly(&mut self, now: Now) -> bool {
        let Some(length) = self.answered.rolling() else {
            return false;
        };
        if self.reset.is_some() {
            return false;
        }
        let pause = (length / 10).clamp(SHORTEST_BLIND_PAUSE, LONGEST_BLIND_PAUSE);
        // Those in flight when the first zero came bring more of them: they do not prolong it.
        let until = *self.blind_until.get_or_insert(now.moment + pause);
        self.spent_until = self.spent_until.max(until);
        self.others = None;
        true
    }
}
