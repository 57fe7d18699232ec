//! Headers that a window names and that cannot be read: each is reported once.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, HeaderName};

use super::quota_line::QuotaLine;
use crate::event::{Event, Events};

/// Those of an account that were reported.
#[derive(Default)]
pub(super) struct Unreadable(Mutex<HashSet<HeaderName>>);

impl Unreadable {
    /// Reports what is new among the headers of an answer.
    pub(super) fn report(&self, quota: &QuotaLine, headers: &HeaderMap, events: &Events) {
        for (name, example) in quota.unreadable(headers) {
            if self.is_new(name) {
                events.emit(|| Event::HeaderUnreadable {
                    quota: quota.name.clone(),
                    name: name.clone(),
                    example,
                });
            }
        }
    }

    fn is_new(&self, name: &HeaderName) -> bool {
        let mut reported = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reported.insert(name.clone())
    }
}
