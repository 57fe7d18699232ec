//! RS Components, `https://api.rs-online.com/digiproc/…`.
//!
//! The headers `Client-Id` and `Client-Secret` on every request; no token. Country, store and, for
//! the prices of a contract, the customer's number are parts of the request. This was observed, not
//! published; limits are agreed by mail, so there is no window.

use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::error::Error;
use crate::secret::Secret;

/// The API. Observed.
pub const PRODUCTION_URL: &str = "https://api.rs-online.com";

pub(crate) const PRESET: Preset = Preset {
    name: "rs",
    keys: &[
        Key::text("client_id", &["RS_CLIENT_ID"], |builder, id| {
            builder.header("Client-Id", id)
        }),
        Key::secret("client_secret", &["RS_CLIENT_SECRET"], |builder, secret| {
            builder.header("Client-Secret", secret)
        }),
    ],
    sandbox_variable: None,
    builder,
};

/// An account named `rs`.
pub fn account(client_id: impl Into<Secret>, client_secret: impl Into<Secret>) -> AccountBuilder {
    builder()
        .header("Client-Id", client_id)
        .header("Client-Secret", client_secret)
}

/// The same from the environment: `RS_CLIENT_ID`, `RS_CLIENT_SECRET`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    Account::builder(PRESET.name, PRODUCTION_URL)
}
