//! What is a user's own may panic anywhere in the life of a permit: no permit is lost by it.

#![allow(clippy::disallowed_methods)] // Under paused time.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use http::{HeaderMap, StatusCode};

use crate::clock::{BoxFuture, Clock, Now, PausedClock};
use crate::contain::contained;
use crate::{Account, Error, Event, MemoryStore, RequestOptions, Window};

const LIMIT: u64 = 2;
const WINDOW: Duration = Duration::from_secs(2);
const OK: StatusCode = StatusCode::OK;

/// Panics at some of its calls, counted from 1.
#[derive(Clone)]
struct Fragile {
    clock: PausedClock,
    calls: Arc<AtomicUsize>,
    first: usize,
    last: usize,
}

impl Fragile {
    fn new(first: usize, count: usize) -> Self {
        Self {
            clock: PausedClock::starting_at(SystemTime::UNIX_EPOCH),
            calls: Arc::default(),
            first,
            last: first + count - 1,
        }
    }

    fn called(&self) {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(call < self.first || call > self.last, "as it was told");
    }
}

impl Clock for Fragile {
    fn now(&self) -> Now {
        self.called();
        self.clock.now()
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        self.called();
        let (fragile, sleep) = (self.clone(), self.clock.sleep(span));
        Box::pin(async move {
            fragile.called();
            sleep.await;
        })
    }
}

fn account(clock: impl Clock, observer: impl Fn(&Event) + Send + Sync + 'static) -> Account {
    let window = Window::new(LIMIT, WINDOW).pacing(crate::Pacing::Burst);
    let account = Account::builder("acme", "https://api.acme.example")
        .window(window)
        .max_in_flight(2)
        .quota_store(MemoryStore::new())
        .clock(clock)
        .observer(move |_: &str, event: &Event| observer(event));
    account.build().expect("it builds")
}

/// One way of a permit.
type Way = for<'a> fn(&'a Account) -> Pin<Box<dyn Future<Output = Result<(), Error>> + 'a>>;

async fn one(account: &Account) -> Result<crate::Permit, Error> {
    account.permit("/", &RequestOptions::new()).await
}

/// With one that waits for the room, one that waits behind it, and one that is given up there.
fn answered(account: &Account) -> Pin<Box<dyn Future<Output = Result<(), Error>> + '_>> {
    Box::pin(async move {
        let first = (one(account).await?, one(account).await?);
        let waiting = async {
            let permit = one(account).await?;
            permit.answered(OK, &HeaderMap::new());
            Ok(())
        };
        let given_up = async {
            let patience = tokio::time::timeout(Duration::from_millis(10), one(account));
            drop(patience.await);
        };
        let answer = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            first.0.answered(OK, &HeaderMap::new());
            drop(first.1);
        };
        tokio::join!(waiting, given_up, answer).0
    })
}

fn rejected(account: &Account) -> Pin<Box<dyn Future<Output = Result<(), Error>> + '_>> {
    Box::pin(async move {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", http::HeaderValue::from_static("1"));
        let permit = one(account).await?;
        let rejected = permit.answered(StatusCode::TOO_MANY_REQUESTS, &headers);
        let permit = rejected.expect("a rejection").again().await?;
        permit.answered(OK, &HeaderMap::new());
        Ok(())
    })
}

fn refused(account: &Account) -> Pin<Box<dyn Future<Output = Result<(), Error>> + '_>> {
    Box::pin(async move {
        // Its replay would inherit the probe.
        drop(
            one(account)
                .await?
                .answered(StatusCode::UNAUTHORIZED, &HeaderMap::new()),
        );
        one(account).await?.unsent();
        drop(one(account).await?);
        Ok(())
    })
}

const WAYS: [Way; 3] = [answered, rejected, refused];

