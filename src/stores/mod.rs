//! Places where tokens, and what is used of quotas, survive.

mod file;
mod memory;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::auth::store::{Lease, Record, Swap, TokenStore};
use crate::error::BoxError;
use crate::rate_limit::QuotaStore;
use crate::rate_limit::store::sealed::Sealed;

impl<T: QuotaStore + ?Sized> Sealed for Arc<T> {
    fn load_quotas(&self, key: &str) -> Result<Option<Vec<u8>>, BoxError> {
        (**self).load_quotas(key)
    }

    fn save_quotas(&self, key: &str, bytes: &[u8]) -> Result<(), BoxError> {
        (**self).save_quotas(key, bytes)
    }

    fn release_quotas(&self, key: &str) {
        (**self).release_quotas(key);
    }
}

impl<T: QuotaStore + ?Sized> QuotaStore for Arc<T> {}

#[cfg(any(test, fuzzing))]
pub(crate) use file::fuzzing;
pub use file::{FileStore, FileStoreError};
pub use memory::MemoryStore;

#[async_trait]
impl<T: TokenStore + ?Sized> TokenStore for Arc<T> {
    async fn load(&self, key: &str) -> Result<Option<Record>, BoxError> {
        (**self).load(key).await
    }

    async fn compare_and_swap(
        &self,
        key: &str,
        expected: Option<u64>,
        new: &Record,
    ) -> Result<Swap, BoxError> {
        (**self).compare_and_swap(key, expected, new).await
    }

    async fn lease(&self, key: &str, id: &str, lifetime: Duration) -> Result<Lease, BoxError> {
        (**self).lease(key, id, lifetime).await
    }

    async fn release(&self, key: &str, id: &str) -> Result<(), BoxError> {
        (**self).release(key, id).await
    }

    fn abandon(&self, key: &str, id: &str) {
        (**self).abandon(key, id);
    }

    fn is_shared(&self) -> bool {
        (**self).is_shared()
    }

    fn check(&self, key: &str, needs_lease: bool) -> Result<(), BoxError> {
        (**self).check(key, needs_lease)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::auth::store::Swap;

    /// Answers each call otherwise than the port's defaults do, and notes its name.
    #[derive(Default)]
    struct Spy(Mutex<Vec<&'static str>>);

    impl Spy {
        fn note(&self, call: &'static str) {
            self.0.lock().expect("no panic").push(call);
        }
    }

    #[async_trait]
    impl TokenStore for Spy {
        async fn load(&self, _: &str) -> Result<Option<Record>, BoxError> {
            self.note("load");
            Ok(Some(Record::new(7, b"x")))
        }

        async fn compare_and_swap(
            &self,
            _: &str,
            _: Option<u64>,
            _: &Record,
        ) -> Result<Swap, BoxError> {
            self.note("compare_and_swap");
            Ok(Swap::Conflict(None))
        }

        async fn lease(&self, _: &str, _: &str, _: Duration) -> Result<Lease, BoxError> {
            self.note("lease");
            Ok(Lease::Held { left: None })
        }

        async fn release(&self, _: &str, _: &str) -> Result<(), BoxError> {
            self.note("release");
            Err("told".into())
        }

        fn abandon(&self, _: &str, _: &str) {
            self.note("abandon");
        }

        fn is_shared(&self) -> bool {
            self.note("is_shared");
            false
        }

        fn check(&self, _: &str, needs_lease: bool) -> Result<(), BoxError> {
            self.note("check");
            Err(format!("{needs_lease}").into())
        }
    }

    #[tokio::test]
    async fn an_arc_forwards_every_method_of_a_token_store() {
        let spy = Arc::new(Spy::default());
        let store: Arc<dyn TokenStore> = Arc::new(spy.clone());
        let new = Record::new(1, b"y");
        let loaded = store.load("k").await.expect("no error");
        assert_eq!(loaded.expect("a record").version, 7);
        let swap = store.compare_and_swap("k", None, &new).await;
        assert_eq!(swap.expect("no error"), Swap::Conflict(None));
        let lease = store.lease("k", "a", Duration::ZERO).await;
        assert!(!lease.expect("no error").is_granted());
        assert!(store.release("k", "a").await.is_err());
        store.abandon("k", "a");
        assert!(!store.is_shared());
        let error = store.check("k", true).expect_err("it is refused");
        assert_eq!(error.to_string(), "true");
        // All that the port has, in its order: a method that is added there is missed here.
        let port = include_str!("../auth/store.rs")
            .split("pub struct Record")
            .next();
        let methods = port.expect("a port").lines().filter_map(|line| {
            let line = line.strip_prefix("    ")?;
            let line = line.strip_prefix("async ").unwrap_or(line);
            line.strip_prefix("fn ")?.split('(').next()
        });
        assert_eq!(
            *spy.0.lock().expect("no panic"),
            methods.collect::<Vec<_>>()
        );
    }
}
