//! The saving of what renewals bring: one save at a time, the newest last.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use shuttle::future::{block_on, spawn, yield_now};

use super::stub::{Endpoint, cache_with, with_store};
use super::{at_rest, explore};
use crate::auth::persistence::record::Tokens;
use crate::auth::store::{Record, Swap, TokenStore};
use crate::clock::manual::HandClock;
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
    let persistence = &cache.shared.source.persistence;
    let savers: Vec<_> = ["a", "b"]
        .into_iter()
        .map(|name| {
            let persistence = persistence.clone();
            spawn(async move {
                let (number, is_new) = persistence.save(Tokens::new(None, Some(name)), true);
                assert!(is_new, "a refresh token that was not known");
                (number, name)
            })
        })
        .collect();
    let saved = savers
        .into_iter()
        .map(|saver| block_on(saver).expect("not aborted"));
    let (number, newest) = saved.max().expect("two");
    assert_eq!(number, 2, "a number each");
    let mut flushed = block_on(persistence.flush());
    for _ in 0..failures {
        flushed = block_on(persistence.flush());
    }
    assert!(flushed.is_ok(), "{:?}", flushed.err());
    assert!(!persistence.has_unsaved(), "flushed, and yet unsaved");
    let record = block_on(store.inner.load(&persistence.key)).expect("no failure");
    let record = record.expect("flushed, and yet not in the store");
    let tokens = Tokens::from_bytes(&record.bytes).expect("tokens");
    assert_eq!(tokens.refresh_token.as_deref(), Some(newest));
    at_rest();
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
        let persistence = cache.shared.source.persistence.clone();
        let waiters: Vec<_> = ["a", "b", "c"]
            .into_iter()
            .map(|name| {
                let persistence = persistence.clone();
                spawn(async move {
                    let (number, _) = persistence.save(Tokens::new(None, Some(name)), true);
                    // No time passes: only the saver can end this wait.
                    persistence.saved(number).await;
                })
            })
            .collect();
        waiters
            .into_iter()
            .for_each(|waiter| block_on(waiter).expect("not aborted"));
        assert!(!persistence.has_unsaved());
        at_rest();
    });
}
