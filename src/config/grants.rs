//! Grants, as a configuration file writes them.

use super::fields::Fields;
use super::limits::span;
use super::value::Value;
use crate::account::check::problems::Problems;
use crate::auth::{Grant, JwtBearer};
use crate::secret::Secret;

const NAMES: [&str; 5] = [
    "client_credentials",
    "refresh_token",
    "authorization_code",
    "password",
    "jwt_bearer",
];

/// The keys that only one grant uses, and that one cannot do without.
const NEEDS: [(&str, &str); 5] = [
    ("refresh_token", "refresh_token"),
    ("authorization_code", "redirect_uri"),
    ("password", "user"),
    ("password", "password"),
    ("jwt_bearer", "assertion"),
];

type Begin = fn(String, Secret) -> JwtBearer;

const ALGORITHMS: &[(&str, Begin)] = &[
    ("HS256", JwtBearer::hs256),
    #[cfg(feature = "jwt")]
    ("RS256", JwtBearer::rs256),
    #[cfg(feature = "jwt")]
    ("ES256", JwtBearer::es256),
];

/// The name of a grant, and what it needs beside.
pub(super) fn grant(fields: &mut Fields) -> Option<Grant> {
    let is_told = fields.has("grant");
    let name = fields.choice("grant", &NAMES.map(|name| (name, name)));
    if name.is_some() || !is_told {
        check_keys(fields, name);
    }
    let initial = fields.secret("refresh_token");
    let redirect_uri = fields.text("redirect_uri");
    let (user, password) = (fields.text("user"), fields.secret("password"));
    let assertion = assertion(fields);
    match name? {
        "refresh_token" => initial.map(Grant::refresh_token),
        "authorization_code" => redirect_uri.map(Grant::authorization_code),
        "password" => Some(Grant::password(user?, password?)),
        "jwt_bearer" => assertion.map(Grant::jwt_bearer),
        _ => Some(Grant::client_credentials()),
    }
}

fn check_keys(fields: &mut Fields, name: Option<&str>) {
    for (grant, key) in NEEDS {
        let text = match (name == Some(grant), fields.has(key)) {
            (true, false) => format!("is missing; grant = {grant:?} needs it"),
            (false, true) => format!("is set, but only grant = {grant:?} uses it"),
            _ => continue,
        };
        fields.problems.add(key, text);
    }
}

fn assertion(fields: &mut Fields) -> Option<JwtBearer> {
    let table = fields.read("assertion", Value::into_table)?;
    match jwt_bearer(Fields::new(table)) {
        Ok(assertion) => Some(assertion),
        Err(problems) => {
            fields.problems.add_all("assertion", problems);
            None
        }
    }
}

fn jwt_bearer(mut fields: Fields) -> Result<JwtBearer, Problems> {
    for key in ["algorithm", "issuer", "key"] {
        if !fields.has(key) {
            fields.problems.add(key, "is missing");
        }
    }
    let begin = fields.choice("algorithm", ALGORITHMS);
    let begin = begin.unwrap_or(JwtBearer::hs256);
    let issuer = fields.text("issuer").unwrap_or_default();
    let key = fields.secret("key");
    let mut assertion = begin(issuer, key.unwrap_or_else(|| Secret::from("")));
    if let Some(id) = fields.text("key_id") {
        assertion = assertion.key_id(id);
    }
    if let Some(subject) = fields.text("subject") {
        assertion = assertion.subject(subject);
    }
    if let Some(audience) = fields.text("audience") {
        assertion = assertion.audience(audience);
    }
    if let Some(lifetime) = fields.read("lifetime", span) {
        assertion = assertion.lifetime(lifetime);
    }
    fields.finish().into_result(assertion)
}
