//! When a share has to wait for news, since others may have taken what was left.
//!
//! Pure: `now` is an argument.

use super::{Share, Terms, is_ablated};
use crate::clock::Moment;

/// Standard deviations that are kept back, of what others take and the server forgets.
const DEVIATIONS: f64 = 1.5;

/// However little is left, one goes to see after a tenth of a window; after a fifth if none is.
const LOOK: f64 = 0.1;
const LOOK_AT_NOTHING: f64 = 0.2;

/// Where a server forgets bit by bit, what is missing is awaited for so many times as long as the
/// limit would take to hand it out: others wait for theirs too.
const RECOVERY: f64 = 4.0;

impl Share {
    /// The end of the hold; none: a request of this cost may leave.
    pub(in crate::rate_limit) fn holds(
        &self,
        cost: u64,
        terms: Terms,
        now: Moment,
    ) -> Option<Moment> {
        let news = self.news.filter(|_| !is_ablated("hold"))?;
        let remains = self.remains(news);
        let cost = cost as f64;
        if remains >= cost + self.margin(terms) {
            return None;
        }
        let windows = self.windows_held(cost - remains, terms);
        let look = self.left + terms.length.mul_f64(windows);
        let reset = self.ends(news);
        let until = match !self.bit_by_bit && (remains < cost || reset < look) {
            true => reset,
            false => look,
        };
        Some(until).filter(|until| *until > now)
    }

    /// For which part of a window to wait if so much is missing, or the margin beyond it.
    fn windows_held(&self, missing: f64, terms: Terms) -> f64 {
        if self.bit_by_bit {
            let to_margin = missing + self.margin(terms);
            return (RECOVERY * to_margin / self.total(terms)).clamp(0.0, LOOK_AT_NOTHING);
        }
        match missing > 0.0 {
            true => LOOK_AT_NOTHING,
            false => LOOK,
        }
    }

    /// What the others may take beyond what the server forgets, until an answer tells.
    pub(super) fn margin(&self, terms: Terms) -> f64 {
        let rate = self.others / terms.seconds();
        let age = self.gap(terms) + terms.round_trip.as_secs_f64();
        DEVIATIONS * (2.0 * rate * age).sqrt()
    }
}
