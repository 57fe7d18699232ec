//! TME, version 2 of the API: `https://api.tme.eu/products/…`, for tokens made since 2026-05-14.
//!
//! Client credentials with HTTP Basic: the 50 characters that TME calls the token are the client's
//! id, the application's secret (20) is its secret. Access tokens live five minutes. A refresh
//! token comes along, which this account leaves alone: the client's credentials get as good a token
//! for one request as it does, and cannot be used up.
//!
//! 10 requests a second, 2 of them for prices and stock, told apart by [path](PRICES_PATH); both
//! are the vendor's full numbers. Clients take a 403 like a 429 for "too fast" and wait a second;
//! the OpenAPI document has neither. A 403 that speaks of too many requests is one, and a 403 with
//! an authorization error in it is handed on; any other is sent again once, a second later, and
//! handed on if it is refused so again.
//!
//! The language is a header (`.header("Accept-Language", "en")`), the country a query key of each
//! request. Sources: copies of TME's OpenAPI document, public clients.

use std::time::Duration;

use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::auth::ClientAuth;
use crate::error::Error;
use crate::rate_limit::{Quota, Window};
use crate::response_rules::{Rule, Verdict};
use crate::secret::Secret;

/// The API. Source: copies of TME's documentation.
pub const PRODUCTION_URL: &str = "https://api.tme.eu";
/// The token endpoint, relative to it; same source.
pub const TOKEN_URL: &str = "auth/token";

/// The lifetime of a token whose answer does not say it: `expires_in` is 300. Same source.
pub const FALLBACK_LIFETIME: Duration = Duration::from_secs(300);

/// Requests a second. Source: copies of TME's documentation.
pub const PER_SECOND: u64 = 10;
/// Requests for prices and stock a second, same source.
pub const PRICES_PER_SECOND: u64 = 2;
/// The quota of prices and stock.
pub const PRICES: &str = "prices";
/// Where prices and stock are asked for. Source: client code.
pub const PRICES_PATH: &str = "/products/data";

/// What a 403 says that is about the rate: version 1's code, and HTTP's words.
const TOO_MANY: [&str; 3] = ["E_TOO_MANY_REQUESTS", "too many requests", "rate limit"];
/// Codes of a refused authorization, in lists of version 1's; of version 2's none is published.
const NOT_ALLOWED: [&str; 2] = ["E_AUTHORIZATION", "E_ACTION_FORBIDDEN"];

pub(crate) const PRESET: Preset = Preset {
    name: "tme_v2",
    keys: &[
        Key::text(
            "token",
            &["TME_TOKEN", "TME_API_TOKEN", "PROVIDER_TME_KEY"],
            AccountBuilder::client_id,
        ),
        Key::secret(
            "app_secret",
            &["TME_APP_SECRET", "TME_API_SECRET", "PROVIDER_TME_SECRET"],
            AccountBuilder::client_secret,
        ),
    ],
    sandbox_variable: None,
    builder,
};

/// An account named `tme_v2`, of the token and the application's secret.
pub fn account(token: impl Into<String>, app_secret: impl Into<Secret>) -> AccountBuilder {
    builder().client_id(token).client_secret(app_secret)
}

/// The same from the environment: `TME_TOKEN` and `TME_APP_SECRET`, or `TME_API_TOKEN` and
/// `TME_API_SECRET`, or `PROVIDER_TME_KEY` and `PROVIDER_TME_SECRET`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    let prices = Quota::new(PRICES)
        .path(PRICES_PATH)
        .window(Window::per_second(PRICES_PER_SECOND));
    let builder = Account::builder(PRESET.name, PRODUCTION_URL)
        .token_url(TOKEN_URL)
        .client_auth(ClientAuth::Basic)
        .fallback_lifetime(FALLBACK_LIFETIME)
        .window(Window::per_second(PER_SECOND))
        .quota(prices)
        .rule(Rule::new(429, Verdict::RateExceeded))
        .rule(Rule::new(403, Verdict::RateSuspected));
    let builder = TOO_MANY.into_iter().fold(builder, |builder, words| {
        builder.rule(Rule::new(403, Verdict::RateExceeded).body(words))
    });
    NOT_ALLOWED.into_iter().fold(builder, |builder, code| {
        builder.rule(Rule::new(403, Verdict::NotTheToken).body(code))
    })
}
