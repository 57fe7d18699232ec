//! Files that are there as a whole, or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Whether a file can be written there. None is left behind that was not there before.
pub(crate) fn check(path: &Path) -> io::Result<()> {
    match OpenOptions::new().append(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let new = beside(path, ".new");
            File::create(&new)?;
            fs::remove_file(new)
        }
        Err(error) => Err(error),
    }
}

/// Puts a new file in the old one's place, all at once: a kill leaves one or the other.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = beside(path, ".new");
    let mut file = File::create(&new)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    match written.and_then(|()| fs::rename(&new, path)) {
        Ok(()) => Ok(()),
        Err(error) => {
            // On a full disk the old file stays, and no torn one beside it.
            let _ = fs::remove_file(&new);
            Err(error)
        }
    }
}

/// The file of the same name with something behind it.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_leaves_nothing_behind_and_touches_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picture.svg");
        check(&path).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        replace(&path, b"old").unwrap();
        check(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert!(check(&folder.path().join("no/such/folder.svg")).is_err());
        assert!(check(folder.path()).is_err());
    }
}
