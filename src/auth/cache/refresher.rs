//! One flight: adopt, ask, parse, save.
//!
//! 1. **Adopt.** Another process may have renewed already; its token is in the store.
//! 2. **Ask** the token endpoint, once. A refresh token is presented under the store's lease, after
//!    its mark is written ([`refresh_chain`](crate::auth::persistence::refresh_chain) says when);
//!    grants that can be repeated take the lease only where several processes share the store, so
//!    that they share the token too. If the answer is lost, the grant is presented once more at
//!    once.
//! 3. **Parse**, and salvage the refresh token whatever else the answer says.
//! 4. **Save** it before the access token is used: after a crash in between, a person would have to
//!    log in.
//!
//! Publishing and waking are the cache's.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::budget::Launch;
use super::fresh_grant::Offset;
use super::outcome::{Failure, Landing};
use super::requester::{LONGEST_REQUEST, Presented};
use super::state::Plan;
use crate::auth::oauth::endpoint::TokenEndpoint;
use crate::auth::oauth::response::{Answer, Issued, Refusal};
use crate::auth::persistence::record::{self, Tokens, seconds};
use crate::auth::persistence::refresh_expiry::RefreshExpiry;
use crate::auth::persistence::{Taken, TokenPersistence};
use crate::auth::token::{Lifetime, Times, Token, cap_after_refusal};
use crate::auth::{AuthSettings, OAuthSettings};
use crate::clock::{Clock, Moment, Now};
use crate::observe::event::{Event, Events, RenewalReason};
use crate::sync::{AtomicBool, Mutex, MutexGuard};

/// How often the store is looked into while another process has the right and a request waits.
pub(in crate::auth) const POLL: Duration = Duration::from_millis(250);
/// The same while no request waits.
const IDLE_POLL: Duration = Duration::from_secs(2);
/// For a grant that can be repeated, the right of another process is waited for this long: its
/// lease and a little more.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Where an account's tokens come from.
pub(crate) struct Source {
    pub(in crate::auth) settings: Arc<OAuthSettings>,
    pub(in crate::auth) endpoint: Box<dyn TokenEndpoint>,
    pub(in crate::auth) persistence: Arc<TokenPersistence>,
    pub(in crate::auth) clock: Arc<dyn Clock>,
    pub(in crate::auth) events: Events,
    /// Learned from a refused token of unknown expiry, for the next one.
    cap: Mutex<Option<Duration>>,
    pub(in crate::auth) offset: Offset,
    refresh_expiry: Mutex<RefreshExpiry>,
    has_reported_type: AtomicBool,
}

/// A flight under way.
pub(crate) struct Flight<'a> {
    pub(crate) plan: Plan,
    /// The token that is to be replaced.
    pub(crate) present: Option<Arc<Token>>,
    /// Asks for leave for another token request.
    pub(crate) launch_another: &'a (dyn Fn() -> Option<Launch> + Send + Sync),
    /// Whether a login waits for the flight's place.
    pub(crate) must_give_way: &'a (dyn Fn() -> bool + Send + Sync),
}

impl Flight<'_> {
    /// Until when requests can go on with the token that is to be replaced; none if they wait.
    pub(in crate::auth) fn usable_until(&self, now: Now) -> Option<Moment> {
        let is_used = matches!(self.plan.reason, RenewalReason::Stale);
        let times = self.present.as_ref().filter(|_| is_used)?.times();
        let left = times.left(now);
        (!left.is_zero()).then(|| now.moment + left)
    }

    /// How long until the store is looked into again.
    pub(in crate::auth) fn poll(&self, now: Now) -> Duration {
        match self.usable_until(now) {
            Some(_) => IDLE_POLL,
            None => POLL,
        }
    }
}

/// How it ended, and what to tell once it is published.
pub(crate) type Flown = (Landing, Option<Event>);

impl Source {
    pub(crate) fn new(
        account: &AuthSettings,
        settings: Arc<OAuthSettings>,
        endpoint: Box<dyn TokenEndpoint>,
    ) -> Self {
        let key = record::key(&account.account, &settings);
        let (clock, events) = (account.clock.clone(), account.events.clone());
        let persistence = TokenPersistence::new(
            settings.store.clone(),
            key,
            settings.terms,
            clock.clone(),
            events.clone(),
        );
        Self {
            settings,
            endpoint,
            persistence,
            clock,
            events,
            cap: Mutex::default(),
            offset: Offset::default(),
            refresh_expiry: Mutex::default(),
            has_reported_type: AtomicBool::new(false),
        }
    }

    /// A token of unknown expiry was refused at this age, and its successor was not.
    pub(crate) fn learn(&self, age: Duration) {
        *self.cap() = Some(cap_after_refusal(age));
    }

