//! FindChips, of Supplyframe: `https://api.findchips.com/v1/…`.
//!
//! One key in the query of every request. Source: client code of many; they write `http`, which
//! this account refuses. The key stands in every URL: see
//! [`query`](crate::AccountBuilder::query) for where it does not show.
//!
//! # Limits
//! None are known. [`PER_SECOND`] is this crate's own caution, at which clients were seen to stay.

use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::error::Error;
use crate::rate_limit::Window;
use crate::secret::Secret;

/// The API. Source: client code.
pub const PRODUCTION_URL: &str = "https://api.findchips.com";
/// Requests a second: not the vendor's number but this crate's caution. Clients sleep for half a
/// second between two requests.
pub const PER_SECOND: u64 = 2;

pub(crate) const PRESET: Preset = Preset {
    name: "findchips",
    keys: &[Key::secret(
        "api_key",
        &["FINDCHIPS_API_KEY"],
        |builder, key| builder.query("apiKey", key),
    )],
    sandbox_variable: None,
    builder,
};

/// An account named `findchips`.
pub fn account(api_key: impl Into<Secret>) -> AccountBuilder {
    builder().query("apiKey", api_key)
}

/// The same from the environment: `FINDCHIPS_API_KEY`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) if it is not set.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    Account::builder(PRESET.name, PRODUCTION_URL).window(Window::per_second(PER_SECOND))
}
