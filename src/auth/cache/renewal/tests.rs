//! Renewals by one process and by several, on stores and servers that fail.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use crate::auth::cache::Cache;
use crate::auth::cache::state::Need;
use crate::auth::login::AuthorizationRequest;
use crate::auth::login::revoke::Revoked;
use crate::auth::oauth::endpoint::{Delivery, Presentation, TokenEndpoint};
use crate::auth::persistence::record::{self, Mark, Tokens, mark_of, seconds};
use crate::auth::persistence::refresh_chain::{Step, new_id};
use crate::auth::persistence::{Taken, TokenPersistence};
use crate::auth::store::{Lease, Record, Swap, TokenStore};
use crate::auth::testing::*;
use crate::auth::token::Token;
use crate::auth::{Grant, OAuthSettings};
use crate::clock::BoxFuture;
use crate::error::{BoxError, Error, ErrorKind, Recovery};
use crate::options::RequestOptions;
use crate::secret::Secret;
use crate::stores::MemoryStore;

const CALLBACK: &str = "http://127.0.0.1:8139/callback";

/// What goes wrong with one swap.
enum Fault {
    None,
    Fails,
    /// It takes effect, and its answer is lost.
    AnswerLost,
    /// It takes effect so much later.
    Late(Duration),
}

/// How a store's leases work.
#[derive(Clone, Copy, Default, PartialEq)]
enum Leases {
    /// They run out: what became of the holder is not known.
    #[default]
    Timed,
    /// A lock, free when its holder is dead.
    Lock,
    /// Everyone is granted one.
    Always,
}

/// A store that several processes share, and that fails by script.
#[derive(Clone, Default)]
struct Shelf {
    inner: MemoryStore,
    leases: Leases,
    faults: Arc<Mutex<VecDeque<Fault>>>,
    swaps_fail: Arc<AtomicBool>,
    releases_hang: Arc<AtomicBool>,
    /// How long each call takes.
    slow: Duration,
    abandoned: Arc<AtomicUsize>,
}

impl Shelf {
    fn with(leases: Leases) -> Self {
        Self {
            leases,
            ..Self::default()
        }
    }

    fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().expect("no panic").extend(faults);
    }

    fn fault(&self) -> Fault {
        if self.swaps_fail.load(Ordering::Relaxed) {
            return Fault::Fails;
        }
        let fault = self.faults.lock().expect("no panic").pop_front();
        fault.unwrap_or(Fault::None)
    }

    /// Whatever stands there.
    async fn put(&self, record: Record) {
        let key = key(self);
        let present = self.inner.load(&key).await.expect("no error");
        let expected = present.map(|record| record.version);
        let swap = self.inner.compare_and_swap(&key, expected, &record).await;
        assert_eq!(swap.expect("no error"), Swap::Saved);
    }

    async fn record(&self) -> Record {
        let record = self.inner.load(&key(self)).await;
        record.expect("no error").expect("a record")
    }

    async fn tokens(&self) -> Tokens {
        let tokens = Tokens::from_bytes(&self.record().await.bytes);
        tokens.expect("readable")
    }

    async fn refresh_token(&self) -> String {
        self.tokens()
            .await
            .refresh_token
            .clone()
            .unwrap_or_default()
    }
}

#[async_trait]
impl TokenStore for Shelf {
    async fn load(&self, key: &str) -> Result<Option<Record>, BoxError> {
        pass(self.slow).await;
        self.inner.load(key).await
    }

    async fn compare_and_swap(
        &self,
        key: &str,
        expected: Option<u64>,
        new: &Record,
    ) -> Result<Swap, BoxError> {
        pass(self.slow).await;
        let swap = self.inner.compare_and_swap(key, expected, new);
        match self.fault() {
            Fault::None => swap.await,
            Fault::Fails => Err("full".into()),
            Fault::AnswerLost => {
                swap.await?;
                Err("the connection broke".into())
            }
            Fault::Late(span) => {
                pass(span).await;
                swap.await
            }
        }
    }

