//! The skin: one request on its way through the auth layer.
//!
//! Out: put a usable credential on it, or fail. Back: a refused token may be cured, once per
//! request. The order there is *settle, renew, acquire, read the token again, send*
//! ([`passage`](crate::passage) says why), and none of it waits while holding a permit.

use std::sync::Arc;

use async_trait::async_trait;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next};

use super::AuthSettings;
use super::cache::Cache;
use super::cure::Refused;
use super::endpoint::HttpEndpoint;
use super::pass::Pass;
use super::rejection;
use super::state::Need;
use super::token::Token;
use crate::clock::{Moment, Now};
use crate::error::Error;
use crate::event::Event;
use crate::options::{Patience, RequestOptions};
use crate::origin::{Whose, insecure};
use crate::passage::{Chain, Handle, Layer, Outcome, Spare};

/// How often a token that expired while the request waited for its permit is waited for again.
const MOST_ROUNDS: usize = 3;

/// The auth half of one account, shared by all layers and clients made from it.
pub(crate) struct Authenticator {
    pub(super) settings: AuthSettings,
    cache: Option<Cache>,
}

impl Authenticator {
    pub(crate) fn new(mut settings: AuthSettings) -> Self {
        let oauth = settings.oauth.take().map(Arc::new);
        let cache = oauth.map(|oauth| {
            let endpoint = Box::new(HttpEndpoint::new(&oauth));
            Cache::new(&settings, oauth, endpoint)
        });
        Self { settings, cache }
    }

    /// A token, for use beside the layers.
    ///
    /// # Errors
    /// As of [`Cache::token`]; `None` if the account has no token endpoint.
    #[allow(dead_code)] // `Account::token` and `warm_up` will be made of it.
    pub(crate) async fn token(&self, patience: Patience) -> Option<Result<Arc<Token>, Error>> {
        let cache = self.cache.as_ref()?;
        Some(match cache.ready(self.settings.clock.now()) {
            Some(token) => Ok(token),
            None => cache.token(Need::Usable, patience).await,
        })
    }

    #[cfg(test)]
    pub(crate) fn with_endpoint(
        mut settings: AuthSettings,
        endpoint: Box<dyn super::endpoint::TokenEndpoint>,
    ) -> Self {
        let oauth = settings.oauth.take().map(Arc::new);
        let cache = oauth.map(|oauth| Cache::new(&settings, oauth, endpoint));
        Self { settings, cache }
    }

    pub(super) fn request_id(&self, headers: &HeaderMap) -> Option<String> {
        let name = self.settings.request_id_header.as_ref()?;
        headers.get(name)?.to_str().ok().map(str::to_owned)
    }

    /// What this account puts on every request, where the caller did not.
    pub(super) fn put_headers(&self, request: &mut Request) {
        put_absent(&self.settings.headers, request.headers_mut());
    }

    /// An error on its way to the caller.
    pub(super) fn refuse(&self, error: Error) -> reqwest_middleware::Error {
        self.settings.events.emit(|| Event::Refused {
            error: error.clone(),
        });
        error.into()
    }
}

fn put_absent(from: &[(HeaderName, HeaderValue)], to: &mut HeaderMap) {
    for (name, value) in from {
        if !to.contains_key(name) {
            to.insert(name.clone(), value.clone());
        }
    }
}

/// Puts valid credentials on every request to the account's origins.
///
/// All others pass untouched. A request that carries an `Authorization` header already keeps it,
/// and its answer, whatever that is.
#[derive(Clone)]
pub struct AuthMiddleware {
    authenticator: Arc<Authenticator>,
    defaults: RequestOptions,
}

impl AuthMiddleware {
    pub(crate) fn new(authenticator: Arc<Authenticator>, defaults: RequestOptions) -> Self {
        Self {
            authenticator,
            defaults,
        }
    }

    /// Whether another account, or this one further out, acts on the request.
    fn is_not_for_us(&self, options: &RequestOptions, chain: &Chain) -> bool {
        let settings = &self.authenticator.settings;
        let chosen = options.account.as_deref();
        chosen.is_some_and(|account| account != &*settings.account)
            || chain.is_taken_by_other(settings.id)
            || chain.holds(settings.id, Layer::Auth)
    }
}

impl std::fmt::Debug for AuthMiddleware {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthMiddleware")
            .field("account", &self.authenticator.settings.account)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Middleware for AuthMiddleware {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let authenticator = &*self.authenticator;
        let settings = &authenticator.settings;
        let whose = settings.origins.whose(request.url());
        if whose == Whose::Foreign {
            return next.run(request, extensions).await;
        }
        let options = RequestOptions::of(extensions, &self.defaults);
        let chain = Chain::pick_up(extensions);
        if self.is_not_for_us(&options, &chain) {
            return next.run(request, extensions).await;
        }
        if whose == Whose::OursInTheClear {
            return Err(authenticator.refuse(insecure(request.url())));
        }
        let now = settings.clock.now();
        let mut patience = options.patience(now);
        patience.deadline = patience.deadline.into_iter().chain(chain.deadline()).min();
        let passing = Passing {
            authenticator,
            chain: &chain,
            patience,
            now,
        };
        match &authenticator.cache {
            Some(cache) if !request.headers().contains_key(AUTHORIZATION) => {
                passing.with_token(cache, request, extensions, next).await
            }
            _ => {
                authenticator.put_headers(&mut request);
                passing.run_marked(request, None, extensions, next).await
            }
        }
    }
}

