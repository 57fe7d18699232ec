//! The way back of a refused request: is it sent once more, and with which token?
//!
//! The decision is [`course`](challenge::course)'s.

use std::sync::Arc;

use http::{Extensions, StatusCode};
use reqwest::{Request, Response};
use reqwest_middleware::Next;

use super::attempt::{Passing, run};
use super::cache::Cache;
use super::cache::state::Need;
use super::challenge::{self, Course, Suspicion};
use super::credentials::Worn;
use super::middleware::Authenticator;
use super::pass::Pass;
use super::token::Token;
use crate::buffered_body::buffer;
use crate::clock::Moment;
use crate::error::Error;
use crate::layers::Spare;
use crate::observe::event::{Event, RejectionVerdict, ReplayReason};

/// A request to be sent again, and the token on it.
struct Replay {
    request: Request,
    token: Arc<Token>,
    since: Moment,
    worn: Worn,
    /// With the token that was refused, unless a newer one came meanwhile.
    retry: bool,
}

/// A request whose token was refused, or may have been.
pub(super) struct Refused<'a> {
    pub(super) passing: &'a Passing<'a>,
    pub(super) cache: &'a Cache,
    pub(super) token: &'a Token,
    /// Since when the request had the token.
    pub(super) since: Moment,
    pub(super) at: Moment,
}

/// What the refusal looked like, for errors on the way to its cure.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) request_id: Option<String>,
}

impl Answer {
    pub(super) fn of(response: &Response, body: Option<&[u8]>, passing: &Passing<'_>) -> Self {
        let authenticator = passing.authenticator;
        Self {
            status: response.status(),
            request_id: authenticator.request_id(response.headers(), body),
        }
    }

    pub(super) fn annotate(&self, error: Error) -> Error {
        error
            .with_status(self.status)
            .with_request_id(self.request_id.clone())
    }
}

/// How a replay ended.
enum Sent {
    /// With this answer for the caller.
    Answered(Response),
    /// The token that works for others was refused to this request once more.
    RefusedAgain(Response),
}