    async fn lease(&self, key: &str, id: &str, lifetime: Duration) -> Result<Lease, BoxError> {
        pass(self.slow).await;
        let (lifetime, previous_is_dead) = match self.leases {
            Leases::Timed => (lifetime, false),
            Leases::Lock => (YEAR, true),
            Leases::Always => {
                return Ok(Lease::Granted {
                    previous_is_dead: false,
                });
            }
        };
        Ok(match self.inner.lease(key, id, lifetime).await? {
            Lease::Granted { .. } => Lease::Granted { previous_is_dead },
            held => held,
        })
    }

    async fn release(&self, key: &str, id: &str) -> Result<(), BoxError> {
        if self.releases_hang.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        self.inner.release(key, id).await
    }

    fn abandon(&self, key: &str, id: &str) {
        self.abandoned.fetch_add(1, Ordering::Relaxed);
        if self.leases == Leases::Lock {
            self.inner.abandon(key, id);
        }
    }
}

fn rotating(store: &Shelf) -> OAuthSettings {
    with_store(Grant::refresh_token("r0"), store.clone())
}

fn key(store: &Shelf) -> String {
    record::key("test", &rotating(store))
}

fn cache_with(oauth: OAuthSettings, script: &Script, log: &Log) -> Arc<Cache> {
    let settings = settings(None, log);
    let endpoint = Box::new(script.clone());
    Arc::new(Cache::new(&settings, Arc::new(oauth), endpoint))
}

/// A process that shares the store.
fn process(store: &Shelf, script: &Script) -> Arc<Cache> {
    cache_with(rotating(store), script, &Log::default())
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

async fn failure(cache: &Cache) -> Error {
    let token = match cache.ready(clock().now()) {
        Some(token) => Ok(token),
        None => cache.token(Need::Usable, IMPATIENT).await,
    };
    token.expect_err("a failure")
}

/// All of them ask at once: their access tokens.
async fn secrets(caches: &[Arc<Cache>]) -> Vec<String> {
    let ask = |cache: &Arc<Cache>| {
        let cache = cache.clone();
        tokio::spawn(async move { secret(&cache).await })
    };
    let mut secrets = Vec::new();
    for asked in caches.iter().map(ask).collect::<Vec<_>>() {
        secrets.push(asked.await.expect("no panic"));
    }
    secrets
}

fn processes(count: usize, store: &Shelf, script: &Script) -> Vec<Arc<Cache>> {
    (0..count).map(|_| process(store, script)).collect()
}

/// An access token for 20 s.
fn brief(access_token: &str, refresh_token: &str) -> Act {
    let body = format!(
        r#"{{"access_token":"{access_token}","refresh_token":"{refresh_token}","expires_in":20}}"#
    );
    Act::Answer(200, body)
}

// The server.

#[tokio::test(start_paused = true)]
async fn ten_closes_over_half_a_minute_cost_eight_processes_14_requests_and_no_login() {
    for leases in [Leases::Timed, Leases::Lock, Leases::Always] {
        let store = Shelf::with(leases);
        let lost = (0..10).map(|_| Act::Lost);
        let script = Script::of(lost.chain([rotate("a1", "r1")]));
        let all = processes(8, &store, &script);
        assert_eq!(secrets(&all).await, ["a1"; 8]);
        assert!(script.requests() <= 14, "{}", script.requests());
        assert!(script.presented().iter().all(|token| token == "r0"));
    }
}

/// What the store says at the moment at which a request leaves.
struct Watching {
    store: Shelf,
    script: Script,
    marks: Arc<Mutex<Vec<Option<Mark>>>>,
}

impl TokenEndpoint for Watching {
    fn request<'a>(&'a self, presentation: Presentation<'a>) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            let mark = self.store.tokens().await.presented.clone();
            self.marks.lock().expect("no panic").push(mark);
            self.script.request(presentation).await
        })
    }

    fn revoke<'a>(&'a self, revoked: Revoked<'a>) -> BoxFuture<'a, Delivery> {
        self.script.revoke(revoked)
    }
}

