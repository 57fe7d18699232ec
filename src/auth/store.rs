//! The port behind which tokens survive the process.
//!
//! A refresh token that is good for one use must be saved before its successor is needed, and two
//! processes that share an account must not both spend it. Three operations are enough for that:
//! load, compare-and-swap, and a lease. Anything with a unique key and an atomic conditional write
//! can be a store: a table in PostgreSQL (`update … where version = $expected`), a file under a
//! lock, Redis.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::BoxError;

/// Keeps the tokens of accounts, each under a key of its own.
///
/// What must never happen: a `load` that gives a mixture of two records; a `compare_and_swap` that
/// says `Saved` and is gone after a crash; two writers that both get `Saved` for the same
/// `expected`. What is always fine: errors (the account goes on from memory and tries again), and
/// being called by many tasks at once.
///
/// # Cancel safety
/// The account drops a `load`, `lease` or `release` that takes longer than 5 s, but never a
/// `compare_and_swap`. Its runtime may be shut down during any of them: a write must then either
/// have happened or not.
#[async_trait]
pub trait TokenStore: Send + Sync + 'static {
    /// The newest record under this key.
    ///
    /// # Errors
    /// Any: the store's own. It must not show a secret.
    async fn load(&self, key: &str) -> Result<Option<Record>, BoxError>;

    /// Puts `new` in the place of the record with the version `expected` (`None`: there must be
    /// none yet). Durable when it returns. `new.version` is what it is stored under.
    ///
    /// # Errors
    /// Any: the store's own. It must not show a secret.
    async fn compare_and_swap(
        &self,
        key: &str,
        expected: Option<u64>,
        new: &Record,
    ) -> Result<Swap, BoxError>;

    /// Asks for the sole right to renew the token under this key, for so long; the present holder
    /// may ask again to prolong it. A store of one process keeps the default, which always grants.
    ///
    /// # Errors
    /// Any: the store's own. The account then renews without the right, as it does without an
    /// answer: better two renewals than none.
    async fn lease(&self, key: &str, holder: &str, lifetime: Duration) -> Result<bool, BoxError> {
        let _ = (key, holder, lifetime);
        Ok(true)
    }

    /// Gives the right back, if `holder` still has it.
    ///
    /// # Errors
    /// Any: the store's own. Nobody is told; a right that is not given back ends by itself.
    async fn release(&self, key: &str, holder: &str) -> Result<(), BoxError> {
        let _ = (key, holder);
        Ok(())
    }
}

/// What a store keeps under a key: bytes that mean nothing to it, and a version that grows with
/// each save.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Grows with each save.
    pub version: u64,
    /// Opaque, so that they can be encrypted. They hold secrets.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// How a [`TokenStore::compare_and_swap`] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The new record is stored.
    Saved,
    /// Another record stands there; nothing was changed.
    Conflict(Option<Record>),
}
