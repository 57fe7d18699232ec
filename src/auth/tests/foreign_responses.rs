//! Answers that are not the token endpoint's own, and what becomes of an account after them.

use std::sync::Arc;
use std::time::Duration;

use crate::auth::cache::Cache;
use crate::auth::cache::state::Need;
use crate::auth::oauth::response::LONGEST_BODY;
use crate::auth::testing::*;
use crate::auth::{Grant, OAuthSettings};
use crate::error::{Error, ErrorKind, Recovery};

fn cache(oauth: OAuthSettings, script: &Script) -> Cache {
    let settings = settings(None, &Log::default());
    Cache::new(&settings, Arc::new(oauth), Box::new(script.clone()))
}

fn grants() -> [OAuthSettings; 2] {
    [
        oauth(Grant::client_credentials()),
        with_store(Grant::refresh_token("r1"), crate::MemoryStore::new()),
    ]
}

async fn token(cache: &Cache) -> Result<(), Error> {
    cache.token(Need::Usable, IMPATIENT).await.map(|_| ())
}

/// Latched for a minute and more, once: the gateway was well again after a second.
#[tokio::test(start_paused = true)]
async fn after_a_gateways_refusal_the_next_attempt_follows_within_a_back_off() {
    let pages = [
        (403, "<html>Access denied</html>"),
        (404, ""),
        (405, ""),
        (407, "proxy"),
        (421, ""),
        (451, "<html>blocked</html>"),
        (400, "<html>bad request</html>"),
        (401, "<html>sign in to the network</html>"),
    ];
    for (status, page) in pages {
        for oauth in grants() {
            let act = || Act::Answer(status, page.to_owned());
            let script = Script::of([act(), act()]);
            let cache = cache(oauth, &script);
            for _ in 0..2 {
                let error = token(&cache).await.expect_err("refused");
                assert_eq!(error.kind(), ErrorKind::TokenEndpoint, "{status}: {error}");
                assert!(
                    matches!(error.recovery(), Recovery::WaitUntil(_)),
                    "{error}"
                );
                assert_eq!(error.status().map(|s| s.as_u16()), Some(status));
                assert!(
                    error.to_string().contains("https://login.example/token"),
                    "{error}"
                );
                clock().sleep(Duration::from_secs(2)).await;
            }
            token(&cache).await.expect("the gateway is well again");
            assert_eq!(script.requests(), 3);
        }
    }
}

/// A status that came is not lost with the page that came along.
#[tokio::test(start_paused = true)]
async fn a_failing_servers_huge_page_is_an_answer_and_forbids_nothing() {
    for status in [500, 503, 400] {
        for oauth in grants() {
            let page = format!("<html>{}", "x".repeat(LONGEST_BODY));
            let act = || Act::Answer(status, page.clone());
            let script = Script::of([act(), act(), act()]);
            let cache = cache(oauth, &script);
            for attempt in 1..=3 {
                let error = token(&cache).await.expect_err("refused");
                assert_ne!(error.kind(), ErrorKind::LoginRequired, "{error}");
                assert_eq!(script.requests(), attempt, "not repeated at once");
                clock().sleep(Duration::from_secs(10)).await;
            }
            token(&cache).await.expect("a token");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_request_id_of_a_refusal_reaches_the_error() {
    let body = r#"{"ErrorMessage":"no","RequestId":"7f1c"}"#.to_owned();
    let script = Script::of([Act::Answer(400, body)]);
    let cache = cache(oauth(Grant::client_credentials()), &script);
    let error = token(&cache).await.expect_err("refused");
    assert_eq!(error.request_id(), Some("7f1c"));
    let text = error.to_string();
    assert!(
        text.contains("(request id 7f1c)") && text.contains(": no"),
        "{text}"
    );
    assert_eq!(text.matches("400").count(), 1, "{text}");
}

/// A proof is missing, so nothing is sent; every other name is Bearer by another spelling.
#[tokio::test(start_paused = true)]
async fn a_token_of_an_unusual_type_is_used() {
    let issue = |kind: &str| {
        let body = format!(r#"{{"access_token":"a","token_type":"{kind}","expires_in":600}}"#);
        Script::of([Act::Answer(200, body)])
    };
    let cache = |kind| cache(oauth(Grant::client_credentials()), &issue(kind));
    token(&cache("Application Access Token"))
        .await
        .expect("a token");
    let error = token(&cache("DPoP")).await.expect_err("a proof is needed");
    assert_eq!(error.recovery(), Recovery::Reconfigure);
    assert!(error.to_string().contains("DPoP"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_is_refused_by_its_name_asks_for_a_login_and_is_tried_again_slowly() {
    let script = Script::of([refuse(400, "expired_token"), refuse(400, "expired_token")]);
    let [_, oauth] = grants();
    let cache = cache(oauth, &script);
    let error = token(&cache).await.expect_err("refused");
    assert_eq!(error.recovery(), Recovery::LogIn);
    assert!(error.to_string().contains("expired_token"), "{error}");
    clock().sleep(Duration::from_secs(30)).await;
    token(&cache).await.expect_err("not yet");
    assert_eq!(script.requests(), 1);
    clock().sleep(Duration::from_secs(40)).await;
    token(&cache).await.expect_err("refused again");
    assert_eq!(script.requests(), 2);
    clock().sleep(Duration::from_secs(125)).await;
    token(&cache).await.expect("it was the server's mistake");
}
