//! Stories about permits that are taken beside the layers, under paused time and without sockets.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used)]

mod common;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use common::{Events, Stub, acme, client, noon, seconds, send_all};
use http::{HeaderMap, StatusCode};
use reqwest_tollgate::{
    Account, ErrorKind, Event, Permit, Priority, Quota, RequestOptions, Rule, Verdict, Window,
};
use tokio::time::{Instant, timeout};

const ANY: &str = "/part";

fn ok(permit: Permit) {
    let rejected = permit.answered(StatusCode::OK, &HeaderMap::new());
    assert!(rejected.is_none());
}

fn headers(name: &'static str, value: u64) -> HeaderMap {
    HeaderMap::from_iter([(name.parse().unwrap(), value.into())])
}

fn left(account: &Account) -> u64 {
    account.quotas()[0].windows()[0].remaining
}

async fn permit(account: &Account) -> Permit {
    account.permit(ANY, &RequestOptions::new()).await.unwrap()
}

fn account(window: &str) -> Account {
    acme().window(window.parse().unwrap()).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn permits_and_requests_of_the_layers_share_one_quota() {
    let account = account("2/10s");
    let stub = Stub::answering([]);
    ok(permit(&account).await);
    send_all(&client(&account, &stub), 2).await;
    assert_eq!(stub.arrivals(), [0, 10]);
    let begun = Instant::now();
    // The one at 0 s and the permit are over; the one at 10 s still counts.
    ok(permit(&account).await);
    ok(permit(&account).await);
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_permit_whose_request_was_never_sent_is_given_back() {
    let account = account("1/10s");
    permit(&account).await.unsent();
    assert_eq!(left(&account), 1);
    ok(permit(&account).await);
    assert_eq!(left(&account), 0);
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_is_dropped_counts_as_sent() {
    let events = Events::default();
    let window = "1/10s".parse().unwrap();
    let account = acme().window(window).observer(events.observer());
    let account = account.build().unwrap();
    drop(permit(&account).await);
    assert_eq!(left(&account), 0);
    assert_eq!(events.count(|event| matches!(event, Event::Lost { .. })), 1);
    let begun = Instant::now();
    permit(&account).await.unsent();
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_waiting_leaves_no_gap() {
    let account = account("1/10s");
    ok(permit(&account).await);
    for polls in 1..4 {
        let options = RequestOptions::new();
        let mut waiting = Box::pin(account.permit(ANY, &options));
        for _ in 0..polls {
            let poll = waiting
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
            assert!(poll.is_pending());
        }
        drop(waiting);
    }
    let begun = Instant::now();
    ok(permit(&account).await);
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_permit_granted_to_one_who_is_dropped_before_it_looks_goes_back() {
    let account = account("1/10s");
    let first = permit(&account).await;
    let (options, mut context) = (RequestOptions::new(), Context::from_waker(Waker::noop()));
    let mut second = Box::pin(account.permit(ANY, &options));
    assert!(second.as_mut().poll(&mut context).is_pending());
    first.unsent();
    drop(second);
    assert!(account.try_permit(ANY, &options).unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn it_learns_from_the_headers_like_the_layer() {
    let window: Window = "10/10s".parse().unwrap();
    let window = window.remaining_header("x-ratelimit-remaining");
    let account = acme().window(window).build().unwrap();
    let headers = headers("x-ratelimit-remaining", 4);
    let rejected = permit(&account).await.answered(StatusCode::OK, &headers);
    assert!(rejected.is_none());
    assert_eq!(left(&account), 4);
}

#[tokio::test(start_paused = true)]
async fn a_rejection_closes_the_quota_and_the_rejected_goes_first() {
    let account = account("10/min");
    let headers = headers("retry-after", 30);
    let rejected = permit(&account).await;
    let rejected = rejected.answered(StatusCode::TOO_MANY_REQUESTS, &headers);
    let rejected = rejected.expect("a rejection");
    assert_eq!(rejected.until(), noon() + seconds(30));
    let options = RequestOptions::new();
    assert!(account.try_permit(ANY, &options).unwrap().is_none());

    let begun = Instant::now();
    let mut other = pin!(account.permit(ANY, &options));
    let early = timeout(seconds(29), &mut other).await;
    assert!(early.is_err(), "the quota is closed");
    let again = rejected.again().await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 30);
    // It is the probe: the other waits for its answer.
    let poll = other.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(poll.is_pending());
    ok(again);
    ok(other.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_401_nobody_comes_back_from_hands_the_probe_on() {
    let account = account("10/s");
    let rejection = headers("retry-after", 3);
    let rejected = permit(&account).await;
    let rejected = rejected.answered(StatusCode::TOO_MANY_REQUESTS, &rejection);
    let probe = rejected.expect("a rejection").again().await.unwrap();
    let options = RequestOptions::new();
    assert!(account.try_permit(ANY, &options).unwrap().is_none());
    let none = probe.answered(StatusCode::UNAUTHORIZED, &HeaderMap::new());
    assert!(none.is_none());
    tokio::time::advance(seconds(1)).await;
    assert!(account.try_permit(ANY, &options).unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_rule_may_ask_for_the_body() {
    let rule = Rule::new(403, Verdict::RateExceeded).body("too fast");
    let account = acme().window("10/10s".parse().unwrap()).rule(rule);
    let account = account.build().unwrap();
    let (status, headers) = (StatusCode::FORBIDDEN, HeaderMap::new());
    let unknown = permit(&account).await.answered(status, &headers);
    assert!(unknown.is_none(), "without the body nobody knows");
    let known = permit(&account).await;
    let known = known.answered_with(status, &headers, b"You are TOO fast");
    assert_eq!(known.expect("a rejection").until(), noon() + seconds(10));
}

#[tokio::test(start_paused = true)]
async fn path_options_and_defaults_choose_the_quota_and_its_terms() {
    let account = acme()
        .window("1/min".parse().unwrap())
        .window(Window::per_minute(5).unit("lines"))
        .quota(Quota::new("search").path("/search"))
        .build()
        .unwrap();
    let none = RequestOptions::new();
    let default = account.permit(ANY, &none).await.unwrap();
    let by_path = account.permit("/search/3", &none).await.unwrap();
    assert_eq!(
        (default.quota(), by_path.quota()),
        (Quota::DEFAULT, "search")
    );

    let impatient = account.with_options(RequestOptions::new().max_wait(seconds(1)));
    ok(default);
    let refused = impatient.permit(ANY, &none).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::QuotaExceeded);
    let unknown = RequestOptions::new().quota("nowhere");
    let refused = account.permit(ANY, &unknown).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Config);
    let costly = RequestOptions::new().cost("lines", 6);
    let refused = account.try_permit(ANY, &costly).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::CostExceedsLimit);
    let late = RequestOptions::new().timeout(seconds(1));
    let refused = account.permit(ANY, &late).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn observers_are_told_of_what_can_never_be_tried_and_not_of_what_cannot_leave_yet() {
    let events = Events::default();
    let account = acme()
        .window("1/10s".parse().unwrap())
        .window(Window::per_minute(5).unit("lines"))
        .observer(events.observer());
    let account = account.build().unwrap();
    let refused = |kind| {
        let is_told =
            |event: &Event| matches!(event, Event::Refused { error } if error.kind() == kind);
        events.count(is_told)
    };
    let costly = RequestOptions::new().cost("lines", 6);
    account.try_permit(ANY, &costly).unwrap_err();
    assert_eq!(refused(ErrorKind::CostExceedsLimit), 1);
    let unknown = RequestOptions::new().quota("nowhere");
    account.try_permit(ANY, &unknown).unwrap_err();
    assert_eq!(refused(ErrorKind::Config), 1);

    ok(permit(&account).await);
    let none = account.try_permit(ANY, &RequestOptions::new());
    assert!(none.unwrap().is_none());
    let all = events.count(|event| matches!(event, Event::Refused { .. }));
    assert_eq!(all, 2, "there will be a permit in ten seconds");
}

#[tokio::test(start_paused = true)]
async fn trying_does_not_pass_those_who_wait_and_leaves_nothing_behind() {
    let window = Window::new(5, seconds(10)).unit("lines");
    let account = acme().window(window).build().unwrap();
    let lines = |amount| RequestOptions::new().cost("lines", amount);
    let (small, large) = (lines(1), lines(4));
    let first = account.try_permit(ANY, &lines(3)).unwrap();
    assert!(account.try_permit(ANY, &large).unwrap().is_none());
    let mut second = Box::pin(account.permit(ANY, &large));
    let mut context = Context::from_waker(Waker::noop());
    assert!(second.as_mut().poll(&mut context).is_pending());
    // There is room for it, but not its turn.
    assert!(account.try_permit(ANY, &small).unwrap().is_none());
    let urgent = small.clone().priority(Priority::High);
    let urgent = account.try_permit(ANY, &urgent).unwrap();
    urgent.expect("it goes before the one who waits").unsent();
    drop(second);
    let third = account.try_permit(ANY, &small).unwrap();
    third.expect("nobody waits").unsent();
    first.expect("a permit").unsent();
    assert_eq!(left(&account), 5);
}
