//! How fast a share may be used.
//!
//! Pure: `now` is an argument.

use std::time::Duration;

use super::{News, Share, Terms, is_ablated};
use crate::clock::Moment;

/// The least part of what is left over that one may claim, or who comes late would stay without.
const CLAIM: f64 = 0.3;

/// Our part ends so early before a reset: by this part of the time in which others take the margin.
const AHEAD: f64 = 0.3;

/// What remains is never spread over less, in seconds: a reset is told to the second.
const SHORTEST_REST: f64 = 0.5;

/// Never slower than a twentieth of the limit in a window, nor faster than twice.
const SLOWEST: f64 = 0.05;
pub(in crate::rate_limit) const FASTEST: f64 = 2.0;

impl Share {
    /// How long after a request of this cost the next may leave.
    pub(in crate::rate_limit) fn interval(&self, cost: u64, terms: Terms, now: Moment) -> Duration {
        let length = (terms.length + terms.round_trip).as_secs_f64();
        let even = terms.limit.max(1) as f64 / length;
        let to_reset = self.news.zip(self.reset(now));
        let rate = match to_reset {
            Some((news, reset)) => self.rate_to_reset(news, reset - now, terms),
            None => (self.claim(terms) - self.others).min(terms.limit as f64) / length,
        };
        let rate = rate.clamp(even * SLOWEST, even * FASTEST);
        // The slots of a large request end with the reset, when all is there anew; without one two
        // windows are enough for any cost.
        let most = to_reset.map_or(2.0 * length, |(_, reset)| (reset - now).as_secs_f64());
        let seconds = (cost as f64 / rate).min(most.max(1.0 / rate));
        Duration::try_from_secs_f64(seconds).unwrap_or(terms.length)
    }

    /// Requests in a second that use up what is ours by the reset.
    fn rate_to_reset(&self, news: News, rest: Duration, terms: Terms) -> f64 {
        let (rest, margin) = (rest.as_secs_f64(), self.margin(terms));
        let rate = self.others / terms.seconds();
        let theirs = rate * rest;
        let remains = news.remaining.saturating_sub(news.since) as f64;
        if is_ablated("end") {
            return (remains - margin - theirs) / rest.max(SHORTEST_REST);
        }
        let ahead = match rate > 0.0 {
            true => AHEAD * margin / rate,
            false => 0.0,
        };
        (remains - theirs.hypot(margin)) / (rest - ahead).max(SHORTEST_REST)
    }

    /// How much of a bit-by-bit window may be used by the others and us.
    fn claim(&self, terms: Terms) -> f64 {
        let margin = self.margin(terms);
        let most = self.total(terms) - margin;
        let Some(news) = self
            .news
            .filter(|_| self.bit_by_bit && !is_ablated("claim"))
        else {
            return most;
        };
        let taken = news.total.saturating_sub(news.remaining).max(1) as f64;
        let part = (1.0 - self.others / taken).clamp(CLAIM, 1.0);
        most - (news.remaining as f64 - margin).max(0.0) * (1.0 - part)
    }
}
