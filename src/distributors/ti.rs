//! Texas Instruments, `https://transact.ti.com/v2/store/products`.
//!
//! Client credentials in the form; a token lives an hour. TI's page of the inventory and pricing
//! API allows 20 requests a second and a million a month, and the whole [catalog](CATALOG) once in
//! four hours; all are the vendor's full numbers. The APIs of product information have fewer, as
//! far as that is known: [`STANDARD_PER_DAY`], and [`EXTENDED_PER_SECOND`] and [`EXTENDED_PER_DAY`]
//! for the one that TI calls orchestrated, each in a quota of its own, told apart by path.
//!
//! Part numbers with a slash are percent-encoded in the path (`LM317%2FNOPB`), as TI asks for.

use std::time::Duration;

use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::auth::ClientAuth;
use crate::error::Error;
use crate::rate_limit::{Quota, Window};
use crate::secret::Secret;

/// The API. Source: api-portal.ti.com, client code.
pub const PRODUCTION_URL: &str = "https://transact.ti.com";
/// The token endpoint, relative to it; same source.
pub const TOKEN_URL: &str = "v1/oauth/accesstoken";

/// The lifetime of a token whose answer does not say it: `expires_in` is 3599. Source: client code.
pub const FALLBACK_LIFETIME: Duration = Duration::from_secs(3599);

/// Requests a second. Source: api-portal.ti.com/api/inventory-ovw.
pub const PER_SECOND: u64 = 20;
/// Requests a month, same source; it begins on the 1st as far as anybody says.
pub const PER_MONTH: u64 = 1_000_000;

/// The quota of the whole catalog.
pub const CATALOG: &str = "catalog";
/// Where the catalog is asked for. Source: client code.
pub const CATALOG_PATH: &str = "/v2/store/products/catalog";
/// Between two requests for the catalog. Source: api-portal.ti.com/api/inventory-ovw.
pub const CATALOG_INTERVAL: Duration = Duration::from_secs(4 * 60 * 60);
/// Requests for the catalog a day. Source: e2e.ti.com, thread 1126205.
pub const CATALOG_PER_DAY: u64 = 6;

/// The quota of product information.
pub const PRODUCT_INFORMATION: &str = "product-information";
/// Where it is asked for. Source: client code.
pub const PRODUCT_INFORMATION_PATH: &str = "/v1/products/";
/// Requests for it a day. Weak: second-hand.
pub const STANDARD_PER_DAY: u64 = 3000;
/// The quota of extended product information, taken for what TI calls orchestrated.
pub const EXTENDED_INFORMATION: &str = "extended-information";
/// Where it is asked for. Source: client code.
pub const EXTENDED_INFORMATION_PATH: &str = "/v1/products-extended/";
/// Requests for it a second. Weak: second-hand, as the next.
pub const EXTENDED_PER_SECOND: u64 = 5;
/// Requests for it a day.
pub const EXTENDED_PER_DAY: u64 = 1500;

pub(crate) const PRESET: Preset = Preset {
    name: "ti",
    keys: &[
        Key::text("client_id", &["TI_CLIENT_ID"], AccountBuilder::client_id),
        Key::secret(
            "client_secret",
            &["TI_CLIENT_SECRET"],
            AccountBuilder::client_secret,
        ),
    ],
    sandbox_variable: None,
    builder,
};

/// An account named `ti`, of the API key and secret of a company account.
pub fn account(client_id: impl Into<String>, client_secret: impl Into<Secret>) -> AccountBuilder {
    builder().client_id(client_id).client_secret(client_secret)
}

/// The same from the environment: `TI_CLIENT_ID`, `TI_CLIENT_SECRET`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    let catalog = Quota::new(CATALOG)
        .path(CATALOG_PATH)
        .window(Window::new(1, CATALOG_INTERVAL))
        .window(Window::per_day(CATALOG_PER_DAY));
    let information = Quota::new(PRODUCT_INFORMATION)
        .path(PRODUCT_INFORMATION_PATH)
        .window(Window::per_second(PER_SECOND))
        .window(Window::per_day(STANDARD_PER_DAY));
    let extended = Quota::new(EXTENDED_INFORMATION)
        .path(EXTENDED_INFORMATION_PATH)
        .window(Window::per_second(EXTENDED_PER_SECOND))
        .window(Window::per_day(EXTENDED_PER_DAY));
    Account::builder(PRESET.name, PRODUCTION_URL)
        .token_url(TOKEN_URL)
        .client_auth(ClientAuth::Body)
        .fallback_lifetime(FALLBACK_LIFETIME)
        .window(Window::per_second(PER_SECOND))
        .window(Window::per_utc_month(PER_MONTH))
        .quota(catalog)
        .quota(information)
        .quota(extended)
}
