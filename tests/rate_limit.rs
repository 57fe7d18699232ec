//! Stories about the limiter, under paused time and without sockets.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{
    API, Events, Stub, Terminal, acme, answer, client, contact, millis, noon, seconds, send_all,
};
use http::Extensions;
use reqwest::StatusCode;
use reqwest_middleware::ClientBuilder;
use reqwest_tollgate::{
    Account, Error, ErrorKind, Event, Pacing, Priority, Quota, QuotaSnapshot, Recovery,
    RequestOptions, Window,
};
use tokio::time::{Instant, sleep, timeout};

fn our_error(result: &reqwest_middleware::Result<reqwest::Response>) -> &Error {
    Error::find(result.as_ref().expect_err("an error")).expect("an error of ours")
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_limit_leave_in_any_window() {
    let account = acme().window("3/10s".parse().unwrap()).build().unwrap();
    let stub = Stub::answering([]);
    send_all(&client(&account, &stub), 7).await;
    assert_eq!(stub.arrivals(), [0, 0, 0, 10, 10, 10, 20]);
}

#[tokio::test(start_paused = true)]
async fn a_spread_window_lets_one_go_after_the_other() {
    let window = Window::new(6, seconds(10)).pacing(Pacing::Spread);
    let account = acme().window(window).build().unwrap();
    let stub = Stub::answering([]);
    send_all(&client(&account, &stub), 8).await;
    // Six fill ten seconds from end to end, and the seventh is the first of the next ten.
    assert_eq!(stub.arrivals(), [0, 2, 4, 6, 8, 10, 12, 14]);
}

#[tokio::test(start_paused = true)]
async fn after_an_unforeseen_rejection_the_line_is_released_evenly() {
    let account = acme().window("6/10s".parse().unwrap()).build().unwrap();
    let first = AtomicUsize::new(0);
    let stub = Stub::new(move |_| match first.fetch_add(1, Ordering::Relaxed) {
        0 => contact(),
        1..4 => answer(429).header("retry-after", 5).after(millis(1)),
        _ => answer(200),
    });
    send_all(&client(&account, &stub), 6).await;
    // The whole limit at once; then the probe, and nobody with it.
    let arrivals = stub.arrivals();
    assert_eq!(arrivals[..6], [0, 0, 0, 0, 0, 0]);
    // Those six still count, since some servers count what they reject.
    assert_eq!(arrivals[6..], [10, 12, 14]);
}

#[tokio::test(start_paused = true)]
async fn a_request_counts_from_the_arrival_of_its_answer() {
    let account = acme().window("1/10s".parse().unwrap()).build().unwrap();
    let stub = Stub::new(|_| answer(200).after(seconds(4)));
    send_all(&client(&account, &stub), 2).await;
    assert_eq!(stub.arrivals(), [0, 14]);
}

#[tokio::test(start_paused = true)]
async fn several_windows_hold_at_once() {
    let account = acme()
        .window("2/s".parse().unwrap())
        .window("4/10s".parse().unwrap())
        .build()
        .unwrap();
    let stub = Stub::answering([]);
    send_all(&client(&account, &stub), 6).await;
    assert_eq!(stub.arrivals(), [0, 0, 1, 1, 10, 10]);
}

#[tokio::test(start_paused = true)]
async fn a_utc_day_begins_anew_at_midnight_with_one_probe() {
    let account = acme()
        .window(Window::per_utc_day(2))
        .options(RequestOptions::new().max_wait(seconds(24 * 60 * 60)))
        .build()
        .unwrap();
    let stub = Stub::new(|_| answer(200).after(seconds(1)));
    send_all(&client(&account, &stub), 4).await;
    let midnight = 12 * 60 * 60;
    // Two seconds of margin for the server's clock; the second of the new day waits for the probe.
    assert_eq!(stub.arrivals(), [0, 0, midnight + 2, midnight + 3]);
}

#[tokio::test(start_paused = true)]
async fn a_day_of_six_hours_behind_utc_begins_anew_at_six() {
    let account = acme()
        .window(Window::per_local_day(2, "-06:00"))
        .options(RequestOptions::new().max_wait(seconds(24 * 60 * 60)))
        .build()
        .unwrap();
    let stub = Stub::answering([]);
    send_all(&client(&account, &stub), 4).await;
    // It is noon in UTC.
    let midnight = (12 + 6) * 60 * 60;
    assert_eq!(stub.arrivals(), [0, 0, midnight + 2, midnight + 2]);
}

#[tokio::test(start_paused = true)]
async fn a_raise_lets_those_go_who_wait_where_raises_are_followed() {
    for (follow, arrivals) in [
        (true, [0, 0, 1, 1, 1, 1, 11, 11]),
        (false, [0, 0, 11, 11, 22, 22, 33, 33]),
    ] {
        let window: Window = "2/10s".parse().unwrap();
        let window = window
            .limit_header("x-ratelimit-limit")
            .follow_raises(follow);
        let account = acme().window(window).build().unwrap();
        let stub = Stub::new(|_| answer(200).header("x-ratelimit-limit", 6).after(seconds(1)));
        send_all(&client(&account, &stub), 8).await;
        assert_eq!(stub.arrivals(), arrivals, "follows: {follow}");
        let limit = account.quotas()[0].windows()[0].limit;
        assert_eq!(limit, if follow { 6 } else { 2 });
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_leave_in_the_order_they_came() {
    let account = acme().window("1/s".parse().unwrap()).build().unwrap();
    let stub = Stub::answering([]);
    send_all(&client(&account, &stub), 50).await;
    let paths: Vec<_> = stub.seen().into_iter().map(|seen| seen.path).collect();
    let expected: Vec<_> = (0..50).map(|number| format!("/{number}")).collect();
    assert_eq!(paths, expected);
}

fn paths(stub: &Stub) -> Vec<String> {
    stub.seen().into_iter().map(|seen| seen.path).collect()
}

#[tokio::test(start_paused = true)]
async fn of_those_who_wait_the_higher_priority_leaves_first() {
    let account = acme().window("1/s".parse().unwrap()).build().unwrap();
    let stub = Stub::answering([]);
    let client = client(&account, &stub);
    let of = |name: &'static str, priority| {
        let options = RequestOptions::new().priority(priority);
        let request = client.get(format!("{API}/{name}"));
        request.with_extension(options).send()
    };
    let _ = tokio::join!(
        of("first", Priority::Low),
        of("low", Priority::Low),
        of("normal-1", Priority::Normal),
        client.get(format!("{API}/normal-2")).send(),
        of("high-1", Priority::High),
        of("high-2", Priority::High),
    );
    assert_eq!(
        paths(&stub),
        [
            "/first",
            "/high-1",
            "/high-2",
            "/normal-1",
            "/normal-2",
            "/low"
        ]
    );
    assert_eq!(stub.arrivals(), [0, 1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_priority_has_that_of_its_account() {
    let account = acme()
        .window("1/s".parse().unwrap())
        .options(RequestOptions::new().priority(Priority::Low))
        .build()
        .unwrap();
    let stub = Stub::answering([]);
    let client = client(&account, &stub);
    let get = |name| client.get(format!("{API}/{name}"));
    let normal = RequestOptions::new().priority(Priority::Normal);
    let _ = tokio::join!(
        get("first").send(),
        get("silent").send(),
        get("normal").with_extension(normal).send(),
    );
    assert_eq!(paths(&stub), ["/first", "/normal", "/silent"]);
}

#[tokio::test(start_paused = true)]
async fn a_low_priority_does_not_wait_for_ever() {
    let account = acme()
        .window("1/10min".parse().unwrap())
        .options(RequestOptions::new().max_wait(seconds(24 * 60 * 60)))
        .build()
        .unwrap();
    let stub = Stub::answering([]);
    let client = client(&account, &stub);
    client.get(API).send().await.unwrap();
    // Two urgent ones for each permit, for five hours.
    let urgent = (0..60).map(|number| {
        let options = RequestOptions::new().priority(Priority::High);
        let request = client.get(format!("{API}/high")).with_extension(options);
        async move {
            sleep(seconds(number * 5 * 60)).await;
            request.send().await
        }
    });
    let low = RequestOptions::new().priority(Priority::Low);
    let low = client.get(format!("{API}/low")).with_extension(low).send();
    let _ = tokio::join!(low, futures_util::future::join_all(urgent));
    let place = paths(&stub).iter().position(|path| path == "/low").unwrap();
    // Behind the very first and the twenty-four that came in the two hours after it.
    assert_eq!(place, 25);
}

#[tokio::test(start_paused = true)]
async fn the_reserve_of_a_day_is_for_high_priority() {
    let account = acme()
        .window(Window::per_utc_day(5).reserve(2))
        .build()
        .unwrap();
    let stub = Stub::answering([]);
    let client = client(&account, &stub);
    let results = send_all(&client, 4).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 3);
    let refused = our_error(&results[3]);
    assert_eq!(refused.kind(), ErrorKind::QuotaExceeded);
    let urgent = RequestOptions::new().priority(Priority::High);
    for is_left in [true, true, false] {
        let request = client.get(API).with_extension(urgent.clone());
        assert_eq!(request.send().await.is_ok(), is_left);
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_waits_for_tomorrow_does_not_keep_the_reserve_from_others() {
    let account = acme()
        .window(Window::per_utc_day(2).reserve(1))
        .options(RequestOptions::new().max_wait(seconds(24 * 60 * 60)))
        .build()
        .unwrap();
    let stub = Stub::answering([]);
    let client = client(&account, &stub);
    let urgent = async {
        sleep(seconds(3 * 60 * 60)).await;
        let options = RequestOptions::new().priority(Priority::High);
        client.get(API).with_extension(options).send().await
    };
    let (normal, urgent) = tokio::join!(send_all(&client, 2), urgent);
    assert!(urgent.is_ok() && normal.iter().all(Result::is_ok));
    let hour = 60 * 60;
    assert_eq!(stub.arrivals(), [0, 3 * hour, 12 * hour + 2]);
}

#[test]
fn a_reserve_of_everything_is_refused() {
    let built = acme().window(Window::per_minute(5).reserve(5)).build();
    let text = built.unwrap_err().to_string();
    assert!(text.contains("leaves nothing"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_replay_keeps_its_priority_and_its_place() {
    let account = acme().window("2/min".parse().unwrap()).build().unwrap();
    let rejection = |after| {
        let rejected = answer(429).header("retry-after", 60);
        rejected.after(millis(after))
    };
    let stub = Stub::answering([rejection(1), rejection(1)]);
    let client = client(&account, &stub);
    let of = |name: &'static str, priority, after| {
        let options = RequestOptions::new().priority(priority);
        let request = client.get(format!("{API}/{name}"));
        async move {
            sleep(millis(after)).await;
            request.with_extension(options).send().await
        }
    };
    let _ = tokio::join!(
        of("low", Priority::Low, 0),
        of("high", Priority::High, 0),
        of("later-normal", Priority::Normal, 30_000),
        of("later-low", Priority::Low, 30_000),
        of("later-high", Priority::High, 30_000),
    );
    assert_eq!(
        paths(&stub)[2..],
        [
            "/high",
            "/later-high",
            "/later-normal",
            "/low",
            "/later-low"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_429_stops_everybody_then_one_probe_goes_first() {
    let account = acme().window("100/10s".parse().unwrap()).build().unwrap();
    let stub = Stub::answering([
        answer(429).header("retry-after", 7).after(millis(10)),
        answer(200).after(millis(10)),
        answer(200).after(millis(500)),
    ]);
    let client = client(&account, &stub);
    let first = send_all(&client, 2);
    let rest = async {
        sleep(seconds(1)).await;
        send_all(&client, 3).await
    };
    let (first, rest) = tokio::join!(first, rest);
    assert!(
        first
            .iter()
            .chain(&rest)
            .all(|result| result.as_ref().unwrap().status() == 200)
    );
    let arrivals: Vec<_> = stub.seen().iter().map(|seen| seen.at.as_millis()).collect();
    assert_eq!(arrivals, [0, 0, 7_010, 7_510, 7_612, 7_714]);
    assert_eq!(
        stub.seen()[2].path,
        "/0",
        "the rejected request keeps its place"
    );
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_came_back_401_lets_nobody_go_before_its_replay_is_answered() {
    let account = acme().header("X-Key", "k").build().unwrap();
    let stub = Stub::answering([
        answer(200).after(millis(1)),
        answer(429).header("retry-after", 5).after(millis(1)),
        answer(401).after(millis(1)),
        answer(200).after(millis(500)),
    ]);
    let client = client(&account, &stub);
    client.get(API).send().await.unwrap();
    let others = async {
        sleep(seconds(1)).await;
        send_all(&client, 4).await
    };
    let (probe, _) = tokio::join!(client.get(API).send(), others);
    assert_eq!(probe.unwrap().status(), StatusCode::OK);
    let arrivals: Vec<_> = stub.seen().iter().map(|seen| seen.at.as_millis()).collect();
    assert_eq!(arrivals[..4], [0, 1, 5_002, 5_003], "the key works");
    assert!(arrivals[4..].iter().all(|at| *at >= 5_503), "{arrivals:?}");
}

#[tokio::test(start_paused = true)]
async fn who_is_in_a_hurry_waits_for_the_probes_answer_and_is_not_refused_for_its_patience() {
    let account = acme().build().unwrap();
    let stub = Stub::answering([
        answer(429).header("retry-after", 7),
        answer(200).after(millis(500)),
    ]);
    let client = client(&account, &stub);
    let hurried = async {
        sleep(millis(7_100)).await;
        let options = RequestOptions::new()
            .timeout(seconds(2))
            .max_wait(seconds(1));
        client.get(API).with_extension(options).send().await
    };
    let (probe, hurried) = tokio::join!(client.get(API).send(), hurried);
    assert_eq!(probe.unwrap().status(), StatusCode::OK);
    assert_eq!(hurried.unwrap().status(), StatusCode::OK);
    assert_eq!(stub.arrivals(), [0, 7, 7]);
}

#[tokio::test(start_paused = true)]
async fn retry_after_may_be_a_date() {
    let date = httpdate::fmt_http_date(noon() + seconds(30));
    let account = acme().build().unwrap();
    let stub = Stub::answering([answer(429).header("retry-after", date)]);
    send_all(&client(&account, &stub), 1).await;
    assert_eq!(stub.arrivals(), [0, 30]);
}

#[tokio::test(start_paused = true)]
async fn a_503_with_retry_after_is_a_rejection_and_one_without_is_not() {
    let account = acme().build().unwrap();
    let stub = Stub::answering([
        answer(503).header("retry-after", 5),
        answer(200),
        answer(503),
    ]);
    let client = client(&account, &stub);
    assert_eq!(
        send_all(&client, 1).await[0].as_ref().unwrap().status(),
        200
    );
    assert_eq!(
        send_all(&client, 1).await[0].as_ref().unwrap().status(),
        503
    );
    assert_eq!(stub.arrivals(), [0, 5, 5]);
}

#[tokio::test(start_paused = true)]
async fn retry_after_on_a_200_is_ignored() {
    let account = acme().build().unwrap();
    let stub = Stub::new(|_| answer(200).header("retry-after", 3600));
    send_all(&client(&account, &stub), 3).await;
    assert_eq!(stub.arrivals(), [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn after_the_last_replay_the_caller_gets_the_servers_answer() {
    let account = acme().max_replays(2).build().unwrap();
    let stub = Stub::new(|_| answer(429).header("retry-after", 1));
    let result = send_all(&client(&account, &stub), 1)
        .await
        .remove(0)
        .unwrap();
    assert_eq!(result.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(result.text().await.unwrap(), "answer 429");
    assert_eq!(stub.arrivals(), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_replay_carries_the_whole_request() {
    let account = acme().build().unwrap();
    let stub = Stub::answering([answer(429).header("retry-after", 1)]);
    let request = client(&account, &stub)
        .post(API)
        .header("x-own", "kept")
        .body("{\"n\":1}");
    request.send().await.unwrap();
    let replay = &stub.seen()[1];
    assert_eq!(replay.body.as_deref(), Some(b"{\"n\":1}".as_slice()));
    assert_eq!(replay.headers["x-own"], "kept");
}

#[tokio::test(start_paused = true)]
async fn a_stream_gets_its_429_back() {
    let account = acme().build().unwrap();
    let stub = Stub::answering([answer(429).header("retry-after", 1)]);
    let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>("part")]);
    let body = reqwest::Body::wrap_stream(chunks);
    let response = client(&account, &stub)
        .post(API)
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(stub.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_a_body_factory_is_sent_again_whole() {
    let account = acme().build().unwrap();
    let stub = Stub::answering([answer(429).header("retry-after", 1)]);
    let made = Arc::new(AtomicUsize::new(0));
    let stream = || {
        let chunks = ["first ", "second"].map(Ok::<_, std::io::Error>);
        reqwest::Body::wrap_stream(futures_util::stream::iter(chunks))
    };
    let counter = made.clone();
    let options = RequestOptions::new().body_factory(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        stream()
    });
    let request = client(&account, &stub)
        .put(API)
        .header("x-own", "kept")
        .body(stream());
    let response = request.with_extension(options).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(made.load(Ordering::Relaxed), 1, "not for the first attempt");
    let seen = stub.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|seen| seen.headers["x-own"] == "kept"));
}

#[tokio::test(start_paused = true)]
async fn a_spent_day_fails_everybody_at_once_with_the_reset_time() {
    let account = acme().build().unwrap();
    let stub = Stub::answering([answer(429).header("retry-after", 28_416)]);
    let results = send_all(&client(&account, &stub), 3).await;
    let error = our_error(&results[0]);
    assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
    assert_eq!(
        error.recovery(),
        // By one answer alone, an hour; then one goes and asks again.
        Recovery::WaitUntil(noon() + seconds(3_600))
    );
    assert_eq!(error.status(), Some(StatusCode::TOO_MANY_REQUESTS));
    let begun = Instant::now();
    let late = send_all(&client(&account, &stub), 5).await;
    assert!(
        late.iter()
            .all(|result| our_error(result).kind() == ErrorKind::QuotaExceeded)
    );
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_spent_day_also_fails_those_who_wait_already() {
    let account = acme().window("1/day".parse().unwrap()).build().unwrap();
    let stub = Stub::answering([answer(429).header("retry-after", 28_416).after(seconds(1))]);
    let begun = Instant::now();
    let results = send_all(&client(&account, &stub), 20).await;
    assert!(
        results
            .iter()
            .all(|result| our_error(result).kind() == ErrorKind::QuotaExceeded)
    );
    assert_eq!(begun.elapsed(), seconds(1));
}

#[tokio::test(start_paused = true)]
async fn a_day_that_somebody_else_spent_is_seen_in_the_first_answer() {
    let window = Window::per_utc_day(1000).remaining_header("x-ratelimit-remaining");
    let window = window.reset_header("x-ratelimit-reset");
    let account = acme().window(window).build().unwrap();
    let stub = Stub::new(|_| {
        answer(200)
            .header("x-ratelimit-remaining", 0)
            .header("x-ratelimit-reset", 9_000)
    });
    let client = client(&account, &stub);
    assert!(send_all(&client, 1).await[0].is_ok());
    let results = send_all(&client, 2).await;
    let until = our_error(&results[0]).recovery();
    // One answer alone is believed for an hour.
    assert_eq!(until, Recovery::WaitUntil(noon() + seconds(3_600)));
    assert_eq!(stub.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_unforeseen_zero_without_a_reset_is_probed_by_one_after_a_tenth_of_the_window() {
    let window = Window::per_minute(10).remaining_header("x-ratelimit-remaining");
    let account = acme().window(window).build().unwrap();
    let spent = answer(200).header("x-ratelimit-remaining", 0);
    let stub = Stub::answering([
        spent.clone(),
        spent.after(seconds(1)),
        answer(200).after(seconds(1)),
    ]);
    let client = client(&account, &stub);
    send_all(&client, 1).await;
    send_all(&client, 4).await;
    assert_eq!(stub.arrivals(), [0, 6, 13, 14, 14]);
}

#[tokio::test(start_paused = true)]
async fn two_policies_in_two_header_lines_reach_their_windows() {
    let account = acme()
        .window("10/10s".parse().unwrap())
        .window(Window::per_utc_day(1000))
        .build()
        .unwrap();
    let stub = Stub::answering([answer(200)
        .header("ratelimit", r#""burst"; r=4; t=9"#)
        .header("ratelimit", r#""day"; r=321; t=600"#)
        .header("ratelimit-policy", r#""burst"; q=5; w=10; pk=:Yg==:"#)
        .header("ratelimit-policy", r#""day"; q=1000; w=86400; pk=:Yg==:"#)]);
    let response = client(&account, &stub).get(API).send().await.unwrap();
    let snapshot = response.extensions().get::<QuotaSnapshot>().unwrap();
    let windows = snapshot.windows().iter();
    let known: Vec<_> = windows.map(|it| (it.limit, it.remaining)).collect();
    assert_eq!(known, [(5, 4), (1000, 321)]);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_covers_the_wait_for_a_permit() {
    let account = acme().window("1/60s".parse().unwrap()).build().unwrap();
    let stub = Stub::answering([answer(200).after(seconds(30))]);
    let client = client(&account, &stub);
    let urgent = RequestOptions::new().timeout(seconds(2));
    let begun = Instant::now();
    let hurried = async {
        sleep(millis(1)).await;
        client.get(API).with_extension(urgent).send().await
    };
    let (_, hurried) = tokio::join!(client.get(API).send(), hurried);
    assert_eq!(our_error(&hurried).kind(), ErrorKind::DeadlineExceeded);
    assert_eq!(begun.elapsed(), seconds(30));
    assert_eq!(stub.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_the_timeout_is_not_begun() {
    let account = acme().window("1/60s".parse().unwrap()).build().unwrap();
    let stub = Stub::answering([]);
    let client = client(&account, &stub);
    client.get(API).send().await.unwrap();
    let begun = Instant::now();
    let options = RequestOptions::new().deadline(noon() + seconds(59));
    let result = client.get(API).with_extension(options).send().await;
    assert_eq!(our_error(&result).kind(), ErrorKind::DeadlineExceeded);
    assert_eq!(
        our_error(&result).recovery(),
        // A minute by the server's clock, which may run slower than ours.
        Recovery::WaitUntil(noon() + millis(60_031))
    );
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_waiter_leaves_its_place_to_those_behind() {
    let account = acme().window("1/10s".parse().unwrap()).build().unwrap();
    let stub = Stub::answering([]);
    let client = client(&account, &stub);
    client.get(API).send().await.unwrap();
    let (dropped, kept) = tokio::join!(
        timeout(seconds(5), client.get(format!("{API}/dropped")).send()),
        async {
            sleep(seconds(1)).await;
            client.get(format!("{API}/kept")).send().await
        }
    );
    assert!(dropped.is_err());
    assert!(kept.is_ok());
    assert_eq!(stub.arrivals(), [0, 10]);
    assert_eq!(stub.seen()[1].path, "/kept");
}

#[tokio::test(start_paused = true)]
async fn a_request_dropped_in_flight_counts_until_its_drop_and_a_window() {
    let account = acme().window("1/10s".parse().unwrap()).build().unwrap();
    let stub = Stub::answering([answer(200).after(seconds(60))]);
    let client = client(&account, &stub);
    assert!(timeout(seconds(3), client.get(API).send()).await.is_err());
    client.get(API).send().await.unwrap();
    assert_eq!(stub.arrivals(), [0, 13]);
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_does_not_hold_its_place_for_ever() {
    let account = acme()
        .window("1/10s".parse().unwrap())
        .unanswered_after(seconds(20))
        .build()
        .unwrap();
    let stub = Stub::answering([answer(200).after(seconds(100_000))]);
    let client = client(&account, &stub);
    let hanging = tokio::spawn(client.get(API).send());
    sleep(millis(1)).await;
    client.get(API).send().await.unwrap();
    assert_eq!(stub.arrivals(), [0, 30]);
    hanging.abort();
}

#[tokio::test(start_paused = true)]
async fn max_in_flight_bounds_what_is_on_the_wire() {
    let account = acme().max_in_flight(3).build().unwrap();
    let stub = Stub::new(|_| answer(200).after(seconds(1)));
    send_all(&client(&account, &stub), 9).await;
    assert_eq!(stub.most_in_flight(), 3);
    // Two, until the first is answered.
    assert_eq!(stub.arrivals(), [0, 0, 1, 1, 1, 2, 2, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_the_next() {
    let account = acme()
        .window("1/10s".parse().unwrap())
        .max_queue(2)
        .build()
        .unwrap();
    let stub = Stub::answering([]);
    let results = send_all(&client(&account, &stub), 4).await;
    assert_eq!(our_error(&results[3]).kind(), ErrorKind::QueueFull);
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 3);
}

#[tokio::test(start_paused = true)]
async fn foreign_origins_pass_unmetered() {
    let account = acme().window("1/60s".parse().unwrap()).build().unwrap();
    let stub = Stub::new(|_| answer(429).header("retry-after", 60));
    let client = client(&account, &stub);
    for _ in 0..3 {
        let response = client
            .get("https://datasheets.example/lm358.pdf")
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 429);
        assert!(response.extensions().get::<QuotaSnapshot>().is_none());
    }
    assert_eq!(stub.arrivals(), [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn two_accounts_on_one_client_do_not_meter_each_other() {
    let acme = acme().window("1/60s".parse().unwrap()).build().unwrap();
    let other = Account::builder("other", "https://api.other.example")
        .clock(reqwest_tollgate::PausedClock::starting_at(noon()))
        .window("2/60s".parse().unwrap())
        .build()
        .unwrap();
    let stub = Stub::answering([]);
    let builder = other.attach(acme.attach(ClientBuilder::new(reqwest::Client::new())));
    let client = builder.with(Terminal(stub.clone())).build();
    client.get(API).send().await.unwrap();
    client
        .get("https://api.other.example/1")
        .send()
        .await
        .unwrap();
    client
        .get("https://api.other.example/2")
        .send()
        .await
        .unwrap();
    assert_eq!(stub.arrivals(), [0, 0, 0]);
    assert_eq!(acme.quotas()[0].windows()[0].remaining, 0);
    assert_eq!(other.quotas()[0].windows()[0].remaining, 0);
}

#[tokio::test(start_paused = true)]
async fn an_account_attached_twice_does_not_meter_twice() {
    let account = acme().window("2/60s".parse().unwrap()).build().unwrap();
    let stub = Stub::answering([]);
    let builder = account.attach(account.attach(ClientBuilder::new(reqwest::Client::new())));
    let client = builder.with(Terminal(stub.clone())).build();
    send_all(&client, 2).await;
    assert_eq!(stub.arrivals(), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn clones_and_handles_share_the_quota() {
    let account = acme().window("1/60s".parse().unwrap()).build().unwrap();
    let hurried = account.with_options(RequestOptions::new().max_wait(seconds(1)));
    let stub = Stub::answering([]);
    client(&account.clone(), &stub)
        .get(API)
        .send()
        .await
        .unwrap();
    let result = client(&hurried, &stub).get(API).send().await;
    assert_eq!(our_error(&result).kind(), ErrorKind::QuotaExceeded);
}

#[tokio::test(start_paused = true)]
async fn quotas_are_chosen_by_the_longest_path_or_by_option() {
    let account = acme()
        .window("9/60s".parse().unwrap())
        .quota(
            Quota::new("products")
                .path("/products/")
                .window("9/60s".parse().unwrap()),
        )
        .quota(
            Quota::new("pricing")
                .path("/products/pricing/")
                .window("9/60s".parse().unwrap()),
        )
        .quota(Quota::new("bulk").window("9/60s".parse().unwrap()))
        .build()
        .unwrap();
    let stub = Stub::answering([]);
    let client = client(&account, &stub);
    let quota_of = async |path: &str, options: RequestOptions| {
        let url = format!("{API}{path}");
        let response = client
            .get(url)
            .with_extension(options)
            .send()
            .await
            .unwrap();
        response
            .extensions()
            .get::<QuotaSnapshot>()
            .unwrap()
            .quota()
            .to_owned()
    };
    let none = RequestOptions::new;
    assert_eq!(quota_of("/products/1", none()).await, "products");
    assert_eq!(quota_of("/products/pricing/1", none()).await, "pricing");
    assert_eq!(quota_of("/orders", none()).await, "default");
    assert_eq!(quota_of("/products/1", none().quota("bulk")).await, "bulk");
    let unknown = client
        .get(API)
        .with_extension(none().quota("bluk"))
        .send()
        .await;
    assert_eq!(our_error(&unknown).kind(), ErrorKind::Config);
    assert!(
        our_error(&unknown)
            .to_string()
            .contains("default, products, pricing, bulk")
    );
}

#[tokio::test(start_paused = true)]
async fn a_429_on_one_quota_does_not_stop_another() {
    let account = acme()
        .quota(Quota::new("slow").path("/slow"))
        .build()
        .unwrap();
    let stub = Stub::answering([answer(429).header("retry-after", 60)]);
    let client = client(&account, &stub);
    let fast = async {
        sleep(seconds(1)).await;
        client.get(format!("{API}/fast")).send().await
    };
    let (slow, fast) = tokio::join!(client.get(format!("{API}/slow")).send(), fast);
    assert!(slow.is_ok() && fast.is_ok());
    assert_eq!(stub.arrivals(), [0, 1, 60]);
}

#[tokio::test(start_paused = true)]
async fn a_response_says_what_is_left() {
    let account = acme()
        .window("10/10s".parse().unwrap())
        .window(Window::per_utc_day(1000))
        .build()
        .unwrap();
    let stub = Stub::answering([answer(200)
        .header("x-burstlimit-limit", 10)
        .header("x-burstlimit-remaining", 9)
        .header("x-ratelimit-limit", 1000)
        .header("x-ratelimit-remaining", 321)]);
    let response = client(&account, &stub).get(API).send().await.unwrap();
    let snapshot = response.extensions().get::<QuotaSnapshot>().unwrap();
    let left: Vec<_> = snapshot
        .windows()
        .iter()
        .map(|window| window.remaining)
        .collect();
    assert_eq!(left, [9, 321]);
    let midnight = noon() + seconds(12 * 60 * 60);
    assert_eq!(snapshot.windows()[1].reset, Some(midnight));
}

#[tokio::test(start_paused = true)]
async fn nothing_stays_in_extensions_that_the_caller_owns() {
    let account = acme().build().unwrap();
    let stub = Stub::answering([answer(200), answer(200).after(seconds(60))]);
    let client = client(&account, &stub);
    let mut extensions = Extensions::new();
    let request = || reqwest::Request::new(http::Method::GET, API.parse().unwrap());
    client
        .execute_with_extensions(request(), &mut extensions)
        .await
        .unwrap();
    assert!(extensions.is_empty());
    let dropped = client.execute_with_extensions(request(), &mut extensions);
    assert!(timeout(seconds(1), dropped).await.is_err());
    assert!(extensions.is_empty());
}

#[tokio::test(start_paused = true)]
async fn limits_without_credentials_stack() {
    let company = Account::builder("company", API)
        .clock(reqwest_tollgate::PausedClock::starting_at(noon()))
        .window("3/60s".parse().unwrap())
        .build()
        .unwrap();
    let team = acme().window("2/10s".parse().unwrap()).build().unwrap();
    let stub = Stub::answering([]);
    let builder = ClientBuilder::new(reqwest::Client::new()).with(company.rate_limit());
    let client = builder
        .with(team.rate_limit())
        .with(Terminal(stub.clone()))
        .build();
    send_all(&client, 4).await;
    assert_eq!(stub.arrivals(), [0, 0, 10, 60]);
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_an_event() {
    let events = Events::default();
    let account = acme()
        .observer(events.observer())
        .request_id_header("X-Request-Id")
        .build()
        .unwrap();
    let stub = Stub::answering([answer(429)
        .header("retry-after", 1)
        .header("x-request-id", "r-1")]);
    client(&account, &stub).get(API).send().await.unwrap();
    assert_eq!(
        events.count(|event| matches!(event, Event::Answered { .. })),
        2
    );
    let named = |event: &Event| matches!(event, Event::QuotaRejected { request_id: Some(id), .. } if id == "r-1");
    assert_eq!(events.count(named), 1);
    assert_eq!(
        events.count(|event| matches!(event, Event::Replayed { attempt: 1, .. })),
        1
    );
    assert_eq!(
        events.count(|event| matches!(event, Event::Waited { .. })),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_named_header_that_cannot_be_read_is_reported_once_for_each_name() {
    let (events, account) = (Events::default(), acme());
    let window = Window::per_minute(100).remaining_header("X-Left");
    let lists = Quota::new("lists").path("/lists").window(window.clone());
    let account = account
        .observer(events.observer())
        .window(window.reset_header("X-Reset"))
        .quota(lists)
        .build()
        .unwrap();
    let stub = Stub::new(|request| match request.url().path() {
        "/late" => answer(200).header("x-left", 7).header("x-reset", "P1M"),
        _ => answer(200)
            .header("x-left", "38/40")
            .header("x-reset", "6m0s"),
    });
    let client = client(&account, &stub);
    for path in ["", "/lists", "", "/late", "/late"] {
        client.get(format!("{API}{path}")).send().await.unwrap();
    }
    let reported = |wanted: &str, text: &str| {
        events.count(|event| match event {
            Event::HeaderUnreadable {
                quota,
                name,
                example,
            } => &**quota == Quota::DEFAULT && *name == wanted && example == text,
            _ => false,
        })
    };
    assert_eq!(
        (reported("x-left", "38/40"), reported("x-reset", "P1M")),
        (1, 1)
    );
    let all = events.count(|event| matches!(event, Event::HeaderUnreadable { .. }));
    assert_eq!(all, 2);
}

#[tokio::test(start_paused = true)]
async fn a_hostile_server_cannot_stop_the_account_for_good() {
    let account = acme().window("5/10s".parse().unwrap()).build().unwrap();
    let stub = Stub::new(|_| {
        answer(200)
            .header("x-ratelimit-limit", 0)
            .header("x-ratelimit-remaining", "-1")
            .header("x-ratelimit-reset", "99999999999999999999")
            .header("retry-after", "NaN")
    });
    let results = send_all(&client(&account, &stub), 10).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(stub.arrivals(), [0, 0, 0, 0, 0, 10, 10, 10, 10, 10]);
}

#[tokio::test(start_paused = true)]
async fn every_wait_for_a_permit_is_told_once_however_it_ends() {
    let events = Events::default();
    let options = RequestOptions::new().timeout(seconds(60));
    let account = acme()
        .window(Window::new(1, seconds(10)))
        .observer(events.observer())
        .options(options)
        .build()
        .unwrap();
    let stub = Stub::answering([]);
    let client = client(&account, &stub);
    let get = || client.get(format!("{API}/x")).send();
    let waits = || events.count(|event| matches!(event, Event::Waited { .. }));
    get().await.unwrap();
    assert_eq!(waits(), 0, "there was a permit");
    get().await.unwrap();
    assert_eq!(waits(), 1, "granted");
    assert!(timeout(seconds(3), get()).await.is_err());
    assert_eq!(waits(), 2, "gone away");
    assert_eq!(stub.count(), 2);
}

/// A vendor that tells what is left only when it rejects would leave no news to go by.
#[tokio::test(start_paused = true)]
async fn one_rejection_that_tells_of_others_does_not_slow_the_next_minutes_to_a_crawl() {
    let account = acme().window(Window::per_minute(120)).build().unwrap();
    let spent = answer(429)
        .header("retry-after", 1)
        .header("x-ratelimit-limit", 120)
        .header("x-ratelimit-remaining", 0)
        .header("x-ratelimit-reset", 1);
    let stub = Stub::answering([spent]);
    let client = client(&account, &stub);
    assert!(send_all(&client, 12).await.iter().all(Result::is_ok));
    let last = *stub.arrivals().iter().max().unwrap();
    assert!(last <= 1 + 12, "the last of twelve left after {last} s");
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_told_as_it_is_now_though_nobody_has_sent_anything_for_long() {
    let account = acme().window("3/min".parse().unwrap()).build().unwrap();
    let stub = Stub::answering([]);
    send_all(&client(&account, &stub), 3).await;
    let left = || account.quotas()[0].windows()[0].remaining;
    assert_eq!(left(), 0);
    sleep(seconds(61)).await;
    assert_eq!(left(), 3);
}
