//! Sourcengine, `https://api.sourcengine.com`.
//!
//! A static bearer token. Its answers report on the limit, with the reset in *seconds since 1970*;
//! the page names `RateLimit-*`, its example has `X-RateLimit-*`. How long the window is, no page
//! says: the preset takes the example's [`LIMIT`] for any 24 hours, and a limit that the answers
//! tell is taken for 24 hours too. Once the resets in your answers show how long the window really
//! is, set your own. Source: dev.sourcengine.com, "Rate limits".

use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::error::Error;
use crate::rate_limit::{ResetUnit, Window};
use crate::secret::Secret;

/// The API. Source: dev.sourcengine.com.
pub const PRODUCTION_URL: &str = "https://api.sourcengine.com";

/// Requests in a window, by the example of "Rate limits". That the window is as long as 24 hours is
/// this crate's own caution: set your own once the answers show how long it is.
pub const LIMIT: u64 = 1000;

pub(crate) const PRESET: Preset = Preset {
    name: "sourcengine",
    keys: &[Key::secret(
        "token",
        &["SOURCENGINE_API_KEY", "SOURCENGINE_TOKEN"],
        AccountBuilder::bearer,
    )],
    sandbox_variable: None,
    builder,
};

/// An account named `sourcengine`.
pub fn account(token: impl Into<Secret>) -> AccountBuilder {
    builder().bearer(token)
}

/// The same from the environment: `SOURCENGINE_API_KEY` or `SOURCENGINE_TOKEN`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) if neither is set.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    let window = Window::per_day(LIMIT).reset_unit(ResetUnit::UnixSeconds);
    Account::builder(PRESET.name, PRODUCTION_URL).window(window)
}
