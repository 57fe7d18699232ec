//! The sole right to renew: an exclusive lock on a file that is there for nothing else.
//!
//! Whoever has it keeps the file open. The lock goes with the process, so a free one proves that
//! its last holder has given it back or is gone; a live holder is never overridden, however long it
//! takes. What the file holds means nothing: a line for people, the holder's process.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;

use super::access;
use super::disk::{Lock, Place};
use super::envelope::Envelope;
use super::error::FileStoreError;

/// Somebody removes the file at the very moment: once is chance.
const TRIES: u32 = 3;

/// What a holder has.
#[derive(Clone)]
pub(super) struct Right {
    pub(super) id: String,
    pub(super) lock: Arc<Lock>,
    /// Those whose files were removed meanwhile: open, so that no new file gets the number that a
    /// record of ours has.
    pub(super) former: Vec<Arc<Lock>>,
    pub(super) previous_is_dead: bool,
}

impl Right {
    /// Also while a call that hangs has a copy.
    pub(super) fn end(self) {
        self.lock.end();
    }

    /// Its file, and those before it.
    pub(super) fn all(&self) -> Vec<Arc<Lock>> {
        let former = self.former.iter().cloned();
        former.chain([self.lock.clone()]).collect()
    }

    /// Which of all the files that had its name it is.
    pub(super) fn number(&self) -> Option<u64> {
        access::number(self.lock.file())
    }
}

/// How asking for it ended.
pub(super) enum Asked {
    /// It is ours already, and still good.
    Prolonged,
    Taken(Right),
    Held,
}

/// Takes or prolongs it. `present`: what this store has of it, whoever asked then.
///
/// While a right is held its file may be removed: it is lost then, since another process would lock
/// another file. Whoever finds such a file free knows nothing of the last holder.
pub(super) fn ask(
    place: &Place,
    present: Option<&Right>,
    id: &str,
    record: impl FnOnce() -> Result<Option<Envelope>, FileStoreError>,
) -> Result<Asked, FileStoreError> {
    let path = place.renew();
    if let Some(right) = present.filter(|right| access::leads_to(&path, right.lock.file())) {
        return Ok(match right.id == id {
            true => Asked::Prolonged,
            false => Asked::Held,
        });
    }
    place.make_folder()?;
    for _ in 0..TRIES {
        let Some(lock) = place.try_lock(&path)? else {
            return Ok(Asked::Held);
        };
        if access::leads_to(&path, lock.file()) {
            note_process(lock.file());
            return Ok(Asked::Taken(Right {
                id: id.to_owned(),
                previous_is_dead: present.is_none() && is_the_same(lock.file(), record()),
                lock: Arc::new(lock),
                former: present.map(Right::all).unwrap_or_default(),
            }));
        }
    }
    Ok(Asked::Held)
}

/// Whether whoever wrote the record had this very file locked, as far as can be told.
fn is_the_same(file: &File, record: Result<Option<Envelope>, FileStoreError>) -> bool {
    let of_record = record.map(|record| record.and_then(|record| record.renew));
    of_record.is_ok_and(|of_record| {
        of_record.is_none_or(|of_record| access::number(file) == Some(of_record))
    })
}

/// For people: whom to ask, or to end, should it be stopped. On a full disk it stays empty.
fn note_process(mut file: &File) {
    let line = format!("{}\n", std::process::id());
    let _ = file.seek(SeekFrom::Start(0));
    if file.write_all(line.as_bytes()).is_ok() {
        let _ = file.set_len(line.len() as u64);
    }
}
