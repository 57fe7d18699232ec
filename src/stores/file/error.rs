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

    /// The file or folder that it is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::Exposed { path, .. }
            | Self::Damaged { path }
            | Self::TooNew { path }
            | Self::Sealed { path }
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
            Self::Damaged { .. } => {
                f.write_str("the file is damaged; restore it, or remove it and log in again")
            }
            Self::TooNew { .. } => f.write_str("the file was written by a later version"),
            Self::Sealed { .. } => f.write_str("the file is encrypted, with a key not given here"),
            Self::Key { problem, .. } => write!(f, "the key: {problem}"),
            Self::InUse { .. } => f.write_str("another process saves the same quotas there"),
            Self::Locked { .. } => f.write_str("another process holds the lock"),
        }
    }
}

impl std::error::Error for FileStoreError {}
