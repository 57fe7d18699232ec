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
//!   store](crate::AccountBuilder::token_store). [`three_legged`] begins with a login.
//!
//! DigiKey limits each *API product* by itself: 120 requests a minute and 1000 a day for most. The
//! preset has a quota for each product, told apart by path, and the default quota for the rest. The
//! quotas [`PRODUCT_INFORMATION`], [`ORDER_SUPPORT`], [`ORDER_MANAGEMENT`], [`BARCODE`], [`LISTS`],
//! [`PACKING_LISTS`], [`SUPPLY_CHAIN`] and [`CUSTOMER_RESOURCE`] have the windows of the default
//! quota, so `.window(Window::per_minute(60))` changes them all; [`CHANGE_NOTICES`] (30 a day),
//! [`QUOTING`], [`ORDERING`] and [`BATCH`] have windows of their own and are replaced by a quota of
//! that name. A 404 counts like any other answer. Lists without a key are posted to
//! `www.digikey.com`: another origin, which gets no credential.
//!
//! The preset uses the vendor's full numbers. Clients that send every 500 ms were seen to trip the
//! minute's limit, since a request may be counted later than it was sent; here one counts until a
//! minute after its *answer*, which needs no margin beyond that.
//!
//! Optional headers choose the shop whose prices the answers have, and the customer:
//!
//! ```
//! use reqwest_tollgate::distributors::digikey;
//!
//! let german = digikey::account("my-client-id", "my-client-secret")
//!     .header(digikey::LOCALE_SITE, "DE")
//!     .header(digikey::LOCALE_CURRENCY, "EUR");
//! ```
//!
//! In a configuration file they are `locale_site`, `locale_language`, `locale_currency`,
//! `locale_ship_to_country` and `account_id`. The last is [`ACCOUNT_ID`], which took the place of
//! `X-DIGIKEY-Customer-Id` (switched off on 2025-11-24): without it a two-legged request for orders
//! is a 400, "Account ID must not be 0". `/CustomerResource/v1/associatedaccounts` finds it.
//!
//! No source shows PKCE in use here, nor that it is refused: a login sends it unless
//! [`pkce(false)`](crate::AccountBuilder::pkce) says otherwise.

mod error_body;

use std::time::Duration;

pub use self::error_body::{ErrorBody, ValidationError};
use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::auth::{ClientAuth, Grant};
use crate::error::Error;
use crate::rate_limit::{Quota, Window};
use crate::response_rules::{Rule, Verdict};
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
/// Requests a day for change notices. Source: the test data of two clients, whose 429 has
/// `X-RateLimit-Limit: 30`.
pub const CHANGE_NOTICES_PER_DAY: u64 = 30;

/// The quota of product search and details, versions 4 and 3.
pub const PRODUCT_INFORMATION: &str = "product-information";
/// The quota of order status (version 4) and order details (version 3).
pub const ORDER_SUPPORT: &str = "order-support";
/// The quota of order management.
pub const ORDER_MANAGEMENT: &str = "order-management";
/// The quota of a person's lists (MyLists).
pub const LISTS: &str = "lists";
/// The quota of packing lists.
pub const PACKING_LISTS: &str = "packing-lists";
/// The quota of the supply chain.
pub const SUPPLY_CHAIN: &str = "supply-chain";
/// The quota of what is known of a customer, such as the associated accounts.
pub const CUSTOMER_RESOURCE: &str = "customer-resource";
/// The quota of product change notices.
pub const CHANGE_NOTICES: &str = "change-notices";
/// The quota of bar code look-ups.
pub const BARCODE: &str = "barcode";
/// The quota of quotes.
pub const QUOTING: &str = "quoting";
/// The quota of orders.
pub const ORDERING: &str = "ordering";
/// The quota of the deprecated batch look-up of product details.
pub const BATCH: &str = "batch-product-details";

