//! A store in a folder, for the processes of one machine.
//!
//! Three files per key, all named after it: the record, the lease on its renewal, and a lock under
//! which both change. The lock file is never removed: two processes that lock "the same" path but
//! different files would both go on.

mod disk;
mod envelope;
mod error;
mod lease;

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use self::disk::Place;
use self::envelope::{Envelope, Flaw};
use crate::auth::store::{Record, Swap, TokenStore};
use crate::clock::{Clock, SystemClock};
use crate::error::BoxError;

pub use error::FileStoreError;

/// Keeps tokens in a folder of a local disk, one file per account. Any number of processes of the
/// machine may share the folder, and any number of accounts.
///
/// A record is replaced in one step and flushed to the disk, so a crash leaves the old one or the
/// new one. Records, leases and locks are made for their owner alone (on Unix mode 0600, in a
/// folder of mode 0700 if it has to be made); a record that its group or everybody could read is
/// refused. What is damaged is reported and never overwritten.
///
/// A lease ends when it is given back, when it runs out and, on Unix, as soon as its process ends,
/// however that ends: after a `kill -9` the next process goes on at once.
///
/// Tokens are not encrypted: who can read the files has them.
///
/// Clones share the folder. Its operations need a tokio runtime, whose threads for blocking work
/// they use; errors are [`FileStoreError`]s, boxed.
///
/// ```no_run
/// use reqwest_tollgate::{Account, FileStore, Grant, Secret};
///
/// let account = Account::builder("acme", "https://api.acme.example")
///     .token_url("/oauth2/token")
///     .client_id("my-client-id")
///     .grant(Grant::refresh_token(Secret::env("ACME_REFRESH_TOKEN")))
///     .token_store(FileStore::new("/var/lib/crawler/tokens"))
///     .build()?;
/// # Ok::<(), reqwest_tollgate::Error>(())
/// ```
#[derive(Clone)]
pub struct FileStore {
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    /// The lease files of this process, by path: open, and thereby locked.
    leases: Mutex<HashMap<PathBuf, File>>,
}

impl FileStore {
    /// A store in this folder; a relative one begins at the working directory. It is made when
    /// something is first saved, and what is wrong with it shows then.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            shared: Arc::new(Shared {
                folder: directory.into(),
                leases: Mutex::default(),
            }),
        }
    }

    /// Runs it to its end on a thread that may block, even if nobody waits for it any more.
    async fn run<T: Send + 'static>(
        &self,
        key: &str,
        work: impl FnOnce(&Shared, &Place) -> Result<T, FileStoreError> + Send + 'static,
    ) -> Result<T, BoxError> {
        let shared = self.shared.clone();
        let place = Place::new(&shared.folder, key);
        let done = tokio::task::spawn_blocking(move || work(&shared, &place));
        Ok(done.await??)
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore")
            .field("directory", &self.shared.folder)
            .finish()
    }
}

#[async_trait]
impl TokenStore for FileStore {
    async fn load(&self, key: &str) -> Result<Option<Record>, BoxError> {
        let envelope = self.run(key, |_, place| read(place)).await?;
        Ok(envelope.map(|envelope| envelope.record))
    }

    async fn compare_and_swap(
        &self,
        key: &str,
        expected: Option<u64>,
        new: &Record,
    ) -> Result<Swap, BoxError> {
        let new = new.clone();
        self.run(key, move |_, place| swap(place, expected, new))
            .await
    }

    async fn lease(&self, key: &str, holder: &str, lifetime: Duration) -> Result<bool, BoxError> {
        let holder = holder.to_owned();
        self.run(key, move |shared, place| {
            shared.lease(place, &holder, lifetime)
        })
        .await
    }

    async fn release(&self, key: &str, holder: &str) -> Result<(), BoxError> {
        let holder = holder.to_owned();
        self.run(key, move |shared, place| shared.release(place, &holder))
            .await
    }
}

/// Needs no lock: a record is replaced in one step.
fn read(place: &Place) -> Result<Option<Envelope>, FileStoreError> {
    let path = place.record();
    let Some((_, content)) = disk::read(&path)? else {
        return Ok(None);
    };
    match Envelope::parse(&content) {
        Ok(envelope) => Ok(Some(envelope)),
        Err(Flaw::Damaged) => Err(FileStoreError::Damaged { path }),
        Err(Flaw::TooNew) => Err(FileStoreError::TooNew { path }),
    }
}

fn swap(place: &Place, expected: Option<u64>, new: Record) -> Result<Swap, FileStoreError> {
    let _lock = place.lock()?;
    let present = read(place)?;
    if present.as_ref().map(|present| present.record.version) != expected {
        return Ok(Swap::Conflict(present.map(|present| present.record)));
    }
    let others = present.map(|present| present.others).unwrap_or_default();
    let envelope = Envelope {
        record: new,
        others,
    };
    place.replace(&place.record(), &envelope.to_bytes())?;
    Ok(Swap::Saved)
}

impl Shared {
    fn leases(&self) -> MutexGuard<'_, HashMap<PathBuf, File>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lease(&self, place: &Place, holder: &str, span: Duration) -> Result<bool, FileStoreError> {
        let _lock = place.lock()?;
        let now = SystemClock.now().wall;
        let taken = lease::take(place, holder, span, now)?;
        let is_taken = taken.is_some();
        if let Some(file) = taken {
            self.leases().insert(place.lease(), file);
        }
        Ok(is_taken)
    }

    fn release(&self, place: &Place, holder: &str) -> Result<(), FileStoreError> {
        let _lock = place.lock()?;
        if lease::give_back(place, holder)? {
            self.leases().remove(&place.lease());
        }
        Ok(())
    }
}
