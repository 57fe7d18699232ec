//! A window of which nothing was learned.
//!
//! Pure.

use super::Live;
use crate::clock::Moment;

impl Live {
    /// Forgets what the server told. Our own count stays.
    pub(in crate::rate_limit) fn reopen(&mut self) {
        self.limit = self.configured;
        self.total = self.configured;
        self.limit_told = Moment::ZERO;
        self.limit_sent = Moment::ZERO;
        self.others = None;
        self.spent_until = Moment::ZERO;
        self.blind_until = None;
        self.reset = None;
        self.left_by_server = None;
    }
}
