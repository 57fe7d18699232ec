//! Tokens, and who gets them.

use std::time::Duration;

use reqwest::{Client, Response, StatusCode};
use reqwest_tollgate::sandbox::Sandbox;
use serde_json::Value;

use crate::{Form, Scene, ask, client_credentials, header, issued, refresh, text};

#[tokio::test]
async fn a_spent_refresh_token_ends_its_family_and_no_other() {
    let scene = Scene::new(Sandbox::builder()).await;
    let first = scene.sandbox.refresh_token();
    let other = scene.sandbox.refresh_token();

    let (status, body) = scene.refresh(&first).await;
    assert_eq!(status, 200);
    let second = text(&body, "refresh_token");
    assert_ne!(second, first);

    let (status, body) = scene.refresh(&first).await;
    assert_eq!((status, &body["error"]), (400, &"invalid_grant".into()));
    let (status, body) = scene.refresh(&second).await;
    assert_eq!((status, &body["error"]), (400, &"invalid_grant".into()));
    assert_eq!(scene.refresh(&other).await.0, 200);

    let counters = scene.sandbox.counters();
    assert_eq!(counters.families_revoked, 1);
    assert_eq!(counters.rotations, 2);
    assert_eq!(counters.token_requests, 5);
    assert_eq!(counters.tokens_issued, 3);
}

#[tokio::test]
async fn within_the_grace_a_spent_refresh_token_is_taken_once_more() {
    let scene = Scene::new(Sandbox::builder().grace(Duration::from_secs(60))).await;
    let first = scene.sandbox.refresh_token();
    assert_eq!(scene.refresh(&first).await.0, 200);
    assert_eq!(scene.refresh(&first).await.0, 200);
    assert_eq!(scene.sandbox.counters().families_revoked, 0);
}

#[tokio::test]
async fn without_rotation_no_new_refresh_token_is_sent() {
    let scene = Scene::new(Sandbox::builder().rotation(false)).await;
    let token = scene.sandbox.refresh_token();
    for _ in 0..2 {
        let (status, body) = scene.refresh(&token).await;
        assert_eq!(status, 200);
        assert!(body.get("refresh_token").is_none());
    }
    assert_eq!(scene.sandbox.counters().rotations, 0);
}

#[tokio::test]
async fn revoked_refresh_tokens_need_a_new_login() {
    let scene = Scene::new(Sandbox::builder()).await;
    let old = scene.sandbox.refresh_token();
    scene.sandbox.revoke_refresh_tokens();
    assert_eq!(scene.refresh(&old).await.0, 400);
    let new = scene.sandbox.refresh_token();
    assert_eq!(scene.refresh(&new).await.0, 200);
}

/// One token request with Basic authentication as it is on the wire.
async fn basic(sandbox: &Sandbox, user: &str, password: &str, form: &Form<'_>) -> Response {
    let request = Client::new().post(sandbox.token_url()).form(form);
    let request = request.basic_auth(user, Some(password));
    request.send().await.expect("an answer")
}

#[tokio::test]
async fn the_client_may_authenticate_in_the_form_or_by_basic_percent_encoded() {
    let builder = Sandbox::builder().client("an id/ä", "a secret:+%");
    let scene = Scene::new(builder).await; // in the form
    let form = client_credentials();

    let encoded = basic(
        &scene.sandbox,
        "an%20id%2F%C3%A4",
        "a%20secret%3A%2B%25",
        &form,
    )
    .await;
    assert_eq!(encoded.status(), StatusCode::OK);

    let wrong = basic(&scene.sandbox, "an%20id%2F%C3%A4", "guess", &form).await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    assert!(wrong.headers().contains_key("www-authenticate"));
    let body: Value = wrong.json().await.expect("JSON");
    assert_eq!(body["error"], "invalid_client");
}

#[tokio::test]
async fn a_wrong_client_spends_no_refresh_token() {
    let scene = Scene::new(Sandbox::builder()).await;
    let token = scene.sandbox.refresh_token();
    let form = refresh(&token);
    let wrong = basic(&scene.sandbox, Sandbox::CLIENT_ID, "guess", &form).await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(scene.refresh(&token).await.0, 200);
    assert_eq!(scene.sandbox.counters().token_refusals, 1);
}

