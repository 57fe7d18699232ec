use super::*;
use crate::account::Environment;
use crate::account::check::problems::Problems;
use crate::account::check::{quotas, urls};
use crate::phrase::{Folded, folded};

const OLD_EXPIRED: &str = r#"{"ErrorResponseVersion":"3.0.0.0","StatusCode":401,
    "ErrorMessage":"Bearer token  expired","ErrorDetails":"...","RequestId":"r-1",
    "ValidationErrors":[]}"#;
const NEW_EXPIRED: &str = r#"{"type":"about:blank","title":"Unauthorized","status":401,
    "detail":"Bearer token is expired. Please use your refresh token to obtain a new Bearer token, or acquire a new set of tokens from the OAuth endpoint.",
    "instance":"/products/v4/search/keyword","correlationId":"r-2","errors":{}}"#;
const INVALID_CLIENT: &str = r#"{"ErrorResponseVersion":"3.0.0.0","StatusCode":401,
    "ErrorMessage":"Invalid clientId","ErrorDetails":"X-DIGIKEY-Client-Id invalid for requested resource",
    "RequestId":"r-3","ValidationErrors":[]}"#;

fn variables(set: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
    |name| {
        set.iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| (*value).to_owned())
    }
}

fn is_not_the_token(body: &str) -> bool {
    let phrases = builder().settings.not_the_token;
    phrases
        .iter()
        .any(|phrase| Folded::new(body).contains(&folded(phrase)))
}

#[test]
fn an_expired_token_is_the_token_in_both_shapes() {
    assert!(!is_not_the_token(OLD_EXPIRED));
    assert!(!is_not_the_token(NEW_EXPIRED));
    assert!(!is_not_the_token("The Bearer token is invalid"));
}

#[test]
fn an_expired_token_is_certain_and_a_wrong_app_is_not() {
    use crate::response_rules::{RuleTarget, Rules};
    let rules = Rules::new(&builder().settings.rules, RuleTarget::Api).expect("good rules");
    let none = http::HeaderMap::new();
    let verdict =
        |body: &str| rules.verdict(http::StatusCode::UNAUTHORIZED, &none, Some(body.as_bytes()));
    for body in [OLD_EXPIRED, NEW_EXPIRED, "The Bearer token is invalid"] {
        assert_eq!(verdict(body), Some(Verdict::TokenRejected), "{body}");
    }
    assert_eq!(verdict(INVALID_CLIENT), None);
}

#[test]
fn a_wrong_app_or_a_missing_subscription_is_not_the_token() {
    assert!(is_not_the_token(INVALID_CLIENT));
    assert!(is_not_the_token(
        "X-DIGIKEY-Client-Id invalid for requested resource"
    ));
    for words in [
        "You are not subscribed to this API.",
        "401 Invalid Client-Id. You are not subscribed to this API",
        "Invalid Client-Id",
        "invalid clientid",
    ] {
        assert!(is_not_the_token(words), "{words}");
    }
}

#[test]
fn the_error_body_reads_both_shapes() {
    let old: ErrorBody = serde_json::from_str(OLD_EXPIRED).expect("old");
    assert_eq!(old.status, Some(401));
    assert_eq!(old.message.as_deref(), Some("Bearer token  expired"));
    assert_eq!(old.request_id.as_deref(), Some("r-1"));
    let new: ErrorBody = serde_json::from_str(NEW_EXPIRED).expect("new");
    assert_eq!(new.status, Some(401));
    assert_eq!(new.message.as_deref(), Some("Unauthorized"));
    assert!(
        new.details
            .expect("details")
            .starts_with("Bearer token is expired.")
    );
    assert_eq!(new.request_id.as_deref(), Some("r-2"));
}

#[test]
fn the_error_body_reads_lower_camel_case_and_what_is_invalid() {
    for body in [
        r#"{"errorResponseVersion":"1.0","statusCode":400,"errorMessage":"Bad request",
            "errorDetails":"see below","requestId":"r-4",
            "validationErrors":[{"field":"Quantity","message":"must be positive"}]}"#,
        r#"{"ErrorResponseVersion":"1.0","StatusCode":400,"ErrorMessage":"Bad request",
            "ErrorDetails":"see below","RequestId":"r-4",
            "ValidationErrors":[{"Field":"Quantity","Message":"must be positive"}]}"#,
    ] {
        let body: ErrorBody = serde_json::from_str(body).expect("an error");
        let expected = ErrorBody {
            version: Some("1.0".to_owned()),
            status: Some(400),
            message: Some("Bad request".to_owned()),
            details: Some("see below".to_owned()),
            request_id: Some("r-4".to_owned()),
            validation_errors: vec![ValidationError {
                field: Some("Quantity".to_owned()),
                message: Some("must be positive".to_owned()),
            }],
        };
        assert_eq!(body, expected);
    }
    let notice: ErrorBody =
        serde_json::from_str(r#"{"message":"Daily limit","correlationId":"c-1","title":null}"#)
            .expect("an error");
    assert_eq!(notice.message.as_deref(), Some("Daily limit"));
    assert_eq!(notice.request_id.as_deref(), Some("c-1"));
    let traced: ErrorBody = serde_json::from_str(
        r#"{"title":"Bad","traceId":"t-1","status":"400","errors":{"a":["b"]}}"#,
    )
    .expect("an error");
    assert_eq!(traced.request_id.as_deref(), Some("t-1"));
    assert_eq!(traced.status, None, "no number");
}

