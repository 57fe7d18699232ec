use std::time::Duration;

use http::StatusCode;

use crate::{
    Account, AccountBuilder, Attempt, BoxError, ClientAuth, Environment, Event, Grant, MemoryStore,
    Quota, RequestOptions, Rule, Secret, Signer, SystemClock, Verdict, Window,
};

type Set = fn(AccountBuilder) -> AccountBuilder;

/// A setter; the field that `build()` refuses if it is called alone on an account with a key, and
/// on one that gets tokens as a public client.
type Row = (
    &'static str,
    Set,
    Option<&'static str>,
    Option<&'static str>,
);

struct Unsigned;

impl Signer for Unsigned {
    fn sign(&self, _: &mut Attempt<'_>) -> Result<(), BoxError> {
        Ok(())
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Every setter there is.
const ROWS: &[Row] = &[
    ("name", |b| b.name("other"), None, None),
    (
        "environment",
        |b| b.environment(Environment::Production),
        None,
        None,
    ),
    ("base_url", |b| b.base_url("https://b.example"), None, None),
    ("origin", |b| b.origin("https://b.example"), None, None),
    ("header", |b| b.header("X-Other", "v"), None, None),
    ("query", |b| b.query("key", "v"), None, None),
    (
        "bearer",
        |b| b.bearer("v"),
        None,
        Some("headers.authorization"),
    ),
    (
        "basic",
        |b| b.basic("u", "p"),
        None,
        Some("headers.authorization"),
    ),
    ("signer", |b| b.signer(Unsigned), None, None),
    (
        "rule",
        |b| b.rule(Rule::new(403, Verdict::RateExceeded)),
        None,
        None,
    ),
    ("client_id", |b| b.client_id("id"), Some("client_id"), None),
    (
        "client_secret",
        |b| b.client_secret("s"),
        Some("client_secret"),
        None,
    ),
    (
        "client_auth",
        |b| b.client_auth(ClientAuth::Basic),
        Some("client_auth"),
        Some("client_auth"),
    ),
    (
        "grant",
        |b| b.grant(Grant::client_credentials()),
        Some("grant"),
        None,
    ),
    // It would ask for a client_id, and is what most others are without.
    (
        "token_url",
        |b| b.token_url("t").client_id("id"),
        None,
        None,
    ),
    (
        "authorization_url",
        |b| b.authorization_url("a"),
        Some("authorization_url"),
        Some("authorization_url"),
    ),
    (
        "revocation_url",
        |b| b.revocation_url("r"),
        Some("revocation_url"),
        None,
    ),
    (
        "issuer",
        |b| b.issuer("https://i.example"),
        Some("issuer"),
        Some("issuer"),
    ),
    ("pkce", |b| b.pkce(false), Some("pkce"), Some("pkce")),
    ("scope", |b| b.scope("s"), Some("scope"), None),
    (
        "scope_on_refresh",
        |b| b.scope_on_refresh(true),
        Some("scope_on_refresh"),
        Some("scope_on_refresh"),
    ),
    (
        "refresh_token_grace",
        |b| b.refresh_token_grace(SECOND),
        Some("refresh_token_grace"),
        Some("refresh_token_grace"),
    ),
    (
        "orphan_patience",
        |b| b.orphan_patience(SECOND),
        Some("orphan_patience"),
        Some("orphan_patience"),
    ),
    (
        "token_rule",
        |b| b.token_rule(Rule::new(422, Verdict::GrantRejected)),
        Some("token_rules"),
        None,
    ),
    (
        "token_header",
        |b| b.token_header("X-A", "v"),
        Some("token_headers"),
        None,
    ),
    (
        "token_field",
        |b| b.token_field("audience", "v"),
        Some("token_fields"),
        None,
    ),
    (
        "token_client",
        |b| b.token_client(reqwest::Client::new()),
        Some("token_client"),
        None,
    ),
    (
        "token_window",
        |b| b.token_window(Window::per_second(2)),
        Some("token_windows"),
        None,
    ),
    (
        "token_store",
        |b| b.token_store(MemoryStore::new()),
        Some("token_store"),
        None,
    ),
    ("keep_warm", |b| b.keep_warm(true), Some("keep_warm"), None),
    (
        "refresh_lead",
        |b| b.refresh_lead(SECOND),
        Some("refresh_lead"),
        None,
    ),
    (
        "fallback_lifetime",
        |b| b.fallback_lifetime(SECOND),
        Some("fallback_lifetime"),
        None,
    ),
    (
        "rejection_status",
        |b| b.rejection_status(StatusCode::FORBIDDEN),
        Some("rejection_statuses"),
        None,
    ),
    (
        "not_the_token",
        |b| b.not_the_token("no"),
        Some("not_the_token"),
        None,
    ),
    (
        "replay_unauthorized",
        |b| b.replay_unauthorized(false),
        Some("replay_unauthorized"),
        None,
    ),
    ("window", |b| b.window(Window::per_second(2)), None, None),
    ("quota", |b| b.quota(Quota::new("q").path("/q")), None, None),
    (
        "quota_store",
        |b| b.quota_store(MemoryStore::new()),
        None,
        None,
    ),
    ("max_replays", |b| b.max_replays(1), None, None),
    ("max_in_flight", |b| b.max_in_flight(1), None, None),
    ("max_queue", |b| b.max_queue(1), None, None),
    (
        "unanswered_after",
        |b| b.unanswered_after(SECOND),
        None,
        None,
    ),
    (
        "request_id_header",
        |b| b.request_id_header("X-Id"),
        None,
        None,
    ),
    ("snapshots", |b| b.snapshots(false), None, None),
    (
        "options",
        |b| b.options(RequestOptions::new().timeout(SECOND)),
        None,
        None,
    ),
    (
        "observer",
        |b| b.observer(|_: &str, _: &Event| {}),
        None,
        None,
    ),
    ("clock", |b| b.clock(SystemClock), None, None),
];

fn with_a_key() -> AccountBuilder {
    Account::builder("acme", "https://a.example").header("X-Key", "k")
}

fn with_tokens() -> AccountBuilder {
    Account::builder("acme", "https://a.example")
        .token_url("t")
        .client_id("id")
}

#[track_caller]
fn refused(builder: AccountBuilder, field: Option<&str>, what: &str) {
    let error = builder.build().err().map(|error| error.to_string());
    match (error, field) {
        (None, None) => {}
        (Some(error), Some(field)) => {
            let begin = format!("account acme: {field}: is set, but ");
            assert!(error.starts_with(&begin), "{what}: {error}");
            assert_eq!(error.lines().count(), 1, "{what}: {error}");
        }
        (error, field) => panic!("{what}: expected {field:?}, found {error:?}"),
    }
}

#[test]
fn every_setter_has_its_row() {
    let source = include_str!("../../builder.rs");
    let setters = source.split("    pub fn ").skip(1);
    let mut setters: Vec<_> = setters
        .filter_map(|text| text.split_once("(mut self"))
        .map(|(name, _)| name)
        .filter(|name| {
            name.chars()
                .all(|letter| letter == '_' || letter.is_ascii_lowercase())
        })
        .collect();
    let mut rows: Vec<_> = ROWS.iter().map(|(name, ..)| *name).collect();
    setters.sort_unstable();
    rows.sort_unstable();
    assert_eq!(setters, rows);
}

#[test]
fn a_setting_that_has_no_effect_is_refused_each_alone() {
    for (name, set, without_tokens, as_a_client) in ROWS {
        let renamed = |builder: AccountBuilder| set(builder).name("acme");
        refused(renamed(with_a_key()), *without_tokens, name);
        refused(renamed(with_tokens()), *as_a_client, name);
    }
}

/// What was refused has an effect once what it needs is there.
#[test]
fn what_a_setting_needs_makes_it_count() {
    let login = || {
        let grant = Grant::authorization_code("http://127.0.0.1:8139/callback");
        with_tokens().grant(grant).token_store(MemoryStore::new())
    };
    let secret = with_tokens().client_secret("s");
    refused(secret.client_auth(ClientAuth::Body), None, "client_auth");
    refused(login().authorization_url("a"), None, "authorization_url");
    refused(login().issuer("https://i.example"), None, "issuer");
    // A key that may be another one after it was refused.
    for builder in [
        with_a_key().header("X-Env", Secret::env("CARGO_PKG_NAME")),
        with_a_key().query("key", Secret::env("CARGO_PKG_NAME")),
        Account::builder("acme", "https://a.example").bearer(Secret::env("CARGO_PKG_NAME")),
        Account::builder("acme", "https://a.example").basic("u", Secret::env("CARGO_PKG_NAME")),
    ] {
        let builder = builder.rejection_status(StatusCode::FORBIDDEN);
        let builder = builder.not_the_token("no").replay_unauthorized(false);
        refused(builder, None, "a key by reference");
    }
}

#[test]
fn a_setting_that_another_one_replaces_is_refused() {
    let both = Account::builder("acme", "https://a.example");
    refused(both.bearer("t").basic("u", "p"), Some("basic"), "basic");
}

/// A login's URL is of no use to `client_credentials`, and the user has not set it.
#[test]
fn what_a_preset_fills_in_need_not_have_an_effect() {
    let preset = crate::distributors::digikey::account("id", "s").name("acme");
    assert!(preset.settings.authorization_url.is_some());
    refused(preset, None, "the preset");
    let preset = crate::distributors::digikey::account("id", "s").name("acme");
    let told = preset.authorization_url("https://login.example/a");
    refused(told, Some("authorization_url"), "by the user");
}
