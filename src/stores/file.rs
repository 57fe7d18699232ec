//! A store in a folder, for the processes of one machine.
//!
//! Three files per key, all named after it: the record, the lease on its renewal, and a lock under
//! which both change; beside them, under another key, those of an account's quotas. The lock file
//! is never removed: two processes that lock "the same" path but different files would both go on.

mod disk;
mod envelope;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod lease;
#[cfg(feature = "encryption")]
mod seal;

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use self::disk::Place;
use self::envelope::{Envelope, Flaw};
use crate::auth::store::{Lease, Record, Swap, TokenStore};
use crate::clock::{Clock, SystemClock};
use crate::error::BoxError;
use crate::rate_limit::QuotaStore;
use crate::rate_limit::store::sealed::Sealed;

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
/// Tokens are not encrypted, unless it is told to (`encrypted_with`, with the feature
/// `encryption`): who can read the files has them.
///
/// As a [`QuotaStore`] it keeps, in files of their own and never encrypted, what accounts have used
/// of their quotas. One process at a time saves those of an account; they are no secret, and a file
/// that cannot be read is told and replaced.
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
    /// The lease files of this process and their holders, by path: open, and thereby locked.
    leases: Mutex<HashMap<PathBuf, (String, File)>>,
    /// Likewise, those of the living accounts whose quotas it saves.
    quotas: Mutex<HashMap<PathBuf, File>>,
    #[cfg(feature = "encryption")]
    seal: Option<seal::Seal>,
}

