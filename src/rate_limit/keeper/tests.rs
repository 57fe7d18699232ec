//! What a store can do to an account that keeps its quotas there: hang, fail, panic.

#![allow(clippy::disallowed_methods)] // Under paused time.

use std::sync::Condvar;

use super::*;
use crate::RequestOptions;
use crate::clock::{Clock, SystemClock};
use crate::error::ErrorKind;
use crate::event::Observer;
use crate::origin::Origins;
use crate::passage::AccountId;
use crate::rate_limit::store::sealed::Sealed;
use crate::rate_limit::{LimiterSettings, Quota, Window};

/// How long an answer is waited for that never comes.
const SHORT: Bounds = Bounds {
    load: Duration::from_millis(20),
    save: Duration::from_millis(20),
};

/// A store that hangs while it is told to.
#[derive(Clone, Default)]
struct Mount(Arc<(Mutex<Shelf>, Condvar)>);

#[derive(Default)]
struct Shelf {
    hangs: bool,
    panics: bool,
    /// Calls that began, and those that have not ended.
    calls: usize,
    present: usize,
    saved: Option<(String, Vec<u8>)>,
    is_released: bool,
}

impl Mount {
    fn hanging() -> Self {
        let mount = Self::default();
        mount.shelf().hangs = true;
        mount
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.0.lock().expect("no test panics with it")
    }

    fn revive(&self) {
        self.shelf().hangs = false;
        self.0.1.notify_all();
    }

    /// Waits until it is so.
    fn until(&self, condition: impl Fn(&Shelf) -> bool) -> MutexGuard<'_, Shelf> {
        let shelf = self.0.1.wait_while(self.shelf(), |shelf| !condition(shelf));
        shelf.expect("no test panics with it")
    }

    fn call<T>(&self, act: impl FnOnce(&mut Shelf) -> T) -> T {
        let mut shelf = self.shelf();
        shelf.calls += 1;
        shelf.present += 1;
        self.0.1.notify_all();
        let hangs = self.0.1.wait_while(shelf, |shelf| shelf.hangs);
        let mut shelf = hangs.expect("no test panics with it");
        shelf.present -= 1;
        let panics = shelf.panics;
        let result = act(&mut shelf);
        drop(shelf);
        self.0.1.notify_all();
        assert!(!panics, "as it was told");
        result
    }
}

impl Sealed for Mount {
    fn load_quotas(&self, key: &str) -> Result<Option<Vec<u8>>, BoxError> {
        let saved = self.call(|shelf| shelf.saved.clone());
        let of_key = saved.filter(|(other, _)| other == key);
        Ok(of_key.map(|(_, bytes)| bytes))
    }

    fn save_quotas(&self, key: &str, bytes: &[u8]) -> Result<(), BoxError> {
        self.call(|shelf| shelf.saved = Some((key.to_owned(), bytes.to_vec())));
        Ok(())
    }

    fn release_quotas(&self, _: &str) {
        self.call(|shelf| shelf.is_released = true);
    }
}

impl QuotaStore for Mount {}

/// The texts of the failures that were reported.
#[derive(Clone, Default)]
struct Failures(Arc<Mutex<Vec<String>>>);

impl Observer for Failures {
    fn on_event(&self, _: &str, event: &Event) {
        if let Event::QuotaStoreFailed { error } = event {
            assert_eq!(error.kind(), ErrorKind::Store);
            self.0.lock().expect("whole").push(error.to_string());
        }
    }
}

impl Failures {
    fn texts(&self) -> Vec<String> {
        self.0.lock().expect("whole").clone()
    }
}

fn limiter_by(
    mount: &Mount,
    failures: &Failures,
    bounds: Bounds,
    clock: Arc<dyn Clock>,
) -> Arc<Limiter> {
    let account: Arc<str> = "acme".into();
    let events = Events::new(account.clone(), vec![Arc::new(failures.clone())]);
    let store = Arc::new(mount.clone());
    let keys = ["a-1", "acme@a"].map(str::to_owned);
    let mut keeper = Keeper::new(store, keys, account.clone(), events.clone());
    keeper.bounds = bounds;
    Arc::new(Limiter::new(LimiterSettings {
        account,
        id: AccountId(1),
        origins: Arc::new(Origins::new(Vec::new())),
        events,
        clock,
        quotas: vec![Quota::new(Quota::DEFAULT).window(Window::per_day(1000))],
        max_replays: 0,
        max_in_flight: None,
        max_queue: None,
        unanswered_after: Duration::from_secs(300),
        has_credentials: false,
        rules: Arc::default(),
        request_id_headers: Vec::new(),
        keeper: Some(keeper),
        snapshots: false,
    }))
}

fn limiter(mount: &Mount, failures: &Failures, bounds: Bounds) -> Arc<Limiter> {
    limiter_by(mount, failures, bounds, Arc::new(SystemClock))
}

fn spend(limiter: &Arc<Limiter>) {
    let permit = limiter.try_permit("/", &RequestOptions::new());
    let permit = permit.expect("no error").expect("there is room");
    assert!(
        permit
            .answered(http::StatusCode::OK, &http::HeaderMap::new())
            .is_none()
    );
}

fn left(limiter: &Limiter) -> u64 {
    limiter.snapshots()[0].windows()[0].remaining
}

