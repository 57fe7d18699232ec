//! The invariants R1 to R9 of the limiter, each of the whole stack under paused time.
//!
//! R4 and R5 have their stories in `failure_modes.rs`, R6 in `stack.rs`, R9 in `rate_limit.rs`
//! (`a_spent_day_fails_everybody_at_once_with_the_reset_time`).

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used)]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{API, Answer, Stub, acme, answer, client, counted, millis, seconds};
use futures_util::future::join_all;
use proptest::prelude::*;
use reqwest_tollgate::{RequestOptions, Window};
use tokio::time::{Instant, sleep, timeout};

const CASES: u32 = 160;

/// No story takes so long by its own time; one in which somebody waits for ever ends by it.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

fn under_paused_time<T>(story: impl Future<Output = T>) -> T {
    let ended = common::under_paused_time(async { timeout(PATIENCE, story).await });
    ended.expect("somebody waits for ever")
}

/// How a server counts, by its own clock.
#[derive(Clone, Copy, Debug)]
enum Kind {
    FixedWindow(Duration),
    SlidingLog,
    TokenBucket,
}

/// What the headers tell of the window, with the reset in whole seconds.
#[derive(Clone, Copy, Debug)]
enum Headers {
    Silent,
    Floored,
    Ceiled,
}

/// A server of one window.
struct Server {
    kind: Kind,
    limit: usize,
    window: Duration,
    headers: Headers,
    /// By how many parts in a million its clock runs too slow.
    drift: u32,
    accepted: Vec<Duration>,
    rejected: usize,
}

impl Server {
    fn used(&self, now: Duration) -> f64 {
        let since = |begin: Duration| self.accepted.iter().filter(|at| **at >= begin).count();
        match self.kind {
            Kind::FixedWindow(phase) => {
                let into = (now + phase).as_nanos() % self.window.as_nanos();
                let into = Duration::from_nanos(u64::try_from(into).unwrap());
                since(now.saturating_sub(into)) as f64
            }
            Kind::SlidingLog => {
                let counts = |at: &&Duration| **at + self.window > now;
                self.accepted.iter().filter(counts).count() as f64
            }
            Kind::TokenBucket => {
                let rate = self.limit as f64 / self.window.as_secs_f64();
                let (mut used, mut last) = (0.0_f64, Duration::ZERO);
                for at in &self.accepted {
                    used = (used - (*at - last).as_secs_f64() * rate).max(0.0) + 1.0;
                    last = *at;
                }
                (used - (now - last).as_secs_f64() * rate).max(0.0)
            }
        }
    }

    fn reset(&self, now: Duration) -> f64 {
        let span = match self.kind {
            Kind::FixedWindow(phase) => {
                let into = (now + phase).as_secs_f64() % self.window.as_secs_f64();
                self.window.as_secs_f64() - into
            }
            Kind::SlidingLog => {
                let last = self.accepted.last().copied().unwrap_or_default();
                (last + self.window).saturating_sub(now).as_secs_f64()
            }
            Kind::TokenBucket => self.used(now) * self.window.as_secs_f64() / self.limit as f64,
        };
        match self.headers {
            Headers::Floored => span.floor(),
            _ => span.ceil(),
        }
    }

    fn answer(&mut self, now: Duration) -> Answer {
        let now = now - now * self.drift / 1_000_000;
        let accepts = self.used(now) + 1.0 <= self.limit as f64 + 1e-9;
        if accepts {
            self.accepted.push(now);
        } else {
            self.rejected += 1;
        }
        let answer = answer(if accepts { 200 } else { 429 });
        if matches!(self.headers, Headers::Silent) {
            return answer;
        }
        let left = (self.limit as f64 - self.used(now)).max(0.0).floor();
        answer
            .header("x-ratelimit-limit", self.limit)
            .header("x-ratelimit-remaining", left)
            .header("x-ratelimit-reset", self.reset(now))
    }
}

/// Workers, ways there and back, and every so manyth request given up after so long.
#[derive(Clone, Debug)]
struct Load {
    workers: usize,
    ways: Vec<(u64, u64)>,
    given_up: (usize, u64),
}

fn load() -> impl Strategy<Value = Load> {
    let ways = prop_oneof![Just(3_u64), Just(300), Just(2500)]
        .prop_flat_map(|longest| prop::collection::vec((0..longest, 0..longest), 1..20));
    (1..40_usize, ways, (1..10_usize, 0..4000_u64)).prop_map(|(workers, ways, given_up)| Load {
        workers,
        ways,
        given_up,
    })
}

