//! One request's turn: its permit, from the first grant to the last answer.
//!
//! The limiter's future owns it; the layers beneath reach it through the request's extensions
//! (`passage.rs`). Dropping it ends the permit, whatever state it is in.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::destination::Destination;
use super::limiter::{Asked, Granted, Limiter};
use super::seat::{Ended, Seat};
use super::snapshot::QuotaSnapshot;
use super::ticket::Ticket;
use crate::clock::{BoxFuture, Moment};
use crate::error::Error;
use crate::passage::{AccountId, Handle, Layer, Outcome, Passage, Spare};

pub(super) struct Turn {
    pub(super) seat: Seat,
    pub(super) sent: Sent,
    spare: Option<Spare>,
    outer: Option<Handle>,
    state: Mutex<State>,
}

/// What is known of the request after it has left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) destination: Destination,
    /// The caller said of which quota it is.
    pub(super) names_quota: bool,
}

struct State {
    permit: Option<Granted>,
    /// How the last permit ended.
    ended: Option<Ended>,
}

impl Turn {
    /// A turn that has its first permit, with what the layers beneath will find: the clone for
    /// replays, and the handle that was there.
    pub(super) fn new(
        limiter: &Arc<Limiter>,
        asked: Asked,
        (ticket, permit): (Ticket, Granted),
        sent: Sent,
        spare: Option<Spare>,
        outer: Option<Handle>,
    ) -> Arc<Self> {
        let state = State {
            permit: Some(permit),
            ended: None,
        };
        Arc::new(Self {
            seat: Seat::new(limiter.clone(), asked, ticket),
            sent,
            spare,
            outer,
            state: Mutex::new(state),
        })
    }

    /// Whether the last answer was a rejection by the quota.
    pub(super) fn is_rejected(&self) -> bool {
        let ended = self.state().ended;
        ended.is_some_and(|ended| ended.rejected.is_some())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was left of its quota after the last answer.
    pub(super) fn snapshot(&self) -> QuotaSnapshot {
        let ended = self.state().ended.map(|ended| ended.now);
        let now = ended.unwrap_or_else(|| self.seat.limiter.settings.clock.now());
        self.seat.quota().snapshot(now)
    }
}

impl Passage for Turn {
    fn account(&self) -> AccountId {
        self.seat.limiter.settings.id
    }

    fn layer(&self) -> Layer {
        Layer::RateLimit
    }

    fn has_credentials(&self) -> bool {
        self.seat.limiter.settings.has_credentials
    }

    fn settle(&self, outcome: Outcome<'_>) {
        let permit = self.state().permit.take();
        if let Some(permit) = permit {
            let ended = self.seat.end(permit, outcome);
            self.state().ended = Some(ended);
        }
    }

    fn acquire(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            if self.state().permit.is_some() {
                return Ok(());
            }
            let permit = self.seat.acquire().await?;
            self.state().permit = Some(permit);
            Ok(())
        })
    }

    fn spare(&self) -> Option<&Spare> {
        self.spare.as_ref()
    }

    fn deadline(&self) -> Option<Moment> {
        self.seat.terms.patience.deadline
    }

    fn outer(&self) -> Option<&Handle> {
        self.outer.as_ref()
    }
}

impl Drop for Turn {
    /// Dropped with a permit, the request may be on the wire: it counts as sent.
    fn drop(&mut self) {
        // Nobody else has it any more, so no lock is needed.
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(permit) = state.permit.take() {
            self.seat.end(permit, Outcome::Lost);
        } else if let Some(ended) = state.ended.filter(|ended| ended.may_hold_probe) {
            self.seat.abandon(ended.now);
        }
    }
}
