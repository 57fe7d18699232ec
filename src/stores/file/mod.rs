//! A store in a folder, for the processes of one machine.
//!
//! Four files per key, all named after it: the record (`.json`), the file that the next one is
//! written to (`.new`), a lock under which records change (`.lock`), and one that whoever renews
//! has locked (`.renew`); beside them, under another key, those of an account's quotas. The two
//! locks are never removed: two processes that lock "the same" path but different files would both
//! go on.

mod access;
mod disk;
mod envelope;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod right;
#[cfg(feature = "encryption")]
mod seal;
mod system;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{Either, select};

use self::disk::{Lock, Place};
use self::envelope::{Envelope, Flaw};
use self::right::{Asked, Right};
use self::system::{Native, System};
use crate::auth::store::{Lease, Record, Swap, TokenStore};
use crate::clock::{Clock, SystemClock};
use crate::error::BoxError;
use crate::rate_limit::QuotaStore;
use crate::rate_limit::store::sealed::Sealed;

pub use error::FileStoreError;

/// After which an account no longer waits, either.
const LONGEST_CALL: Duration = Duration::from_secs(5);
/// Likewise, for a save.
const LONGEST_SAVE: Duration = Duration::from_secs(30);

/// Keeps tokens in a folder of a local disk, one record per account. Any number of processes of the
/// machine may share the folder, and any number of accounts.
///
/// A record is replaced in one step and flushed to the disk, so a crash leaves the old one or the
/// new one. What is damaged is reported and never overwritten.
///
/// # Who renews
/// The right to renew is a lock of the operating system on a file, not a time: no step of a clock
/// ends it, and a process that holds it is never overridden, however long it takes. It ends when it
/// is given back and as soon as the process ends, however that ends: after a `kill -9` the next
/// process goes on at once. A process that is *stopped* (`SIGSTOP`, a debugger) keeps it, for it
/// may have the only token in its socket; its number stands in the file. Continue or end it. A
/// child that the process has forked without `exec` keeps the lock too, should the process end
/// without giving it back.
///
/// # A local disk
/// Where a file system has no locks, an account with a refresh token cannot be built
/// ([`FileStoreError::NoLocks`]). NFS is not vouched for, even with locks: a machine that was cut
/// off loses its locks while it still works. On a disk that has become full a record can still be
/// saved, since its file was made before with room for 8 KiB more: tried on ext4 and tmpfs. On a
/// file system that never overwrites (btrfs, ZFS), or that cannot exchange two files in one step,
/// it may fail. A file system that does not answer costs one thread per account, and calls fail
/// after 5 s, saves after 30 s.
///
/// # The files
/// Of each account, with a name that begins with the account's:
///
/// | file | what for |
/// |---|---|
/// | `.json` | the record |
/// | `.new` | what the next record is written to; white space in between |
/// | `.renew` | locked by the process that renews, whose number it holds; never removed |
/// | `.lock` | locked for the moment of a save; never removed |
/// | `.quotas`, `.quotas-lock` | what an account has used of its quotas, and who saves it; their name begins with the host |
///
/// # Access
/// Files are made for their owner alone (on Unix mode 0600, in a folder of mode 0700 if it has to
/// be made). On Unix a record that others may read or write, and a folder that others may write,
/// are refused, `/tmp` itself among them; no link is followed to a file (to the folder it is), and
/// no file of more than 1 MiB is read. In a pod whose volume has an `fsGroup`, which gives the
/// group access to everything at each start, the store takes that access from its own files and
/// folder again, with a warning where the feature `tracing` is on; the folder has to be one that
/// the process has made, within the volume.
///
/// Tokens are not encrypted, unless it is told to (`encrypted_with`, with the feature
/// `encryption`): whoever can read the files has them.
///
/// As a [`QuotaStore`] it keeps, in files of their own and never encrypted, what accounts have used
/// of their quotas. One process at a time saves those of an account; they are no secret, and a file
/// that cannot be read is reported and replaced.
///
/// Clones share the folder. Its operations need a tokio runtime with time, whose threads for
/// blocking work they use, one at a time for an account; errors are [`FileStoreError`]s, boxed.
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
    system: Arc<dyn System>,
    /// Of each key that was asked for.
    slots: Mutex<HashMap<String, Arc<Slot>>>,
    /// The locks of the living accounts whose quotas it saves, by path: open, and thereby locked.
    quotas: Mutex<HashMap<PathBuf, Lock>>,
    #[cfg(feature = "encryption")]
    seal: Option<seal::Seal>,
}

