//! What survives the process of one window.
//!
//! Pure: `now` is an argument.

use super::{LARGEST_LIMIT, Live, Others, Reset};
use crate::clock::{Moment, Now};
use crate::rate_limit::saved::{self, Dial, SavedLive};
use crate::rate_limit::window::Window;

impl Live {
    /// `shared` is what others took by the word of the window's share, and until when that counts.
    pub(in crate::rate_limit) fn save(&self, shared: Option<(u64, Moment)>, now: Now) -> SavedLive {
        let end = |moment| saved::saved_end(moment, now);
        let others = self.others.map(|others| (others.count, others.until));
        SavedLive {
            configured: self.configured,
            limit: self.limit,
            limit_told: Some(saved::saved(self.limit_told, now)),
            total: self.total,
            answered: self.answered.save(now),
            others: shared
                .or(others)
                .and_then(|(count, until)| Some((count, end(until)?))),
            spent_until: end(self.spent_until),
            reset: self.reset.and_then(|reset| end(reset.at)),
            left_by_server: self.left_by_server,
        }
    }

    /// The window as it was saved.
    pub(in crate::rate_limit) fn restored(window: &Window, saved: &SavedLive, dial: Dial) -> Self {
        let mut live = Self::new(window, dial.now);
        // A raise too, until it shows whether the window still follows them.
        live.limit = saved.limit.min(window.limit.max(LARGEST_LIMIT));
        live.total = saved.total.max(live.limit);
        live.limit_told = saved
            .limit_told
            .map_or(dial.now.moment, |told| dial.past(told));
        live.answered.restore(&saved.answered, dial);
        live.others = saved.others.map(|(count, until)| Others {
            count,
            until: dial.until(until),
        });
        live.spent_until = saved
            .spent_until
            .map_or(Moment::ZERO, |end| dial.until(end));
        live.reset = saved.reset.map(|end| Reset {
            at: dial.until(end),
            told: dial.now.moment,
        });
        live.left_by_server = saved.reset.and(saved.left_by_server);
        live
    }

    /// Whether nothing that was counted or told holds anybody back any more.
    pub(in crate::rate_limit) fn is_idle(&mut self, now: Now) -> bool {
        self.forget(now);
        let is_over = self.others.is_none() && self.reset.is_none();
        is_over && self.own() == 0 && self.spent_until <= now.moment
    }
}
