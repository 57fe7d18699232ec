//! Future Electronics, `https://api.futureelectronics.com/api/v1/pim-future/…`.
//!
//! The key in the header `x-orbweaver-licensekey`; it chooses the region too. A refused key is a
//! 401, an expired one a *406*: in both cases it is read again if it is a reference, and the answer
//! handed on otherwise. A 402 asks for a purchase. Source: the vendor's Postman collection. Limits
//! are not published, so there is no window; a 429 holds everybody back all the same.

use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::error::Error;
use crate::response_rules::{Rule, Verdict};
use crate::secret::Secret;

/// The API. Source: the vendor's Postman collection.
pub const PRODUCTION_URL: &str = "https://api.futureelectronics.com";

const KEY_HEADER: &str = "x-orbweaver-licensekey";
/// "Key expired", same source.
const EXPIRED: u16 = 406;

pub(crate) const PRESET: Preset = Preset {
    name: "future",
    keys: &[Key::secret(
        "api_key",
        &["FUTURE_API_KEY"],
        |builder, key| builder.header(KEY_HEADER, key),
    )],
    sandbox_variable: None,
    builder,
};

/// An account named `future`.
pub fn account(api_key: impl Into<Secret>) -> AccountBuilder {
    builder().header(KEY_HEADER, api_key)
}

/// The same from the environment: `FUTURE_API_KEY`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    let expired = Rule::new(EXPIRED, Verdict::TokenRejected);
    Account::builder(PRESET.name, PRODUCTION_URL).rule(expired)
}
