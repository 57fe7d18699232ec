//! Health and flush, over an endpoint by script.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use crate::auth::cache::Cache;
use crate::auth::cache::state::Need;
use crate::auth::store::{Record, Swap, TokenStore};
use crate::auth::testing::*;
use crate::auth::{Grant, OAuthSettings};
use crate::error::{BoxError, ErrorKind};
use crate::stores::MemoryStore;

fn cache(oauth: OAuthSettings, script: Script) -> Arc<Cache> {
    let settings = settings(None, &Log::default());
    Arc::new(Cache::new(&settings, Arc::new(oauth), Box::new(script)))
}

fn rotating(store: impl TokenStore, script: Script) -> Arc<Cache> {
    cache(with_store(Grant::refresh_token("r0"), store), script)
}

async fn pass(span: Duration) {
    clock().sleep(span).await;
}

/// In a task, so that it goes on meanwhile.
fn ask(cache: &Arc<Cache>) -> tokio::task::JoinHandle<bool> {
    let cache = cache.clone();
    tokio::spawn(async move { cache.token(Need::Usable, PATIENT).await.is_ok() })
}

/// Fails so often, then keeps what it gets; each save takes so long.
#[derive(Clone)]
struct Weak {
    failures: Arc<AtomicUsize>,
    kept: MemoryStore,
    span: Duration,
}

impl Weak {
    fn new(failures: usize, span: Duration) -> Self {
        Self {
            failures: Arc::new(AtomicUsize::new(failures)),
            kept: MemoryStore::new(),
            span,
        }
    }
}

#[async_trait]
impl TokenStore for Weak {
    async fn load(&self, key: &str) -> Result<Option<Record>, BoxError> {
        self.kept.load(key).await
    }