    fn cap(&self) -> MutexGuard<'_, Option<Duration>> {
        self.cap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::auth) fn refreshes(&self) -> bool {
        self.settings.grant.0.refreshes()
    }

    /// Runs one, with leave for its token request unless it only reads the store again.
    pub(crate) async fn fly(&self, flight: &Flight<'_>, launch: Option<Launch>) -> Flown {
        if self.refreshes() {
            return self.renew(flight, launch).await;
        }
        if flight.plan.reread_only || !self.persistence.is_shared() {
            return self.adopt_or_ask(flight, launch).await;
        }
        let _hold = self.persistence.hold();
        let flown = async {
            match self.wait_for_right(flight).await {
                Some(flown) => flown,
                None => self.adopt_or_ask(flight, launch).await,
            }
        };
        self.persistence.while_right_is_kept(flown).await
    }

    /// The right spares a token request. Without an answer, and after the time that a dead holder's
    /// lease takes to run out, the grant goes without it: it can be repeated.
    async fn wait_for_right(&self, flight: &Flight<'_>) -> Option<Flown> {
        let until = self.clock.now().moment + LONGEST_WAIT;
        while let Taken::Held = self.persistence.take_right().await {
            if let Ok(Some(flown)) = self.look(flight).await {
                return Some(flown);
            }
            if self.clock.now().moment >= until {
                break;
            }
            self.clock.sleep(POLL).await;
        }
        None
    }

    async fn adopt_or_ask(&self, flight: &Flight<'_>, launch: Option<Launch>) -> Flown {
        if let Ok(Some(flown)) = self.look(flight).await {
            return flown;
        }
        match launch {
            Some(launch) => self.ask(flight, launch).await,
            None => (Landing::NothingNew, None),
        }
    }

    /// Adopts what another process has stored.
    pub(in crate::auth) async fn look(
        &self,
        flight: &Flight<'_>,
    ) -> Result<Option<Flown>, Refusal> {
        let Some((tokens, age)) = self.persistence.load().await? else {
            return Ok(None);
        };
        let Plan {
            generation, reason, ..
        } = flight.plan;
        let refused = flight.present.as_deref();
        let now = self.clock.now();
        let draw = fastrand::f64();
        let token = tokens.fresh_token(generation, &self.settings, refused, draw, age, now);
        self.report_refresh_expiry();
        Ok(token.map(|token| {
            let event = Event::TokenAdopted { reason, generation };
            (Landing::Adopted(Arc::new(token)), Some(event))
        }))
    }

    /// A grant that is presented anew for each token.
    async fn ask(&self, flight: &Flight<'_>, launch: Launch) -> Flown {
        let mut presented = self.present_twice(flight, launch, None).await;
        if self.clock_was_off(&presented) {
            if let Some(launch) = (flight.launch_another)() {
                presented = self.present(flight, launch, None, LONGEST_REQUEST).await;
                // What it learned of the clock is forgotten if that was not it.
                let _ = self.clock_was_off(&presented);
            }
        }
        let answer = match &presented.delivery {
            Ok(answer) => answer,
            Err(refusal) => return failed(refusal.clone()),
        };
        match self.token(flight.plan.generation, answer, presented.start) {
            Ok(token) => {
                // Only other processes gain by it, so no request waits.
                self.persistence.save(Tokens::new(Some(&token), None), true);
                self.renewed(flight.plan.reason, token, &presented, false)
            }
            Err(refusal) => failed(refusal),
        }
    }

    /// The access token of an answer.
    ///
    /// # Errors
    /// There is none, or none that a header can hold.
    pub(in crate::auth) fn token(
        &self,
        generation: u64,
        answer: &Answer,
        start: Now,
    ) -> Result<Token, Refusal> {
        let issued = answer.outcome.as_ref().map_err(Clone::clone)?;
        self.report_unusual_type(issued);
        let times = self.times(issued, start);
        Token::new(generation, &issued.access_token, times).ok_or_else(unusable)
    }

    /// Once: it is sent as Bearer in any case.
    fn report_unusual_type(&self, issued: &Issued) {
        let Some(token_type) = &issued.unusual_type else {
            return;
        };
        if !self.has_reported_type.swap(true, Ordering::Relaxed) {
            let token_type = token_type.clone();
            self.events.emit(|| Event::UnusualTokenType { token_type });
        }
    }

    /// In time for a person to log in again.
    pub(super) fn report_refresh_expiry(&self) {
        let end = self.persistence.chain(|chain| chain.refresh_expires_at());
        let now = self.clock.now().wall;
        let near = {
            let mut expiry = self
                .refresh_expiry
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            expiry.renewed(end, now)
        };
        if let Some(at) = near {
            self.events.emit(|| Event::RefreshTokenExpiring { at });
        }
    }

    fn times(&self, issued: &Issued, start: Now) -> Times {
        let usual = self.settings.fallback_lifetime;
        // The cap is for the next token of unknown expiry, and for that one only: a token that was
        // revoked in its first second must not make all later ones short.
        let cap = *self.cap();
        let lifetime = Lifetime::new(issued.lifetime, usual, cap);
        if matches!(lifetime, Lifetime::Unknown(_)) {
            *self.cap() = None;
        }
        Times::new(start, lifetime, self.settings.refresh_lead, fastrand::f64())
    }

    pub(in crate::auth) fn renewed(
        &self,
        reason: RenewalReason,
        token: Token,
        presented: &Presented,
        rotated: bool,
    ) -> Flown {
        let event = self.renewal(reason, &token, presented.start, rotated);
        (Landing::Renewed(Arc::new(token)), Some(event))
    }

    pub(in crate::auth) fn renewal(
        &self,
        reason: RenewalReason,
        token: &Token,
        start: Now,
        rotated: bool,
    ) -> Event {
        Event::TokenRenewed {
            reason,
            generation: token.generation(),
            expires_at: token.times().expires_at(),
            elapsed: self.clock.now().moment - start.moment,
            rotated,
        }
    }
}

/// What an answer brought, for the record; it was asked for at `start`.
pub(in crate::auth) fn tokens(answer: &Answer, token: Option<&Token>, start: Now) -> Tokens {
    let refresh_token = answer.refresh_token.as_ref().map(|token| token.as_str());
    let mut tokens = Tokens::new(token, refresh_token);
    let end = answer
        .refresh_lifetime
        .and_then(|span| start.wall.checked_add(span));
    tokens.refresh_expires_at = end.map(seconds);
    tokens
}

pub(in crate::auth) fn failed(refusal: Refusal) -> Flown {
    (Landing::Failed(Failure::new(refusal)), None)
}

fn unusable() -> Refusal {
    let message = "the token endpoint gave an access token that no header can hold";
    Refusal::new(crate::auth::oauth::response::Class::Transient, message)
}