/// Nothing is in flight, nothing counts any more, and the whole limit may leave at once.
async fn all_is_there(account: &Account, what: &str) {
    tokio::time::sleep(2 * WINDOW).await;
    let left = || account.quotas()[0].windows()[0].remaining;
    assert_eq!(left(), LIMIT, "{what}");
    // After a rejection one goes ahead, unless another is thought to.
    let permit = account.try_permit("/", &RequestOptions::new());
    let probe = permit
        .expect(what)
        .unwrap_or_else(|| panic!("{what}: no probe"));
    probe.answered(OK, &HeaderMap::new());
    tokio::time::sleep(2 * WINDOW).await;
    let permits: Vec<_> = (0..LIMIT)
        .map(|_| account.try_permit("/", &RequestOptions::new()))
        .collect();
    for permit in permits {
        let permit = permit
            .expect(what)
            .unwrap_or_else(|| panic!("{what}: none"));
        permit.unsent();
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_panics_at_any_of_its_calls_keeps_no_permit() {
    for (way, walk) in WAYS.iter().enumerate() {
        for count in 1..=3 {
            for first in 1.. {
                let what = format!("way {way}, calls {first} to {}", first + count - 1);
                let clock = Fragile::new(first, count);
                let calls = clock.calls.clone();
                let Some(account) = contained(|| account(clock, |_| {})) else {
                    continue;
                };
                let walk = AssertUnwindSafe(walk(&account)).catch_unwind();
                let hour = Duration::from_secs(3600);
                let walked = tokio::time::timeout(hour, walk).await;
                assert!(walked.is_ok(), "{what}: it hangs");
                let needed = calls.load(Ordering::Relaxed);
                calls.store(usize::MAX / 2, Ordering::Relaxed);
                all_is_there(&account, &what).await;
                if first > needed {
                    assert!(first > 8, "{what}: {needed} calls are too few");
                    break;
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_keeps_no_permit_and_stops_neither_requests_nor_other_observers() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let calm = seen.clone();
    for walk in WAYS {
        let builder = Account::builder("acme", "https://api.acme.example")
            .window(Window::new(LIMIT, WINDOW).pacing(crate::Pacing::Burst))
            .max_in_flight(2)
            .clock(PausedClock::starting_at(SystemTime::UNIX_EPOCH))
            .observer(|_: &str, _: &Event| panic!("as it was told"));
        let calm = calm.clone();
        let builder = builder.observer(move |_: &str, event: &Event| {
            let name = format!("{event:?}");
            let name = name.split([' ', '{']).next().unwrap_or_default().to_owned();
            calm.lock().expect("whole").push(name);
        });
        let account = builder.build().expect("it builds");
        walk(&account).await.expect("nothing is refused");
        all_is_there(&account, "an observer that panics").await;
    }
    let seen = seen.lock().expect("whole");
    for event in [
        "Waited",
        "Answered",
        "Lost",
        "QuotaRejected",
        "QuotaReopened",
    ] {
        assert!(seen.iter().any(|name| name == event), "{event}: {seen:?}");
    }
}

/// Panics at some of its calls, counted from 1.
#[cfg(feature = "tracing")]
struct Subscriber {
    calls: Arc<AtomicUsize>,
    first: usize,
    last: usize,
}

#[cfg(feature = "tracing")]
impl Subscriber {
    fn called(&self) {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(call < self.first || call > self.last, "as it was told");
    }
}

#[cfg(feature = "tracing")]
impl tracing::Subscriber for Subscriber {
    fn register_callsite(
        &self,
        _: &'static tracing::Metadata<'static>,
    ) -> tracing::subscriber::Interest {
        tracing::subscriber::Interest::sometimes()
    }

    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        self.called();
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        self.called();
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {
        self.called();
    }

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {
        self.called();
    }

    fn event(&self, _: &tracing::Event<'_>) {
        self.called();
    }

    fn enter(&self, _: &tracing::span::Id) {
        self.called();
    }

    fn exit(&self, _: &tracing::span::Id) {
        self.called();
    }

    fn try_close(&self, _: tracing::span::Id) -> bool {
        self.called();
        true
    }
}

#[cfg(feature = "tracing")]
#[tokio::test(start_paused = true)]
async fn a_subscriber_that_panics_at_any_of_its_calls_keeps_no_permit_and_stops_no_request() {
    // Where there is one alone, `tracing` asks the thread that is the first to reach a call site,
    // which may be another test's without any, and switches the site off for all.
    static ANOTHER: std::sync::OnceLock<tracing::Dispatch> = std::sync::OnceLock::new();
    ANOTHER.get_or_init(|| tracing::Dispatch::new(tracing_subscriber::registry()));
    for (way, walk) in WAYS.iter().enumerate() {
        // All of them, then each alone.
        for (first, last) in std::iter::once((1, usize::MAX)).chain((1..60).map(|at| (at, at))) {
            let calls = Arc::new(AtomicUsize::new(0));
            let subscriber = Subscriber {
                calls: calls.clone(),
                first,
                last,
            };
            let guard = tracing::subscriber::set_default(subscriber);
            let what = format!("way {way}, calls {first} to {last}");
            let account = account(PausedClock::starting_at(SystemTime::UNIX_EPOCH), |_| {});
            walk(&account).await.expect(&what);
            assert!(calls.load(Ordering::Relaxed) > 0, "{what}");
            drop(guard);
            all_is_there(&account, &what).await;
        }
    }
}
