//! TE Connectivity, the product data API on `https://api.te.com`.
//!
//! The headers `client_id` and `client_secret` on every request; a bad pair is a 401 with
//! `{"error":"Invalid Client"}`. 30 requests a minute and 5000 a day, both in full. An answer
//! reports in `X-RateLimit-*`, with *milliseconds* until the reset, on whichever of the two was
//! looked at or exceeded: the page shows a 200 with the day's limit, and the minute's 429 with a
//! limit of 30 under the same names. So neither window names them; the reported limit
//! says which is meant. Source: TE's page "Security and Rate Limits"; the host as TE's own site
//! calls it.

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
    let windows = [Window::per_minute(PER_MINUTE), Window::per_day(PER_DAY)];
    let builder = Account::builder(PRESET.name, PRODUCTION_URL);
    windows.into_iter().fold(builder, |builder, window| {
        builder.window(window.reset_unit(ResetUnit::Milliseconds))
    })
}
