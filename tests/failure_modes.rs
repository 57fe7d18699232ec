//! What went wrong in limiters elsewhere, each as a story in which ours has to do better.
//!
//! | failure                                        | test                                          |
//! |------------------------------------------------|-----------------------------------------------|
//! | a stale `remaining` is believed                | here; `live.rs`: `no_order_of_the_answers_…`  |
//! | a lock is held across a sleep                  | here; clippy denies `await_holding_lock`      |
//! | who waited once goes without asking again      | here                                          |
//! | a capacity below zero                          | here                                          |
//! | the reset is taken for the window              | here                                          |
//! | check, then take: a race                       | here                                          |
//! | a herd at the release                          | here; `line/tests.rs`: `…_two_then_four_…`    |
//! | late 429s cut again                            | here; `pace.rs`: `the_late_rejections_of_…`   |
//! | an unbounded `Retry-After`                     | here; `headers/tests.rs`: `hostile_values_…`  |
//! | a cancelled waiter keeps its place             | `limiter_properties.rs`                       |
//! | a sleep of no length spins                     | here                                          |

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used)]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{
    API, Stub, acme, answer, client, contact, millis, noon, paused_runtime, seconds, send_all,
    watched,
};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest_tollgate::{
    Account, BoxFuture, Clock, Error, ErrorKind, Now, Pacing, PausedClock, Quota, Recovery,
    RequestOptions, SystemClock, Window,
};
use tokio::time::{Instant, advance, sleep};

/// discord.py lets more leave than the limit once an answer overtakes another and tells of more.
#[tokio::test(start_paused = true)]
async fn a_stale_remaining_gives_nothing_back() {
    let account = acme().window("5/10s".parse().unwrap()).build().unwrap();
    let arrived = AtomicUsize::new(0);
    // The first to arrive is the last to be answered, and tells of the most left.
    let stub = Stub::new(move |_| {
        let number = arrived.fetch_add(1, Ordering::Relaxed) as u64 % 5;
        answer(200)
            .header("x-ratelimit-limit", 5)
            .header("x-ratelimit-remaining", 4 - number)
            .header("x-ratelimit-reset", 10)
            .after(millis(500 - 100 * number))
    });
    send_all(&client(&account, &stub), 11).await;
    let arrivals: Vec<_> = stub.seen().iter().map(|seen| seen.at).collect();
    assert_eq!(arrivals.len(), 11);
    for burst in arrivals.windows(6) {
        assert!(burst[5] - burst[0] >= seconds(10), "{arrivals:?}");
    }
}

/// An answer that was under way while the window began anew tells of the one before.
#[tokio::test(start_paused = true)]
async fn an_answer_of_the_window_before_raises_no_limit_and_stops_nobody() {
    let window: Window = "5/10s".parse().unwrap();
    let window = window
        .limit_header("x-ratelimit-limit")
        .remaining_header("x-ratelimit-remaining")
        .reset_header("x-ratelimit-reset");
    let account = acme().window(window).build().unwrap();
    let permit = || account.try_permit(API, &RequestOptions::new()).unwrap();
    let first = permit().unwrap();
    assert!(first.answered(StatusCode::OK, &told(5, 4, 10)).is_none());
    let old = [permit().unwrap(), permit().unwrap()];
    // The server's window ends, and its next one allows less.
    sleep(seconds(2)).await;
    let new = permit().unwrap();
    sleep(millis(100)).await;
    assert!(new.answered(StatusCode::OK, &told(3, 2, 10)).is_none());
    let window = || account.quotas()[0].windows()[0].clone();
    let known = window();
    assert_eq!((known.limit, known.remaining), (3, 0), "two fly");
    for (permit, stale) in old.into_iter().zip([told(5, 4, 1), told(3, 0, 1)]) {
        sleep(millis(100)).await;
        assert!(permit.answered(StatusCode::OK, &stale).is_none());
        let now = window();
        assert_eq!((now.limit, now.reset), (known.limit, known.reset));
    }
    assert!(permit().is_none(), "the limit that is in force is reached");
    sleep(seconds(10)).await;
    assert!(permit().is_some());
}

