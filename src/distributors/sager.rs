//! Sager Electronics, `https://sagerelectronics.api.mashery.com/customer-price-availability/v1`.
//!
//! The key in the header `api_key`, on the gateway that Mashery runs: a rejection is a 403 with
//! `Developer Over Qps` (a second) or `Developer Over Rate` (a day). Source: client code. The
//! limits are not published; those of the preset are what one customer was observed to have.

use super::{Key, Preset, mashery};
use crate::account::{Account, AccountBuilder};
use crate::error::Error;
use crate::rate_limit::Window;
use crate::secret::Secret;

/// The API. Source: client code.
pub const PRODUCTION_URL: &str = "https://sagerelectronics.api.mashery.com";

/// Requests a second, as one customer was observed to have them.
pub const PER_SECOND: u64 = 4;
/// Requests a day, likewise. When a day ends is not known, so any 24 hours count.
pub const PER_DAY: u64 = 100_000;

pub(crate) const PRESET: Preset = Preset {
    name: "sager",
    keys: &[Key::secret(
        "api_key",
        &["SAGER_API_KEY"],
        |builder, key| builder.header("api_key", key),
    )],
    sandbox_variable: None,
    builder,
};

/// An account named `sager`.
pub fn account(api_key: impl Into<Secret>) -> AccountBuilder {
    builder().header("api_key", api_key)
}

/// The same from the environment: `SAGER_API_KEY`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    let builder = Account::builder(PRESET.name, PRODUCTION_URL)
        .window(Window::per_second(PER_SECOND))
        .window(Window::per_day(PER_DAY));
    mashery::rules()
        .into_iter()
        .fold(builder, AccountBuilder::rule)
}