/// What a store has of one key.
#[derive(Default)]
struct Slot {
    /// Whoever has it may use a thread.
    turn: Arc<tokio::sync::Mutex<()>>,
    right: Mutex<Option<Right>>,
    /// The last that was lost before it was given back: its file stays open, since a record may
    /// have its number.
    lost: Mutex<Option<Right>>,
    /// The files that a renewal needs were made, or could not be.
    is_prepared: AtomicBool,
}

impl Slot {
    fn right(&self) -> MutexGuard<'_, Option<Right>> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self) -> MutexGuard<'_, Option<Right>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It may ask, and lose, more than once.
    fn lose(&self, id: &str) {
        if let Some(mut right) = self.take(id) {
            let mut lost = self.lost();
            let before = lost.take_if(|lost| lost.id == id);
            right.former.extend(before.iter().flat_map(Right::all));
            *lost = Some(right);
        }
    }

    /// Forgets what this acquisition has lost, too.
    fn give_back(&self, id: &str) -> Option<Right> {
        self.lost().take_if(|right| right.id == id);
        self.take(id)
    }

    /// The right of this acquisition, which the store has no longer.
    fn take(&self, id: &str) -> Option<Right> {
        self.right().take_if(|right| right.id == id)
    }

    /// Keeps what an acquisition has brought; `present` is what was there before.
    fn enter(&self, asked: Asked, present: Option<Right>) -> Lease {
        match asked {
            Asked::Taken(right) => {
                let previous_is_dead = right.previous_is_dead;
                *self.right() = Some(right);
                Lease::Granted { previous_is_dead }
            }
            Asked::Prolonged => Lease::Granted {
                previous_is_dead: present.is_some_and(|right| right.previous_is_dead),
            },
            Asked::Held => Lease::Held { left: None },
        }
    }
}

impl FileStore {
    /// A store in this folder; a relative one begins at the working directory. It is made when an
    /// account is built with the store, and what is wrong with it shows then.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self::of(Shared::new(directory.into(), Arc::new(Native)))
    }

    fn of(shared: Shared) -> Self {
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The same folder with records encrypted by this key (XChaCha20-Poly1305): 32 random bytes in
    /// base64, as `openssl rand -base64 32` makes them. All processes that share the folder need
    /// it.
    ///
    /// A record that is not encrypted yet is read, and encrypted when it is next saved. The key is
    /// read when an account is built, and at each load and save; what is wrong with it shows then,
    /// as [`FileStoreError::Key`].
    #[cfg(feature = "encryption")]
    #[must_use]
    pub fn encrypted_with(self, key: impl Into<crate::secret::Secret>) -> Self {
        let Shared { folder, system, .. } = &*self.shared;
        let seal = Some(seal::Seal::new(key.into()));
        Self::of(Shared {
            seal,
            ..Shared::new(folder.clone(), system.clone())
        })
    }

    /// Runs it to its end on a thread that may block, even if its caller is gone. Behind one that
    /// hangs nothing is begun.
    async fn run<T: Send + 'static>(
        &self,
        key: &str,
        longest: Duration,
        work: impl FnOnce(&Shared, &Place) -> Result<T, FileStoreError> + Send + 'static,
    ) -> Result<T, BoxError> {
        let shared = self.shared.clone();
        let late = || FileStoreError::NoAnswer {
            path: shared.folder.clone(),
        };
        let turn = shared.slot(key).turn.clone().lock_owned();
        let turn = within(LONGEST_CALL, turn).await.ok_or_else(late)?;
        let place = shared.place(key);
        let done = {
            let shared = shared.clone();
            tokio::task::spawn_blocking(move || {
                let _turn = turn;
                work(&shared, &place)
            })
        };
        let done = within(longest, done).await.ok_or_else(late)?;
        Ok(done??)
    }
}

