//! Leave to ask the token endpoint. No token request goes without a [`Launch`].
//!
//! Two things have to agree: the account's own launch bucket, which bounds its token requests
//! whatever happens, and the limits that the endpoint publishes, which all accounts of the process
//! share that ask there.

use std::sync::Arc;

use super::cell::Waiter;
use super::decision::Decision;
use super::refresh_task::{FlightTask, Shared};
use super::state::Need;
use crate::clock::{Moment, Now};
use crate::sync::{Handle, watch};

/// The published limits of a token endpoint, as a port: the tally that keeps them is not this
/// half's.
pub(crate) trait TokenLimit: Send + Sync {
    /// When there is room, by the last look; now or earlier: at once. Takes no lock.
    fn room(&self) -> Moment;

    /// Looks again, since room may have come earlier than it was told (a clock was set, a request
    /// was not sent after all).
    fn look(&self, now: Now);

    /// Lets one request leave, if there is room.
    fn take(&self, now: Now) -> bool;

    /// That request ended; if it was not `sent`, it does not count.
    fn end(&self, sent: bool, now: Now);
}

/// Leave for one token request. Dropped, it ends: a request that was lost or broken off counts from
/// then on, one that never left does not count.
pub(crate) struct Launch {
    shared: Arc<Shared>,
    sent: bool,
}

impl Launch {
    /// The request leaves. That may be long after it was allowed to, if the store is slow: by then
    /// the bucket would be full again for others.
    pub(in crate::auth) fn leave(&mut self) {
        self.sent = true;
        let now = self.shared.clock.now().moment;
        let board = &self.shared.board;
        board.change(|posting| posting.state.leave(now));
    }

    /// The server has seen the request, or it turned out that it has not.
    pub(in crate::auth) fn set_sent(&mut self, sent: bool) {
        self.sent = sent;
    }
}

impl Drop for Launch {
    fn drop(&mut self) {
        if let Some(limit) = &self.shared.source.settings.limit {
            limit.end(self.sent, self.shared.clock.now());
        }
    }
}

impl Shared {
    /// When the published limits allow the next token request.
    pub(in crate::auth) fn room(&self) -> Moment {
        let limit = self.source.settings.limit.as_ref();
        limit.map_or(Moment::ZERO, |limit| limit.room())
    }

    /// Looks at the published limits again; for those who have to wait anyway.
    pub(super) fn look_for_room(&self, now: Now) {
        if let Some(limit) = &self.source.settings.limit {
            limit.look(now);
        }
    }

    /// Leave by the published limits.
    pub(in crate::auth) fn launch(self: &Arc<Self>, now: Now) -> Option<Launch> {
        let limit = self.source.settings.limit.as_ref();
        if limit.is_some_and(|limit| !limit.take(now)) {
            return None;
        }
        let shared = self.clone();
        Some(Launch {
            shared,
            sent: false,
        })
    }

    /// Leave for one more token request of the same flight.
    pub(super) fn launch_another(self: &Arc<Self>) -> Option<Launch> {
        let now = self.clock.now();
        let launch = self.launch(now)?;
        let allowed = |state: &mut super::state::State| state.launch_another(now.moment);
        let allowed = self.board.change(|posting| allowed(&mut posting.state));
        allowed.then_some(launch)
    }

    /// Starts a flight, unless that is not due any more; the one who started it gets to wait first.
    pub(in crate::auth) fn start(self: &Arc<Self>, need: Need) -> Option<Waiter> {
        let (flight, waiter) = self.board.change(|posting| {
            let now = self.clock.now();
            match posting.state.decide(need, now, self.room()) {
                Decision::Refresh | Decision::UseAndRefresh => {}
                _ => return None,
            }
            let launch = match posting.state.only_rereads(now) {
                true => None,
                // Another account may just have taken the last.
                false => Some(self.launch(now)?),
            };
            let plan = posting.state.take_off(need, now);
            if let Need::NewerThan(generation) = need {
                posting.state.condemn(generation);
            }
            let (announcer, waiter) = watch::channel(None);
            posting.waiter = Some(waiter.clone());
            let flight = FlightTask::new(self.clone(), plan, launch, announcer);
            Some((flight, waiter))
        })?;
        match Handle::try_current() {
            Ok(runtime) => {
                let span = flight.span().clone();
                runtime.spawn(span.around(flight.run()));
            }
            // Dropping the flight frees its place.
            Err(_) => drop(flight),
        }
        Some(waiter)
    }
}

#[cfg(test)]
mod tests;
