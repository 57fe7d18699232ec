//! Which secrets a file holds itself, instead of saying where they are.
//!
//! That is allowed: a test needs it, and a file may be well kept. It is told, since a file is soon
//! copied, sent or committed.

use super::value::{Table, Value};
use crate::distributors::{Preset, Set};

/// Keys whose values are secrets, for every account.
const SECRETS: [&str; 4] = ["bearer", "client_secret", "password", "refresh_token"];
/// Secrets within tables.
const INNER: [(&str, &str); 3] = [
    ("assertion", "key"),
    ("basic", "password"),
    ("token_store", "key"),
];
/// Tables with names of headers, of query keys and of form fields.
const NAMED: [&str; 4] = ["headers", "query", "token_fields", "token_headers"];
/// What the name of a secret has in it. A country and a shop are no secrets, and may be there too.
const WORDS: [&str; 6] = ["auth", "key", "pass", "secret", "sign", "token"];

/// The keys of an account whose literal values are secrets, in order.
pub(super) fn literals(table: &Table, preset: Option<&Preset>) -> Vec<String> {
    let is_own = |key: &str| {
        let mut keys = preset.iter().flat_map(|preset| preset.keys);
        keys.any(|own| own.name == key && matches!(own.set, Set::Secret(_)))
    };
    let mut found = Vec::new();
    for (key, value) in table {
        match value {
            Value::Text(_) if SECRETS.contains(&key.as_str()) || is_own(key) => {
                found.push(key.clone());
            }
            Value::Table(inner) => found.extend(within(key, inner)),
            _ => {}
        }
    }
    found
}

fn within(key: &str, table: &Table) -> Vec<String> {
    let is_secret = |name: &str| {
        let lower = name.to_ascii_lowercase();
        let is_named = NAMED.contains(&key) && WORDS.iter().any(|word| lower.contains(word));
        is_named || INNER.contains(&(key, name))
    };
    let is_literal =
        |(name, value): &(&String, &Value)| matches!(value, Value::Text(_)) && is_secret(name);
    let literal = table.iter().filter(is_literal);
    literal.map(|(name, _)| format!("{key}.{name}")).collect()
}