/// The future's output, unless it takes longer.
async fn within<F: Future>(span: Duration, future: F) -> Option<F::Output> {
    match select(pin!(future), SystemClock.sleep(span)).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
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
        let slot = self.shared.slot(key);
        let read = move |shared: &Shared, place: &Place| {
            shared.prepare(place, &slot);
            shared.read(place)
        };
        let envelope = self.run(key, LONGEST_CALL, read).await?;
        Ok(envelope.map(|envelope| envelope.record))
    }

    async fn compare_and_swap(
        &self,
        key: &str,
        expected: Option<u64>,
        new: &Record,
    ) -> Result<Swap, BoxError> {
        let new = new.clone();
        let right = self.shared.slot(key).right().as_ref().map(Right::number);
        let swap = move |shared: &Shared, place: &Place| {
            shared.swap(place, expected, new, right.flatten())
        };
        self.run(key, LONGEST_SAVE, swap).await
    }

    /// A right that was taken for a caller who is gone ends unseen.
    async fn lease(&self, key: &str, id: &str, _: Duration) -> Result<Lease, BoxError> {
        let slot = self.shared.slot(key);
        let present = slot.right().clone();
        let ask = {
            let (id, present) = (id.to_owned(), present.clone());
            move |shared: &Shared, place: &Place| {
                right::ask(place, present.as_ref(), &id, || shared.parsed(place))
            }
        };
        let asked = self.run(key, LONGEST_CALL, ask).await?;
        if matches!(asked, Asked::Held) {
            // Lost, if it was ours: its file was removed, and another holds the new one.
            slot.lose(id);
        }
        Ok(slot.enter(asked, present))
    }

    /// Waits for no other call: nothing but the open file is needed, and a key has one at most.
    async fn release(&self, key: &str, id: &str) -> Result<(), BoxError> {
        if let Some(right) = self.shared.slot(key).give_back(id) {
            let end = tokio::task::spawn_blocking(move || right.end());
            within(LONGEST_CALL, end).await;
        }
        Ok(())
    }

    fn abandon(&self, key: &str, id: &str) {
        if let Some(right) = self.shared.slot(key).give_back(id) {
            right.end();
        }
    }

    /// Of what the operating system says, only what does not pass by itself: a folder that is
    /// none, and for renewals one that may not be written.
    fn check(&self, key: &str, needs_lease: bool) -> Result<(), BoxError> {
        let place = self.shared.place(key);
        Ok(self.shared.check(&place, needs_lease)?)
    }
}

impl Sealed for FileStore {
    fn load_quotas(&self, key: &str) -> Result<Option<Vec<u8>>, BoxError> {
        let place = self.shared.place(key);
        let read = place.read(&place.quotas())?;
        Ok(read.map(|content| content.to_vec()))
    }

    fn save_quotas(&self, key: &str, bytes: &[u8]) -> Result<(), BoxError> {
        let place = self.shared.place(key);
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
        let place = self.shared.place(key);
        self.shared.quotas().remove(&place.quotas());
    }
}

impl QuotaStore for FileStore {}

impl Shared {
    fn new(folder: PathBuf, system: Arc<dyn System>) -> Self {
        Self {
            folder,
            system,
            slots: Mutex::default(),
            quotas: Mutex::default(),
            #[cfg(feature = "encryption")]
            seal: None,
        }
    }

    fn place(&self, key: &str) -> Place {
        Place::new(&self.folder, key, self.system.clone())
    }

