//! A distributor in a box: a token endpoint, quotas that bite, and faults on demand, in process, on
//! a loopback port.
//!
//! What a crawler does about tokens and quotas shows only against a server that issues the ones and
//! enforces the others. The vendors' own sandboxes are far away, slow to expire a token, and not to
//! be flooded. This one compresses time (tokens of a second, windows of half a second), counts what
//! it saw, and fails as it is told. It is for tests and examples, yours as well as ours.
//!
//! ```
//! use std::time::Duration;
//! use reqwest_tollgate::sandbox::{Dose, Fault, Sandbox};
//!
//! # async fn story() -> Result<(), Box<dyn std::error::Error>> {
//! let sandbox = Sandbox::builder()
//!     .token_lifetime(Duration::from_secs(1))
//!     .window("20/500ms".parse()?)
//!     .resource(|request| http::Response::new(request.uri().path().to_owned()))
//!     .start()
//!     .await?;
//! sandbox.inject(Fault::ServerError(Dose::Ratio(0.02)));
//!
//! // A client without a token is refused, and counted.
//! let answer = reqwest::get(sandbox.url().join("/parts/LM358P")?).await?;
//! assert_eq!(answer.status(), 401);
//! assert_eq!(sandbox.counters().rejected_401, 1);
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread()
//! #     .enable_all()
//! #     .build()
//! #     .unwrap()
//! #     .block_on(story())
//! #     .unwrap();
//! ```
//!
//! With an account, a test of a whole crawl reads:
//!
//! ```no_run
//! # use std::time::Duration;
//! # use reqwest_tollgate::sandbox::Sandbox;
//! # async fn story() -> Result<(), Box<dyn std::error::Error>> {
//! let sandbox = Sandbox::builder()
//!     .token_lifetime(Duration::from_secs(1))
//!     .window("20/500ms".parse()?)
//!     .start()
//!     .await?;
//! let account = sandbox.account().build()?;
//! let client = account.client()?;
//!
//! for part in 0..100 {
//!     let path = format!("/products/v4/search/{part}/productdetails");
//!     assert_eq!(client.get(sandbox.url().join(&path)?).send().await?.status(), 200);
//! }
//! assert_eq!(sandbox.counters().rejected_429, 0);
//! assert!(sandbox.counters().token_requests >= 2);
//! # Ok(())
//! # }
//! ```
//!
//! # What it serves
//!
//! | | |
//! |---|---|
//! | `POST /v1/oauth2/token` | tokens, for `client_credentials` and `refresh_token`; the client authenticates by HTTP Basic or in the form |
//! | `GET /products/v4/search/{part}/productdetails` | a product made up from the part number |
//! | `POST /products/v4/search/keyword` | the same, by `{"Keywords": "…"}` |
//!
//! A request to the API is judged in this order: its credential (a refusal counts in no quota), the
//! injected faults of the gateway, the quota, the injected faults of the backend, and then the
//! resource answers.
//!
//! That, the bodies and the headers are DigiKey's. With the [`Manners`] of another vendor
//! ([`SandboxBuilder::manners`]) the token endpoint, the paths and the refusals are that vendor's,
//! and at every one of its paths something is found; an injected
//! [`ServerError`](Fault::ServerError) and the header with the request's id stay DigiKey's.

mod answer;
mod builder;
mod calendar;
mod counters;
mod dialect;
mod distributor;
mod enforcement;
mod fault;
mod issuer;
mod manners;
mod meter;
mod mishaps;
mod quota;
mod resource;
mod server;
mod service;
mod text;
mod token_endpoint;

use std::fmt;
use std::time::Duration;

use url::Url;

use crate::account::{Account, AccountBuilder};
use crate::auth::{ClientAuth, Grant};
use crate::error::Error;

pub use builder::SandboxBuilder;
pub use counters::Counters;
pub use dialect::Dialect;
pub use enforcement::Enforcement;
pub use fault::{Dose, Fault, Outage};
pub use manners::Manners;
pub use text::{parse_range, parse_span};

