//! Each vendor's own way to say that a quota is spent: the right verdict, the right wait.

use reqwest_tollgate::distributors::{
    avnet, digikey, element14, mouser, nexar, sager, sourcengine, te, ti, tme_v2, tti,
};
use reqwest_tollgate::{AccountBuilder, Error, Event, PausedClock, Quota, RequestOptions};

use crate::Scene;
use crate::common::{Answer, Events, Stub, answer, noon, seconds};

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
    let tme = || tme_v2::account("token", "secret");
    rows.push((tme(), answer(403), 1));
    rows.push((tme(), answer(429), 1));
    let words = r#"{"Status":"E_TOO_MANY_REQUESTS","ErrorCode":0}"#;
    rows.push((tme(), answer(403).body(words), 1));
    let page = "<h1>Developer Over Qps</h1>";
    rows.push((sager::account("k"), answer(403).body(page), 1));
    let header = answer(403).header("X-Mashery-Error-Code", "ERR_403_DEVELOPER_OVER_QPS");
    rows.push((sager::account("k"), header, 1));
    let all = answer(403)
        .header("X-Mashery-Error-Code", "ERR_403_SERVICE_OVER_QPS")
        .header("X-Error-Detail-Header", "Rate Limit Exceeded");
    rows.push((sager::account("k"), all.clone(), 1));
    rows.push((element14::account("k"), all, 1));
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
    // Nobody reads the time in it, so one request goes to look after an hour.
    let volume = r#"{"statusCode":403,"message":"Out of call volume quota. Quota will be replenished in 05:12:30."}"#;
    rows.push((avnets(), answer(403).body(volume), HOUR));
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
async fn a_403_without_words_of_a_quota_is_sent_again_once_and_then_handed_on() {
    let body = r#"{"code":"E_SOMETHING_ELSE"}"#;
    let refused = answer(403).body(body);
    let stub = Stub::answering([refused.clone(), refused.clone(), refused.clone(), refused]);
    let scene = Scene::new(tme_v2::account("token", "secret"), stub);
    for _ in 0..2 {
        let response = scene.get("products/search").await.unwrap();
        assert_eq!(response.status(), 403);
        assert_eq!(response.text().await.unwrap(), body);
    }
    assert_eq!(scene.stub.arrivals(), [0, 1, 1, 2]);
    // Nothing is closed behind it.
    scene.get("products/search").await.unwrap();
    assert_eq!(scene.stub.arrivals()[4..], [2]);
}

/// The same for code that sends without the layers.
#[tokio::test(start_paused = true)]
async fn a_suspicion_is_tried_once_by_a_permit_too() {
    let clock = PausedClock::starting_at(noon());
    let builder = tme_v2::account("token", "secret").clock(clock);
    let account = builder.build().unwrap();
    let options = RequestOptions::new();
    let permit = account.permit("/products/search", &options).await.unwrap();
    let (forbidden, none) = (http::StatusCode::FORBIDDEN, http::HeaderMap::new());
    let rejected = permit.answered(forbidden, &none).expect("perhaps too fast");
    let again = rejected.again().await.unwrap();
    assert!(again.answered(forbidden, &none).is_none(), "handed on");
    assert!(account.quotas()[0].blocked_until().is_none());
}