/// What a cache kept told the truth when it was asked last, not now (RFC 9111 section 5.1).
#[tokio::test(start_paused = true)]
async fn a_cached_answer_tells_nothing_of_the_quota() {
    for (age, left) in [("3600", 8), ("1", 8), ("0", 0)] {
        let account = acme().window("9/60s".parse().unwrap()).build().unwrap();
        let stub = Stub::answering([answer(200)
            .header("age", age)
            .header("x-ratelimit-limit", 9)
            .header("x-ratelimit-remaining", 0)
            .header("x-ratelimit-reset", 60)]);
        let client = client(&account, &stub);
        client.get(API).send().await.unwrap();
        let window = account.quotas()[0].windows()[0].clone();
        assert_eq!((window.limit, window.remaining), (9, left), "age {age}");
        assert_eq!(window.reset.is_some(), left == 0, "age {age}");
        send_all(&client, 8).await;
        let at_once = stub.arrivals().iter().filter(|at| **at == 0).count();
        assert_eq!(at_once as u64, 1 + left, "age {age}");
    }
}

/// What a server says of limit, remaining and reset.
fn told(limit: u64, remaining: u64, reset: u64) -> HeaderMap {
    let names = ["limit", "remaining", "reset"];
    let fields = names.into_iter().zip([limit, remaining, reset]);
    let field = |(name, value)| {
        let name = HeaderName::try_from(format!("x-ratelimit-{name}")).unwrap();
        (name, HeaderValue::from(value))
    };
    fields.map(field).collect()
}

/// serenity stalls. A lock held across a sleep lets one 429 delay other URLs: by 2.9 s, once.
#[test]
fn nobody_holds_a_lock_while_it_waits() {
    // Who finds a lock held hangs with its thread, and so would a test that does not watch it.
    watched(|| paused_runtime().block_on(others_go_on_while_one_waits()));
}

