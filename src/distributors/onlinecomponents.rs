//! Onlinecomponents.com: the key is the last part of the path, as at
//! [Master Electronics](super::masterelectronics).
//!
//! The caller writes [`PLACEHOLDER`] where the key belongs; a request without it is not sent. The
//! sandbox has keys of its own: `.environment(Environment::Sandbox)`. Source:
//! onlinecomponents.com/gettingstarted.
//!
//! ```no_run
//! # use reqwest_tollgate::distributors::onlinecomponents;
//! # async fn ask() -> anyhow::Result<()> {
//! let account = onlinecomponents::account("my-key").build()?;
//! let client = account.client()?;
//! let path = "wapi/v2/cgpriceavailability/LM358/0/1/10/{apiKey}";
//! let found = client.get(account.base_url().join(path)?).send().await?;
//! assert!(found.url().path().ends_with("%7BapiKey%7D")); // no log shows the key
//! # Ok(())
//! # }
//! ```
//!
//! # Limits
//! None are known. [`PER_SECOND`] is this crate's own caution.

use super::{Key, Preset, masterelectronics};
use crate::account::{Account, AccountBuilder};
use crate::error::Error;
use crate::rate_limit::Window;
use crate::secret::Secret;

pub use super::masterelectronics::PLACEHOLDER;

/// The API. Source: onlinecomponents.com/gettingstarted.
pub const PRODUCTION_URL: &str = "https://api.onlinecomponents.com";
/// The vendor's sandbox, with keys of its own; same source.
pub const SANDBOX_URL: &str = "https://sandbox.onlinecomponents.com";
/// Requests a second: not the vendor's number but this crate's caution.
pub const PER_SECOND: u64 = 2;

pub(crate) const PRESET: Preset = Preset {
    name: "onlinecomponents",
    keys: &[KEY],
    sandbox_variable: Some("ONLINECOMPONENTS_SANDBOX"),
    builder,
};

const KEY: Key = Key::secret("api_key", &["ONLINECOMPONENTS_API_KEY"], |builder, key| {
    builder.signing_secret("api_key", key)
});

/// An account named `onlinecomponents`, in production.
pub fn account(api_key: impl Into<Secret>) -> AccountBuilder {
    builder().signing_secret(KEY.name, api_key.into())
}

/// The same from the environment: `ONLINECOMPONENTS_API_KEY`, and if set `ONLINECOMPONENTS_SANDBOX`
/// (`True` or `False`).
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing or
/// cannot be read.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    let mut builder = Account::builder(PRESET.name, PRODUCTION_URL)
        .window(Window::per_second(PER_SECOND))
        .signed_by(masterelectronics::signer);
    builder.settings.sandbox_url = Some(SANDBOX_URL.to_owned());
    builder
}
