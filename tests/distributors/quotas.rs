//! Each vendor's own way to say that a quota is spent: the right verdict, the right wait.

use reqwest_tollgate::distributors::{avnet, digikey, mouser, nexar, sager, ti, tme_v2};
use reqwest_tollgate::{AccountBuilder, Quota, RequestOptions};

use crate::Scene;
use crate::common::{Answer, Stub, answer, seconds};

const HOUR: u64 = 60 * 60;

fn avnets() -> AccountBuilder {
    avnet::account("id", "secret", "api://x/.default", "key")
}

/// What a minute's or a second's rejection looks like, and how long it lasts.
fn rejections() -> Vec<(AccountBuilder, Answer, u64)> {
    let mouser_body = r#"{"Errors":[{"Id":0,"Code":"TooManyRequests","Message":"Maximum calls per minute exceeded.","ResourceKey":"TooManyRequests","PropertyName":null}],"SearchResults":null}"#;
    let avnet_body = "040 'Rate limit (call lines per minute) exceeded: 101'";
    let digikey_body = r#"{"ErrorResponseVersion":"3.0.0.0","StatusCode":429,"ErrorMessage":"BurstLimit exceeded","ErrorDetails":"Please try again after the number of seconds in the Retry-After header","RequestId":"fa3e4d88-bfc4-4565-c6d5-a567633c091b","ValidationErrors":[]}"#;
    let mut rows = Vec::new();
    for status in [200, 403, 429] {
        rows.push((mouser::account("k"), answer(status).body(mouser_body), 60));
    }
    for status in [200, 400, 403, 429] {
        rows.push((avnets(), answer(status).body(avnet_body), 60));
    }
    let managed = answer(403).header("Retry-After", 7);
    rows.push((avnets(), managed, 7));
    let digikey = || digikey::account("id", "secret");
    rows.push((digikey(), answer(429).body(digikey_body), 60));
    let told = answer(429).body(digikey_body).header("Retry-After", 3);
    let told = told.header("X-BurstLimit-ResetTime", "2026-11-21T12:00:03Z");
    rows.push((digikey(), told, 3));
    for status in [403, 429] {
        rows.push((tme_v2::account("token", "secret"), answer(status), 1));
    }
    let page = "<h1>Developer Over Qps</h1>";
    rows.push((sager::account("k"), answer(403).body(page), 1));
    let header = answer(403).header("X-Mashery-Error-Code", "ERR_403_DEVELOPER_OVER_QPS");
    rows.push((sager::account("k"), header, 1));
    rows
}

#[tokio::test(start_paused = true)]
async fn a_rejection_holds_the_request_back_as_long_as_its_window() {
    for (builder, rejection, wait) in rejections() {
        let scene = Scene::new(builder, Stub::answering([rejection.clone()]));
        let response = scene.get("some/path").await.unwrap();
        assert_eq!(response.text().await.unwrap(), "answer 200");
        let case = format!("{}: {rejection:?}", scene.account.name());
        assert_eq!(scene.stub.arrivals(), [0, wait], "{case}");
    }
}

/// What a spent day or month looks like, and how long after noon of 2026-11-21 it is over.
fn spent() -> Vec<(AccountBuilder, Answer, u64)> {
    let mouser_body = r#"{"Errors":[{"Id":0,"Code":"TooManyRequests","Message":"Maximum calls per day exceeded.","ResourceKey":"MaxCallPerDay"}],"SearchResults":null}"#;
    let mut rows = Vec::new();
    for status in [200, 403, 429] {
        rows.push((mouser::account("k"), answer(status).body(mouser_body), HOUR));
    }
    let digikey = || digikey::account("id", "secret");
    let old = r#"{"StatusCode":429,"ErrorMessage":"Daily Ratelimit exceeded"}"#;
    let new = r#"{"detail":"Daily Ratelimit exceeded. Please try again after the number of seconds in the Retry-After header"}"#;
    for body in [old, new] {
        // Without a header the day ends by the calendar.
        rows.push((digikey(), answer(429).body(body), 12 * HOUR));
        let told = answer(429).body(body).header("Retry-After", 12_397);
        let told = told.header("X-RateLimit-ResetTime", "2026-11-22T00:00:00Z");
        rows.push((digikey(), told, 12_397));
    }
    let seconds_to_go = answer(429).body(old).header("X-RateLimit-Remaining", 0);
    let seconds_to_go = seconds_to_go.header("X-RateLimit-Reset", 28_416);
    rows.push((digikey(), seconds_to_go, 28_416));
    let page = "<h1>Developer Over Rate</h1>";
    rows.push((sager::account("k"), answer(403).body(page), HOUR));
    let header = answer(403).header("X-Mashery-Error-Code", "ERR_403_DEVELOPER_OVER_RATE");
    rows.push((sager::account("k"), header, HOUR));
    let month =
        r#"{"errors":[{"message":"You have exceeded your part limit of 1000."}],"data":null}"#;
    // The month ends after nine and a half days.
    let rest = 9 * 24 * HOUR + 12 * HOUR;
    rows.push((nexar::account("id", "s"), answer(200).body(month), rest));
    rows
}

