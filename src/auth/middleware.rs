//! The skin: the auth layer as a middleware, and what all layers of an account share.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Extensions, HeaderMap};
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next};
use url::{Position, Url};

use super::AuthSettings;
use super::attempt::{Carried, Passing};
use super::cache::Cache;
use super::credentials::Worn;
use super::health::Health;
use super::oauth::endpoint::HttpEndpoint;
use super::token::Token;
use crate::clock::BoxFuture;
use crate::error::Error;
use crate::layers::{Chain, Layer};
use crate::observe::event::Event;
use crate::options::RequestOptions;
use crate::origin::{Whose, insecure};
use crate::printable;

/// As many other hosts are remembered that have got keys.
const MOST_HOSTS: usize = 64;

/// A name of DNS, and a port.
const LONGEST_HOST: usize = 253 + 6;

/// The auth half of one account, shared by all layers and clients made from it.
pub(crate) struct Authenticator {
    pub(super) settings: AuthSettings,
    cache: Option<Cache>,
    /// Other hosts that have got the account's keys.
    redirected: Mutex<BTreeSet<String>>,
}

impl Authenticator {
    pub(crate) fn new(mut settings: AuthSettings) -> Self {
        let oauth = settings.oauth.take().map(Arc::new);
        let cache = oauth.map(|oauth| {
            let endpoint = Box::new(HttpEndpoint::new(&oauth, settings.clock.clone()));
            Cache::new(&settings, oauth, endpoint)
        });
        Self {
            settings,
            cache,
            redirected: Mutex::default(),
        }
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
        endpoint: Box<dyn super::oauth::endpoint::TokenEndpoint>,
    ) -> Self {
        let oauth = settings.oauth.take().map(Arc::new);
        let cache = oauth.map(|oauth| Cache::new(&settings, oauth, endpoint));
        Self {
            settings,
            cache,
            redirected: Mutex::default(),
        }
    }

    /// The distributor's name for the exchange that ended with a refusal.
    pub(super) fn request_id(&self, headers: &HeaderMap, body: Option<&[u8]>) -> Option<String> {
        let in_header = printable::id_in(headers, &self.settings.request_id_headers);
        in_header.or_else(|| printable::id_in_body(body?))
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

    /// A result as the caller gets it: without what was put into its URL. An answer from another
    /// origin is reported, where keys went there.
    pub(super) fn receive(
        &self,
        result: reqwest_middleware::Result<Response>,
        worn: &Worn,
    ) -> reqwest_middleware::Result<Response> {
        if let Ok(response) = &result {
            self.note_redirect(response.url());
        }
        worn.hide(result)
    }

    fn note_redirect(&self, url: &Url) {
        let settings = &self.settings;
        let is_elsewhere =
            settings.credentials.outlive_redirects() && settings.origins.whose(url) != Whose::Ours;
        if let Some(host) = is_elsewhere.then(|| self.first_from(url)).flatten() {
            let event = || Event::CredentialsRedirected { host };
            settings.events.emit(event);
        }
    }

    /// The host, if nothing was heard from it before.
    fn first_from(&self, url: &Url) -> Option<String> {
        let host: String = url[Position::BeforeHost..Position::AfterPort]
            .chars()
            .take(LONGEST_HOST)
            .collect();
        let mut known = self
            .redirected
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_new = known.len() < MOST_HOSTS && known.insert(host.clone());
        is_new.then_some(host)
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
/// All others pass untouched, but one to the account's own host over plain http fails
/// ([`ErrorKind::Insecure`](crate::ErrorKind::Insecure)). A request that carries an `Authorization`
/// header already keeps it, and its answer, whatever that is.
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