#[tokio::test]
async fn a_request_that_is_no_token_request_is_told_why() {
    let scene = Scene::new(Sandbox::builder()).await;
    let error = |form: Form<'static>| {
        let scene = &scene;
        async move {
            let response = ask(&scene.client, &scene.sandbox, &form).await;
            let body: Value = response.expect("an answer").json().await.expect("JSON");
            text(&body, "error")
        }
    };
    let password = vec![("grant_type", "password")];
    assert_eq!(error(password).await, "unsupported_grant_type");
    assert_eq!(error(vec![]).await, "invalid_request");
    let no_token = vec![("grant_type", "refresh_token")];
    assert_eq!(error(no_token).await, "invalid_request");

    let twice = [
        ("grant_type", "client_credentials"),
        ("client_secret", Sandbox::CLIENT_SECRET),
    ];
    let (id, secret) = (Sandbox::CLIENT_ID, Sandbox::CLIENT_SECRET);
    let both = basic(&scene.sandbox, id, secret, &twice.to_vec()).await;
    assert_eq!(both.status(), StatusCode::BAD_REQUEST);

    let get = scene.client.get(scene.sandbox.token_url()).send().await;
    assert_eq!(get.expect("an answer").status(), 405);
    let json = scene.client.post(scene.sandbox.token_url()).json(&());
    assert_eq!(json.send().await.expect("an answer").status(), 400);
}

#[tokio::test]
async fn expires_in_is_whole_where_it_can_be_and_missing_where_it_should_be() {
    let builder = |millis| Sandbox::builder().token_lifetime(Duration::from_millis(millis));
    for (builder, expected) in [
        (builder(600_000), Some(Value::from(600))),
        (builder(1_500), Some(Value::from(1.5))),
        (builder(1_000).omit_expires_in(true), None),
    ] {
        let sandbox = builder.start().await.expect("it starts");
        let body = issued(&Client::new(), &sandbox).await;
        assert_eq!(body.get("expires_in"), expected.as_ref());
        assert_eq!(body["token_type"], "Bearer");
    }
}

#[tokio::test]
async fn an_expired_token_and_a_revoked_one_are_refused_in_digikeys_words() {
    let lifetime = Duration::from_secs(1);
    let scene = Scene::new(Sandbox::builder().token_lifetime(lifetime)).await;
    assert_eq!(scene.status().await, 200);
    tokio::time::sleep(lifetime).await;

    let expired = scene.get().await;
    assert_eq!(expired.status(), StatusCode::UNAUTHORIZED);
    let id = header(&expired, "x-digikey-request-id").map(str::to_owned);
    let body: Value = expired.json().await.expect("JSON");
    assert_eq!(body["ErrorMessage"], "Bearer token  expired");
    assert_eq!(body["RequestId"].as_str(), id.as_deref());

    scene.sandbox.revoke_tokens();
    let body: Value = scene.get().await.json().await.expect("JSON");
    assert_eq!(body["ErrorMessage"], "The Bearer token is invalid");
    assert_eq!(scene.sandbox.counters().rejected_401, 2);
}

#[tokio::test]
async fn a_token_of_one_sandbox_means_nothing_to_another() {
    let one = Scene::new(Sandbox::builder()).await;
    let mut other = Scene::new(Sandbox::builder()).await;
    other.token = one.token.clone();
    assert_eq!(other.status().await, 401);
}

#[tokio::test]
async fn another_client_id_is_refused_as_not_subscribed() {
    let scene = Scene::new(Sandbox::builder()).await;
    let request = scene.client.get(scene.sandbox.url().clone());
    let request = request.bearer_auth(&scene.token);
    let response = request.header("X-DIGIKEY-Client-Id", "somebody").send();
    let response = response.await.expect("an answer");
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let body: Value = response.json().await.expect("JSON");
    assert_eq!(body["ErrorMessage"], "Invalid clientId");
}
