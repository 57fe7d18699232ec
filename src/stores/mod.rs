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

    fn check(&self, key: &str) -> Result<(), BoxError> {
        (**self).check(key)
    }
}
