//! An account: one set of credentials at one distributor.

pub(crate) mod build;
mod builder;
pub(crate) mod check;
pub(crate) mod endpoint_limits;
mod health;
mod permits;
mod registry;
mod settings;
mod token_store;
mod tokens;

use std::fmt;
use std::sync::{Arc, OnceLock};

use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use url::Url;

use crate::auth::{AuthMiddleware, Authenticator};
use crate::error::Error;
use crate::options::RequestOptions;
use crate::rate_limit::{Limiter, Quota, QuotaSnapshot, RateLimitMiddleware};

pub use builder::{AccountBuilder, Environment};
pub(crate) use settings::Settings;

/// One set of credentials at one distributor, with its tokens and its quotas.
///
/// A handle: build it once, clone it freely. Clones share tokens and quotas, and so do the layers
/// made from them, on however many clients. Two `build()`s are two ledgers of the same quota.
#[derive(Clone)]
pub struct Account {
    shared: Arc<Shared>,
    defaults: RequestOptions,
}

struct Shared {
    name: Arc<str>,
    base_url: Url,
    authenticator: Arc<Authenticator>,
    limiter: Arc<Limiter>,
    /// Beneath the layers of [`Account::client`], for all handles; made when it is first needed.
    http: OnceLock<reqwest::Client>,
}

impl Account {
    /// A distributor that the crate has no preset for; `name` is what stores, events and errors
    /// call the account, and the origin of `base_url` is where it acts.
    pub fn builder(name: impl Into<String>, base_url: impl AsRef<str>) -> AccountBuilder {
        AccountBuilder {
            settings: Settings::new(name.into(), base_url.as_ref().to_owned()),
        }
    }

    /// A client whose requests pass both layers: the shortest way to one whose credentials go to
    /// the account's origins and nowhere else, since redirects stay within an origin
    /// ([`http_client_builder`](crate::http_client_builder)).
    ///
    /// All clients of an account, of its clones too, share one connection pool. For layers of your
    /// own, other timeouts, or one pool beneath several accounts, see [`attach`](Self::attach).
    ///
    /// ```
    /// use reqwest_tollgate::{Account, Window};
    ///
    /// let account = Account::builder("acme", "https://api.acme.example")
    ///     .header("X-Api-Key", "my-key")
    ///     .window(Window::per_minute(120))
    ///     .build()?;
    /// let client = account.client()?;
    /// let request = client.get("https://api.acme.example/parts/LM358");
    /// # let _ = request;
    /// # Ok::<(), reqwest_tollgate::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config): reqwest cannot make a client, for one
    /// because the TLS that you chose finds no roots, or the system has no resolver. Without any
    /// TLS it makes one, whose requests to https fail.
    pub fn client(&self) -> Result<ClientWithMiddleware, Error> {
        let http = match self.shared.http.get() {
            Some(http) => http.clone(),
            None => {
                let made = crate::http_client_builder().build();
                let made = made.map_err(|error| self.no_client(error))?;
                // Whoever made one at the same time may have been first.
                self.shared.http.get_or_init(|| made).clone()
            }
        };
        Ok(self.attach(ClientBuilder::new(http)).build())
    }

    fn no_client(&self, error: reqwest::Error) -> Error {
        let named = Error::config("client: reqwest could not make one; see the source");
        named.with_source(error).with_account(&self.shared.name)
    }

    /// Adds both layers, innermost, in the right order: first the turn, then the ticket.
    ///
    /// What the builder has already (retries, tracing, a cache) stays outside. Make the client in
    /// it with [`http_client_builder`](crate::http_client_builder), or give it
    /// [`same_origin_redirects`](crate::same_origin_redirects): with reqwest's own policy a
    /// redirect to another origin takes keys along.
    pub fn attach(&self, builder: ClientBuilder) -> ClientBuilder {
        builder.with(self.rate_limit()).with(self.auth())
    }

