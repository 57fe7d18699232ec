//! Five thousand requests that wait for a quota of a thousand a second, one by one: how long until
//! the last has left, how often each was woken, and what that cost.
//!
//! Every request ends at a stub that answers at once, and all of them are there from the beginning.
//! The ideal is 5.0 s, two polls for each request (one when it comes, one when its turn is), and a
//! processor that has nothing to do in between.
//!
//!     cargo run --release --manifest-path benches/peers/Cargo.toml --bin waiters

use std::future::Future;
use std::num::NonZeroU32;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cpu_time::ProcessTime;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::Extensions;
use reqwest::{Request, Response, ResponseBuilderExt};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next, Result};
use reqwest_tollgate::{Account, Pacing, RequestOptions, Window};

const WAITERS: usize = 5_000;
const PER_SECOND: u32 = 1_000;
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

#[tokio::main]
async fn main() {
    println!("{WAITERS} waiters, {PER_SECOND}/s one by one");
    println!("{:<26} {:>10} {:>12} {:>13}", "", "until last", "polls each", "CPU");
    let theirs = run("reqwest-ratelimit+governor", governor()).await;
    let ours = run("reqwest-tollgate", ours()).await;
    println!(
        "CPU time, ours to governor's: {:.2}",
        ours.as_secs_f64() / theirs.as_secs_f64()
    );
}
