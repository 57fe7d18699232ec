//! Where the files of a key are, and how they are locked, read and replaced. All of it blocks.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use fs4::TryLockError;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::envelope::hex;
use super::error::FileStoreError;

/// Ends before an account stops waiting for its store.
const LOCK_TRIES: u32 = 400;
/// On average, in milliseconds.
const LOCK_PAUSE: u64 = 10;
const LONGEST_NAME: usize = 100;

/// The files of one key.
pub(super) struct Place {
    folder: PathBuf,
    stem: String,
}

/// An open file, and what is in it.
pub(super) type Opened = (File, Zeroizing<Vec<u8>>);

/// Nobody else changes the files of the key while it lives.
pub(super) struct Lock {
    _file: File,
}

impl Place {
    pub(super) fn new(folder: &Path, key: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            stem: stem(key),
        }
    }

    #[cfg(feature = "encryption")]
    pub(super) fn name(&self) -> &str {
        &self.stem
    }

    pub(super) fn record(&self) -> PathBuf {
        self.file("json")
    }

    pub(super) fn lease(&self) -> PathBuf {
        self.file("lease")
    }

    pub(super) fn quotas(&self) -> PathBuf {
        self.file("quotas")
    }

    /// Locked for as long as it is open, by the one process that saves the quotas.
    pub(super) fn hold_quotas(&self) -> Result<File, FileStoreError> {
        make_folder(&self.folder)?;
        let path = self.file("quotas-lock");
        let file = open_lock(&path)?;
        match fs4::FileExt::try_lock(&file) {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(FileStoreError::InUse { path }),
            Err(TryLockError::Error(error)) => Err(FileStoreError::io(&path)(error)),
        }
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", self.stem))
    }

    /// Makes the folder if need be, and waits for whoever has the lock.
    pub(super) fn lock(&self) -> Result<Lock, FileStoreError> {
        make_folder(&self.folder)?;
        let path = self.file("lock");
        let file = open_lock(&path)?;
        for _ in 0..LOCK_TRIES {
            match fs4::FileExt::try_lock(&file) {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(FileStoreError::io(&path)(error)),
            }
            // Uneven, so that nobody is always late.
            thread::sleep(Duration::from_millis(fastrand::u64(1..2 * LOCK_PAUSE)));
        }
        Err(FileStoreError::Locked { path })
    }

    /// Puts a file with this content in the place of `path`, in one step: whatever happens, the old
    /// one or the new one stands there. It is on the disk when this returns. Under the lock.
    pub(super) fn replace(&self, path: &Path, content: &[u8]) -> Result<File, FileStoreError> {
        let new = self.file("new");
        let file = write_new(&new, content).map_err(FileStoreError::io(&new))?;
        fs::rename(&new, path).map_err(FileStoreError::io(path))?;
        sync_folder(&self.folder)?;
        Ok(file)
    }
}

fn open_lock(path: &Path) -> Result<File, FileStoreError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    let opened = owners_alone(&mut options).open(path);
    opened.map_err(FileStoreError::io(path))
}

fn write_new(path: &Path, content: &[u8]) -> std::io::Result<File> {
    // One that a crash has left, whoever may read it.
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let mut file = owners_alone(&mut options).open(path)?;
    file.write_all(content)?;
    file.sync_all()?;
    Ok(file)
}

/// The content, unless there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<Opened>, FileStoreError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileStoreError::io(path)(error)),
    };
    check_access(path, &file)?;
    let mut content = Zeroizing::new(Vec::new());
    file.read_to_end(&mut content)
        .map_err(FileStoreError::io(path))?;
    Ok(Some((file, content)))
}

/// Locks the file for as long as it is open. Where that fails, others take its holder for dead.
pub(super) fn hold(file: &File) {
    let _ = fs4::FileExt::try_lock(file);
}

/// Whether somebody keeps it open and locked.
pub(super) fn is_held(file: &File) -> bool {
    match fs4::FileExt::try_lock(file) {
        Ok(()) => {
            // Closing it would do too, but only once every copy is closed.
            let _ = fs4::FileExt::unlock(file);
            false
        }
        Err(_) => true,
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

fn make_folder(folder: &Path) -> Result<(), FileStoreError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(FileStoreError::io(folder))
}

fn owners_alone(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

#[cfg(unix)]
fn check_access(path: &Path, file: &File) -> Result<(), FileStoreError> {
    let metadata = file.metadata().map_err(FileStoreError::io(path))?;
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777;
    match mode & 0o077 {
        0 => Ok(()),
        _ => Err(FileStoreError::Exposed {
            path: path.to_owned(),
            mode,
        }),
    }
}

#[cfg(not(unix))]
fn check_access(_: &Path, _: &File) -> Result<(), FileStoreError> {
    Ok(())
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
