//! OEMsecrets, `https://oemsecretsapi.com/partsearch`.
//!
//! The key in the query, as `apiKey`. Source: client code. Limits are not published, so there is no
//! window.

use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::error::Error;
use crate::secret::Secret;

/// The API. Source: client code.
pub const PRODUCTION_URL: &str = "https://oemsecretsapi.com";

pub(crate) const PRESET: Preset = Preset {
    name: "oemsecrets",
    keys: &[Key::secret(
        "api_key",
        &["OEMSECRETS_API_KEY", "PROVIDER_OEMSECRETS_KEY"],
        |builder, key| builder.query("apiKey", key),
    )],
    sandbox_variable: None,
    builder,
};

/// An account named `oemsecrets`.
pub fn account(api_key: impl Into<Secret>) -> AccountBuilder {
    builder().query("apiKey", api_key)
}

/// The same from the environment: `OEMSECRETS_API_KEY` or `PROVIDER_OEMSECRETS_KEY`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    Account::builder(PRESET.name, PRODUCTION_URL)
}
