//! Requests whose answers have come and whose bodies have not ended: the server still has them, so
//! `max_in_flight` counts them. For the windows they are answered.
//!
//! Pure: `now` is an argument.

use super::Ledger;
use crate::clock::Now;
use crate::cost::Costs;
use crate::rate_limit::in_flight::{PermitId, Slot};

impl Ledger {
    /// The body of an answer has begun; [`end_body`](Self::end_body) ends it. One that takes longer
    /// than a request may take to be answered counts as ended.
    pub(crate) fn begin_body(&mut self, now: Now) -> PermitId {
        self.bodies.add(Slot {
            granted: now.moment,
            costs: Costs::default(),
        })
    }

    pub(crate) fn end_body(&mut self, body: PermitId) {
        self.bodies.take(body);
    }

    /// Whether as many are on the wire as may be.
    pub(super) fn is_full(&self) -> bool {
        let count = self.in_flight.count() + self.bodies.count();
        self.max_in_flight.is_some_and(|most| count >= most)
    }

    pub(super) fn forget_bodies(&mut self, now: Now) {
        let hanging = self.unanswered_after;
        while self.bodies.take_overdue(now.moment, hanging).is_some() {}
    }
}
