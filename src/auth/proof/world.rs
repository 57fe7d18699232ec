//! An account in a world that is turned by hand: nothing happens between two steps of a test.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Wake;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::server::Server;
use super::shelf::Shelf;
use crate::auth::cache::Cache;
use crate::auth::cache::state::{Need, Phase};
use crate::auth::testing::{Log, oauth, settings};
use crate::auth::token::Token;
use crate::auth::{AuthSettings, Authenticator, Grant};
use crate::clock::manual::HandClock;
use crate::clock::{Clock, Moment};
use crate::error::Error;
use crate::observe::event::{Event, Events, Observer, RenewalReason};
use crate::options::Patience;

pub(super) const CALLBACK: &str = "http://127.0.0.1:8139/callback";
/// It waits for a flight, for the lease and for the answer.
const LONGEST_LOGIN: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// client_credentials, without a store or with one.
    Client { stored: bool },
    /// A configured refresh token, without a store or with one.
    Refresh { stored: bool },
    /// A person has logged in before.
    Login,
}

impl Kind {
    pub(super) fn refreshes(self) -> bool {
        !matches!(self, Self::Client { .. })
    }

    pub(super) fn has_store(self) -> bool {
        !matches!(
            self,
            Self::Client { stored: false } | Self::Refresh { stored: false }
        )
    }
}

/// What a caller came for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    Token(Need),
    Flush,
    LogIn,
    /// A request through the layers.
    Send,
}

pub(super) type Outcome = Result<Option<Arc<Token>>, Error>;

/// Somebody who waits for the account.
pub(super) struct Caller {
    pub(super) errand: Errand,
    /// Joined the flight that was under way at its first poll.
    pub(super) joined: bool,
    pub(super) future: Pin<Box<dyn Future<Output = Outcome>>>,
    pub(super) awake: Arc<Awake>,
}

pub(super) struct Awake(pub(super) AtomicBool);

impl Wake for Awake {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// When forced renewals that brought a token asked for it.
#[derive(Clone)]
struct Forced(HandClock, Arc<Mutex<Vec<Moment>>>);

impl Observer for Forced {
    fn on_event(&self, _: &str, event: &Event) {
        let Event::TokenRenewed {
            reason, elapsed, ..
        } = event
        else {
            return;
        };
        if matches!(reason, RenewalReason::Rejected | RenewalReason::Manual) {
            let requested = self.0.now().moment.earlier(*elapsed);
            self.1.lock().expect("no panic").push(requested);
        }
    }
}

pub(super) struct World {
    pub(super) clock: HandClock,
    pub(super) server: Server,
    pub(super) shelf: Shelf,
    pub(super) kind: Kind,
    pub(super) cache: Arc<Cache>,
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) callers: Vec<Caller>,
    /// How callers ended, and what they came for.
    pub(super) ended: Vec<(Errand, Outcome)>,
    pub(super) violations: Vec<String>,
    /// The tokens that requests got, each once.
    pub(super) handed: Vec<Arc<Token>>,
    /// The newest generation that was refused or invalidated.
    pub(super) refused: u64,
    /// The generation at which a runtime was torn down last.
    pub(super) torn_down: u64,
    /// Until when a login may hold the place of a flight.
    pub(super) login_until: Moment,
    forced: Forced,
    pub(super) runtime: Option<Runtime>,
}

pub(super) fn runtime() -> Option<Runtime> {
    tokio::runtime::Builder::new_current_thread().build().ok()
}

impl World {
    pub(super) fn new(kind: Kind, forgiving: bool) -> Self {
        // The account's jitter; each test is its own thread's only user of it.
        fastrand::seed(7);
        let clock = HandClock::new();
        let first = kind.refreshes().then_some("r0");
        let shelf = Shelf::new(clock.clone());
        let server = Server::new(clock.clone(), first, forgiving);
        let server = server.beside(kind.has_store().then_some(&shelf));
        let forced = Forced(clock.clone(), Arc::default());
        let authenticator = Self::account(kind, &clock, &server, &shelf, &forced);
        let shared = authenticator.cache().expect("a cache").shared.clone();
        Self {
            clock,
            server,
            shelf,
            kind,
            cache: Arc::new(Cache { shared }),
            authenticator,
            callers: Vec::new(),
            ended: Vec::new(),
            violations: Vec::new(),
            handed: Vec::new(),
            refused: 0,
            torn_down: 0,
            login_until: Moment::ZERO,
            forced,
            runtime: runtime(),
        }
    }

    fn account(
        kind: Kind,
        clock: &HandClock,
        server: &Server,
        shelf: &Shelf,
        forced: &Forced,
    ) -> Arc<Authenticator> {
        let mut oauth = oauth(match kind {
            Kind::Client { .. } => Grant::client_credentials(),
            Kind::Refresh { .. } => Grant::refresh_token("r0"),
            Kind::Login => Grant::authorization_code(CALLBACK),
        });
        oauth.authorization_url = "https://login.example/authorize".parse().ok();
        if kind.has_store() {
            oauth.store = Some(Arc::new(shelf.clone()));
        }
        if kind == Kind::Login {
            shelf.put(Some("r0"), None);
        }
        let account = AuthSettings {
            oauth: Some(oauth),
            clock: Arc::new(clock.clone()),
            events: Events::new("test".into(), vec![Arc::new(forced.clone())]),
            ..settings(None, &Log::default())
        };
        let endpoint = Box::new(server.clone());
        Arc::new(Authenticator::with_endpoint(account, endpoint))
    }

    pub(super) fn present(&self) -> Option<Arc<Token>> {
        self.cache.present()
    }

    pub(super) fn is_refreshing(&self) -> bool {
        let posting = self.cache.shared.board.read();
        matches!(posting.state.phase, Phase::Refreshing { .. })
    }

    pub(super) fn backs_off(&self) -> bool {
        let posting = self.cache.shared.board.read();
        matches!(posting.state.phase, Phase::BackingOff { .. })
    }

    pub(super) fn forced(&self) -> Vec<Moment> {
        self.forced.1.lock().expect("no panic").clone()
    }

    /// Within the runtime, as a caller's task would be.
    pub(super) fn inside<T>(&self, what: impl FnOnce() -> T) -> T {
        let _inside = self.runtime.as_ref().map(Runtime::enter);
        what()
    }

    pub(super) fn admit(
        &mut self,
        errand: Errand,
        future: impl Future<Output = Outcome> + 'static,
    ) {
        self.callers.push(Caller {
            errand,
            joined: false,
            future: Box::pin(future),
            awake: Arc::new(Awake(AtomicBool::new(true))),
        });
    }

    pub(super) fn ask(&mut self, need: Need, patience: Patience) {
        let cache = self.cache.clone();
        self.admit(Errand::Token(need), async move {
            let ready = match need {
                Need::Usable => cache.ready(cache.shared.clock.now()),
                Need::NewerThan(_) => None,
            };
            match ready {
                Some(token) => Ok(Some(token)),
                None => cache.token(need, patience).await.map(Some),
            }
        });
    }

    pub(super) fn flush(&mut self) {
        let cache = self.cache.clone();
        let flush = async move { cache.flush().await.map(|()| None) };
        self.admit(Errand::Flush, flush);
    }

    pub(super) fn log_in(&mut self) {
        self.login_until = self.clock.now().moment + LONGEST_LOGIN;
        let cache = self.cache.clone();
        self.admit(Errand::LogIn, async move {
            let request = cache.authorization_request()?;
            let callback = format!("{CALLBACK}?code=c0de&state={}", request.state());
            request.exchange(&callback).await.map(|()| None)
        });
    }
}
