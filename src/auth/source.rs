//! One flight: adopt, ask, parse, save.
//!
//! 1. **Adopt.** Another process may have renewed already; its token is in the store.
//! 2. **Ask** the token endpoint, once. A refresh token that may be good for one use is asked with
//!    under the store's lease. If the answer is lost, it is presented once more at once, while a
//!    server that forgives a repetition still does.
//! 3. **Parse**, and salvage the refresh token whatever else the answer says.
//! 4. **Save** it before the access token is used: after a crash in between, nobody could log in.
//!
//! Publishing and waking are the cache's.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use zeroize::Zeroizing;

use super::answer::{Answer, Class, Issued, Refusal};
use super::endpoint::TokenEndpoint;
use super::grant::GrantKind;
use super::landing::{Failure, Landing};
use super::launch::Launch;
use super::own::Offset;
use super::present::{LONGEST_REQUEST, Presented};
use super::record::{self, Tokens};
use super::state::Plan;
use super::token::{Lifetime, Times, Token, cap_after_refusal};
use super::vault::Vault;
use super::{AuthSettings, OAuthSettings};
use crate::clock::{Clock, Now};
use crate::event::{Event, Events, RenewalReason};
use crate::sync::{AtomicBool, Mutex, MutexGuard};

pub(super) const LEASE_POLL: Duration = Duration::from_millis(250);
pub(super) const LEASE_POLLS: u32 = 60;

/// Where an account's tokens come from.
pub(crate) struct Source {
    pub(super) settings: Arc<OAuthSettings>,
    pub(super) endpoint: Box<dyn TokenEndpoint>,
    pub(super) vault: Arc<Vault>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) events: Events,
    /// Learned from a refused token of unknown expiry, for the next one.
    cap: Mutex<Option<Duration>>,
    pub(super) presenting: AtomicBool,
    pub(super) offset: Offset,
}

