//! Where the files of a key are, and how they are locked, read and replaced. All of it blocks.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fs4::TryLockError;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::access;
use super::envelope::hex;
use super::error::FileStoreError;
use super::system::System;

/// Ends before an account stops waiting for its store.
const LOCK_TRIES: u32 = 400;
/// On average, in milliseconds.
const LOCK_PAUSE: u64 = 10;
const LONGEST_NAME: usize = 100;
/// No file of ours is as long, and none that is longer is read.
pub(super) const LONGEST_FILE: usize = 1 << 20;
/// By how much a record may grow on a disk that is full.
const ROOM: usize = 8 << 10;
/// A second of them: whoever scans a new file for viruses is done by then.
const RENAME_TRIES: u32 = 20;
const RENAME_PAUSE: Duration = Duration::from_millis(50);

/// The files of one key.
pub(super) struct Place {
    folder: PathBuf,
    stem: String,
    system: Arc<dyn System>,
}

/// A file that is locked until it is dropped, also where a child of the process, between fork and
/// exec, has a copy of the open file.
pub(super) struct Lock(File);

impl Lock {
    pub(super) fn file(&self) -> &File {
        &self.0
    }

    /// Also for whoever else has this one.
    pub(super) fn end(&self) {
        let _ = fs4::FileExt::unlock(&self.0);
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.end();
    }
}

impl Place {
    pub(super) fn new(folder: &Path, key: &str, system: Arc<dyn System>) -> Self {
        Self {
            folder: folder.to_owned(),
            stem: stem(key),
            system,
        }
    }

    #[cfg(feature = "encryption")]
    pub(super) fn name(&self) -> &str {
        &self.stem
    }

    pub(super) fn record(&self) -> PathBuf {
        self.file("json")
    }

    /// Whoever has it locked has the right to renew.
    pub(super) fn renew(&self) -> PathBuf {
        self.file("renew")
    }

    pub(super) fn quotas(&self) -> PathBuf {
        self.file("quotas")
    }

    /// Where the next record is written, as large as it may become.
    fn spare(&self) -> PathBuf {
        self.file("new")
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", self.stem))
    }

    /// Locked for as long as it is open, by the one process that saves the quotas.
    pub(super) fn hold_quotas(&self) -> Result<Lock, FileStoreError> {
        self.make_folder()?;
        let path = self.file("quotas-lock");
        let lock = self.try_lock(&path)?;
        lock.ok_or(FileStoreError::InUse { path })
    }

    /// No other process changes the files of the key while it lives. Makes the folder if need be,
    /// and waits for whoever has the lock.
    pub(super) fn lock(&self) -> Result<Lock, FileStoreError> {
        self.make_folder()?;
        let path = self.file("lock");
        for _ in 0..LOCK_TRIES {
            if let Some(lock) = self.try_lock(&path)? {
                return Ok(lock);
            }
            // Uneven, so that no process is always late.
            thread::sleep(Duration::from_millis(fastrand::u64(1..2 * LOCK_PAUSE)));
        }
        Err(FileStoreError::Locked { path })
    }

