//! Quotas, and what the headers say.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use reqwest_tollgate::sandbox::{Dialect, Enforcement};
use serde_json::Value;

use crate::{Scene, header, limited, number};

const ENFORCEMENTS: [Enforcement; 4] = [
    Enforcement::FixedWindow,
    Enforcement::SlidingLog,
    Enforcement::SlidingCounter,
    Enforcement::TokenBucket,
];

#[tokio::test]
async fn every_enforcement_refuses_one_more_than_the_limit_and_none_before() {
    for enforcement in ENFORCEMENTS {
        let scene = Scene::new(limited("5/h").enforcement(enforcement)).await;
        let expected = [200, 200, 200, 200, 200, 429];
        assert_eq!(scene.statuses(6).await, expected, "{enforcement}");
        let counters = scene.sandbox.counters();
        assert_eq!((counters.answered, counters.rejected_429), (5, 1));
    }
}

#[tokio::test]
async fn after_retry_after_the_next_request_is_accepted() {
    for enforcement in ENFORCEMENTS {
        let scene = Scene::new(limited("2/800ms").enforcement(enforcement)).await;
        let refused = loop {
            let response = scene.get().await;
            if response.status() == StatusCode::TOO_MANY_REQUESTS {
                break response;
            }
        };
        let wait = number(&refused, "retry-after");
        assert!((1..=2).contains(&wait), "{enforcement}: {wait}");
        tokio::time::sleep(Duration::from_secs(wait)).await;
        assert_eq!(scene.status().await, 200, "{enforcement}");
    }
}

#[tokio::test]
async fn a_request_without_a_good_token_counts_in_no_quota() {
    let mut scene = Scene::new(limited("1/h")).await;
    let good = std::mem::replace(&mut scene.token, "made up".to_owned());
    assert_eq!(scene.statuses(3).await, [401, 401, 401]);
    scene.token = good;
    assert_eq!(scene.statuses(2).await, [200, 429]);
}

#[tokio::test]
async fn accepted_requests_are_logged_with_their_times_and_refused_ones_are_not() {
    let scene = Scene::new(limited("3/h")).await;
    scene.statuses(5).await;
    let accepted = scene.sandbox.accepted_at();
    assert_eq!(accepted.len(), 3);
    assert!(accepted.is_sorted());
    assert!(accepted[0] > Duration::ZERO);
}

fn has(response: &Response, names: &[&str]) -> Vec<bool> {
    let has = |name: &&str| response.headers().contains_key(*name);
    names.iter().map(has).collect()
}

#[tokio::test]
async fn digikeys_dialect_tells_the_day_always_and_the_burst_when_it_is_spent() {
    let scene = Scene::new(limited("2/h").window("10/utc-day".parse().expect("a window"))).await;
    let burst = ["retry-after", "x-burstlimit-limit", "x-ratelimit-reset"];

    let accepted = scene.get().await;
    assert_eq!(number(&accepted, "x-ratelimit-limit"), 10);
    assert_eq!(number(&accepted, "x-ratelimit-remaining"), 9);
    assert_eq!(has(&accepted, &burst), [false, false, false]);
    assert!(header(&accepted, "date").is_some());

    scene.get().await;
    let refused = scene.get().await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(has(&refused, &burst), [true, true, false]);
    assert_eq!(number(&refused, "x-burstlimit-remaining"), 0);
    let seconds = number(&refused, "x-burstlimit-reset");
    assert!((1..=3_600).contains(&seconds));
    let time = header(&refused, "x-burstlimit-resettime").expect("a time");
    assert!(time.ends_with('Z') && time.contains('T'), "{time}");
    assert_eq!(number(&refused, "x-ratelimit-remaining"), 8);
    let body: Value = refused.json().await.expect("JSON");
    assert_eq!(body["ErrorMessage"], "BurstLimit exceeded");
}

#[tokio::test]
async fn digikeys_dialect_tells_a_spent_day_with_its_reset() {
    let scene = Scene::new(limited("100/s").window("1/utc-day".parse().expect("a window"))).await;
    scene.get().await;
    let refused = scene.get().await;
    let names = ["x-burstlimit-limit", "x-ratelimit-resettime"];
    assert_eq!(has(&refused, &names), [false, true]);
    let reset = number(&refused, "x-ratelimit-reset");
    assert_eq!(number(&refused, "retry-after"), reset);
    assert!(reset <= 86_400);
    let time = header(&refused, "x-ratelimit-resettime").expect("a time");
    assert!(time.ends_with("T00:00:00Z"), "{time}");
    let body: Value = refused.json().await.expect("JSON");
    assert_eq!(body["ErrorMessage"], "Daily Ratelimit exceeded");
}

#[tokio::test]
async fn the_source_documents_dialect_tells_everything_on_every_response() {
    let builder = limited("2/h").window("10/day".parse().expect("a window"));
    let scene = Scene::new(builder.dialect(Dialect::SourceDocument)).await;
    let accepted = scene.get().await;
    assert_eq!(number(&accepted, "x-burstlimit-limit"), 2);
    assert_eq!(number(&accepted, "x-burstlimit-remaining"), 1);
    assert!(number(&accepted, "x-burstlimit-reset") <= 3_600);
    assert_eq!(number(&accepted, "x-ratelimit-limit"), 10);
    assert_eq!(number(&accepted, "x-ratelimit-remaining"), 9);
    assert!(number(&accepted, "x-ratelimit-reset") > 1_700_000_000);
    assert!(header(&accepted, "retry-after").is_none());

    scene.get().await;
    let refused = scene.get().await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(number(&refused, "retry-after") >= 1);
}

#[tokio::test]
async fn quota_headers_can_be_kept_for_the_429() {
    let builder = limited("1/h").dialect(Dialect::SourceDocument);
    let scene = Scene::new(builder.header_on_success(false)).await;
    let (accepted, refused) = (scene.get().await, scene.get().await);
    let name = ["x-burstlimit-limit"];
    assert_eq!(
        (has(&accepted, &name), has(&refused, &name)),
        (vec![false], vec![true])
    );
}
