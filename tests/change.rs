//! Stories about quotas that change while requests wait and fly, under paused time.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used)]

mod common;

use common::{API, Events, Stub, acme, answer, client, millis, seconds, send_all};
use reqwest_tollgate::{Account, ErrorKind, Event, Quota, RequestOptions, Window};
use tokio::time::sleep;

fn default(window: &str) -> Quota {
    Quota::new(Quota::DEFAULT).window(window.parse().unwrap())
}

fn left(account: &Account) -> Vec<(u64, u64)> {
    let quotas = account.quotas();
    let windows = quotas[0].windows().iter();
    windows
        .map(|window| (window.limit, window.remaining))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_higher_limit_lets_those_go_who_wait() {
    let account = acme().window("2/min".parse().unwrap()).build().unwrap();
    let stub = Stub::answering([]);
    let client = client(&account, &stub);
    let change = async {
        sleep(seconds(10)).await;
        account.set_quota(default("5/min")).unwrap();
    };
    tokio::join!(send_all(&client, 6), change);
    assert_eq!(stub.arrivals(), [0, 0, 10, 10, 10, 60]);
}

#[tokio::test(start_paused = true)]
async fn a_lower_limit_counts_what_is_answered_and_what_flies() {
    let account = acme().window("5/min".parse().unwrap()).build().unwrap();
    let stub = Stub::after_contact(|_| answer(200).after(seconds(4)));
    let client = client(&account, &stub);
    let change = async {
        sleep(seconds(2)).await;
        account.set_quota(default("2/min")).unwrap();
        assert_eq!(left(&account), [(2, 0)]);
    };
    tokio::join!(send_all(&client, 7), change);
    // One until a minute after its answer, four until one after theirs; then two.
    assert_eq!(stub.arrivals(), [0, 0, 0, 0, 0, 64, 64]);
}

#[tokio::test(start_paused = true)]
async fn a_window_that_is_gone_holds_nobody_back() {
    let windows = ["10/s", "2/day"].map(|text| text.parse::<Window>().unwrap());
    let [second, day] = windows;
    let account = acme().window(second.clone()).window(day).build().unwrap();
    let stub = Stub::answering([]);
    let client = client(&account, &stub);
    send_all(&client, 2).await;
    client.get(API).send().await.expect_err("the day is spent");
    account
        .set_quota(Quota::new(Quota::DEFAULT).window(second))
        .unwrap();
    assert_eq!(left(&account), [(10, 8)]);
    client.get(API).send().await.unwrap();
    account.set_quota(Quota::new(Quota::DEFAULT)).unwrap();
    send_all(&client, 50).await;
    assert_eq!(stub.count(), 53);
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_is_added_takes_its_paths_and_the_windows_of_the_default_one() {
    let account = acme().window("1/min".parse().unwrap()).build().unwrap();
    let stub = Stub::answering([]);
    let client = client(&account, &stub);
    account
        .set_quota(Quota::new("search").path("/search/"))
        .unwrap();
    for path in ["x", "search/x"] {
        client.get(format!("{API}/{path}")).send().await.unwrap();
    }
    assert_eq!(stub.arrivals(), [0, 0]);
    let names: Vec<_> = account
        .quotas()
        .iter()
        .map(|quota| quota.quota().to_owned())
        .collect();
    assert_eq!(names, ["default", "search"]);
    // Its path goes with the next one of its name.
    account
        .set_quota(Quota::new("search").window(Window::per_hour(9)))
        .unwrap();
    client.get(format!("{API}/search/x")).send().await.unwrap();
    assert_eq!(stub.arrivals(), [0, 0, 60]);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_changes_nothing() {
    let account = acme()
        .window("5/min".parse().unwrap())
        .quota(Quota::new("search").path("/search/"))
        .build()
        .unwrap();
    let bad = [
        (default("5/s").window(Window::per_hour(0)), "at least 1"),
        (Quota::new(" "), "without a name"),
        (Quota::new("x").path("x"), "with its slash"),
        (Quota::new("x").path("/search/"), "is a path of the quota"),
    ];
    for (quota, told) in bad {
        let error = account.set_quota(quota).expect_err(told);
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(told), "{error}");
    }
    assert_eq!(left(&account), [(5, 5)]);
    assert_eq!(account.quotas().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_window_without_header_names_keeps_those_it_replaces_and_late_answers_are_no_news() {
    let day = Window::per_day(100).remaining_header("x-left");
    let account = acme().window(day).build().unwrap();
    let stub = Stub::new(|_| answer(200).header("x-left", 3).after(seconds(5)));
    let client = client(&account, &stub);
    let change = async {
        sleep(seconds(1)).await;
        account.set_quota(default("50/day")).unwrap();
        sleep(seconds(10)).await;
        assert_eq!(left(&account), [(50, 49)], "it answers to the old windows");
    };
    let (first, ()) = tokio::join!(client.get(API).send(), change);
    first.unwrap();
    client.get(API).send().await.unwrap();
    assert_eq!(left(&account), [(50, 3)]);
}

/// The requests keep what they knew of the quota when they came; the count is one.
#[tokio::test(start_paused = true)]
async fn who_flies_waits_or_is_sent_again_while_the_quota_changes_twice_counts_once() {
    let account = acme().window("1/min".parse().unwrap()).build().unwrap();
    let rejection = answer(429).header("retry-after", 1).after(seconds(4));
    let stub = Stub::answering([rejection]);
    let client = client(&account, &stub);
    let change = async {
        sleep(seconds(1)).await;
        account.set_quota(default("2/min")).unwrap();
        sleep(seconds(1)).await;
        account.set_quota(default("4/min")).unwrap();
        assert_eq!(left(&account), [(4, 1)]);
    };
    tokio::join!(send_all(&client, 3), change);
    assert_eq!(stub.arrivals(), [0, 1, 2, 5]);
    assert_eq!(left(&account), [(4, 0)]);
}

/// One that may be shared, and one that is too long for that.
fn named() -> [Window; 2] {
    let named = |window: Window| window.limit_header("x-limit").remaining_header("x-left");
    [Window::per_minute(10), Window::per_day(10)].map(named)
}

type Forget = fn(&Account, Quota);

/// Each way to say that what was learned does not hold.
const WAYS: [Forget; 2] = [
    |account, quota| account.reopen(quota.name()).unwrap(),
    |account, quota| account.set_quota(quota).unwrap(),
];

#[tokio::test(start_paused = true)]
async fn reopened_a_quota_forgets_all_that_was_learned_but_not_what_was_used() {
    let cases = WAYS.map(|forget| named().map(|window| (forget, window)));
    for (forget, window) in cases.into_iter().flatten() {
        let events = Events::default();
        let account = acme()
            .window(window.clone())
            .options(RequestOptions::new().max_wait(seconds(30)))
            .observer(events.observer());
        let account = account.build().unwrap();
        let closed = answer(429).header("retry-after", 50).after(millis(1));
        let told = answer(200).header("x-limit", 4).header("x-left", 0);
        let told = told.header("x-ratelimit-reset", 50).after(millis(2));
        let stub = Stub::answering([closed, told]);
        let client = client(&account, &stub);
        let results = send_all(&client, 2).await;
        assert!(results[0].is_err() && results[1].is_ok());
        assert_eq!(left(&account), [(4, 0)]);
        assert!(account.quotas()[0].blocked_until().is_some());
        forget(&account, Quota::new(Quota::DEFAULT).window(window));
        assert_eq!(left(&account), [(10, 8)]);
        assert_eq!(account.quotas()[0].windows()[0].reset, None);
        assert_eq!(account.quotas()[0].blocked_until(), None);
        let forgotten = |event: &Event| matches!(event, Event::EvidenceForgotten { .. });
        assert_eq!(events.count(forgotten), 1);
        // At once, and not spread, as after the rejection.
        send_all(&client, 8).await;
        assert_eq!(stub.arrivals(), [0; 10]);
    }
}

#[tokio::test(start_paused = true)]
async fn reopened_a_quota_lets_those_go_who_wait_and_backs_off_as_at_first() {
    for forget in WAYS {
        let account = acme().build().unwrap();
        let stub = Stub::answering([
            answer(429).after(millis(1)),
            answer(429).after(millis(1)),
            answer(429).header("retry-after", 40).after(millis(1)),
            answer(429).after(millis(1)),
        ]);
        let client = client(&account, &stub);
        let change = async {
            sleep(seconds(10)).await;
            forget(&account, Quota::new(Quota::DEFAULT));
        };
        tokio::join!(send_all(&client, 1), change);
        // A second, two, as long as was told; and again a second.
        let arrivals: Vec<_> = stub.seen().iter().map(|seen| seen.at.as_millis()).collect();
        assert_eq!(arrivals[..4], [0, 1_001, 3_002, 10_000]);
        assert_eq!(stub.count(), 4, "these were its replays");
        send_all(&client, 1).await;
        assert_eq!(stub.seen()[4].at.as_millis(), 11_001);
    }
}

#[tokio::test(start_paused = true)]
async fn reopened_what_is_no_quota_is_an_error_that_names_those_there_are() {
    let account = acme().quota(Quota::new("search")).build().unwrap();
    let error = account.reopen("serach").expect_err("there is none");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("default, search"), "{error}");
    account.reopen("search").unwrap();
}
