//! Stories about windows that count something else than requests, under paused time.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used)]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};

use common::{API, Stub, acme, answer, client, seconds};
use reqwest_middleware::{ClientWithMiddleware, Result};
use reqwest_tollgate::{Config, Error, ErrorKind, Quota, Recovery, RequestOptions, Window};
use tokio::time::sleep;

fn lines(amount: u64) -> RequestOptions {
    RequestOptions::new().cost("lines", amount)
}

async fn send(
    client: &ClientWithMiddleware,
    path: &str,
    options: RequestOptions,
) -> Result<reqwest::Response> {
    let request = client.get(format!("{API}/{path}"));
    request.with_extension(options).send().await
}

fn paths(stub: &Stub) -> Vec<String> {
    stub.seen().into_iter().map(|seen| seen.path).collect()
}

#[tokio::test(start_paused = true)]
async fn a_hundred_lines_a_minute_and_a_thousand_calls_a_day_hold_at_once() {
    let account = acme()
        .window(Window::per_minute(100).unit("lines"))
        .window(Window::per_day(5))
        .build()
        .unwrap();
    let stub = Stub::answering([]);
    let client = client(&account, &stub);
    for _ in 0..4 {
        send(&client, "order", lines(60)).await.unwrap();
    }
    assert_eq!(stub.arrivals(), [0, 60, 120, 180]);
    // No lines, so the minute does not concern it; the day does.
    client.get(API).send().await.unwrap();
    let refused = client.get(API).send().await.expect_err("the day is spent");
    assert_eq!(
        Error::find(&refused).unwrap().kind(),
        ErrorKind::QuotaExceeded
    );
    let left: Vec<_> = account.quotas()[0].windows().to_vec();
    assert_eq!((&*left[0].unit, left[0].remaining), ("lines", 40));
    assert_eq!((&*left[1].unit, left[1].remaining), ("requests", 0));
}

#[tokio::test(start_paused = true)]
async fn a_cost_beyond_the_limit_fails_at_once_and_loses_nothing() {
    let window = Window::per_minute(100).unit("lines");
    let account = acme().window(window).build().unwrap();
    let stub = Stub::answering([]);
    let client = client(&account, &stub);
    let refused = send(&client, "order", lines(101))
        .await
        .expect_err("too much");
    let error = Error::find(&refused).unwrap();
    assert_eq!(error.kind(), ErrorKind::CostExceedsLimit);
    assert_eq!(error.recovery(), Recovery::Reconfigure);
    let text = error.to_string();
    assert!(
        text.contains("101 lines") && text.contains("limit of 100"),
        "{text}"
    );
    assert_eq!(account.quotas()[0].windows()[0].remaining, 100);
    send(&client, "order", lines(100)).await.unwrap();
    assert_eq!(stub.arrivals(), [0]);
}

#[tokio::test(start_paused = true)]
async fn small_ones_do_not_starve_a_large_one() {
    let window = Window::per_minute(100).unit("lines");
    let account = acme().window(window).build().unwrap();
    let stub = Stub::answering([]);
    let client = client(&account, &stub);
    let small = async {
        for number in 0..20 {
            sleep(seconds(5)).await;
            let client = client.clone();
            tokio::spawn(async move { send(&client, &format!("{number}"), lines(10)).await });
        }
        sleep(seconds(300)).await;
    };
    let large = async {
        send(&client, "first", lines(50)).await.unwrap();
        sleep(seconds(21)).await;
        send(&client, "large", lines(80)).await.unwrap();
    };
    tokio::join!(small, large);
    // Four small ones came before it, and it needs room for eighty.
    let place = paths(&stub).iter().position(|path| path == "/large");
    assert_eq!(place, Some(5), "{:?}", paths(&stub));
}

#[tokio::test(start_paused = true)]
async fn a_cost_known_after_the_answer_is_charged_and_the_debt_waited_for() {
    let account = acme()
        .window(Window::per_minute(1000).unit("parts"))
        .options(RequestOptions::new().cost("parts", 0))
        .build()
        .unwrap();
    let stub = Stub::answering([]);
    let client = client(&account, &stub);
    client.get(API).send().await.unwrap();
    account.charge(Quota::DEFAULT, "parts", 900).unwrap();
    sleep(seconds(10)).await;
    client.get(API).send().await.unwrap();
    account.charge(Quota::DEFAULT, "parts", 900).unwrap();
    assert_eq!(account.quotas()[0].windows()[0].remaining, 0);
    client.get(API).send().await.unwrap();
    assert_eq!(stub.arrivals(), [0, 10, 60]);
    let unknown = account
        .charge("search", "parts", 1)
        .expect_err("no such quota");
    assert_eq!(unknown.kind(), ErrorKind::Config);
}

