//! MyArrow: Arrow's prices and stock for a customer, `https://my.arrow.com/api/priceandavail/…`.
//!
//! Client credentials with HTTP Basic, and the client id once more in a header `client_id`, on the
//! token request as on every other. All of this is seen in client code only; nothing is published,
//! limits neither: [`PER_SECOND`] is this crate's own caution.
//!
//! The API without a customer's prices is [`arrow_itemservice`](super::arrow_itemservice).

use std::time::Duration;

use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::auth::ClientAuth;
use crate::error::Error;
use crate::rate_limit::Window;
use crate::secret::Secret;

/// The API. Source: client code.
pub const PRODUCTION_URL: &str = "https://my.arrow.com";
/// The token endpoint, relative to it. Source: client code.
pub const TOKEN_URL: &str = "api/security/oauth/token";

/// The lifetime of a token whose answer does not say it. Clients keep one for about so long; the
/// answers they show have an `expires_in`.
pub const FALLBACK_LIFETIME: Duration = Duration::from_secs(3500);

/// Requests a second: this crate's own caution, since nothing is published.
pub const PER_SECOND: u64 = 2;

/// The client's id beside its credentials, on every request. Source: client code.
const CLIENT_ID_HEADER: &str = "client_id";

pub(crate) const PRESET: Preset = Preset {
    name: "my_arrow",
    keys: &[
        Key::text("client_id", &["MY_ARROW_CLIENT_ID"], with_client_id),
        Key::secret(
            "client_secret",
            &["MY_ARROW_CLIENT_SECRET"],
            AccountBuilder::client_secret,
        ),
    ],
    sandbox_variable: None,
    builder,
};

/// An account named `my_arrow`.
pub fn account(client_id: impl Into<String>, client_secret: impl Into<Secret>) -> AccountBuilder {
    with_client_id(builder(), client_id.into()).client_secret(client_secret)
}

/// The same from the environment: `MY_ARROW_CLIENT_ID`, `MY_ARROW_CLIENT_SECRET`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    let mut builder = Account::builder(PRESET.name, PRODUCTION_URL)
        .token_url(TOKEN_URL)
        .client_auth(ClientAuth::Basic)
        .fallback_lifetime(FALLBACK_LIFETIME)
        .window(Window::per_second(PER_SECOND));
    builder.settings.client_id_headers = vec![CLIENT_ID_HEADER.to_owned()];
    builder
}

fn with_client_id(builder: AccountBuilder, id: String) -> AccountBuilder {
    let builder = builder.token_header(CLIENT_ID_HEADER, id.as_str());
    builder.client_id(id)
}
