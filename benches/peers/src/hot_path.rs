//! The hot path, side by side: what a request costs on its way through the layers, without sockets.
//!
//! Each stack ends at a stub that answers at once, so what is measured is the stack alone. All of
//! them run in turn, many times, within one process; the middle of the rounds counts, and the ratio
//! to the stack of two layers that do nothing is what can be compared between machines.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::Extensions;
use reqwest::{Request, Response, ResponseBuilderExt};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next, Result};
use reqwest_retry::{RetryTransientMiddleware, policies::ExponentialBackoff};
use reqwest_tollgate::{AccountBuilder, RetryStrategy, Window, sandbox::Sandbox};

const ROUNDS: usize = 41;
const REQUESTS: usize = 4_000;

/// Two of these are the baseline.
struct NoOp;

#[async_trait]
impl Middleware for NoOp {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        next.run(request, extensions).await
    }
}

/// Answers at once, with the URL that was asked for.
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

fn governor() -> Governor {
    let limit = std::num::NonZeroU32::new(u32::MAX).expect("not zero");
    Governor(RateLimiter::direct(Quota::per_second(limit)))
}

fn builder() -> ClientBuilder {
    ClientBuilder::new(reqwest::Client::new())
}

/// One stack to be measured.
pub(crate) struct Contestant {
    name: &'static str,
    send: Box<dyn Fn(usize) -> Duration>,
    allocations: f64,
}

impl Contestant {
    fn new(
        name: &'static str,
        runtime: &Arc<tokio::runtime::Runtime>,
        client: ClientWithMiddleware,
        url: &str,
    ) -> Self {
        let url: reqwest::Url = url.parse().expect("a URL");
        let runtime = runtime.clone();
        let send = move |count| {
            runtime.block_on(async {
                let mut spent = Duration::ZERO;
                for _ in 0..count {
                    let request = request(&url);
                    let begun = Instant::now();
                    let response = client.execute(request).await;
                    spent += begun.elapsed();
                    response.expect("an answer");
                }
                spent
            })
        };
        Self::measured(name, Box::new(send))
    }

    /// Allocations are counted on this thread, of the whole of a request: clone, stack, drop.
    pub(crate) fn measured(name: &'static str, send: Box<dyn Fn(usize) -> Duration>) -> Self {
        send(100);
        let counted = allocation_counter::measure(|| {
            send(1_000);
        });
        Self {
            name,
            send,
            allocations: counted.count_total as f64 / 1_000.0,
        }
    }
}

/// A GET with three headers, made as a builder makes it.
fn request(url: &reqwest::Url) -> Request {
    let mut request = Request::new(http::Method::GET, url.clone());
    for (name, value) in [
        ("accept", "application/json"),
        ("accept-language", "en"),
        ("x-locale", "US"),
    ] {
        request
            .headers_mut()
            .insert(name, http::HeaderValue::from_static(value));
    }
    request
}

fn roomy(account: AccountBuilder) -> AccountBuilder {
    account
        .window(Window::per_minute(1_000_000_000))
        .window(Window::per_utc_day(1_000_000_000))
}

pub(crate) fn run() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = Arc::new(runtime.expect("a runtime"));
    let sandbox = Sandbox::builder()
        .token_lifetime(Duration::from_secs(3600))
        .start();
    let sandbox = runtime.block_on(sandbox).expect("a sandbox");
    let url = sandbox
        .url()
        .join("products/v4/search/LM358/productdetails")
        .expect("a URL");
    let url = url.as_str();

    let both = |account: AccountBuilder| account.build().expect("an account").attach(builder());
    let retry = || {
        let policy = ExponentialBackoff::builder().build_with_max_retries(3);
        RetryTransientMiddleware::new_with_policy_and_strategy(policy, RetryStrategy::default())
    };
    let stacks = [
        ("two no-op layers", builder().with(NoOp).with(NoOp)),
        (
            "reqwest-ratelimit + governor, no-op",
            builder()
                .with(reqwest_ratelimit::all(governor()))
                .with(NoOp),
        ),
        ("reqwest-retry, no-op", builder().with(retry()).with(NoOp)),
        ("tollgate: both layers", both(roomy(sandbox.account()))),
        (
            "tollgate: both, no snapshot",
            both(roomy(sandbox.account()).snapshots(false)),
        ),
        (
            "tollgate: both, no replay, no snapshot",
            both(
                roomy(sandbox.account())
                    .snapshots(false)
                    .max_replays(0)
                    .replay_unauthorized(false),
            ),
        ),
    ];
    let mut contestants: Vec<_> = stacks
        .into_iter()
        .map(|(name, stack)| Contestant::new(name, &runtime, stack.with(Stub).build(), url))
        .collect();
    contestants.extend(crate::hot_path_04::contestants(&runtime, url));
    print(&contestants, &rounds(&contestants));
}

/// The middle round of each, in nanoseconds for a request.
fn rounds(contestants: &[Contestant]) -> Vec<f64> {
    let mut times = vec![Vec::with_capacity(ROUNDS); contestants.len()];
    for _ in 0..ROUNDS {
        for (contestant, times) in contestants.iter().zip(&mut times) {
            times.push((contestant.send)(REQUESTS).as_nanos() as f64 / REQUESTS as f64);
        }
    }
    for times in &mut times {
        times.sort_by(f64::total_cmp);
    }
    times.into_iter().map(|times| times[ROUNDS / 2]).collect()
}

fn print(contestants: &[Contestant], times: &[f64]) {
    let (zero_time, zero_allocations) = (times[0], contestants[0].allocations);
    println!(
        "GET with three headers, {ROUNDS} rounds of {REQUESTS}, the middle round; over = over two no-op layers"
    );
    println!(
        "{:44} {:>8} {:>8} {:>7} {:>7} {:>7}",
        "stack", "ns", "ns over", "ratio", "allocs", "over"
    );
    for (contestant, time) in contestants.iter().zip(times) {
        println!(
            "{:44} {:>8.0} {:>8.0} {:>7.2} {:>7.1} {:>7.1}",
            contestant.name,
            time,
            time - zero_time,
            time / zero_time,
            contestant.allocations,
            contestant.allocations - zero_allocations,
        );
    }
}
