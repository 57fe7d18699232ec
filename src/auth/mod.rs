//! Valid credentials on every request: tokens got, renewed before they expire, replaced when
//! refused.

mod access;
mod attempt;
pub(crate) mod cache;
mod challenge;
pub(crate) mod credentials;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod health;
mod login;
mod middleware;
#[cfg(tollgate_model)]
#[path = "../../tests/model/src/auth/mod.rs"]
pub mod model;
pub(crate) mod oauth;
mod pass;
pub(crate) mod persistence;
#[cfg(test)]
mod proof;
#[cfg(test)]
mod random_worlds;
mod replay;
mod reread;
pub(crate) mod store;
#[cfg(any(test, tollgate_model))]
#[allow(clippy::expect_used)] // The lint spares what is for tests alone.
mod testing;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};
use url::Url;

use crate::clock::Clock;
use crate::layers::AccountId;
use crate::observe::event::Events;
use crate::origin::Origins;
use crate::response_rules::Rules;
use crate::secret::Secret;

pub use access::AccessToken;
pub use credentials::signer::{Attempt, Signer};
pub use health::{Health, RenewalElsewhere};
pub use login::AuthorizationRequest;
pub use middleware::AuthMiddleware;
pub(crate) use middleware::Authenticator;
pub use oauth::grant::{ClientAuth, Grant};
pub use oauth::jwt::JwtBearer;

/// What the auth half of an account is made of, checked by `AccountBuilder::build`.
pub(crate) struct AuthSettings {
    pub(crate) account: Arc<str>,
    pub(crate) id: AccountId,
    pub(crate) origins: Arc<Origins>,
    pub(crate) events: Events,
    pub(crate) clock: Arc<dyn Clock>,
    /// On every request to the account's origins, beside the token.
    pub(crate) credentials: credentials::Credentials,
    /// None: the credentials are all there is.
    pub(crate) oauth: Option<OAuthSettings>,
    pub(crate) rejection: RejectionTable,
    pub(crate) replay_unauthorized: bool,
    pub(crate) request_id_headers: Vec<HeaderName>,
}

/// How tokens are got.
pub(crate) struct OAuthSettings {
    pub(crate) token_url: Url,
    /// None: the grant alone says who asks.
    pub(crate) client_id: Option<String>,
    pub(crate) client_secret: Option<Secret>,
    pub(crate) client_auth: ClientAuth,
    pub(crate) grant: Grant,
    pub(crate) scope: Option<String>,
    /// Also on a refresh, where RFC 6749 needs none.
    pub(crate) scope_on_refresh: bool,
    /// Whether a login has a code verifier.
    pub(crate) pkce: bool,
    /// On the token request.
    pub(crate) token_headers: HeaderMap,
    /// In the token request's form.
    pub(crate) token_fields: Vec<(String, Secret)>,
    pub(crate) token_client: reqwest::Client,
    /// What the endpoint's answers mean where they do not say it.
    pub(crate) token_rules: Rules,
    /// The header with the distributor's name for the exchange.
    pub(crate) request_id_headers: Vec<HeaderName>,
    pub(crate) store: Option<Arc<dyn store::TokenStore>>,
    /// What may be done with a refresh token that was presented before.
    pub(crate) terms: persistence::refresh_chain::Terms,
    /// The endpoint's published limits.
    pub(crate) limit: Option<Arc<dyn cache::budget::TokenLimit>>,
    /// Renews while nobody asks, too.
    pub(crate) keep_warm: bool,
    pub(crate) refresh_lead: Duration,
    /// The lifetime of a token whose answer does not say it; none: 300 s, with unknown expiry.
    pub(crate) fallback_lifetime: Option<Duration>,
    /// Where a person logs in.
    pub(crate) authorization_url: Option<Url>,
    /// Where tokens are given back.
    pub(crate) revocation_url: Option<Url>,
    /// What the callback of a login has to name as `iss`.
    pub(crate) issuer: Option<String>,
}

/// A distributor's table of what a refused request means.
#[derive(Clone, Debug)]
pub(crate) struct RejectionTable {
    /// The statuses that can mean "token refused".
    pub(crate) statuses: Vec<StatusCode>,
    /// A body with one of these phrases says that the token is not the problem. In lower case and
    /// without white space, as the body is compared.
    pub(crate) not_the_token: Vec<String>,
    /// What else the distributor's answers mean.
    pub(crate) rules: Arc<Rules>,
}

impl Default for RejectionTable {
    fn default() -> Self {
        Self {
            statuses: vec![StatusCode::UNAUTHORIZED],
            not_the_token: Vec::new(),
            rules: Arc::default(),
        }
    }
}
