//! How often those who wait are woken, under paused time and without sockets.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used)]

mod common;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use common::{acme, millis, seconds};
use http::{HeaderMap, StatusCode};
use reqwest_tollgate::{Account, Pacing, RequestOptions, Window};
use tokio::time::{Instant, sleep};

const ANY: &str = "/part";

/// Gives how often it was polled beside what came of it.
struct Counted<F> {
    inner: Pin<Box<F>>,
    polls: u64,
}

fn counted<F: Future>(inner: F) -> Counted<F> {
    let inner = Box::pin(inner);
    Counted { inner, polls: 0 }
}

impl<F: Future> Future for Counted<F> {
    type Output = (F::Output, u64);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.polls += 1;
        let polls = self.polls;
        self.inner
            .as_mut()
            .poll(context)
            .map(|output| (output, polls))
    }
}

fn spread(limit: u64) -> Account {
    let window = Window::per_second(limit).pacing(Pacing::Spread);
    acme().window(window).build().unwrap()
}

/// Waits for a permit whose request is answered at once; when it left.
async fn leave(account: Account, options: RequestOptions) -> Instant {
    let permit = account.permit(ANY, &options).await.unwrap();
    assert!(permit.answered(StatusCode::OK, &HeaderMap::new()).is_none());
    Instant::now()
}

/// How often each was polled, and when the last left.
async fn all(account: &Account, options: &[RequestOptions]) -> (Vec<u64>, Instant) {
    let each = |options: &RequestOptions| {
        let waiter = leave(account.clone(), options.clone());
        tokio::spawn(counted(waiter))
    };
    let tasks: Vec<_> = options.iter().map(each).collect();
    let mut polls = Vec::new();
    let mut last = Instant::now();
    for task in tasks {
        let (left, polled) = task.await.unwrap();
        polls.push(polled);
        last = last.max(left);
    }
    (polls, last)
}

#[tokio::test(start_paused = true)]
async fn who_leaves_one_by_one_is_woken_to_set_the_timer_and_when_it_rings() {
    let begun = Instant::now();
    let waiters = vec![RequestOptions::new(); 300];
    let (polls, last) = all(&spread(100), &waiters).await;
    // The first does not wait; the others come, become the head, and leave.
    assert_eq!(polls[0], 1);
    assert!(polls.iter().all(|polls| *polls <= 3), "{polls:?}");
    let elapsed = last - begun;
    assert!(
        elapsed > millis(2_990) && elapsed < millis(3_060),
        "{elapsed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn of_many_who_leave_at_once_one_keeps_the_timer() {
    let account = acme().window("100/s".parse().unwrap()).build().unwrap();
    let waiters = vec![RequestOptions::new(); 300];
    let (polls, _) = all(&account, &waiters).await;
    // One of each hundred keeps the timer, and is woken for that.
    let sum: u64 = polls.iter().sum();
    assert!(sum <= 100 + 200 * 2 + 2, "{polls:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_looks_in_vain_while_an_answer_is_awaited() {
    let window = Window::per_second(1_000).pacing(Pacing::Spread);
    let account = acme().window(window).max_in_flight(1).build().unwrap();
    let slow = account.permit(ANY, &RequestOptions::new()).await.unwrap();
    let waiters = tokio::spawn({
        let account = account.clone();
        async move { all(&account, &vec![RequestOptions::new(); 20]).await }
    });
    sleep(seconds(60)).await;
    assert!(slow.answered(StatusCode::OK, &HeaderMap::new()).is_none());
    let (polls, _) = waiters.await.unwrap();
    let sum: u64 = polls.iter().sum();
    assert!(sum <= 20 * 4, "{polls:?}");
}
