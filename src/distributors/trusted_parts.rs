//! TrustedParts (ECIA): the credentials go into the JSON of the body.
//!
//! `POST /v2/search` with an object; the preset adds `CompanyId` and `ApiKey` where the object has
//! none of its own, and leaves the rest as it is spelled. A request whose body is something else is
//! not sent. Source: trustedparts.com/docs/trustedparts-api, "Requests" and "Credentials".
//!
//! # Limits
//! They count parts, not requests: [50 in 10 s](TEN_SECONDS), [150 a minute](PER_MINUTE), [2 000 an
//! hour](PER_HOUR), [15 000 in 24 h](PER_DAY), and [50 in one request](PER_REQUEST). Tell what a
//! request asks for; one that does not say counts as one part:
//!
//! ```
//! use reqwest_tollgate::{RequestOptions, distributors::trusted_parts};
//!
//! let twelve_parts = RequestOptions::new().cost(trusted_parts::PARTS, 12);
//! # let _ = twelve_parts;
//! ```
//!
//! The preset uses the full numbers. They are soft: above them the vendor still answers, from its
//! cache, so there is no rejection to see; above further limits, whose table was not found, a key
//! may be suspended. Requests with `IsCrawler` or `UseCachedData` are exempt: `.cost(PARTS, 0)`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::de::IgnoredAny;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::auth::credentials::scheme::Ingredients;
use crate::auth::{Attempt, Signer};
use crate::error::{BoxError, Error};
use crate::rate_limit::Window;
use crate::secret::Secret;

/// The API. Source: trustedparts.com/docs/trustedparts-api.
pub const PRODUCTION_URL: &str = "https://api.trustedparts.com";

/// What the limits count, for [`RequestOptions::cost`](crate::RequestOptions::cost).
pub const PARTS: &str = "parts";
/// Parts in one request. Source: trustedparts.com/docs/trustedparts-api.
pub const PER_REQUEST: u64 = 50;
/// Parts in ten seconds, same source.
pub const TEN_SECONDS: u64 = 50;
/// Parts a minute, same source.
pub const PER_MINUTE: u64 = 150;
/// Parts an hour, same source.
pub const PER_HOUR: u64 = 2_000;
/// Parts in 24 hours, same source.
pub const PER_DAY: u64 = 15_000;

pub(crate) const PRESET: Preset = Preset {
    name: "trusted_parts",
    keys: &[COMPANY_ID, KEY],
    sandbox_variable: None,
    builder,
};

const COMPANY_ID: Key = Key::text("company_id", &["TRUSTEDPARTS_COMPANY_ID"], |builder, id| {
    builder.signing_secret("company_id", id.into())
});

const KEY: Key = Key::secret("api_key", &["TRUSTEDPARTS_API_KEY"], |builder, key| {
    builder.signing_secret("api_key", key)
});

/// An account named `trusted_parts`.
pub fn account(company_id: impl Into<String>, api_key: impl Into<Secret>) -> AccountBuilder {
    builder()
        .signing_secret(COMPANY_ID.name, company_id.into().into())
        .signing_secret(KEY.name, api_key.into())
}

/// The same from the environment: `TRUSTEDPARTS_COMPANY_ID` and `TRUSTEDPARTS_API_KEY`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing or
/// cannot be read.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    let windows = [
        Window::new(TEN_SECONDS, Duration::from_secs(10)),
        Window::per_minute(PER_MINUTE),
        Window::per_hour(PER_HOUR),
        Window::per_day(PER_DAY),
    ];
    let builder = Account::builder(PRESET.name, PRODUCTION_URL)
        .signed_by(signer)
        .usual_cost(PARTS, 1);
    let windows = windows.into_iter().map(|window| window.unit(PARTS));
    windows.fold(builder, AccountBuilder::window)
}

fn signer(secrets: &Ingredients) -> Result<Option<Arc<dyn Signer>>, &'static str> {
    Ok(Some(Arc::new(IntoBody {
        added: [
            ("CompanyId", secrets.need(COMPANY_ID.name)?),
            ("ApiKey", secrets.need(KEY.name)?),
        ],
    })))
}

struct IntoBody {
    added: [(&'static str, Zeroizing<String>); 2],
}

impl Signer for IntoBody {
    fn sign(&self, attempt: &mut Attempt<'_>) -> Result<(), BoxError> {
        let body = attempt.body()?;
        // The error would show a part of the body.
        let given: BTreeMap<String, IgnoredAny> =
            serde_json::from_slice(body).map_err(|_| "the body is not a JSON object")?;
        let begin = body.iter().position(|byte| *byte == b'{').unwrap_or(0) + 1;
        let mut members = Vec::new();
        for (name, value) in &self.added {
            if !given.contains_key(*name) {
                members.push(format!("\"{name}\":{}", Value::from(value.as_str())));
            }
        }
        if members.is_empty() {
            return Ok(());
        }
        let mut members = members.join(",");
        if !given.is_empty() {
            members.push(',');
        }
        let whole = [&body[..begin], members.as_bytes(), &body[begin..]].concat();
        attempt.set_body(whole);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use http::Method;
    use reqwest::{Body, Request};

    use super::*;

    fn signed(body: &'static str) -> Result<String, BoxError> {
        let mut request = Request::new(Method::POST, PRODUCTION_URL.parse()?);
        *request.body_mut() = Some(body.into());
        let owned = |text: &str| Zeroizing::new(text.to_owned());
        let signer = IntoBody {
            added: [("CompanyId", owned("c-1")), ("ApiKey", owned("k\"1"))],
        };
        signer.sign(&mut Attempt::new(&mut request, UNIX_EPOCH, [0; 16]))?;
        let bytes = request.body().and_then(Body::as_bytes).unwrap_or_default();
        Ok(String::from_utf8(bytes.to_vec())?)
    }

    #[test]
    fn the_credentials_come_first_and_the_rest_is_untouched() {
        let body = signed(r#" {"Queries": [1.50], "ä": {"ApiKey":1}}"#).expect("signed");
        let expected =
            r#" {"CompanyId":"c-1","ApiKey":"k\"1","Queries": [1.50], "ä": {"ApiKey":1}}"#;
        assert_eq!(body, expected);
        let body = signed("{}").expect("signed");
        assert_eq!(body, r#"{"CompanyId":"c-1","ApiKey":"k\"1"}"#);
    }

    #[test]
    fn what_the_caller_wrote_stays() {
        let whole = r#"{"ApiKey":"mine","CompanyId":"mine"}"#;
        assert_eq!(signed(whole).expect("signed"), whole);
        let body = signed(r#"{"ApiKey":"mine"}"#).expect("signed");
        assert_eq!(body, r#"{"CompanyId":"c-1","ApiKey":"mine"}"#);
    }

    #[test]
    fn a_body_that_is_no_object_is_refused_without_showing_it() {
        for body in ["", "[1]", "{\"canary\""] {
            let error = signed(body).expect_err("no object").to_string();
            assert_eq!(error, "the body is not a JSON object");
        }
    }
}