    fn slot(&self, key: &str) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.entry(key.to_owned()).or_default().clone()
    }

    /// While there is space on the disk. Whoever only reads does without.
    fn prepare(&self, place: &Place, slot: &Slot) {
        if !slot.is_prepared.swap(true, Ordering::Relaxed) && place.make_folder().is_ok() {
            let _ = place.open_lock(&place.renew());
        }
    }

    fn check(&self, place: &Place, needs_lease: bool) -> Result<(), FileStoreError> {
        #[cfg(feature = "encryption")]
        if let Some(seal) = &self.seal {
            seal.check().map_err(|trouble| troubled(place, trouble))?;
        }
        let lockable = || {
            place.make_folder()?;
            place.open_lock(&place.renew())?;
            // Not the right itself, which is another's to take meanwhile.
            place.lock()
        };
        let checks = [lockable().map(drop), self.read(place).map(drop)];
        let faults = checks.into_iter().filter_map(Result::err);
        let lasting = faults.filter(|fault| is_lasting(fault, needs_lease));
        lasting.map(Err).next().unwrap_or(Ok(()))
    }

    fn read(&self, place: &Place) -> Result<Option<Envelope>, FileStoreError> {
        let envelope = self.parsed(place)?;
        envelope
            .map(|envelope| self.opened(place, envelope))
            .transpose()
    }

    /// Needs no lock, since a record is replaced in one step. But whoever is slow may have read a
    /// file that is written anew meanwhile, so that damage counts under the lock alone.
    fn parsed(&self, place: &Place) -> Result<Option<Envelope>, FileStoreError> {
        match self.parsed_at_once(place) {
            Err(FileStoreError::Damaged { path }) => match place.lock() {
                Ok(_lock) => self.parsed_at_once(place),
                Err(_) => Err(FileStoreError::Damaged { path }),
            },
            parsed => parsed,
        }
    }

    fn parsed_at_once(&self, place: &Place) -> Result<Option<Envelope>, FileStoreError> {
        let path = place.record();
        let Some(content) = place.read(&path)? else {
            return Ok(None);
        };
        match Envelope::parse(&content) {
            Ok(envelope) => Ok(Some(envelope)),
            Err(Flaw::Damaged) => Err(FileStoreError::Damaged { path }),
            Err(Flaw::TooNew) => Err(FileStoreError::TooNew { path }),
        }
    }

    /// `right`: the number of the file that the caller has locked.
    fn swap(
        &self,
        place: &Place,
        expected: Option<u64>,
        record: Record,
        right: Option<u64>,
    ) -> Result<Swap, FileStoreError> {
        let _lock = place.lock()?;
        let present = self.parsed_at_once(place)?;
        let present = present.map(|present| self.opened(place, present));
        let present = present.transpose()?;
        if present.as_ref().map(|present| present.record.version) != expected {
            return Ok(Swap::Conflict(present.map(|present| present.record)));
        }
        let envelope = Envelope {
            record,
            nonce: None,
            renew: right.or(present.as_ref().and_then(|present| present.renew)),
            others: present.map(|present| present.others).unwrap_or_default(),
        };
        let envelope = self.closed(place, envelope)?;
        place.replace_record(&envelope.to_bytes())?;
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
                has_key: false,
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

    fn quotas(&self) -> MutexGuard<'_, HashMap<PathBuf, Lock>> {
        self.quotas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a person has to do something about it.
fn is_lasting(fault: &FileStoreError, needs_lease: bool) -> bool {
    match fault {
        FileStoreError::Io { error, .. } => {
            let kinds = [
                ErrorKind::NotADirectory,
                ErrorKind::AlreadyExists,
                ErrorKind::PermissionDenied,
            ];
            needs_lease && kinds.contains(&error.kind())
        }
        FileStoreError::NoLocks { .. } => needs_lease,
        FileStoreError::Locked { .. }
        | FileStoreError::NoAnswer { .. }
        | FileStoreError::InUse { .. } => false,
        _ => true,
    }
}

#[cfg(feature = "encryption")]
fn troubled(place: &Place, trouble: seal::Trouble) -> FileStoreError {
    let path = place.record();
    match trouble {
        seal::Trouble::Key(problem) => FileStoreError::Key { path, problem },
        seal::Trouble::OtherKey => FileStoreError::Sealed {
            path,
            has_key: true,
        },
    }
}

#[cfg(test)]
mod tests;
