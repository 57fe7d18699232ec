//! Saving: a task of its own that no caller can cancel.
//!
//! There is one at a time for an account, and it saves the newest record, so an older one never
//! overwrites a newer. It goes on until the store has taken it, while the account lives from
//! memory, and keeps the right to renew meanwhile, if there is one: nothing else may present a
//! token whose successor has no place yet.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select;

use super::record::Tokens;
use super::refresh_chain::{Conflict, Write};
use super::{Hold, LONGEST_CALL, LONGEST_FLUSH, LONGEST_SAVE, Swapped, TokenPersistence};
use crate::auth::oauth::response::Refusal;
use crate::observe::event::Event;
use crate::sync::Handle;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// After this long another attempt begins beside the one that hangs.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(30);
/// Attempts that hang at once: more of them would not help a store that is stuck.
const MOST_HANGING: usize = 8;

impl TokenPersistence {
    /// Saves what an answer brought. Gives its number, and whether the refresh token is a new one.
    pub(crate) fn save(self: &Arc<Self>, tokens: Tokens, worked: bool) -> (u64, bool) {
        let (number, is_new) = self.chain(|chain| chain.answered(tokens, worked));
        self.start_saving_now();
        (number, is_new)
    }

    /// Saves what a login brought, or that there is none any more.
    pub(crate) fn log_in(self: &Arc<Self>, tokens: Tokens) -> u64 {
        let number = self.chain(|chain| chain.log_in(tokens));
        self.start_saving_now();
        number
    }

    /// Waits until that record is saved, or could not be at the first attempt, or for 2 s.
    pub(crate) async fn saved(&self, number: u64) {
        if !self.has_unsaved() {
            return;
        }
        let mut tried = self.tried.subscribe();
        let wait = tried.wait_for(|&tried| tried >= number);
        self.within(LONGEST_SAVE, wait).await;
    }

    pub(crate) fn has_unsaved(&self) -> bool {
        self.chain(|chain| chain.unsaved_number().is_some())
    }

    /// Why the last attempt to save failed.
    pub(crate) fn failure(&self) -> Option<Refusal> {
        self.memory().failure.clone()
    }

    /// Waits until all is saved and the right is given back.
    ///
    /// # Errors
    /// An attempt failed, or took too long.
    pub(crate) async fn flush(self: &Arc<Self>) -> Result<(), Refusal> {
        let flushed = self.within(LONGEST_FLUSH, self.save_all()).await;
        let flushed = flushed.unwrap_or_else(|| Err(self.report("did not save in time", None)));
        let mut releasing = self.releasing.subscribe();
        let released = releasing.wait_for(|&releasing| releasing == 0);
        self.within(LONGEST_CALL, released).await;
        flushed.map_err(
            |refusal| match self.chain(|chain| chain.has_unsaved_refresh_token()) {
                true => Refusal::new(refusal.class, format!("{ONLY_COPY}: {}", refusal.message)),
                false => refusal,
            },
        )
    }

    async fn save_all(self: &Arc<Self>) -> Result<(), Refusal> {
        let mut tried = self.tried.subscribe();
        while let Some(newest) = self.chain(|chain| chain.unsaved_number()) {
            self.hurry();
            // An earlier failure does not count: nothing but an attempt from now on.
            while tried.changed().await.is_ok() && *tried.borrow_and_update() < newest {}
            if self.chain(|chain| chain.unsaved_number()) == Some(newest) {
                return self.failure().map_or(Ok(()), Err);
            }
        }
        Ok(())
    }

    fn start_saving_now(self: &Arc<Self>) {
        let is_saving = self.memory().saving;
        self.start_saving();
        // A failure with an earlier record must not keep this one from the store.
        if is_saving {
            self.hurry.notify_one();
        }
    }

    /// A renewal cannot go on before all is saved.
    pub(crate) fn hurry(self: &Arc<Self>) {
        self.start_saving();
        self.hurry.notify_one();
    }

