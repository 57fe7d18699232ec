//! Disruptive Technologies, `https://api.disruptive-technologies.com/v2/…`: sensors, not parts, and
//! the preset for JWT-bearer tokens.
//!
//! A service account signs an assertion with its secret (RFC 7523, HS256 with the key's id as
//! `kid`) and gets a token for an hour; there is no refresh token, and no client. The assertion has
//! the four claims of the vendor's guide and no more. Should its clock and ours differ, assertions
//! follow theirs after the first refusal.
//!
//! Sources: the vendor's guide "Refreshing Access Token" and its page of error codes. Limits were
//! not found, so there is no window.

use std::time::Duration;

use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::auth::oauth::grant::GrantKind;
use crate::auth::{Grant, JwtBearer};
use crate::error::Error;
use crate::secret::Secret;

/// The API. Source: docs.developer.disruptive-technologies.com.
pub const PRODUCTION_URL: &str = "https://api.disruptive-technologies.com";
/// The token endpoint, and the assertion's audience. Source: "Refreshing Access Token".
pub const TOKEN_URL: &str = "https://identity.disruptive-technologies.com/oauth2/token";

/// How long an assertion is good (`exp` − `iat`), same source.
pub const ASSERTION_LIFETIME: Duration = Duration::from_secs(3600);
/// The lifetime of a token whose answer does not say it. Source: the page of error codes.
pub const FALLBACK_LIFETIME: Duration = Duration::from_secs(3600);
/// How long before its expiry a token is renewed. Source: "Refreshing Access Token".
pub const REFRESH_LEAD: Duration = Duration::from_secs(60);

pub(crate) const PRESET: Preset = Preset {
    name: "disruptive",
    keys: &[
        Key::text("key_id", &["DT_SERVICE_ACCOUNT_KEY_ID"], |builder, id| {
            let assertion = assertion(&builder).key_id(id);
            builder.grant(Grant::jwt_bearer(assertion))
        }),
        Key::text("email", &["DT_SERVICE_ACCOUNT_EMAIL"], |builder, email| {
            let assertion = assertion(&builder).issued_by(email);
            builder.grant(Grant::jwt_bearer(assertion))
        }),
        Key::secret(
            "secret",
            &["DT_SERVICE_ACCOUNT_SECRET"],
            |builder, secret| {
                let assertion = assertion(&builder).signed_with(secret);
                builder.grant(Grant::jwt_bearer(assertion))
            },
        ),
    ],
    sandbox_variable: None,
    builder,
};

/// An account named `disruptive`, of a service account's key id, email and secret.
pub fn account(
    key_id: impl Into<String>,
    email: impl Into<String>,
    secret: impl Into<Secret>,
) -> AccountBuilder {
    let assertion = bearer().key_id(key_id).issued_by(email).signed_with(secret);
    builder().grant(Grant::jwt_bearer(assertion))
}

/// The same from the environment: `DT_SERVICE_ACCOUNT_KEY_ID`, `DT_SERVICE_ACCOUNT_EMAIL` and
/// `DT_SERVICE_ACCOUNT_SECRET`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    Account::builder(PRESET.name, PRODUCTION_URL)
        .token_url(TOKEN_URL)
        .grant(Grant::jwt_bearer(bearer()))
        .fallback_lifetime(FALLBACK_LIFETIME)
        .refresh_lead(REFRESH_LEAD)
}

fn bearer() -> JwtBearer {
    let nobodys = JwtBearer::hs256("", "");
    nobodys.minimal().lifetime(ASSERTION_LIFETIME)
}

/// What is known so far.
fn assertion(builder: &AccountBuilder) -> JwtBearer {
    match builder.settings.grant.as_ref().map(|grant| &grant.0) {
        Some(GrantKind::JwtBearer(assertion)) => (**assertion).clone(),
        _ => bearer(),
    }
}
