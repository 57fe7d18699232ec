//! The sole right to renew, as a file beside the record.
//!
//! The file says who holds it until when, by the wall clock: the processes share no other. On Unix
//! its holder also keeps it open and locked. The lock goes with the process, so a lease whose file
//! is not locked has a dead holder and is free at once. A new lease is a new file, so who overstays
//! holds on to a file that nobody looks at any more.
//!
//! All of it happens under the key's lock.

use std::fs::{self, File};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::disk::{self, Place};
use super::error::FileStoreError;

#[derive(Serialize, Deserialize)]
struct Lease {
    holder: String,
    /// In milliseconds since 1970.
    until: u64,
    /// For how long it was asked, in milliseconds.
    span: u64,
}

impl Lease {
    fn new(holder: &str, span: Duration, now: SystemTime) -> Self {
        let span = millis(span);
        Self {
            holder: holder.to_owned(),
            until: since_1970(now).saturating_add(span),
            span,
        }
    }

    /// One that ends later than it could have been given was given before the clock was set back:
    /// it must not last for years. Twice its span leaves room for small corrections.
    fn is_running(&self, now: SystemTime) -> bool {
        let left = self.until.saturating_sub(since_1970(now));
        left > 0 && left <= self.span.saturating_mul(2)
    }
}

/// Takes or prolongs it; none if somebody else has it. Who has it keeps the file open.
pub(super) fn take(
    place: &Place,
    holder: &str,
    span: Duration,
    now: SystemTime,
) -> Result<Option<File>, FileStoreError> {
    if let Some((file, present)) = read(place)? {
        let is_other = present.holder != holder;
        if is_other && present.is_running(now) && has_live_holder(&file) {
            return Ok(None);
        }
    }
    // Strings and numbers: this cannot fail.
    let content = serde_json::to_vec(&Lease::new(holder, span, now)).unwrap_or_default();
    let file = place.replace(&place.lease(), &content)?;
    if cfg!(unix) {
        // Elsewhere nobody could read what is locked.
        disk::hold(&file);
    }
    Ok(Some(file))
}

/// Ends it, if it is the holder's.
pub(super) fn give_back(place: &Place, holder: &str) -> Result<(), FileStoreError> {
    let present = read(place)?;
    if present.is_none_or(|(_, present)| present.holder != holder) {
        return Ok(());
    }
    let path = place.lease();
    fs::remove_file(&path).map_err(FileStoreError::io(&path))
}

fn read(place: &Place) -> Result<Option<(File, Lease)>, FileStoreError> {
    let path = place.lease();
    let Some((file, content)) = disk::read(&path)? else {
        return Ok(None);
    };
    match serde_json::from_slice(&content) {
        Ok(lease) => Ok(Some((file, lease))),
        Err(_) => Err(FileStoreError::Damaged { path }),
    }
}

fn has_live_holder(file: &File) -> bool {
    !cfg!(unix) || disk::is_held(file)
}

fn since_1970(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, millis)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_in_time_and_also_when_the_clock_was_set_back() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let second = Duration::from_secs(1);
        let lease = Lease::new("a", 10 * second, now);
        assert!(lease.is_running(now) && lease.is_running(now + 9 * second));
        assert!(lease.is_running(now - 5 * second), "a small correction");
        assert!(!lease.is_running(now + 10 * second));
        assert!(!lease.is_running(now - 3600 * second));
        assert!(!Lease::new("a", 10 * second, UNIX_EPOCH).is_running(now));
    }
}
