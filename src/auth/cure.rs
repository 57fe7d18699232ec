//! The way back of a refused request: may a newer token cure it, and if so, once more with that.

use std::sync::Arc;

use http::Extensions;
use http::header::AUTHORIZATION;
use reqwest::{Request, Response};
use reqwest_middleware::Next;

use super::cache::Cache;
use super::middleware::{Passing, run};
use super::pass::Pass;
use super::rejection::{self, Suspicion};
use super::state::Need;
use super::token::Token;
use crate::clock::Moment;
use crate::error::Error;
use crate::event::{Event, RejectionVerdict, ReplayReason};
use crate::passage::{Outcome, Spare};
use crate::response::buffer;

/// A request to be sent again, and the token on it.
pub(super) struct Replay {
    request: Request,
    token: Arc<Token>,
}

/// A request whose token was refused.
pub(super) struct Refused<'a> {
    pub(super) passing: &'a Passing<'a>,
    pub(super) cache: &'a Cache,
    pub(super) token: &'a Token,
    pub(super) at: Moment,
}

impl Refused<'_> {
    /// Finds out whether a newer token may cure it, and prepares the request that carries it.
    pub(super) async fn judge(
        &self,
        response: Response,
        spare: Option<&Spare>,
    ) -> reqwest_middleware::Result<(Response, Option<Replay>)> {
        let authenticator = self.passing.authenticator;
        let settings = &authenticator.settings;
        // Read before anything is waited for: an unread response keeps its connection.
        let (response, body) = buffer(response, &*settings.clock).await;
        let (status, headers) = (response.status(), response.headers());
        let request_id = authenticator.request_id(headers);
        let verdict = match rejection::classify(&settings.rejection, headers, body.as_deref()) {
            Suspicion::None => RejectionVerdict::NotTheToken,
            suspicion => self
                .cache
                .refused(self.token, suspicion == Suspicion::Certain),
        };
        settings.events.emit(|| Event::TokenRejected {
            generation: self.token.generation(),
            status,
            verdict,
            request_id: request_id.clone(),
        });
        let cured = matches!(
            verdict,
            RejectionVerdict::Renew | RejectionVerdict::Superseded
        );
        let Some(mut request) = spare.filter(|_| cured).and_then(Spare::copy) else {
            return Ok((response, None));
        };
        let chain = self.passing.chain;
        chain.settle(Outcome::Answered { status, headers });
        let annotate = |error: Error| {
            error
                .with_status(status)
                .with_request_id(request_id.clone())
        };
        let token = self.newer_token().await;
        let token = token.map_err(|error| authenticator.refuse(annotate(error)))?;
        chain.acquire().await.map_err(annotate)?;
        // The permit may have taken long: the newest token goes, not the one waited for.
        let token = self.cache.ready(settings.clock.now()).unwrap_or(token);
        authenticator.put_headers(&mut request);
        let credential = token.header().clone();
        request.headers_mut().insert(AUTHORIZATION, credential);
        Ok((response, Some(Replay { request, token })))
    }

    async fn newer_token(&self) -> Result<Arc<Token>, Error> {
        let need = Need::NewerThan(self.token.generation());
        self.cache.token(need, self.passing.patience).await
    }

    pub(super) async fn send(
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
        let Replay { request, token } = replay;
        let response = run(pass, request, extensions, next).await?;
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