async fn others_go_on_while_one_waits() {
    let account = acme()
        .window("1/60s".parse().unwrap())
        .quota(
            Quota::new("other")
                .path("/other")
                .window("9/s".parse().unwrap()),
        )
        .build()
        .unwrap();
    let stub = Stub::answering([]);
    let client = client(&account, &stub);
    client.get(API).send().await.unwrap();
    let waiting = tokio::spawn(client.get(API).send());
    sleep(seconds(1)).await;
    let begun = Instant::now();
    // Of the same quota, and so of the same lock.
    let options = RequestOptions::new();
    assert!(account.try_permit(API, &options).unwrap().is_none());
    assert_eq!(account.quotas()[0].windows()[0].remaining, 0);
    account.charge(Quota::DEFAULT, "requests", 1).unwrap();
    let impatient = RequestOptions::new().max_wait(Duration::ZERO);
    let permit = account.permit(API, &impatient).await;
    assert_eq!(permit.expect_err("spent").kind(), ErrorKind::QuotaExceeded);
    // Of another quota of the account, and of none.
    for url in [&*format!("{API}/other"), "https://elsewhere.example"] {
        client.get(url).send().await.unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert!(!waiting.is_finished());
    waiting.abort();
}

/// Retry layers sleep for the first `Retry-After` and then send, whatever was said meanwhile.
#[tokio::test(start_paused = true)]
async fn who_waited_once_asks_again_before_it_goes() {
    let account = acme().window("9/min".parse().unwrap()).build().unwrap();
    let stub = Stub::answering([
        answer(429).header("retry-after", 30),
        // To the probe: another while.
        answer(429).header("retry-after", 40).after(seconds(1)),
    ]);
    let client = client(&account, &stub);
    let (first, _) = tokio::join!(client.get(API).send(), async {
        sleep(seconds(1)).await;
        send_all(&client, 5).await
    });
    assert_eq!(first.unwrap().status(), 200);
    let arrivals = stub.arrivals();
    assert_eq!(arrivals[..3], [0, 30, 71], "{arrivals:?}");
    assert_eq!(arrivals.len(), 8);
}

/// A count without a sign that goes below zero is a limit without end; one with a sign waits for
/// what never comes.
#[tokio::test(start_paused = true)]
async fn a_limit_lowered_beneath_what_is_used_is_no_negative_capacity() {
    let window: Window = "10/10s".parse().unwrap();
    let window = window.limit_header("x-ratelimit-limit");
    let account = acme().window(window).build().unwrap();
    let stub = Stub::after_contact(|_| {
        answer(200)
            .header("x-ratelimit-limit", 4)
            .header("x-ratelimit-reset", 10)
            .after(seconds(1))
    });
    let client = client(&account, &stub);
    send_all(&client, 10).await;
    let window = account.quotas()[0].windows()[0].clone();
    assert_eq!((window.limit, window.remaining), (4, 0));
    send_all(&client, 6).await;
    let arrivals = stub.arrivals();
    let late = arrivals.iter().filter(|at| **at >= 11).count();
    assert_eq!((arrivals.len(), late), (16, 6), "{arrivals:?}");
    assert!(arrivals[15] < 60, "{arrivals:?}");
}

/// The time to the reset is what is left of the window, not its length.
#[tokio::test(start_paused = true)]
async fn the_reset_is_not_taken_for_the_window() {
    let account = acme().window("3/10s".parse().unwrap()).build().unwrap();
    let stub = Stub::new(|_| {
        answer(200)
            .header("x-ratelimit-limit", 3)
            .header("x-ratelimit-reset", 2)
    });
    let client = client(&account, &stub);
    send_all(&client, 3).await;
    // The reset has come, but what left a moment ago still counts.
    sleep(seconds(5)).await;
    send_all(&client, 4).await;
    assert_eq!(stub.arrivals(), [0, 0, 0, 10, 10, 10, 20]);
    assert_eq!(account.quotas()[0].windows()[0].length, Some(seconds(10)));
}

/// Who looks first and takes later lets two have the last one.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn looking_and_taking_are_one_step() {
    const LIMIT: usize = 300;
    let account = Account::builder("acme", API)
        .window(Window::per_day(LIMIT as u64))
        .options(RequestOptions::new().max_wait(Duration::ZERO))
        .clock(SystemClock)
        .build()
        .unwrap();
    let stub = Stub::answering([]);
    let tasks = (0..16).map(|_| {
        let client = client(&account, &stub);
        tokio::spawn(async move {
            for _ in 0..50 {
                let _ = client.get(API).send().await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(stub.count(), LIMIT);
}

/// octokit and every retry library release all who waited at the same moment.
#[tokio::test(start_paused = true)]
async fn after_a_pause_there_is_no_herd() {
    let window = Window::new(500, seconds(10)).pacing(Pacing::Burst);
    let account = acme().window(window).build().unwrap();
    let first = AtomicUsize::new(0);
    let stub = Stub::new(move |_| match first.fetch_add(1, Ordering::Relaxed) {
        0 => answer(429).header("retry-after", 5),
        _ => answer(200).after(seconds(1)),
    });
    let client = client(&account, &stub);
    let _ = tokio::join!(client.get(API).send(), async {
        sleep(millis(1)).await;
        send_all(&client, 30).await
    });
    let arrivals = stub.arrivals();
    let in_second = |second| arrivals.iter().filter(|at| **at == second).count();
    assert_eq!([5, 6, 7, 8].map(in_second), [1, 2, 4, 8]);
}

/// A limiter that cuts the rate for each 429 takes one burst for many.
#[tokio::test(start_paused = true)]
async fn the_late_429s_of_one_burst_cut_the_rate_once() {
    let account = acme().window("11/10s".parse().unwrap()).build().unwrap();
    let arrived = AtomicUsize::new(0);
    let stub = Stub::new(move |_| match arrived.fetch_add(1, Ordering::Relaxed) {
        0 => contact(),
        number @ 1..11 => answer(429)
            .header("retry-after", 2)
            .after(millis(1 + 100 * number as u64)),
        _ => answer(200),
    });
    send_all(&client(&account, &stub), 11).await;
    let after: Vec<_> = stub.seen()[11..].iter().map(|seen| seen.at).collect();
    let gaps: Vec<_> = after.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // Spread at the full rate, 10 s by 10 and what the way may shift: not at 0.7 of it, nor less.
    assert_eq!(after.len(), 10);
    assert!(
        gaps.iter().skip(1).all(|gap| *gap < millis(1200)),
        "{gaps:?}"
    );
}

/// Whoever sleeps for as long as anybody says sleeps for years.
#[tokio::test(start_paused = true)]
async fn no_retry_after_makes_anybody_sleep_for_years() {
    let account = acme().window("9/10s".parse().unwrap()).build().unwrap();
    let stub = Stub::answering([answer(429).header("retry-after", "99999999999")]);
    let begun = Instant::now();
    let result = client(&account, &stub).get(API).send().await;
    assert_eq!(result.expect("an answer").status(), 200);
    // Nothing corroborates it: after the longest window one goes and asks again.
    assert_eq!(begun.elapsed(), seconds(10));
}

/// Who takes `Retry-After: 0` at its word sends again at once, and again.
#[tokio::test(start_paused = true)]
async fn a_retry_after_of_zero_backs_off() {
    let account = acme().window("50/10s".parse().unwrap()).build().unwrap();
    let stub = Stub::new(|_| answer(429).header("retry-after", 0));
    let answer = client(&account, &stub).get(API).send().await.unwrap();
    assert_eq!(answer.status(), 429);
    assert_eq!(stub.arrivals(), [0, 1, 3, 7]);
}

/// Keeps the length of every sleep. None of its own is shorter than the grain of tokio's timer, so
/// that a loop of those shows in their number, and ends.
#[derive(Clone)]
struct Sleeps {
    clock: PausedClock,
    spans: Arc<Mutex<Vec<Duration>>>,
}

const GRAIN: Duration = Duration::from_millis(1);

impl Sleeps {
    fn new() -> Self {
        Self {
            clock: PausedClock::starting_at(noon()),
            spans: Arc::default(),
        }
    }

    fn taken(&self) -> Vec<Duration> {
        std::mem::take(&mut *self.spans.lock().unwrap())
    }
}

impl Clock for Sleeps {
    fn now(&self) -> Now {
        self.clock.now()
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        self.spans.lock().unwrap().push(span);
        self.clock.sleep(span.max(GRAIN))
    }
}

/// `Retry-After: 0`, a reset that is over and a window that ends now are no reason to look at once,
/// and at once again.
#[tokio::test(start_paused = true)]
async fn no_sleep_is_of_no_length() {
    let sleeps = Sleeps::new();
    let account = acme()
        .window("2/1s".parse().unwrap())
        .clock(sleeps.clone())
        .build()
        .unwrap();
    let arrived = AtomicUsize::new(0);
    let stub = Stub::new(move |_| {
        let number = arrived.fetch_add(1, Ordering::Relaxed);
        answer(if number % 3 == 0 { 429 } else { 200 })
            .header("retry-after", 0)
            .header("x-ratelimit-limit", 2)
            .header("x-ratelimit-remaining", 0)
            .header("x-ratelimit-reset", 0)
    });
    send_all(&client(&account, &stub), 20).await;
    let spans = sleeps.taken();
    assert!(spans.len() > 20, "{spans:?}");
    assert!(spans.iter().all(|span| *span >= GRAIN), "{spans:?}");
    // Every arrival needs the timer once or twice; a loop would need it for ever.
    assert!(spans.len() <= 3 * stub.count(), "{} sleeps", spans.len());
}

/// Less than the timer's grain before its turn, a request that slept for what is left would find it
/// is not there yet, and sleep for less, and less.
#[tokio::test(start_paused = true)]
async fn the_last_bit_before_its_turn_nobody_sleeps_for_less_than_a_timer_can() {
    let sleeps = Sleeps::new();
    let account = acme()
        .window("1/1s".parse().unwrap())
        .clock(sleeps.clone())
        .build()
        .unwrap();
    let options = RequestOptions::new();
    let permit = account.permit(API, &options).await.unwrap();
    advance(Duration::from_micros(300)).await;
    drop(permit);
    // One looks once, which says how long it would have to sleep, and gives up.
    assert!(account.permit(API, &options).now_or_never().is_none());
    let left = *sleeps.taken().last().expect("it has to wait");
    assert!(left > millis(900), "{left:?}");
    advance(left - Duration::from_micros(400)).await;
    account.permit(API, &options).await.unwrap().unsent();
    assert_eq!(sleeps.taken(), [GRAIN]);
}
