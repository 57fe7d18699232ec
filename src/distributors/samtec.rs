//! Samtec, `https://api.samtec.com/catalog/v3/…`.
//!
//! A static bearer token (a JWT) and, in a header `client-app-name`, the name that the application
//! was registered with. Source: client code. Limits were not found, so there is no window.

use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::error::Error;
use crate::secret::Secret;

/// The API. Source: client code.
pub const PRODUCTION_URL: &str = "https://api.samtec.com";

const APP_NAME_HEADER: &str = "client-app-name";

pub(crate) const PRESET: Preset = Preset {
    name: "samtec",
    keys: &[
        Key::secret(
            "token",
            &["SAMTEC_API_KEY", "SAMTEC_TOKEN"],
            AccountBuilder::bearer,
        ),
        Key::text("app_name", &["SAMTEC_APP_NAME"], with_app_name).optional(),
    ],
    sandbox_variable: None,
    builder,
};

/// An account named `samtec`; the application's name is a
/// [`header`](crate::AccountBuilder::header) `client-app-name`, where Samtec asks for it.
pub fn account(token: impl Into<Secret>) -> AccountBuilder {
    builder().bearer(token)
}

/// The same from the environment: `SAMTEC_API_KEY` or `SAMTEC_TOKEN`, and if set `SAMTEC_APP_NAME`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    Account::builder(PRESET.name, PRODUCTION_URL)
}

fn with_app_name(builder: AccountBuilder, name: String) -> AccountBuilder {
    builder.header(APP_NAME_HEADER, name)
}