    /// The rate-limit layer alone.
    pub fn rate_limit(&self) -> RateLimitMiddleware {
        RateLimitMiddleware::new(self.shared.limiter.clone(), self.defaults.clone())
    }

    /// The auth layer alone.
    pub fn auth(&self) -> AuthMiddleware {
        AuthMiddleware::new(self.shared.authenticator.clone(), self.defaults.clone())
    }

    /// The same account with other defaults, over those it has: one handle for a bulk crawl, one
    /// for look-ups that cannot wait.
    #[must_use]
    pub fn with_options(&self, defaults: RequestOptions) -> Self {
        Self {
            shared: self.shared.clone(),
            defaults: defaults.over(&self.defaults),
        }
    }

    /// What is left of each of its quotas; for where the response is hidden.
    pub fn quotas(&self) -> Vec<QuotaSnapshot> {
        self.shared.limiter.snapshots()
    }

    /// Replaces the quota of this name, or adds it, for every handle and layer of the account, now.
    /// One without windows of its own gets those that the default quota has now.
    ///
    /// A window of the same length and unit goes on counting, with those in flight, by its new
    /// limit; one of another length begins with what the others know of the requests in its unit,
    /// rather too many than too few; and windows that the new quota does not have are gone.
    /// Requests that wait are looked at again. A window that names no response headers keeps those
    /// of the one that it replaces. What was learned of the quota is forgotten, as by
    /// [`reopen`](Self::reopen).
    ///
    /// ```
    /// use reqwest_tollgate::{Account, Quota, Window};
    ///
    /// let account = Account::builder("acme", "https://api.acme.example")
    ///     .window(Window::per_minute(120))
    ///     .build()?;
    /// account.set_quota(Quota::new(Quota::DEFAULT).window(Window::per_minute(60)))?;
    /// assert_eq!(account.quotas()[0].windows()[0].limit, 60);
    /// # Ok::<(), reqwest_tollgate::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) with everything that is wrong with it, and
    /// nothing has changed.
    pub fn set_quota(&self, quota: Quota) -> Result<(), Error> {
        let changed = |known: &[&Quota]| check::quotas::changed(quota, known);
        let set = self.shared.limiter.set_quota(changed);
        set.map_err(|problems| problems.into_error().with_account(&self.shared.name))
    }

    /// Forgets what was learned of a quota, for when it was wrong, or no longer holds: a pause, a
    /// lower limit, what others take, and the pace that followed from them. What this account has
    /// used goes on counting. [`Event::EvidenceForgotten`](crate::Event::EvidenceForgotten) reports
    /// it.
    ///
    /// Requests that wait are looked at again. What the next answers tell is learned anew.
    ///
    /// ```
    /// use reqwest_tollgate::{Account, Quota, Window};
    ///
    /// let account = Account::builder("acme", "https://api.acme.example")
    ///     .window(Window::per_minute(120))
    ///     .build()?;
    /// account.reopen(Quota::DEFAULT)?;
    /// # Ok::<(), reqwest_tollgate::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config): the account has no quota of that name.
    pub fn reopen(&self, quota: &str) -> Result<(), Error> {
        self.shared.limiter.reopen(quota)
    }

    /// Counts a cost that only the answer told, such as the number of parts it holds, in the
    /// windows of `quota` that count this unit ([`Window::unit`](crate::Window::unit)). It may
    /// exceed their limit: then the next requests that cost something in that unit wait until it is
    /// made up for.
    ///
    /// The default quota is named [`Quota::DEFAULT`](crate::Quota::DEFAULT);
    /// [`QuotaSnapshot::quota`] tells that of a response.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config): the account has no quota of that name, or
    /// counts other units than this one.
    pub fn charge(&self, quota: &str, unit: &str, amount: u64) -> Result<(), Error> {
        self.shared.limiter.charge(quota, unit, amount)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The URL whose origin it acts on.
    pub fn base_url(&self) -> &Url {
        &self.shared.base_url
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.shared.name)
            .finish_non_exhaustive()
    }
}
