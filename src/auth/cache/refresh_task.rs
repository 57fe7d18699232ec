//! The task of one flight: run it, publish what it brought, tell the observers, wake who waits.
//!
//! It must not leave the board saying "refreshing" for ever. So whatever ends it early (a panic, a
//! runtime that is shut down) drops it, and dropping frees its place.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::budget::Launch;
use super::cell::{Announcer, Board, Flown};
use super::keep_warm::Warmth;
use super::outcome::Landing;
use super::refresher::{self, Flight, Source};
use super::state::Plan;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Recovery};
use crate::observe::event::{Event, Events};
use crate::observe::span::Span;
use crate::sync::{AtomicU64, watch};

/// What the cache and its flights share.
pub(crate) struct Shared {
    pub(crate) account: Arc<str>,
    pub(crate) board: Board,
    pub(crate) source: Source,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) events: Events,
    pub(in crate::auth) warmth: Warmth,
    /// Logins that wait for the place of a flight.
    pub(in crate::auth) logins: AtomicU64,
    /// Tells callers that wait for the next attempt that a token is there, or that the attempt may
    /// begin at once.
    pub(in crate::auth) arrivals: watch::Sender<()>,
}

/// A flight under way. Dropped before it lands, it frees its place.
pub(crate) struct FlightTask {
    shared: Arc<Shared>,
    plan: Plan,
    launch: Option<Launch>,
    announcer: Option<Announcer>,
    span: Span,
}

impl FlightTask {
    pub(crate) fn new(
        shared: Arc<Shared>,
        plan: Plan,
        launch: Option<Launch>,
        announcer: Announcer,
    ) -> Self {
        let span = Span::renewal(&shared.account, plan.reason, plan.generation);
        Self {
            shared,
            plan,
            launch,
            announcer: Some(announcer),
            span,
        }
    }

    /// What the flight is to be seen in.
    pub(in crate::auth) fn span(&self) -> &Span {
        &self.span
    }

    pub(crate) async fn run(mut self) {
        let shared = self.shared.clone();
        let launch_another = || shared.launch_another();
        let must_give_way = || shared.logins.load(Ordering::Relaxed) > 0;
        let flight = Flight {
            plan: self.plan,
            present: shared.board.read().state.token().cloned(),
            launch_another: &launch_another,
            must_give_way: &must_give_way,
        };
        let flown = shared.source.fly(&flight, self.launch.take()).await;
        self.land(flown);
    }

    /// Publish, tell, wake.
    fn land(&mut self, (landing, event): refresher::Flown) {
        let announcer = self.announcer.take();
        let now = self.shared.clock.now();
        let (result, next) = self.shared.board.change(|posting| {
            let landed = posting.state.land(&landing, now, fastrand::f64());
            posting.waiter = None;
            (landed, posting.state.token().cloned())
        });
        let result = match (result, next) {
            (Ok(()), Some(token)) => Ok(token),
            (Ok(()), None) => Err(broken_off()),
            (Err(error), _) => Err(error.with_account(&self.shared.account)),
        };
        self.span.ended(outcome(event.as_ref(), &result));
        // That a look into the store found nothing is no news.
        if !matches!(landing, Landing::NothingNew) {
            self.tell(event, &result);
        }
        if result.is_ok() {
            self.shared.arrivals.send_replace(());
        }
        if let Some(announcer) = announcer {
            announcer.send_replace(Some(result));
        }
        self.shared.warmth.tell();
    }

    fn tell(&self, event: Option<Event>, result: &Flown) {
        if let Some(event) = event {
            self.shared.events.emit(|| event);
        }
        if let Err(error) = result {
            self.shared.events.emit(|| Event::TokenFailed {
                error: error.clone(),
                retry_at: match error.recovery() {
                    Recovery::WaitUntil(time) => Some(time),
                    _ => None,
                },
            });
        }
    }
}

impl Drop for FlightTask {
    fn drop(&mut self) {
        if self.announcer.is_none() {
            return;
        }
        self.span.ended("broken_off");
        let now = self.shared.clock.now();
        self.shared.board.change(|posting| {
            posting.state.abandon(now);
            posting.waiter = None;
        });
        let persistence = &self.shared.source.persistence;
        let sent = persistence.chain(|chain| chain.is_sent());
        self.shared.events.emit(|| Event::RefreshAbandoned { sent });
        self.shared.warmth.tell();
    }
}

fn outcome(event: Option<&Event>, result: &Flown) -> &'static str {
    match (event, result) {
        (_, Err(error)) => error.kind().as_str(),
        (Some(Event::TokenAdopted { .. }), Ok(_)) => "adopted",
        (_, Ok(_)) => "renewed",
    }
}

/// The error of a flight that ended without a result.
pub(crate) fn broken_off() -> Error {
    let message = "the renewal of the token was broken off";
    Error::new(ErrorKind::TokenEndpoint, Recovery::Retry, message)
}
