//! The calls to the store, each bounded, and what is made of their results.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;

use super::refresh_chain::Step;
use super::*;
use crate::auth::store::Lease;
use crate::auth::testing::{Log, SECOND, clock};
use crate::stores::MemoryStore;

fn persistence(store: impl TokenStore, log: &Log) -> Arc<TokenPersistence> {
    let events = Events::new("test".into(), vec![Arc::new(log.clone())]);
    let store: Arc<dyn TokenStore> = Arc::new(store);
    TokenPersistence::new(Some(store), "key".into(), Terms::default(), clock(), events)
}

/// A memory store that does as it is told.
#[derive(Clone, Default)]
struct Told {
    inner: MemoryStore,
    loads_fail: Arc<AtomicBool>,
    leases_fail: Arc<AtomicBool>,
    leases_hang: Arc<AtomicBool>,
    /// They take effect after a second.
    leases_slow: Arc<AtomicBool>,
    releases_hang: Arc<AtomicBool>,
    /// So many swaps hang for an hour before they take effect.
    swaps_hang: Arc<AtomicUsize>,
    /// So many swaps take effect and fail.
    swaps_fail_late: Arc<AtomicUsize>,
    leases: Arc<AtomicUsize>,
    abandoned: Arc<AtomicUsize>,
}

fn take(count: &AtomicUsize) -> bool {
    let less = |left: usize| left.checked_sub(1);
    count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
        .is_ok()
}

#[async_trait]
impl TokenStore for Told {
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
        if take(&self.swaps_hang) {
            clock().sleep(3600 * SECOND).await;
        }
        let swapped = self.inner.compare_and_swap(key, expected, new).await;
        match take(&self.swaps_fail_late) {
            true => Err("the connection broke".into()),
            false => swapped,
        }
    }

    async fn lease(&self, key: &str, id: &str, lifetime: Duration) -> Result<Lease, BoxError> {
        self.leases.fetch_add(1, Ordering::Relaxed);
        if self.leases_hang.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        if self.leases_slow.load(Ordering::Relaxed) {
            clock().sleep(SECOND).await;
        }
        match self.leases_fail.load(Ordering::Relaxed) {
            true => Err("down".into()),
            false => self.inner.lease(key, id, lifetime).await,
        }
    }

    async fn release(&self, key: &str, id: &str) -> Result<(), BoxError> {
        if self.releases_hang.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        self.inner.release(key, id).await
    }

    fn abandon(&self, _: &str, _: &str) {
        self.abandoned.fetch_add(1, Ordering::Relaxed);
    }
}

fn next(persistence: &TokenPersistence) -> Step {
    let now = clock().now();
    persistence.chain(|chain| chain.next(None, now))
}

/// As far as the mark of the first presentation of `r0`.
async fn marked(persistence: &Arc<TokenPersistence>) -> Hold {
    let hold = persistence.hold();
    assert!(matches!(persistence.take_right().await, Taken::Granted));
    persistence.load().await.expect("no error");
    persistence.chain(|chain| chain.begin("r0"));
    persistence.mark(1).await.expect("a mark");
    assert_eq!(next(persistence), Step::Present);
    hold
}

fn answer(persistence: &Arc<TokenPersistence>, refresh_token: &str) -> (u64, bool) {
    let now = clock().now().moment;
    persistence.chain(|chain| chain.sent(now));
    persistence.save(Tokens::new(None, Some(refresh_token)), true)
}

async fn stored(store: &MemoryStore) -> Tokens {
    let record = store
        .load("key")
        .await
        .expect("no error")
        .expect("a record");
    Tokens::from_bytes(&record.bytes).expect("tokens")
}

#[tokio::test(start_paused = true)]
async fn an_error_or_a_late_answer_of_a_lease_is_no_right() {
    for hangs in [false, true] {
        let store = Told::default();
        store.leases_fail.store(!hangs, Ordering::Relaxed);
        store.leases_hang.store(hangs, Ordering::Relaxed);
        let persistence = persistence(store, &Log::default());
        let begin = clock().now().moment;
        let taken = persistence.take_right().await;
        assert!(matches!(taken, Taken::Failed(_)), "hangs: {hangs}");
        assert!(clock().now().moment - begin <= LONGEST_CALL + SECOND);
        assert_eq!(next(&persistence), Step::TakeRight);
    }
}

