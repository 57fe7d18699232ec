//! Arrow's pricing and availability API ("itemservice"): `https://api.arrow.com/itemservice/v4/…`.
//!
//! The login and the API key go in the query of every request, as Arrow's pages document it
//! (developers.arrow.com, "Search Token"). Those pages print `http://` addresses; with this account
//! a request to one fails before anything is sent.
//!
//! * `search/list` wants both inside the JSON of its `req` parameter: write it without them
//!   (`req={"request":{"parts":[…]}}`, up to 100 parts), and they are moved in there. Neither they
//!   nor the changed text show in the response's URL.
//! * Every valid answer is a 200, rejections too; what they say is not documented, so no rule tells
//!   them apart. Look at `response.success` and `returnMsg`.
//! * Arrow "does not institute" rate limits but revokes credentials for abuse ("Best Practices"):
//!   [`PER_SECOND`] is this crate's own caution.
//! * To cache answers is against Arrow's terms of use (same page). This crate caches none.
//!
//! Prices of a customer's own are behind [`my_arrow`](super::my_arrow). Verical's stock is in these
//! answers too; it has no API of its own.

use super::{Key, Preset, arrow_list};
use crate::account::{Account, AccountBuilder};
use crate::error::Error;
use crate::rate_limit::Window;
use crate::secret::Secret;

/// The API. Source: developers.arrow.com, with `https` for `http`.
pub const PRODUCTION_URL: &str = "https://api.arrow.com";

/// Requests a second: this crate's own caution. Arrow publishes no number and asks for restraint;
/// clients speak of 3 (hearsay).
pub const PER_SECOND: u64 = 2;

pub(crate) const PRESET: Preset = Preset {
    name: "arrow_itemservice",
    keys: &[
        Key::secret("login", &["ARROW_LOGIN"], |builder, login| {
            builder.query("login", login)
        }),
        Key::secret("api_key", &["ARROW_API_KEY"], |builder, key| {
            builder.query("apikey", key)
        }),
    ],
    sandbox_variable: None,
    builder,
};

/// An account named `arrow_itemservice`.
///
/// `login` and `api_key` are those of the mail from Arrow's API team.
pub fn account(login: impl Into<Secret>, api_key: impl Into<Secret>) -> AccountBuilder {
    builder().query("login", login).query("apikey", api_key)
}

/// The same from the environment: `ARROW_LOGIN`, `ARROW_API_KEY`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    Account::builder(PRESET.name, PRODUCTION_URL)
        .window(Window::per_second(PER_SECOND))
        .signed_by(arrow_list::signer)
}