impl FileStore {
    /// A store in this folder; a relative one begins at the working directory. It is made when
    /// something is first saved, and what is wrong with it shows then.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            shared: Arc::new(Shared {
                folder: directory.into(),
                leases: Mutex::default(),
                quotas: Mutex::default(),
                #[cfg(feature = "encryption")]
                seal: None,
            }),
        }
    }

    /// The same folder with records encrypted by this key (XChaCha20-Poly1305): 32 random bytes in
    /// base64, as `openssl rand -base64 32` makes them. All processes that share the folder need
    /// it.
    ///
    /// A record that is not encrypted yet is read, and encrypted when it is next saved. The key is
    /// read at each load and save; what is wrong with it shows then, as [`FileStoreError::Key`].
    #[cfg(feature = "encryption")]
    #[must_use]
    pub fn encrypted_with(self, key: impl Into<crate::secret::Secret>) -> Self {
        Self {
            shared: Arc::new(Shared {
                folder: self.shared.folder.clone(),
                leases: Mutex::default(),
                quotas: Mutex::default(),
                seal: Some(seal::Seal::new(key.into())),
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
        let envelope = self.run(key, Shared::read).await?;
        Ok(envelope.map(|envelope| envelope.record))
    }

    async fn compare_and_swap(
        &self,
        key: &str,
        expected: Option<u64>,
        new: &Record,
    ) -> Result<Swap, BoxError> {
        let new = new.clone();
        self.run(key, move |shared, place| shared.swap(place, expected, new))
            .await
    }

    async fn lease(&self, key: &str, id: &str, lifetime: Duration) -> Result<Lease, BoxError> {
        let id = id.to_owned();
        let granted = self
            .run(key, move |shared, place| shared.lease(place, &id, lifetime))
            .await?;
        Ok(match granted {
            true => Lease::Granted {
                previous_is_dead: false,
            },
            false => Lease::Held { left: None },
        })
    }

    async fn release(&self, key: &str, id: &str) -> Result<(), BoxError> {
        let id = id.to_owned();
        self.run(key, move |shared, place| shared.release(place, &id))
            .await
    }
}

impl Sealed for FileStore {
    fn load_quotas(&self, key: &str) -> Result<Option<Vec<u8>>, BoxError> {
        let place = Place::new(&self.shared.folder, key);
        let read = disk::read(&place.quotas())?;
        Ok(read.map(|(_, content)| content.to_vec()))
    }

    fn save_quotas(&self, key: &str, bytes: &[u8]) -> Result<(), BoxError> {
        let place = Place::new(&self.shared.folder, key);
        let path = place.quotas();
        let mut quotas = self.shared.quotas();
        if !quotas.contains_key(&path) {
            quotas.insert(path.clone(), place.hold_quotas()?);
        }
        drop(quotas);
        let _lock = place.lock()?;
        place.replace(&path, bytes)?;
        Ok(())
    }

    /// Another account of this process that saves them too takes the lock again.
    fn release_quotas(&self, key: &str) {
        let place = Place::new(&self.shared.folder, key);
        self.shared.quotas().remove(&place.quotas());
    }
}

impl QuotaStore for FileStore {}

impl Shared {
    /// Needs no lock: a record is replaced in one step.
    fn read(&self, place: &Place) -> Result<Option<Envelope>, FileStoreError> {
        let path = place.record();
        let Some((_, content)) = disk::read(&path)? else {
            return Ok(None);
        };
        match Envelope::parse(&content) {
            Ok(envelope) => self.opened(place, envelope).map(Some),
            Err(Flaw::Damaged) => Err(FileStoreError::Damaged { path }),
            Err(Flaw::TooNew) => Err(FileStoreError::TooNew { path }),
        }
    }

    fn swap(
        &self,
        place: &Place,
        expected: Option<u64>,
        record: Record,
    ) -> Result<Swap, FileStoreError> {
        let _lock = place.lock()?;
        let present = self.read(place)?;
        if present.as_ref().map(|present| present.record.version) != expected {
            return Ok(Swap::Conflict(present.map(|present| present.record)));
        }
        let envelope = Envelope {
            record,
            nonce: None,
            others: present.map(|present| present.others).unwrap_or_default(),
        };
        let envelope = self.closed(place, envelope)?;
        place.replace(&place.record(), &envelope.to_bytes())?;
        Ok(Swap::Saved)
    }

    fn opened(&self, place: &Place, envelope: Envelope) -> Result<Envelope, FileStoreError> {
        #[cfg(feature = "encryption")]
        if let Some(seal) = &self.seal {
            let opened = seal.open(place.name(), envelope);
            return opened.map_err(|trouble| troubled(place, trouble));
        }
        match envelope.nonce {
            None => Ok(envelope),
            Some(_) => Err(FileStoreError::Sealed {
                path: place.record(),
            }),
        }
    }

    #[cfg(feature = "encryption")]
    fn closed(&self, place: &Place, envelope: Envelope) -> Result<Envelope, FileStoreError> {
        match &self.seal {
            Some(seal) => seal
                .close(place.name(), envelope)
                .map_err(|trouble| troubled(place, trouble)),
            None => Ok(envelope),
        }
    }

    #[cfg(not(feature = "encryption"))]
    fn closed(&self, _: &Place, envelope: Envelope) -> Result<Envelope, FileStoreError> {
        Ok(envelope)
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<PathBuf, (String, File)>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn quotas(&self) -> MutexGuard<'_, HashMap<PathBuf, File>> {
        self.quotas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lease(&self, place: &Place, holder: &str, span: Duration) -> Result<bool, FileStoreError> {
        let _lock = place.lock()?;
        let now = SystemClock.now().wall;
        let taken = lease::take(place, holder, span, now)?;
        let is_taken = taken.is_some();
        if let Some(file) = taken {
            self.leases()
                .insert(place.lease(), (holder.to_owned(), file));
        }
        Ok(is_taken)
    }

    fn release(&self, place: &Place, holder: &str) -> Result<(), FileStoreError> {
        let _lock = place.lock()?;
        lease::give_back(place, holder)?;
        // Who overstayed has a file that nobody looks at any more.
        let is_ours = |path: &PathBuf, by: &str| *path == place.lease() && by == holder;
        self.leases().retain(|path, (by, _)| !is_ours(path, by));
        Ok(())
    }
}

#[cfg(feature = "encryption")]
fn troubled(place: &Place, trouble: seal::Trouble) -> FileStoreError {
    let path = place.record();
    match trouble {
        seal::Trouble::Key(problem) => FileStoreError::Key { path, problem },
        seal::Trouble::OtherKey => FileStoreError::Sealed { path },
    }
}