#[tokio::test(start_paused = true)]
async fn a_spent_day_or_month_fails_at_once_with_its_end() {
    for (builder, rejection, rest) in spent() {
        let scene = Scene::new(builder, Stub::answering([rejection.clone()]));
        let ends = scene.spent("some/path").await;
        let case = format!("{}: {rejection:?} {ends:?}", scene.account.name());
        // A calendar's end has a margin for the server's clock.
        assert!(ends >= seconds(rest) && ends <= seconds(rest + 3), "{case}");
        scene.spent("other/path").await;
        assert_eq!(scene.stub.count(), 1, "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_403_that_is_about_the_authorization_is_no_quota() {
    let body = r#"{"Status":"E_ACTION_FORBIDDEN","ErrorCode":403,"ErrorMessage":"Access denied"}"#;
    let other = r#"{"code":"E_AUTHORIZATION_FAILED"}"#;
    for body in [body, other] {
        let stub = Stub::answering([answer(403).body(body)]);
        let scene = Scene::new(tme_v2::account("token", "secret"), stub);
        let response = scene.get("products/search").await.unwrap();
        assert_eq!(response.text().await.unwrap(), body);
        assert_eq!(scene.stub.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn prices_have_two_requests_a_second_and_the_rest_ten() {
    let scene = Scene::new(tme_v2::account("token", "secret"), Stub::answering([]));
    for _ in 0..10 {
        scene.get("products/search?country=DE").await.unwrap();
    }
    assert_eq!(scene.stub.arrivals(), [0; 10]);
    for _ in 0..3 {
        scene.get("products/data?country=DE").await.unwrap();
    }
    assert_eq!(scene.stub.arrivals()[10..], [0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_catalog_is_fetched_once_in_four_hours_and_parts_meanwhile() {
    let scene = Scene::new(ti::account("id", "secret"), Stub::answering([]));
    let catalog = "v2/store/products/catalog?currency=EUR";
    scene.get(catalog).await.unwrap();
    let rest = scene.spent(catalog).await;
    assert!(
        rest >= seconds(4 * HOUR) && rest < seconds(4 * HOUR + 60),
        "{rest:?}"
    );
    scene.get("v2/store/products/LM317%2FNOPB").await.unwrap();
    assert_eq!(scene.stub.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn orders_have_ten_a_minute_beside_the_searches() {
    let scene = Scene::new(digikey::account("id", "secret"), Stub::answering([]));
    for _ in 0..11 {
        scene.get("Ordering/v3/Orders").await.unwrap();
    }
    assert_eq!(scene.stub.arrivals()[9..], [0, 60]);
}

#[tokio::test(start_paused = true)]
async fn options_still_choose_a_presets_quota() {
    let scene = Scene::new(digikey::account("id", "secret"), Stub::answering([]));
    let quoting = RequestOptions::new().quota(digikey::QUOTING);
    let account = scene.account.with_options(quoting);
    let scene = Scene::of(account, scene.stub);
    for _ in 0..11 {
        scene.get("somewhere/new").await.unwrap();
    }
    assert_eq!(scene.stub.arrivals()[9..], [0, 60]);
}

#[tokio::test(start_paused = true)]
async fn avnets_minute_counts_lines() {
    let stub = Stub::answering([]);
    let patient = RequestOptions::new().max_wait(seconds(120));
    let scene = Scene::new(avnets().options(patient), stub);
    for lines in [60, 40, 60] {
        let order = RequestOptions::new().cost(avnet::LINES, lines);
        let account = scene.account.with_options(order);
        let scene = Scene::of(account, scene.stub.clone());
        scene.get("external/customer/price/v1/").await.unwrap();
    }
    assert_eq!(scene.stub.arrivals(), [0, 0, 60]);
    // Those that do not say have one.
    for _ in 0..41 {
        scene.get("external/customer/price/v1/").await.unwrap();
    }
    assert_eq!(scene.stub.arrivals()[42..], [60, 120]);
}

#[tokio::test(start_paused = true)]
async fn nexars_month_counts_the_parts_that_came() {
    let scene = Scene::new(nexar::account("id", "secret"), Stub::answering([]));
    scene.get("graphql").await.unwrap();
    let charge = |parts| scene.account.charge(Quota::DEFAULT, nexar::PARTS, parts);
    charge(999).unwrap();
    scene.get("graphql").await.unwrap();
    charge(100).unwrap();
    let rest = scene.spent("graphql").await;
    let month = seconds(9 * 24 * HOUR + 12 * HOUR);
    assert!(rest >= month && rest <= month + seconds(3), "{rest:?}");
    assert_eq!(scene.stub.count(), 2);
}