    async fn compare_and_swap(
        &self,
        key: &str,
        expected: Option<u64>,
        new: &Record,
    ) -> Result<Swap, BoxError> {
        let text = String::from_utf8_lossy(&new.bytes);
        if text.contains("presented") {
            // Of a mark: what is weak is the save after it.
            return self.kept.compare_and_swap(key, expected, new).await;
        }
        pass(self.span).await;
        let take = |left: usize| left.checked_sub(1);
        let taken = self
            .failures
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
        match taken {
            Ok(_) => Err("the disk is full".into()),
            Err(_) => self.kept.compare_and_swap(key, expected, new).await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_is_ready_once_it_has_a_token_and_until_that_expires() {
    let cache = cache(oauth(Grant::client_credentials()), Script::default());
    let cold = cache.health();
    assert!(!cold.is_ready && cold.last_error.is_none() && cold.expires_at.is_none());
    assert!(ask(&cache).await.expect("no panic"));
    let warm = cache.health();
    assert!(warm.is_ready && !warm.needs_login && !warm.is_unsaved);
    let issued_ago = Duration::from_secs(1);
    let expected = clock().now().wall + Duration::from_secs(600) - issued_ago;
    assert_eq!(warm.expires_at, Some(expected));
    assert!(
        warm.to_string()
            .starts_with("account test: ready, its token expires ")
    );
    pass(600 * SECOND).await;
    assert!(!cache.health().is_ready);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_none_to_be_ready_with() {
    let cache = cache(oauth(Grant::client_credentials()), Script::default());
    ask(&cache).await.expect("no panic");
    let token = cache.present().expect("a token");
    cache.refused(&token, true);
    assert!(!cache.health().is_ready);
    pass(2 * SECOND).await;
    assert!(cache.health().is_ready, "its successor is there");
}

#[tokio::test(start_paused = true)]
async fn a_failed_renewal_shows_until_another_succeeds_and_also_while_it_is_under_way() {
    let script = Script::of([refuse(503, "down")]);
    let cache = cache(oauth(Grant::client_credentials()), script);
    let asked = ask(&cache);
    pass(Duration::from_millis(1_100)).await;
    let error = cache.health().last_error.expect("it failed");
    assert_eq!(error.kind(), ErrorKind::TokenEndpoint);
    assert_eq!(error.account(), Some("test"));
    asked.abort();
    let _ = asked.await;
    pass(SECOND).await;
    ask(&cache);
    pass(SECOND / 2).await;
    assert!(cache.health().last_error.is_some(), "under way");
    pass(SECOND).await;
    assert!(cache.health().last_error.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_refused_refresh_token_asks_for_a_login() {
    let script = Script::of([refuse(400, "invalid_grant")]);
    let cache = rotating(MemoryStore::new(), script);
    assert!(!ask(&cache).await.expect("no panic"));
    let health = cache.health();
    assert!(health.needs_login && !health.is_ready);
    let line = health.to_string();
    assert!(line.contains("not ready, a person has to log in; the last renewal failed: "));
}

#[tokio::test(start_paused = true)]
async fn a_rotated_refresh_token_that_is_not_saved_shows_and_holds_no_secret() {
    let store = Weak::new(1, Duration::ZERO);
    let cache = rotating(store, Script::of([rotate("t1", "s3cr3t-r1")]));
    ask(&cache).await.expect("no panic");
    let health = cache.health();
    assert!(health.is_ready && health.is_unsaved, "{health}");
    let shown = format!("{health} {health:?}");
    assert!(
        shown.contains("not saved yet") && !shown.contains("s3cr3t"),
        "{shown}"
    );
    pass(SECOND).await;
    assert!(!cache.health().is_unsaved, "tried again in the background");
}

#[tokio::test(start_paused = true)]
async fn flush_with_nothing_under_way_returns_at_once() {
    let started = clock().now().moment;
    let plain = cache(oauth(Grant::client_credentials()), Script::default());
    plain.flush().await.expect("nothing to do");
    let rotating = rotating(MemoryStore::new(), Script::default());
    rotating.flush().await.expect("nothing to do");
    assert_eq!(clock().now().moment, started);
}

#[tokio::test(start_paused = true)]
async fn flush_waits_for_the_renewal_under_way_and_for_its_save() {
    let store = Weak::new(0, 4 * SECOND);
    let cache = rotating(store.clone(), Script::of([rotate("t1", "r1")]));
    let asked = ask(&cache);
    pass(SECOND / 2).await;
    asked.abort();
    cache.flush().await.expect("it is saved");
    assert!(cache.health().is_ready && !cache.health().is_unsaved);
    let oauth = with_store(Grant::refresh_token("r0"), store.clone());
    let key = crate::auth::persistence::record::key("test", &oauth);
    let record = store.load(&key).await.expect("no error").expect("a record");
    let text = String::from_utf8_lossy(&record.bytes).into_owned();
    assert!(text.contains("r1"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn flush_ends_with_a_renewal_that_fails_and_does_not_complain_of_it() {
    let cache = cache(
        oauth(Grant::client_credentials()),
        Script::of([refuse(503, "down")]),
    );
    let started = clock().now().moment;
    let asked = ask(&cache);
    pass(SECOND / 2).await;
    cache.flush().await.expect("nothing to save");
    assert_eq!(clock().now().moment - started, SECOND);
    asked.abort();
}

#[tokio::test(start_paused = true)]
async fn flush_tries_a_store_that_has_failed_again_at_once() {
    let store = Weak::new(8, Duration::ZERO);
    let cache = rotating(store.clone(), Script::of([rotate("t1", "r1")]));
    ask(&cache).await.expect("no panic");
    // Its pauses have grown long by now.
    pass(20 * SECOND).await;
    let before = store.failures.load(Ordering::SeqCst);
    assert!(before > 0);
    let started = clock().now().moment;
    let error = cache.flush().await.expect_err("the disk is full");
    assert_eq!(error.kind(), ErrorKind::Store);
    assert_eq!(error.account(), Some("test"));
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(store.failures.load(Ordering::SeqCst), before - 1);
    store.failures.store(0, Ordering::SeqCst);
    cache.flush().await.expect("there is room again");
    assert_eq!(clock().now().moment, started);
    assert!(!cache.health().is_unsaved);
}

#[tokio::test(start_paused = true)]
async fn flush_does_not_wait_for_ever_for_a_store_that_hangs() {
    let store = Weak::new(0, 3_600 * SECOND);
    let cache = rotating(store, Script::of([rotate("t1", "r1")]));
    ask(&cache).await.expect("no panic");
    let started = clock().now().moment;
    let error = cache.flush().await.expect_err("it hangs");
    assert!(
        error.to_string().contains("did not save in time"),
        "{error}"
    );
    assert_eq!(clock().now().moment - started, 10 * SECOND);
}
