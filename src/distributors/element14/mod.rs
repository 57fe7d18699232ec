//! element14: Farnell, Newark and CPC, one API for all of their shops.
//!
//! The key goes into the query as `callInfo.apiKey`, beside the shop (`storeInfo.id`) and the
//! format. The default shop is [`STORE`]; another one is set with
//! `.query("storeInfo.id", "www.newark.com")`, or as `store` in a configuration file. Source:
//! partner.element14.com, "Product Search API".
//!
//! # Limits
//! 2 requests a second and 1000 a day on the basic plan (the vendor's error text as reported in
//! KiCost issue 569). The preset uses both in full: the ledger counts each request from its
//! departure to a window's length after its answer, so no second of the server's holds more than
//! two. When the vendor's day begins is not published, so the day is any 24 hours.
//!
//! The gateway (Mashery) says 403 for both: `ERR_403_DEVELOPER_OVER_QPS` and `…_OVER_RATE` in a
//! header (hearsay), or as `<h1>Developer Over Qps</h1>` and `<h1>Developer Over Rate</h1>` in the
//! body (observed). The first pauses for a second, the second until the vendor's own time to wait,
//! or else for [`Verdict::LOOK_AGAIN`](crate::Verdict::LOOK_AGAIN). All customers together have a
//! limit too: `ERR_403_SERVICE_OVER_QPS` pauses like the first.
//!
//! # Orders
//! They live on three origins: this one for Asia and the Pacific, [`ORDERS_EMEA_URL`] and
//! [`ORDERS_AMERICAS_URL`]. The key goes to the other two only where they are named:
//! `.origin(ORDERS_EMEA_URL)`.
#![cfg_attr(
    feature = "signing",
    doc = "
# Contract prices
A customer with a contract signs each search, see [`account_with_contract`]."
)]

#[cfg(feature = "signing")]
mod contract;

use super::{Key, Preset, mashery};
use crate::account::{Account, AccountBuilder};
use crate::error::Error;
use crate::rate_limit::Window;
use crate::secret::Secret;

#[cfg(feature = "signing")]
pub use contract::account_with_contract;

/// The API. Source: partner.element14.com.
pub const PRODUCTION_URL: &str = "https://api.element14.com";
/// Orders of Farnell (Europe, the Middle East, Africa). Source: partner.element14.com.
pub const ORDERS_EMEA_URL: &str = "https://api.farnell.com";
/// Orders of Newark (the Americas), same source.
pub const ORDERS_AMERICAS_URL: &str = "https://api.newark.com";
/// The shop whose prices and stock are asked for, unless another one is set.
pub const STORE: &str = "uk.farnell.com";
/// Requests a second on the basic plan. Source: the vendor's text in KiCost issue 569.
pub const PER_SECOND: u64 = 2;
/// Requests a day on the basic plan, same source.
pub const PER_DAY: u64 = 1000;

const KEY: &str = "callInfo.apiKey";
const STORE_ID: &str = "storeInfo.id";
const FORMAT: &str = "callInfo.responseDataFormat";

pub(crate) const PRESET: Preset = Preset {
    name: "element14",
    keys: &[
        Key::secret(
            "api_key",
            &[
                "ELEMENT14_PART_API_KEY",
                "FARNELL_API_KEY",
                "PROVIDER_ELEMENT14_KEY",
            ],
            |builder, key| builder.query(KEY, key),
        ),
        Key::text("store", &["ELEMENT14_STORE"], |builder, store| {
            builder.query(STORE_ID, store)
        })
        .optional(),
        #[cfg(feature = "signing")]
        contract::CUSTOMER_ID,
        #[cfg(feature = "signing")]
        contract::SECRET,
    ],
    sandbox_variable: None,
    builder,
};

/// An account named `element14`, for list prices in the shop [`STORE`].
pub fn account(api_key: impl Into<Secret>) -> AccountBuilder {
    builder().query(KEY, api_key)
}

/// The same from the environment: `ELEMENT14_PART_API_KEY`, `FARNELL_API_KEY` or
/// `PROVIDER_ELEMENT14_KEY`, and if set `ELEMENT14_STORE`; with the feature `signing` also
/// `ELEMENT14_CUSTOMER_ID` and `ELEMENT14_CONTRACT_SECRET`, both or none.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing or
/// cannot be read.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    let builder = Account::builder(PRESET.name, PRODUCTION_URL)
        .query(STORE_ID, STORE)
        .query(FORMAT, "json")
        .window(Window::per_second(PER_SECOND))
        .window(Window::per_day(PER_DAY));
    let rules = mashery::rules().into_iter();
    let builder = rules.fold(builder, AccountBuilder::rule);
    #[cfg(feature = "signing")]
    let builder = builder.signed_by(contract::signer);
    builder
}