/// Rule 1; and that a round has one mark, and the next the next number.
#[tokio::test(start_paused = true)]
async fn the_mark_stands_in_the_store_before_the_request_leaves() {
    let (store, marks) = (Shelf::default(), Arc::default());
    let script = Script::of([Act::Lost, Act::Lost, refuse(503, "x"), rotate("a1", "r1")]);
    let endpoint = Watching {
        store: store.clone(),
        script,
        marks: Arc::clone(&marks),
    };
    let account = settings(None, &Log::default());
    let cache = Cache::new(&account, Arc::new(rotating(&store)), Box::new(endpoint));
    assert_eq!(secret(&cache).await, "a1");
    let marks = marks.lock().expect("no panic");
    let seen: Vec<_> = marks
        .iter()
        .flatten()
        .map(|mark| (mark.n, mark.open))
        .collect();
    assert_eq!(seen, [(1, true), (1, true), (2, true), (3, true)]);
    assert!(marks.iter().flatten().all(|mark| mark.of == mark_of("r0")));
}

/// Rule 14.
#[tokio::test(start_paused = true)]
async fn a_failed_renewal_closes_its_mark_so_that_others_follow_after_a_back_off() {
    for act in [refuse(503, "x"), refuse(400, "invalid_grant"), Act::NotSent] {
        let store = Shelf::default();
        let cache = process(&store, &Script::of([act]));
        failure(&cache).await;
        pass(SECOND / 10).await;
        let mark = store.tokens().await.presented.clone().expect("a mark");
        assert!(!mark.open);
        let other = process(&store, &Script::of([rotate("a1", "r1")]));
        let begin = clock().now().moment;
        assert_eq!(secret(&other).await, "a1");
        let span = clock().now().moment - begin;
        assert!(span <= 3 * SECOND, "{span:?}");
    }
}

// The store.

