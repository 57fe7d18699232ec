//! Names and values for the wire: headers and form fields, their secrets read once to check them.

use std::str::FromStr;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::problems::Problems;
use crate::account::Settings;
use crate::auth::credentials::keys::{HeaderPlace, KeyPlaces, Keys};
use crate::auth::credentials::scheme::Scheme;
use crate::secret::Secret;

/// The keys of every request. The last one of a name wins, so that a preset's can be replaced.
pub(in crate::account) fn of_requests(
    settings: &Settings,
    problems: &mut Problems,
) -> (Keys, KeyPlaces) {
    let mut places = KeyPlaces::default();
    let mut put = |field: &str, name: Result<HeaderName, String>, place: HeaderPlace| {
        let name = problems.keep(field, name);
        let value = problems.keep(field, place.read());
        if let Some((name, _)) = name.zip(value) {
            set(&mut places.headers, name, place);
        }
    };
    let id = settings.client_id.as_deref().unwrap_or_default();
    for text in &settings.client_id_headers {
        put("client_id", name(text), HeaderPlace::Plain(id.to_owned()));
    }
    for (text, secret) in &settings.headers {
        let place = HeaderPlace::Secret(secret.clone());
        put(&format!("headers.{text}"), name(text), place);
    }
    if let Some(place) = &settings.authorization {
        let field = match place {
            HeaderPlace::Basic { .. } => "basic",
            _ => "bearer",
        };
        put(field, Ok(AUTHORIZATION), place.clone());
    }
    for (name, secret) in &settings.query {
        if name.is_empty() {
            problems.add("query", "found a key without a name");
        }
        problems.keep(&format!("query.{name}"), secret.read());
        set(&mut places.query, name.clone(), secret.clone());
    }
    // A signer of the account's own goes before the preset's, which then needs nothing.
    places.scheme = settings
        .scheme
        .clone()
        .filter(|_| settings.signer.is_none());
    if let Some(Err((field, text))) = places.scheme.as_ref().map(Scheme::read) {
        problems.add(field, text);
    }
    check_authorization(settings, &places, problems);
    // What cannot be read was told above, and no account is made then.
    (places.read().unwrap_or_default(), places)
}

fn set<N: PartialEq, P>(list: &mut Vec<(N, P)>, name: N, place: P) {
    list.retain(|(other, _)| *other != name);
    list.push((name, place));
}

/// A request has one `Authorization`.
fn check_authorization(settings: &Settings, places: &KeyPlaces, problems: &mut Problems) {
    let is_set = places.headers.iter().any(|(name, _)| name == AUTHORIZATION);
    if settings.token_url.is_some() && is_set {
        let text = "is set, but the token of token_url goes there too: give one of both";
        problems.add("headers.authorization", text);
    }
}

/// The headers of the token request.
pub(in crate::account) fn of_token_requests(
    settings: &Settings,
    problems: &mut Problems,
) -> HeaderMap {
    sensitive("token_headers", &settings.token_headers, problems)
}

pub(in crate::account) fn request_ids(
    settings: &Settings,
    problems: &mut Problems,
) -> Vec<HeaderName> {
    let names = settings.request_id_headers.iter();
    names
        .filter_map(|text| problems.keep("request_id_header", name(text)))
        .collect()
}

/// The names that a token request has anyway; a parameter must not be there twice (RFC 6749
/// section 3.2).
const OWN_FIELDS: [&str; 3] = ["grant_type", "refresh_token", "scope"];

pub(in crate::account) fn check_token_fields(settings: &Settings, problems: &mut Problems) {
    for (name, secret) in &settings.token_fields {
        let field = format!("token_fields.{name}");
        if OWN_FIELDS.contains(&name.as_str()) {
            problems.add(&field, "is a field that the grant itself fills in");
        }
        if name.is_empty() {
            problems.add(&field, "found a field without a name");
        }
        problems.keep(&field, secret.read());
    }
}

fn sensitive(field: &str, given: &[(String, Secret)], problems: &mut Problems) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (text, secret) in given {
        let field = format!("{field}.{text}");
        let name = problems.keep(&field, name(text));
        let value = problems.keep(&field, value(secret));
        if let Some((name, value)) = name.zip(value) {
            headers.insert(name, value);
        }
    }
    headers
}

fn name(text: &str) -> Result<HeaderName, String> {
    HeaderName::from_str(text).map_err(|_| format!("{text:?} is not a header name"))
}

fn value(secret: &Secret) -> Result<HeaderValue, String> {
    HeaderPlace::Secret(secret.clone()).read()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Account, AccountBuilder};

    fn headers(builder: &AccountBuilder) -> Vec<(String, String, bool)> {
        let mut problems = Problems::default();
        let headers = of_requests(&builder.settings, &mut problems).0.headers;
        assert!(problems.is_empty(), "{problems}");
        let text = |value: &HeaderValue| value.to_str().expect("ASCII").to_owned();
        let row = |(name, value): &(HeaderName, HeaderValue)| {
            (name.to_string(), text(value), value.is_sensitive())
        };
        headers.iter().map(row).collect()
    }

    #[test]
    fn a_header_is_sensitive_and_a_client_id_is_not() {
        let mut builder = Account::builder("acme", "https://a.example").client_id("id");
        builder.settings.client_id_headers = vec!["X-Client".to_owned()];
        let builder = builder.header("X-Key", "key");
        let mut rows = headers(&builder);
        rows.sort();
        let expected = [("x-client", "id", false), ("x-key", "key", true)];
        assert_eq!(
            rows,
            expected.map(|(name, value, flag)| (name.into(), value.into(), flag))
        );
    }

    #[test]
    fn the_last_header_of_a_name_wins_and_may_replace_the_client_id() {
        let mut builder = Account::builder("acme", "https://a.example").client_id("id");
        builder.settings.client_id_headers = vec!["X-Client".to_owned()];
        let builder = builder.header("x-client", "one").header("X-CLIENT", "two");
        assert_eq!(headers(&builder), [("x-client".into(), "two".into(), true)]);
    }
}