/// The error of a spent day has the vendor's name for the exchange, wherever that stood.
#[tokio::test(start_paused = true)]
async fn a_spent_day_is_told_with_the_vendors_name_for_the_exchange() {
    let body = r#"{"StatusCode":429,"ErrorMessage":"Daily Ratelimit exceeded","RequestId":"b-1"}"#;
    for (spent, expected) in [
        (answer(429).body(body), "b-1"),
        (
            answer(429).body(body).header("X-Correlation-Id", "h-1"),
            "h-1",
        ),
    ] {
        let events = Events::default();
        let builder = digikey::account("id", "secret").observer(events.observer());
        let scene = Scene::new(builder, Stub::answering([spent]));
        let error = scene.get("some/path").await.unwrap_err();
        assert_eq!(Error::find(&error).unwrap().request_id(), Some(expected));
        let named = |event: &Event| match event {
            Event::QuotaRejected { request_id, .. } => request_id.as_deref() == Some(expected),
            _ => false,
        };
        assert_eq!(events.count(named), 1, "{expected}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_without_parts_is_told_in_the_vendors_own_words() {
    let body = r#"{"errors":[{"message":"You have exceeded your part limit of 0."}],"data":null}"#;
    let stub = Stub::answering([answer(200).body(body), answer(200).body(body)]);
    let scene = Scene::new(nexar::account("id", "secret"), stub);
    for _ in 0..2 {
        let response = scene.get("graphql").await.unwrap();
        assert_eq!(response.text().await.unwrap(), body);
    }
    assert_eq!(scene.stub.arrivals(), [0, 0]);
}

/// TE's page: the minute's 429 has the minute's limit under the names of the day.
#[tokio::test(start_paused = true)]
async fn tes_429_of_the_minute_stops_a_minute_and_not_the_day() {
    let day = |left: u32| {
        answer(200)
            .header("X-RateLimit-Limit", 5000)
            .header("X-RateLimit-Remaining", left)
            .header("X-RateLimit-Reset", 86_382_593)
    };
    let minute = answer(429)
        .header("X-RateLimit-Limit", 30)
        .header("X-RateLimit-Remaining", 0)
        .header("X-RateLimit-Reset", 42_000);
    let stub = Stub::answering([day(4999), day(4998), minute]);
    let scene = Scene::new(te::account("id", "secret"), stub);
    for _ in 0..3 {
        assert_eq!(scene.get("products").await.unwrap().status(), 200);
    }
    let arrivals = scene.stub.arrivals();
    assert_eq!(arrivals[..3], [0, 0, 0]);
    assert!((42..=44).contains(&arrivals[3]), "{arrivals:?}");
    let windows = scene.account.quotas()[0].windows().to_vec();
    assert_eq!(windows[1].limit, 5000, "{windows:?}");
    scene.get("products").await.unwrap();
}

/// dev.sourcengine.com: the 429 of one endpoint.
#[tokio::test(start_paused = true)]
async fn sourcengine_has_no_window_by_guess_and_a_spent_endpoint_waits_for_its_reset() {
    let since_1970 = noon().duration_since(std::time::UNIX_EPOCH).unwrap();
    let spent = answer(429)
        .header("X-RateLimit-Limit", 1000)
        .header("X-RateLimit-Remaining", 0)
        .header("X-RateLimit-Reset", since_1970.as_secs() + 30)
        .header("Retry-After", 30);
    let builder = sourcengine::account("token").quota(Quota::new("search").path("/search"));
    let scene = Scene::new(builder, Stub::answering([spent]));
    assert_eq!(scene.get("search?query=LM358").await.unwrap().status(), 200);
    let arrivals = scene.stub.arrivals();
    assert!(arrivals[1] == 30 || arrivals[1] == 31, "{arrivals:?}");
    // No window of an example's thousand: far more than that leave.
    for _ in 0..1100 {
        scene.get("offers").await.unwrap();
    }
    assert_eq!(scene.stub.count(), 1102);
}

#[tokio::test(start_paused = true)]
async fn sager_has_four_a_second_and_a_hundred_thousand_a_day() {
    let scene = Scene::new(sager::account("k"), Stub::answering([]));
    for _ in 0..9 {
        scene.get("customer-price-availability/v1").await.unwrap();
    }
    assert_eq!(scene.stub.arrivals(), [0, 0, 0, 0, 1, 1, 1, 1, 2]);
    let quotas = scene.account.quotas();
    let limits: Vec<_> = quotas[0]
        .windows()
        .iter()
        .map(|window| window.limit)
        .collect();
    assert_eq!(limits, [4, 100_000]);
}

#[tokio::test(start_paused = true)]
async fn a_lead_time_is_asked_for_every_five_seconds() {
    let lead_time = RequestOptions::new().quota(tti::LEAD_TIME);
    let builder = tti::account("k").options(lead_time);
    let scene = Scene::new(builder, Stub::answering([]));
    for _ in 0..3 {
        scene.get("service/api/v1/leadtime").await.unwrap();
    }
    assert_eq!(scene.stub.arrivals(), [0, 5, 10]);
}

#[tokio::test(start_paused = true)]
async fn product_information_has_fewer_a_day_than_the_store() {
    let account = ti::account("id", "secret").build().unwrap();
    let quotas = account.quotas();
    let of = |name: &str| {
        let quota = quotas.iter().find(|quota| quota.quota() == name).unwrap();
        let windows = quota.windows().iter();
        windows.map(|window| window.limit).collect::<Vec<_>>()
    };
    assert_eq!(of(ti::PRODUCT_INFORMATION), [20, 3000]);
    assert_eq!(of(ti::EXTENDED_INFORMATION), [5, 1500]);
    let scene = Scene::new(ti::account("id", "secret"), Stub::answering([]));
    for _ in 0..6 {
        scene.get("v1/products-extended/LM317").await.unwrap();
    }
    assert_eq!(scene.stub.arrivals(), [0, 0, 0, 0, 0, 1]);
    scene.get("v1/products/LM317").await.unwrap();
    let left = scene.account.quotas();
    let information = left
        .iter()
        .find(|quota| quota.quota() == ti::PRODUCT_INFORMATION);
    assert_eq!(information.unwrap().windows()[1].remaining, 2999);
}

#[tokio::test(start_paused = true)]
async fn a_spent_day_of_change_notices_stops_no_lists() {
    let spent = answer(429)
        .header("X-RateLimit-Limit", 30)
        .header("X-RateLimit-Remaining", 0)
        .header("Retry-After", 3600)
        .body(r#"{"message":"Rate limit exceeded","correlationId":"c-1"}"#);
    let scene = Scene::new(digikey::account("id", "secret"), Stub::answering([spent]));
    let rest = scene
        .spent("ChangeNotifications/v3/Products/296-6501-1-ND")
        .await;
    assert!(rest >= seconds(3600), "{rest:?}");
    for path in [
        "mylists/v1/lists",
        "packinglist/v1/x",
        "ordermanagement/v2/x",
        "OrderManagement/v1/x",
        "SupplyChain/v1/x",
        "CustomerResource/v1/associatedaccounts",
        "somewhere/new",
    ] {
        assert_eq!(scene.get(path).await.unwrap().status(), 200, "{path}");
    }
    let quotas = scene.account.quotas();
    let untouched = quotas
        .iter()
        .filter(|quota| quota.blocked_until().is_none());
    assert_eq!(untouched.count(), quotas.len() - 1);
    for (name, left) in [
        (digikey::LISTS, 999),
        (digikey::PACKING_LISTS, 999),
        (digikey::ORDER_MANAGEMENT, 998),
        (digikey::SUPPLY_CHAIN, 999),
        (digikey::CUSTOMER_RESOURCE, 999),
        (Quota::DEFAULT, 999),
    ] {
        let quota = quotas.iter().find(|quota| quota.quota() == name).unwrap();
        assert_eq!(quota.windows()[1].remaining, left, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_path_in_another_letter_case_has_the_limits_of_its_product() {
    for path in [
        "quoting/v4/quotes",
        "Quoting/v4/quotes",
        "QUOTING/V4/quotes",
    ] {
        let scene = Scene::new(digikey::account("id", "secret"), Stub::answering([]));
        for _ in 0..11 {
            scene.get(path).await.unwrap();
        }
        assert_eq!(scene.stub.arrivals()[9..], [0, 60], "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bigger_plan_than_configured_is_told_once() {
    let events = Events::default();
    let told = |limit: u64| {
        answer(200)
            .header("X-RateLimit-Limit", limit)
            .header("X-RateLimit-Remaining", limit - 10)
    };
    let stub = Stub::answering([1000, 5000, 5000, 5000, 25_000].map(told));
    let builder = digikey::account("id", "secret").observer(events.observer());
    let scene = Scene::new(builder, stub);
    for _ in 0..6 {
        scene.get("products/v4/search/keyword").await.unwrap();
    }
    let offered = |wanted: u64| {
        events.count(|event| match event {
            Event::HigherLimitOffered {
                quota,
                configured,
                told,
                ..
            } => &**quota == digikey::PRODUCT_INFORMATION && (*configured, *told) == (1000, wanted),
            _ => false,
        })
    };
    assert_eq!((offered(5000), offered(25_000)), (1, 1));
    let all = events.count(|event| matches!(event, Event::HigherLimitOffered { .. }));
    assert_eq!(all, 2);
    let quotas = scene.account.quotas();
    let information = quotas
        .iter()
        .find(|quota| quota.quota() == digikey::PRODUCT_INFORMATION);
    assert_eq!(information.unwrap().windows()[1].limit, 1000, "not taken");
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
