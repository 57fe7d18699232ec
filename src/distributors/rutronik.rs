//! Rutronik, `https://www.rutronik24.com/api/search/`.
//!
//! The key in the query, as `apikey`. Source: "Rutronik Shop API", version 1.3, of 2023-11-21.
//! Limits are not published, so there is no window.
//!
//! Everything on `www.rutronik24.com` gets the key, the shop's pages too: use the client for the
//! API only.

use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::error::Error;
use crate::secret::Secret;

/// The API's host, same source.
pub const PRODUCTION_URL: &str = "https://www.rutronik24.com";

pub(crate) const PRESET: Preset = Preset {
    name: "rutronik",
    keys: &[Key::secret(
        "api_key",
        &["RUTRONIK_API_KEY"],
        |builder, key| builder.query("apikey", key),
    )],
    sandbox_variable: None,
    builder,
};

/// An account named `rutronik`.
pub fn account(api_key: impl Into<Secret>) -> AccountBuilder {
    builder().query("apikey", api_key)
}

/// The same from the environment: `RUTRONIK_API_KEY`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    Account::builder(PRESET.name, PRODUCTION_URL)
}
