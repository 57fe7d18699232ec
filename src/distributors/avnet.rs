//! Avnet, behind Azure API Management: `https://apigw.avnet.com/external/customer/price/v1/`.
//!
//! A token of Microsoft Entra ID *and* a subscription key, the latter in a header of every request,
//! the token's included. Each API product has a subscription key of its own: one account for each.
//! The scope (`api://…/.default`) is shown on the profile page of the portal. Client secrets and
//! keys expire after six months.
//!
//! Sources: the portal's help (apiportal.avnet.com/help/HowTo) for the pair of credentials, copies
//! of Avnet's documentation for the rest. 100 *lines* of a BOM a minute and 1000 calls a day, for
//! each customer, are the vendor's full numbers; say how many lines a request has:
//!
//! ```
//! use reqwest_tollgate::{RequestOptions, distributors::avnet};
//!
//! let twelve_lines = RequestOptions::new().cost(avnet::LINES, 12);
//! ```
//!
//! A request that does not say counts as one line. No status is documented for an exhausted quota,
//! only the words in the body, which are looked for in a 200, 400, 403 and 429. The gateway has
//! words of its own: "Out of call volume quota" (403) is a spent day, and a subscription key that
//! is missing or invalid (401) is not cured by a new token, so that answer is handed on. A 404
//! answers good and bad keys alike where no product has the path.

use std::time::Duration;

use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::auth::ClientAuth;
use crate::error::Error;
use crate::rate_limit::Window;
use crate::response_rules::{Rule, Verdict};
use crate::secret::Secret;

/// The gateway. Source: apiportal.avnet.com.
pub const PRODUCTION_URL: &str = "https://apigw.avnet.com";
/// The token endpoint, relative to it: a proxy of Microsoft Entra ID. Source: copies of Avnet's
/// documentation; it was seen to answer as Entra does.
pub const TOKEN_URL: &str = "external/getToken/oauth2/v2.0/token";

/// The lifetime of a token whose answer does not say it: Entra's usual one. Source: client code.
pub const FALLBACK_LIFETIME: Duration = Duration::from_secs(3599);

/// The unit of [`LINES_PER_MINUTE`], for [`RequestOptions::cost`](crate::RequestOptions::cost).
pub const LINES: &str = "lines";
/// Lines a minute, over all requests of a customer. Source: copies of Avnet's documentation.
pub const LINES_PER_MINUTE: u64 = 100;
/// Requests a day, same source. It does not say when a day ends, so any 24 hours count.
pub const PER_DAY: u64 = 1000;

const SUBSCRIPTION_KEY_HEADER: &str = "Ocp-Apim-Subscription-Key";
/// Of `040 'Rate limit (call lines per minute) exceeded: 101'`.
const MINUTE_EXCEEDED: &str = "Rate limit (call lines per minute) exceeded";
/// API Management's own: "Out of call volume quota. Quota will be replenished in HH:MM:SS.",
/// without a `Retry-After`. Observed.
const VOLUME_SPENT: &str = "Out of call volume quota";
/// API Management's own: "Access denied due to missing subscription key", or "invalid". Observed.
const BAD_SUBSCRIPTION: [&str; 2] = ["missing subscription key", "invalid subscription key"];
/// Where [`MINUTE_EXCEEDED`] may stand: no document tells the status.
const STATUSES: [u16; 4] = [200, 400, 403, 429];

pub(crate) const PRESET: Preset = Preset {
    name: "avnet",
    keys: &[
        Key::text("client_id", &["AVNET_CLIENT_ID"], AccountBuilder::client_id),
        Key::secret(
            "client_secret",
            &["AVNET_CLIENT_SECRET"],
            AccountBuilder::client_secret,
        ),
        Key::text("scope", &["AVNET_SCOPE"], AccountBuilder::scope),
        Key::secret(
            "subscription_key",
            &["AVNET_SUBSCRIPTION_KEY"],
            with_subscription_key,
        ),
    ],
    sandbox_variable: None,
    builder,
};

/// An account named `avnet`.
///
/// All four are on the portal: `client_id`, `client_secret` and `scope` on the profile page, the
/// `subscription_key` with each product.
pub fn account(
    client_id: impl Into<String>,
    client_secret: impl Into<Secret>,
    scope: impl Into<String>,
    subscription_key: impl Into<Secret>,
) -> AccountBuilder {
    let builder = builder().client_id(client_id).client_secret(client_secret);
    with_subscription_key(builder.scope(scope), subscription_key.into())
}

/// The same from the environment: `AVNET_CLIENT_ID`, `AVNET_CLIENT_SECRET`, `AVNET_SCOPE` and
/// `AVNET_SUBSCRIPTION_KEY`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    let builder = Account::builder(PRESET.name, PRODUCTION_URL)
        .token_url(TOKEN_URL)
        .client_auth(ClientAuth::Body)
        .fallback_lifetime(FALLBACK_LIFETIME)
        .window(Window::per_minute(LINES_PER_MINUTE).unit(LINES))
        .window(Window::per_day(PER_DAY))
        .usual_cost(LINES, 1)
        // What API Management itself says when a quota of its own is spent; whether Avnet uses
        // those is not known.
        .rule(Rule::new(403, Verdict::RateExceeded).header("Retry-After", ""))
        .rule(Rule::new(403, Verdict::QuotaSpent).body(VOLUME_SPENT));
    let builder = BAD_SUBSCRIPTION
        .into_iter()
        .fold(builder, AccountBuilder::not_the_token);
    STATUSES.into_iter().fold(builder, |builder, status| {
        builder.rule(Rule::new(status, Verdict::RateExceeded).body(MINUTE_EXCEEDED))
    })
}

fn with_subscription_key(builder: AccountBuilder, key: Secret) -> AccountBuilder {
    builder
        .header(SUBSCRIPTION_KEY_HEADER, key.clone())
        .token_header(SUBSCRIPTION_KEY_HEADER, key)
}
