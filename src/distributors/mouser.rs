//! Mouser, `https://api.mouser.com/api/v2/search/…`.
//!
//! One key in the query of every request. Mouser gives a key for Search and another for Cart and
//! Order: two accounts.
//!
//! ```
//! use reqwest_tollgate::{Secret, distributors::mouser};
//!
//! let search = mouser::account("my-search-key").build()?.client()?;
//! let order = mouser::account(Secret::file("/run/secrets/mouser-order")).name("mouser-order");
//! # let _ = (search, order);
//! # Ok::<(), reqwest_tollgate::Error>(())
//! ```
//!
//! The key stands in every URL: see [`query`](crate::AccountBuilder::query) for where it does not
//! show, and for the client that keeps it within Mouser's origin.
//!
//! 30 calls a minute and 1000 a day (mouser.com/api-search, as public clients quote it); the preset
//! uses both in full, since its ledger counts a call until a minute after its answer. A rejection
//! was seen as a 403, a 429 and a 200, with `TooManyRequests` in the body each time. A bad key was
//! seen as a 200, 401 and 403: such an answer is handed on, and the key is read again if it is a
//! reference. A 403 without those words (a blocked address) is handed on too. No header that
//! reports on the limits is documented, so neither window names any.

use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::error::Error;
use crate::rate_limit::Window;
use crate::response_rules::{Rule, Verdict};
use crate::secret::Secret;

/// The API. Source: the vendor's guide, as copied by others.
pub const PRODUCTION_URL: &str = "https://api.mouser.com";

/// Calls a minute for each key. Source: mouser.com/api-search.
pub const PER_MINUTE: u64 = 30;
/// Calls a day for each key, same source. It does not say when a day ends, so any 24 hours count.
pub const PER_DAY: u64 = 1000;

/// Observed: `{"Errors":[{"Code":"TooManyRequests","ResourceKey":"TooManyRequests",…}]}`.
const TOO_MANY: &str = r#""Code":"TooManyRequests""#;
/// Observed: "Maximum calls per day exceeded.", with the resource key `MaxCallPerDay`.
const DAY_SPENT: [&str; 2] = ["calls per day exceeded", r#""ResourceKey":"MaxCallPerDay""#];
/// Observed: the code `Invalid` with "Invalid unique identifier.", or this code.
const BAD_KEY: [&str; 2] = [
    "Invalid unique identifier",
    r#""Code":"InvalidAuthorization""#,
];

pub(crate) const PRESET: Preset = Preset {
    name: "mouser",
    keys: &[Key::secret(
        "api_key",
        &[
            "MOUSER_API_KEY",
            "MOUSER_SEARCH_API_KEY",
            "MOUSER_PART_API_KEY",
            "PROVIDER_MOUSER_KEY",
        ],
        |builder, key| builder.query("apiKey", key),
    )],
    sandbox_variable: None,
    builder,
};

/// An account named `mouser`, for Search or for Cart and Order, as the key is.
pub fn account(api_key: impl Into<Secret>) -> AccountBuilder {
    builder().query("apiKey", api_key)
}

/// The same from the environment, for Search: the first that is set of `MOUSER_API_KEY`,
/// `MOUSER_SEARCH_API_KEY`, `MOUSER_PART_API_KEY` and `PROVIDER_MOUSER_KEY`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) if none is.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    let mut builder = Account::builder(PRESET.name, PRODUCTION_URL)
        .window(Window::per_minute(PER_MINUTE))
        .window(Window::per_day(PER_DAY));
    for status in [200, 403] {
        for phrase in BAD_KEY {
            builder = builder.rule(Rule::new(status, Verdict::TokenRejected).body(phrase));
        }
    }
    for status in [200, 403, 429] {
        builder = builder.rule(Rule::new(status, Verdict::RateExceeded).body(TOO_MANY));
        for phrase in DAY_SPENT {
            builder = builder.rule(Rule::new(status, Verdict::QuotaSpent).body(phrase));
        }
    }
    builder
}