/// How many the server rejected of six limits' worth of requests.
async fn rejections(server: Server, load: Load) -> usize {
    let limit = server.limit;
    let account = acme()
        .window(Window::new(limit as u64, server.window))
        .max_replays(0)
        .build()
        .unwrap();
    let server = Arc::new(Mutex::new(server));
    let begun = Instant::now();
    let (sent, arrived) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (there, back) = (load.ways.clone(), load.ways);
    let enforcing = server.clone();
    let stub = Stub::distant(
        move || millis(there[sent.fetch_add(1, Ordering::Relaxed) % there.len()].0),
        move |_| {
            let way = back[arrived.fetch_add(1, Ordering::Relaxed) % back.len()].1;
            let answer = enforcing.lock().unwrap().answer(begun.elapsed());
            answer.after(millis(way))
        },
    );
    let client = client(&account, &stub);
    let taken = AtomicUsize::new(0);
    join_all((0..load.workers).map(|_| async {
        loop {
            let number = taken.fetch_add(1, Ordering::Relaxed);
            if number >= limit * 6 {
                return;
            }
            let send = client.get(API).send();
            match number % load.given_up.0 {
                0 => drop(timeout(millis(load.given_up.1), send).await),
                _ => drop(send.await.unwrap()),
            }
        }
    }))
    .await;
    server.lock().unwrap().rejected
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    /// R1: whatever overtakes what, whoever gives up, and whatever the headers make of it.
    #[test]
    fn no_server_has_to_reject_a_lone_client(
        kind in prop_oneof![
            (0..2000_u64).prop_map(|phase| Kind::FixedWindow(millis(phase))),
            Just(Kind::SlidingLog),
            Just(Kind::TokenBucket),
        ],
        limit in 1..30_usize,
        headers in prop_oneof![
            2 => Just(Headers::Silent),
            1 => Just(Headers::Floored),
            1 => Just(Headers::Ceiled),
        ],
        drift in 0..500_u32,
        load in load(),
    ) {
        let (window, accepted) = (seconds(2), Vec::new());
        let server = Server { kind, limit, window, headers, drift, accepted, rejected: 0 };
        prop_assert_eq!(under_paused_time(rejections(server, load)), 0);
    }

    /// R2: others take part of the limit while ours fly; in whatever order our answers come back,
    /// no more leaves in this window than the last one the server gave allows.
    #[test]
    fn answers_in_any_order_leave_no_more_room_than_the_lowest_of_them(
        others in prop::collection::vec(0..3_u64, 6),
        delays in prop::collection::vec(1..900_u64, 6),
    ) {
        const LIMIT: u64 = 30;
        // The first of all tells nothing of what is left.
        let ours = others.len() as u64 + 1;
        let by_others: u64 = others.iter().sum();
        let told: Vec<u64> = others
            .iter()
            .scan(0, |sum, more| {
                *sum += more + 1;
                Some(LIMIT - 1 - *sum)
            })
            .collect();
        let left = under_paused_time(async move {
            let options = RequestOptions::new().max_wait(Duration::ZERO);
            let window = Window::new(LIMIT, seconds(100));
            let account = acme().window(window).options(options).build().unwrap();
            let arrived = AtomicUsize::new(0);
            let stub = Stub::new(move |_| {
                let Some(number) = arrived.fetch_add(1, Ordering::Relaxed).checked_sub(1) else {
                    return common::contact();
                };
                let Some(left) = told.get(number) else {
                    return answer(200);
                };
                answer(200)
                    .header("x-ratelimit-limit", LIMIT)
                    .header("x-ratelimit-remaining", left)
                    .header("x-ratelimit-reset", 100)
                    .after(millis(delays[number]))
            });
            let client = client(&account, &stub);
            common::send_all(&client, 1).await;
            common::send_all(&client, 6).await;
            common::send_all(&client, LIMIT as usize).await;
            stub.count() as u64 - ours
        });
        let most = LIMIT - ours - by_others;
        prop_assert!(left <= most, "{left} of {most}");
        // Where others take part, some is left to them.
        prop_assert!(by_others > 0 || left == most, "{left} of {most}");
    }

    /// R3: what cannot be understood is as good as absent.
    #[test]
    fn malformed_headers_change_nothing(
        fields in prop::collection::vec((0..FIELDS.len(), 0..GARBAGE.len()), 1..6),
        statuses in prop::collection::vec(prop_oneof![4 => Just(200_u16), 1 => Just(429)], 1..12),
    ) {
        let run = |headers: Vec<(&'static str, &'static str)>| {
            let statuses = statuses.clone();
            under_paused_time(async move {
                let account = acme().window("4/10s".parse().unwrap()).build().unwrap();
                let arrived = AtomicUsize::new(0);
                let stub = Stub::new(move |_| {
                    let number = arrived.fetch_add(1, Ordering::Relaxed);
                    let status = statuses.get(number).copied().unwrap_or(200);
                    let answer = answer(status).after(millis(100));
                    headers.iter().fold(answer, |answer, (name, value)| answer.header(name, value))
                });
                common::send_all(&client(&account, &stub), 12).await;
                stub.seen().iter().map(|seen| seen.at).collect::<Vec<_>>()
            })
        };
        let malformed = fields.iter().map(|(field, value)| (FIELDS[*field], GARBAGE[*value]));
        prop_assert_eq!(run(malformed.collect()), run(Vec::new()));
    }

    /// R8: those who give up before their turn have never been there for the others.
    #[test]
    fn a_cancelled_waiter_leaves_nothing_behind(
        gone in prop::collection::vec(prop::option::of(1..9_900_u64), 1..30),
    ) {
        let run = |waiting: Vec<Option<u64>>| {
            under_paused_time(async move {
                let account = acme().window("3/10s".parse().unwrap()).build().unwrap();
                let stub = Stub::answering([]);
                let client = client(&account, &stub);
                common::send_all(&client, 3).await;
                join_all(waiting.into_iter().enumerate().map(|(number, gone)| {
                    let send = client.get(format!("{API}/{number}")).send();
                    async move {
                        match gone {
                            Some(after) => assert!(timeout(millis(after), send).await.is_err()),
                            None => drop(send.await.unwrap()),
                        }
                    }
                }))
                .await;
                let health = account.quotas()[0].windows().to_vec();
                let times = stub.seen().iter().map(|seen| seen.at).collect::<Vec<_>>();
                (times, health)
            })
        };
        let staying = gone.iter().filter(|gone| gone.is_none());
        let expected = run(staying.copied().collect());
        prop_assert_eq!(run(gone), expected);
    }

    /// R7: in the order of arrival, each woken once for its permit.
    #[test]
    fn waiters_leave_in_order_and_are_woken_once_for_each_grant(
        limit in 1..20_usize,
        waiters in 1..120_usize,
        pause in prop_oneof![Just(0), 1..50_u64],
    ) {
        let (order, polls) = under_paused_time(async move {
            let account = acme().window(Window::new(limit as u64, seconds(2))).build().unwrap();
            let stub = Stub::answering([]);
            let client = client(&account, &stub);
            let mut tasks = Vec::new();
            for number in 0..waiters {
                let send = client.get(format!("{API}/{number}")).send();
                tasks.push(tokio::spawn(counted(send)));
                match pause {
                    0 => tokio::task::yield_now().await,
                    _ => sleep(millis(pause)).await,
                }
            }
            let mut polls = 0;
            for task in tasks {
                let (answer, polled) = task.await.unwrap();
                answer.unwrap();
                polls += polled;
            }
            let order: Vec<_> = stub.seen().iter().map(|seen| seen.path.clone()).collect();
            (order, polls)
        });
        let expected: Vec<_> = (0..waiters).map(|number| format!("/{number}")).collect();
        prop_assert_eq!(order, expected);
        // To come, and to be granted. Whose timer another set is woken once more where an answer
        // moves it. In rounds that is one of many; else maybe everybody.
        let heads = match pause {
            0 => waiters.div_ceil(limit),
            _ => waiters,
        };
        let most = 2 * waiters + heads;
        prop_assert!(polls <= most, "{} polls, {} expected", polls, most);
    }
}

const FIELDS: [&str; 8] = [
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "ratelimit",
    "ratelimit-policy",
    "ratelimit-reset",
    "x-burstlimit-remaining",
    "retry-after",
];

const GARBAGE: [&str; 12] = [
    "",
    "-5",
    "NaN",
    "inf",
    "soon",
    "1.2.3",
    "0x10",
    "+5",
    "=",
    "\"burst;r=5",
    "1e300",
    "--",
];