/// The path prefixes of the products, whose letter case differs within the vendor's own pages and
/// does not count. Sources: developer.digikey.com; bar codes and order details as public clients
/// call them.
const PRODUCTS_WITH_DEFAULT_WINDOWS: [(&str, &[&str]); 8] = [
    (PRODUCT_INFORMATION, &["/products/v4/", "/Search/v3/"]),
    (ORDER_SUPPORT, &["/orderstatus/v4/", "/OrderDetails/v3/"]),
    (
        ORDER_MANAGEMENT,
        &["/ordermanagement/v2/", "/OrderManagement/v1/"],
    ),
    (BARCODE, &["/Barcoding/v3/"]),
    (LISTS, &["/mylists/v1/"]),
    (PACKING_LISTS, &["/packinglist/v1/"]),
    (SUPPLY_CHAIN, &["/SupplyChain/v1/"]),
    (CUSTOMER_RESOURCE, &["/CustomerResource/v1/"]),
];

/// The header with the shop (`US`, `DE`) whose prices are given. Source, as for the next three:
/// developer.digikey.com.
pub const LOCALE_SITE: &str = "X-DIGIKEY-Locale-Site";
/// The header with the language of the answers (`en`).
pub const LOCALE_LANGUAGE: &str = "X-DIGIKEY-Locale-Language";
/// The header with the currency of the prices (`USD`).
pub const LOCALE_CURRENCY: &str = "X-DIGIKEY-Locale-Currency";
/// The header with the country that is delivered to.
pub const LOCALE_SHIP_TO_COUNTRY: &str = "X-DIGIKEY-Locale-ShipToCountry";
/// The header with the account whose prices are given and whose orders are meant. Source:
/// developer.digikey.com; that orders need it two-legged was observed.
pub const ACCOUNT_ID: &str = "X-DIGIKEY-Account-Id";

/// The client's id, required on every API call beside the token. Source: developer.digikey.com.
const CLIENT_ID_HEADER: &str = "X-DIGIKEY-Client-Id";
/// The vendor's name for an exchange, which its support asks for. Clients read the first three; the
/// last is the one that the vendor's pages name.
const REQUEST_ID_HEADERS: [&str; 4] = [
    "X-Correlation-Id",
    "Correlation-Id",
    "X-Request-Id",
    "X-DIGIKEY-REQUEST-ID",
];

/// Texts of a 401 that no new token cures: the app has no subscription to the API product, or it
/// belongs to the other environment. Seen in public issue threads of several clients.
const NOT_THE_TOKEN: [&str; 4] = [
    "not subscribed",
    "invalid client",
    "invalid clientid",
    "X-DIGIKEY-Client-Id invalid for requested resource",
];
/// What the gateway (Apigee) says of a missing subscription, in a challenge that blames the token.
const NO_SUBSCRIPTION: &str = "InvalidAPICallAsNoApiProductMatchFound";

/// Texts of a 401 that only a new token cures, in both shapes of the body: such a request is not
/// tried again with the same token first. Seen in public issue threads of several clients.
const TOKEN_REJECTED: [&str; 3] = [
    "Bearer token expired",
    "Bearer token is expired",
    "Bearer token is invalid",
];

/// What the body of a 429 says, where its headers say nothing. Source: developer.digikey.com, and
/// observed in both shapes of the body.
const MINUTE_EXCEEDED: &str = "BurstLimit exceeded";
const DAY_EXCEEDED: &str = "Daily Ratelimit exceeded";

