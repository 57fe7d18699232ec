//! The token of an account, for all its requests at once: the async shell around
//! [`state`](state).
//!
//! A request that finds a usable token takes it without waiting, locking or allocating. When a new
//! one is needed, one *flight* fetches it, as a task of its own: callers come and go without
//! cancelling or restarting it, and all who wait share its result, its error included. ("Lock, look
//! again, fetch" would make ten thousand requests of one outage, one after the other.) Should the
//! task panic or its runtime end, a guard frees the place and the waiters go again, once.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};

use super::AuthSettings;
use super::challenge::Standing;
use super::health::Health;
use super::login::AuthorizationRequest;
use super::login::revoke;
use super::oauth::endpoint::TokenEndpoint;
use super::token::Token;
use crate::clock::{Moment, Now};
use crate::error::{Error, ErrorKind, Recovery};
use crate::observe::event::{Event, RejectionVerdict};
use crate::options::{Patience, RequestOptions};
use crate::sync::{AtomicU64, Handle, watch};
use cell::{Board, Flown, Posting, Waiter};
use decision::Decision;
use keep_warm::Warmth;
use refresh_task::{Shared, broken_off};
use refresher::Source;
use state::{Need, State};

/// How long a flush waits for a flight: the longest request and its repetition.
const LONGEST_FLIGHT: Duration = Duration::from_secs(70);

/// Keeps the token of an account.
pub(crate) struct Cache {
    pub(super) shared: Arc<Shared>,
}

/// How waiting for a flight ended.
enum Waited {
    Landed(Flown),
    TornDown,
    TooLate,
}

