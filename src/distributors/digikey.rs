//! DigiKey.
//!
//! One account is one *app* of the developer portal, in one environment: an app of the sandbox has
//! no access to production and the reverse ("Invalid clientId").
//!
//! * **Two-legged** (`client_credentials`, what [`account`] sets): product information, order
//!   status and what else needs no user.
//! * **Three-legged** ([`Grant::authorization_code`](crate::Grant::authorization_code) or
//!   [`Grant::refresh_token`](crate::Grant::refresh_token)): quotes, ordering, lists, bar codes.
//!   Each refresh token is good for one use, so the account needs a [token
//!   store](crate::AccountBuilder::token_store).
//!
//! DigiKey limits each *API product* by itself: 120 requests a minute and 1000 a day for most. The
//! preset has a quota for each product, told apart by path, and the default quota for the rest. The
//! quotas [`PRODUCT_INFORMATION`], [`ORDER_SUPPORT`] and [`BARCODE`] have the windows of the
//! default quota, so `.window(Window::per_minute(60))` changes them all; [`QUOTING`], [`ORDERING`]
//! and [`BATCH`] have windows of their own and are replaced by a quota of that name.
//!
//! Optional headers (`X-DIGIKEY-Locale-Site`, `-Language`, `-Currency`, `X-DIGIKEY-Customer-Id`,
//! `X-DIGIKEY-Account-Id`) are set by [`header`](crate::AccountBuilder::header).

use std::time::Duration;

use serde::Deserialize;

use super::{Key, Preset, Set};
use crate::account::{Account, AccountBuilder};
use crate::auth::ClientAuth;
use crate::error::Error;
use crate::rate_limit::{Quota, Window};
use crate::secret::Secret;

/// The production API. Source: developer.digikey.com.
pub const PRODUCTION_URL: &str = "https://api.digikey.com";
/// The vendor's sandbox, with its own token endpoint and apps. Source: developer.digikey.com.
pub const SANDBOX_URL: &str = "https://sandbox-api.digikey.com";
/// The token endpoint, relative to either. Source: developer.digikey.com, "OAuth 2.0 2-legged
/// flow".
pub const TOKEN_URL: &str = "v1/oauth2/token";

/// Where a person logs in, relative to either. Source: developer.digikey.com, "OAuth 2.0 3-legged
/// flow".
pub const AUTHORIZATION_URL: &str = "v1/oauth2/authorize";

/// The lifetime of a token whose answer does not say it. Observed: `expires_in` 599 on two-legged
/// tokens; the vendor's pages contradict each other (1 min, 10 min, 30 min).
pub const FALLBACK_LIFETIME: Duration = Duration::from_secs(600);

/// Requests a minute for each API product. Source: developer.digikey.com, "Shared Concepts".
pub const PER_MINUTE: u64 = 120;
/// Requests a day for each API product, same source. It does not say when a day ends; clients
/// observed 00:00 UTC.
pub const PER_DAY: u64 = 1000;
/// Requests a minute for quoting, ordering and batches, which have no daily limit but the one of
/// [`BATCH_PER_DAY`]. Source: as above.
pub const FEW_PER_MINUTE: u64 = 10;
/// Requests a day for the deprecated batch look-up. Source: the Japanese "Shared Concepts" page.
pub const BATCH_PER_DAY: u64 = 50;

/// The quota of product search and details, versions 4 and 3.
pub const PRODUCT_INFORMATION: &str = "product-information";
/// The quota of order status (version 4) and order details (version 3).
pub const ORDER_SUPPORT: &str = "order-support";
/// The quota of bar code look-ups.
pub const BARCODE: &str = "barcode";
/// The quota of quotes.
pub const QUOTING: &str = "quoting";
/// The quota of orders.
pub const ORDERING: &str = "ordering";
/// The quota of the deprecated batch look-up of product details.
pub const BATCH: &str = "batch-product-details";

/// The path prefixes of the products. Sources: developer.digikey.com for the search; the others as
/// public clients call them, in either letter case where both are seen.
const PRODUCTS_WITH_DEFAULT_WINDOWS: [(&str, &[&str]); 3] = [
    (PRODUCT_INFORMATION, &["/products/v4/", "/Search/v3/"]),
    (
        ORDER_SUPPORT,
        &["/orderstatus/v4/", "/orderStatus/v4/", "/OrderDetails/v3/"],
    ),
    (BARCODE, &["/Barcoding/v3/"]),
];

/// The client's id, required on every API call beside the token. Source: developer.digikey.com.
const CLIENT_ID_HEADER: &str = "X-DIGIKEY-Client-Id";
/// The vendor's name for an exchange, which its support asks for.
const REQUEST_ID_HEADER: &str = "X-DIGIKEY-REQUEST-ID";

