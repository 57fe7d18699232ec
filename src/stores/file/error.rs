//! What can be wrong with the files of a store.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a [`FileStore`](super::FileStore) could not do what it was asked. It names the file and
/// never shows its content.
#[derive(Debug)]
#[non_exhaustive]
pub enum FileStoreError {
    /// The operating system refused: the folder cannot be written, the disk is full.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// Others than its owner may read the file, or write it.
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Others than its owner may write the folder, and so put any record there.
    ExposedFolder {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// What stands there is a link, a folder, a pipe: nothing that the store made.
    NotAFile {
        /// What was expected to be a file.
        path: PathBuf,
    },
    /// A file, or a record to be saved, of more than 1 MiB.
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file system has no locks, so that renewals cannot exclude each other.
    NoLocks {
        /// The file to be locked.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// The file system did not answer in time, in this call or in one before it.
    NoAnswer {
        /// The folder.
        path: PathBuf,
    },
    /// The file is not what the store wrote. It stays as it is, for somebody to look at.
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// A later version of the crate wrote the file, in a way that this one cannot read.
    TooNew {
        /// The file.
        path: PathBuf,
    },
    /// The file is encrypted, and the store has no key or another one.
    Sealed {
        /// The file.
        path: PathBuf,
        /// Whether the store was given a key: it is another one, then.
        has_key: bool,
    },
    /// The key to encrypt with cannot be read, or is none.
    Key {
        /// The file to be encrypted or decrypted.
        path: PathBuf,
        /// What is wrong with the key; never the key.
        problem: String,
    },
    /// Another process saves the quotas of the same account there. Once it has ended, this one
    /// does.
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// Another process has held the lock for seconds, though it is held for milliseconds.
    Locked {
        /// The lock file.
        path: PathBuf,
    },
}

impl FileStoreError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { path, error }
    }

    /// The operating system does not let this process open it.
    pub(super) fn is_denied(&self) -> bool {
        let denied = io::ErrorKind::PermissionDenied;
        matches!(self, Self::Io { error, .. } if error.kind() == denied)
    }

    /// The file or folder that it is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::Exposed { path, .. }
            | Self::ExposedFolder { path, .. }
            | Self::NotAFile { path }
            | Self::TooLarge { path }
            | Self::NoLocks { path, .. }
            | Self::NoAnswer { path }
            | Self::Damaged { path }
            | Self::TooNew { path }
            | Self::Sealed { path, .. }
            | Self::Key { path, .. }
            | Self::InUse { path }
            | Self::Locked { path } => path,
        }
    }
}

impl fmt::Display for FileStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path().display())?;
        match self {
            Self::Io { error, .. } => write!(f, "{error}"),
            Self::Exposed { mode, .. } => write!(
                f,
                "others than its owner have access (mode {mode:04o}); expected 0600"
            ),
            Self::ExposedFolder { mode, .. } => write!(
                f,
                "others than its owner may write the folder (mode {mode:04o}); expected 0700, or \
                 a folder within it that does not exist yet"
            ),
            Self::NotAFile { .. } => {
                f.write_str("a link or something else that is no file; expected a file, or nothing")
            }
            Self::TooLarge { .. } => f.write_str("is of more than 1 MiB"),
            Self::NoLocks { error, .. } => write!(
                f,
                "the file system has no locks ({error}), by which processes would keep from \
                 spending one refresh token twice; expected a folder on a local disk"
            ),
            Self::NoAnswer { .. } => f.write_str("the file system does not answer"),
            Self::Damaged { .. } => {
                f.write_str("the file is damaged; restore it, or remove it and log in again")
            }
            Self::TooNew { .. } => f.write_str("the file was written by a later version"),
            Self::Sealed { has_key: false, .. } => {
                f.write_str("the file is encrypted, and no key was given")
            }
            Self::Sealed { has_key: true, .. } => {
                f.write_str("the file is encrypted with another key than the one given")
            }
            Self::Key { problem, .. } => write!(f, "the key: {problem}"),
            Self::InUse { .. } => f.write_str("another process saves the same quotas there"),
            Self::Locked { .. } => f.write_str("another process holds the lock"),
        }
    }
}

impl std::error::Error for FileStoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } | Self::NoLocks { error, .. } => Some(error),
            _ => None,
        }
    }
}