#[tokio::test(start_paused = true)]
async fn a_replay_costs_again() {
    let window = Window::per_minute(100).unit("lines");
    let account = acme().window(window).build().unwrap();
    let first = AtomicUsize::new(0);
    let stub = Stub::new(move |_| match first.fetch_add(1, Ordering::Relaxed) {
        0 => answer(429).header("retry-after", 5),
        _ => answer(200),
    });
    let client = client(&account, &stub);
    send(&client, "order", lines(30)).await.unwrap();
    assert_eq!(account.quotas()[0].windows()[0].remaining, 40);
}

#[tokio::test(start_paused = true)]
async fn the_servers_count_is_in_the_windows_unit() {
    let window = Window::per_minute(100).unit("lines");
    let account = acme().window(window).build().unwrap();
    let told = answer(200)
        .header("x-ratelimit-limit", 100)
        .header("x-ratelimit-remaining", 40)
        .header("x-ratelimit-reset", 50);
    let stub = Stub::answering([told]);
    let client = client(&account, &stub);
    send(&client, "order", lines(30)).await.unwrap();
    // Thirty are ours, so thirty are somebody else's until the reset.
    send(&client, "order", lines(40)).await.unwrap();
    send(&client, "order", lines(30)).await.unwrap();
    // The second takes all that is left, so it waits whether they take more of it.
    assert_eq!(stub.arrivals(), [0, 6, 50]);
}

#[tokio::test(start_paused = true)]
async fn the_nearest_cost_wins_unit_by_unit() {
    let account = acme()
        .window(Window::per_minute(100).unit("lines"))
        .window(Window::per_minute(100).unit("parts"))
        .options(RequestOptions::new().cost("lines", 1).cost("parts", 2))
        .build()
        .unwrap();
    let handle = account.with_options(lines(10));
    let stub = Stub::answering([]);
    let client = client(&handle, &stub);
    let request = send(&client, "x", lines(20));
    let scope = RequestOptions::new().cost("parts", 7).cost("lines", 15);
    scope.scope(request).await.unwrap();
    let quotas = account.quotas();
    let left = quotas[0].windows().iter();
    let left: Vec<_> = left
        .map(|window| (&*window.unit, window.remaining))
        .collect();
    assert_eq!(left, [("lines", 80), ("parts", 93)]);
}

#[tokio::test]
async fn a_configuration_file_names_units_and_what_a_request_costs() {
    let toml = r#"
        [accounts.avnet]
        base_url = "https://api.acme.example"
        windows = [{ rate = "100/min", unit = "lines" }, "1000/day"]
        costs = { lines = 101 }
    "#;
    let config: Config = toml::from_str(toml).unwrap();
    let account = config.build().unwrap().remove("avnet").unwrap();
    let units: Vec<_> = account.quotas()[0].windows().to_vec();
    let units: Vec<_> = units
        .iter()
        .map(|window| (&*window.unit, window.limit))
        .collect();
    assert_eq!(units, [("lines", 100), ("requests", 1000)]);
    let client = client(&account, &Stub::answering([]));
    let refused = client.get(API).send().await.expect_err("its own costs");
    assert_eq!(
        Error::find(&refused).unwrap().kind(),
        ErrorKind::CostExceedsLimit
    );

    for (window, costs, told) in [
        ("unit = \"\"", "lines = 1", "unit is empty"),
        ("unit = 5", "lines = 1", "windows[0].unit: found"),
        ("unit = \"lines\"", "lines = -1", "costs.lines: found -1"),
    ] {
        let toml = format!(
            "[accounts.a]\nbase_url = \"https://a.example\"\n\
             windows = [{{ rate = \"1/s\", {window} }}]\ncosts = {{ {costs} }}"
        );
        let config: Config = toml::from_str(&toml).unwrap();
        let error = config.build().expect_err(told).to_string();
        assert!(error.contains(told), "{error}");
    }
}

fn config_text(error: &Error) -> String {
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert_eq!(error.recovery(), Recovery::Reconfigure);
    error.to_string()
}