#[tokio::test(start_paused = true)]
async fn the_right_is_prolonged_while_it_is_needed_and_given_back_after_the_last_need() {
    let store = Told::default();
    let persistence = persistence(store.clone(), &Log::default());
    let (one, two) = (persistence.hold(), persistence.hold());
    assert!(matches!(persistence.take_right().await, Taken::Granted));
    let minute = async { clock().sleep(60 * SECOND).await };
    persistence.while_right_is_kept(minute).await;
    assert!(store.leases.load(Ordering::Relaxed) >= 29);
    let other = store.inner.lease("key", "other", SECOND).await;
    assert!(!other.expect("no error").is_granted());
    drop(one);
    clock().sleep(SECOND).await;
    let other = store.inner.lease("key", "other", SECOND).await;
    assert!(!other.expect("no error").is_granted(), "it is needed yet");
    drop(two);
    clock().sleep(SECOND).await;
    let other = store.inner.lease("key", "other", SECOND).await;
    assert!(other.expect("no error").is_granted());
}

#[tokio::test(start_paused = true)]
async fn the_right_is_kept_until_a_slow_save_is_done() {
    let store = Told::default();
    let persistence = persistence(store.clone(), &Log::default());
    let hold = marked(&persistence).await;
    store.swaps_hang.store(1, Ordering::Relaxed);
    answer(&persistence, "r1");
    drop(hold);
    clock().sleep(29 * SECOND).await;
    let other = store.inner.lease("key", "other", SECOND).await;
    assert!(!other.expect("no error").is_granted(), "not saved yet");
    clock().sleep(10 * SECOND).await;
    assert_eq!(
        stored(&store.inner).await.refresh_token.as_deref(),
        Some("r1")
    );
    let other = store.inner.lease("key", "other", SECOND).await;
    assert!(other.expect("no error").is_granted());
}

#[tokio::test(start_paused = true)]
async fn a_swap_that_hangs_once_does_not_keep_the_next_rotation_from_the_store() {
    let (store, log) = (Told::default(), Log::default());
    let persistence = persistence(store.clone(), &log);
    let _hold = marked(&persistence).await;
    store.swaps_hang.store(1, Ordering::Relaxed);
    answer(&persistence, "r1");
    clock().sleep(40 * SECOND).await;
    assert_eq!(
        stored(&store.inner).await.refresh_token.as_deref(),
        Some("r1")
    );
    assert_eq!(log.count("TokenSaveFailed"), 1, "an event after 30 s");
    // The old one lands an hour later, on a version that is gone.
    clock().sleep(7200 * SECOND).await;
    assert_eq!(
        stored(&store.inner).await.refresh_token.as_deref(),
        Some("r1")
    );
}

#[tokio::test(start_paused = true)]
async fn a_save_that_took_effect_and_failed_is_known_for_saved() {
    let store = Told::default();
    let persistence = persistence(store.clone(), &Log::default());
    let _hold = marked(&persistence).await;
    store.swaps_fail_late.store(1, Ordering::Relaxed);
    answer(&persistence, "r1");
    clock().sleep(10 * SECOND).await;
    assert!(!persistence.has_unsaved());
    let record = store.inner.load("key").await.expect("no error");
    assert_eq!(record.expect("a record").version, 2, "it was saved once");
}

#[tokio::test(start_paused = true)]
async fn a_mark_that_took_effect_and_failed_is_known_for_written() {
    let store = Told::default();
    store.swaps_fail_late.store(1, Ordering::Relaxed);
    let persistence = persistence(store.clone(), &Log::default());
    let _hold = marked(&persistence).await;
    let mark = stored(&store.inner)
        .await
        .presented
        .clone()
        .expect("a mark");
    assert!(mark.open && mark.n == 1);
}

#[tokio::test(start_paused = true)]
async fn a_mark_that_is_late_is_tried_again_and_lands_once() {
    let store = Told::default();
    let persistence = persistence(store.clone(), &Log::default());
    let _hold = persistence.hold();
    persistence.take_right().await;
    persistence.load().await.expect("no error");
    persistence.chain(|chain| chain.begin("r0"));
    store.swaps_hang.store(1, Ordering::Relaxed);
    persistence.mark(1).await.expect("unknown, so once more");
    persistence.take_right().await;
    persistence.load().await.expect("no error");
    assert_eq!(next(&persistence), Step::Mark(1));
    persistence.mark(1).await.expect("a mark");
    assert_eq!(next(&persistence), Step::Present);
    clock().sleep(7200 * SECOND).await;
    let record = store.inner.load("key").await.expect("no error");
    assert_eq!(record.expect("a record").version, 1);
}