impl Cache {
    pub(crate) fn new(
        settings: &AuthSettings,
        oauth: Arc<super::OAuthSettings>,
        endpoint: Box<dyn TokenEndpoint>,
    ) -> Self {
        let has_store = oauth.store.is_some();
        let warmth = Warmth::new(oauth.keep_warm);
        let shared = Shared {
            account: settings.account.clone(),
            board: Board::new(State::new(has_store)),
            source: Source::new(settings, oauth, endpoint),
            clock: settings.clock.clone(),
            events: settings.events.clone(),
            warmth,
            logins: AtomicU64::new(0),
            arrivals: watch::Sender::new(()),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The token, if it can be used right away. Starts its renewal where that is due.
    pub(crate) fn ready(&self, now: Now) -> Option<Arc<Token>> {
        self.shared.keep_warm();
        let posting = self.shared.board.read();
        match posting.state.decide(Need::Usable, now, self.shared.room()) {
            Decision::Use => posting.state.token().cloned(),
            Decision::UseAndRefresh => {
                let token = posting.state.token().cloned();
                drop(posting);
                self.shared.start(Need::Usable);
                token
            }
            _ => None,
        }
    }

    /// The token that hangs there, usable or not.
    pub(crate) fn present(&self) -> Option<Arc<Token>> {
        self.shared.board.read().state.token().cloned()
    }

    /// A token, waited for as long as `patience` allows.
    ///
    /// # Errors
    /// The renewal failed, or cannot be tried again in time.
    ///
    /// # Cancel safety
    /// Dropping it ends the wait; the renewal goes on.
    pub(crate) async fn token(&self, need: Need, patience: Patience) -> Result<Arc<Token>, Error> {
        let named = |error: Error| match error.account() {
            Some(_) => error,
            None => error.with_account(&self.shared.account),
        };
        self.wait_or_fail(need, patience).await.map_err(named)
    }

    async fn wait_or_fail(&self, need: Need, patience: Patience) -> Result<Arc<Token>, Error> {
        let generation = self.shared.board.read().state.generation();
        let begin = self.shared.clock.now().moment;
        let mut has_waited = false;
        let mut torn_down = false;
        let mut awaiting = None;
        loop {
            let posting = Posting::clone(&self.shared.board.read());
            // Who has waited takes what the wait brought, even if it did not live long.
            if has_waited && posting.state.generation() > generation {
                return posting.state.token().cloned().ok_or_else(broken_off);
            }
            let waiter = match self.step(&posting, need) {
                Step::Take(token) => return Ok(token),
                Step::Fail(error) => return Err(error),
                Step::Join(waiter) => waiter,
                Step::WaitUntil(at) => {
                    let now = self.shared.clock.now();
                    if !patience.reaches(begin, at) {
                        return Err(posting.state.not_before(at, now));
                    }
                    awaiting.get_or_insert_with(|| Awaiting::new(&self.shared));
                    self.sleep_or_token(at - now.moment, need, generation).await;
                    has_waited = true;
                    continue;
                }
                Step::Again => continue,
            };
            awaiting.get_or_insert_with(|| Awaiting::new(&self.shared));
            match self.join(waiter, patience.deadline).await {
                Waited::Landed(Ok(token)) => return Ok(token),
                // Half a minute of an outage must not fail ten thousand parts in a millisecond:
                // whoever may wait for the next flight does, and one request serves all of them.
                Waited::Landed(Err(error)) => match self.next_attempt(&error) {
                    Some(at) if patience.reaches(begin, at) => has_waited = true,
                    _ => return Err(error),
                },
                Waited::TooLate => return Err(too_late()),
                Waited::TornDown if torn_down => return Err(broken_off()),
                Waited::TornDown => torn_down = true,
            }
        }
    }

    /// Sleeps that long, unless a token arrives before: a person may log in meanwhile. A login may
    /// bring a refresh token alone, with which the next attempt need not wait.
    async fn sleep_or_token(&self, span: Duration, need: Need, generation: u64) {
        let mut arrivals = self.shared.arrivals.subscribe();
        // What happened before the subscription.
        let is_over = {
            let (posting, now) = (self.shared.board.read(), self.shared.clock.now());
            let decision = posting.state.decide(need, now, self.shared.room());
            posting.state.generation() > generation || !matches!(decision, Decision::WaitUntil(_))
        };
        if is_over {
            return;
        }
        let arrival = pin!(arrivals.changed());
        select(arrival, self.shared.clock.sleep(span)).await;
    }

    /// When a failed renewal is tried again; none if that waits for a change.
    fn next_attempt(&self, error: &Error) -> Option<Moment> {
        match error.recovery() {
            Recovery::WaitUntil(time) => Some(self.shared.clock.now().moment_at(time)),
            _ => None,
        }
    }

    fn step(&self, posting: &Posting, need: Need) -> Step {
        let now = self.shared.clock.now();
        let state = &posting.state;
        self.shared.look_for_room(now);
        match state.decide(need, now, self.shared.room()) {
            Decision::Use | Decision::UseAndRefresh => match state.token() {
                Some(token) => Step::Take(token.clone()),
                None => Step::Again,
            },
            Decision::Refresh => self.shared.start(need).map_or(Step::Again, Step::Join),
            Decision::Join => posting.waiter.clone().map_or(Step::Again, Step::Join),
            Decision::WaitUntil(at) => Step::WaitUntil(at),
            Decision::Fail => Step::Fail(state.error().cloned().unwrap_or_else(broken_off)),
            Decision::LetStand => Step::Fail(storm()),
        }
    }

    async fn join(&self, mut waiter: Waiter, deadline: Option<Moment>) -> Waited {
        let result = pin!(waiter.wait_for(Option::is_some));
        let landed = match deadline {
            None => result.await,
            Some(deadline) => {
                let left = deadline - self.shared.clock.now().moment;
                match select(result, self.shared.clock.sleep(left)).await {
                    Either::Left((landed, _)) => landed,
                    Either::Right(_) => return Waited::TooLate,
                }
            }
        };
        match landed.ok().and_then(|result| result.clone()) {
            Some(result) => Waited::Landed(result),
            None => Waited::TornDown,
        }
    }

    /// The API refused this token. Starts a forced renewal where the state allows one.
    pub(crate) fn refused(&self, token: &Token, certain: bool) -> RejectionVerdict {
        let now = self.shared.clock.now();
        let need = Need::NewerThan(token.generation());
        let decision = {
            let posting = self.shared.board.read();
            if posting.state.generation() > token.generation() {
                return RejectionVerdict::Superseded;
            }
            posting.state.decide(need, now, self.shared.room())
        };
        if !certain && token.evidence().exonerates(now.moment) {
            return RejectionVerdict::NotTheToken;
        }
        match decision {
            Decision::LetStand => return RejectionVerdict::Storm,
            Decision::Refresh => drop(self.shared.start(need)),
            // A renewal that began for another reason serves; nobody else begins with the old one.
            Decision::Join => self.condemn(token.generation()),
            _ => {}
        }
        RejectionVerdict::Renew
    }

    /// What is known of a token that the API refused to a request.
    pub(crate) fn standing(&self, token: &Token) -> Standing {
        let now = self.shared.clock.now().moment;
        self.shared.board.read().state.standing(token, now)
    }

    /// Takes a retry with the same token from the budget; false: none is left.
    pub(crate) fn take_retry(&self) -> bool {
        let now = self.shared.clock.now().moment;
        let board = &self.shared.board;
        // Most of a storm finds the budget empty, and changes nothing.
        board.read().state.retries.next() <= now
            && board.change(|posting| posting.state.retries.take(now))
    }

    /// The retry was not refused: it goes back.
    pub(crate) fn return_retry(&self) {
        let board = &self.shared.board;
        board.change(|posting| posting.state.retries.refund());
    }

    pub(crate) fn health(&self) -> Health {
        Health::of(&self.shared)
    }

    /// Waits until a flight under way has ended, a minute or so at most, and then until all is
    /// saved.
    ///
    /// # Errors
    /// The store failed, or did not save in time.
    ///
    /// # Cancel safety
    /// Dropping it ends the wait; flight and saving go on.
    pub(crate) async fn flush(&self) -> Result<(), Error> {
        let waiter = self.shared.board.read().waiter.clone();
        if let Some(waiter) = waiter {
            // To cut a request off is to lose its answer.
            let end = self.shared.clock.now().moment + LONGEST_FLIGHT;
            self.join(waiter, Some(end)).await;
        }
        let flushed = self.shared.source.persistence.flush().await;
        flushed.map_err(|refusal| {
            let error = refusal.error(Recovery::Retry);
            error.with_account(&self.shared.account)
        })
    }

    /// The present token is taken for refused.
    pub(crate) fn invalidate(&self) {
        let board = &self.shared.board;
        board.change(|posting| posting.state.invalidate());
        self.shared.warmth.tell();
    }

    /// Gives the tokens back, as a task of its own.
    pub(crate) async fn revoke(&self) -> Result<(), Error> {
        let runtime = Handle::try_current().map_err(|_| broken_off())?;
        let task = runtime.spawn(revoke::revoke(self.shared.clone()));
        task.await.unwrap_or_else(|_| Err(broken_off()))
    }

    /// A token is there, or why not. Before a person is sent to log in, the store has to show that
    /// it could keep what the login brings.
    ///
    /// # Errors
    /// As of [`token`](Self::token); or the store cannot be written, where a login is needed.
    pub(crate) async fn warm_up(&self, options: &RequestOptions) -> Result<(), Error> {
        let now = self.shared.clock.now();
        if self.ready(now).is_some() {
            return Ok(());
        }
        let patience = options.patience(now);
        let error = match self.token(Need::Usable, patience).await {
            Err(error) if error.recovery() == Recovery::LogIn => error,
            token => return token.map(drop),
        };
        // A grant that can be repeated has nothing to lose.
        if self.shared.source.refreshes() {
            self.prove_store(patience.deadline).await?;
        }
        Err(error)
    }

    async fn prove_store(&self, deadline: Option<Moment>) -> Result<(), Error> {
        let proof = pin!(self.shared.source.prove_store());
        let proved = match deadline {
            None => proof.await,
            Some(deadline) => {
                let left = deadline - self.shared.clock.now().moment;
                match select(proof, self.shared.clock.sleep(left)).await {
                    Either::Left((proved, _)) => proved,
                    Either::Right(_) => return Err(too_late().with_account(&self.shared.account)),
                }
            }
        };
        proved.map_err(|refusal| {
            let error = refusal.error(Recovery::Retry);
            error.with_account(&self.shared.account)
        })
    }

    /// Begins a login.
    pub(crate) fn authorization_request(&self) -> Result<AuthorizationRequest, Error> {
        AuthorizationRequest::new(self.shared.clone(), &self.shared.source.settings)
    }

    fn condemn(&self, generation: u64) {
        let board = &self.shared.board;
        board.change(|posting| posting.state.condemn(generation));
    }

    /// A refused token's successor was not refused: learns how long such tokens live.
    pub(crate) fn cured(&self, refused: &Token, at: Moment) {
        let mut then = self.shared.clock.now();
        then.moment = at;
        if refused.times().is_unknown() {
            self.shared.source.learn(refused.times().age(then));
        }
    }
}

/// What a waiting caller does next.
enum Step {
    Take(Arc<Token>),
    Join(Waiter),
    WaitUntil(Moment),
    Again,
    Fail(Error),
}

/// A caller who waits; tells how long, however the wait ends.
struct Awaiting<'a> {
    shared: &'a Shared,
    since: Moment,
}

impl<'a> Awaiting<'a> {
    fn new(shared: &'a Shared) -> Self {
        let since = shared.clock.now().moment;
        Self { shared, since }
    }
}

impl Drop for Awaiting<'_> {
    fn drop(&mut self) {
        let span = self.shared.clock.now().moment - self.since;
        if !span.is_zero() {
            self.shared.events.emit(|| Event::TokenAwaited { span });
        }
    }
}

fn too_late() -> Error {
    let message = "no token before the request's deadline";
    Error::new(ErrorKind::DeadlineExceeded, Recovery::Retry, message)
}

fn storm() -> Error {
    let message = "too many refused tokens of late: no new one is asked for now";
    Error::new(ErrorKind::TokenEndpoint, Recovery::Retry, message)
}

pub(super) mod bucket;
pub(crate) mod budget;
pub(super) mod cell;
pub(super) mod decision;
pub(super) mod fresh_grant;
pub(super) mod keep_warm;
pub(super) mod outcome;
pub(super) mod refresh_task;
pub(super) mod refresher;
pub(super) mod renewal;
pub(super) mod requester;
pub(super) mod state;
#[cfg(test)]
mod tests;
