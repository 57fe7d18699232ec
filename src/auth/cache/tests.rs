use super::*;
use crate::auth::store::{Record, Swap, TokenStore};
use crate::auth::testing::*;
use crate::auth::{Grant, OAuthSettings};
use crate::clock::BoxFuture;
use crate::error::BoxError;
use crate::secret::Secret;
use crate::stores::MemoryStore;
use async_trait::async_trait;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

fn cache_with(oauth: OAuthSettings, script: &Script, log: &Log) -> Arc<Cache> {
    let settings = settings(None, log);
    Arc::new(Cache::new(
        &settings,
        Arc::new(oauth),
        Box::new(script.clone()),
    ))
}

fn cache(script: &Script) -> Arc<Cache> {
    let oauth = oauth(Grant::client_credentials());
    cache_with(oauth, script, &Log::default())
}

async fn pass(span: Duration) {
    clock().sleep(span).await;
}

async fn token(cache: &Cache) -> Result<Arc<Token>, Error> {
    match cache.ready(clock().now()) {
        Some(token) => Ok(token),
        None => cache.token(Need::Usable, PATIENT).await,
    }
}

async fn secret(cache: &Cache) -> String {
    token(cache).await.expect("a token").secret().to_owned()
}

/// The failure of a flight, for a caller that cannot wait for the next one.
async fn failure(cache: &Cache) -> Error {
    let token = match cache.ready(clock().now()) {
        Some(token) => Ok(token),
        None => cache.token(Need::Usable, IMPATIENT).await,
    };
    token.expect_err("a failure")
}

async fn all<T: Send + 'static>(count: usize, make: impl Fn() -> BoxFuture<'static, T>) -> Vec<T> {
    let tasks: Vec<_> = (0..count).map(|_| tokio::spawn(make())).collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.expect("no panic"));
    }
    results
}

