//! Saves what an account has used of its quotas, and finds it again.
//!
//! Whatever changes the state asks for a save, which happens [`INTERVAL`] later, once for all who
//! asked meanwhile. Each save takes the newest state under one lock, so that an older one never
//! replaces a newer. The store is called on threads of its own, each answer waited for no longer
//! than [`Bounds`] say: it may never come.

mod writer;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;

use self::writer::{Writer, store_error};
use super::limiter::Limiter;
use super::saved::{Dial, Saved, SavedQuota};
use super::store::QuotaStore;
use crate::clock::Now;
use crate::contain::contained;
use crate::error::{BoxError, Error};
use crate::event::{Event, Events};

/// How much of the latest past a crash takes along.
const INTERVAL: Duration = Duration::from_secs(1);

/// The longest that the store's answers are waited for. They are measured by the system's time: the
/// threads that wait belong to no runtime.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Of a program's start.
    load: Duration,
    /// Of a flush.
    save: Duration,
}

/// Longer than a share that answers at all takes for a few kilobytes, which is milliseconds, and
/// than it takes to come back after a short break.
const BOUNDS: Bounds = Bounds {
    load: Duration::from_secs(5),
    save: Duration::from_secs(10),
};

/// One account's state, in its store.
pub(crate) struct Keeper {
    store: Arc<dyn QuotaStore>,
    /// Where it is kept, and where earlier versions kept it.
    keys: [String; 2],
    account: Arc<str>,
    events: Events,
    bounds: Bounds,
    /// A save is coming.
    is_due: AtomicBool,
    /// What was read, until a quota of that name takes it or nothing of it counts any more.
    found: Mutex<BTreeMap<String, (SavedQuota, Dial)>>,
    /// Held while a state is made and handed in.
    handing_in: Mutex<()>,
    writer: Arc<Writer>,
    /// The last save failed, which was reported.
    is_failing: AtomicBool,
}

/// A save that is to come. Should its task end before, with its runtime, another may be asked for.
struct Due(Weak<Limiter>);

impl Drop for Due {
    fn drop(&mut self) {
        if let Some(limiter) = self.0.upgrade() {
            if let Some(keeper) = &limiter.settings.keeper {
                keeper.is_due.store(false, Ordering::Release);
            }
        }
    }
}

impl Keeper {
    pub(crate) fn new(
        store: Arc<dyn QuotaStore>,
        keys: [String; 2],
        account: Arc<str>,
        events: Events,
    ) -> Self {
        Self {
            writer: Writer::new(store.clone(), keys[0].clone(), account.clone()),
            store,
            keys,
            account,
            events,
            bounds: BOUNDS,
            is_due: AtomicBool::new(false),
            found: Mutex::default(),
            handing_in: Mutex::default(),
            is_failing: AtomicBool::new(false),
        }
    }

    fn found(&self) -> MutexGuard<'_, BTreeMap<String, (SavedQuota, Dial)>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what was saved. What cannot be read in time is reported and then as good as nothing.
    /// It blocks.
    pub(super) fn load(&self, now: Now) {
        let loaded = match self.loaded() {
            Ok(None) => return,
            Ok(Some(bytes)) => Saved::parse(&bytes).map_err(BoxError::from),
            Err(error) => Err(error),
        };
        match loaded {
            Ok(saved) => {
                let dial = saved.dial(now);
                let mut found = self.found();
                for (name, mut quota) in saved.quotas {
                    quota.land(dial);
                    found.insert(name, (quota, dial));
                }
            }
            Err(error) => {
                let message = "what was saved of the quotas cannot be read";
                self.emit(&store_error(&self.account, message, error));
            }
        }
    }

    /// What the store has, unless it does not answer in time.
    fn loaded(&self) -> Result<Option<Vec<u8>>, BoxError> {
        let (store, keys) = (self.store.clone(), self.keys.clone());
        let (sender, receiver) = mpsc::sync_channel(1);
        let thread = thread::Builder::new().name("tollgate-quotas".to_owned());
        thread.spawn(move || {
            let load = |key: &String| store.load_quotas(key).transpose();
            let loaded = contained(|| keys.iter().find_map(load).transpose());
            // Where nothing waits any more it is too late to be of use.
            let _ = sender.send(loaded.unwrap_or_else(|| Err("the store panicked".into())));
        })?;
        let span = self.bounds.load;
        let loaded = receiver.recv_timeout(span);
        loaded.unwrap_or_else(|_| Err(format!("the store has not answered within {span:?}").into()))
    }