/// A distributor in a box, until it is dropped.
///
/// It runs on a thread of its own, so it works on any runtime, also one whose time is paused.
/// Dropping it closes its port and all its connections; the drop waits for that (milliseconds, one
/// second at most).
#[must_use = "dropping the sandbox ends it"]
pub struct Sandbox {
    url: Url,
    server: server::Server,
}

impl Sandbox {
    /// The client's id, unless [`SandboxBuilder::client`] chose another.
    pub const CLIENT_ID: &'static str = "sandbox-client";
    /// The client's secret, unless [`SandboxBuilder::client`] chose another.
    pub const CLIENT_SECRET: &'static str = "sandbox-secret";
    /// What some vendors give beside the two (a subscription key, a key's id, a password), for
    /// [`Manners`].
    pub const KEY: &'static str = "sandbox-key";

    /// What it should be like.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder::default()
    }

    fn over(server: server::Server) -> Result<Self, Error> {
        let text = format!("http://{}/", server.address);
        match Url::parse(&text) {
            Ok(url) => Ok(Self { url, server }),
            Err(error) => Err(Error::config(text).with_source(error)),
        }
    }

    /// Where it listens: `http://127.0.0.1:PORT/`.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The URL of its token endpoint.
    pub fn token_url(&self) -> Url {
        let mut url = self.url.clone();
        url.set_path(self.settings().token_path());
        url
    }

    /// The id of the client that its token endpoint knows.
    pub fn client_id(&self) -> &str {
        &self.settings().client_id
    }

    /// The secret of that client.
    pub fn client_secret(&self) -> &str {
        &self.settings().client_secret
    }

    /// An account that fits: named `sandbox`, with its URLs, client, windows and the names of its
    /// headers filled in.
    ///
    /// It has DigiKey's manners; for others ([`SandboxBuilder::manners`]) begin with the vendor's
    /// preset, or with an account of your own.
    ///
    /// With [`SandboxBuilder::refresh_grant`] each call is a login of its own, and a
    /// [`token_store`](AccountBuilder::token_store) has to be added.
    pub fn account(&self) -> AccountBuilder {
        let settings = self.settings();
        let mut account = Account::builder("sandbox", &self.url)
            .token_url(token_endpoint::PATH)
            .client_id(self.client_id())
            .client_secret(self.client_secret())
            .client_auth(ClientAuth::Body)
            .header("X-DIGIKEY-Client-Id", self.client_id())
            .request_id_header("X-DIGIKEY-Request-Id")
            .not_the_token("Invalid clientId")
            .not_the_token("not subscribed");
        let count = settings.windows.len();
        for (index, window) in settings.windows.iter().enumerate() {
            let role = dialect::Role::of(index, count);
            account = account.window(settings.dialect.describe(window.clone(), role));
        }
        match settings.refresh_grant {
            true => account.grant(Grant::refresh_token(self.refresh_token())),
            false => account,
        }
    }

    /// A refresh token, fresh from a login of its own: the first of a new family.
    pub fn refresh_token(&self) -> String {
        self.server.distributor.log_in()
    }

    /// Makes something go wrong, from now on.
    pub fn inject(&self, fault: Fault) {
        self.server.distributor.inject(fault);
    }

    /// Ends every fault; a request that one has met already is not spared.
    pub fn clear_faults(&self) {
        self.server.distributor.clear_faults();
    }

    /// From now on every access token issued so far gets a 401.
    pub fn revoke_tokens(&self) {
        self.server.distributor.revoke_access_tokens();
    }

    /// From now on every refresh token issued so far gets `invalid_grant`: somebody has to log in
    /// again ([`refresh_token`](Self::refresh_token)).
    pub fn revoke_refresh_tokens(&self) {
        self.server.distributor.revoke_refresh_tokens();
    }

    /// What it saw so far.
    pub fn counters(&self) -> Counters {
        self.server.distributor.counters()
    }

    /// When the quota accepted each request, in this order, since the start, by the sandbox's own
    /// monotonic clock.
    pub fn accepted_at(&self) -> Vec<Duration> {
        self.server.distributor.accepted()
    }

    fn settings(&self) -> &builder::Settings {
        self.server.distributor.settings()
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox")
            .field("url", &self.url.as_str())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
