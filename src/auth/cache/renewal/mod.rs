//! One flight with a refresh token: does what the [`RefreshChain`] says, step by step, until a
//! token is there or another attempt makes no sense now.
//!
//! [`RefreshChain`]: crate::auth::persistence::refresh_chain::RefreshChain

use std::time::Duration;

use zeroize::Zeroizing;

use super::budget::Launch;
use super::outcome::{Failure, Landing};
use super::refresher::{Flight, Flown, Source, failed, tokens};
use super::requester::Presented;
use crate::auth::oauth::grant::GrantKind;
use crate::auth::oauth::response::{Class, Refusal};
use crate::auth::persistence::record::mark_of;
use crate::auth::persistence::refresh_chain::{Step, Wait};
use crate::auth::persistence::{MOST_ROUNDS, Taken};
use crate::clock::Moment;
use crate::error::Recovery;
use crate::sync::Handle;

/// How long a flight waits for another process before it fails for now, and the next one follows.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// A renewal under way.
struct Renewal<'a> {
    source: &'a Source,
    flight: &'a Flight<'a>,
    launch: Option<Launch>,
    /// The end of all waiting.
    until: Moment,
    /// Marks written, or tried to be.
    rounds: usize,
    /// A refresh token was refused, and another was found.
    has_second: bool,
}

impl Source {
    /// Renews with a refresh token, or adopts what another process has renewed.
    pub(in crate::auth) async fn renew(
        &self,
        flight: &Flight<'_>,
        launch: Option<Launch>,
    ) -> Flown {
        let persistence = &self.persistence;
        let renewal = Renewal {
            source: self,
            flight,
            launch,
            until: self.clock.now().moment + LONGEST_WAIT,
            rounds: 0,
            has_second: false,
        };
        let _hold = persistence.hold();
        persistence.while_right_is_kept(renewal.run()).await
    }
}

