//! Nexar (formerly Octopart), `https://api.nexar.com/graphql`.
//!
//! Client credentials in the form, scope [`SUPPLY_SCOPE`]; a token lives a day. The API of designs
//! needs a person's login: set `scope`, [`Grant::authorization_code`](crate::Grant) and a token
//! store; [`AUTHORIZATION_URL`] is set already.
//!
//! Nexar limits its token endpoint (2 a second, 200 in 15 minutes, 3000 in 12 hours, 40 000 a week,
//! support.nexar.com article 101000452406): a fleet that fetches a token at each start can hit
//! that, so let it share a [store](crate::AccountBuilder::token_store).
//!
//! The API itself counts *parts* that it returned, in a calendar month. How many came is known
//! afterwards, and told by [`Account::charge`](crate::Account::charge) in the unit [`PARTS`]. The
//! plan decides how many there are: [`EVALUATION_PARTS`] unless told otherwise.
//!
//! ```
//! use reqwest_tollgate::{Window, distributors::nexar};
//!
//! let month = Window::per_utc_month(15_000).unit(nexar::PARTS);
//! let account = nexar::account("my-client-id", "my-client-secret").window(month).build()?;
//! let client = account.client()?;
//! # let _ = client;
//! # Ok::<(), reqwest_tollgate::Error>(())
//! ```
//!
//! A spent month was seen as a 200 with a GraphQL error ("You have exceeded your part limit of
//! 1000."), a bad token is documented as a 401 and, on an older page, as a GraphQL error with
//! `AuthExpiredToken` or `AuthInvalidToken`. A plan without any parts says "part limit of 0": no
//! month brings more, so that answer is handed on with its text, and nothing pauses.

use std::time::Duration;

use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::auth::ClientAuth;
use crate::error::Error;
use crate::rate_limit::Window;
use crate::response_rules::{Rule, Verdict};
use crate::secret::Secret;

/// The API. Source: altium.com, Octopart API documentation.
pub const PRODUCTION_URL: &str = "https://api.nexar.com";
/// The token endpoint, same source.
pub const TOKEN_URL: &str = "https://identity.nexar.com/connect/token";
/// Where a person logs in, for the API of designs. Source: the vendor's own client code.
pub const AUTHORIZATION_URL: &str = "https://identity.nexar.com/connect/authorize";
/// The scope of the API of parts, same source.
pub const SUPPLY_SCOPE: &str = "supply.domain";

/// The lifetime of a token whose answer does not say it: `expires_in` is 86 400. Source:
/// altium.com.
pub const FALLBACK_LIFETIME: Duration = Duration::from_secs(86_400);

/// Requests a minute that the vendor recommends not to exceed. Source: support.nexar.com, article
/// 101000434616.
pub const PER_MINUTE: u64 = 300;

/// The unit that a plan counts in, for [`Account::charge`](crate::Account::charge). Source:
/// support.nexar.com, article 101000434614.
pub const PARTS: &str = "parts";
/// Parts of an evaluation app, observed: as many in its whole life, not each month. Newer apps have
/// none until a plan is bought. Set the number of your plan.
pub const EVALUATION_PARTS: u64 = 1000;

/// What the token endpoint allows: so many in so long. Source: support.nexar.com, article
/// 101000452406.
pub const TOKEN_LIMITS: [(u64, Duration); 4] = [
    (2, Duration::from_secs(1)),
    (200, Duration::from_secs(15 * 60)),
    (3_000, Duration::from_secs(12 * 60 * 60)),
    (40_000, Duration::from_secs(7 * 24 * 60 * 60)),
];

/// Observed: "You have exceeded your part limit of 1000."
const MONTH_SPENT: &str = "You have exceeded your part limit";
/// Observed, of apps without a plan.
const NO_PARTS: &str = "part limit of 0";
/// Codes of GraphQL errors, by an older page of the vendor.
const BAD_TOKEN: [&str; 2] = ["AuthExpiredToken", "AuthInvalidToken"];

pub(crate) const PRESET: Preset = Preset {
    name: "nexar",
    keys: &[
        Key::text(
            "client_id",
            &["NEXAR_CLIENT_ID", "PROVIDER_OCTOPART_CLIENT_ID"],
            AccountBuilder::client_id,
        ),
        Key::secret(
            "client_secret",
            &["NEXAR_CLIENT_SECRET", "PROVIDER_OCTOPART_SECRET"],
            AccountBuilder::client_secret,
        ),
    ],
    sandbox_variable: None,
    builder,
};

/// An account named `nexar`, for the API of parts.
pub fn account(client_id: impl Into<String>, client_secret: impl Into<Secret>) -> AccountBuilder {
    builder().client_id(client_id).client_secret(client_secret)
}

/// The same from the environment: `NEXAR_CLIENT_ID` and `NEXAR_CLIENT_SECRET`, or
/// `PROVIDER_OCTOPART_CLIENT_ID` and `PROVIDER_OCTOPART_SECRET`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    let mut builder = Account::builder(PRESET.name, PRODUCTION_URL)
        .token_url(TOKEN_URL)
        .login_at(AUTHORIZATION_URL)
        .client_auth(ClientAuth::Body)
        .scope(SUPPLY_SCOPE)
        .fallback_lifetime(FALLBACK_LIFETIME)
        .window(Window::per_minute(PER_MINUTE))
        .window(Window::per_utc_month(EVALUATION_PARTS).unit(PARTS))
        // Known once they came; until then a request leaves as long as any are left.
        .usual_cost(PARTS, 0)
        .rule(Rule::new(200, Verdict::QuotaSpent).body(MONTH_SPENT))
        .rule(Rule::new(200, Verdict::Fine).body(NO_PARTS));
    for (limit, length) in TOKEN_LIMITS {
        builder = builder.token_window(Window::new(limit, length));
    }
    for code in BAD_TOKEN {
        builder = builder.rule(Rule::new(200, Verdict::TokenRejected).body(code));
    }
    builder
}