/// A runtime whose threads for what blocks are soon gone, such as those that resolve names.
fn small_runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let builder = builder
        .enable_all()
        .start_paused(true)
        .max_blocking_threads(2);
    builder.build().expect("a runtime")
}

#[test]
fn a_store_that_hangs_takes_one_thread_of_its_own_and_none_of_the_runtime() {
    let (mount, failures) = (Mount::default(), Failures::default());
    let runtime = small_runtime();
    let limiter = runtime.block_on(async {
        let limiter = limiter(&mount, &failures, SHORT);
        mount.shelf().hangs = true;
        for _ in 0..20 {
            spend(&limiter);
            tokio::time::sleep(2 * INTERVAL).await;
        }
        // A look-up of a name needs such a thread.
        tokio::task::spawn_blocking(|| ()).await.expect("it runs");
        limiter
    });
    assert_eq!(mount.shelf().present, 1);
    let calls = mount.shelf().calls;
    assert_eq!(calls, 3, "two that load, one that saves");
    let expected =
        "account acme: the quotas were not saved: the store has not answered within 20ms";
    assert_eq!(failures.texts(), [expected]);
    // The runtime ends while it hangs.
    drop(runtime);
    mount.revive();
    while limiter.save().is_err() {}
    drop(limiter);
    drop(mount.until(|shelf| shelf.is_released));
    let again = self::limiter(&mount, &failures, BOUNDS);
    assert_eq!(left(&again), 980);
    drop(again);
}

#[tokio::test]
async fn a_flush_is_bounded_and_saves_all_once_the_store_answers() {
    let (mount, failures) = (Mount::default(), Failures::default());
    let limiter = limiter(&mount, &failures, SHORT);
    mount.shelf().hangs = true;
    for _ in 0..3 {
        spend(&limiter);
        let error = limiter.flush().await.expect_err("it hangs");
        assert_eq!(error.kind(), ErrorKind::Store);
        assert!(error.to_string().contains("has not answered"), "{error}");
    }
    assert_eq!(failures.texts().len(), 1);
    assert_eq!(mount.shelf().present, 1);
    mount.revive();
    while limiter.flush().await.is_err() {}
    drop(mount.until(|shelf| shelf.present == 0));
    // The first state, whose write hung, and the newest one; not the one between.
    assert_eq!(mount.shelf().calls, 2 + 2);
    let again = self::limiter(&mount, &failures, BOUNDS);
    assert_eq!(left(&again), 997);
}

#[test]
fn what_an_earlier_version_saved_under_the_accounts_name_is_found_and_saved_anew() {
    let (mount, failures) = (Mount::default(), Failures::default());
    let limiter = || limiter(&mount, &failures, BOUNDS);
    let first = limiter();
    spend(&first);
    drop(first);
    let key = |shelf: &mut Shelf| shelf.saved.as_mut().map(|saved| &mut saved.0).cloned();
    drop(mount.until(|shelf| shelf.is_released));
    assert_eq!(key(&mut mount.shelf()).as_deref(), Some("a-1"));
    if let Some((key, _)) = &mut mount.shelf().saved {
        "acme@a".clone_into(key);
    }
    let second = limiter();
    assert_eq!(left(&second), 999);
    spend(&second);
    second.save().expect("it saves");
    assert_eq!(key(&mut mount.shelf()).as_deref(), Some("a-1"));
    assert_eq!(left(&limiter()), 998);
}

#[test]
fn an_account_is_dropped_while_a_save_hangs_and_its_last_state_is_saved_all_the_same() {
    let (mount, failures) = (Mount::default(), Failures::default());
    let limiter = limiter(&mount, &failures, SHORT);
    mount.shelf().hangs = true;
    spend(&limiter);
    limiter.save().expect_err("it hangs");
    spend(&limiter);
    // Outside of a runtime, where it waits; no more than that.
    drop(limiter);
    assert!(!mount.shelf().is_released);
    mount.revive();
    drop(mount.until(|shelf| shelf.is_released));
    assert_eq!(left(&self::limiter(&mount, &failures, BOUNDS)), 998);
    assert_eq!(failures.texts().len(), 1);
}

#[test]
fn a_store_that_hangs_at_the_start_is_reported_and_not_waited_for() {
    let (mount, failures) = (Mount::hanging(), Failures::default());
    let limiter = limiter(&mount, &failures, SHORT);
    assert_eq!(left(&limiter), 1000);
    assert_eq!(
        failures.texts(),
        [
            "account acme: what was saved of the quotas cannot be read: the store has not answered \
          within 20ms"
        ]
    );
    mount.revive();
}

#[tokio::test]
async fn a_store_that_panics_is_one_that_fails() {
    let (mount, failures) = (Mount::default(), Failures::default());
    mount.shelf().panics = true;
    let limiter = limiter(&mount, &failures, BOUNDS);
    spend(&limiter);
    limiter.flush().await.expect_err("it panics");
    spend(&limiter);
    limiter.flush().await.expect_err("it panics");
    let failed = |text: &str| format!("account acme: {text}: the store panicked");
    let expected = [
        failed("what was saved of the quotas cannot be read"),
        failed("the quotas were not saved"),
    ];
    assert_eq!(failures.texts(), expected);
    mount.shelf().panics = false;
    limiter.flush().await.expect("it saves");
    assert_eq!(left(&self::limiter(&mount, &failures, BOUNDS)), 998);
}