    /// What was found of this quota; once.
    pub(super) fn take(&self, quota: &str) -> Option<(SavedQuota, Dial)> {
        self.found().remove(quota)
    }

    /// Something has changed. It does not panic, whatever the clock does: a permit may hang on it.
    pub(super) fn touch(&self, limiter: &Arc<Limiter>) {
        self.writer.mark();
        if self.is_due.load(Ordering::Relaxed) || self.is_due.swap(true, Ordering::AcqRel) {
            return;
        }
        let due = Due(Arc::downgrade(limiter));
        // A sleep needs a runtime, and may panic all the same.
        let pause = || contained(|| limiter.settings.clock.sleep(INTERVAL));
        let runtime = Handle::try_current().ok();
        let Some((runtime, pause)) = runtime.and_then(|runtime| Some((runtime, pause()?))) else {
            // The next change, a flush or the end of the account saves.
            return drop(due);
        };
        runtime.spawn(async move {
            pause.await;
            let limiter = due.0.upgrade();
            // What changes from here on needs another one.
            drop(due);
            // Where the account has ended, its end has saved.
            if let Some(limiter) = limiter {
                limiter.save_in_background().await;
            }
        });
    }

    /// Whether a save is under way. Another state is written after it, so nothing has to wait.
    pub(super) fn is_saving(&self) -> bool {
        self.writer.is_writing()
    }

    /// Saves the state that `state` gives, if it has changed; what was handed in before is waited
    /// for too. It blocks, no longer than [`Bounds::save`].
    ///
    /// # Errors
    /// The store's own, or that it has not answered.
    pub(super) fn save(&self, state: impl FnOnce() -> (Saved, Now)) -> Result<(), Error> {
        let saved = self.hand_in(state);
        self.reported(saved.and_then(|number| self.writer.wait(number, self.bounds.save)))
    }

    /// Hands in the state that `state` gives, if it has changed, and gives the ordinal of the
    /// newest one.
    ///
    /// # Errors
    /// There is no state, or no thread that could write it.
    pub(super) fn hand_in(&self, state: impl FnOnce() -> (Saved, Now)) -> Result<u64, Error> {
        let handing_in = self.handing_in.lock();
        let _handing_in = handing_in.unwrap_or_else(PoisonError::into_inner);
        if !self.writer.take_mark() {
            return Ok(self.writer.newest());
        }
        let Some((mut state, now)) = contained(state) else {
            self.writer.mark();
            let (message, error) = ("the quotas were not saved", "the clock panicked");
            return Err(store_error(&self.account, message, error.into()));
        };
        self.pass_on(&mut state.quotas, now);
        self.writer.write(state.to_bytes())
    }

    /// The account ends: its last state is written, and the store let go after that. It does not
    /// wait.
    pub(super) fn end(&self, state: impl FnOnce() -> (Saved, Now)) {
        if let Err(error) = self.hand_in(state) {
            let _ = self.reported::<()>(Err(error));
        }
        self.writer.release();
    }

    /// Waits for that, no longer than [`Bounds::save`]. It blocks.
    pub(super) fn wait_for_the_end(&self) {
        // The observers know what failed.
        let _ = self.reported(self.writer.wait_for_the_end(self.bounds.save));
    }

    /// The first failure after a success is an event.
    fn reported<T>(&self, saved: Result<T, Error>) -> Result<T, Error> {
        match &saved {
            Ok(_) => self.is_failing.store(false, Ordering::Relaxed),
            Err(error) if !self.is_failing.swap(true, Ordering::Relaxed) => self.emit(error),
            Err(_) => {}
        }
        saved
    }

    /// Adds what was found of quotas that the account does not have, while any of it counts.
    fn pass_on(&self, quotas: &mut BTreeMap<String, SavedQuota>, now: Now) {
        let mut found = self.found();
        found.retain(|_, (quota, dial)| quota.counts(*dial, now));
        for (name, (quota, _)) in found.iter() {
            quotas.entry(name.clone()).or_insert_with(|| quota.clone());
        }
    }

    fn emit(&self, error: &Error) {
        self.events.emit(|| Event::QuotaStoreFailed {
            error: error.clone(),
        });
    }
}

#[cfg(test)]
mod tests;
