//! What it costs to take a permit and to tell how it ended, where nobody has to wait: beside
//! governor, whose permits are never told about, on one thread and on eight that contend for it.
//!
//! ```text
//! cargo run --profile lto --manifest-path benches/peers/Cargo.toml --bin limiter
//! ```
//!
//! The time per operation is the time of the round divided by all operations of all its threads:
//! the middle of many rounds, in which all take turns. One thread has the quota for itself; the
//! target for eight is at most four times its time.

use std::future::Future;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest_tollgate::{Account, RequestOptions, Window};

const ROUNDS: usize = 401;
/// A round is shorter than a time slice, so that most of them are not interrupted.
const OPERATIONS: usize = 1_000;
const CONTENDED_ROUNDS: usize = 21;
const CONTENDED_OPERATIONS: usize = 160_000;
const THREADS: usize = 8;

/// No limit that the bench reaches.
const ROOMY: u32 = 1_000_000_000;

type Operation = Box<dyn Fn() + Sync>;

/// A future that does not have to wait.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

fn governor() -> DefaultDirectRateLimiter {
    RateLimiter::direct(Quota::per_second(NonZeroU32::MAX))
}

fn account(windows: &[Window]) -> Account {
    let account = Account::builder("acme", "https://api.acme.example");
    let account = windows
        .iter()
        .cloned()
        .fold(account, |a, window| a.window(window));
    account.build().expect("an account")
}

/// Takes a permit and tells of an answer with these headers.
fn ours(windows: &[Window], headers: HeaderMap) -> Operation {
    let (account, options) = (account(windows), RequestOptions::new());
    Box::new(move || {
        let permit = at_once(account.permit("/part", &options)).expect("a permit");
        assert!(permit.answered(StatusCode::OK, &headers).is_none());
    })
}

fn told() -> HeaderMap {
    let headers = [
        ("x-ratelimit-limit", ROOMY),
        ("x-ratelimit-remaining", ROOMY - 1),
    ];
    let headers =
        headers.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from(value)));
    HeaderMap::from_iter(headers)
}

/// For one operation. The threads look at the clock themselves: one that waited for them to begin
/// would often be put on a core only when most of them are through.
fn round(operation: &Operation, threads: usize) -> f64 {
    let barrier = Barrier::new(threads);
    let (barrier, each) = (&barrier, CONTENDED_OPERATIONS / threads);
    let work = move || {
        barrier.wait();
        let begun = Instant::now();
        (0..each).for_each(|_| operation());
        (begun, Instant::now())
    };
    let spans = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let spans = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"));
        spans.collect::<Vec<_>>()
    });
    let first = spans
        .iter()
        .map(|(begun, _)| *begun)
        .min()
        .expect("a thread");
    let last = spans
        .iter()
        .map(|(_, ended)| *ended)
        .max()
        .expect("a thread");
    nanoseconds(last - first, CONTENDED_OPERATIONS)
}

/// Without threads that have to start.
fn round_alone(operation: &Operation) -> f64 {
    let begun = Instant::now();
    (0..OPERATIONS).for_each(|_| operation());
    nanoseconds(begun.elapsed(), OPERATIONS)
}

fn nanoseconds(spent: Duration, operations: usize) -> f64 {
    spent.as_nanos() as f64 / operations as f64
}

fn middle(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let provider = rustls::crypto::ring::default_provider();
    provider.install_default().expect("the first");
    let minute = Window::per_minute(ROOMY.into());
    let both = [minute.clone(), Window::per_utc_day(ROOMY.into())];
    let (check, ready) = (governor(), governor());
    let contestants: [(&str, Operation); 6] = [
        (
            "governor: check",
            Box::new(move || assert!(black_box(check.check()).is_ok())),
        ),
        (
            "governor: until_ready",
            Box::new(move || at_once(ready.until_ready())),
        ),
        ("tollgate: no window", ours(&[], HeaderMap::new())),
        ("tollgate: 1 window", ours(&[minute], HeaderMap::new())),
        ("tollgate: 2 windows", ours(&both, HeaderMap::new())),
        ("tollgate: 2 windows, 2 headers", ours(&both, told())),
    ];
    let mut times: Vec<_> = contestants
        .iter()
        .map(|_| (Vec::new(), Vec::new()))
        .collect();
    for number in 0..ROUNDS {
        for ((_, operation), (alone, contended)) in contestants.iter().zip(&mut times) {
            alone.push(round_alone(operation));
            if number < CONTENDED_ROUNDS {
                contended.push(round(operation, THREADS));
            }
        }
    }
    println!(
        "permit and its end, ns per operation, the middle of {ROUNDS} rounds of {OPERATIONS} \
         (8 threads: {CONTENDED_ROUNDS} of {CONTENDED_OPERATIONS})"
    );
    println!(
        "{:<32} {:>9} {:>10} {:>6} {:>7}",
        "", "1 thread", "8 threads", "ratio", "allocs"
    );
    for ((name, operation), (alone, contended)) in contestants.iter().zip(times) {
        let counted = allocation_counter::measure(|| (0..1_000).for_each(|_| operation()));
        let (alone, contended) = (middle(alone), middle(contended));
        println!(
            "{name:<32} {alone:>9.0} {contended:>10.0} {:>6.2} {:>7.2}",
            contended / alone,
            counted.count_total as f64 / 1_000.0
        );
    }
}
