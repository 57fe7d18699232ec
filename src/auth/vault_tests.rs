use super::*;
use crate::auth::testing::{SECOND, clock};
use crate::stores::MemoryStore;
use async_trait::async_trait;

use super::super::store::{Lease, Swap};

fn vault(store: impl TokenStore) -> Arc<Vault> {
    let events = Events::new("test".into(), Vec::new());
    Vault::new(Some(Arc::new(store)), "key".into(), clock(), events)
}

fn secret(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

/// Another process stores this refresh token.
async fn store(store: &MemoryStore, version: u64, refresh_token: &str) {
    let record = Record::new(version, Tokens::new(None, Some(refresh_token)).to_bytes());
    let before = version.checked_sub(1).filter(|before| *before > 0);
    let swap = store.compare_and_swap("key", before, &record).await;
    assert_eq!(swap.expect("no error"), Swap::Saved);
}

#[tokio::test(start_paused = true)]
async fn a_record_is_taken_over_once_and_an_older_one_never() {
    let memory = MemoryStore::new();
    store(&memory, 1, "r1").await;
    let vault = vault(memory.clone());
    assert!(vault.look().await.expect("no error").is_some());
    vault.remember(Some(&secret("r2")));
    assert!(vault.look().await.expect("no error").is_none());
    assert_eq!(
        vault.refresh_token().as_deref().map(String::as_str),
        Some("r2")
    );
}

#[tokio::test(start_paused = true)]
async fn while_a_record_of_ours_is_unsaved_memory_wins() {
    let memory = MemoryStore::new();
    store(&memory, 1, "r1").await;
    let vault = vault(memory.clone());
    vault.remember(Some(&secret("ours")));
    vault.save(Tokens::new(None, Some("ours")));
    assert!(vault.has_unsaved());
    assert!(vault.look().await.expect("no error").is_none());
    assert_eq!(
        vault.refresh_token().as_deref().map(String::as_str),
        Some("ours")
    );
    vault.flush().await.expect("saved");
    assert_eq!(
        memory
            .load("key")
            .await
            .expect("no error")
            .expect("a record")
            .version,
        2
    );
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_is_good_for_one_use_until_a_renewal_has_shown_otherwise() {
    let memory = MemoryStore::new();
    let vault = vault(memory.clone());
    vault.remember(Some(&secret("r1")));
    assert!(vault.is_single_use());
    vault.remember(None);
    assert!(!vault.is_single_use(), "it came without a successor");
    vault.remember(Some(&secret("r2")));
    assert!(vault.is_single_use(), "of the new one nothing is known");
    vault.remember(None);
    store(&memory, 1, "r3").await;
    vault.look().await.expect("no error").expect("news");
    assert!(vault.is_single_use(), "nor of another process's");
}

#[tokio::test(start_paused = true)]
async fn only_a_refresh_token_for_one_use_is_missed_while_it_is_unsaved() {
    let vault = vault(MemoryStore::new());
    vault.remember(Some(&secret("r1")));
    vault.save(Tokens::new(None, Some("r1")));
    assert!(vault.has_unsaved_refresh_token());
    vault.remember(None);
    assert!(!vault.has_unsaved_refresh_token());
}

/// Cannot give a lease: it fails, or never answers.
struct Unable {
    hangs: bool,
}

#[async_trait]
impl TokenStore for Unable {
    async fn load(&self, _: &str) -> Result<Option<Record>, BoxError> {
        Ok(None)
    }

    async fn compare_and_swap(
        &self,
        _: &str,
        _: Option<u64>,
        _: &Record,
    ) -> Result<Swap, BoxError> {
        Ok(Swap::Saved)
    }

    async fn lease(&self, _: &str, _: &str, _: Duration) -> Result<Lease, BoxError> {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        Err("down".into())
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_give_a_lease_holds_up_nobody_for_long() {
    for hangs in [false, true] {
        let begin = clock().now().moment;
        assert!(vault(Unable { hangs }).lease().await, "hangs: {hangs}");
        assert!(clock().now().moment - begin <= LONGEST_LOAD + SECOND);
    }
}
