//! How often those who wait are woken, under paused time and without sockets.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{API, acme, counted, millis, noon, seconds};
use http::{HeaderMap, StatusCode};
use reqwest_tollgate::{
    Account, BoxFuture, Clock, Now, Pacing, PausedClock, RequestOptions, Window,
};
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep, timeout};

const ANY: &str = "/part";

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
async fn all(account: &Account, options: &[RequestOptions]) -> (Vec<usize>, Instant) {
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
async fn who_leaves_one_by_one_is_woken_once_when_its_turn_is() {
    let begun = Instant::now();
    let waiters = vec![RequestOptions::new(); 300];
    let (polls, last) = all(&spread(100), &waiters).await;
    // The first does not wait; the others come, and leave.
    assert_eq!(polls[0], 1);
    assert!(polls[1..].iter().all(|polls| *polls == 2), "{polls:?}");
    let elapsed = last - begun;
    // A fiftieth is for those that come late.
    assert!(
        elapsed > millis(2_990) && elapsed < millis(3_100),
        "{elapsed:?}"
    );
}

/// Waits for a permit whose request takes a while; how often that was polled for it.
async fn wait_and_hold(account: Account) -> usize {
    let options = RequestOptions::new();
    let (permit, polls) = counted(account.permit(ANY, &options)).await;
    sleep(millis(10)).await;
    let permit = permit.unwrap();
    assert!(permit.answered(StatusCode::OK, &HeaderMap::new()).is_none());
    polls
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_answers_of_others_is_woken_once_when_its_turn_is() {
    let account = acme().max_in_flight(2).build().unwrap();
    let each = |_| tokio::spawn(wait_and_hold(account.clone()));
    let tasks: Vec<_> = (0..50).map(each).collect();
    let mut polls = Vec::new();
    for task in tasks {
        polls.push(task.await.unwrap());
    }
    // Two do not wait; of the others each comes, and leaves.
    assert_eq!(polls[..2], [1, 1]);
    assert!(polls[2..].iter().all(|polls| *polls == 2), "{polls:?}");
}

/// When each of so many left, in milliseconds since the start; none for those who gave up then.
async fn leave_at(account: &Account, give_up: &[Option<u64>]) -> Vec<Option<u64>> {
    let begun = Instant::now();
    let each = |give_up: &Option<u64>| {
        let waiter = leave(account.clone(), RequestOptions::new());
        let limit = give_up.map_or(seconds(60), millis);
        tokio::spawn(timeout(limit, waiter))
    };
    let tasks: Vec<_> = give_up.iter().map(each).collect();
    let mut times = Vec::new();
    for task in tasks {
        let left = task.await.unwrap().ok();
        times.push(left.map(|left| u64::try_from((left - begun).as_millis()).unwrap()));
    }
    times
}

#[tokio::test(start_paused = true)]
async fn the_next_takes_the_turn_of_one_that_gave_up_when_its_timer_was_set() {
    let give_up = [None, None, Some(1_500), None, None];
    let times = leave_at(&spread(1), &give_up).await;
    let whole: Vec<_> = times
        .iter()
        .map(|left| left.map(|left| left / 1_000))
        .collect();
    assert_eq!(
        whole,
        [Some(0), Some(1), None, Some(2), Some(3)],
        "{times:?}"
    );
}

/// Its sleeps by number: one may end at once, or panic.
#[derive(Clone)]
struct Faulty {
    clock: PausedClock,
    sleeps: Arc<AtomicUsize>,
    ends: Option<usize>,
    panics: Option<usize>,
}

impl Faulty {
    fn new() -> Self {
        Self {
            clock: PausedClock::starting_at(noon()),
            sleeps: Arc::default(),
            ends: None,
            panics: None,
        }
    }
}

impl Clock for Faulty {
    fn now(&self) -> Now {
        self.clock.now()
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        let number = self.sleeps.fetch_add(1, Ordering::Relaxed);
        assert_ne!(Some(number), self.panics, "no timer to be had");
        match self.ends == Some(number) {
            true => Box::pin(std::future::ready(())),
            false => self.clock.sleep(span),
        }
    }
}

/// Each in its tenth of a second.
async fn all_leave_by(clock: Faulty) {
    let window = Window::per_second(10).pacing(Pacing::Spread);
    let account = acme().window(window).clock(clock.clone()).build().unwrap();
    let times = leave_at(&account, &[None; 5]).await;
    let tenths: Vec<_> = times.iter().flatten().map(|left| left / 100).collect();
    assert_eq!(tenths, [0, 1, 2, 3, 4], "{times:?}");
    // One for each of the four who waited, and one more for who had to set its own.
    assert_eq!(clock.sleeps.load(Ordering::Relaxed), 5);
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_cannot_be_set_for_the_next_costs_nobody_its_permit() {
    let panics = Some(2);
    all_leave_by(Faulty {
        panics,
        ..Faulty::new()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_rings_while_it_is_set_for_the_next_wakes_that_one() {
    let ends = Some(2);
    all_leave_by(Faulty {
        ends,
        ..Faulty::new()
    })
    .await;
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

/// A timer rings only while its runtime is driven. In real time, as there are two of them.
#[test]
fn a_runtime_that_stops_once_it_has_its_permit_does_not_keep_the_others_waiting() {
    let window = Window::per_second(20).pacing(Pacing::Spread);
    let account = Account::builder("acme", API)
        .window(window)
        .build()
        .unwrap();
    let (stopped, driven) = (runtime(), runtime());
    let options = RequestOptions::new();
    stopped.block_on(leave(account.clone(), options.clone()));
    let mut first = Box::pin(leave(account.clone(), options.clone()));
    let come = stopped.block_on(async { futures_util::poll!(&mut first) });
    assert!(come.is_pending());
    let (in_line, comes) = std::sync::mpsc::channel();
    let second = std::thread::spawn(move || {
        driven.block_on(async move {
            let mut second = Box::pin(leave(account, options));
            assert!(futures_util::poll!(&mut second).is_pending());
            in_line.send(()).unwrap();
            // Not `timeout`, which would look once more at its end.
            tokio::select! {
                biased;
                () = sleep(seconds(10)) => false,
                _ = second => true,
            }
        })
    });
    comes.recv().unwrap();
    stopped.block_on(first);
    // It is there, but nobody drives it.
    assert!(second.join().unwrap(), "still waiting");
    drop(stopped);
}

#[tokio::test(start_paused = true)]
async fn of_many_who_leave_at_once_one_keeps_the_timer() {
    let account = acme().window("100/s".parse().unwrap()).build().unwrap();
    let waiters = vec![RequestOptions::new(); 300];
    let (polls, _) = all(&account, &waiters).await;
    // One of each hundred keeps the timer, which the answers to the others may move.
    let sum: usize = polls.iter().sum();
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
    let sum: usize = polls.iter().sum();
    assert!(sum <= 20 * 4, "{polls:?}");
}