#[test]
fn the_preset_builds_and_its_environment_switches_the_host() {
    let production = account("id", "secret").build().expect("production");
    assert_eq!(production.base_url().as_str(), "https://api.digikey.com/");
    assert_eq!(production.name(), "digikey");
    let sandbox = account("id", "secret")
        .environment(Environment::Sandbox)
        .build();
    let sandbox = sandbox.expect("sandbox");
    assert_eq!(
        sandbox.base_url().as_str(),
        "https://sandbox-api.digikey.com/"
    );
    let own = account("id", "secret").environment(Environment::Sandbox);
    let own = own.base_url("http://127.0.0.1:1").build().expect("own");
    assert_eq!(own.base_url().as_str(), "http://127.0.0.1:1/");
}

#[test]
fn the_token_url_moves_along_with_the_base_url() {
    let token_url = |builder: AccountBuilder| {
        let mut problems = Problems::default();
        let base_url = urls::base(&builder.settings, &mut problems);
        let text = builder.settings.token_url.unwrap_or_default();
        urls::token(&text, base_url.as_ref(), &mut problems).map(String::from)
    };
    for (builder, expected) in [
        (
            account("id", "s"),
            "https://api.digikey.com/v1/oauth2/token",
        ),
        (
            account("id", "s").environment(Environment::Sandbox),
            "https://sandbox-api.digikey.com/v1/oauth2/token",
        ),
        (
            account("id", "s").base_url("http://127.0.0.1:9"),
            "http://127.0.0.1:9/v1/oauth2/token",
        ),
    ] {
        assert_eq!(token_url(builder).as_deref(), Some(expected));
    }
}

#[test]
fn an_overridden_minute_holds_for_the_products_that_share_it() {
    let builder = account("id", "secret").window(Window::per_minute(60));
    let quotas = quotas::quotas(&builder.settings, &mut Problems::default());
    let windows = |name: &str| {
        let quota = quotas.iter().find(|quota| quota.name == name).expect(name);
        quota
            .windows
            .iter()
            .map(Window::to_string)
            .collect::<Vec<_>>()
    };
    let shared = PRODUCTS_WITH_DEFAULT_WINDOWS.map(|(name, _)| name);
    for name in shared.into_iter().chain([Quota::DEFAULT]) {
        assert_eq!(windows(name), ["60/min", "1000/utc-day"], "{name}");
    }
    assert_eq!(windows(CHANGE_NOTICES), ["120/min", "30/utc-day"]);
    assert_eq!(windows(QUOTING), ["10/min"]);
    assert_eq!(windows(ORDERING), ["10/min"]);
    assert_eq!(windows(BATCH), ["10/min", "50/utc-day"]);
}

#[test]
fn an_overridden_window_is_still_reported_by_the_vendors_headers() {
    let builder = account("id", "secret").window(Window::per_minute(60));
    let quotas = quotas::quotas(&builder.settings, &mut Problems::default());
    for quota in &quotas[..2] {
        assert_eq!(quota.windows[0].headers, minute(60).headers);
    }
}

#[test]
fn from_env_lists_every_missing_variable() {
    let missing = PRESET.built_from(variables(&[("DIGIKEY_CLIENT_SANDBOX", "maybe")]));
    let error = missing.err().expect("nothing is set").to_string();
    for expected in [
        "DIGIKEY_CLIENT_ID: the environment variable is not set",
        "DIGIKEY_CLIENT_SECRET: the environment variable is not set",
        "DIGIKEY_CLIENT_SANDBOX: found \"maybe\"; expected True or False",
    ] {
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn from_env_chooses_the_environment_and_keeps_the_secret_a_reference() {
    let set = &[
        ("DIGIKEY_CLIENT_ID", "id"),
        ("DIGIKEY_CLIENT_SECRET", "canary"),
        ("DIGIKEY_CLIENT_SANDBOX", "True"),
    ];
    let builder = PRESET.built_from(variables(set)).expect("all is set");
    assert_eq!(builder.settings.environment, Environment::Sandbox);
    assert_eq!(builder.settings.client_id.as_deref(), Some("id"));
    assert!(
        builder
            .settings
            .client_secret
            .expect("a secret")
            .is_reference()
    );
}