    /// None if another has it.
    pub(super) fn try_lock(&self, path: &Path) -> Result<Option<Lock>, FileStoreError> {
        let file = self.open_lock(path)?;
        match self.system.try_lock(&file) {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) if has_no_locks(&error) => {
                let path = path.to_owned();
                Err(FileStoreError::NoLocks { path, error })
            }
            Err(TryLockError::Error(error)) => Err(FileStoreError::io(path)(error)),
        }
    }

    /// An empty file, if it is not there yet. That others may open it is mended where it can be: no
    /// secret is in it, but they could lock it. So is that we may not, in place, since another
    /// process may have it locked.
    pub(super) fn open_lock(&self, path: &Path) -> Result<File, FileStoreError> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let file = match access::open(path, &mut options) {
            Err(error) if error.is_denied() && access::make_accessible(path) => {
                access::open(path, &mut options)?
            }
            opened => opened?,
        };
        let file = file.ok_or_else(|| FileStoreError::io(path)(ErrorKind::NotFound.into()))?;
        access::make_ours_alone(&file);
        Ok(file)
    }

    pub(super) fn make_folder(&self) -> Result<(), FileStoreError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let folder = &self.folder;
        builder.create(folder).map_err(FileStoreError::io(folder))?;
        access::check_folder(folder)
    }

    /// The content, unless there is no such file.
    pub(super) fn read(&self, path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, FileStoreError> {
        access::check_folder(&self.folder)?;
        let Some(file) = access::open(path, OpenOptions::new().read(true))? else {
            return Ok(None);
        };
        access::check_file(path, &file)?;
        let mut content = Zeroizing::new(Vec::with_capacity(2 * ROOM));
        let limit = LONGEST_FILE as u64 + 1;
        let read = file.take(limit).read_to_end(&mut content);
        read.map_err(FileStoreError::io(path))?;
        match content.len() > LONGEST_FILE {
            true => Err(too_large(path)),
            false => Ok(Some(content)),
        }
    }

    /// Puts a file with this content in the place of `path`, in one step: whatever happens, the old
    /// one or the new one stands there. It is on the disk when this returns. Under the lock.
    pub(super) fn replace(&self, path: &Path, content: &[u8]) -> Result<(), FileStoreError> {
        let new = self.spare();
        drop(self.written(&new, content, content.len())?);
        self.rename(&new, path)?;
        sync_folder(&self.folder)
    }

    /// The same for the record, so that the next one needs no space: its file is there already,
    /// with room to grow. Text after the record is white space.
    ///
    /// The two change places, so that a record which was saved is proof that the next one can be.
    /// Where the file system cannot do that, the next file is made afterwards, if it can be.
    pub(super) fn replace_record(&self, content: &[u8]) -> Result<(), FileStoreError> {
        let (path, new) = (self.record(), self.spare());
        if content.len() > LONGEST_FILE {
            return Err(too_large(&path));
        }
        let room = (content.len() + ROOM).min(LONGEST_FILE);
        drop(self.written(&new, content, room)?);
        match fs::symlink_metadata(&path) {
            Ok(_) if self.system.exchange(&new, &path).is_ok() => sync_folder(&self.folder)?,
            Ok(_) => {
                self.rename(&new, &path)?;
                sync_folder(&self.folder)?;
            }
            Err(_) => return self.first_record(room),
        }
        // Not before the record is on the disk. It is of use without, so a failure is none.
        let _ = self.wipe(&new, room);
        Ok(())
    }

    /// There is no old file to change places with: one more is made, before anything is changed.
    fn first_record(&self, room: usize) -> Result<(), FileStoreError> {
        let next = self.file("next");
        drop(self.written(&next, b"", room)?);
        self.rename(&self.spare(), &self.record())?;
        self.rename(&next, &self.spare())?;
        sync_folder(&self.folder)
    }

    /// A file of ours with this content, followed by white space up to `room` if the disk has it.
    /// What is there already is overwritten in place. It is on the disk when this returns.
    fn written(&self, path: &Path, content: &[u8], room: usize) -> Result<File, FileStoreError> {
        let mut file = self.own_file(path)?;
        let filled = fill(&mut file, content, room).and_then(|_| file.sync_all());
        filled.map_err(FileStoreError::io(path))?;
        Ok(file)
    }

    /// Leaves nothing of the record before. Only where the file grew its place is at stake.
    fn wipe(&self, path: &Path, room: usize) -> Result<(), FileStoreError> {
        let mut file = self.own_file(path)?;
        let wiped = fill(&mut file, b"", room).and_then(|grew| match grew {
            true => file.sync_all(),
            false => Ok(()),
        });
        wiped.map_err(FileStoreError::io(path))
    }

    /// Not one that others may have open to read.
    fn own_file(&self, path: &Path) -> Result<File, FileStoreError> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        if let Ok(Some(file)) = access::open(path, &mut options) {
            if access::is_ours_alone(&file) {
                return Ok(file);
            }
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(FileStoreError::io(path)(error));
            }
            _ => {}
        }
        let made = access::open(path, OpenOptions::new().write(true).create_new(true))?;
        made.ok_or_else(|| FileStoreError::io(path)(ErrorKind::NotFound.into()))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), FileStoreError> {
        let renamed = insist(|| self.system.rename(from, to), thread::sleep);
        renamed.map_err(FileStoreError::io(to))
    }
}

/// Tells whether the file grew.
fn fill(file: &mut File, content: &[u8], room: usize) -> io::Result<bool> {
    let present = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    file.seek(SeekFrom::Start(0))?;
    file.write_all(content)?;
    file.write_all(&blank(present.min(room), content.len()))?;
    match file.write_all(&blank(room, content.len().max(present))) {
        Ok(()) => file.set_len(room as u64)?,
        // All that was asked for is there; it has less room to grow.
        Err(_) if present >= content.len().max(1) => {}
        Err(error) => return Err(error),
    }
    Ok(present < room)
}

/// White space from one length to the other.
fn blank(to: usize, from: usize) -> Vec<u8> {
    vec![b' '; to.saturating_sub(from)]
}

/// Tries again for a second while another program has one of the files open: where that forbids a
/// rename, it does so for moments.
fn insist(
    mut rename: impl FnMut() -> io::Result<()>,
    mut pause: impl FnMut(Duration),
) -> io::Result<()> {
    for _ in 0..RENAME_TRIES {
        match rename() {
            Err(error) if is_momentary(&error) => pause(RENAME_PAUSE),
            ended => return ended,
        }
    }
    rename()
}

fn is_momentary(error: &io::Error) -> bool {
    // A sharing violation, which has no kind of its own.
    let is_shared = cfg!(windows) && matches!(error.raw_os_error(), Some(32 | 33));
    let kinds = [ErrorKind::PermissionDenied, ErrorKind::ResourceBusy];
    is_shared || kinds.contains(&error.kind())
}

fn has_no_locks(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::NOLCK.raw_os_error()) {
        return true;
    }
    // `ENOSYS` and `EOPNOTSUPP` too.
    error.kind() == ErrorKind::Unsupported
}

fn too_large(path: &Path) -> FileStoreError {
    FileStoreError::TooLarge {
        path: path.to_owned(),
    }
}

/// The key, as far as a file name can show it, and a digest that tells it from all others, also
/// where names are not told apart by case.
fn stem(key: &str) -> String {
    let shown: String = key.bytes().map(encoded).collect();
    let shown = shown.get(..LONGEST_NAME).unwrap_or(&shown);
    let digest = Sha256::digest(key.as_bytes());
    format!("{shown}-{}", hex(digest.get(..8).unwrap_or(&digest)))
}

/// ASCII in any case.
fn encoded(byte: u8) -> String {
    match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    }
}

/// So that the rename is on the disk too.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> Result<(), FileStoreError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(FileStoreError::io(folder))
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> Result<(), FileStoreError> {
    Ok(())
}