pub(crate) const PRESET: Preset = Preset {
    name: "digikey",
    keys: &[
        Key::text(
            "client_id",
            &["DIGIKEY_CLIENT_ID"],
            AccountBuilder::client_id,
        ),
        Key::secret(
            "client_secret",
            &["DIGIKEY_CLIENT_SECRET"],
            AccountBuilder::client_secret,
        ),
        Key::text(
            "locale_site",
            &["DIGIKEY_LOCALE_SITE", "DIGIKEY_SITE", "DIGIKEY_LOCAL_SITE"],
            |builder, site| builder.header(LOCALE_SITE, site),
        )
        .optional(),
        Key::text(
            "locale_language",
            &[
                "DIGIKEY_LOCALE_LANGUAGE",
                "DIGIKEY_LANGUAGE",
                "DIGIKEY_LOCAL_LANGUAGE",
            ],
            |builder, language| builder.header(LOCALE_LANGUAGE, language),
        )
        .optional(),
        Key::text(
            "locale_currency",
            &[
                "DIGIKEY_LOCALE_CURRENCY",
                "DIGIKEY_CURRENCY",
                "DIGIKEY_LOCAL_CURRENCY",
            ],
            |builder, currency| builder.header(LOCALE_CURRENCY, currency),
        )
        .optional(),
        Key::text(
            "locale_ship_to_country",
            &["DIGIKEY_LOCALE_SHIP_TO_COUNTRY"],
            |builder, country| builder.header(LOCALE_SHIP_TO_COUNTRY, country),
        )
        .optional(),
        Key::text("account_id", &["DIGIKEY_ACCOUNT_ID"], |builder, id| {
            builder.header(ACCOUNT_ID, id)
        })
        .optional(),
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

/// The same for what needs a person's login (quotes, orders, lists): `redirect_uri` is the callback
/// URL of the app, letter by letter. It needs a token store;
/// [`Account::authorization_request`](crate::Account::authorization_request) begins the login.
///
/// Who logs in shows in nothing else: where several persons log in to one app, each needs an
/// account with a name of its own, such as `.name("digikey-alice")`. Without it they share one
/// record in the store, and after a restart all act as the one who logged in last.
///
/// ```
/// use reqwest_tollgate::{MemoryStore, distributors::digikey};
///
/// let callback = "https://localhost:8139/digikey_callback";
/// let account = digikey::three_legged("my-client-id", "my-client-secret", callback)
///     .token_store(MemoryStore::new()) // in real life one that survives: `FileStore`
///     .build()?;
/// let client = account.client()?;
/// # let _ = client;
/// # Ok::<(), reqwest_tollgate::Error>(())
/// ```
pub fn three_legged(
    client_id: impl Into<String>,
    client_secret: impl Into<Secret>,
    redirect_uri: impl AsRef<str>,
) -> AccountBuilder {
    account(client_id, client_secret).grant(Grant::authorization_code(redirect_uri))
}

/// The two-legged one from the environment variables that most DigiKey clients use:
/// `DIGIKEY_CLIENT_ID` and `DIGIKEY_CLIENT_SECRET`. If set, `DIGIKEY_CLIENT_SANDBOX` (`True` or
/// `False`), `DIGIKEY_LOCALE_SITE`, `DIGIKEY_LOCALE_LANGUAGE`, `DIGIKEY_LOCALE_CURRENCY`,
/// `DIGIKEY_LOCALE_SHIP_TO_COUNTRY` and `DIGIKEY_ACCOUNT_ID` count too; for the first three, names
/// without `LOCALE_` or with `LOCAL_` are in use and do as well.
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
        .login_at(AUTHORIZATION_URL)
        .client_auth(ClientAuth::Body)
        .fallback_lifetime(FALLBACK_LIFETIME)
        .window(minute(PER_MINUTE))
        .window(day(PER_DAY))
        .rule(Rule::new(429, Verdict::RateExceeded).body(MINUTE_EXCEEDED))
        .rule(Rule::new(429, Verdict::QuotaSpent).body(DAY_EXCEEDED))
        .rule(Rule::new(401, Verdict::NotTheToken).header("WWW-Authenticate", NO_SUBSCRIPTION))
        .quota(few(QUOTING).path("/quoting/v4/"))
        .quota(few(ORDERING).path("/Ordering/v3/"))
        .quota(
            Quota::new(CHANGE_NOTICES)
                .path("/ChangeNotifications/v3/")
                .window(minute(PER_MINUTE))
                .window(day(CHANGE_NOTICES_PER_DAY)),
        )
        .quota(
            few(BATCH)
                .path("/BatchSearch/v3/")
                .window(day(BATCH_PER_DAY)),
        );
    builder.settings.sandbox_url = Some(SANDBOX_URL.to_owned());
    builder.settings.client_id_headers = vec![CLIENT_ID_HEADER.to_owned()];
    builder.settings.request_id_headers = REQUEST_ID_HEADERS.map(str::to_owned).to_vec();
    for (name, paths) in PRODUCTS_WITH_DEFAULT_WINDOWS {
        let quota = Quota::new(name);
        builder = builder.quota(paths.iter().copied().fold(quota, Quota::path));
    }
    let builder = TOKEN_REJECTED.into_iter().fold(builder, |builder, phrase| {
        builder.rule(Rule::new(401, Verdict::TokenRejected).body(phrase))
    });
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

#[cfg(test)]
mod tests;
