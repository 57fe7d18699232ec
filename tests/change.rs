//! Stories about quotas that change while requests wait and fly, under paused time.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used)]

mod common;

use common::{API, Stub, acme, answer, client, seconds, send_all};
use reqwest_tollgate::{Account, ErrorKind, Quota, Window};
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
    let stub = Stub::new(|_| answer(200).after(seconds(4)));
    let client = client(&account, &stub);
    let change = async {
        sleep(seconds(2)).await;
        account.set_quota(default("2/min")).unwrap();
        assert_eq!(left(&account), [(2, 0)]);
    };
    tokio::join!(send_all(&client, 7), change);
    // Five until a minute after their answers; then two, and two.
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
