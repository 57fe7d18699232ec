//! A world without sockets: a terminal middleware plays the server, and time is tokio's paused one.
//!
//! A paused clock with real sockets fires timeouts wrongly, since it jumps ahead whenever every
//! task waits; with a stub for a server nothing waits but for time itself.

// Each test file uses a part; tests may read time.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::disallowed_methods,
    clippy::unwrap_used
)]

use std::collections::VecDeque;
use std::future::Future;
use std::io::Write as _;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use http::Extensions;
use reqwest::{Request, Response, ResponseBuilderExt};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use reqwest_tollgate::{Account, AccountBuilder, Event, PausedClock};
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep};

pub const API: &str = "https://api.acme.example";

/// 2026-11-21 12:00:00 UTC.
pub fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_262_400)
}

pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// An account of a distributor without credentials, under paused time.
pub fn acme() -> AccountBuilder {
    Account::builder("acme", API).clock(PausedClock::starting_at(noon()))
}

/// A runtime of paused time.
pub fn paused_runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}

/// In a runtime of its own, which ends with the story.
pub fn under_paused_time<T>(story: impl Future<Output = T>) -> T {
    paused_runtime().block_on(story)
}

/// What the stub answers: a status and headers, after some time.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// None: a line with the status.
    pub body: Option<String>,
    pub after: Duration,
}

pub fn answer(status: u16) -> Answer {
    Answer {
        status,
        ..Answer::default()
    }
}

impl Answer {
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub fn body(mut self, text: &str) -> Self {
        self.body = Some(text.to_owned());
        self
    }

    pub fn after(mut self, span: Duration) -> Self {
        self.after = span;
        self
    }
}

type Script = dyn Fn(&Request) -> Answer + Send + Sync;

/// The server: a terminal middleware that never calls the next one.
pub struct Stub {
    script: Box<Script>,
    /// How long a request takes to arrive.
    way: Box<dyn Fn() -> Duration + Send + Sync>,
    seen: Mutex<Vec<Seen>>,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    start: Instant,
}

/// One request as the server saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub query: Option<String>,
    pub at: Duration,
    pub headers: http::HeaderMap,
    pub body: Option<Vec<u8>>,
}

/// An answer that says no more than that the server reports.
pub fn contact() -> Answer {
    answer(200).header("x-ratelimit-reset", 1)
}

