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
/// What must never happen:
/// * two writers that both get [`Swap::Saved`] for the same `expected`;
/// * a `Saved` that a crash undoes;
/// * a `load` that mixes two records, or that is older than a `Saved` that had returned before it
///   began;
/// * a version that comes again with other bytes.
///
/// What is always fine, since it costs time and never a login: errors, late answers, an error
/// although the record was written, a swap that takes effect minutes later, and a lease that is
/// granted twice, lost, or runs out early. Any method may be called by many tasks at once.
///
/// # Cancel safety
/// The account drops a `load`, `lease` or `release` that takes longer than 5 s, but never a
/// `compare_and_swap`: after 30 s it begins another one beside it. Its runtime may be shut down
/// during any of them: a write must then either have happened or not.
#[async_trait]
pub trait TokenStore: Send + Sync + 'static {
    /// The newest record under this key.
    ///
    /// # Errors
    /// Any: the store's own. It must not show a secret. Bytes that the store cannot make sense of
    /// are an error, never "no record": the account would begin with a refresh token that was spent
    /// long ago.
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

    /// Asks for the sole right to renew the token under this key, for `lifetime`. `id` names one
    /// acquisition: the same `id` again prolongs it, and whoever asks with another one is told
    /// [`Lease::Held`] meanwhile. Default: always granted, for a store that has no leases.
    ///
    /// The right keeps processes out of each other's way and tells that its holder lives. It does
    /// not exclude: the account's mark in the record does that, by compare-and-swap.
    ///
    /// # Errors
    /// Any: the store's own. Where the refresh token may be good for one use, an error is not a
    /// grant, and neither is an answer that takes longer than 5 s: the account tries again later
    /// and uses its access token meanwhile.
    async fn lease(&self, key: &str, id: &str, lifetime: Duration) -> Result<Lease, BoxError> {
        let _ = (key, id, lifetime);
        Ok(Lease::Granted {
            previous_is_dead: false,
        })
    }

    /// Gives the right back, if the acquisition `id` still has it.
    ///
    /// # Errors
    /// Any: the store's own. It is not reported; a right that is not given back ends by itself.
    async fn release(&self, key: &str, id: &str) -> Result<(), BoxError> {
        let _ = (key, id);
        Ok(())
    }

    /// The task that held the right `id` is gone, with the runtime that it needed to give it back.
    /// Must not block. Default: nothing; a right that is not given back ends by itself.
    fn abandon(&self, key: &str, id: &str) {
        let _ = (key, id);
    }

    /// Whether several processes may use the store. Where they may, every renewal takes the lease,
    /// so that processes share access tokens too. Default: true, the safe side.
    fn is_shared(&self) -> bool {
        true
    }

    /// Looks whether the store could keep a record under this key: called by
    /// [`AccountBuilder::build`](crate::AccountBuilder::build), which waits for it at most 5 s, on
    /// a thread of its own and outside of any runtime. `needs_lease`: the account has a refresh
    /// token that may be good for one use, so that renewals must exclude each other. Default:
    /// nothing is checked.
    ///
    /// # Errors
    /// What a person has to change before the store can be used, without a secret. A fault that may
    /// pass by itself is none: the account starts, and tries again.
    fn check(&self, key: &str, needs_lease: bool) -> Result<(), BoxError> {
        let _ = (key, needs_lease);
        Ok(())
    }
}

/// What a store keeps under a key: bytes that mean nothing to it, and a version that grows with
/// each save.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// Grows with each save.
    pub version: u64,
    /// Opaque, so that they can be encrypted. They hold secrets.
    pub bytes: Vec<u8>,
    /// How long ago it was saved, by the store's own clock; none where the store has no clock. It
    /// means nothing in a record that is to be saved.
    pub age: Option<Duration>,
}

impl Record {
    /// A record of unknown age.
    pub fn new(version: u64, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            version,
            bytes: bytes.into(),
            age: None,
        }
    }

    /// The same record, saved that long ago.
    #[must_use]
    pub fn with_age(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// How a [`TokenStore::lease`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lease {
    /// The right is ours until its lifetime is over.
    Granted {
        /// Whether the store *knows* that the process which held the right before, if any, is
        /// gone: a free lock of the operating system proves it, a lease that ran out does not. Say
        /// false in doubt.
        previous_is_dead: bool,
    },
    /// Another acquisition has it.
    Held {
        /// For how long yet, if the store can tell.
        left: Option<Duration>,
    },
}

impl Lease {
    /// Whether the right is ours.
    pub fn is_granted(self) -> bool {
        matches!(self, Self::Granted { .. })
    }
}

/// How a [`TokenStore::compare_and_swap`] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The new record is stored.
    Saved,
    /// Another record stands there, or none; nothing was changed.
    Conflict(Option<Record>),
}
