//! The way back of a refused request: may a newer token cure it, and if so, once more with that.

use std::sync::Arc;

use http::{Extensions, StatusCode};
use reqwest::{Request, Response};
use reqwest_middleware::Next;

use super::cache::Cache;
use super::credentials::Worn;
use super::pass::Pass;
use super::passing::{Passing, run};
use super::rejection::{self, Suspicion};
use super::state::Need;
use super::token::Token;
use crate::clock::Moment;
use crate::error::Error;
use crate::event::{Event, RejectionVerdict, ReplayReason};
use crate::passage::Spare;
use crate::response::buffer;

/// A request to be sent again, and the token on it.
struct Replay {
    request: Request,
    token: Arc<Token>,
    worn: Worn,
}

/// A request whose token was refused.
pub(super) struct Refused<'a> {
    pub(super) passing: &'a Passing<'a>,
    pub(super) cache: &'a Cache,
    pub(super) token: &'a Token,
    pub(super) at: Moment,
}

/// What the refusal looked like, for errors on the way to its cure.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) request_id: Option<String>,
}

impl Answer {
    pub(super) fn of(response: &Response, passing: &Passing<'_>) -> Self {
        Self {
            status: response.status(),
            request_id: passing.authenticator.request_id(response.headers()),
        }
    }

    pub(super) fn annotate(&self, error: Error) -> Error {
        error
            .with_status(self.status)
            .with_request_id(self.request_id.clone())
    }
}

impl Refused<'_> {
    /// Sends the request once more with a newer token, if that may help; else gives its answer
    /// back.
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
        // Read before anything is waited for: an unread response keeps its connection.
        let (response, body) = buffer(response, &*authenticator.settings.clock).await;
        let answer = Answer::of(&response, self.passing);
        let verdict = self.judge(&response, body.as_deref(), &answer);
        let cured = matches!(
            verdict,
            RejectionVerdict::Renew | RejectionVerdict::Superseded
        );
        let Some(request) = spare.filter(|_| cured).and_then(Spare::copy) else {
            return Ok(response);
        };
        self.passing.settle_refusal(&response);
        drop(response);
        let replay = self.prepare(request).await;
        let replay = replay.map_err(|error| authenticator.refuse(answer.annotate(error)))?;
        let result = self.send(replay, pass, extensions, next).await;
        result.map_err(|error| with_refusal(error, &answer))
    }

    /// Whether a newer token may cure it.
    fn judge(&self, response: &Response, body: Option<&[u8]>, answer: &Answer) -> RejectionVerdict {
        let settings = &self.passing.authenticator.settings;
        let suspicion = rejection::classify(
            &settings.rejection,
            response.status(),
            response.headers(),
            body,
        );
        let verdict = match suspicion {
            Suspicion::None => RejectionVerdict::NotTheToken,
            _ => self
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
    async fn prepare(&self, mut request: Request) -> Result<Replay, Error> {
        let passing = self.passing;
        let authenticator = passing.authenticator;
        let need = Need::NewerThan(self.token.generation());
        let token = self.cache.token(need, passing.patience).await?;
        passing.chain.acquire().await?;
        let now = authenticator.settings.clock.now();
        let token = self.cache.ready(now).unwrap_or(token);
        let worn = authenticator.put(&mut request, Some(&token))?;
        Ok(Replay {
            request,
            token,
            worn,
        })
    }

    async fn send(
        &self,
        replay: Replay,
        pass: Option<&Arc<Pass>>,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let authenticator = self.passing.authenticator;
        let settings = &authenticator.settings;
        settings.events.emit(|| Event::Replayed {
            reason: ReplayReason::Unauthorized,
            attempt: 1,
        });
        let Replay {
            request,
            token,
            worn,
        } = replay;
        let response = worn.hide(run(pass, request, extensions, next).await)?;
        let now = settings.clock.now().moment;
        if !self.passing.is_refusal(&response) {
            self.cache.cured(self.token, self.at);
            return Ok(response);
        }
        token.evidence().note_refused_replay(now);
        settings.events.emit(|| Event::TokenRejected {
            generation: token.generation(),
            status: response.status(),
            verdict: RejectionVerdict::NotTheToken,
            request_id: authenticator.request_id(response.headers()),
        });
        Ok(response)
    }
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
