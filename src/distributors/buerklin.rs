//! Bürklin, `https://www.buerklin.com/buerklinws/v2/buerklin/…`.
//!
//! A person's name and password beside the client's credentials (the password grant, RFC 6749
//! section 4.3), all in the form. 100 requests a minute to the API and 10 to the token endpoint,
//! each counted by *address*: machines behind one address share them, and this account knows of its
//! own alone. Sources: the documentation and code of a public client.
//!
//! Everything on `www.buerklin.com` gets the token, the shop's pages too: use the client for the
//! API only.

use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::auth::oauth::grant::GrantKind;
use crate::auth::{ClientAuth, Grant};
use crate::error::Error;
use crate::rate_limit::Window;
use crate::secret::Secret;

/// The API's host. Source: client code.
pub const PRODUCTION_URL: &str = "https://www.buerklin.com";
/// The token endpoint, relative to it. Source: client code.
pub const TOKEN_URL: &str = "authorizationserver/oauth/token/";

/// Requests a minute for each address. Source: a public client's documentation.
pub const PER_MINUTE: u64 = 100;
/// Token requests a minute for each address, same source.
pub const TOKENS_PER_MINUTE: u64 = 10;

pub(crate) const PRESET: Preset = Preset {
    name: "buerklin",
    keys: &[
        Key::text(
            "client_id",
            &["BUERKLIN_CLIENT_ID", "PROVIDER_BUERKLIN_CLIENT_ID"],
            AccountBuilder::client_id,
        ),
        Key::secret(
            "client_secret",
            &["BUERKLIN_CLIENT_SECRET", "PROVIDER_BUERKLIN_SECRET"],
            AccountBuilder::client_secret,
        ),
        Key::text(
            "user",
            &["BUERKLIN_USERNAME", "PROVIDER_BUERKLIN_USERNAME"],
            with_user,
        ),
        Key::secret(
            "password",
            &["BUERKLIN_PASSWORD", "PROVIDER_BUERKLIN_PASSWORD"],
            with_password,
        ),
    ],
    sandbox_variable: None,
    builder,
};

/// An account named `buerklin`.
///
/// `client_id` and `client_secret` come with the API's contract; `user` and `password` are those of
/// the shop.
pub fn account(
    client_id: impl Into<String>,
    client_secret: impl Into<Secret>,
    user: impl Into<String>,
    password: impl Into<Secret>,
) -> AccountBuilder {
    builder()
        .client_id(client_id)
        .client_secret(client_secret)
        .grant(Grant::password(user, password))
}

/// The same from the environment: `BUERKLIN_CLIENT_ID`, `BUERKLIN_CLIENT_SECRET`,
/// `BUERKLIN_USERNAME` and `BUERKLIN_PASSWORD`, or `PROVIDER_BUERKLIN_CLIENT_ID`, `…_SECRET`,
/// `…_USERNAME` and `…_PASSWORD`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    Account::builder(PRESET.name, PRODUCTION_URL)
        .token_url(TOKEN_URL)
        .client_auth(ClientAuth::Body)
        .grant(Grant::password("", ""))
        .window(Window::per_minute(PER_MINUTE))
        .token_window(Window::per_minute(TOKENS_PER_MINUTE))
}

fn with_user(builder: AccountBuilder, user: String) -> AccountBuilder {
    let password = login(&builder).1;
    builder.grant(Grant::password(user, password))
}

fn with_password(builder: AccountBuilder, password: Secret) -> AccountBuilder {
    let user = login(&builder).0;
    builder.grant(Grant::password(user, password))
}

/// What is known so far.
fn login(builder: &AccountBuilder) -> (String, Secret) {
    match builder.settings.grant.as_ref().map(|grant| &grant.0) {
        Some(GrantKind::Password { user, password }) => (user.clone(), password.clone()),
        _ => (String::new(), Secret::from("")),
    }
}
