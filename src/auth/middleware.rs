//! The skin: one request on its way through the auth layer.
//!
//! Out: put a usable credential on it, or fail. Back: a refused token may be cured, once per
//! request. The order there is *settle, renew, acquire, read the token again, send*
//! ([`passage`](crate::passage) says why), and none of it waits while holding a permit.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap};
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next};

use super::AuthSettings;
use super::cache::Cache;
use super::credentials::Worn;
use super::cure::Refused;
use super::endpoint::HttpEndpoint;
use super::health::Health;
use super::pass::Pass;
use super::rejection;
use super::reread;
use super::state::Need;
use super::token::Token;
use crate::clock::BoxFuture;
use crate::clock::{Moment, Now};
use crate::error::Error;
use crate::event::Event;
use crate::options::{BodyFactory, Patience, RequestOptions};
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

    /// None if the account has no token endpoint.
    pub(crate) fn cache(&self) -> Option<&Cache> {
        self.cache.as_ref()
    }

    pub(crate) fn health(&self) -> Health {
        match &self.cache {
            Some(cache) => cache.health(),
            None => Health::without_token(self.settings.account.clone()),
        }
    }

    /// As [`Cache::flush`].
    pub(crate) async fn flush(&self) -> Result<(), Error> {
        match &self.cache {
            Some(cache) => cache.flush().await,
            None => Ok(()),
        }
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

    /// Puts on a request what this account's requests carry, where the caller did not.
    ///
    /// # Errors
    /// It could not be signed.
    pub(super) fn put(&self, request: &mut Request, token: Option<&Token>) -> Result<Worn, Error> {
        let settings = &self.settings;
        let put = settings.credentials.put(request, token, &*settings.clock);
        put.map_err(|error| error.with_account(&settings.account))
    }

    /// An error on its way to the caller.
    pub(super) fn refuse(&self, error: Error) -> reqwest_middleware::Error {
        self.settings.events.emit(|| Event::Refused {
            error: error.clone(),
        });
        error.into()
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

    /// How the request passes; none if this layer does not act on it.
    fn passing(
        &self,
        request: &Request,
        extensions: &Extensions,
    ) -> reqwest_middleware::Result<Option<Passing<'_>>> {
        let authenticator = &self.authenticator;
        let settings = &authenticator.settings;
        let whose = settings.origins.whose(request.url());
        if whose == Whose::Foreign {
            return Ok(None);
        }
        let options = RequestOptions::of(extensions, &self.defaults);
        let chain = Chain::pick_up(extensions);
        let other = options
            .account
            .as_deref()
            .is_some_and(|name| name != &*settings.account);
        let taken = chain.is_taken_by_other(settings.id);
        if other || taken || chain.holds(settings.id, Layer::Auth) {
            return Ok(None);
        }
        if whose == Whose::OursInTheClear {
            return Err(authenticator.refuse(insecure(request.url())));
        }
        let now = settings.clock.now();
        let mut patience = options.patience(now);
        patience.deadline = patience.deadline.into_iter().chain(chain.deadline()).min();
        Ok(Some(Passing {
            authenticator,
            chain,
            patience,
            body_factory: options.body_factory.clone(),
            now,
        }))
    }
}

impl std::fmt::Debug for AuthMiddleware {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthMiddleware")
            .field("account", &self.authenticator.settings.account)
            .finish_non_exhaustive()
    }
}

/// Not an `async fn`: what needs no waiting is done before the future is made. A future holds all
/// that its body ever held, and moving two kilobytes about costs more than the credential.
impl Middleware for AuthMiddleware {
    fn handle<'layer, 'extensions, 'next, 'f>(
        &'layer self,
        request: Request,
        extensions: &'extensions mut Extensions,
        next: Next<'next>,
    ) -> BoxFuture<'f, reqwest_middleware::Result<Response>>
    where
        Self: 'f,
        'layer: 'f,
        'extensions: 'f,
        'next: 'f,
    {
        let passing = match self.passing(&request, extensions) {
            Ok(Some(passing)) => passing,
            Ok(None) => return next.run(request, extensions),
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let Some(cache) = passing.cache_for(&request) else {
            return passing.send_without_token(request, extensions, next);
        };
        match cache.ready(passing.now) {
            Some(token) => {
                let carried = Carried {
                    cache,
                    token,
                    since: passing.now.moment,
                };
                passing.send(carried, request, extensions, next)
            }
            None => Box::pin(async move {
                let (token, since) = passing.wait_for_token(cache).await?;
                let carried = Carried {
                    cache,
                    token,
                    since,
                };
                passing.send(carried, request, extensions, next).await
            }),
        }
    }
}

/// The token that a request carries.
struct Carried<'a> {
    cache: &'a Cache,
    token: Arc<Token>,
    since: Moment,
}