impl Refused<'_> {
    /// Sends the request once more: with the same token where that works for others, and with a
    /// newer one where that may help. Both may happen, in this order. Else gives its answer back.
    ///
    /// # Errors
    /// No newer token, or no permit for the replay; with the status of the refusal.
    pub(super) async fn cure(
        &self,
        response: Response,
        spare: Option<&Spare>,
        pass: Option<&Arc<Pass>>,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let authenticator = self.passing.authenticator;
        let (mut response, is_refusal) = self.passing.look(response).await;
        if !is_refusal {
            self.passing
                .note_success(self.token.evidence(), self.since, &response);
            return Ok(response);
        }
        let mut again = false;
        loop {
            // Read before anything is waited for: an unread response keeps its connection.
            let (refusal, body) = buffer(response, &*authenticator.settings.clock).await;
            let answer = Answer::of(&refusal, body.as_deref(), self.passing);
            let may_retry = spare.is_some() && !again;
            let verdict = self.judge(&refusal, body.as_deref(), &answer, may_retry);
            let copy = spare.filter(|_| is_replayed(verdict));
            let Some(request) = copy.and_then(Spare::copy) else {
                return Ok(refusal);
            };
            self.passing.settle_refusal(&refusal, body.as_deref());
            drop(refusal);
            let retry = verdict == RejectionVerdict::RetrySameToken;
            let replay = self.prepare(request, retry).await;
            let replay = replay.map_err(|error| authenticator.refuse(answer.annotate(error)))?;
            emit_replayed(authenticator, answer.status, if again { 2 } else { 1 });
            let result = self.send(replay, pass, extensions, next.clone()).await;
            match result.map_err(|error| with_refusal(error, &answer))? {
                Sent::Answered(answered) => return Ok(answered),
                Sent::RefusedAgain(refused) => response = refused,
            }
            again = true;
        }
    }

    /// What follows from a refusal. A request that may not be retried with the same token has been
    /// already, or cannot be sent twice.
    fn judge(
        &self,
        response: &Response,
        body: Option<&[u8]>,
        answer: &Answer,
        may_retry: bool,
    ) -> RejectionVerdict {
        let settings = &self.passing.authenticator.settings;
        let suspicion = challenge::classify(
            &settings.rejection,
            response.status(),
            response.headers(),
            body,
        );
        let standing = self.cache.standing(self.token);
        let retry = || may_retry && self.cache.take_retry();
        let verdict = match challenge::course(suspicion, standing, retry) {
            Course::Return => RejectionVerdict::NotTheToken,
            Course::RetrySameToken => RejectionVerdict::RetrySameToken,
            Course::Renew => self
                .cache
                .refused(self.token, suspicion == Suspicion::Certain),
        };
        settings.events.emit(|| Event::TokenRejected {
            generation: self.token.generation(),
            status: answer.status,
            verdict,
            request_id: answer.request_id.clone(),
        });
        verdict
    }

    /// First the token, then the permit, then the token once more, since the permit may have taken
    /// long.
    async fn prepare(&self, mut request: Request, retry: bool) -> Result<Replay, Error> {
        let authenticator = self.passing.authenticator;
        let (token, since) = match retry {
            true => self.passing.token_and_permit(self.cache).await?,
            false => self.newer_token_and_permit().await?,
        };
        let worn = authenticator.put(&mut request, Some(&token))?;
        Ok(Replay {
            request,
            token,
            since,
            worn,
            retry,
        })
    }

    async fn newer_token_and_permit(&self) -> Result<(Arc<Token>, Moment), Error> {
        let passing = self.passing;
        let need = Need::NewerThan(self.token.generation());
        let token = self.cache.token(need, passing.patience).await?;
        passing.chain.acquire().await?;
        let now = passing.authenticator.settings.clock.now();
        Ok((self.cache.ready(now).unwrap_or(token), now.moment))
    }

    async fn send(
        &self,
        replay: Replay,
        pass: Option<&Arc<Pass>>,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Sent> {
        let Replay {
            request,
            token,
            since,
            worn,
            retry,
        } = replay;
        let result = run(pass, request, extensions, next).await;
        let response = self.passing.authenticator.receive(result, &worn)?;
        let (response, is_refusal) = self.passing.look(response).await;
        if !is_refusal {
            self.passing
                .note_success(token.evidence(), since, &response);
            match retry {
                true => self.cache.return_retry(),
                false => self.cache.cured(self.token, self.at),
            }
            return Ok(Sent::Answered(response));
        }
        if retry && token.generation() == self.token.generation() {
            return Ok(Sent::RefusedAgain(response));
        }
        self.note_refused_replay(&token, &response);
        Ok(Sent::Answered(response))
    }

    fn note_refused_replay(&self, token: &Token, response: &Response) {
        let authenticator = self.passing.authenticator;
        let settings = &authenticator.settings;
        let now = settings.clock.now().moment;
        token.evidence().note_refused_replay(now);
        settings.events.emit(|| Event::TokenRejected {
            generation: token.generation(),
            status: response.status(),
            verdict: RejectionVerdict::NotTheToken,
            request_id: authenticator.request_id(response.headers(), None),
        });
    }
}

/// Whether the request is sent once more, if it can be.
fn is_replayed(verdict: RejectionVerdict) -> bool {
    matches!(
        verdict,
        RejectionVerdict::RetrySameToken | RejectionVerdict::Renew | RejectionVerdict::Superseded
    )
}

fn emit_replayed(authenticator: &Authenticator, status: StatusCode, attempt: u32) {
    authenticator.settings.events.emit(|| Event::Replayed {
        reason: ReplayReason::Unauthorized,
        status,
        attempt,
    });
}

/// An inner limiter that has no permit for the replay does not know of the refusal.
pub(super) fn with_refusal(
    error: reqwest_middleware::Error,
    answer: &Answer,
) -> reqwest_middleware::Error {
    match Error::find(&error) {
        Some(ours) if ours.status().is_none() => answer.annotate(ours.clone()).into(),
        _ => error,
    }
}
