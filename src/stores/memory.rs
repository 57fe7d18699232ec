//! A store that forgets everything when the process ends.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::auth::store::{Lease, Record, Swap, TokenStore};
use crate::clock::{Clock, Moment, SystemClock};
use crate::error::BoxError;
use crate::rate_limit::QuotaStore;
use crate::rate_limit::store::sealed::Sealed;

/// Keeps tokens, and what is used of quotas, in memory. Clones share their contents, so that
/// several accounts of one process share them too.
///
/// For tests, for grants that can begin anew at each start, and for refresh tokens that something
/// else saves. A rotated refresh token in it is lost at the end of the process.
#[derive(Clone, Default)]
pub struct MemoryStore {
    entries: Arc<Mutex<HashMap<String, Entry>>>,
    quotas: Arc<Mutex<HashMap<String, Vec<u8>>>>,
}

#[derive(Default)]
struct Entry {
    record: Option<Record>,
    lease: Option<(String, Moment)>,
}

impl MemoryStore {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, key: &str, id: &str) {
        let mut entries = self.entries();
        if let Some(entry) = entries.get_mut(key) {
            entry.lease.take_if(|(present, _)| present == id);
            // Of a login that nobody has there is only ever a lease.
            if entry.record.is_none() && entry.lease.is_none() {
                entries.remove(key);
            }
        }
    }

    fn quotas(&self) -> MutexGuard<'_, HashMap<String, Vec<u8>>> {
        self.quotas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sealed for MemoryStore {
    fn load_quotas(&self, key: &str) -> Result<Option<Vec<u8>>, BoxError> {
        Ok(self.quotas().get(key).cloned())
    }

    fn save_quotas(&self, key: &str, bytes: &[u8]) -> Result<(), BoxError> {
        self.quotas().insert(key.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn release_quotas(&self, _: &str) {}
}

impl QuotaStore for MemoryStore {}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenStore for MemoryStore {
    async fn load(&self, key: &str) -> Result<Option<Record>, BoxError> {
        let entries = self.entries();
        Ok(entries.get(key).and_then(|entry| entry.record.clone()))
    }

    async fn compare_and_swap(
        &self,
        key: &str,
        expected: Option<u64>,
        new: &Record,
    ) -> Result<Swap, BoxError> {
        let mut entries = self.entries();
        let entry = entries.entry(key.to_owned()).or_default();
        let present = entry.record.as_ref().map(|record| record.version);
        if present != expected {
            return Ok(Swap::Conflict(entry.record.clone()));
        }
        entry.record = Some(new.clone());
        Ok(Swap::Saved)
    }

    async fn lease(&self, key: &str, id: &str, lifetime: Duration) -> Result<Lease, BoxError> {
        let now = SystemClock.now().moment;
        let mut entries = self.entries();
        let entry = entries.entry(key.to_owned()).or_default();
        let previous_is_dead = match &entry.lease {
            Some((other, until)) if other != id && *until > now => {
                let left = Some(*until - now);
                return Ok(Lease::Held { left });
            }
            // Given back or abandoned, by a task of this process: no other was ever here. Whoever
            // has let it run out may be at work yet.
            present => present.as_ref().is_none_or(|(present, _)| present == id),
        };
        entry.lease = Some((id.to_owned(), now + lifetime));
        Ok(Lease::Granted { previous_is_dead })
    }

    async fn release(&self, key: &str, id: &str) -> Result<(), BoxError> {
        self.give_back(key, id);
        Ok(())
    }

    fn abandon(&self, key: &str, id: &str) {
        self.give_back(key, id);
    }

    /// Its contents end with the process.
    fn is_shared(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(version: u64, bytes: &[u8]) -> Record {
        Record::new(version, bytes)
    }

    #[tokio::test]
    async fn of_two_writers_with_the_same_expectation_one_saves() {
        let store = MemoryStore::new();
        let (one, two) = (record(1, b"one"), record(1, b"two"));
        let swap = |new| store.compare_and_swap("k", None, new);
        assert_eq!(swap(&one).await.expect("no error"), Swap::Saved);
        let conflict = swap(&two).await.expect("no error");
        assert_eq!(conflict, Swap::Conflict(Some(one.clone())));
        assert_eq!(store.load("k").await.expect("no error"), Some(one));
    }

    #[tokio::test]
    async fn clones_share_their_contents_and_keys_do_not() {
        let store = MemoryStore::new();
        let new = record(1, b"x");
        let swap = store.clone().compare_and_swap("k", None, &new).await;
        assert_eq!(swap.expect("no error"), Swap::Saved);
        assert!(store.load("k").await.expect("no error").is_some());
        assert!(store.load("other").await.expect("no error").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_held_until_it_is_given_back_or_runs_out() {
        let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
        let lease = |holder| store.lease("k", holder, Duration::from_secs(10));
        assert!(lease("a").await.expect("no error").is_granted());
        assert!(
            lease("a").await.expect("no error").is_granted(),
            "the holder may prolong"
        );
        assert!(!lease("b").await.expect("no error").is_granted());
        store.release("k", "b").await.expect("no error");
        assert!(
            !lease("b").await.expect("no error").is_granted(),
            "it was not b's to give"
        );
        store.release("k", "a").await.expect("no error");
        assert!(lease("b").await.expect("no error").is_granted());
        SystemClock.sleep(Duration::from_secs(11)).await;
        assert!(
            lease("a").await.expect("no error").is_granted(),
            "it ran out"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_let_a_lease_run_out_is_not_known_to_be_dead() {
        let store = MemoryStore::new();
        let lease = |id| store.lease("k", id, Duration::from_secs(10));
        let free = Lease::Granted {
            previous_is_dead: true,
        };
        assert_eq!(lease("a").await.expect("no error"), free);
        let held = Lease::Held {
            left: Some(Duration::from_secs(10)),
        };
        assert_eq!(lease("b").await.expect("no error"), held);
        store.abandon("k", "a");
        assert_eq!(lease("b").await.expect("no error"), free);
        SystemClock.sleep(Duration::from_secs(11)).await;
        let ran_out = Lease::Granted {
            previous_is_dead: false,
        };
        assert_eq!(lease("c").await.expect("no error"), ran_out);
        assert!(!store.is_shared());
    }

    #[tokio::test]
    async fn nothing_is_left_of_a_lease_without_a_record() {
        let store = MemoryStore::new();
        let lease = |key| store.lease(key, "a", Duration::from_secs(10));
        assert!(
            lease("k").await.expect("no error").is_granted()
                && lease("l").await.expect("no error").is_granted()
        );
        let swap = store.compare_and_swap("l", None, &record(1, b"x")).await;
        assert_eq!(swap.expect("no error"), Swap::Saved);
        for key in ["k", "l"] {
            store.release(key, "b").await.expect("no error");
        }
        assert_eq!(store.entries().len(), 2, "not b's to give");
        for key in ["k", "l"] {
            store.release(key, "a").await.expect("no error");
        }
        let entries = store.entries();
        assert_eq!(entries.keys().collect::<Vec<_>>(), ["l"]);
    }

    #[test]
    fn debug_shows_no_record() {
        assert_eq!(format!("{:?}", MemoryStore::new()), "MemoryStore { .. }");
    }
}
