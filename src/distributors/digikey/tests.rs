use super::*;
use crate::account::build::folded;

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
        .any(|phrase| folded(body).contains(&folded(phrase)))
}

#[test]
fn an_expired_token_is_the_token_in_both_shapes() {
    assert!(!is_not_the_token(OLD_EXPIRED));
    assert!(!is_not_the_token(NEW_EXPIRED));
    assert!(!is_not_the_token("The Bearer token is invalid"));
}

#[test]
fn a_wrong_app_or_a_missing_subscription_is_not_the_token() {
    assert!(is_not_the_token(INVALID_CLIENT));
    assert!(is_not_the_token(
        "X-DIGIKEY-Client-Id invalid for requested resource"
    ));
    assert!(is_not_the_token("You are not subscribed to this API."));
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
fn from_env_lists_every_missing_variable() {
    let missing = from_variables(variables(&[("DIGIKEY_CLIENT_SANDBOX", "maybe")]));
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
    let builder = from_variables(variables(set)).expect("all is set");
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
