//! One request's turn: its permit, from the first grant to the last answer.
//!
//! The limiter's future owns it; the layers beneath reach it through the request's extensions
//! (`passage.rs`). Dropping it ends the permit, whatever state it is in.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, StatusCode};

use super::gate::Ticket;
use super::limiter::{Limiter, Permit};
use super::place::{Claim, Entry};
use super::quota_line::QuotaLine;
use super::snapshot::QuotaSnapshot;
use super::state::{Change, Settlement};
use crate::clock::{BoxFuture, Moment, Now};
use crate::error::Error;
use crate::event::Event;
use crate::options::Terms;
use crate::passage::{AccountId, Handle, Layer, Outcome, Passage, Spare};

pub(super) struct Turn {
    limiter: Arc<Limiter>,
    quota: Arc<QuotaLine>,
    terms: Terms,
    ticket: Ticket,
    spare: Option<Spare>,
    outer: Option<Handle>,
    state: Mutex<State>,
}

struct State {
    permit: Option<Permit>,
    /// Whether the last answer was a rejection by the quota.
    rejected: bool,
    /// Whether the last answer was a 401, whose replay inherits the probe.
    may_hold_probe: bool,
    /// When the last answer came.
    settled: Option<Now>,
}

impl Turn {
    /// A turn that has its first permit, with what the layers beneath will find: the clone for
    /// replays, and the handle that was there.
    pub(super) fn new(
        limiter: &Arc<Limiter>,
        place: (Arc<QuotaLine>, Terms),
        (ticket, permit): (Ticket, Permit),
        spare: Option<Spare>,
        outer: Option<Handle>,
    ) -> Arc<Self> {
        let (quota, terms) = place;
        let state = State {
            permit: Some(permit),
            rejected: false,
            may_hold_probe: false,
            settled: None,
        };
        let (limiter, state) = (limiter.clone(), Mutex::new(state));
        Arc::new(Self {
            limiter,
            quota,
            terms,
            ticket,
            spare,
            outer,
            state,
        })
    }

    /// Whether the last answer was a rejection by the quota.
    pub(super) fn is_rejected(&self) -> bool {
        self.state().rejected
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, permit: Permit, outcome: Outcome<'_>) {
        let settings = &self.limiter.settings;
        let now = settings.clock.now();
        let settlement = match outcome {
            Outcome::Unsent => Settlement::Unsent,
            Outcome::Lost => Settlement::Lost,
            Outcome::Answered {
                status,
                headers,
                verdict,
            } => Settlement::Answered(self.quota.report(status, headers, verdict, now)),
        };
        let change = self.quota.settle(permit.id, self.ticket, &settlement, now);
        self.limiter.touch();
        {
            let mut state = self.state();
            state.settled = Some(now);
            state.rejected = false;
            state.may_hold_probe = false;
            if let Settlement::Answered(report) = &settlement {
                state.rejected = report.rejected.is_some();
                state.may_hold_probe = report.status == StatusCode::UNAUTHORIZED;
            }
        }
        self.tell(permit, outcome, change, now);
    }

    fn tell(&self, permit: Permit, outcome: Outcome<'_>, change: Change, now: Now) {
        let events = &self.limiter.settings.events;
        let quota = || self.quota.name.clone();
        let elapsed = now.moment - permit.granted;
        match outcome {
            Outcome::Unsent => {}
            Outcome::Lost => events.emit(|| Event::Lost {
                quota: quota(),
                elapsed,
            }),
            Outcome::Answered {
                status, headers, ..
            } => events.emit(|| Event::Answered {
                quota: quota(),
                status,
                elapsed,
                request_id: self.request_id(headers),
            }),
        }
        match (change, outcome) {
            (
                Change::ClosedUntil(moment),
                Outcome::Answered {
                    status, headers, ..
                },
            ) => {
                events.emit(|| Event::QuotaRejected {
                    quota: quota(),
                    status,
                    until: now.wall_at(moment),
                    request_id: self.request_id(headers),
                });
            }
            (Change::Reopened, _) => events.emit(|| Event::QuotaReopened { quota: quota() }),
            _ => {}
        }
    }

    /// What was left of its quota after the last answer.
    pub(super) fn snapshot(&self) -> QuotaSnapshot {
        let settled = self.state().settled;
        self.quota
            .snapshot(settled.unwrap_or_else(|| self.limiter.settings.clock.now()))
    }

    pub(super) fn request_id(&self, headers: &HeaderMap) -> Option<String> {
        let name = self.limiter.settings.request_id_header.as_ref()?;
        Some(headers.get(name)?.to_str().ok()?.to_owned())
    }
}

impl Passage for Turn {
    fn account(&self) -> AccountId {
        self.limiter.settings.id
    }

    fn layer(&self) -> Layer {
        Layer::RateLimit
    }

    fn has_credentials(&self) -> bool {
        self.limiter.settings.has_credentials
    }

    fn settle(&self, outcome: Outcome<'_>) {
        let permit = self.state().permit.take();
        if let Some(permit) = permit {
            self.end(permit, outcome);
        }
    }

    fn acquire(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            if self.state().permit.is_some() {
                return Ok(());
            }
            let now = self.limiter.settings.clock.now();
            let claim = Claim::Again(self.ticket);
            let entry = self.limiter.enter(&self.quota, claim, &self.terms, now)?;
            let (_, permit) = match entry {
                Entry::Granted(ticket, permit) => (ticket, permit),
                Entry::Waiting(place) => place.wait().await?,
            };
            self.state().permit = Some(permit);
            Ok(())
        })
    }

    fn spare(&self) -> Option<&Spare> {
        self.spare.as_ref()
    }

    fn deadline(&self) -> Option<Moment> {
        self.terms.patience.deadline
    }

    fn outer(&self) -> Option<&Handle> {
        self.outer.as_ref()
    }
}

impl Drop for Turn {
    /// Dropped with a permit, the request may be on the wire: it counts as sent.
    fn drop(&mut self) {
        self.settle(Outcome::Lost);
        if self.state().may_hold_probe {
            self.quota
                .abandon(self.ticket, self.limiter.settings.clock.now());
        }
    }
}