/// A flight under way.
pub(crate) struct Flight<'a> {
    pub(crate) plan: Plan,
    /// The token that is to be replaced.
    pub(crate) present: Option<Arc<Token>>,
    /// Asks for leave for another token request.
    pub(crate) launch_another: &'a (dyn Fn() -> Option<Launch> + Send + Sync),
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
        let vault = Vault::new(settings.store.clone(), key, clock.clone(), events.clone());
        Self {
            settings,
            endpoint,
            vault,
            clock,
            events,
            cap: Mutex::default(),
            presenting: AtomicBool::new(false),
            offset: Offset::default(),
        }
    }

    /// A token of unknown expiry was refused at this age, and its successor was not.
    pub(crate) fn learn(&self, age: Duration) {
        *self.cap() = Some(cap_after_refusal(age));
    }

    fn cap(&self) -> MutexGuard<'_, Option<Duration>> {
        self.cap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a flight torn down now may have lost the answer to a single-use refresh token;
    /// asked again, it says no.
    pub(crate) fn take_presenting(&self) -> bool {
        self.presenting.swap(false, Ordering::Relaxed)
    }

    fn refreshes(&self) -> bool {
        self.settings.grant.0.refreshes()
    }

    /// Runs one, with leave for its token request unless it only reads the store again.
    pub(crate) async fn fly(&self, flight: &Flight<'_>, launch: Option<Launch>) -> Flown {
        if !self.refreshes() || flight.plan.reread_only {
            return self.adopt_or_ask(flight, launch).await;
        }
        for _ in 0..LEASE_POLLS {
            if self.vault.lease().await {
                let flown = self.adopt_or_ask(flight, launch).await;
                self.vault.release().await;
                return flown;
            }
            if let Some(flown) = self.look(flight).await.ok().flatten() {
                return flown;
            }
            self.clock.sleep(LEASE_POLL).await;
        }
        let message = "another process holds the right to renew the token and does not finish";
        failed(Refusal::new(Class::Transient, message))
    }

    async fn adopt_or_ask(&self, flight: &Flight<'_>, launch: Option<Launch>) -> Flown {
        match self.look(flight).await {
            Ok(Some(flown)) => return flown,
            Ok(None) => {}
            // A refresh token from the configuration may have been spent long ago.
            Err(refusal) if self.refreshes() && !self.vault.is_known() => return failed(refusal),
            Err(_) => {}
        }
        // Not only what this look has found: an earlier one may have had no leave to ask with it.
        let newer = || self.vault.unpresented().is_some();
        match launch.or_else(|| newer().then(flight.launch_another).flatten()) {
            Some(launch) => self.ask(flight, launch).await,
            None => (Landing::NothingNew, None),
        }
    }

    /// Adopts what another process has stored.
    async fn look(&self, flight: &Flight<'_>) -> Result<Option<Flown>, Refusal> {
        let Some(tokens) = self.vault.look().await? else {
            return Ok(None);
        };
        let Plan {
            generation, reason, ..
        } = flight.plan;
        let refused = flight.present.as_deref();
        let now = self.clock.now();
        let draw = fastrand::f64();
        let token = tokens.fresh_token(generation, &self.settings, refused, draw, now);
        Ok(token.map(|token| {
            let event = Event::TokenAdopted { reason, generation };
            (Landing::Adopted(Arc::new(token)), Some(event))
        }))
    }

    async fn ask(&self, flight: &Flight<'_>, launch: Launch) -> Flown {
        let refresh_token = match self.grant() {
            Ok(refresh_token) => refresh_token,
            Err(refusal) => return failed(refusal),
        };
        let mut presented = self
            .present_twice(flight, launch, refresh_token.as_ref())
            .await;
        if self.clock_was_off(&presented) {
            if let Some(launch) = (flight.launch_another)() {
                presented = self.present(flight, launch, None, LONGEST_REQUEST).await;
                // What it learned of the clock is forgotten if that was not it.
                let _ = self.clock_was_off(&presented);
            }
        }
        let flown = self.receive(flight, &presented).await;
        let rejected = matches!(&flown.0, Landing::Failed(failure)
            if failure.refusal.class.needs_login());
        match rejected {
            true => self.second_opinion(flight, flown).await,
            false => flown,
        }
    }

    /// The refresh token was refused: perhaps because another process has spent it, whose successor
    /// is in the store; or somebody has logged in anew and configured the new one. Once only.
    async fn second_opinion(&self, flight: &Flight<'_>, refused: Flown) -> Flown {
        if let Ok(Some(flown)) = self.look(flight).await {
            return flown;
        }
        let newer = self.vault.unpresented().filter(|_| self.refreshes());
        let Some(newer) = newer.or_else(|| self.new_login()) else {
            return refused;
        };
        let Some(launch) = (flight.launch_another)() else {
            return refused;
        };
        let presented = self.present(flight, launch, Some(&newer), LONGEST_REQUEST);
        self.receive(flight, &presented.await).await
    }

    /// A configured refresh token that the refused chain did not begin with.
    fn new_login(&self) -> Option<Zeroizing<String>> {
        let GrantKind::RefreshToken { initial } = &self.settings.grant.0 else {
            return None;
        };
        let initial = initial.read().ok()?;
        let seed = record::seed(&initial);
        if !self.vault.began_otherwise(&seed) {
            return None;
        }
        self.vault.begin(seed);
        Some(initial)
    }

    async fn receive(&self, flight: &Flight<'_>, presented: &Presented) -> Flown {
        let fail = |refusal: &Refusal| {
            let refusal = refusal.clone();
            let lost = presented.lost;
            (Landing::Failed(Failure { refusal, lost }), None)
        };
        let answer = match &presented.delivery {
            Ok(answer) => answer,
            Err(refusal) => return fail(refusal),
        };
        let generation = flight.plan.generation;
        let token = match &answer.outcome {
            Ok(issued) => self
                .token(generation, issued, presented.start)
                .ok_or_else(|| {
                    let message = "the token endpoint gave an access token that no header can hold";
                    Refusal::new(Class::Transient, message)
                }),
            Err(refusal) => Err(refusal.clone()),
        };
        let rotated = self.keep(answer, token.as_ref().ok()).await;
        match token {
            Ok(token) => self.renewed(flight.plan.reason, token, presented.start, rotated),
            Err(refusal) => fail(&refusal),
        }
    }

    pub(super) fn token(&self, generation: u64, issued: &Issued, start: Now) -> Option<Token> {
        let usual = self.settings.fallback_lifetime;
        // The cap is for the next token of unknown expiry, and for that one only: a token that was
        // revoked in its first second must not make all later ones short.
        let cap = *self.cap();
        let lifetime = Lifetime::new(issued.lifetime, usual, cap);
        if matches!(lifetime, Lifetime::Unknown(_)) {
            *self.cap() = None;
        }
        let times = Times::new(start, lifetime, self.settings.refresh_lead, fastrand::f64());
        Token::new(generation, &issued.access_token, times)
    }

    /// Keeps what has to be kept of an answer; tells whether the refresh token is a new one.
    async fn keep(&self, answer: &Answer, token: Option<&Token>) -> bool {
        if !self.refreshes() {
            if token.is_some() {
                // Only other processes gain by it, so nobody waits.
                self.vault.save(Tokens::new(token, None));
            }
            return false;
        }
        if token.is_none() && answer.refresh_token.is_none() {
            return false;
        }
        let rotated = self.vault.remember(answer.refresh_token.as_ref());
        let refresh_token = self.vault.refresh_token();
        let refresh_token = refresh_token.as_ref().map(|token| token.as_str());
        let number = self.vault.save(Tokens::new(token, refresh_token));
        if rotated {
            self.vault.saved(number).await;
        }
        rotated
    }

    fn renewed(&self, reason: RenewalReason, token: Token, start: Now, rotated: bool) -> Flown {
        let event = self.renewal(reason, &token, start, rotated);
        (Landing::Renewed(Arc::new(token)), Some(event))
    }

    pub(super) fn renewal(
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

fn failed(refusal: Refusal) -> Flown {
    let lost = false;
    (Landing::Failed(Failure { refusal, lost }), None)
}