/// One request on its way through.
pub(super) struct Passing<'a> {
    pub(super) authenticator: &'a Arc<Authenticator>,
    pub(super) chain: Chain,
    pub(super) patience: Patience,
    body_factory: Option<BodyFactory>,
    /// When it came. Clocks cost more than the rest of a request with a fresh token, so this
    /// reading serves as long as nothing was waited for.
    now: Now,
}

impl<'a> Passing<'a> {
    /// Where the request's token comes from; none if it gets none, or brings a credential of its
    /// own.
    fn cache_for(&self, request: &Request) -> Option<&'a Cache> {
        let cache = self.authenticator.cache.as_ref();
        cache.filter(|_| !request.headers().contains_key(AUTHORIZATION))
    }

    fn spare_above(&self, request: &Request) -> Option<&Spare> {
        let replays = self.authenticator.settings.replay_unauthorized;
        if replays {
            self.chain.spare(request)
        } else {
            None
        }
    }

    /// Puts the credentials on, and gives a clone of the request if one is needed here.
    ///
    /// # Errors
    /// It could not be signed.
    fn equip(
        &self,
        request: &mut Request,
        token: Option<&Token>,
        clone: bool,
    ) -> Result<(Worn, Option<Spare>), Error> {
        let settings = &self.authenticator.settings;
        let clone = |request: &Request| {
            let wanted = clone && settings.replay_unauthorized;
            let factory = self.body_factory.as_ref();
            wanted.then(|| Spare::of(request, factory)).flatten()
        };
        // The clone has the credentials on, so that a limiter beneath finds it to be what it gets;
        // but not where the next attempt needs others.
        if settings.credentials.differ_by_attempt() {
            let spare = clone(request);
            return Ok((self.authenticator.put(request, token)?, spare));
        }
        let worn = self.authenticator.put(request, token)?;
        Ok((worn, clone(request)))
    }

    /// Sends a request of an account without tokens, or one that brings its own credential.
    fn send_without_token<'f>(
        self,
        mut request: Request,
        extensions: &'f mut Extensions,
        next: Next<'f>,
    ) -> BoxFuture<'f, reqwest_middleware::Result<Response>>
    where
        'a: 'f,
    {
        let is_renewable = self.authenticator.settings.credentials.can_change();
        let is_above = self.spare_above(&request).is_some();
        let unsigned = self.unsigned(&request);
        let equipped = self.equip(&mut request, None, is_renewable && !is_above);
        let (worn, own) = match equipped {
            Ok(equipped) => equipped,
            Err(error) => {
                let error = self.authenticator.refuse(error);
                return Box::pin(std::future::ready(Err(error)));
            }
        };
        let pass = self.pass(own, unsigned, extensions);
        Box::pin(async move {
            let result = run(pass.as_ref(), request, extensions, next.clone()).await;
            let response = worn.hide(result)?;
            let worn = worn.keys.filter(|_| self.is_refusal(&response));
            let Some(worn) = worn else {
                return Ok(response);
            };
            let spare = match &pass {
                _ if is_above => self.chain.nearest_spare(),
                Some(pass) => pass.spare.as_ref(),
                None => None,
            };
            let refused = reread::Refused {
                passing: &self,
                worn: &worn,
            };
            Box::pin(refused.cure(response, spare, pass.as_ref(), extensions, next)).await
        })
    }

    /// For a limiter beneath, where each attempt is signed by itself.
    fn unsigned(&self, request: &Request) -> Option<Spare> {
        let is_signed = self.authenticator.settings.credentials.is_signed();
        let factory = self.body_factory.as_ref();
        is_signed.then(|| Spare::of(request, factory)).flatten()
    }

    /// Sends a request with its token on it, and cures a refusal.
    fn send<'f>(
        self,
        carried: Carried<'f>,
        mut request: Request,
        extensions: &'f mut Extensions,
        next: Next<'f>,
    ) -> BoxFuture<'f, reqwest_middleware::Result<Response>>
    where
        'a: 'f,
    {
        // The limiter above may have cloned the request already, before our headers were on it.
        let is_above = self.spare_above(&request).is_some();
        let unsigned = self.unsigned(&request);
        let equipped = self.equip(&mut request, Some(&carried.token), !is_above);
        let (worn, own) = match equipped {
            Ok(equipped) => equipped,
            Err(error) => {
                let error = self.authenticator.refuse(error);
                return Box::pin(std::future::ready(Err(error)));
            }
        };
        let pass = self.pass(own, unsigned, extensions);
        Box::pin(async move {
            let result = match &pass {
                None => next.clone().run(request, extensions).await,
                Some(pass) => {
                    let mut left = Handle::leave(pass, extensions);
                    next.clone().run(request, left.extensions()).await
                }
            };
            let response = worn.hide(result)?;
            if !self.is_refusal(&response) {
                self.note_success(&carried.token, carried.since, &response);
                return Ok(response);
            }
            let spare = match &pass {
                _ if is_above => self.chain.nearest_spare(),
                Some(pass) => pass.spare.as_ref(),
                None => None,
            };
            let refused = Refused {
                passing: &self,
                cache: carried.cache,
                token: &carried.token,
                at: self.authenticator.settings.clock.now().moment,
            };
            // Boxed, as all that is rare here: a future that is small is cheap to make.
            Box::pin(refused.cure(response, spare, pass.as_ref(), extensions, next)).await
        })
    }

    /// Evidence for the token, where some is sought.
    fn note_success(&self, token: &Token, started: Moment, response: &Response) {
        if response.status().is_success() && token.evidence().is_sought() {
            let now = self.authenticator.settings.clock.now().moment;
            token.evidence().note_success(started, now);
        }
    }

    /// What this layer leaves for those beneath; not needed while the account's own limiter, above,
    /// has left the same.
    fn pass(
        &self,
        spare: Option<Spare>,
        unsigned: Option<Spare>,
        extensions: &Extensions,
    ) -> Option<Arc<Pass>> {
        let account = self.authenticator.settings.id;
        if spare.is_none() && self.chain.holds(account, Layer::RateLimit) {
            return None;
        }
        Some(Arc::new(Pass {
            account,
            spare,
            deadline: self.patience.deadline,
            unsigned: unsigned.map(|spare| (self.authenticator.clone(), spare)),
            outer: Handle::present(extensions),
        }))
    }

    /// A token, and since when the request has it.
    async fn wait_for_token(
        &self,
        cache: &Cache,
    ) -> reqwest_middleware::Result<(Arc<Token>, Moment)> {
        let clock = &self.authenticator.settings.clock;
        let refuse = |error| self.authenticator.refuse(error);
        for _ in 0..MOST_ROUNDS {
            // A permit held while waiting would be one that nobody can use.
            self.chain.settle(Outcome::Unsent);
            let token = cache
                .token(Need::Usable, self.patience)
                .await
                .map_err(refuse)?;
            if self.chain.is_empty() {
                return Ok((token, clock.now().moment));
            }
            self.chain.acquire().await.map_err(refuse)?;
            let now = clock.now();
            if let Some(token) = cache.ready(now) {
                return Ok((token, now.moment));
            }
        }
        // Tokens that live shorter than the wait for a permit: the newest will have to do.
        let token = match cache.present() {
            Some(token) => Ok(token),
            None => cache.token(Need::Usable, self.patience).await,
        };
        Ok((token.map_err(refuse)?, clock.now().moment))
    }

    /// Ends the permits above with a refusal; no rule has another name for it.
    pub(super) fn settle_refusal(&self, response: &Response) {
        self.chain.settle(Outcome::Answered {
            status: response.status(),
            headers: response.headers(),
            verdict: None,
        });
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
