//! One crawl at a time writes a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use fs4::{FileExt, TryLockError};

use crate::files;

/// The right to write a file, until it is dropped: a lock of the operating system on a file beside
/// it, which holds the number of the process. It ends with the process, however that ends.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// # Errors
    /// If another process has it, with its number.
    pub(crate) fn take(path: &Path) -> Result<Self> {
        let lock = files::beside(path, ".lock");
        let name = lock.display();
        loop {
            let mut file = open(&lock).with_context(|| format!("cannot write {name}"))?;
            match FileExt::try_lock(&file) {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    bail!(
                        "another crawl writes {}{}",
                        path.display(),
                        holder(&mut file)
                    )
                }
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("cannot lock {name}"));
                }
            }
            // The process that had it may have removed it meanwhile: then this is not the file
            // that others would lock.
            if is_at(&file, &lock) {
                let mut held = Self { path: lock, file };
                held.sign().context("cannot write the lock")?;
                return Ok(held);
            }
        }
    }

    fn sign(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        writeln!(self.file, "{}", std::process::id())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Before the lock ends, so that no other process locks a file that is about to go. One
        // that stays, as on Windows, does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path)
}

/// `: process 4711`, if it can be read.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    // Where locks keep others from reading, it stays empty.
    let _ = file.read_to_string(&mut text);
    match text.trim() {
        "" => String::new(),
        id => format!(": process {id}"),
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> bool {
    true // An open file cannot be removed.
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_writer_whose_number_is_told_and_no_lock_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        let held = Lock::take(&path).unwrap();
        let error = Lock::take(&path).unwrap_err().to_string();
        assert!(error.starts_with("another crawl writes "), "{error}");
        #[cfg(unix)]
        assert!(error.ends_with(&format!(": process {}", std::process::id())));
        drop(held);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        // One that a killed process has left.
        fs::write(folder.path().join("answers.jsonl.lock"), "4711\n").unwrap();
        drop(Lock::take(&path).unwrap());
    }
}
