//! Who may do what to a file, and how it is opened so that no link is followed.
//!
//! A folder that others may write is refused: whoever may write it can put a record of their own in
//! the place of ours. That holds for a folder with the sticky bit too (`/tmp`), where others can
//! take a name before we do. One case is mended instead. A pod's volume with an `fsGroup` gets the
//! group bits set on all of it at each start (and the set-group-ID bit on its folders, by which it
//! is told): there the process takes the bits from what is its own again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::Path;

use super::error::FileStoreError;

/// Opens a file of ours, or none if it is not there. No link is followed, and what is no file is
/// refused.
pub(super) fn open(path: &Path, options: &mut OpenOptions) -> Result<Option<File>, FileStoreError> {
    let file = match guarded(path, options).and_then(|options| options.open(path)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(path, error)),
    };
    let metadata = file.metadata().map_err(FileStoreError::io(path))?;
    match metadata.is_file() {
        true => Ok(Some(file)),
        false => Err(not_a_file(path)),
    }
}

/// What stands there may be the reason.
fn refused(path: &Path, error: io::Error) -> FileStoreError {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_file() => not_a_file(path),
        _ => FileStoreError::io(path)(error),
    }
}

fn not_a_file(path: &Path) -> FileStoreError {
    FileStoreError::NotAFile {
        path: path.to_owned(),
    }
}

#[cfg(unix)]
pub(super) use unix::*;

#[cfg(unix)]
mod unix {
    use std::fs::{Metadata, Permissions};
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};

    use rustix::fs::OFlags;

    use super::*;

    const BITS: u32 = 0o7777;
    const GROUP: u32 = 0o070;
    const OTHERS: u32 = 0o007;
    const OWNER_READ_WRITE: u32 = 0o600;
    const WRITE: u32 = 0o022;
    const SET_GROUP_ID: u32 = 0o2000;

    /// A pipe must not hang whoever opens it.
    pub(super) fn guarded<'a>(
        _: &Path,
        options: &'a mut OpenOptions,
    ) -> io::Result<&'a mut OpenOptions> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        Ok(options
            .mode(0o600)
            .custom_flags(i32::try_from(flags.bits()).unwrap_or_default()))
    }

    /// The number by which the file system tells an open file from all others that exist.
    pub(in super::super) fn number(file: &File) -> Option<u64> {
        file.metadata().ok().map(|metadata| metadata.ino())
    }

    /// Whether the path leads to this open file, and not to one that took its place.
    pub(in super::super) fn leads_to(path: &Path, file: &File) -> bool {
        match (fs::symlink_metadata(path), file.metadata()) {
            (Ok(there), Ok(open)) => (there.dev(), there.ino()) == (open.dev(), open.ino()),
            _ => false,
        }
    }

    /// Refuses a folder that others may write; one that is not there is none.
    pub(in super::super) fn check_folder(folder: &Path) -> Result<(), FileStoreError> {
        let metadata = match fs::metadata(folder) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(FileStoreError::io(folder)(error)),
        };
        let mode = metadata.mode() & BITS;
        if mode & WRITE == 0 {
            return Ok(());
        }
        let is_mended = mode & OTHERS & WRITE == 0
            && mode & SET_GROUP_ID != 0
            && is_ours(&metadata)
            && fs::set_permissions(folder, Permissions::from_mode(mode & !WRITE)).is_ok()
            && fs::metadata(folder).is_ok_and(|now| now.mode() & WRITE == 0);
        if !is_mended {
            let path = folder.to_owned();
            return Err(FileStoreError::ExposedFolder { path, mode });
        }
        mended(folder, mode);
        Ok(())
    }

    /// Refuses a file to which others have access.
    pub(in super::super) fn check_file(path: &Path, file: &File) -> Result<(), FileStoreError> {
        let metadata = file.metadata().map_err(FileStoreError::io(path))?;
        let mode = metadata.mode() & BITS;
        if mode & (GROUP | OTHERS) == 0 {
            return Ok(());
        }
        let may_be_mended = mode & OTHERS == 0 && is_of_the_volume(path, &metadata);
        if !(may_be_mended && make_ours_alone(file)) {
            let path = path.to_owned();
            return Err(FileStoreError::Exposed { path, mode });
        }
        mended(path, mode);
        Ok(())
    }

    /// Whether it got its group from its folder, as all of a pod's volume does.
    fn is_of_the_volume(path: &Path, file: &Metadata) -> bool {
        let folder = path.parent().and_then(|folder| fs::metadata(folder).ok());
        is_ours(file)
            && folder.is_some_and(|folder| {
                folder.mode() & SET_GROUP_ID != 0 && folder.gid() == file.gid()
            })
    }

    fn is_ours(metadata: &Metadata) -> bool {
        metadata.uid() == rustix::process::geteuid().as_raw()
    }

    pub(in super::super) fn is_ours_alone(file: &File) -> bool {
        let metadata = file.metadata();
        metadata.is_ok_and(|now| is_ours(&now) && now.mode() & (GROUP | OTHERS) == 0)
    }

    /// Whether it could be done; on some file systems a mode cannot be set.
    pub(in super::super) fn make_ours_alone(file: &File) -> bool {
        let is_set = |now: Metadata| now.mode() & OWNER_READ_WRITE == OWNER_READ_WRITE;
        let is_right = || is_ours_alone(file) && file.metadata().is_ok_and(is_set);
        let right = Permissions::from_mode(OWNER_READ_WRITE);
        is_right() || (file.set_permissions(right).is_ok() && is_ours_alone(file))
    }

    /// Lets its owner, if that is this process, open a file of which no secret is known. The folder
    /// is our own, so that no other user puts a link in its place meanwhile.
    pub(in super::super) fn make_accessible(path: &Path) -> bool {
        let is_our_file = |metadata: Metadata| metadata.is_file() && is_ours(&metadata);
        fs::symlink_metadata(path).is_ok_and(is_our_file)
            && fs::set_permissions(path, Permissions::from_mode(OWNER_READ_WRITE)).is_ok()
    }

    /// It cannot be mended again before somebody has set the bits again, so it is said once.
    #[cfg_attr(not(feature = "tracing"), allow(unused_variables))]
    fn mended(path: &Path, mode: u32) {
        #[cfg(feature = "tracing")]
        tracing::warn!(
            target: "reqwest_tollgate",
            path = %path.display(),
            "its group had access (mode {mode:04o}), as a volume's fsGroup sets it; taken away",
        );
    }
}

#[cfg(not(unix))]
pub(super) use elsewhere::*;

#[cfg(not(unix))]
mod elsewhere {
    use super::*;

    pub(super) fn guarded<'a>(
        path: &Path,
        options: &'a mut OpenOptions,
    ) -> io::Result<&'a mut OpenOptions> {
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_symlink() => Err(ErrorKind::InvalidInput.into()),
            _ => Ok(options),
        }
    }

    pub(in super::super) fn number(_: &File) -> Option<u64> {
        None
    }

    /// A file that is open there keeps its path.
    pub(in super::super) fn leads_to(path: &Path, _: &File) -> bool {
        path.exists()
    }

    pub(in super::super) fn check_folder(_: &Path) -> Result<(), FileStoreError> {
        Ok(())
    }

    pub(in super::super) fn check_file(_: &Path, _: &File) -> Result<(), FileStoreError> {
        Ok(())
    }

    pub(in super::super) fn is_ours_alone(_: &File) -> bool {
        true
    }

    pub(in super::super) fn make_ours_alone(_: &File) -> bool {
        true
    }

    pub(in super::super) fn make_accessible(_: &Path) -> bool {
        false
    }
}
