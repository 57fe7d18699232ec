//! Settings without an effect.
//!
//! What is set in vain is most likely a forgotten `token_url`, a grant that is not the one that was
//! meant, or a setting that another one replaces. The account would run, and not as it was told.

use super::problems::Problems;
use crate::account::Settings;
use crate::auth::credentials::keys::HeaderPlace;
use crate::auth::oauth::grant::GrantKind;

/// What a setting needs to have an effect.
#[derive(Clone, Copy)]
enum Need {
    /// Something that asks for tokens.
    TokenUrl,
    /// Something that shows the client's id.
    Client,
    /// A client that proves who it is.
    ClientSecret,
    /// A grant that a person logs in to.
    Login,
    /// A grant that is renewed with a refresh token.
    Refresh,
    /// A credential that can be another one after it was refused.
    Renewal,
    /// No other content of the header `Authorization`.
    NoBearer,
}

/// The first need of a setting that is not met is reported. A setting that is not here has an
/// effect on every account.
const NEEDS: &[(&str, Need)] = &[
    ("client_id", Need::Client),
    ("client_secret", Need::TokenUrl),
    ("client_auth", Need::TokenUrl),
    ("client_auth", Need::ClientSecret),
    ("grant", Need::TokenUrl),
    ("authorization_url", Need::TokenUrl),
    ("authorization_url", Need::Login),
    ("revocation_url", Need::TokenUrl),
    ("issuer", Need::TokenUrl),
    ("issuer", Need::Login),
    ("pkce", Need::TokenUrl),
    ("pkce", Need::Login),
    ("scope", Need::TokenUrl),
    ("scope_on_refresh", Need::TokenUrl),
    ("scope_on_refresh", Need::Refresh),
    ("refresh_token_grace", Need::TokenUrl),
    ("refresh_token_grace", Need::Refresh),
    ("orphan_patience", Need::TokenUrl),
    ("orphan_patience", Need::Refresh),
    ("token_rules", Need::TokenUrl),
    ("token_headers", Need::TokenUrl),
    ("token_fields", Need::TokenUrl),
    ("token_client", Need::TokenUrl),
    ("token_windows", Need::TokenUrl),
    ("token_store", Need::TokenUrl),
    ("keep_warm", Need::TokenUrl),
    ("refresh_lead", Need::TokenUrl),
    ("fallback_lifetime", Need::TokenUrl),
    ("rejection_statuses", Need::Renewal),
    ("not_the_token", Need::Renewal),
    ("replay_unauthorized", Need::Renewal),
    ("basic", Need::NoBearer),
];

/// Every setting that was made by name and has no effect.
pub(in crate::account) fn check(settings: &Settings, problems: &mut Problems) {
    let mut reported = None;
    let noted = NEEDS
        .iter()
        .filter(|(field, _)| settings.noted.contains(field));
    for (field, need) in noted {
        let lack = need.lack(settings);
        if let Some(lack) = lack.filter(|_| reported != Some(field)) {
            problems.add(*field, format!("is set, but nothing uses it {lack}"));
            reported = Some(field);
        }
    }
}

impl Need {
    /// Why a setting of this need has no effect; none where it has one.
    fn lack(self, settings: &Settings) -> Option<&'static str> {
        let has_tokens = settings.token_url.is_some();
        let (is_met, lack) = match self {
            Self::TokenUrl => (has_tokens, "without a token_url"),
            Self::Client => {
                let is_shown = !settings.client_id_headers.is_empty();
                (has_tokens || is_shown, "without a token_url")
            }
            Self::ClientSecret => (settings.client_secret.is_some(), "without a client_secret"),
            Self::Login => (
                is_login(settings),
                "with this grant: only Grant::authorization_code logs a person in",
            ),
            Self::Refresh => (
                refreshes(settings),
                "with this grant: it has no refresh token",
            ),
            Self::Renewal => (
                has_tokens || can_change(settings),
                "without a token_url, or a key that is read again from a file or variable",
            ),
            Self::NoBearer => (
                !settings.noted.contains("bearer"),
                "beside a bearer: a request has one Authorization",
            ),
        };
        (!is_met).then_some(lack)
    }
}

fn is_login(settings: &Settings) -> bool {
    let grant = settings.grant.as_ref().map(|grant| &grant.0);
    matches!(grant, Some(GrantKind::AuthorizationCode { .. }))
}

fn refreshes(settings: &Settings) -> bool {
    let grant = settings.grant.as_ref().map(|grant| &grant.0);
    grant.is_some_and(GrantKind::refreshes)
}

/// Whether a key is kept elsewhere, from where it is read again once it was refused.
fn can_change(settings: &Settings) -> bool {
    let mut headers = settings.headers.iter().chain(&settings.query);
    let authorization = settings.authorization.as_ref();
    let scheme = settings.scheme.as_ref();
    headers.any(|(_, secret)| secret.is_reference())
        || authorization.is_some_and(HeaderPlace::is_reference)
        || scheme.is_some_and(|scheme| scheme.has_references())
}

#[cfg(test)]
mod tests;
