//! The saving of what renewals bring: one save at a time, the newest last.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use shuttle::future::{block_on, spawn, yield_now};

use super::explore;
use super::stub::{Endpoint, cache_with, with_store};
use crate::auth::record::Tokens;
use crate::auth::store::{Record, Swap, TokenStore};
use crate::clock::hands::HandClock;
use crate::error::BoxError;
use crate::stores::MemoryStore;

/// A store that takes its time, fails at first if told so, and sees two saves at once.
#[derive(Clone, Default)]
struct Slow {
    inner: MemoryStore,
    under_way: Arc<AtomicU64>,
    failures: Arc<AtomicU64>,
}

#[async_trait]
impl TokenStore for Slow {
    async fn load(&self, key: &str) -> Result<Option<Record>, BoxError> {
        yield_now().await;
        self.inner.load(key).await
    }

    async fn compare_and_swap(
        &self,
        key: &str,
        expected: Option<u64>,
        new: &Record,
    ) -> Result<Swap, BoxError> {
        assert_eq!(
            self.under_way.fetch_add(1, Ordering::SeqCst),
            0,
            "two saves at once"
        );
        yield_now().await;
        let fails = self.failures.load(Ordering::SeqCst) > 0;
        let swapped = match fails {
            true => Err("by script".into()),
            false => self.inner.compare_and_swap(key, expected, new).await,
        };
        if fails {
            self.failures.fetch_sub(1, Ordering::SeqCst);
        }
        yield_now().await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        swapped
    }
}

fn flushing(failures: u64) {
    let (endpoint, clock) = (Endpoint::default(), HandClock::new());
    let store = Slow::default();
    store.failures.store(failures, Ordering::SeqCst);
    let cache = cache_with(with_store(&endpoint, store.clone()), &endpoint, &clock);
    let vault = &cache.shared.source.vault;
    let savers: Vec<_> = ["a", "b"]
        .into_iter()
        .map(|name| {
            let vault = vault.clone();
            spawn(async move { (vault.save(Tokens::new(None, Some(name))), name) })
        })
        .collect();
    let saved = savers
        .into_iter()
        .map(|saver| block_on(saver).expect("not aborted"));
    let (number, newest) = saved.max().expect("two");
    assert_eq!(number, 2, "a number each");
    let mut flushed = block_on(vault.flush());
    for _ in 0..failures {
        flushed = block_on(vault.flush());
    }
    assert!(flushed.is_ok(), "{:?}", flushed.err());
    assert!(!vault.has_unsaved(), "flushed, and yet unsaved");
    let record = block_on(store.inner.load(&vault.key)).expect("no failure");
    let record = record.expect("flushed, and yet not in the store");
    let tokens = Tokens::from_bytes(&record.bytes).expect("tokens");
    assert_eq!(tokens.refresh_token.as_deref(), Some(newest));
}

pub fn after_a_flush_nothing_is_unsaved_and_no_two_saves_overlap() {
    explore(|| flushing(0));
}

pub fn a_flush_hurries_a_save_that_failed() {
    explore(|| flushing(1));
}

pub fn a_record_handed_over_as_the_saver_ends_is_saved_too() {
    explore(|| {
        let (endpoint, clock) = (Endpoint::default(), HandClock::new());
        let store = Slow::default();
        let cache = cache_with(with_store(&endpoint, store.clone()), &endpoint, &clock);
        let vault = cache.shared.source.vault.clone();
        let waiters: Vec<_> = ["a", "b", "c"]
            .into_iter()
            .map(|name| {
                let vault = vault.clone();
                spawn(async move {
                    let number = vault.save(Tokens::new(None, Some(name)));
                    // Nobody passes the time: only the saver can end this wait.
                    vault.saved(number).await;
                })
            })
            .collect();
        waiters
            .into_iter()
            .for_each(|waiter| block_on(waiter).expect("not aborted"));
        assert!(!vault.has_unsaved());
    });
}
