//! Saves what an account has used of its quotas, and finds it again.
//!
//! Whatever changes the state asks for a save, which happens [`INTERVAL`] later, once for all who
//! asked meanwhile, on a thread that may block. Each save takes the newest state under one lock, so
//! that an older one never replaces a newer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;

use super::limiter::Limiter;
use super::saved::{Dial, Saved, SavedQuota};
use super::store::QuotaStore;
use crate::clock::Now;
use crate::error::{BoxError, Error, ErrorKind, Recovery};
use crate::event::{Event, Events};

/// How much of the latest past a crash takes along.
const INTERVAL: Duration = Duration::from_secs(1);

/// One account's state, in its store.
pub(crate) struct Keeper {
    store: Arc<dyn QuotaStore>,
    key: String,
    account: Arc<str>,
    events: Events,
    /// Something changed since the last save.
    is_dirty: AtomicBool,
    /// A save is coming.
    is_due: AtomicBool,
    /// What was read, until a quota of that name takes it or nothing of it counts any more.
    found: Mutex<BTreeMap<String, (SavedQuota, Dial)>>,
    /// Held for each save, the store's answer included: whether the last one failed.
    saving: Mutex<bool>,
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
        key: String,
        account: Arc<str>,
        events: Events,
    ) -> Self {
        Self {
            store,
            key,
            account,
            events,
            is_dirty: AtomicBool::new(false),
            is_due: AtomicBool::new(false),
            found: Mutex::default(),
            saving: Mutex::default(),
        }
    }

    fn found(&self) -> MutexGuard<'_, BTreeMap<String, (SavedQuota, Dial)>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what was saved. What cannot be read is told and then as good as nothing. It blocks.
    pub(super) fn load(&self, now: Now) {
        let loaded = match self.store.load_quotas(&self.key) {
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
            Err(error) => self.tell("what was saved of the quotas cannot be read", error),
        }
    }

    /// What was found of this quota; once.
    pub(super) fn take(&self, quota: &str) -> Option<(SavedQuota, Dial)> {
        self.found().remove(quota)
    }

    /// Something has changed.
    pub(super) fn touch(&self, limiter: &Arc<Limiter>) {
        self.is_dirty.store(true, Ordering::Release);
        if self.is_due.load(Ordering::Relaxed) || self.is_due.swap(true, Ordering::AcqRel) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            // The next change, a flush or the end of the account saves.
            self.is_due.store(false, Ordering::Release);
            return;
        };
        let pause = limiter.settings.clock.sleep(INTERVAL);
        let due = Due(Arc::downgrade(limiter));
        runtime.spawn(async move {
            pause.await;
            let limiter = due.0.upgrade();
            // What changes from here on needs another one.
            drop(due);
            // Where the account has ended, its end has saved.
            if let Some(limiter) = limiter {
                let _ = tokio::task::spawn_blocking(move || limiter.save()).await;
            }
        });
    }

    /// Saves the state that `state` gives, if it has changed. It blocks.
    pub(super) fn save(&self, state: impl FnOnce() -> (Saved, Now)) -> Result<(), Error> {
        let mut has_failed = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_dirty.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let (mut state, now) = state();
        self.pass_on(&mut state.quotas, now);
        let saved = self.store.save_quotas(&self.key, &state.to_bytes());
        let is_first = saved.is_err() && !*has_failed;
        *has_failed = saved.is_err();
        drop(has_failed);
        saved.map_err(|error| {
            self.is_dirty.store(true, Ordering::Release);
            let error = self.error("the quotas were not saved", error);
            if is_first {
                self.emit(&error);
            }
            error
        })
    }

    /// Adds what was found of quotas that the account does not have, while any of it counts.
    fn pass_on(&self, quotas: &mut BTreeMap<String, SavedQuota>, now: Now) {
        let mut found = self.found();
        found.retain(|_, (quota, dial)| quota.counts(*dial, now));
        for (name, (quota, _)) in found.iter() {
            quotas.entry(name.clone()).or_insert_with(|| quota.clone());
        }
    }

    /// The account has ended, and saves no more: another process may.
    pub(super) fn release(&self) {
        self.store.release_quotas(&self.key);
    }

    fn tell(&self, message: &str, error: BoxError) {
        self.emit(&self.error(message, error));
    }

    fn emit(&self, error: &Error) {
        self.events.emit(|| Event::QuotaStoreFailed {
            error: error.clone(),
        });
    }

    fn error(&self, message: &str, error: BoxError) -> Error {
        let message = format!("{message}: {error}");
        Error::new(ErrorKind::Store, Recovery::Retry, message)
            .with_source(error)
            .with_account(&self.account)
    }
}
