//! An account's side of its token store: what it holds of the refresh token, what it has read and
//! written, and what still has to be saved.

use std::future::Future;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::Notify;
use zeroize::Zeroizing;

use super::answer::{Class, Refusal};
use super::record::Tokens;
use super::saver::Saver;
use super::state::Presents;
use super::store::{Record, TokenStore};
use crate::clock::Clock;
use crate::error::{BoxError, Error, ErrorKind, Recovery};
use crate::event::{Event, Events};
use crate::sync::{Handle, Mutex, MutexGuard, watch};

const LONGEST_LOAD: Duration = Duration::from_secs(5);
/// How long a new token waits for its refresh token to be saved.
const LONGEST_SAVE: Duration = Duration::from_secs(2);
/// How long a flush waits for the store.
const LONGEST_FLUSH: Duration = Duration::from_secs(10);
/// Longer than a flight may take: two requests, a load and a save.
const LEASE: Duration = Duration::from_secs(90);

/// Keeps an account's refresh token.
pub(crate) struct Vault {
    pub(super) store: Option<Arc<dyn TokenStore>>,
    pub(super) key: String,
    holder: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) events: Events,
    pub(super) memory: Mutex<Memory>,
    /// The newest record that the store was asked to save, however that ended.
    pub(super) tried: watch::Sender<u64>,
    /// Somebody cannot wait for the next attempt to save.
    pub(super) hurry: Notify,
}

/// What an account knows of its store.
#[derive(Default)]
pub(super) struct Memory {
    refresh_token: Option<Zeroizing<String>>,
    /// The last that left, whatever came of it.
    presented: Option<Zeroizing<String>>,
    /// The newest that the store is known to have had.
    pub(super) stored: Option<Zeroizing<String>>,
    /// Of the configured refresh token that the chain began with.
    seed: Option<String>,
    /// A renewal came without a successor: the refresh token is good for more than one use.
    reusable: bool,
    /// The newest version read or written.
    pub(super) version: Option<u64>,
    /// The store has been read at least once.
    read: bool,
    /// The newest record that the store does not have yet, with its number.
    pub(super) unsaved: Option<(u64, Tokens)>,
    numbered: u64,
    pub(super) saving: bool,
    /// Of the last attempt to save that failed.
    pub(super) failure: Option<Refusal>,
}

