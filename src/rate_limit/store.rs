//! The port behind which the state of quotas survives the process.

use crate::error::BoxError;

/// Keeps what an account has used of its quotas
/// ([`AccountBuilder::quota_store`](crate::AccountBuilder::quota_store)):
/// [`MemoryStore`](crate::MemoryStore) or [`FileStore`](crate::FileStore).
///
/// Nobody else can implement it: what it has to do will change once quotas can be shared.
pub trait QuotaStore: sealed::Sealed + Send + Sync + 'static {}

pub(crate) mod sealed {
    use super::BoxError;

    /// Both block.
    pub trait Sealed {
        /// What was saved last under this key.
        fn load_quotas(&self, key: &str) -> Result<Option<Vec<u8>>, BoxError>;

        /// Replaces it.
        fn save_quotas(&self, key: &str, bytes: &[u8]) -> Result<(), BoxError>;

        /// Whoever saved under this key does so no more.
        fn release_quotas(&self, key: &str);
    }
}