fn asking(cache: &Arc<Cache>) -> impl Fn() -> BoxFuture<'static, Result<Arc<Token>, Error>> {
    let cache = cache.clone();
    move || {
        let cache = cache.clone();
        Box::pin(async move { token(&cache).await })
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_tasks_at_an_expired_token_cause_one_token_request() {
    let script = Script::default();
    let cache = cache(&script);
    assert_eq!(secret(&cache).await, "t1");
    pass(580 * SECOND).await;
    let tokens = all(10_000, asking(&cache)).await;
    assert!(
        tokens
            .iter()
            .all(|token| token.as_ref().is_ok_and(|token| token.secret() == "t2"))
    );
    assert_eq!(script.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stale_token_is_used_while_its_successor_is_fetched() {
    let script = Script::default();
    let cache = cache(&script);
    secret(&cache).await;
    pass(470 * SECOND).await;
    let stale = cache.ready(clock().now()).expect("no waiting");
    assert_eq!(stale.secret(), "t1");
    assert_eq!(
        cache.ready(clock().now()).expect("no waiting").secret(),
        "t1"
    );
    pass(2 * SECOND).await;
    assert_eq!(
        cache.ready(clock().now()).expect("no waiting").secret(),
        "t2"
    );
    assert_eq!(script.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn waiters_of_a_failed_refresh_share_its_error() {
    let script = Script::of([refuse(503, "x")]);
    let cache = cache(&script);
    let started = clock().now().moment;
    let impatient = move || {
        let cache = cache.clone();
        let asked: BoxFuture<'static, _> =
            Box::pin(async move { cache.token(Need::Usable, IMPATIENT).await });
        asked
    };
    let results = all(1_000, impatient).await;
    assert_eq!(script.requests(), 1);
    assert_eq!(clock().now().moment - started, SECOND, "one flight's time");
    for result in results {
        let error = result.expect_err("a failure");
        assert_eq!(error.kind(), ErrorKind::TokenEndpoint);
        assert!(matches!(error.recovery(), Recovery::WaitUntil(_)));
        assert_eq!(error.account(), Some("test"));
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_during_back_off_waits_for_the_next_flight() {
    let script = Script::of([refuse(503, "x")]);
    let cache = cache(&script);
    failure(&cache).await;
    assert_eq!(secret(&cache).await, "t2");
}

#[tokio::test(start_paused = true)]
async fn who_cannot_wait_for_the_next_attempt_fails_at_once_with_its_time() {
    let script = Script::of([refuse(503, "x")]);
    let cache = cache(&script);
    failure(&cache).await;
    let started = clock().now().moment;
    let error = cache
        .token(Need::Usable, IMPATIENT)
        .await
        .expect_err("no time");
    assert_eq!(clock().now().moment, started);
    assert!(matches!(error.recovery(), Recovery::WaitUntil(_)));
    assert_eq!(script.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_may_wait_waits_for_flight_after_flight_and_one_request_serves_all() {
    let script = Script::of((0..4).map(|_| refuse(503, "x")));
    let cache = cache(&script);
    let results = all(2_000, asking(&cache)).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(script.requests(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_outage_longer_than_max_wait_ends_the_wait_with_the_time_of_the_next_attempt() {
    let script = Script::of((0..100).map(|_| refuse(503, "x")));
    let cache = cache(&script);
    let started = clock().now().moment;
    let results = all(10, asking(&cache)).await;
    let waited = clock().now().moment - started;
    for result in results {
        let error = result.expect_err("a failure");
        assert!(matches!(error.recovery(), Recovery::WaitUntil(_)));
    }
    assert!(waited <= PATIENT.max_wait, "{waited:?}");
    assert!(waited >= PATIENT.max_wait - 70 * SECOND, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_wait_and_not_the_refresh() {
    let script = Script::default();
    let cache = cache(&script);
    let deadline = Some(clock().now().moment + SECOND / 2);
    let hurried = Patience {
        deadline,
        ..PATIENT
    };
    let error = cache
        .token(Need::Usable, hurried)
        .await
        .expect_err("too late");
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    pass(SECOND).await;
    assert_eq!(
        cache.ready(clock().now()).expect("it went on").secret(),
        "t1"
    );
    assert_eq!(script.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_caller_never_cancels_the_refresh() {
    let script = Script::default();
    let cache = cache(&script);
    for _ in 0..10 {
        let caller = tokio::spawn(asking(&cache)());
        tokio::task::yield_now().await;
        caller.abort();
        pass(SECOND / 100).await;
    }
    pass(SECOND).await;
    assert_eq!(
        cache.ready(clock().now()).expect("it went on").secret(),
        "t1"
    );
    assert_eq!(script.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_flight_that_panics_frees_its_place_and_waiters_go_again_once() {
    let script = Script::of([Act::Panic]);
    let cache = cache(&script);
    let tokens = all(10, asking(&cache)).await;
    assert!(tokens.iter().all(Result::is_ok));
    assert_eq!(script.requests(), 2);

    let script = Script::of([Act::Panic, Act::Panic]);
    let cache = self::cache(&script);
    assert_eq!(failure(&cache).await.kind(), ErrorKind::TokenEndpoint);
    assert_eq!(script.requests(), 2);
}

#[test]
fn a_runtime_that_ends_takes_no_flight_with_it() {
    let script = Script::default();
    let first = paused_runtime();
    let cache = first.block_on(async {
        let cache = cache(&script);
        assert!(cache.shared.start(Need::Usable).is_some());
        tokio::task::yield_now().await;
        cache
    });
    drop(first);
    paused_runtime().block_on(async {
        assert_eq!(secret(&cache).await, "t2");
    });
}

#[tokio::test(start_paused = true)]
async fn who_waited_for_a_flight_gets_its_token_even_if_it_is_past_its_margin() {
    let body = r#"{"access_token":"brief","expires_in":0.05}"#;
    let script = Script::of([Act::Answer(200, body.into())]);
    let cache = cache(&script);
    assert_eq!(secret(&cache).await, "brief");
    assert_eq!(script.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_expire_at_once_cost_one_request_per_second() {
    let brief = || Act::Answer(200, r#"{"access_token":"b","expires_in":0.05}"#.into());
    let script = Script::of((0..1_000).map(|_| brief()));
    let cache = cache(&script);
    let started = clock().now().moment;
    while clock().now().moment - started < 60 * SECOND {
        all(10, asking(&cache)).await;
    }
    assert!(script.requests() <= 3 + 62, "{}", script.requests());
}

#[tokio::test(start_paused = true)]
async fn an_error_never_displaces_a_usable_token() {
    let script = Script::of([issue("good"), refuse(400, "invalid_client")]);
    let cache = cache(&script);
    secret(&cache).await;
    pass(470 * SECOND).await;
    cache.ready(clock().now()).expect("a stale token");
    pass(5 * SECOND).await;
    assert_eq!(script.requests(), 2);
    assert_eq!(
        cache.ready(clock().now()).expect("still usable").secret(),
        "good"
    );
    pass(70 * SECOND).await;
    assert_eq!(
        cache.ready(clock().now()).expect("and still").secret(),
        "good"
    );
}

#[tokio::test(start_paused = true)]
async fn accounts_never_block_each_other() {
    let stuck = cache_with(
        with_store(Grant::client_credentials(), Stuck),
        &Script::default(),
        &Log::default(),
    );
    let free = cache(&Script::default());
    let waiting = tokio::spawn(asking(&stuck)());
    tokio::task::yield_now().await;
    assert_eq!(secret(&free).await, "t1");
    assert!(!waiting.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_delays_a_token_and_does_not_prevent_it() {
    let oauth = with_store(Grant::client_credentials(), Stuck);
    let cache = cache_with(oauth, &Script::default(), &Log::default());
    assert_eq!(secret(&cache).await, "t1");
}

/// Never answers.
struct Stuck;

#[async_trait]
impl TokenStore for Stuck {
    async fn load(&self, _: &str) -> Result<Option<Record>, BoxError> {
        std::future::pending().await
    }

    async fn compare_and_swap(
        &self,
        _: &str,
        _: Option<u64>,
        _: &Record,
    ) -> Result<Swap, BoxError> {
        std::future::pending().await
    }
}

// Rotation.

fn rotating(store: impl TokenStore) -> OAuthSettings {
    with_store(Grant::refresh_token("r0"), store)
}

/// The refresh token in the store, under the only key in use.
async fn stored(store: &MemoryStore) -> Option<String> {
    let key = crate::auth::persistence::record::key("test", &rotating(store.clone()));
    let record = store.load(&key).await.expect("no error")?;
    let tokens =
        crate::auth::persistence::record::Tokens::from_bytes(&record.bytes).expect("tokens");
    tokens.refresh_token.clone()
}

#[tokio::test(start_paused = true)]
async fn a_rotated_refresh_token_is_stored_and_presented_next() {
    let store = MemoryStore::new();
    let script = Script::of([rotate("a1", "r1"), rotate("a2", "r2")]);
    let log = Log::default();
    let cache = cache_with(rotating(store.clone()), &script, &log);
    assert_eq!(secret(&cache).await, "a1");
    assert_eq!(stored(&store).await.as_deref(), Some("r1"));
    pass(580 * SECOND).await;
    assert_eq!(secret(&cache).await, "a2");
    assert_eq!(script.presented(), ["r0", "r1"]);
    assert_eq!(log.count("TokenSaved"), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_refresh_token_keeps_the_old_one() {
    let store = MemoryStore::new();
    let empty = r#"{"access_token":"a2","refresh_token":"","expires_in":600}"#;
    let script = Script::of([
        rotate("a1", "r1"),
        Act::Answer(200, empty.into()),
        issue("a3"),
        issue("a4"),
    ]);
    let cache = cache_with(rotating(store.clone()), &script, &Log::default());
    for _ in 0..4 {
        secret(&cache).await;
        pass(580 * SECOND).await;
    }
    assert_eq!(script.presented(), ["r0", "r1", "r1", "r1"]);
    assert_eq!(stored(&store).await.as_deref(), Some("r1"));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_is_salvaged_from_an_answer_without_access_token() {
    let store = MemoryStore::new();
    let wreck = Act::Answer(200, r#"{"refresh_token":"r1"}"#.into());
    let script = Script::of([wreck, rotate("a2", "r2")]);
    let cache = cache_with(rotating(store.clone()), &script, &Log::default());
    failure(&cache).await;
    assert_eq!(stored(&store).await.as_deref(), Some("r1"));
    assert_eq!(secret(&cache).await, "a2");
    assert_eq!(script.presented(), ["r0", "r1"]);
}

#[tokio::test(start_paused = true)]
async fn the_store_goes_before_the_configured_refresh_token() {
    let store = MemoryStore::new();
    let first = Script::of([rotate("a1", "r1")]);
    secret(&cache_with(
        rotating(store.clone()),
        &first,
        &Log::default(),
    ))
    .await;
    pass(580 * SECOND).await;
    let second = Script::of([rotate("a2", "r2")]);
    let restarted = cache_with(rotating(store.clone()), &second, &Log::default());
    assert_eq!(secret(&restarted).await, "a2");
    assert_eq!(second.presented(), ["r1"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_login_in_the_configuration_succeeds_a_chain_that_is_refused() {
    let store = MemoryStore::new();
    let first = Script::of([rotate("a1", "r1")]);
    secret(&cache_with(
        rotating(store.clone()),
        &first,
        &Log::default(),
    ))
    .await;
    pass(580 * SECOND).await;
    let anew = |script: &Script, initial: &str| {
        let oauth = with_store(Grant::refresh_token(initial), store.clone());
        cache_with(oauth, script, &Log::default())
    };
    let same = Script::of([refuse(400, "invalid_grant")]);
    assert_eq!(
        failure(&anew(&same, "r0")).await.recovery(),
        Recovery::LogIn
    );
    assert_eq!(
        same.presented(),
        ["r1"],
        "the chain began with r0: it is spent"
    );

    let script = Script::of([refuse(400, "invalid_grant"), rotate("a2", "s1")]);
    assert_eq!(secret(&anew(&script, "s0")).await, "a2");
    assert_eq!(script.presented(), ["r1", "s0"]);
    let stored = stored(&store).await;
    assert_eq!(stored.as_deref(), Some("s1"));
}

#[tokio::test(start_paused = true)]
async fn a_second_process_adopts_what_the_first_has_fetched() {
    let store = MemoryStore::new();
    let (script, log) = (Script::of([rotate("a1", "r1")]), Log::default());
    let one = cache_with(rotating(store.clone()), &script, &log);
    let two = cache_with(rotating(store.clone()), &script, &log);
    assert_eq!(secret(&one).await, "a1");
    assert_eq!(secret(&two).await, "a1");
    assert_eq!(script.requests(), 1);
    assert_eq!(log.count("TokenAdopted"), 1);
}

#[tokio::test(start_paused = true)]
async fn two_processes_with_one_store_cause_one_token_request() {
    let store = MemoryStore::new();
    let script = Script::of([rotate("a1", "r1")]);
    let processes: Vec<_> = (0..5)
        .map(|_| cache_with(rotating(store.clone()), &script, &Log::default()))
        .map(|cache| tokio::spawn(asking(&cache)()))
        .collect();
    for process in processes {
        let token = process.await.expect("no panic").expect("a token");
        assert_eq!(token.secret(), "a1");
    }
    assert_eq!(script.presented(), ["r0"]);
}

#[tokio::test(start_paused = true)]
async fn the_access_token_just_refused_is_not_adopted() {
    let store = MemoryStore::new();
    let script = Script::of([rotate("bad", "r1"), rotate("good", "r2")]);
    let one = cache_with(rotating(store.clone()), &script, &Log::default());
    let two = cache_with(rotating(store.clone()), &script, &Log::default());
    let bad = token(&one).await.expect("a token");
    let same = token(&two).await.expect("a token");
    assert_eq!(bad.secret(), same.secret());
    assert_eq!(one.refused(&bad, true), RejectionVerdict::Renew);
    let need = Need::NewerThan(bad.generation());
    assert_eq!(
        one.token(need, PATIENT).await.expect("a token").secret(),
        "good"
    );
    assert_eq!(two.refused(&same, true), RejectionVerdict::Renew);
    let need = Need::NewerThan(same.generation());
    assert_eq!(
        two.token(need, PATIENT).await.expect("a token").secret(),
        "good"
    );
    assert_eq!(script.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_newer_record_with_the_access_token_just_refused_gives_its_refresh_token_alone() {
    let store = MemoryStore::new();
    let script = Script::of([rotate("bad", "r1"), rotate("good", "r3")]);
    let cache = cache_with(rotating(store.clone()), &script, &Log::default());
    let bad = token(&cache).await.expect("a token");
    let key = crate::auth::persistence::record::key("test", &rotating(store.clone()));
    let record = store.load(&key).await.expect("no error").expect("a record");
    let text = String::from_utf8(record.bytes)
        .expect("text")
        .replace("r1", "r2");
    let newer = Record::new(record.version + 1, text);
    let swap = store
        .compare_and_swap(&key, Some(record.version), &newer)
        .await;
    assert_eq!(swap.expect("no error"), Swap::Saved);
    assert_eq!(cache.refused(&bad, true), RejectionVerdict::Renew);
    let need = Need::NewerThan(bad.generation());
    let good = cache.token(need, PATIENT).await.expect("a token");
    assert_eq!(good.secret(), "good");
    assert_eq!(script.presented(), ["r0", "r2"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_grant_is_a_log_in_that_ends_by_a_newer_record() {
    let store = MemoryStore::new();
    let script = Script::of([refuse(400, "invalid_grant")]);
    let cache = cache_with(rotating(store.clone()), &script, &Log::default());
    let error = failure(&cache).await;
    assert_eq!(error.recovery(), Recovery::LogIn);
    pass(3600 * SECOND).await;
    assert_eq!(failure(&cache).await.recovery(), Recovery::LogIn);
    assert_eq!(script.requests(), 1, "a latch asks nobody");

    let login = Script::of([rotate("a9", "r9")]);
    secret(&cache_with(
        rotating(store.clone()),
        &login,
        &Log::default(),
    ))
    .await;
    pass(5 * SECOND).await;
    assert_eq!(secret(&cache).await, "a9");
    assert_eq!(script.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_of_a_single_use_refresh_token_is_retried_once_then_ends_in_log_in() {
    let script = Script::of([Act::Lost, refuse(400, "invalid_grant")]);
    let cache = cache_with(rotating(MemoryStore::new()), &script, &Log::default());
    let error = failure(&cache).await;
    assert_eq!(error.kind(), ErrorKind::LoginRequired);
    assert!(error.to_string().contains("lost"), "{error}");
    assert_eq!(script.presented(), ["r0", "r0"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_that_comes_the_second_time_is_no_failure() {
    let script = Script::of([Act::Lost, rotate("a1", "r1")]);
    let cache = cache_with(rotating(MemoryStore::new()), &script, &Log::default());
    assert_eq!(secret(&cache).await, "a1");
    assert_eq!(script.presented(), ["r0", "r0"]);
}

#[tokio::test(start_paused = true)]
async fn ten_answers_lost_within_half_a_minute_cost_no_login() {
    let lost = (0..10).map(|_| Act::Lost);
    let script = Script::of(lost.chain([rotate("a1", "r1")]));
    let cache = cache_with(rotating(MemoryStore::new()), &script, &Log::default());
    assert_eq!(secret(&cache).await, "a1");
    assert_eq!(script.requests(), 11);
    assert!(script.presented().iter().all(|token| token == "r0"));
}

#[tokio::test(start_paused = true)]
async fn answers_lost_for_ever_never_become_a_login_and_are_asked_for_once_a_minute() {
    let script = Script::of((0..10_000).map(|_| Act::Lost));
    let cache = cache_with(rotating(MemoryStore::new()), &script, &Log::default());
    for _ in 0..60 {
        assert_eq!(failure(&cache).await.kind(), ErrorKind::TokenEndpoint);
        pass(60 * SECOND).await;
    }
    let asked = script.requests();
    assert!((60..=140).contains(&asked), "{asked}: twice a minute");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_out_of_reach_never_costs_a_login() {
    let script = Script::of((0..9).map(|_| Act::NotSent).chain([rotate("a1", "r1")]));
    let cache = cache_with(rotating(MemoryStore::new()), &script, &Log::default());
    assert_eq!(failure(&cache).await.kind(), ErrorKind::TokenEndpoint);
    assert_eq!(secret(&cache).await, "a1");
}

#[tokio::test(start_paused = true)]
async fn without_a_login_an_authorization_code_account_asks_for_one() {
    let grant = Grant::authorization_code("https://localhost/callback");
    let script = Script::default();
    let oauth = with_store(grant, MemoryStore::new());
    let cache = cache_with(oauth, &script, &Log::default());
    assert_eq!(failure(&cache).await.recovery(), Recovery::LogIn);
    assert_eq!(script.requests(), 0);
}

/// A memory store that fails as it is told.
#[derive(Clone, Default)]
struct Flaky {
    inner: MemoryStore,
    loads_fail: Arc<AtomicBool>,
    saves_fail: Arc<AtomicUsize>,
}

#[async_trait]
impl TokenStore for Flaky {
    async fn load(&self, key: &str) -> Result<Option<Record>, BoxError> {
        match self.loads_fail.load(Ordering::Relaxed) {
            true => Err("down".into()),
            false => self.inner.load(key).await,
        }
    }

    async fn compare_and_swap(
        &self,
        key: &str,
        expected: Option<u64>,
        new: &Record,
    ) -> Result<Swap, BoxError> {
        let left = |left: usize| left.checked_sub(1);
        match self
            .saves_fail
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
        {
            Ok(_) => Err("down".into()),
            Err(_) => self.inner.compare_and_swap(key, expected, new).await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_save_that_fails_is_tried_again_in_the_background() {
    let (store, log) = (Flaky::default(), Log::default());
    let script = Script::of([rotate("a1", "r1")]);
    let cache = cache_with(rotating(store.clone()), &script, &log);
    let asked = tokio::spawn(asking(&cache)());
    // The mark is written, and the request under way.
    pass(SECOND / 2).await;
    store.saves_fail.store(3, Ordering::Relaxed);
    assert_eq!(
        asked.await.expect("no panic").expect("a token").secret(),
        "a1"
    );
    assert_eq!(log.count("TokenSaveFailed"), 1);
    assert_eq!(stored(&store.inner).await.as_deref(), Some("r0"));
    pass(10 * SECOND).await;
    let saved = stored(&store.inner).await;
    assert_eq!(saved.as_deref(), Some("r1"));
    assert_eq!(
        (log.count("TokenSaveFailed"), log.count("TokenSaved")),
        (3, 1)
    );
}

/// Takes its time to save.
struct Slow(MemoryStore, Duration);

#[async_trait]
impl TokenStore for Slow {
    async fn load(&self, key: &str) -> Result<Option<Record>, BoxError> {
        self.0.load(key).await
    }

    async fn compare_and_swap(
        &self,
        key: &str,
        expected: Option<u64>,
        new: &Record,
    ) -> Result<Swap, BoxError> {
        pass(self.1).await;
        self.0.compare_and_swap(key, expected, new).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_waits_two_seconds_at_most_for_its_refresh_token_to_be_saved() {
    for (saving, waiting) in [(SECOND / 2, SECOND / 2), (4 * SECOND, 2 * SECOND)] {
        let store = MemoryStore::new();
        let oauth = rotating(Slow(store.clone(), saving));
        let script = Script::of([rotate("a1", "r1")]);
        let cache = cache_with(oauth, &script, &Log::default());
        let started = clock().now().moment;
        secret(&cache).await;
        let mark = saving;
        assert_eq!(clock().now().moment - started, mark + SECOND + waiting);
        pass(saving).await;
        let stored = stored(&store).await;
        assert_eq!(
            stored.as_deref(),
            Some("r1"),
            "and it is saved all the same"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_configured_refresh_token_is_not_presented_before_the_store_was_read() {
    let store = Flaky::default();
    store.loads_fail.store(true, Ordering::Relaxed);
    let script = Script::of([rotate("a1", "r1")]);
    let cache = cache_with(rotating(store.clone()), &script, &Log::default());
    let error = failure(&cache).await;
    assert_eq!(error.kind(), ErrorKind::Store);
    assert_eq!(script.requests(), 0);
    store.loads_fail.store(false, Ordering::Relaxed);
    assert_eq!(secret(&cache).await, "a1");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_serves_the_access_token_to_its_end_and_spends_nothing() {
    let store = Flaky::default();
    let script = Script::of([rotate("a1", "r1"), rotate("a2", "r2")]);
    let cache = cache_with(rotating(store.clone()), &script, &Log::default());
    secret(&cache).await;
    store.saves_fail.store(usize::MAX, Ordering::Relaxed);
    pass(560 * SECOND).await;
    assert_eq!(secret(&cache).await, "a1", "stale, and served");
    pass(30 * SECOND).await;
    let error = failure(&cache).await;
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(matches!(error.recovery(), Recovery::WaitUntil(_)));
    assert_eq!(script.presented(), ["r0"], "no presentation without a mark");
    store.saves_fail.store(0, Ordering::Relaxed);
    assert_eq!(secret(&cache).await, "a2");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_lifetime_is_capped_once_by_a_refusal_that_was_cured() {
    let unknown = |name: &str| Act::Answer(200, format!(r#"{{"access_token":"{name}"}}"#));
    let script = Script::of([unknown("u1"), unknown("u2"), unknown("u3"), unknown("u4")]);
    let cache = cache(&script);
    let first = token(&cache).await.expect("a token");
    pass(100 * SECOND).await;
    cache.cured(&first, clock().now().moment);
    assert_eq!(cache.refused(&first, true), RejectionVerdict::Renew);
    let need = Need::NewerThan(first.generation());
    cache.token(need, PATIENT).await.expect("a token");
    pass(60 * SECOND).await;
    assert_eq!(
        cache.ready(clock().now()).expect("not stale").secret(),
        "u2"
    );
    pass(30 * SECOND).await;
    cache.ready(clock().now());
    pass(2 * SECOND).await;
    assert_eq!(
        cache.ready(clock().now()).expect("renewed early").secret(),
        "u3"
    );
    pass(200 * SECOND).await;
    cache.ready(clock().now());
    pass(2 * SECOND).await;
    assert_eq!(
        cache
            .ready(clock().now())
            .expect("the cap is gone")
            .secret(),
        "u3"
    );
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_in_any_event_or_error() {
    let log = Log::default();
    let leak = r#"{"error":"invalid_client","error_description":"s3cr3t and r0 are wrong"}"#;
    let script = Script::of([rotate("acc3ss", "r3fr35h"), Act::Answer(401, leak.into())]);
    let cache = cache_with(rotating(MemoryStore::new()), &script, &log);
    secret(&cache).await;
    pass(580 * SECOND).await;
    let error = failure(&cache).await;
    let text = format!("{error} {error:?} {:?} {:?}", log.lines(), cache.present());
    for secret in ["s3cr3t", "acc3ss", "r3fr35h"] {
        assert!(!text.contains(secret), "{text}");
    }
}

/// The hot path as the middleware runs it takes no lock: a writer in the middle of a change does
/// not hold it up.
#[tokio::test(start_paused = true)]
async fn a_fresh_token_is_read_while_somebody_writes() {
    let cache = cache(&Script::default());
    secret(&cache).await;
    cache.shared.board.change(|_| {
        assert_eq!(cache.ready(clock().now()).expect("no lock").secret(), "t1");
    });
}

#[allow(dead_code)]
fn futures_are_send(cache: &Cache) -> impl Future<Output = Result<Arc<Token>, Error>> + Send {
    cache.token(Need::Usable, PATIENT)
}

/// Limits that must not be asked by who has a token.
struct Untouchable;

impl super::budget::TokenLimit for Untouchable {
    fn room(&self) -> Moment {
        Moment::ZERO
    }

    fn look(&self, _: Now) {
        panic!("it takes a lock");
    }

    fn take(&self, _: Now) -> bool {
        true
    }

    fn end(&self, _: bool, _: Now) {}
}

/// The lock that writers hold would be taken twice by one thread, which std's never allows.
#[tokio::test(start_paused = true)]
async fn a_usable_token_is_read_while_somebody_holds_the_lock() {
    let script = Script::of([issue("t1"), refuse(503, "x")]);
    let oauth = OAuthSettings {
        limit: Some(Arc::new(Untouchable)),
        ..oauth(Grant::client_credentials())
    };
    let cache = cache_with(oauth, &script, &Log::default());
    let started = cache.shared.start(Need::Usable).expect("a flight");
    cache.join(started, None).await;
    let read = || {
        let board = &cache.shared.board;
        board.change(|_| cache.ready(clock().now()).map(|token| token.generation()))
    };
    assert_eq!(read(), Some(1), "fresh");
    pass(500 * SECOND).await;
    cache.ready(clock().now()).expect("it starts a renewal");
    assert_eq!(read(), Some(1), "stale, renewal under way");
    pass(SECOND).await;
    assert_eq!(read(), Some(1), "stale, backing off");
    assert_eq!(script.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_replaced_token_is_superseded_and_starts_nothing() {
    let script = Script::default();
    let cache = cache(&script);
    let first = token(&cache).await.expect("a token");
    cache.refused(&first, true);
    let need = Need::NewerThan(first.generation());
    cache.token(need, PATIENT).await.expect("a token");
    assert_eq!(cache.refused(&first, true), RejectionVerdict::Superseded);
    pass(10 * SECOND).await;
    assert_eq!(script.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_names_the_token_is_believed_whatever_worked_before() {
    let script = Script::default();
    let cache = cache(&script);
    let token = token(&cache).await.expect("a token");
    token.evidence().note_refused_replay(clock().now().moment);
    pass(SECOND).await;
    let left = clock().now().moment;
    pass(SECOND).await;
    token.evidence().note_success(left, clock().now().moment);
    assert_eq!(cache.refused(&token, false), RejectionVerdict::NotTheToken);
    assert_eq!(cache.refused(&token, true), RejectionVerdict::Renew);
}

#[tokio::test(start_paused = true)]
async fn nobody_begins_with_a_token_refused_while_its_successor_is_under_way() {
    let script = Script::default();
    let cache = cache(&script);
    let first = token(&cache).await.expect("a token");
    pass(500 * SECOND).await;
    let stale = cache.ready(clock().now());
    assert_eq!(stale.expect("a stale token").generation(), 1);
    assert_eq!(cache.refused(&first, true), RejectionVerdict::Renew);
    assert!(cache.ready(clock().now()).is_none());
    assert_eq!(secret(&cache).await, "t2");
    assert_eq!(script.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn further_requests_of_a_flight_keep_to_the_launch_bucket_too() {
    let cache = cache(&Script::default());
    let launches: Vec<_> = (0..5).map(|_| cache.shared.launch_another()).collect();
    assert_eq!(launches.iter().flatten().count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_tokens_life_is_counted_from_before_its_request_left() {
    let cache = cache(&Script::default());
    let before = clock().now();
    let token = token(&cache).await.expect("a token");
    assert_eq!(
        clock().now().moment - before.moment,
        SECOND,
        "it took a second"
    );
    assert_eq!(token.times().age(before), Duration::ZERO);
    let end = before.wall + Duration::from_secs(600);
    assert_eq!(token.times().expires_at(), Some(end));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_client_keeps_its_refresh_token_for_the_probe() {
    let script = Script::of([refuse(401, "invalid_client"), rotate("a1", "r1")]);
    let oauth = rotating(MemoryStore::new());
    let cache = cache_with(oauth, &script, &Log::default());
    assert_eq!(failure(&cache).await.kind(), ErrorKind::ClientRejected);
    pass(60 * SECOND).await;
    assert_eq!(secret(&cache).await, "a1");
    assert_eq!(script.presented(), ["r0", "r0"]);
}

#[test]
fn who_asks_where_for_what_has_a_record_of_its_own() {
    let key = |oauth: OAuthSettings| crate::auth::persistence::record::key("test", &oauth);
    let grant = || oauth(Grant::client_credentials());
    let mut others = [grant(), grant(), grant()];
    others[0].token_url.set_path("/other");
    others[1].client_id = Some("another id".into());
    others[2].scope = Some("orders".into());
    let keys = others.map(key);
    assert!(keys.iter().all(|other| *other != key(grant())));
    assert_eq!(key(grant()), key(grant()));
}

#[test]
fn what_makes_the_tokens_of_one_client_different_is_in_the_key_of_its_record() {
    let key = |oauth: OAuthSettings| crate::auth::persistence::record::key("test", &oauth);
    let with = |name: &str, value: Secret| OAuthSettings {
        token_fields: vec![(name.to_owned(), value)],
        ..oauth(Grant::client_credentials())
    };
    let resource = |value: &str| key(with("resource", value.into()));
    assert_ne!(resource("https://a.example"), resource("https://b.example"));
    let secret = |value: &str| key(with("client_secret_2", value.into()));
    assert_eq!(
        secret("old"),
        secret("new"),
        "a rotated secret loses nothing"
    );
    let grants = [
        Grant::client_credentials(),
        Grant::password("alice", "p"),
        Grant::refresh_token("r"),
    ];
    let keys = grants.map(|grant| key(oauth(grant)));
    assert!(keys[0] != keys[1] && keys[0] != keys[2] && keys[1] != keys[2]);
    let login = key(oauth(Grant::authorization_code(
        "https://localhost/callback",
    )));
    assert_eq!(login, keys[2], "a login, whoever carried it out");
}
