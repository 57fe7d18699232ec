//! An account's side of its token store: the refresh chain, the right to renew, the mark before a
//! presentation, and the save after it.
//!
//! ```text
//!            refresher                    saver (a task of its own)
//!                │ right, load, mark          │ save, until the store has taken it
//!                ▼                            ▼
//!            TokenPersistence: calls the store, each call bounded
//!                │                            │
//!                ▼                            ▼
//!            RefreshChain: what comes next, and which of two records stays (pure)
//! ```
//!
//! [`refresh_chain`] has the rules, this file the calls, [`right`] the lease and what keeps it, and
//! [`saver`] the saving.

pub(crate) mod refresh_chain;
mod right;
mod saver;

use std::future::Future;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::{Notify, oneshot};

use self::refresh_chain::{Conflict, Loaded, RefreshChain, Terms, Write};
use super::oauth::response::{Class, Refusal};
use super::store::{Record, Swap, TokenStore};
use crate::clock::{Clock, Moment, time_limit};
use crate::error::{BoxError, Error, ErrorKind, Recovery};
use crate::observe::event::{Event, Events};
use crate::sync::{Handle, Mutex, MutexGuard, watch};
use record::{Tokens, Unreadable};

pub(crate) use self::right::{Hold, Taken};

/// How long a load, a lease, a release or a mark may take.
const LONGEST_CALL: Duration = Duration::from_secs(5);
/// How long a new token waits for its refresh token to be saved.
const LONGEST_SAVE: Duration = Duration::from_secs(2);
/// Reports that the store cannot be read are this far apart.
const BETWEEN_REPORTS: Duration = Duration::from_secs(5);
/// How long a flush waits for the store.
const LONGEST_FLUSH: Duration = Duration::from_secs(10);

/// Keeps an account's refresh token.
pub(crate) struct TokenPersistence {
    store: Option<Arc<dyn TokenStore>>,
    pub(crate) key: String,
    /// This process, for people.
    holder: String,
    clock: Arc<dyn Clock>,
    events: Events,
    memory: Mutex<Memory>,
    /// The newest record that the store was asked to save, however that ended.
    tried: watch::Sender<u64>,
    /// A caller cannot wait for the next attempt to save.
    hurry: Notify,
    /// Rights that are being given back.
    releasing: watch::Sender<usize>,
}

struct Memory {
    chain: RefreshChain,
    saving: bool,
    /// Writes that have not ended.
    hanging: usize,
    /// Of the last attempt to save that failed.
    failure: Option<Refusal>,
    /// Who needs the right, while there is one.
    holds: usize,
    /// The right that the store was asked for, and may have granted.
    asked: Option<String>,
    /// Rights that are being given back.
    releasing: usize,
    /// When it was last reported that the store cannot be read.
    load_reported: Option<Moment>,
}

/// How a compare-and-swap ended.
enum Swapped {
    Saved,
    Conflict(Option<Record>),
    Failed(BoxError),
    /// It has not ended, and goes on.
    Late,
}

