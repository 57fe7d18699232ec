use std::time::Duration;

use super::*;
use crate::account::Settings;
use crate::auth::Grant;
use crate::auth::oauth::grant::GrantKind;
use crate::rate_limit::{ResetUnit, Window};

fn settings(json: &str) -> Settings {
    let value: Value = serde_json::from_str(json).expect(json);
    let table = value.into_table().expect("a table");
    let (builder, problems) = read("acme", table, &Shared::default());
    assert!(problems.is_empty(), "{problems}");
    builder.settings
}

fn secrets(given: &[(String, crate::Secret)]) -> Vec<(&str, String)> {
    let value = |secret: &crate::Secret| secret.read().expect("readable").to_string();
    given
        .iter()
        .map(|(name, secret)| (name.as_str(), value(secret)))
        .collect()
}

#[test]
fn the_keys_of_places_and_credentials_reach_their_settings() {
    let settings = settings(
        r#"{
        "base_url": "https://a.example", "environment": "sandbox",
        "origins": ["https://b.example"], "headers": {"X-H": "h"},
        "client_id": "id", "client_secret": "cs", "client_auth": "basic-raw",
        "grant": "refresh_token", "refresh_token": "rt",
        "token_url": "t", "scope": "s", "scope_on_refresh": true, "pkce": false,
        "refresh_token_grace": "10s", "orphan_patience": "5min",
        "token_rules": [{"status": 422, "body": ["dead"], "verdict": "grant-rejected"},
            {"status": 400, "headers": {"X-E": "busy"}, "verdict": "unavailable"}],
        "token_headers": {"X-T": "th"},
        "token_fields": {"audience": "au"}, "token_store": "memory",
        "token_windows": ["2/s", "200/15min"], "keep_warm": true,
        "refresh_lead": "30s", "fallback_lifetime": "10min"
        }"#,
    );
    assert_eq!(settings.name, "acme");
    assert_eq!(settings.base_url, "https://a.example");
    assert_eq!(settings.environment, Environment::Sandbox);
    assert_eq!(settings.origins, ["https://b.example"]);
    assert_eq!(secrets(&settings.headers), [("X-H", "h".to_owned())]);
    assert_eq!(settings.client_id.as_deref(), Some("id"));
    let secret = settings
        .client_secret
        .expect("a secret")
        .read()
        .expect("readable");
    assert_eq!(secret.as_str(), "cs");
    assert_eq!(settings.client_auth, ClientAuth::BasicRaw);
    let Some(Grant(GrantKind::RefreshToken { initial })) = settings.grant else {
        panic!("another grant");
    };
    assert_eq!(initial.read().expect("readable").as_str(), "rt");
    assert_eq!(settings.token_url.as_deref(), Some("t"));
    assert_eq!(settings.scope.as_deref(), Some("s"));
    assert!(settings.scope_on_refresh);
    assert!(!settings.pkce);
    assert_eq!(settings.terms.grace, Some(Duration::from_secs(10)));
    assert_eq!(settings.terms.patience, Duration::from_secs(300));
    let rules = [
        Rule::new(422, Verdict::GrantRejected).body("dead"),
        Rule::new(400, Verdict::Unavailable).header("X-E", "busy"),
    ];
    assert_eq!(settings.token_rules, rules);
    assert_eq!(secrets(&settings.token_headers), [("X-T", "th".to_owned())]);
    assert_eq!(
        secrets(&settings.token_fields),
        [("audience", "au".to_owned())]
    );
    assert!(settings.token_store.is_some());
    let quarter = Duration::from_secs(15 * 60);
    let windows = [Window::per_second(2), Window::new(200, quarter)];
    assert_eq!(settings.token_windows, windows);
    assert!(settings.keep_warm);
    assert_eq!(settings.refresh_lead, Duration::from_secs(30));
    assert_eq!(settings.fallback_lifetime, Some(Duration::from_secs(600)));
}

#[test]
fn the_keys_of_limits_and_refusals_reach_their_settings() {
    let settings = settings(
        r#"{
        "base_url": "https://a.example",
        "windows": ["10/s", {"rate": "5/day", "limit_header": "l", "remaining_header": "m",
            "reset_header": "r", "reset_time_header": "t", "reset_unit": "unix-milliseconds",
            "follow_raises": true}],
        "quotas": [{"name": "q", "paths": ["/a", "/b"], "windows": ["1/min"]}],
        "max_replays": 1, "max_in_flight": 2, "max_queue": 3,
        "max_wait": "0s", "timeout": "4s", "unanswered_after": "5s", "priority": "low",
        "rejection_statuses": [403], "not_the_token": ["no"], "replay_unauthorized": false,
        "request_id_header": ["X-Id", "X-Trace"]
        }"#,
    );
    let day = Window::per_day(5)
        .limit_header("l")
        .remaining_header("m")
        .reset_header("r")
        .reset_time_header("t")
        .reset_unit(ResetUnit::UnixMilliseconds)
        .follow_raises(true);
    assert_eq!(settings.windows, [Window::per_second(10), day]);
    let quota = Quota::new("q")
        .path("/a")
        .path("/b")
        .window(Window::per_minute(1));
    assert_eq!(settings.quotas, [quota]);
    assert_eq!(settings.max_replays, 1);
    assert_eq!(settings.max_in_flight, Some(2));
    assert_eq!(settings.max_queue, Some(3));
    assert_eq!(settings.options.max_wait, Some(Duration::ZERO));
    assert_eq!(settings.options.timeout, Some(Duration::from_secs(4)));
    assert_eq!(settings.options.priority, Some(Priority::Low));
    assert_eq!(settings.unanswered_after, Duration::from_secs(5));
    assert_eq!(
        settings.rejection_statuses,
        [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN]
    );
    assert_eq!(settings.not_the_token, ["no"]);
    assert!(!settings.replay_unauthorized);
    assert_eq!(settings.request_id_headers, ["X-Id", "X-Trace"]);
}

#[test]
fn a_quota_named_default_takes_the_place_of_a_presets_windows() {
    let settings = settings(
        r#"{"distributor": "digikey", "client_id": "i", "client_secret": "s",
        "windows": ["7/s"], "quotas": [{"name": "default", "windows": ["9/h"]}]}"#,
    );
    assert_eq!(settings.windows, [Window::per_second(7)]);
}

#[test]
fn what_the_program_gives_reaches_every_account_and_a_store_of_its_own_goes_first() {
    let shared = Shared {
        quota_store: None,
        observers: vec![std::sync::Arc::new(|_: &str, _: &crate::Event| {})],
        clock: Some(std::sync::Arc::new(crate::SystemClock)),
        token_client: Some(reqwest::Client::new()),
        token_store: Some(stores::token_store(text("memory")).expect("known")),
    };
    let own = |json: &str| {
        let value: Value = serde_json::from_str(json).expect(json);
        read("a", value.into_table().expect("a table"), &shared)
            .0
            .settings
    };
    let is_shared = |settings: &Settings| {
        let store = settings.token_store.as_ref().expect("a store");
        std::sync::Arc::ptr_eq(store, shared.token_store.as_ref().expect("a store"))
    };
    let plain = own(r#"{"base_url": "https://a.example"}"#);
    assert_eq!(plain.observers.len(), 1);
    assert!(plain.clock.is_some());
    assert!(plain.token_client.is_some());
    assert!(is_shared(&plain));
    assert!(!is_shared(&own(
        r#"{"base_url": "https://a.example", "token_store": "memory"}"#
    )));
}

fn text(text: &str) -> Value {
    serde_json::from_value(serde_json::Value::from(text)).expect("any tree is taken")
}