/// One request on its way through.
pub(super) struct Passing<'a> {
    pub(super) authenticator: &'a Authenticator,
    pub(super) chain: &'a Chain,
    pub(super) patience: Patience,
    /// When it came. Clocks cost more than the rest of a request with a fresh token, so this
    /// reading serves as long as nothing was waited for.
    now: Now,
}

impl Passing<'_> {
    async fn with_token(
        &self,
        cache: &Cache,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let settings = &self.authenticator.settings;
        let (token, started) = self.usable_token(cache).await?;
        // The limiter above may have cloned the request already, before our headers were on it.
        let above = match settings.replay_unauthorized {
            true => self.chain.spare(&request),
            false => None,
        };
        self.authenticator.put_headers(&mut request);
        let credential = token.header().clone();
        request.headers_mut().insert(AUTHORIZATION, credential);
        let own = match above {
            None if settings.replay_unauthorized => Spare::of(&request),
            _ => None,
        };
        let pass = self.pass(own, extensions);
        let spare = above.or_else(|| pass.as_ref().and_then(|pass| pass.spare.as_ref()));

        let response = run(pass.as_ref(), request, extensions, next.clone()).await?;
        if !self.is_refusal(&response) {
            if response.status().is_success() && token.evidence().is_sought() {
                let now = settings.clock.now().moment;
                token.evidence().note_success(started, now);
            }
            return Ok(response);
        }
        let refused = Refused {
            passing: self,
            cache,
            token: &token,
            at: settings.clock.now().moment,
        };
        let (response, replay) = refused.judge(response, spare).await?;
        match replay {
            None => Ok(response),
            Some(replay) => {
                drop(response);
                refused.send(replay, pass.as_ref(), extensions, next).await
            }
        }
    }

    /// Sends a request that gets no cure, but marks it as ours for the layers beneath.
    async fn run_marked(
        &self,
        request: Request,
        spare: Option<Spare>,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let pass = self.pass(spare, extensions);
        run(pass.as_ref(), request, extensions, next).await
    }

    /// What this layer leaves for those beneath; not needed while the account's own limiter, above,
    /// has left the same.
    fn pass(&self, spare: Option<Spare>, extensions: &Extensions) -> Option<Arc<Pass>> {
        let account = self.authenticator.settings.id;
        if spare.is_none() && self.chain.holds(account, Layer::RateLimit) {
            return None;
        }
        Some(Arc::new(Pass {
            account,
            spare,
            deadline: self.patience.deadline,
            outer: Handle::present(extensions),
        }))
    }

    /// A token, and since when the request has it.
    async fn usable_token(
        &self,
        cache: &Cache,
    ) -> reqwest_middleware::Result<(Arc<Token>, Moment)> {
        let clock = &self.authenticator.settings.clock;
        let mut now = self.now;
        for _ in 0..MOST_ROUNDS {
            if let Some(token) = cache.ready(now) {
                return Ok((token, now.moment));
            }
            // A permit held while waiting would be one that nobody can use.
            self.chain.settle(Outcome::Unsent);
            let token = cache.token(Need::Usable, self.patience).await;
            let token = token.map_err(|error| self.authenticator.refuse(error))?;
            if self.chain.is_empty() {
                return Ok((token, clock.now().moment));
            }
            self.chain.acquire().await?;
            now = clock.now();
        }
        // Tokens that live shorter than the wait for a permit: the newest will have to do.
        let token = match cache.present() {
            Some(token) => Ok(token),
            None => cache.token(Need::Usable, self.patience).await,
        };
        let token = token.map_err(|error| self.authenticator.refuse(error))?;
        Ok((token, now.moment))
    }

    /// A refusal counts only if it comes from our own origin: after a redirect the credential was
    /// not even there.
    pub(super) fn is_refusal(&self, response: &Response) -> bool {
        let settings = &self.authenticator.settings;
        rejection::concerns(&settings.rejection, response.status())
            && settings.origins.whose(response.url()) == Whose::Ours
    }
}

pub(super) async fn run(
    pass: Option<&Arc<Pass>>,
    request: Request,
    extensions: &mut Extensions,
    next: Next<'_>,
) -> reqwest_middleware::Result<Response> {
    match pass {
        None => next.run(request, extensions).await,
        Some(pass) => {
            let mut left = Handle::leave(pass, extensions);
            next.run(request, left.extensions()).await
        }
    }
}