#[tokio::test(start_paused = true)]
async fn a_release_that_hangs_holds_up_nothing() {
    let store = Told::default();
    store.releases_hang.store(true, Ordering::Relaxed);
    let persistence = persistence(store.clone(), &Log::default());
    let hold = marked(&persistence).await;
    let begin = clock().now().moment;
    drop(hold);
    assert_eq!(clock().now().moment, begin);
    clock().sleep(10 * SECOND).await;
    assert_eq!(store.abandoned.load(Ordering::Relaxed), 1);
}

#[test]
fn a_right_whose_runtime_is_gone_is_abandoned() {
    let store = Told::default();
    let runtime = crate::auth::testing::paused_runtime();
    let (persistence, hold) = runtime.block_on(async {
        let persistence = persistence(store.clone(), &Log::default());
        let hold = marked(&persistence).await;
        (persistence, hold)
    });
    drop(runtime);
    drop(hold);
    assert_eq!(store.abandoned.load(Ordering::Relaxed), 1);
    assert_eq!(
        persistence.chain(|chain| chain.right_id().map(str::to_owned)),
        None
    );
}

#[tokio::test(start_paused = true)]
async fn a_flush_says_that_this_process_has_the_only_copy() {
    let store = Told::default();
    let persistence = persistence(store.clone(), &Log::default());
    let _hold = marked(&persistence).await;
    store.swaps_hang.store(9, Ordering::Relaxed);
    answer(&persistence, "r1");
    let refusal = persistence.flush().await.expect_err("it is not saved");
    assert!(
        refusal.message.contains("the only copy"),
        "{}",
        refusal.message
    );
}

#[tokio::test(start_paused = true)]
async fn a_flush_ends_as_soon_as_the_login_of_another_process_takes_the_place_of_what_it_saves() {
    let store = Told::default();
    let persistence = persistence(store.clone(), &Log::default());
    let _hold = marked(&persistence).await;
    store.swaps_hang.store(1, Ordering::Relaxed);
    answer(&persistence, "r1");
    let other = async {
        clock().sleep(SECOND).await;
        let mut login = Tokens::new(None, Some("another"));
        login.login = Some(7);
        let record = Record::new(2, login.to_bytes());
        let swap = store.inner.compare_and_swap("key", Some(1), &record);
        assert_eq!(swap.await.expect("no error"), Swap::Saved);
        persistence.load().await.expect("no error");
    };
    let begin = clock().now().moment;
    let (flushed, ()) = futures_util::future::join(persistence.flush(), other).await;
    flushed.expect("nothing is left to save");
    assert!(clock().now().moment - begin < 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_or_written_is_no_proof() {
    let store = Told::default();
    let persistence = persistence(store.clone(), &Log::default());
    persistence.load().await.expect("no error");
    persistence.prove().await.expect("it can be written");
    assert!(stored(&store.inner).await.login_pending.is_some());
    store.swaps_hang.store(9, Ordering::Relaxed);
    persistence.prove().await.expect_err("it hangs");
}

#[tokio::test(start_paused = true)]
async fn damaged_bytes_and_a_later_format_are_errors_that_say_so() {
    for (bytes, word) in [("{", "damaged"), (r#"{"format":2}"#, "later version")] {
        let store = MemoryStore::new();
        let record = Record::new(1, bytes);
        let swap = store.compare_and_swap("key", None, &record).await;
        assert_eq!(swap.expect("no error"), Swap::Saved);
        let persistence = persistence(store, &Log::default());
        let loaded = persistence.load().await;
        let refusal = loaded.err().expect("not ours to read");
        assert!(refusal.message.contains(word), "{}", refusal.message);
        assert_eq!(refusal.class, Class::Store);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_is_reported_once_in_five_seconds() {
    let log = Log::default();
    let store = Told::default();
    store.loads_fail.store(true, Ordering::Relaxed);
    let persistence = persistence(store, &log);
    for _ in 0..40 {
        persistence.load().await.err().expect("it fails");
        clock().sleep(SECOND / 4).await;
    }
    assert_eq!(log.count("TokenSaveFailed"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_given_back_while_it_is_prolonged_is_not_taken_anew() {
    let store = Told::default();
    let persistence = persistence(store.clone(), &Log::default());
    let _hold = persistence.hold();
    assert!(matches!(persistence.take_right().await, Taken::Granted));
    store.leases_slow.store(true, Ordering::Relaxed);
    let waiting = async {
        // The pulse after 2 s reaches the store a second later, behind the release.
        clock().sleep(SECOND * 5 / 2).await;
        persistence.give_right_back();
        clock().sleep(SECOND * 3 / 2).await;
    };
    persistence.while_right_is_kept(waiting).await;
    let other = store.inner.lease("key", "other", SECOND).await;
    assert!(other.expect("no error").is_granted());
}