#[tokio::test(start_paused = true)]
async fn a_misspelt_unit_fails_at_once_names_the_known_ones_and_loses_nothing() {
    let account = acme()
        .window(Window::per_minute(100).unit("lines"))
        .window(Window::per_day(5))
        .quota(Quota::new("search").window(Window::per_day(7).unit("parts")))
        .max_in_flight(1)
        .build()
        .unwrap();
    let stub = Stub::answering([]);
    let client = client(&account, &stub);
    let misspelt = RequestOptions::new().cost("line", 5);
    for _ in 0..3 {
        let refused = send(&client, "order", misspelt.clone()).await;
        let text = config_text(Error::find(&refused.unwrap_err()).unwrap());
        assert!(
            text.contains(r#"no window counts "line": the account counts lines, parts, requests"#),
            "{text}"
        );
    }
    let refused = account.permit("/order", &misspelt).await.unwrap_err();
    assert!(config_text(&refused).contains(r#""line""#));
    let refused = account.try_permit("/order", &misspelt).unwrap_err();
    assert!(config_text(&refused).contains(r#""line""#));
    let refused = account.charge(Quota::DEFAULT, "line", 5).unwrap_err();
    assert!(config_text(&refused).contains(r#""line""#));
    assert_eq!(stub.count(), 0);
    let left = account.quotas()[0].windows().to_vec();
    assert_eq!((left[0].remaining, left[1].remaining), (100, 5));
    // The permit of `max_in_flight` is there, and units of another quota are none of its concern.
    let known = lines(5).cost("parts", 1).cost("requests", 2);
    send(&client, "order", known).await.unwrap();
    let left = account.quotas()[0].windows().to_vec();
    assert_eq!((left[0].remaining, left[1].remaining), (95, 3));
    account.charge(Quota::DEFAULT, "parts", 1).unwrap();
}

/// Its body is still with the caller, who may send it with the right unit.
#[tokio::test(start_paused = true)]
async fn a_misspelt_unit_consumes_no_body() {
    let account = acme()
        .window(Window::per_minute(100).unit("lines"))
        .build()
        .unwrap();
    let stub = Stub::answering([]);
    let client = client(&account, &stub);
    let asked = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let stream = futures_util::stream::once(async move {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok::<_, std::io::Error>("body")
    });
    let request = client
        .post(format!("{API}/order"))
        .body(reqwest::Body::wrap_stream(stream))
        .with_extension(RequestOptions::new().cost("Lines", 5));
    request.send().await.unwrap_err();
    assert_eq!((asked.load(Ordering::Relaxed), stub.count()), (0, 0));
}

/// The same options may serve several accounts, of which some count requests alone.
#[tokio::test(start_paused = true)]
async fn an_account_that_counts_requests_alone_takes_a_cost_in_any_unit() {
    let account = acme().window(Window::per_minute(100)).build().unwrap();
    let stub = Stub::answering([]);
    send(&client(&account, &stub), "order", lines(5))
        .await
        .unwrap();
    assert_eq!(account.quotas()[0].windows()[0].remaining, 99);
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_a_change_took_away_is_no_slip() {
    let account = acme()
        .window(Window::per_minute(100).unit("lines"))
        .quota(Quota::new("search").window(Window::per_day(7).unit("parts")))
        .build()
        .unwrap();
    let only_requests = Quota::new(Quota::DEFAULT).window(Window::per_minute(9));
    account.set_quota(only_requests).unwrap();
    let stub = Stub::answering([]);
    send(&client(&account, &stub), "order", lines(500))
        .await
        .unwrap();
}

#[test]
fn a_default_cost_that_nothing_counts_is_refused_when_the_account_is_built() {
    let costs = RequestOptions::new().cost("line", 1);
    let refused = acme()
        .window(Window::per_minute(100).unit("lines"))
        .options(costs.clone())
        .build();
    let text = config_text(&refused.unwrap_err());
    let expected = "costs.line: no window counts this unit; expected one of lines, requests";
    assert!(text.contains(expected), "{text}");
    // Here it is the account's own, so it is a slip without any other unit too.
    let refused = acme().options(costs).build().unwrap_err();
    assert!(config_text(&refused).contains("expected one of requests"));
    let config: Config = toml::from_str(
        "[accounts.a]\nbase_url = \"https://a.example\"\ncosts = { line = 1 }\n\
         windows = [{ rate = \"100/min\", unit = \"lines\" }]",
    )
    .unwrap();
    let text = config_text(&config.build().unwrap_err());
    assert!(text.contains(&format!("accounts.a.{expected}")), "{text}");
}

/// What a preset fills in beside is no slip of the user's.
#[tokio::test(start_paused = true)]
async fn a_presets_own_cost_goes_with_the_window_that_counted_it() {
    use reqwest_tollgate::distributors::trusted_parts;
    let only_requests = Quota::new(Quota::DEFAULT)
        .window(Window::per_minute(9))
        .window(Window::per_minute(9).unit("rows"));
    let account = trusted_parts::account("company", "key")
        .quota(only_requests)
        .build()
        .unwrap();
    let permit = account.permit("/v2/search", &RequestOptions::new()).await;
    permit.unwrap().unsent();
}
