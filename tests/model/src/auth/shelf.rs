//! A store that several processes share, and the witness of rights, marks and saves.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use shuttle::future::yield_now;

use super::stub::Endpoint;
use crate::auth::persistence::record::{Tokens, mark_of};
use crate::auth::store::{Lease, Record, Swap, TokenStore};
use crate::error::BoxError;

/// What the next swap does; after those of a script all succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Saves,
    Fails,
    /// It takes effect, and an error is reported.
    FailsLate,
    /// Until the gate is opened.
    Hangs,
}

#[derive(Default)]
pub(super) struct Shelved {
    record: Option<Record>,
    holder: Option<String>,
    granted: Vec<String>,
    /// Since they were last granted, but for what may overtake a call that prolongs them.
    released: Vec<String>,
    given_back: Vec<String>,
    /// Calls under way for a right.
    asked: Vec<String>,
    abandoned: Vec<String>,
    acts: VecDeque<Act>,
    /// Marks under which something was presented.
    used: Vec<String>,
    /// The refresh tokens of all records, in the order in which they were saved.
    saved: Vec<String>,
    is_open: bool,
    /// Every lease is granted, as by a store that has none.
    pub(super) grants_all: bool,
}

#[derive(Clone, Default)]
pub(super) struct Shelf(Arc<Mutex<Shelved>>, Option<Endpoint>);

impl Shelf {
    pub(super) fn of(acts: &[Act]) -> Self {
        let shelf = Self::default();
        shelf.with(|shelved| shelved.acts.extend(acts));
        shelf
    }

    /// It looks whether all that this endpoint issued is saved before a right is given back.
    pub(super) fn beside(mut self, endpoint: &Endpoint) -> Self {
        self.1 = Some(endpoint.clone());
        self
    }

    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Shelved) -> T) -> T {
        // What failed is told by the panic itself.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn put(&self, refresh_token: &str) {
        let bytes = Tokens::new(None, Some(refresh_token)).to_bytes();
        self.with(|shelved| shelved.record = Some(Record::new(1, bytes)));
    }

    pub(super) fn tokens(&self) -> Option<Tokens> {
        let record = self.with(|shelved| shelved.record.clone())?;
        Some(Tokens::from_bytes(&record.bytes).expect("tokens"))
    }

    pub(super) fn refresh_token(&self) -> Option<String> {
        self.tokens()?.refresh_token.clone()
    }

    pub(super) fn open(&self) {
        self.with(|shelved| shelved.is_open = true);
    }

    /// The refresh tokens that stood here, each once, in their order.
    pub(super) fn saved(&self) -> Vec<String> {
        let mut saved = self.with(|shelved| shelved.saved.clone());
        saved.dedup();
        saved
    }

    /// A token that is being presented has its own open mark here.
    pub(super) fn check_marked(&self, presented: &str) {
        let tokens = self.tokens().expect("presented without a record");
        let mark = tokens.presented.as_ref().expect("presented without a mark");
        assert_eq!(mark.of, mark_of(presented), "the mark of another token");
        assert!(mark.open, "the mark was closed");
        self.with(|shelved| {
            assert!(!shelved.used.contains(&mark.id), "a mark was used twice");
            shelved.used.push(mark.id.clone());
        });
    }

    /// Every right that was granted is given back.
    pub(super) fn check_free(&self) {
        self.with(|shelved| {
            assert_eq!(shelved.holder, None, "a right is held for ever");
            for id in &shelved.granted {
                assert!(shelved.given_back.contains(id), "a right was forgotten");
            }
        });
    }

    /// Every right that was granted is given back once.
    pub(super) fn check_given_back_once(&self) {
        self.check_free();
        self.with(|shelved| {
            for given_back in [&shelved.released, &shelved.abandoned] {
                let mut once = given_back.clone();
                once.sort();
                once.dedup();
                assert_eq!(once.len(), given_back.len(), "given back twice");
            }
        });
    }

    fn give_back(&self, id: &str) {
        let held = self.with(|shelved| {
            shelved.given_back.push(id.to_owned());
            shelved.holder.take_if(|holder| holder == id).is_some()
        });
        let Some(endpoint) = self.1.as_ref().filter(|_| held) else {
            return;
        };
        endpoint.with(|seen| assert_eq!(seen.under_way, 0, "given back during a request"));
        if let Some(newest) = endpoint.newest() {
            let stands = self.refresh_token();
            assert_eq!(stands, Some(newest), "given back before the save was done");
        }
    }

    fn swap(&self, expected: Option<u64>, new: &Record) -> Swap {
        let tokens = Tokens::from_bytes(&new.bytes).expect("tokens");
        self.with(|shelved| {
            if shelved.record.as_ref().map(|record| record.version) != expected {
                return Swap::Conflict(shelved.record.clone());
            }
            shelved.saved.extend(tokens.refresh_token.clone());
            shelved.record = Some(new.clone());
            Swap::Saved
        })
    }
}

/// A call for a right, until it has returned to its caller or was dropped.
struct Asked(Shelf, String);

impl Asked {
    fn new(shelf: &Shelf, id: &str) -> Self {
        shelf.with(|shelved| shelved.asked.push(id.to_owned()));
        Self(shelf.clone(), id.to_owned())
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.with(|shelved| {
            let place = shelved.asked.iter().position(|asked| *asked == self.1);
            place.map(|place| shelved.asked.swap_remove(place));
        });
    }
}

#[async_trait]
impl TokenStore for Shelf {
    async fn load(&self, _: &str) -> Result<Option<Record>, BoxError> {
        yield_now().await;
        Ok(self.with(|shelved| shelved.record.clone()))
    }

    async fn compare_and_swap(
        &self,
        _: &str,
        expected: Option<u64>,
        new: &Record,
    ) -> Result<Swap, BoxError> {
        let act = self.with(|shelved| shelved.acts.pop_front().unwrap_or(Act::Saves));
        yield_now().await;
        while act == Act::Hangs && !self.with(|shelved| shelved.is_open) {
            yield_now().await;
        }
        let swapped = match act {
            Act::Fails => return Err("by script".into()),
            _ => self.swap(expected, new),
        };
        yield_now().await;
        match act {
            Act::FailsLate => Err("by script, after its effect".into()),
            _ => Ok(swapped),
        }
    }

    async fn lease(&self, _: &str, id: &str, _: Duration) -> Result<Lease, BoxError> {
        let _asked = Asked::new(self, id);
        yield_now().await;
        let granted = self.with(|shelved| {
            let free = shelved.holder.as_ref().is_none_or(|holder| holder == id);
            let granted = free || shelved.grants_all;
            if granted {
                shelved.holder = Some(id.to_owned());
                shelved.granted.push(id.to_owned());
                shelved.released.retain(|released| released != id);
            }
            granted
        });
        yield_now().await;
        Ok(match granted {
            true => Lease::Granted {
                previous_is_dead: false,
            },
            false => Lease::Held { left: None },
        })
    }

    async fn release(&self, _: &str, id: &str) -> Result<(), BoxError> {
        yield_now().await;
        self.with(|shelved| {
            let is_certain = !shelved.asked.iter().any(|asked| asked == id);
            shelved.released.extend(is_certain.then(|| id.to_owned()));
        });
        self.give_back(id);
        Ok(())
    }

    fn abandon(&self, _: &str, id: &str) {
        self.with(|shelved| shelved.abandoned.push(id.to_owned()));
        self.give_back(id);
    }
}
