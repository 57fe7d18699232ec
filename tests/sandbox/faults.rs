//! What goes wrong on demand.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest_tollgate::sandbox::{Fault, Sandbox};
use serde_json::Value;

use crate::{Scene, ask, limited, number, refresh};

#[tokio::test]
async fn an_answer_that_is_lost_after_acting_really_rotated() {
    let scene = Scene::new(Sandbox::builder()).await;
    let token = scene.sandbox.refresh_token();
    scene.inject("token-lost=1");
    ask(&scene.client, &scene.sandbox, &refresh(&token))
        .await
        .expect_err("no answer");
    assert_eq!(scene.sandbox.counters().rotations, 1);

    let (status, body) = scene.refresh(&token).await;
    assert_eq!((status, &body["error"]), (400, &"invalid_grant".into()));
    assert_eq!(scene.sandbox.counters().families_revoked, 1);
}

#[tokio::test]
async fn the_token_endpoint_fails_as_often_as_it_was_told() {
    let scene = Scene::new(Sandbox::builder()).await;
    scene.inject("token-down=2");
    scene.inject("token-throttled=2500ms");
    scene.inject("token-html=1");
    assert_eq!(scene.token_status().await, 503);
    assert_eq!(scene.token_status().await, 503);
    let throttled = scene.ask_token().await.expect("an answer");
    assert_eq!(throttled.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(number(&throttled, "retry-after"), 3);
    let html = scene.ask_token().await.expect("an answer");
    assert_eq!(html.status(), StatusCode::OK);
    assert!(html.text().await.expect("text").starts_with("<html>"));
    assert_eq!(scene.token_status().await, 200);
    assert_eq!(scene.sandbox.counters().injected, 4);
    assert_eq!(scene.sandbox.counters().tokens_issued, 2);
}

#[tokio::test]
async fn an_outage_of_the_token_endpoint_ends_by_itself_and_the_api_goes_on() {
    let scene = Scene::new(Sandbox::builder()).await;
    scene.inject("token-down=1s");
    assert_eq!(scene.token_status().await, 503);
    assert_eq!(scene.status().await, 200);
    tokio::time::sleep(Duration::from_millis(1_010)).await;
    assert_eq!(scene.token_status().await, 200);
}

#[tokio::test]
async fn a_slow_token_endpoint_is_slow_until_the_faults_are_cleared() {
    let scene = Scene::new(Sandbox::builder()).await;
    scene.inject("token-slow=30s");
    let impatient = scene.client.post(scene.sandbox.token_url());
    let impatient = impatient.timeout(Duration::from_millis(200)).send().await;
    assert!(impatient.expect_err("no answer yet").is_timeout());
    scene.sandbox.clear_faults();
    assert_eq!(scene.token_status().await, 200);
}

#[tokio::test]
async fn faults_of_the_gateway_come_before_the_quota_and_those_of_the_backend_after() {
    let scene = Scene::new(limited("2/h")).await;
    for gateway in ["unauthorized=1", "not-subscribed=1", "rate-limited=1"] {
        scene.inject(gateway);
    }
    assert_eq!(scene.statuses(3).await, [401, 401, 429]);
    assert_eq!(scene.sandbox.accepted_at().len(), 0);

    scene.inject("server-error=1");
    assert_eq!(scene.statuses(3).await, [500, 200, 429]);
    let counters = scene.sandbox.counters();
    assert_eq!(counters.injected, 4);
    assert_eq!((counters.rejected_401, counters.rejected_429), (0, 1));
}

#[tokio::test]
async fn injected_refusals_look_as_they_should() {
    let scene = Scene::new(Sandbox::builder()).await;
    scene.inject("not-subscribed");
    let body: Value = scene.get().await.json().await.expect("JSON");
    assert_eq!(body["ErrorMessage"], "Invalid clientId");
    scene.inject("rate-limited");
    assert_eq!(number(&scene.get().await, "retry-after"), 1);
    scene.inject("unauthorized=every-2");
    assert_eq!(scene.statuses(4).await, [200, 401, 200, 401]);
}

#[tokio::test]
async fn a_reset_closes_the_connection_and_counts_in_the_quota() {
    let scene = Scene::new(limited("2/h")).await;
    scene.inject("reset=1");
    scene.try_get().await.expect_err("no answer");
    assert_eq!(scene.statuses(2).await, [200, 429]);
}

#[tokio::test]
async fn a_hanging_request_is_answered_late_and_holds_up_nobody_else() {
    let scene = Scene::new(Sandbox::builder()).await;
    let hanging = scene.hang().await;
    assert_eq!(scene.status().await, 200);
    assert!(!hanging.is_finished());
    scene.inject("hang=100ms");
    let begun = Instant::now();
    assert_eq!(scene.status().await, 200);
    assert!(begun.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn the_longest_spans_break_nothing() {
    let scene = Scene::new(Sandbox::builder().grace(Duration::MAX)).await;
    let token = scene.sandbox.refresh_token();
    assert_eq!(scene.refresh(&token).await.0, 200);
    assert_eq!(scene.refresh(&token).await.0, 200);
    scene.sandbox.inject(Fault::TokenThrottled {
        requests: 1,
        retry_after: Duration::MAX,
    });
    let throttled = scene.ask_token().await.expect("an answer");
    assert_eq!(number(&throttled, "retry-after"), u64::MAX);
    scene.sandbox.inject(Fault::TokenSlow(Duration::MAX));
    scene.sandbox.inject(Fault::TokenSlow(Duration::MAX));
    let impatient = scene.client.post(scene.sandbox.token_url());
    let impatient = impatient.timeout(Duration::from_millis(200)).send().await;
    assert!(impatient.expect_err("no answer").is_timeout());
}
