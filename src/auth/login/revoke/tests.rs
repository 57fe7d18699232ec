use super::*;
use crate::account::Account;
use crate::auth::Grant;
use crate::auth::cache::Cache;
use crate::auth::cache::state::Need;
use crate::auth::testing::*;
use crate::error::ErrorKind;
use crate::stores::MemoryStore;
use httpmock::prelude::*;

fn cache(grant: Grant, script: &Script) -> Cache {
    let settings = settings(None, &Log::default());
    let oauth = with_store(grant, MemoryStore::new());
    Cache::new(&settings, Arc::new(oauth), Box::new(script.clone()))
}

async fn token(cache: &Cache) -> Result<String, Error> {
    match cache.ready(clock().now()) {
        Some(token) => Ok(token.secret().to_owned()),
        None => {
            let token = cache.token(Need::Usable, PATIENT).await?;
            Ok(token.secret().to_owned())
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_revoked_refresh_token_is_forgotten_and_a_login_asked_for() {
    let revoked = Act::Answer(200, String::new());
    let script = Script::of([rotate("a1", "r1"), revoked, refuse(400, "invalid_grant")]);
    let cache = cache(Grant::refresh_token("r0"), &script);
    assert_eq!(token(&cache).await.expect("a token"), "a1");
    cache.revoke().await.expect("revoked");
    let error = token(&cache).await.expect_err("nothing is left");
    assert_eq!(error.kind(), ErrorKind::LoginRequired);
    assert_eq!(script.presented(), ["r0", "r1", "r0"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_refresh_token_the_access_token_is_revoked_and_replaced() {
    let script = Script::of([issue("a1"), Act::Answer(200, String::new()), issue("a2")]);
    let cache = cache(Grant::client_credentials(), &script);
    cache.revoke().await.expect("there was nothing to revoke");
    assert_eq!(script.requests(), 0);
    token(&cache).await.expect("a token");
    cache.revoke().await.expect("revoked");
    assert_eq!(token(&cache).await.expect("a token"), "a2");
    assert_eq!(script.presented(), ["", "a1", ""]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_revocation_changes_nothing() {
    let acts = [
        (refuse(503, "x"), Recovery::Retry),
        (Act::Lost, Recovery::Retry),
    ];
    let wrong = (refuse(401, "invalid_client"), Recovery::Reconfigure);
    for (act, recovery) in acts.into_iter().chain([wrong]) {
        let script = Script::of([rotate("a1", "r1"), act, rotate("a2", "r2")]);
        let cache = cache(Grant::refresh_token("r0"), &script);
        token(&cache).await.expect("a token");
        let error = cache.revoke().await.expect_err("not revoked");
        assert_eq!(error.recovery(), recovery);
        assert_eq!(token(&cache).await.expect("a token"), "a1");
        clock().sleep(590 * SECOND).await;
        assert_eq!(token(&cache).await.expect("a token"), "a2");
        assert_eq!(script.presented(), ["r0", "r1", "r1"]);
    }
}

#[tokio::test]
async fn the_request_names_the_token_its_kind_and_the_client() {
    let server = MockServer::start();
    server.mock(|when, then| {
        when.path("/token");
        then.status(200)
            .body(r#"{"access_token":"a1","expires_in":600}"#);
    });
    let revocation = server.mock(|when, then| {
        when.path("/revoke")
            .header_exists("authorization")
            .body("token=a1&token_type_hint=access_token");
        then.status(200);
    });
    let builder = Account::builder("acme", server.base_url())
        .token_url("token")
        .client_id("my id")
        .client_secret("s3cr3t");
    let without = builder.build().expect("an account");
    without.warm_up().await.expect("a token");
    let error = without.revoke().await.expect_err("no place to revoke it");
    assert_eq!(error.kind(), ErrorKind::Config);
    let builder = Account::builder("acme", server.base_url())
        .token_url("token")
        .revocation_url("revoke")
        .client_id("my id")
        .client_secret("s3cr3t");
    let account = builder.build().expect("an account");
    account.warm_up().await.expect("a token");
    account.revoke().await.expect("revoked");
    revocation.assert_calls(1);
}