    /// Without a runtime it stays unsaved; the next look or save starts again.
    pub(crate) fn start_saving(self: &Arc<Self>) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let is_needed = {
            let mut memory = self.memory();
            let has_unsaved = memory.chain.unsaved_number().is_some();
            has_unsaved && !std::mem::replace(&mut memory.saving, true)
        };
        if is_needed {
            let saver = Saver {
                persistence: self.clone(),
                _hold: self.hold(),
                has_ended: false,
            };
            runtime.spawn(saver.run());
        }
    }
}

const ONLY_COPY: &str = "the newest refresh token is not saved, and this process has the only copy";

/// The task that saves. However it ends, another may begin.
struct Saver {
    persistence: Arc<TokenPersistence>,
    _hold: Hold,
    has_ended: bool,
}

impl Drop for Saver {
    fn drop(&mut self) {
        if !self.has_ended {
            self.persistence.memory().saving = false;
        }
    }
}

impl Saver {
    async fn run(mut self) {
        let persistence = self.persistence.clone();
        persistence.while_right_is_kept(self.save()).await;
    }

    async fn save(&mut self) {
        let mut pause = FIRST_PAUSE;
        while let Some((number, write)) = self.next() {
            let saved = self.attempt(number, write).await;
            match saved {
                Attempt::Saved => {
                    pause = FIRST_PAUSE;
                    continue;
                }
                // The first conflict is only news; a row of them is a fight.
                Attempt::Conflict if pause == FIRST_PAUSE => {
                    pause *= 2;
                    continue;
                }
                Attempt::Conflict | Attempt::Failed => {}
            }
            self.pause(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The newest record. If there is none the task ends, under the same lock, so that no record
    /// slips in between.
    fn next(&mut self) -> Option<(u64, Write)> {
        let now = self.persistence.clock.now();
        let mut memory = self.persistence.memory();
        let number = memory.chain.unsaved_number();
        let write = memory.chain.save(now);
        let next = number.zip(write);
        if next.is_none() {
            memory.saving = false;
            self.has_ended = true;
        }
        next
    }

    async fn attempt(&self, number: u64, write: Write) -> Attempt {
        let persistence = &self.persistence;
        if persistence.memory().hanging >= MOST_HANGING {
            self.failed(number, persistence.report("does not answer", None));
            return Attempt::Failed;
        }
        let (record, newest) = (write.record.clone(), write.newest);
        let swapped = persistence
            .swap(write.expected, record, LONGEST_ATTEMPT)
            .await;
        let now = persistence.clock.now();
        match swapped {
            Swapped::Saved => {
                persistence.chain(|chain| chain.written(write, now));
                self.saved(number);
                Attempt::Saved
            }
            Swapped::Conflict(theirs) => match persistence.conflicted(theirs, newest) {
                Ok(Some(Conflict::Again) | None) => Attempt::Conflict,
                Ok(Some(Conflict::Saved)) => {
                    self.saved(number);
                    Attempt::Saved
                }
                Ok(Some(Conflict::GaveWay { .. })) => {
                    persistence.tried.send_replace(number);
                    Attempt::Saved
                }
                Err(refusal) => {
                    self.failed(number, refusal);
                    Attempt::Failed
                }
            },
            Swapped::Failed(error) => {
                self.failed(number, persistence.report("did not save", Some(error)));
                Attempt::Failed
            }
            Swapped::Late => {
                self.failed(number, persistence.report("did not answer", None));
                // It may have saved all the same.
                let _ = persistence.load().await;
                Attempt::Failed
            }
        }
    }

    fn saved(&self, number: u64) {
        self.persistence.memory().failure = None;
        self.persistence.tried.send_replace(number);
        self.persistence.events.emit(|| Event::TokenSaved);
    }

    fn failed(&self, number: u64, refusal: Refusal) {
        self.persistence.memory().failure = Some(refusal);
        self.persistence.tried.send_replace(number);
    }

    /// Sleeps, unless a flush is waiting.
    async fn pause(&self, span: Duration) {
        let hurry = pin!(self.persistence.hurry.notified());
        select(hurry, self.persistence.clock.sleep(span)).await;
    }
}

enum Attempt {
    Saved,
    Conflict,
    Failed,
}
