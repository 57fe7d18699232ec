//! TTI, `https://api.tti.com/service/api/v1/…`.
//!
//! The key in the header `apiKey`. Search, Order, Quote and Lead Time have a key each: an account
//! for each. The customer's number and region are query keys of the request
//! (`customerAccountNumber`, `requestEntity`). Source: client code. The limits are hearsay: 1000
//! requests a day, and a minute's rest after each hundred; and one lead time in about five seconds,
//! as observed. Its path is not known, so the quota [`LEAD_TIME`] is chosen by name:
//!
//! ```
//! use reqwest_tollgate::{RequestOptions, distributors::tti};
//!
//! let lead_times = tti::account("my-lead-time-key")
//!     .name("tti-lead-time")
//!     .options(RequestOptions::new().quota(tti::LEAD_TIME))
//!     .build()?;
//! # Ok::<(), reqwest_tollgate::Error>(())
//! ```

use std::time::Duration;

use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::error::Error;
use crate::rate_limit::{Quota, Window};
use crate::secret::Secret;

/// The API. Source: client code.
pub const PRODUCTION_URL: &str = "https://api.tti.com";

/// Requests a minute: hearsay ("a cool-down of 60 s after every 100").
pub const PER_MINUTE: u64 = 100;
/// Requests a day: hearsay. When a day ends is not known, so any 24 hours count.
pub const PER_DAY: u64 = 1000;
/// The quota of lead times.
pub const LEAD_TIME: &str = "lead-time";
/// Between two requests for a lead time, about. Observed.
pub const LEAD_TIME_INTERVAL: Duration = Duration::from_secs(5);

pub(crate) const PRESET: Preset = Preset {
    name: "tti",
    keys: &[Key::secret(
        "api_key",
        &["TTI_API_KEY", "TTI_SEARCH_KEY"],
        |builder, key| builder.header("apiKey", key),
    )],
    sandbox_variable: None,
    builder,
};

/// An account named `tti`, for the API that the key is of.
pub fn account(api_key: impl Into<Secret>) -> AccountBuilder {
    builder().header("apiKey", api_key)
}

/// The same from the environment: `TTI_API_KEY` or `TTI_SEARCH_KEY`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    let lead_time = Quota::new(LEAD_TIME)
        .window(Window::new(1, LEAD_TIME_INTERVAL))
        .window(Window::per_day(PER_DAY));
    Account::builder(PRESET.name, PRODUCTION_URL)
        .window(Window::per_minute(PER_MINUTE))
        .window(Window::per_day(PER_DAY))
        .quota(lead_time)
}
