use super::*;
use crate::account::Account;
use crate::auth::cache::Cache;
use crate::auth::cache::state::Need;
use crate::auth::oauth::jwt::signature::{self, Algorithm};
use crate::auth::testing::*;
use crate::auth::{Grant, JwtBearer};
use crate::error::{Error, Recovery};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use httpmock::prelude::*;
use serde_json::Value;
use std::sync::Arc;

const KEY: &str = "a shared secret";

fn cache(grant: Grant, script: &Script) -> Cache {
    let settings = settings(None, &Log::default());
    let mut oauth = oauth(grant);
    oauth.refresh_lead = Duration::from_secs(60);
    Cache::new(&settings, Arc::new(oauth), Box::new(script.clone()))
}

fn bearer() -> Grant {
    Grant::jwt_bearer(JwtBearer::hs256("me@example", KEY).key_id("k1"))
}

async fn token(cache: &Cache) -> Result<String, Error> {
    let token = cache.token(Need::Usable, IMPATIENT).await?;
    Ok(token.secret().to_owned())
}

fn issue_for_an_hour(access_token: &str) -> Act {
    let body = format!(r#"{{"access_token":"{access_token}","expires_in":3600}}"#);
    Act::Answer(200, body)
}

/// A refusal by a server whose clock is so far ahead of ours when it answers.
fn refuse_ahead(seconds: i64) -> Act {
    let body = r#"{"error":"invalid_grant"}"#.to_owned();
    Act::AnswerAhead(400, body, seconds)
}

fn claims(assertion: &str) -> Value {
    let part = assertion.split('.').nth(1).expect("claims");
    let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64");
    serde_json::from_slice(&bytes).expect("json")
}

fn issued_at(assertion: &str) -> i64 {
    claims(assertion)["iat"].as_i64().expect("iat")
}

fn now() -> i64 {
    apart(clock().now().wall, SystemTime::UNIX_EPOCH)
}

/// The refresh routine of `sources/001`: an hour's token, renewed a minute before it ends.
#[tokio::test(start_paused = true)]
async fn each_token_request_has_a_fresh_assertion_and_the_lead_is_kept() {
    let script = Script::of([issue_for_an_hour("t1"), issue_for_an_hour("t2")]);
    let cache = cache(bearer(), &script);
    assert_eq!(token(&cache).await.expect("a token"), "t1");
    clock().sleep(Duration::from_secs(3_500)).await;
    assert!(cache.ready(clock().now()).is_some());
    clock().sleep(SECOND).await;
    assert_eq!(script.requests(), 1, "more than the lead is left");

    clock().sleep(Duration::from_secs(40)).await;
    assert!(cache.ready(clock().now()).is_some(), "stale, and in use");
    clock().sleep(Duration::from_secs(2)).await;
    assert_eq!(token(&cache).await.expect("a token"), "t2");
    let presented = script.presented();
    let (first, second) = (claims(&presented[0]), claims(&presented[1]));
    assert_ne!(first["jti"], second["jti"]);
    assert_eq!(issued_at(&presented[1]) - issued_at(&presented[0]), 3_542);
    assert_eq!(first["aud"], "https://login.example/token");
}

#[tokio::test(start_paused = true)]
async fn a_refused_assertion_follows_the_servers_clock_if_ours_is_off() {
    for ahead in [600, -600] {
        let script = Script::of([refuse_ahead(ahead)]);
        let cache = cache(bearer(), &script);
        let begin = now();
        assert_eq!(token(&cache).await.expect("a token"), "t2");
        let presented = script.presented();
        assert_eq!(presented.len(), 2, "in one flight");
        assert_eq!(issued_at(&presented[0]), begin);
        // A request takes a second, and a `Date` knows no fractions.
        let off = issued_at(&presented[1]) - (begin + 1 + ahead);
        assert!((-1..=0).contains(&off), "{off}");

        clock().sleep(Duration::from_secs(590)).await;
        token(&cache).await.expect("a token");
        let off = issued_at(&script.presented()[2]) - (begin + 592 + ahead);
        assert!((-1..=0).contains(&off), "{off}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_assertion_is_not_repeated_if_the_clocks_agree() {
    for act in [
        refuse_ahead(59),
        refuse_ahead(-59),
        refuse(400, "invalid_grant"),
    ] {
        let script = Script::of([act]);
        let cache = cache(bearer(), &script);
        let error = token(&cache).await.expect_err("refused");
        assert_eq!(error.recovery(), Recovery::Reconfigure);
        assert_eq!(script.requests(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_whatever_the_clock_says_is_asked_twice() {
    let script = Script::of([refuse_ahead(600), refuse_ahead(600)]);
    let cache = cache(bearer(), &script);
    token(&cache).await.expect_err("refused");
    assert_eq!(script.requests(), 2);
}

/// A `Date` may be wrong itself; what is signed by it would be good for years.
#[tokio::test(start_paused = true)]
async fn a_server_clock_that_is_more_than_an_hour_off_is_not_believed() {
    for ahead in [3_700, -3_700, 365 * 86_400, -365 * 86_400] {
        let script = Script::of([refuse_ahead(ahead)]);
        let cache = cache(bearer(), &script);
        let error = token(&cache).await.expect_err("refused");
        assert_eq!(error.recovery(), Recovery::Reconfigure);
        assert_eq!(script.requests(), 1, "{ahead}");
        // The next one is by our own clock.
        clock().sleep(Duration::from_secs(120)).await;
        let _ = token(&cache).await;
        assert_eq!(issued_at(&script.presented()[1]), now() - 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_followed_clock_is_given_up_as_soon_as_an_assertion_by_it_is_refused() {
    // Both attempts of the first flight, and then it works by our own clock.
    let script = Script::of([refuse_ahead(600), refuse_ahead(600)]);
    let cache = cache(bearer(), &script);
    token(&cache).await.expect_err("refused twice");
    clock().sleep(Duration::from_secs(120)).await;
    token(&cache).await.expect("a token");
    assert_eq!(issued_at(&script.presented()[2]), now() - 1);
}

/// The server's clock was set right: the same flight goes on by ours.
#[tokio::test(start_paused = true)]
async fn a_followed_clock_that_the_server_no_longer_has_is_given_up_at_once() {
    let script = Script::of([refuse_ahead(600), issue("t1"), refuse_ahead(0)]);
    let cache = cache(bearer(), &script);
    assert_eq!(token(&cache).await.expect("a token"), "t1");
    clock().sleep(Duration::from_secs(590)).await;
    token(&cache).await.expect("a token");
    let presented = script.presented();
    assert_eq!(presented.len(), 4);
    let off = issued_at(&presented[2]) - (now() - 2 + 600);
    assert!((-1..=0).contains(&off), "{off}");
    assert_eq!(issued_at(&presented[3]), now() - 1);
}

/// A gateway in between that is wrong about the time too.
#[tokio::test(start_paused = true)]
async fn a_refusal_that_is_not_the_servers_sets_no_clock() {
    let page = Act::AnswerAhead(403, "<html>blocked</html>".to_owned(), 600);
    let script = Script::of([page]);
    let cache = cache(bearer(), &script);
    token(&cache).await.expect_err("blocked");
    assert_eq!(script.requests(), 1);
    clock().sleep(Duration::from_secs(5)).await;
    token(&cache).await.expect("a token");
    assert_eq!(issued_at(&script.presented()[1]), now() - 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_gone_is_named_and_nothing_sent() {
    let place = std::env::temp_dir().join("tollgate-no-such-key");
    let bearer = JwtBearer::hs256("me", crate::secret::Secret::file(place));
    let script = Script::default();
    let cache = cache(Grant::jwt_bearer(bearer), &script);
    let error = token(&cache).await.expect_err("no key");
    assert!(
        error.to_string().contains("tollgate-no-such-key"),
        "{error}"
    );
    assert_eq!(error.recovery(), Recovery::Reconfigure);
    assert_eq!(script.requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_password_is_presented_anew_for_each_token() {
    let script = Script::of([rotate("a1", "r1"), rotate("a2", "r2")]);
    let cache = cache(Grant::password("anne", "hunter2"), &script);
    assert_eq!(token(&cache).await.expect("a token"), "a1");
    clock().sleep(Duration::from_secs(590)).await;
    assert_eq!(token(&cache).await.expect("a token"), "a2");
    assert_eq!(script.presented(), ["hunter2", "hunter2"]);
}

#[tokio::test]
async fn a_service_account_needs_no_client_and_its_assertion_verifies() {
    let server = MockServer::start();
    let is_signed = |request: &httpmock::HttpMockRequest| {
        let form = url::form_urlencoded::parse(request.body_ref()).into_owned();
        let form: Vec<(String, String)> = form.collect();
        let [(_, grant), (name, assertion)] = &form[..] else {
            return false;
        };
        let (input, signature) = assertion.rsplit_once('.').expect("a signature");
        let expected = signature::sign(Algorithm::Hs256, KEY, input.as_bytes());
        grant == "urn:ietf:params:oauth:grant-type:jwt-bearer"
            && name == "assertion"
            && signature == URL_SAFE_NO_PAD.encode(expected.expect("a key"))
            && claims(assertion)["iss"] == "me@example"
    };
    let mock = server.mock(|when, then| {
        when.path("/oauth2/token")
            .header_missing("authorization")
            .is_true(is_signed);
        then.status(200)
            .body(r#"{"access_token":"t1","token_type":"bearer","expires_in":3600}"#);
    });
    let account = Account::builder("sensors", server.base_url())
        .token_url("oauth2/token")
        .grant(bearer())
        .refresh_lead(Duration::from_secs(60))
        .build()
        .expect("an account");
    account.warm_up().await.expect("a token");
    let token = account.token().await.expect("a token");
    assert_eq!(token.expose(), "t1");
    assert!(token.expires_at().is_some());
    assert!(!format!("{token:?}").contains("t1"));
    mock.assert_calls(1);
}

#[tokio::test]
async fn a_password_goes_with_the_client_and_the_scope() {
    let server = MockServer::start();
    let mock = server.mock(|when, then| {
        when.path("/token")
            .form_urlencoded_tuple("grant_type", "password")
            .form_urlencoded_tuple("username", "anne")
            .form_urlencoded_tuple("password", "p w+1")
            .form_urlencoded_tuple("scope", "all")
            .form_urlencoded_tuple("client_id", "my id");
        then.status(400)
            .body(r#"{"error":"invalid_grant","error_description":"not p w+1"}"#);
    });
    let account = Account::builder("acme", server.base_url())
        .token_url("token")
        .client_id("my id")
        .scope("all")
        .grant(Grant::password("anne", "p w+1"))
        .build()
        .expect("an account");
    let error = account.warm_up().await.expect_err("refused");
    assert_eq!(error.recovery(), Recovery::Reconfigure);
    assert!(error.to_string().contains("not ***"), "{error}");
    mock.assert_calls(1);
}
