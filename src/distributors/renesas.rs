//! Renesas, the web data API: `https://api.renesas.com/web-data/v1/…`.
//!
//! The key in the header `x-api-key`. Source: developer.renesas.com. Limits are agreed for each
//! key, so there is no window.

use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::error::Error;
use crate::secret::Secret;

/// The API. Source: developer.renesas.com.
pub const PRODUCTION_URL: &str = "https://api.renesas.com";

pub(crate) const PRESET: Preset = Preset {
    name: "renesas",
    keys: &[Key::secret(
        "api_key",
        &["RENESAS_API_KEY"],
        |builder, key| builder.header("x-api-key", key),
    )],
    sandbox_variable: None,
    builder,
};

/// An account named `renesas`.
pub fn account(api_key: impl Into<Secret>) -> AccountBuilder {
    builder().header("x-api-key", api_key)
}

/// The same from the environment: `RENESAS_API_KEY`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    Account::builder(PRESET.name, PRODUCTION_URL)
}
