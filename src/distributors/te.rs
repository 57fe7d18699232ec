//! TE Connectivity, the product data API on `https://api.te.com`.
//!
//! The headers `client_id` and `client_secret` on every request; a bad pair is a 401 with
//! `{"error":"Invalid Client"}`. 30 requests a minute and 5000 a day, both in full; on the day the
//! answers report in `X-RateLimit-*`, with *milliseconds* until the reset. Source: TE's page
//! "Security and Rate Limits"; the host as TE's own site calls it.

use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::error::Error;
use crate::rate_limit::{ResetUnit, Window};
use crate::secret::Secret;

/// The API. Source: te.com's own pages.
pub const PRODUCTION_URL: &str = "https://api.te.com";

/// Requests a minute. Source: "Security and Rate Limits".
pub const PER_MINUTE: u64 = 30;
/// Requests a day, same source; its example has a reset close to 24 hours ahead.
pub const PER_DAY: u64 = 5000;

pub(crate) const PRESET: Preset = Preset {
    name: "te",
    keys: &[
        Key::text("client_id", &["TE_CLIENT_ID"], |builder, id| {
            builder.header("client_id", id)
        }),
        Key::secret("client_secret", &["TE_CLIENT_SECRET"], |builder, secret| {
            builder.header("client_secret", secret)
        }),
    ],
    sandbox_variable: None,
    builder,
};

/// An account named `te`.
pub fn account(client_id: impl Into<Secret>, client_secret: impl Into<Secret>) -> AccountBuilder {
    builder()
        .header("client_id", client_id)
        .header("client_secret", client_secret)
}

/// The same from the environment: `TE_CLIENT_ID`, `TE_CLIENT_SECRET`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    let day = Window::per_day(PER_DAY)
        .limit_header("X-RateLimit-Limit")
        .remaining_header("X-RateLimit-Remaining")
        .reset_header("X-RateLimit-Reset")
        .reset_unit(ResetUnit::Milliseconds);
    Account::builder(PRESET.name, PRODUCTION_URL)
        .window(Window::per_minute(PER_MINUTE))
        .window(day)
}
