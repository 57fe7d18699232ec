//! Requests that wait for a quota of a thousand a second, one by one.
//!
//! First 5 000 of them beside governor's: how long until the last has left, how often each was
//! woken, and what that cost. Every request ends at a stub that answers at once, and all are there
//! from the beginning. The ideal is 5.0 s, two polls for each request (one when it comes, one when
//! its turn is), and a processor that has nothing to do in between.
//!
//! Then what one release costs at each length of the queue that is named, or at 5 000, 100 000 and
//! 1 000 000: permits without a client, so that these fit into memory. Where `priced` stands each
//! has a deadline and a price, of which the line keeps an order and sums; where `at once` stands, a
//! window opens for all that wait. The longest poll is told by the clock of the thread, and by that
//! of the wall, which on a busy machine tells of others too.
//!
//!     cargo run --release --manifest-path benches/peers/Cargo.toml --bin waiters -- [COUNT]...

use std::future::Future;
use std::num::NonZeroU32;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cpu_time::{ProcessTime, ThreadTime};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::{Extensions, HeaderMap, StatusCode};
use reqwest::{Request, Response, ResponseBuilderExt};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next, Result};
use reqwest_tollgate::{Account, AccountBuilder, Pacing, RequestOptions, Window};

const WAITERS: usize = 5_000;
const PER_SECOND: u32 = 1_000;
/// Of the queues whose releases are watched, and for how long.
const LENGTHS: [u64; 3] = [5_000, 100_000, 1_000_000];
const WATCHED: Duration = Duration::from_secs(4);
const URL: &str = "https://api.acme.example/part";

/// Answers at once.
struct Stub;

#[async_trait]
impl Middleware for Stub {
    async fn handle(&self, request: Request, _: &mut Extensions, _: Next<'_>) -> Result<Response> {
        let response = http::Response::builder()
            .url(request.url().clone())
            .body("");
        Ok(response.expect("a response").into())
    }
}

struct Governor(DefaultDirectRateLimiter);

impl reqwest_ratelimit::RateLimiter for Governor {
    async fn acquire_permit(&self) {
        self.0.until_ready().await;
    }
}

/// Counts how often a future is polled.
struct Counted<F> {
    inner: Pin<Box<F>>,
    polls: Arc<AtomicU64>,
}

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        pin!(&mut self.inner).poll(context)
    }
}

fn governor() -> ClientWithMiddleware {
    let limit = NonZeroU32::new(PER_SECOND).expect("not zero");
    let quota = Quota::per_second(limit).allow_burst(NonZeroU32::MIN);
    let limiter = Governor(RateLimiter::direct(quota));
    ClientBuilder::new(reqwest::Client::new())
        .with(reqwest_ratelimit::all(limiter))
        .with(Stub)
        .build()
}

fn ours() -> ClientWithMiddleware {
    let window = Window::per_second(PER_SECOND.into()).pacing(Pacing::Spread);
    let account = Account::builder("acme", URL)
        .window(window)
        .options(RequestOptions::new().max_wait(Duration::from_secs(60)))
        .build()
        .expect("an account");
    account
        .attach(ClientBuilder::new(reqwest::Client::new()))
        .with(Stub)
        .build()
}

async fn run(name: &str, client: ClientWithMiddleware) -> Duration {
    let polls = Arc::new(AtomicU64::new(0));
    let (start, cpu) = (Instant::now(), ProcessTime::now());
    let tasks: Vec<_> = (0..WAITERS)
        .map(|_| {
            let request = client.get(URL).send();
            tokio::spawn(Counted {
                inner: Box::pin(request),
                polls: polls.clone(),
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic").expect("an answer");
    }
    let (elapsed, cpu) = (start.elapsed(), cpu.elapsed());
    let per_waiter = polls.load(Ordering::Relaxed) as f64 / WAITERS as f64;
    println!(
        "{name:<26} {:>8.3} s {:>12.2} {:>10.0} ms",
        elapsed.as_secs_f64(),
        per_waiter,
        cpu.as_secs_f64() * 1_000.0
    );
    cpu
}

/// What the polls of all that wait have taken, in nanoseconds.
#[derive(Default)]
struct Polls {
    entered: AtomicU64,
    released: AtomicU64,
    longest_cpu: AtomicU64,
    longest_wall: AtomicU64,
}

/// Times each poll of a future.
struct Timed<F> {
    inner: Pin<Box<F>>,
    polls: Arc<Polls>,
}

impl<F: Future> Future for Timed<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let (cpu, wall) = (ThreadTime::now(), Instant::now());
        let output = self.inner.as_mut().poll(context);
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let longest = &self.polls.longest_cpu;
        longest.fetch_max(nanos(cpu.elapsed()), Ordering::Relaxed);
        let longest = &self.polls.longest_wall;
        longest.fetch_max(nanos(wall.elapsed()), Ordering::Relaxed);
        output
    }
}

async fn wait_and_leave(account: Account, options: Arc<RequestOptions>, polls: Arc<Polls>) {
    polls.entered.fetch_add(1, Ordering::Relaxed);
    let permit = account.permit("/part", &options).await.expect("a permit");
    drop(permit.answered(StatusCode::OK, &HeaderMap::new()));
    polls.released.fetch_add(1, Ordering::Relaxed);
}

/// As many come as are said, and what that shows from when all of them are there.
struct Queue {
    account: Account,
    options: RequestOptions,
    count: u64,
    /// It is watched for this long, or until the last has left.
    watched: Duration,
}

impl Queue {
    fn run(self, name: &str) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(self.watch(name));
        // Those that still wait leave now.
        drop(runtime);
    }

    async fn watch(self, name: &str) {
        let polls = Arc::new(Polls::default());
        let options = Arc::new(self.options);
        for _ in 0..self.count {
            let waits = wait_and_leave(self.account.clone(), options.clone(), polls.clone());
            tokio::spawn(Timed {
                inner: Box::pin(waits),
                polls: polls.clone(),
            });
        }
        while polls.entered.load(Ordering::Relaxed) < self.count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let released = || polls.released.load(Ordering::Relaxed);
        let (start, cpu, before) = (Instant::now(), ProcessTime::now(), released());
        while start.elapsed() < self.watched && released() < self.count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let (elapsed, cpu, released) = (start.elapsed(), cpu.elapsed(), released() - before);
        let milliseconds = |longest: &AtomicU64| longest.load(Ordering::Relaxed) as f64 / 1e6;
        println!(
            "{name:<10} {:>9} {:>12.0} {:>13.1} us {:>10.2} ms {:>8.2} ms",
            self.count,
            released as f64 / elapsed.as_secs_f64(),
            cpu.as_secs_f64() * 1e6 / released.max(1) as f64,
            milliseconds(&polls.longest_cpu),
            milliseconds(&polls.longest_wall),
        );
    }
}