impl Vault {
    pub(crate) fn new(
        store: Option<Arc<dyn TokenStore>>,
        key: String,
        clock: Arc<dyn Clock>,
        events: Events,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            key,
            holder: format!("{:016x}", fastrand::u64(..)),
            clock,
            events,
            memory: Mutex::default(),
            tried: watch::Sender::new(0),
            hurry: Notify::new(),
        })
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The refresh token to present next.
    pub(crate) fn refresh_token(&self) -> Option<Zeroizing<String>> {
        self.memory().refresh_token.clone()
    }

    /// The refresh token to present next, if it is another than the last that left: worth a try
    /// although that one was refused.
    pub(crate) fn unpresented(&self) -> Option<Zeroizing<String>> {
        let memory = self.memory();
        let next = memory.refresh_token.as_ref();
        next.filter(|next| memory.presented.as_ref() != Some(next))
            .cloned()
    }

    /// This one leaves. Tells whether it is another than the last.
    pub(super) fn note_presented(&self, refresh_token: &Zeroizing<String>) -> Presents {
        let before = self.memory().presented.replace(refresh_token.clone());
        match before.as_ref() == Some(refresh_token) {
            true => Presents::TheSame,
            false => Presents::Another,
        }
    }

    /// Whether the refresh token may be good for one use only. It is taken to be until a renewal
    /// has shown otherwise.
    pub(crate) fn is_single_use(&self) -> bool {
        !self.memory().reusable
    }

    /// Whether the store was ever read, or there is none.
    pub(crate) fn is_known(&self) -> bool {
        self.store.is_none() || self.memory().read
    }

    /// A renewal brought this refresh token; none: the old one stays. Tells whether it is new.
    pub(crate) fn remember(&self, refresh_token: Option<&Zeroizing<String>>) -> bool {
        let mut memory = self.memory();
        match refresh_token {
            Some(new) if memory.refresh_token.as_ref() != Some(new) => {
                memory.refresh_token = Some(new.clone());
                memory.reusable = false;
                true
            }
            _ => {
                memory.reusable = true;
                false
            }
        }
    }

    /// The store's record, if it is newer than all that was read or written here. While a record of
    /// ours is unsaved, memory wins.
    ///
    /// # Errors
    /// The store failed, or did not answer in time.
    pub(crate) async fn look(self: &Arc<Self>) -> Result<Option<Tokens>, Refusal> {
        let Some(store) = &self.store else {
            return Ok(None);
        };
        if self.has_unsaved() {
            self.start_saving();
            return Ok(None);
        }
        let loaded = match self.within(LONGEST_LOAD, store.load(&self.key)).await {
            Some(Ok(loaded)) => loaded,
            Some(Err(error)) => return Err(self.report("cannot be read", Some(error))),
            None => return Err(self.report("did not answer", None)),
        };
        Ok(self.take_over(loaded))
    }

    pub(super) fn has_unsaved(&self) -> bool {
        self.memory().unsaved.is_some()
    }

    fn take_over(&self, loaded: Option<Record>) -> Option<Tokens> {
        let mut memory = self.memory();
        memory.read = true;
        let record = loaded?;
        if memory.version.is_some_and(|known| record.version <= known) {
            return None;
        }
        memory.version = Some(record.version);
        let tokens = Tokens::from_bytes(&record.bytes)?;
        if let Some(refresh_token) = tokens.refresh_token() {
            memory.reusable &= memory.refresh_token.as_ref() == Some(&refresh_token);
            memory.stored = Some(refresh_token.clone());
            memory.refresh_token = Some(refresh_token);
            memory.seed.clone_from(&tokens.seed);
        }
        Some(tokens)
    }

    /// A person logged in: whatever there was before ends, also if this login brought no refresh
    /// token. The former one may be another person's.
    pub(crate) fn log_in(&self, refresh_token: Option<Zeroizing<String>>) {
        let mut memory = self.memory();
        memory.refresh_token = refresh_token;
        memory.seed = None;
        memory.reusable = false;
        memory.read = true;
    }

    /// The configured refresh token with this fingerprint begins a chain.
    pub(crate) fn begin(&self, seed: String) {
        self.memory().seed = Some(seed);
    }

    /// Whether the present chain began with another configured refresh token: somebody has logged
    /// in anew since.
    pub(crate) fn began_otherwise(&self, seed: &str) -> bool {
        let memory = self.memory();
        memory
            .seed
            .as_deref()
            .is_some_and(|present| present != seed)
    }

    /// Hands a record over to be saved and gives its number.
    pub(crate) fn save(self: &Arc<Self>, mut tokens: Tokens) -> u64 {
        if self.store.is_none() {
            return 0;
        }
        tokens.seed.clone_from(&self.memory().seed);
        let (number, is_saving) = {
            let mut memory = self.memory();
            memory.numbered += 1;
            memory.unsaved = Some((memory.numbered, tokens));
            (memory.numbered, memory.saving)
        };
        self.start_saving();
        // A failure with an earlier record must not keep this one from the store.
        if is_saving {
            self.hurry.notify_one();
        }
        number
    }

    /// Waits until that record is saved, or could not be at the first attempt, or for 2 s.
    pub(crate) async fn saved(&self, number: u64) {
        let mut tried = self.tried.subscribe();
        let wait = tried.wait_for(|&tried| tried >= number);
        self.within(LONGEST_SAVE, wait).await;
    }

    /// Whether a refresh token that may be good for one use only is not saved yet.
    pub(crate) fn has_unsaved_refresh_token(&self) -> bool {
        let memory = self.memory();
        let unsaved = memory.unsaved.as_ref().map(|(_, tokens)| tokens);
        !memory.reusable && unsaved.is_some_and(|tokens| tokens.refresh_token.is_some())
    }

    /// Waits until all is saved.
    ///
    /// # Errors
    /// An attempt failed, or took too long.
    pub(crate) async fn flush(self: &Arc<Self>) -> Result<(), Refusal> {
        let flushed = self.within(LONGEST_FLUSH, self.save_all()).await;
        flushed.unwrap_or_else(|| Err(self.report("did not save in time", None)))
    }

    async fn save_all(self: &Arc<Self>) -> Result<(), Refusal> {
        let mut tried = self.tried.subscribe();
        while let Some(newest) = self.newest_unsaved() {
            self.start_saving();
            self.hurry.notify_one();
            // An earlier failure does not count: nothing but an attempt from now on.
            while tried.changed().await.is_ok() && *tried.borrow_and_update() < newest {}
            if self.newest_unsaved() == Some(newest) {
                let failure = self.memory().failure.clone();
                return failure.map_or(Ok(()), Err);
            }
        }
        Ok(())
    }

    fn newest_unsaved(&self) -> Option<u64> {
        self.memory().unsaved.as_ref().map(|(number, _)| *number)
    }

    fn start_saving(self: &Arc<Self>) {
        // Without a runtime it stays unsaved; the next look or save starts again.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if !std::mem::replace(&mut self.memory().saving, true) {
            let saver = Saver::new(self.clone());
            runtime.spawn(async move { saver.run().await });
        }
    }

    /// Asks for the sole right to renew. A store that cannot say grants it: better two renewals
    /// than none.
    pub(crate) async fn lease(&self) -> bool {
        let Some(store) = &self.store else {
            return true;
        };
        let asked = store.lease(&self.key, &self.holder, LEASE);
        match self.within(LONGEST_LOAD, asked).await {
            Some(Ok(lease)) => lease.is_granted(),
            Some(Err(error)) => {
                self.report("cannot give a lease", Some(error));
                true
            }
            None => true,
        }
    }

    pub(crate) async fn release(&self) {
        if let Some(store) = &self.store {
            // A lease that is not given back ends by itself.
            let released = store.release(&self.key, &self.holder);
            let _ = self.within(LONGEST_LOAD, released).await;
        }
    }

    /// The future's output, unless it takes longer.
    async fn within<F: Future>(&self, span: Duration, future: F) -> Option<F::Output> {
        let future = std::pin::pin!(future);
        match select(future, self.clock.sleep(span)).await {
            Either::Left((output, _)) => Some(output),
            Either::Right(_) => None,
        }
    }

    pub(super) fn report(&self, what: &str, source: Option<BoxError>) -> Refusal {
        let what = format!("the token store {what}");
        let error = Error::new(ErrorKind::Store, Recovery::Retry, what.clone());
        // A caller's error has no source, so its message says all; a store shows no secret.
        let (message, error) = match source {
            Some(source) => (format!("{what}: {source}"), error.with_source(source)),
            None => (what, error),
        };
        self.events.emit(|| Event::TokenSaveFailed { error });
        Refusal::new(Class::Store, message)
    }
}

#[cfg(test)]
#[path = "vault_tests.rs"]
mod tests;