#[tokio::test(start_paused = true)]
async fn swaps_whose_answers_are_lost_spend_nothing_twice() {
    for lost in 0..4 {
        let store = Shelf::default();
        let none = (0..lost).map(|_| Fault::None);
        store.fail_next(none.chain([Fault::AnswerLost]));
        let script = Script::of([brief("a1", "r1"), brief("a2", "r2")]);
        let cache = process(&store, &script);
        assert_eq!(secret(&cache).await, "a1", "{lost}");
        pass(30 * SECOND).await;
        assert_eq!(secret(&cache).await, "a2", "{lost}");
        pass(10 * SECOND).await;
        assert_eq!(script.presented(), ["r0", "r1"], "{lost}");
        assert_eq!(store.refresh_token().await, "r2", "{lost}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_save_that_lands_three_minutes_later_displaces_nothing_newer() {
    let store = Shelf::default();
    store.fail_next([Fault::None, Fault::Late(180 * SECOND)]);
    let script = Script::of([brief("a1", "r1"), brief("a2", "r2"), rotate("a3", "r3")]);
    let cache = process(&store, &script);
    assert_eq!(secret(&cache).await, "a1");
    // The second attempt has saved it after 30 s.
    pass(40 * SECOND).await;
    assert_eq!(secret(&cache).await, "a2");
    pass(30 * SECOND).await;
    assert_eq!(secret(&cache).await, "a3");
    pass(300 * SECOND).await;
    assert_eq!(script.presented(), ["r0", "r1", "r2"]);
    assert_eq!(store.refresh_token().await, "r3");
}

/// Rules 8 and 9: what was asked for lands long after all other attempts have failed.
#[tokio::test(start_paused = true)]
async fn a_save_that_lands_when_the_others_have_failed_is_known_for_saved() {
    let store = Shelf::default();
    store.fail_next([Fault::None, Fault::Late(180 * SECOND)]);
    let script = Script::of([brief("a1", "r1"), rotate("a2", "r2")]);
    let log = Log::default();
    let cache = cache_with(rotating(&store), &script, &log);
    assert_eq!(secret(&cache).await, "a1");
    store.swaps_fail.store(true, Ordering::Relaxed);
    pass(100 * SECOND).await;
    let error = failure(&cache).await;
    assert_eq!(
        error.kind(),
        ErrorKind::Store,
        "r1 has no place yet: {error}"
    );
    assert_eq!(script.requests(), 1);
    pass(100 * SECOND).await;
    assert_eq!(store.refresh_token().await, "r1");
    store.swaps_fail.store(false, Ordering::Relaxed);
    assert_eq!(secret(&cache).await, "a2");
    assert_eq!(script.presented(), ["r0", "r1"]);
    assert_eq!(log.count("TokenSuperseded"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_was_emptied_gets_the_newest_back_and_never_the_configured_token() {
    let mut store = Shelf::default();
    let script = Script::of([brief("a1", "r1"), rotate("a2", "r2")]);
    let log = Log::default();
    let emptied = Arc::new(Emptied::of(store.clone()));
    let oauth = with_store(Grant::refresh_token("r0"), emptied.clone());
    let cache = cache_with(oauth, &script, &log);
    assert_eq!(secret(&cache).await, "a1");
    let before = store.record().await.version;
    emptied.empty();
    pass(30 * SECOND).await;
    assert_eq!(secret(&cache).await, "a2");
    assert_eq!(script.presented(), ["r0", "r1"]);
    store = emptied.shelf();
    assert_eq!(store.refresh_token().await, "r2");
    assert!(
        store.record().await.version > before,
        "others would ignore it"
    );
}

/// A store whose contents can be lost.
struct Emptied(Mutex<Shelf>);

impl Emptied {
    fn of(shelf: Shelf) -> Self {
        Self(Mutex::new(shelf))
    }

    fn shelf(&self) -> Shelf {
        self.0.lock().expect("no panic").clone()
    }

    fn empty(&self) {
        *self.0.lock().expect("no panic") = Shelf::default();
    }
}

#[async_trait]
impl TokenStore for Emptied {
    async fn load(&self, key: &str) -> Result<Option<Record>, BoxError> {
        self.shelf().load(key).await
    }

    async fn compare_and_swap(
        &self,
        key: &str,
        expected: Option<u64>,
        new: &Record,
    ) -> Result<Swap, BoxError> {
        self.shelf().compare_and_swap(key, expected, new).await
    }
}

/// What the contract forbids.
#[tokio::test(start_paused = true)]
async fn a_version_that_comes_again_with_other_bytes_costs_no_login() {
    let store = Shelf::default();
    let script = Script::of([brief("a1", "r1"), rotate("a2", "r2")]);
    let cache = process(&store, &script);
    assert_eq!(secret(&cache).await, "a1");
    let version = store.record().await.version;
    let mut spent = Tokens::new(None, Some("r0"));
    (spent.login, spent.write) = (Some(0), Some(new_id()));
    store.put(Record::new(version, spent.to_bytes())).await;
    pass(30 * SECOND).await;
    assert_eq!(secret(&cache).await, "a2");
    assert_eq!(script.presented(), ["r0", "r1"]);
    assert_eq!(store.refresh_token().await, "r2");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_read_is_an_error_of_the_store_and_nothing_is_presented() {
    for (bytes, word) in [("{", "damaged"), (r#"{"format":99}"#, "later version")] {
        let store = Shelf::default();
        store.put(Record::new(7, bytes)).await;
        let script = Script::default();
        let cache = process(&store, &script);
        let error = failure(&cache).await;
        assert_eq!(error.kind(), ErrorKind::Store);
        assert!(error.to_string().contains(word), "{error}");
        pass(600 * SECOND).await;
        failure(&cache).await;
        assert_eq!(script.requests(), 0);
        assert_eq!(store.record().await.bytes, bytes.as_bytes(), "untouched");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_holds_on_to_the_right_delays_no_caller() {
    for grant in [Grant::refresh_token("r0"), Grant::client_credentials()] {
        let store = Shelf::default();
        store.releases_hang.store(true, Ordering::Relaxed);
        let oauth = with_store(grant, store.clone());
        let cache = cache_with(oauth, &Script::of([rotate("a1", "r1")]), &Log::default());
        let begin = clock().now().moment;
        assert_eq!(secret(&cache).await, "a1");
        assert_eq!(clock().now().moment - begin, SECOND, "the request's second");
    }
}

/// Ports by default: without leases the mark alone excludes.
#[tokio::test(start_paused = true)]
async fn without_leases_that_exclude_no_token_is_spent_twice() {
    for slow in [Duration::ZERO, SECOND, 4 * SECOND] {
        let store = Shelf {
            slow,
            ..Shelf::with(Leases::Always)
        };
        let acts = (1..20).map(|n| brief(&format!("a{n}"), &format!("r{n}")));
        let script = Script::of(acts);
        let all = processes(8, &store, &script);
        for _ in 0..5 {
            let patient = secrets(&all).await;
            assert_eq!(patient.len(), 8);
            pass(40 * SECOND).await;
        }
        let mut presented = script.presented();
        presented.sort();
        let count = presented.len();
        presented.dedup();
        assert_eq!(presented.len(), count, "{slow:?}");
    }
}

/// The port as the trait has it by default.
#[derive(Clone, Default)]
struct Bare(MemoryStore);

#[async_trait]
impl TokenStore for Bare {
    async fn load(&self, key: &str) -> Result<Option<Record>, BoxError> {
        self.0.load(key).await
    }

    async fn compare_and_swap(
        &self,
        key: &str,
        expected: Option<u64>,
        new: &Record,
    ) -> Result<Swap, BoxError> {
        self.0.compare_and_swap(key, expected, new).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_with_two_operations_is_enough() {
    let store = Bare::default();
    assert!(store.is_shared() && store.check("k", true).is_ok());
    store.release("k", "a").await.expect("no error");
    for id in ["a", "b"] {
        let lease = store.lease("k", id, SECOND).await.expect("no error");
        let vouched = Lease::Granted {
            previous_is_dead: false,
        };
        assert_eq!(lease, vouched, "where two share it that would cost logins");
    }
    let script = Script::of([rotate("a1", "r1")]);
    let all: Vec<_> = (0..8)
        .map(|_| with_store(Grant::refresh_token("r0"), store.clone()))
        .map(|oauth| cache_with(oauth, &script, &Log::default()))
        .collect();
    assert_eq!(secrets(&all).await, ["a1"; 8]);
    assert_eq!(script.presented(), ["r0"]);
}

#[tokio::test(start_paused = true)]
async fn eight_cold_processes_with_a_grant_that_can_be_repeated_ask_once() {
    for leases in [Leases::Timed, Leases::Lock] {
        let (store, script) = (Shelf::with(leases), Script::default());
        let all: Vec<_> = (0..8)
            .map(|_| with_store(Grant::client_credentials(), store.clone()))
            .map(|oauth| cache_with(oauth, &script, &Log::default()))
            .collect();
        assert_eq!(secrets(&all).await, ["t1"; 8]);
        assert_eq!(script.requests(), 1);
        pass(700 * SECOND).await;
        assert_eq!(secrets(&all).await, ["t2"; 8]);
        assert_eq!(script.requests(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn two_accounts_of_one_process_share_a_store_and_no_right() {
    let (store, script) = (Shelf::with(Leases::Lock), Script::of([rotate("a1", "r1")]));
    let first = process(&store, &script);
    let mut other = rotating(&store);
    other.scope = Some("orders".into());
    let second = cache_with(other, &Script::of([rotate("b1", "s1")]), &Log::default());
    let begin = clock().now().moment;
    assert_eq!(secrets(&[first, second]).await, ["a1", "b1"]);
    assert_eq!(clock().now().moment - begin, SECOND, "at the same time");
    assert_eq!(store.refresh_token().await, "r1");
}

// Holders that are gone.

/// A process has marked the token, and was killed.
async fn orphan(store: &Shelf) {
    let mut tokens = Tokens::new(None, Some("r0"));
    (tokens.login, tokens.write) = (Some(0), Some(new_id()));
    tokens.presented = Some(Mark {
        of: mark_of("r0"),
        n: 1,
        id: new_id(),
        holder: "process 7".into(),
        at: seconds(clock().now().wall),
        open: true,
        lost: None,
    });
    store.put(Record::new(1, tokens.to_bytes())).await;
    if store.leases == Leases::Timed {
        let lease = store.lease(&key(store), "the dead one", 8 * SECOND).await;
        assert!(lease.expect("no error").is_granted());
    }
}

const ORPHANS: [(Leases, u64, u64); 3] = [
    (Leases::Lock, 3, 3),
    (Leases::Timed, 75, 76),
    (Leases::Always, 75, 76),
];

#[tokio::test(start_paused = true)]
async fn a_holder_killed_before_it_sent_costs_three_seconds_or_75() {
    for (leases, least, most) in ORPHANS {
        let store = Shelf::with(leases);
        orphan(&store).await;
        let script = Script::of([rotate("a1", "r1")]);
        let begin = clock().now().moment;
        let all = processes(4, &store, &script);
        assert_eq!(secrets(&all).await, ["a1"; 4]);
        let moments = script.moments();
        assert_eq!(moments.len(), 1);
        let waited = moments[0] - begin;
        let range = Duration::from_secs(least)..=Duration::from_secs(most);
        assert!(range.contains(&waited), "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_killed_after_it_sent_is_named_where_the_server_had_acted() {
    for (leases, ..) in ORPHANS {
        let store = Shelf::with(leases);
        orphan(&store).await;
        let script = Script::of([refuse(400, "invalid_grant")]);
        let error = token(&process(&store, &script)).await.expect_err("a login");
        assert_eq!(error.recovery(), Recovery::LogIn);
        let text = error.to_string();
        assert!(
            text.contains("process 7") && text.contains("lost"),
            "{text}"
        );
        assert_eq!(script.requests(), 1);
    }
}

// Logins.

fn of_login(store: &Shelf) -> OAuthSettings {
    let mut oauth = with_store(Grant::authorization_code(CALLBACK), store.clone());
    oauth.authorization_url = url::Url::parse("https://login.example/authorize").ok();
    oauth
}

fn answer_to(request: &AuthorizationRequest) -> String {
    format!("{CALLBACK}?code=c0de&state={}", request.state())
}

async fn log_in(cache: &Cache) -> Result<(), Error> {
    let request = cache.authorization_request()?;
    request.exchange(&answer_to(&request)).await
}

#[tokio::test(start_paused = true)]
async fn a_login_follows_a_renewal_that_is_under_way() {
    for leases in [Leases::Timed, Leases::Lock, Leases::Always] {
        let store = Shelf::with(leases);
        let script = Script::of([brief("a1", "r1"), rotate("a2", "r2"), rotate("a3", "s1")]);
        let renewing = cache_with(of_login(&store), &script, &Log::default());
        log_in(&renewing).await.expect("a login");
        pass(30 * SECOND).await;
        let asked = renewing.clone();
        let renewal = tokio::spawn(async move { token(&asked).await.map(drop) });
        pass(SECOND / 2).await;
        assert_eq!(script.presented(), ["c0de", "r1"], "it is under way");
        let other = cache_with(of_login(&store), &script, &Log::default());
        log_in(&other).await.expect("a login");
        renewal.await.expect("no panic").expect("a token");
        pass(60 * SECOND).await;
        assert_eq!(script.presented(), ["c0de", "r1", "c0de"]);
        assert_eq!(store.refresh_token().await, "s1", "the login stays");
        pass(600 * SECOND).await;
        secret(&renewing).await;
        assert_eq!(script.presented()[3], "s1", "and the other goes on with it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_beside_a_login_that_is_under_way_takes_the_logins_token() {
    let store = Shelf::default();
    let script = Script::of([brief("a1", "r1"), rotate("a2", "s1")]);
    let renewing = cache_with(of_login(&store), &script, &Log::default());
    log_in(&renewing).await.expect("a login");
    pass(30 * SECOND).await;
    let other = cache_with(of_login(&store), &script, &Log::default());
    let login = tokio::spawn(async move { log_in(&other).await });
    pass(SECOND / 2).await;
    assert_eq!(secret(&renewing).await, "a2");
    login.await.expect("no panic").expect("a login");
    assert_eq!(script.presented(), ["c0de", "c0de"]);
    assert_eq!(store.refresh_token().await, "s1");
}

#[tokio::test(start_paused = true)]
async fn a_login_over_a_broken_store_keeps_its_code_and_the_address_may_be_given_again() {
    let store = Shelf::default();
    let script = Script::of([rotate("a1", "r1")]);
    let cache = cache_with(of_login(&store), &script, &Log::default());
    let request = cache.authorization_request().expect("a request");
    store.swaps_fail.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        let failed = request.exchange(&answer_to(&request)).await;
        assert_eq!(failed.expect_err("a full disk").kind(), ErrorKind::Store);
    }
    assert_eq!(script.requests(), 0);
    assert!(!cache.health().is_unsaved);
    store.swaps_fail.store(false, Ordering::Relaxed);
    request
        .exchange(&answer_to(&request))
        .await
        .expect("a login");
    assert_eq!(script.presented(), ["c0de"]);
    assert_eq!(store.refresh_token().await, "r1");
}

#[tokio::test(start_paused = true)]
async fn before_a_person_is_sent_to_log_in_the_store_is_proved() {
    let store = Shelf::default();
    let cache = cache_with(of_login(&store), &Script::default(), &Log::default());
    let options = RequestOptions::default();
    store.swaps_fail.store(true, Ordering::Relaxed);
    let error = cache.warm_up(&options).await.expect_err("a full disk");
    assert_eq!(
        (error.kind(), error.account()),
        (ErrorKind::Store, Some("test"))
    );
    store.swaps_fail.store(false, Ordering::Relaxed);
    let error = cache.warm_up(&options).await.expect_err("no login yet");
    assert_eq!(error.recovery(), Recovery::LogIn);
    log_in(&cache).await.expect("a login");
    cache.warm_up(&options).await.expect("a token");
}

#[tokio::test(start_paused = true)]
async fn the_proof_of_a_store_that_hangs_ends_with_the_callers_deadline() {
    let store = Shelf {
        slow: 4 * SECOND,
        ..Shelf::default()
    };
    let cache = cache_with(of_login(&store), &Script::default(), &Log::default());
    assert_eq!(failure(&cache).await.recovery(), Recovery::LogIn);
    let options = RequestOptions::new().timeout(6 * SECOND);
    let begin = clock().now().moment;
    let error = cache.warm_up(&options).await.expect_err("too slow");
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    assert!(clock().now().moment - begin <= 6 * SECOND);
}

/// There is no login to prepare for.
#[tokio::test(start_paused = true)]
async fn a_grant_that_can_be_repeated_proves_nothing() {
    let store = Shelf::default();
    store.swaps_fail.store(true, Ordering::Relaxed);
    let oauth = with_store(Grant::client_credentials(), store.clone());
    let cache = cache_with(oauth, &Script::default(), &Log::default());
    let options = RequestOptions::default();
    cache.warm_up(&options).await.expect("a token");
}

// A configured refresh token that is gone.

#[tokio::test(start_paused = true)]
async fn a_reference_to_a_refresh_token_is_read_where_the_store_has_none() {
    let gone = || Grant::refresh_token(Secret::env("TOLLGATE_NO_SUCH_VARIABLE"));
    let store = Shelf::default();
    let script = Script::of([rotate("a1", "r1"), rotate("a2", "r2")]);
    let oauth = || with_store(gone(), store.clone());
    let error = failure(&cache_with(oauth(), &script, &Log::default())).await;
    assert_eq!(
        (error.kind(), error.recovery()),
        (ErrorKind::Config, Recovery::Reconfigure)
    );
    assert!(
        error.to_string().contains("TOLLGATE_NO_SUCH_VARIABLE"),
        "{error}"
    );
    assert_eq!(script.requests(), 0);
    assert_eq!(secret(&process(&store, &script)).await, "a1");
    pass(700 * SECOND).await;
    assert_eq!(
        secret(&cache_with(oauth(), &script, &Log::default())).await,
        "a2"
    );
    assert_eq!(script.presented(), ["r0", "r1"]);
}

// Ends.

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_the_renewal_under_way_and_for_its_save() {
    for (span, slow) in [(0, 0), (1, 1), (3, 1)] {
        let store = Shelf {
            slow: slow * SECOND,
            ..Shelf::default()
        };
        let script = Script::of([rotate("a1", "r1")]);
        let cache = process(&store, &script);
        let asked = cache.clone();
        tokio::spawn(async move { token(&asked).await.map(drop) });
        pass(span * SECOND + SECOND / 4).await;
        cache.flush().await.expect("no error");
        assert_eq!(store.refresh_token().await, "r1", "{span}");
        let other = store.inner.lease(&key(&store), "other", SECOND).await;
        assert!(
            other.expect("no error").is_granted(),
            "the right is given back"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_last_handle_leaves_behind_ends_by_itself() {
    for quarters in 0..16 {
        let store = Shelf {
            slow: SECOND / 2,
            ..Shelf::default()
        };
        let script = Script::of([rotate("a1", "r1")]);
        let cache = process(&store, &script);
        let asked = cache.clone();
        let caller = tokio::spawn(async move { token(&asked).await.map(drop) });
        pass(quarters * SECOND / 4 + SECOND / 8).await;
        caller.abort();
        drop(cache);
        pass(10 * SECOND).await;
        assert_eq!(store.refresh_token().await, "r1", "{quarters}");
        assert_eq!(script.requests(), 1);
    }
}

/// At each moment of a renewal: it is said whether the answer is lost, the lock is free, and the
/// next runtime goes on.
#[test]
fn a_renewal_whose_runtime_ends_is_told_and_followed_by_the_next() {
    let mut seen = [false, false];
    for eighths in 0..24 {
        let store = Shelf {
            slow: SECOND / 2,
            ..Shelf::with(Leases::Lock)
        };
        let (script, log) = (Script::of([]), Log::default());
        let runtime = paused_runtime();
        let cache = runtime.block_on(async {
            let cache = cache_with(rotating(&store), &script, &log);
            let asked = cache.clone();
            tokio::spawn(async move { token(&asked).await.map(drop) });
            pass(eighths * SECOND / 8 + SECOND / 16).await;
            cache
        });
        drop(runtime);
        let sent = script.requests() > 0;
        let is_over = cache.present().is_some();
        let abandoned = format!("RefreshAbandoned {{ sent: {sent} }}");
        assert_eq!(log.count(&abandoned), usize::from(!is_over), "{eighths}");
        seen[usize::from(sent)] |= !is_over;
        paused_runtime().block_on(async {
            let begin = clock().now().moment;
            assert!(!secret(&process(&store, &script)).await.is_empty());
            let span = clock().now().moment - begin;
            assert!(span <= 9 * SECOND, "{eighths}: {span:?}");
        });
    }
    assert_eq!(seen, [true, true], "before and after it was sent");
}

// Rights.

/// Whether a right is there that a request could leave under.
fn has_right(persistence: &TokenPersistence) -> bool {
    let now = clock().now();
    persistence.chain(|chain| chain.next(None, now)) != Step::TakeRight
}

/// The store counts from some moment after it was asked, and that may be the first one.
#[tokio::test(start_paused = true)]
async fn the_right_of_a_slow_store_is_counted_from_before_it_was_asked() {
    let store = Shelf {
        slow: 4 * SECOND,
        ..Shelf::default()
    };
    let cache = process(&store, &Script::default());
    let persistence = &cache.shared.source.persistence;
    let _hold = persistence.hold();
    // Asked for in second 0, answered in second 4: good to second 8, and 2 s less for a request.
    assert!(matches!(persistence.take_right().await, Taken::Granted));
    assert!(has_right(persistence));
    let prolonged = async {
        pass(5 * SECOND / 2).await;
        assert!(!has_right(persistence), "second 6.5");
        // Prolonged in second 6, answered in second 10: good to second 14.
        pass(9 * SECOND / 2).await;
        assert!(has_right(persistence), "second 11");
        pass(3 * SECOND / 2).await;
        assert!(!has_right(persistence), "second 12.5");
    };
    persistence.while_right_is_kept(prolonged).await;
}
