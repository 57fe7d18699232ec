//! What the operating system may refuse, apart, so that tests can have it refuse.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use fs4::TryLockError;

/// The calls whose refusal depends on the file system.
pub(super) trait System: Send + Sync {
    /// An exclusive lock on an open file, which ends with it.
    fn try_lock(&self, file: &File) -> Result<(), TryLockError> {
        fs4::FileExt::try_lock(file)
    }

    /// Puts the file in the place of another, in one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Puts each of two files in the place of the other, in one step.
    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        exchange(one, other)
    }
}

/// The real one.
pub(super) struct Native;

impl System for Native {}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};

    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
