//! Where the state of an account's token hangs for everybody to read.
//!
//! Readers take no lock: they see one consistent posting or the next. Writers are rare (a renewal
//! begins or ends, a token is refused); each copies the posting, changes it and hangs it up under a
//! short lock.

use std::sync::{Arc, PoisonError};

use super::state::State;
use crate::auth::token::Token;
use crate::error::Error;
use crate::sync::{ArcSwap, Guard, Mutex, watch};

/// The result of a flight, for all who wait for it. It closes without one if the flight is torn
/// down.
pub(crate) type Waiter = watch::Receiver<Option<Flown>>;

/// The other end of it.
pub(crate) type Announcer = watch::Sender<Option<Flown>>;

/// What all waiters get.
pub(crate) type Flown = Result<Arc<Token>, Error>;

/// One posting.
#[derive(Clone)]
pub(crate) struct Posting {
    pub(crate) state: State,
    /// Of the flight under way.
    pub(crate) waiter: Option<Waiter>,
}

/// The board.
pub(crate) struct Board {
    posting: ArcSwap<Posting>,
    writer: Mutex<()>,
}

impl Board {
    pub(crate) fn new(state: State) -> Self {
        let posting = Posting {
            state,
            waiter: None,
        };
        Self {
            posting: ArcSwap::from_pointee(posting),
            writer: Mutex::new(()),
        }
    }

    /// What hangs there now.
    pub(crate) fn read(&self) -> Guard<Arc<Posting>> {
        self.posting.load()
    }

    /// Changes it; no two changes overlap.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Posting) -> T) -> T {
        // A panic inside `change` hangs nothing up, so a poisoned lock guards nothing broken.
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut posting = Posting::clone(&self.posting.load());
        let result = change(&mut posting);
        self.posting.store(Arc::new(posting));
        result
    }
}
