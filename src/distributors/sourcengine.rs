//! Sourcengine, `https://api.sourcengine.com`.
//!
//! A static bearer token. Each endpoint has a limit of its own, and the answers report on it: how
//! many are left, and in *seconds since 1970* when the oldest request that counts is forgotten. The
//! page names `RateLimit-*`, its example has `X-RateLimit-*` with a limit of 1000. No page says how
//! long a window is, or what the limit of which endpoint is, so the preset has no window: what the
//! answers tell is what holds. Source: dev.sourcengine.com, "Rate limits".
//!
//! Endpoints that you call much want a quota each, so that a spent one does not hold up the rest:
//!
//! ```
//! use reqwest_tollgate::{Quota, distributors::sourcengine};
//!
//! let builder = sourcengine::account("my-token")
//!     .quota(Quota::new("search").path("/search"))
//!     .quota(Quota::new("offers").path("/offers"));
//! ```

use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::error::Error;
use crate::secret::Secret;

/// The API. Source: dev.sourcengine.com.
pub const PRODUCTION_URL: &str = "https://api.sourcengine.com";

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
    Account::builder(PRESET.name, PRODUCTION_URL)
}
