//! How an account gets its tokens, where it has a token URL.

use url::Url;

use super::problems::Problems;
use super::{headers, urls};
use crate::account::{Settings, endpoint_limits};
use crate::auth::oauth::endpoint;
use crate::auth::oauth::grant::GrantKind;
use crate::auth::{Grant, OAuthSettings};
use crate::response_rules::{RuleTarget, Rules};
use crate::secret::Secret;

/// None where there is no token URL, or where something is wrong with it.
pub(in crate::account) fn oauth(
    settings: &Settings,
    base_url: Option<&Url>,
    problems: &mut Problems,
) -> Option<OAuthSettings> {
    let Some(token_url) = &settings.token_url else {
        return None;
    };
    let token_url = urls::token(token_url, base_url, problems);
    if let Some(secret) = &settings.client_secret {
        check_secret("client_secret", secret, problems);
    }
    let grant = settings
        .grant
        .clone()
        .unwrap_or_else(Grant::client_credentials);
    check_client(settings, &grant, problems);
    check_grant(settings, &grant, problems);
    headers::check_token_fields(settings, problems);
    endpoint_limits::check(&settings.token_windows, problems);
    let token_headers = headers::of_token_requests(settings, problems);
    let token_client = token_url
        .as_ref()
        .and_then(|url| token_client(settings, url, problems));
    let token_rules = Rules::new(&settings.token_rules, RuleTarget::TokenEndpoint);
    let token_rules = problems.keep_list("token_rules", token_rules);
    check_scope_on_refresh(settings, &grant, problems);
    let authorization_url = settings.authorization_url.as_ref();
    let authorization_url =
        authorization_url.and_then(|text| urls::authorization(text, base_url, problems));
    let revocation_url = settings.revocation_url.as_ref();
    let revocation_url = revocation_url.and_then(|text| urls::revocation(text, base_url, problems));
    Some(OAuthSettings {
        token_url: token_url?,
        client_id: settings.client_id.clone(),
        client_secret: settings.client_secret.clone(),
        client_auth: settings.client_auth,
        grant,
        scope: settings.scope.clone(),
        scope_on_refresh: settings.scope_on_refresh,
        pkce: settings.pkce,
        token_headers,
        token_fields: settings.token_fields.clone(),
        token_client: token_client?,
        token_rules,
        // One that is no header name is a problem of its own.
        request_id_headers: settings
            .request_id_headers
            .iter()
            .filter_map(|name| name.parse().ok())
            .collect(),
        store: settings.token_store.clone(),
        terms: settings.terms,
        limit: None,
        keep_warm: settings.keep_warm,
        refresh_lead: settings.refresh_lead,
        fallback_lifetime: settings.fallback_lifetime,
        authorization_url,
        revocation_url,
        issuer: settings.issuer.clone(),
    })
}

/// An assertion says who asks; every other grant is a client's.
fn check_client(settings: &Settings, grant: &Grant, problems: &mut Problems) {
    let is_needed = match grant.0 {
        GrantKind::JwtBearer(_) => settings.client_secret.is_some(),
        _ => true,
    };
    match settings.client_id.as_deref() {
        None if is_needed => problems.add("client_id", "is missing; token_url needs one"),
        Some(id) if id.trim().is_empty() => {
            problems.add("client_id", "is missing; token_url needs one");
        }
        _ => {}
    }
    // Such as the line break at the end of a file: the server would see `%0A`, and would say no
    // more than `invalid_client`.
    for (field, text) in [
        ("client_id", &settings.client_id),
        ("scope", &settings.scope),
    ] {
        if text
            .as_deref()
            .is_some_and(|text| text.contains(char::is_control))
        {
            problems.add(field, "found a line break or another control character");
        }
    }
}

fn check_grant(settings: &Settings, grant: &Grant, problems: &mut Problems) {
    match &grant.0 {
        GrantKind::ClientCredentials => return,
        GrantKind::Password { password, .. } => {
            return check_secret("password", password, problems);
        }
        GrantKind::JwtBearer(assertion) => {
            for (field, text) in assertion.check() {
                problems.add(field, text);
            }
            return;
        }
        GrantKind::RefreshToken { initial } => check_initial(settings, initial, problems),
        GrantKind::AuthorizationCode { redirect_uri } => {
            let expected = "expected the absolute URL that is registered with the distributor";
            // An app's own scheme has no port: `com.acme.app:/callback`.
            let is_host = urls::without_scheme(redirect_uri).is_some();
            let uri = Url::parse(redirect_uri).ok().filter(|_| !is_host);
            let uri = uri.ok_or_else(|| format!("found {}; {expected}", urls::shown(redirect_uri)));
            problems.keep("redirect_uri", uri);
        }
    }
    if settings.token_store.is_none() {
        let text = "is missing; a refresh token that is good for one use is lost at the next start \
                    unless a store keeps it. If that is what you want, say MemoryStore::new()";
        problems.add("token_store", text);
    }
}

/// One that is kept elsewhere is read where the store has none: once the store has its successors,
/// the variable or file it began with may be gone.
fn check_initial(settings: &Settings, initial: &Secret, problems: &mut Problems) {
    if settings.token_store.is_none() || !initial.is_reference() {
        check_secret("refresh_token", initial, problems);
    }
}

fn check_secret(field: &str, secret: &Secret, problems: &mut Problems) {
    let value = problems.keep(field, secret.read());
    if value.is_some_and(|value| value.trim().is_empty()) {
        problems.add(field, "is empty");
    }
}

fn check_scope_on_refresh(settings: &Settings, grant: &Grant, problems: &mut Problems) {
    if settings.scope_on_refresh && settings.scope.is_none() && grant.0.refreshes() {
        problems.add("scope_on_refresh", "is set, but there is no scope to send");
    }
}

fn token_client(
    settings: &Settings,
    token_url: &Url,
    problems: &mut Problems,
) -> Option<reqwest::Client> {
    match &settings.token_client {
        Some(client) => Some(client.clone()),
        None => problems.keep("token_client", endpoint::default_client(token_url)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Account, MemoryStore};

    #[test]
    fn the_scope_is_left_out_of_a_refresh_unless_the_account_asks_for_it() {
        let account = || {
            Account::builder("acme", "https://a.example")
                .token_url("https://a.example/token")
                .client_id("id")
                .scope("all")
                .grant(Grant::refresh_token("r0"))
                .token_store(MemoryStore::new())
        };
        for (account, sent) in [
            (account(), false),
            (account().scope_on_refresh(false), false),
            (account().scope_on_refresh(true), true),
        ] {
            let mut problems = Problems::default();
            let oauth = oauth(&account.settings, None, &mut problems).expect("a token URL");
            assert!(problems.is_empty(), "{problems}");
            assert_eq!(oauth.scope.as_deref(), Some("all"));
            assert_eq!(oauth.scope_on_refresh, sent);
        }
    }
}
