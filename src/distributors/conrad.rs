//! Conrad, `https://api.conrad.com/…`; some countries have a host of their own
//! ([`base_url`](crate::AccountBuilder::base_url)).
//!
//! The key in the query, as `apikey`. Source: client code. Limits are not published, so there is no
//! window.

use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::error::Error;
use crate::secret::Secret;

/// The API. Source: client code.
pub const PRODUCTION_URL: &str = "https://api.conrad.com";

pub(crate) const PRESET: Preset = Preset {
    name: "conrad",
    keys: &[Key::secret(
        "api_key",
        &["CONRAD_API_KEY", "PROVIDER_CONRAD_KEY"],
        |builder, key| builder.query("apikey", key),
    )],
    sandbox_variable: None,
    builder,
};

/// An account named `conrad`.
pub fn account(api_key: impl Into<Secret>) -> AccountBuilder {
    builder().query("apikey", api_key)
}

/// The same from the environment: `CONRAD_API_KEY` or `PROVIDER_CONRAD_KEY`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    Account::builder(PRESET.name, PRODUCTION_URL)
}