impl Stub {
    pub fn new(script: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Arc<Self> {
        Self::distant(|| Duration::ZERO, script)
    }

    /// A server at some distance: it decides once the request has arrived.
    pub fn distant(
        way: impl Fn() -> Duration + Send + Sync + 'static,
        script: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            script: Box::new(script),
            way: Box::new(way),
            seen: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
            start: Instant::now(),
        })
    }

    /// These answers in order, then 200 for ever.
    pub fn answering(answers: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        let answers: Mutex<VecDeque<_>> = Mutex::new(answers.into_iter().collect());
        Self::new(move |_| {
            answers
                .lock()
                .unwrap()
                .pop_front()
                .unwrap_or_else(|| answer(200))
        })
    }

    /// A first answer that says no more than that the server reports, so that more than two may
    /// leave at once; then these.
    pub fn after_contact(
        answers: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Arc<Self> {
        let is_first = AtomicBool::new(true);
        Self::new(
            move |request| match is_first.swap(false, Ordering::Relaxed) {
                true => contact(),
                false => answers(request),
            },
        )
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// When each request arrived, in whole seconds since the start.
    pub fn arrivals(&self) -> Vec<u64> {
        self.seen().iter().map(|seen| seen.at.as_secs()).collect()
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub fn most_in_flight(&self) -> usize {
        self.most_in_flight.load(Ordering::Relaxed)
    }
}

/// The stub as the last layer of a stack.
pub struct Terminal(pub Arc<Stub>);

#[async_trait]
impl Middleware for Terminal {
    async fn handle(
        &self,
        request: Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let stub = &self.0;
        let way = (stub.way)();
        if !way.is_zero() {
            sleep(way).await;
        }
        stub.seen.lock().unwrap().push(Seen {
            path: request.url().path().to_owned(),
            query: request.url().query().map(str::to_owned),
            at: stub.start.elapsed(),
            headers: request.headers().clone(),
            body: request
                .body()
                .and_then(|body| body.as_bytes())
                .map(<[u8]>::to_vec),
        });
        let now = stub.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        stub.most_in_flight.fetch_max(now, Ordering::Relaxed);
        let _leaves = Leaves(&stub.in_flight);
        let answer = (stub.script)(&request);
        if !answer.after.is_zero() {
            sleep(answer.after).await;
        }
        let mut response = http::Response::builder()
            .status(answer.status)
            .url(request.url().clone());
        for (name, value) in &answer.headers {
            response = response.header(name, value);
        }
        let line = || format!("answer {}", answer.status);
        let body = answer.body.clone().unwrap_or_else(line);
        Ok(response.body(body).unwrap().into())
    }
}

struct Leaves<'a>(&'a AtomicUsize);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Makes the requests and sends none; to make one with TLS takes long.
static POOL: LazyLock<reqwest::Client> = LazyLock::new(reqwest::Client::new);

/// A client whose requests pass both layers of the account and end at the stub.
pub fn client(account: &Account, stub: &Arc<Stub>) -> ClientWithMiddleware {
    account
        .attach(ClientBuilder::new(POOL.clone()))
        .with(Terminal(stub.clone()))
        .build()
}

/// The same with the layers in the other order: first the token, then the permit.
pub fn auth_outside(account: &Account, stub: &Arc<Stub>) -> ClientWithMiddleware {
    ClientBuilder::new(POOL.clone())
        .with(account.auth())
        .with(account.rate_limit())
        .with(Terminal(stub.clone()))
        .build()
}

/// So long a story may take by the clock on the wall; it takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// A story that hangs its thread if it goes wrong. Then the whole program ends, since its other
/// tests most likely hang too, and nobody would be told.
pub fn watched<T: Send + 'static>(story: impl FnOnce() -> T + Send + 'static) -> T {
    let (ended, end) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let result = story();
        let _ = ended.send(());
        result
    });
    if end.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
        let test = std::thread::current();
        let name = test.name().unwrap_or_default();
        // Not `eprintln!`, which the test harness would swallow.
        let _ = writeln!(std::io::stderr(), "{name}: FAILED, it hangs");
        std::process::exit(101);
    }
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Sends so many GETs at once and gives their results in order.
pub async fn send_all(
    client: &ClientWithMiddleware,
    count: usize,
) -> Vec<reqwest_middleware::Result<Response>> {
    let requests = (0..count).map(|number| client.get(format!("{API}/{number}")).send());
    futures_util::future::join_all(requests).await
}

/// Keeps every event of an account.
#[derive(Clone, Default)]
pub struct Events(Arc<Mutex<Vec<Event>>>);

impl Events {
    pub fn observer(&self) -> impl Fn(&str, &Event) + Send + Sync + 'static {
        let events = self.0.clone();
        move |_: &str, event: &Event| events.lock().unwrap().push(event.clone())
    }

    pub fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.0
            .lock()
            .unwrap()
            .iter()
            .filter(|event| wanted(event))
            .count()
    }
}

/// Gives how often it was polled beside what came of it.
pub struct Counted<F> {
    inner: Pin<Box<F>>,
    polls: usize,
}

pub fn counted<F: Future>(inner: F) -> Counted<F> {
    let inner = Box::pin(inner);
    Counted { inner, polls: 0 }
}

impl<F: Future> Future for Counted<F> {
    type Output = (F::Output, usize);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.polls += 1;
        let polls = self.polls;
        self.inner
            .as_mut()
            .poll(context)
            .map(|output| (output, polls))
    }
}