/// Texts of a 401 that no new token cures: the app has no subscription to the API product, or it
/// belongs to the other environment. Seen in public issue threads of several clients.
const NOT_THE_TOKEN: [&str; 3] = [
    "not subscribed",
    "invalid client",
    "X-DIGIKEY-Client-Id invalid for requested resource",
];

pub(crate) const PRESET: Preset = Preset {
    name: "digikey",
    keys: &[
        Key {
            name: "client_id",
            required: true,
            variables: &["DIGIKEY_CLIENT_ID"],
            set: Set::Text(AccountBuilder::client_id),
        },
        Key {
            name: "client_secret",
            required: true,
            variables: &["DIGIKEY_CLIENT_SECRET"],
            set: Set::Secret(AccountBuilder::client_secret),
        },
    ],
    sandbox_variable: Some("DIGIKEY_CLIENT_SANDBOX"),
    builder,
};

/// An account named `digikey`, two-legged, in production.
///
/// `client_id` and `client_secret` are those of the app in the developer portal.
pub fn account(client_id: impl Into<String>, client_secret: impl Into<Secret>) -> AccountBuilder {
    builder().client_id(client_id).client_secret(client_secret)
}

/// The same from the environment variables that most DigiKey clients use: `DIGIKEY_CLIENT_ID`,
/// `DIGIKEY_CLIENT_SECRET` and, if set, `DIGIKEY_CLIENT_SANDBOX` (`True` or `False`).
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing or
/// cannot be read.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    let mut builder = Account::builder(PRESET.name, PRODUCTION_URL)
        .token_url(TOKEN_URL)
        .authorization_url(AUTHORIZATION_URL)
        .client_auth(ClientAuth::Body)
        .fallback_lifetime(FALLBACK_LIFETIME)
        .request_id_header(REQUEST_ID_HEADER)
        .window(minute(PER_MINUTE))
        .window(day(PER_DAY))
        .quota(few(QUOTING).path("/quoting/v4/"))
        .quota(few(ORDERING).path("/Ordering/v3/"))
        .quota(
            few(BATCH)
                .path("/BatchSearch/v3/")
                .window(day(BATCH_PER_DAY)),
        );
    builder.settings.sandbox_url = Some(SANDBOX_URL.to_owned());
    builder.settings.client_id_headers = vec![CLIENT_ID_HEADER.to_owned()];
    for (name, paths) in PRODUCTS_WITH_DEFAULT_WINDOWS {
        let quota = Quota::new(name);
        builder = builder.quota(paths.iter().copied().fold(quota, Quota::path));
    }
    NOT_THE_TOKEN
        .into_iter()
        .fold(builder, AccountBuilder::not_the_token)
}

fn few(name: &str) -> Quota {
    Quota::new(name).window(minute(FEW_PER_MINUTE))
}

/// The names of the headers that report on the minute; they come with its 429
/// (developer.digikey.com) or with every answer (other documents).
fn minute(limit: u64) -> Window {
    Window::per_minute(limit)
        .limit_header("X-BurstLimit-Limit")
        .remaining_header("X-BurstLimit-Remaining")
        .reset_header("X-BurstLimit-Reset")
        .reset_time_header("X-BurstLimit-ResetTime")
}

/// The names of the headers that report on the day. The unit of the reset is left to its size:
/// seconds to go by the vendor's pages, a unix time by others.
fn day(limit: u64) -> Window {
    Window::per_utc_day(limit)
        .limit_header("X-RateLimit-Limit")
        .remaining_header("X-RateLimit-Remaining")
        .reset_header("X-RateLimit-Reset")
        .reset_time_header("X-RateLimit-ResetTime")
}

/// The body of an error, in either of the vendor's two shapes: the older `ErrorMessage` /
/// `ErrorDetails`, or the problem details (RFC 9457) of version 4. The lists of invalid fields have
/// no common shape and are left out.
///
/// ```
/// use reqwest_tollgate::distributors::digikey::ErrorBody;
///
/// let body = r#"{"StatusCode":429,"ErrorMessage":"BurstLimit exceeded","RequestId":"fa3e"}"#;
/// let body: ErrorBody = serde_json::from_str(body)?;
/// assert_eq!(body.message.as_deref(), Some("BurstLimit exceeded"));
/// assert_eq!(body.request_id.as_deref(), Some("fa3e"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ErrorBody {
    /// The status, once more.
    #[serde(default, alias = "StatusCode")]
    pub status: Option<u16>,
    /// What happened, in short: `ErrorMessage`, or `title`.
    #[serde(default, rename = "title", alias = "ErrorMessage")]
    pub message: Option<String>,
    /// The same at length: `ErrorDetails`, or `detail`.
    #[serde(default, rename = "detail", alias = "ErrorDetails")]
    pub details: Option<String>,
    /// The vendor's name for the exchange: `RequestId`, or `correlationId`.
    #[serde(default, rename = "correlationId", alias = "RequestId")]
    pub request_id: Option<String>,
}

#[cfg(test)]
mod tests;