impl TokenPersistence {
    pub(crate) fn new(
        store: Option<Arc<dyn TokenStore>>,
        key: String,
        terms: Terms,
        clock: Arc<dyn Clock>,
        events: Events,
    ) -> Arc<Self> {
        let chain = RefreshChain::new(store.is_some(), terms);
        Arc::new(Self {
            store,
            key,
            holder: format!("process {}", std::process::id()),
            clock,
            events,
            memory: Mutex::new(Memory {
                chain,
                saving: false,
                hanging: 0,
                failure: None,
                holds: 0,
                asked: None,
                releasing: 0,
                load_reported: None,
            }),
            tried: watch::Sender::new(0),
            hurry: Notify::new(),
            releasing: watch::Sender::new(0),
        })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks or changes the chain.
    pub(crate) fn chain<T>(&self, look: impl FnOnce(&mut RefreshChain) -> T) -> T {
        look(&mut self.memory().chain)
    }

    /// Whether other processes may renew the same token.
    pub(crate) fn is_shared(&self) -> bool {
        self.store.as_ref().is_some_and(|store| store.is_shared())
    }

    /// Reads the store: what another process has written since, and how old that is by the store's
    /// clock.
    ///
    /// # Errors
    /// The store failed, did not answer in time, or holds what cannot be read.
    pub(crate) async fn load(&self) -> Result<Option<(Box<Tokens>, Option<Duration>)>, Refusal> {
        let Some(store) = &self.store else {
            return Ok(None);
        };
        let asked = self.clock.now().moment;
        let newest = self.chain(|chain| chain.newest());
        let mut record = match self.within(LONGEST_CALL, store.load(&self.key)).await {
            Some(Ok(record)) => record,
            Some(Err(error)) => return Err(self.report_load("cannot be read", Some(error))),
            None => return Err(self.report_load("did not answer", None)),
        };
        let now = self.clock.now();
        // The store read it at some moment since then, and it has aged meanwhile.
        if let Some(age) = record.as_mut().and_then(|record| record.age.as_mut()) {
            *age = age.saturating_add(now.moment - asked);
        }
        match self.chain(|chain| chain.loaded(record, newest, now)) {
            Ok((loaded, conflict)) => {
                self.tell(conflict);
                self.note_settled();
                Ok(match loaded {
                    Loaded::Newer(tokens, age) => Some((tokens, age)),
                    Loaded::Same => None,
                })
            }
            Err(flaw) => Err(self.report(unreadable(flaw), None)),
        }
    }

    /// Marks the current refresh token as presented. After a conflict the chain says what comes
    /// next.
    ///
    /// # Errors
    /// The store did not take the mark; nothing may be presented.
    pub(crate) async fn mark(self: &Arc<Self>, n: u32) -> Result<(), Refusal> {
        let now = self.clock.now();
        let write = self.chain(|chain| chain.mark_as_presented(n, &self.holder, now));
        match write {
            Some(write) => self.put(write).await,
            None => Ok(()),
        }
    }

    /// Tells other processes that no answer will come. If that fails they wait a little longer.
    pub(crate) async fn close_mark(self: &Arc<Self>) {
        let now = self.clock.now();
        if let Some(write) = self.chain(|chain| chain.close_mark(now)) {
            let _ = self.put(write).await;
        }
    }

    /// Proves that the store can be written, before a login sends its code.
    ///
    /// # Errors
    /// It cannot.
    pub(crate) async fn prove(self: &Arc<Self>) -> Result<(), Refusal> {
        if self.store.is_none() {
            return Ok(());
        }
        // After a conflict once more, over what stands there now.
        for _ in 0..MOST_ROUNDS {
            let now = self.clock.now();
            let write = self.chain(|chain| chain.prove(now));
            let (id, record) = (write.tokens.write.clone(), write.record.version);
            self.put(write).await?;
            if self.chain(|chain| chain.has_written(id.as_deref(), record)) {
                return Ok(());
            }
        }
        Err(self.report("is changed by others without a pause", None))
    }

    /// One write that a caller waits for.
    async fn put(self: &Arc<Self>, write: Write) -> Result<(), Refusal> {
        let (expected, id) = (write.expected, write.tokens.write.clone());
        let swapped = self
            .swap(expected, write.record.clone(), LONGEST_CALL)
            .await;
        let now = self.clock.now();
        let version = write.record.version;
        let refusal = match swapped {
            Swapped::Saved => {
                self.chain(|chain| chain.written(write, now));
                return Ok(());
            }
            Swapped::Conflict(theirs) => return self.conflicted(theirs, write.newest).map(drop),
            Swapped::Failed(error) => Some(self.report("did not save", Some(error))),
            Swapped::Late => None,
        };
        // It may have landed all the same.
        self.load().await?;
        let has_landed = self.chain(|chain| chain.has_written(id.as_deref(), version));
        match refusal {
            Some(refusal) if !has_landed => Err(refusal),
            _ => Ok(()),
        }
    }

    fn conflicted(
        &self,
        theirs: Option<Record>,
        asked: Option<u64>,
    ) -> Result<Option<Conflict>, Refusal> {
        let now = self.clock.now();
        match self.chain(|chain| chain.conflicted(theirs, asked, now)) {
            Ok(conflict) => {
                self.tell(conflict);
                self.note_settled();
                Ok(conflict)
            }
            Err(flaw) => Err(self.report(unreadable(flaw), None)),
        }
    }

    /// What the store says can settle a save whose own answer has not come.
    fn note_settled(&self) {
        if let Some(settled) = self.chain(|chain| chain.settled_number()) {
            self.tried.send_if_modified(|tried| {
                let is_news = *tried < settled;
                *tried = settled.max(*tried);
                is_news
            });
        }
    }

    fn tell(&self, conflict: Option<Conflict>) {
        if conflict == Some(Conflict::GaveWay { lost: true }) {
            self.events.emit(|| Event::TokenSuperseded);
        }
    }

    /// A task of its own, which is never cancelled: its result may come after its caller has gone.
    async fn swap(
        self: &Arc<Self>,
        expected: Option<u64>,
        record: Record,
        longest: Duration,
    ) -> Swapped {
        let (Some(store), Ok(runtime)) = (self.store.clone(), Handle::try_current()) else {
            return Swapped::Failed("there is no runtime".into());
        };
        let (sender, receiver) = oneshot::channel();
        let under_way = UnderWay::new(self.clone());
        runtime.spawn(async move {
            let key = &under_way.0.key;
            let swapped = store.compare_and_swap(key, expected, &record).await;
            // The caller may have gone.
            let _ = sender.send(swapped);
        });
        match self.within(longest, receiver).await {
            Some(Ok(Ok(Swap::Saved))) => Swapped::Saved,
            Some(Ok(Ok(Swap::Conflict(record)))) => Swapped::Conflict(record),
            Some(Ok(Err(error))) => Swapped::Failed(error),
            Some(Err(_)) => Swapped::Failed("it panicked, or its runtime is gone".into()),
            None => Swapped::Late,
        }
    }

    /// The future's output, unless it takes longer.
    async fn within<F: Future>(&self, span: Duration, future: F) -> Option<F::Output> {
        let future = std::pin::pin!(future);
        match select(future, time_limit(&self.clock, span)).await {
            Either::Left((output, _)) => Some(output),
            Either::Right(_) => None,
        }
    }

    /// A store is looked into four times a second while requests wait for another process: one
    /// outage is not as many events.
    fn report_load(&self, what: &str, source: Option<BoxError>) -> Refusal {
        let now = self.clock.now().moment;
        let is_news = {
            let mut memory = self.memory();
            let before = memory
                .load_reported
                .filter(|before| now < *before + BETWEEN_REPORTS);
            memory.load_reported = before.or(Some(now));
            before.is_none()
        };
        match is_news {
            true => self.report(what, source),
            false => self.refusal(what, source).0,
        }
    }

    fn report(&self, what: &str, source: Option<BoxError>) -> Refusal {
        let (refusal, error) = self.refusal(what, source);
        self.events.emit(|| Event::TokenSaveFailed { error });
        refusal
    }

    fn refusal(&self, what: &str, source: Option<BoxError>) -> (Refusal, Error) {
        let what = format!("the token store {what}");
        let error = Error::new(ErrorKind::Store, Recovery::Retry, what.clone());
        // A caller's error has no source, so its message says all; a store shows no secret.
        let (message, error) = match source {
            Some(source) => (format!("{what}: {source}"), error.with_source(source)),
            None => (what, error),
        };
        (Refusal::new(Class::Store, message), error)
    }
}

/// A compare-and-swap that has not ended.
struct UnderWay(Arc<TokenPersistence>);

impl UnderWay {
    fn new(persistence: Arc<TokenPersistence>) -> Self {
        persistence.memory().hanging += 1;
        Self(persistence)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.memory().hanging -= 1;
    }
}

/// Conflicts in a row with other processes, before it is taken for a fight.
pub(crate) const MOST_ROUNDS: usize = 6;

fn unreadable(flaw: Unreadable) -> &'static str {
    match flaw {
        Unreadable::Damaged => {
            "holds a record that is damaged; restore it, or remove it and log in again"
        }
        Unreadable::TooNew => "holds a record that was written by a later version of this crate",
    }
}

pub(crate) mod record;
pub(super) mod refresh_expiry;
#[cfg(test)]
mod tests;