impl Renewal<'_> {
    async fn run(mut self) -> Flown {
        if self.flight.plan.reread_only {
            if let Some(flown) = self.look_for_news().await {
                return flown;
            }
        } else {
            self.source.persistence.chain(|chain| chain.try_again());
        }
        loop {
            if let Some(flown) = self.step().await {
                return flown;
            }
        }
    }

    /// A latched account looks into the store; with another refresh token there it goes on.
    async fn look_for_news(&mut self) -> Option<Flown> {
        let persistence = &self.source.persistence;
        match self.source.look(self.flight).await {
            Ok(Some(flown)) => return Some(flown),
            Ok(None) => {}
            Err(refusal) => return Some((Landing::NoLook(refusal), None)),
        }
        let is_refused = persistence.chain(|chain| chain.is_refused());
        let launch = || (self.flight.launch_another)();
        self.launch = (!is_refused).then(launch).flatten();
        let has_news = self.launch.is_some();
        (!has_news).then_some((Landing::NothingNew, None))
    }

    /// The next step; a result ends the flight.
    async fn step(&mut self) -> Option<Flown> {
        let source = self.source;
        let now = source.clock.now();
        let usable_until = self.flight.usable_until(now);
        let step = source
            .persistence
            .chain(|chain| chain.next(usable_until, now));
        match step {
            Step::LogIn => Some(failed(self.log_in())),
            Step::Save => self.save().await,
            Step::TakeRight => self.take_right().await,
            Step::Load => source
                .look(self.flight)
                .await
                .unwrap_or_else(|refusal| Some(failed(refusal))),
            Step::Begin => self.begin(),
            Step::Wait(wait) => self.wait(wait).await,
            Step::Mark(n) => self.mark(n).await,
            Step::Present => self.present().await,
        }
    }

    fn log_in(&self) -> Refusal {
        let why = self.source.persistence.chain(|chain| chain.why_refused());
        let message = why.unwrap_or_else(|| "the refresh token was refused".to_owned());
        Refusal::new(Class::GrantRejected, message)
    }

    /// What an earlier renewal brought has no place yet.
    async fn save(&self) -> Option<Flown> {
        let persistence = &self.source.persistence;
        let number = persistence.chain(|chain| chain.unsaved_number())?;
        persistence.hurry();
        persistence.saved(number).await;
        if !persistence.chain(|chain| chain.has_unsaved_refresh_token()) {
            return None;
        }
        let refusal = persistence.failure().unwrap_or_else(|| {
            let message = "the token store has not saved the newest refresh token yet";
            Refusal::new(Class::Store, message)
        });
        Some(failed(refusal))
    }

    async fn take_right(&self) -> Option<Flown> {
        let source = self.source;
        match source.persistence.take_right().await {
            Taken::Granted => None,
            Taken::Failed(refusal) => Some(failed(refusal)),
            Taken::Held => {
                if let Ok(Some(flown)) = source.look(self.flight).await {
                    return Some(flown);
                }
                let now = source.clock.now();
                if now.moment >= self.until || (self.flight.must_give_way)() {
                    return Some(self.held_up());
                }
                source.clock.sleep(self.flight.poll(now)).await;
                None
            }
        }
    }

    fn held_up(&self) -> Flown {
        let holder = self.source.persistence.chain(|chain| {
            let (holder, _) = chain.holder()?;
            Some(holder.to_owned())
        });
        let holder = holder.unwrap_or_else(|| "another process".to_owned());
        let message = format!("{holder} has the right to renew the token and does not finish");
        failed(Refusal::new(Class::Store, message))
    }

    /// The configured refresh token, where the store has none.
    fn begin(&self) -> Option<Flown> {
        let initial = match &self.source.settings.grant.0 {
            GrantKind::RefreshToken { initial } => initial.read(),
            _ => {
                let message = "the token store has no refresh token";
                return Some(failed(Refusal::new(Class::GrantRejected, message)));
            }
        };
        match initial {
            Ok(initial) => {
                self.source.persistence.chain(|chain| chain.begin(&initial));
                None
            }
            Err(sentence) => Some(failed(Refusal::new(Class::Misconfigured, sentence))),
        }
    }

    /// Waits for what the mark of a presentation asks for, and looks for its result meanwhile.
    async fn wait(&self, wait: Wait) -> Option<Flown> {
        let source = self.source;
        if wait.until > self.until {
            let refusal = Refusal::new(Class::Store, wait.why);
            return Some((
                Landing::Failed(Failure::not_before(refusal, wait.until)),
                None,
            ));
        }
        if wait.keeps_right {
            let now = source.clock.now().moment;
            source.clock.sleep(wait.until - now).await;
            return None;
        }
        source.persistence.give_right_back();
        let mark = source.persistence.chain(|chain| chain.mark_seen());
        loop {
            let now = source.clock.now();
            if now.moment >= wait.until {
                return None;
            }
            if (self.flight.must_give_way)() {
                return Some(self.held_up());
            }
            let span = self.flight.poll(now).min(wait.until - now.moment);
            source.clock.sleep(span).await;
            if let Ok(Some(flown)) = source.look(self.flight).await {
                return Some(flown);
            }
            if source.persistence.chain(|chain| chain.mark_seen()) != mark {
                return None;
            }
        }
    }

    /// Leave of the budget comes first: a mark without a request would hold others up for nothing.
    async fn mark(&mut self, n: u32) -> Option<Flown> {
        self.rounds += 1;
        if self.rounds > MOST_ROUNDS {
            let message = "the token store is changed by other processes without a pause";
            return Some(failed(Refusal::new(Class::Store, message)));
        }
        if self.launch.is_none() {
            self.launch = (self.flight.launch_another)();
        }
        if self.launch.is_none() {
            let message = "no token request now: the limit on them is reached";
            return Some(failed(Refusal::new(Class::Transient, message)));
        }
        let marked = self.source.persistence.mark(n).await;
        marked.err().map(failed)
    }

    async fn present(&mut self) -> Option<Flown> {
        let source = self.source;
        let refresh_token = source.persistence.chain(|chain| chain.current())?;
        let launch = self
            .launch
            .take()
            .or_else(|| (self.flight.launch_another)());
        let Some(launch) = launch else {
            let message = "no token request now: the limit on them is reached";
            return Some(failed(Refusal::new(Class::Transient, message)));
        };
        let presented = source
            .present_twice(self.flight, launch, Some(&refresh_token))
            .await;
        let failure = match self.receive(&presented).await {
            Ok(flown) => return Some(flown),
            Err(refusal) => refusal,
        };
        if failure.class.needs_login() {
            return self.second_opinion(failure).await;
        }
        self.close_mark();
        Some(failed(failure))
    }

    /// Keeps what an answer brought.
    ///
    /// # Errors
    /// It brought no access token.
    async fn receive(&self, presented: &Presented) -> Result<Flown, Refusal> {
        let source = self.source;
        let plan = self.flight.plan;
        let answer = match &presented.delivery {
            Ok(answer) => answer,
            Err(refusal) => {
                let now = source.clock.now().moment;
                let lost = presented.lost;
                source.persistence.chain(|chain| chain.ended(lost, now));
                return Err(refusal.clone());
            }
        };
        let token = source.token(plan.generation, answer, presented.start);
        if token.is_err() && answer.refresh_token.is_none() {
            let now = source.clock.now().moment;
            let lost = presented.lost;
            source.persistence.chain(|chain| chain.ended(lost, now));
            return token.map(|_| (Landing::NothingNew, None));
        }
        let tokens = tokens(answer, token.as_ref().ok(), presented.start);
        let (number, rotated) = source.persistence.save(tokens, true);
        if rotated {
            source.persistence.saved(number).await;
        }
        source.report_refresh_expiry();
        let token = token?;
        Ok(source.renewed(plan.reason, token, presented, rotated))
    }

    /// The refresh token was refused: perhaps because another process has spent it, whose successor
    /// is in the store; or a new login was configured. Once only.
    async fn second_opinion(&mut self, refusal: Refusal) -> Option<Flown> {
        let source = self.source;
        let persistence = &source.persistence;
        let why = persistence.chain(|chain| {
            chain.refuse();
            chain.why_refused()
        });
        if let Ok(Some(flown)) = source.look(self.flight).await {
            return Some(flown);
        }
        let is_refused = persistence.chain(|chain| chain.is_refused());
        if !self.has_second && (!is_refused || self.begins_anew()) {
            self.has_second = true;
            return None;
        }
        self.close_mark();
        let mut refusal = refusal;
        if let Some(why) = why {
            refusal.message = format!("{why} ({})", refusal.message);
        }
        Some(failed(refusal))
    }

    /// A configured refresh token that the refused chain did not begin with begins the next one.
    fn begins_anew(&self) -> bool {
        let Some(initial) = self.configured() else {
            return false;
        };
        let seed = mark_of(&initial);
        self.source.persistence.chain(|chain| {
            let is_new = chain.seed().is_some_and(|present| present != seed);
            if is_new {
                chain.begin(&initial);
            }
            is_new
        })
    }

    fn configured(&self) -> Option<Zeroizing<String>> {
        match &self.source.settings.grant.0 {
            GrantKind::RefreshToken { initial } => initial.read().ok(),
            _ => None,
        }
    }

    /// In the background: the callers need not wait for it, and the right is kept meanwhile.
    fn close_mark(&self) {
        let persistence = self.source.persistence.clone();
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let hold = persistence.hold();
        runtime.spawn(async move {
            let _hold = hold;
            persistence
                .while_right_is_kept(persistence.close_mark())
                .await;
        });
    }
}

/// What a failed attempt of a login leads to, where the code is unsent.
pub(in crate::auth) fn recovery_of(refusal: &Refusal) -> Recovery {
    match refusal.class.needs_reconfiguration() {
        true => Recovery::Reconfigure,
        false => Recovery::Retry,
    }
}

#[cfg(test)]
mod tests;