fn spread() -> AccountBuilder {
    let window = Window::per_second(PER_SECOND.into()).pacing(Pacing::Spread);
    Account::builder("acme", URL).window(window)
}

fn plain(count: u64) -> Queue {
    Queue {
        account: spread().build().expect("an account"),
        options: RequestOptions::new(),
        count,
        watched: WATCHED,
    }
}

/// Each with a deadline that all can keep, and a price in a unit that is no bottleneck.
fn priced(count: u64) -> Queue {
    let lines = Window::per_hour(u64::MAX).unit("lines");
    let options = RequestOptions::new().cost("lines", 3);
    Queue {
        account: spread().window(lines).build().expect("an account"),
        options: options.timeout(Duration::from_secs(3_600)),
        count,
        watched: WATCHED,
    }
}

/// The window is full when they come, and opens for all of them.
fn at_once(count: u64) -> Queue {
    let window = Window::new(count, Duration::from_secs(20)).pacing(Pacing::Burst);
    let account = Account::builder("acme", URL).window(window);
    let account = account.build().expect("an account");
    let options = RequestOptions::new();
    for _ in 0..count {
        let permit = account.try_permit("/part", &options);
        let permit = permit.expect("no error").expect("a permit");
        drop(permit.answered(StatusCode::OK, &HeaderMap::new()));
    }
    Queue {
        account,
        options,
        count,
        watched: Duration::from_secs(60),
    }
}

const QUEUES: [(&str, fn(u64) -> Queue); 3] =
    [("spread", plain), ("priced", priced), ("at once", at_once)];

fn beside_governor() {
    println!("{WAITERS} waiters, {PER_SECOND}/s one by one");
    println!(
        "{:<26} {:>10} {:>12} {:>13}",
        "", "until last", "polls each", "CPU"
    );
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let theirs = runtime.block_on(run("reqwest-ratelimit+governor", governor()));
    let ours = runtime.block_on(run("reqwest-tollgate", ours()));
    println!(
        "CPU time, ours to governor's: {:.2}\n",
        ours.as_secs_f64() / theirs.as_secs_f64()
    );
}

fn main() {
    let provider = rustls::crypto::ring::default_provider();
    provider.install_default().expect("the first");
    let given: Vec<_> = std::env::args().skip(1).collect();
    if let [queue, count] = &given[..]
        && let Some((name, queue)) = QUEUES.iter().find(|(name, _)| name == queue)
    {
        return queue(count.parse().expect("a number")).run(name);
    }
    let mut counts = given;
    if counts.is_empty() {
        beside_governor();
        counts = LENGTHS.map(|count| count.to_string()).to_vec();
    }
    println!(
        "{:<10} {:>9} {:>12} {:>16} {:>13} {:>11}",
        "", "waiting", "releases/s", "CPU a release", "longest poll", "by the wall"
    );
    let program = std::env::current_exe().expect("this program");
    for count in counts {
        for (name, _) in QUEUES {
            // In a process of its own: one of the first polls after a million tasks were dropped took
            // 107 to 186 ms now and then; work that the allocator puts off is suspected.
            let one = std::process::Command::new(&program)
                .args([name, &count])
                .status();
            assert!(one.expect("a process").success(), "{name} {count}");
        }
    }
}
