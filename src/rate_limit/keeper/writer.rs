//! Writes to a quota store, one at a time.
//!
//! A store may lie on a mount that is dead: then a write neither ends nor can be stopped. So each
//! write has a thread of its own, which belongs to no runtime; there is one at most, and whoever
//! waits for it does so for a bounded time. What is to be written meanwhile waits for its end, the
//! newest state alone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::contain::contained;
use crate::error::{BoxError, Error, ErrorKind, Recovery};
use crate::rate_limit::store::QuotaStore;

/// What all writes of an account share with whoever waits for them.
pub(super) struct Writer {
    store: Arc<dyn QuotaStore>,
    key: String,
    account: Arc<str>,
    /// Something changed since the last state was handed in, or that could not be written.
    is_dirty: AtomicBool,
    progress: Mutex<Progress>,
    ended: Condvar,
}

#[derive(Default)]
struct Progress {
    /// The newest state that is not being written yet.
    next: Option<Vec<u8>>,
    is_writing: bool,
    /// Somebody has waited in vain for the write under way.
    is_late: bool,
    /// The account has ended.
    releases: bool,
    /// The ordinal of the newest state, and of the last one whose write ended.
    handed_in: u64,
    written: u64,
    /// Why the last write failed.
    failed: Option<Error>,
}

impl Writer {
    pub(super) fn new(store: Arc<dyn QuotaStore>, key: String, account: Arc<str>) -> Arc<Self> {
        Arc::new(Self {
            store,
            key,
            account,
            is_dirty: AtomicBool::new(false),
            progress: Mutex::default(),
            ended: Condvar::new(),
        })
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn mark(&self) {
        self.is_dirty.store(true, Ordering::Release);
    }

    /// Whether something changed; once.
    pub(super) fn take_mark(&self) -> bool {
        self.is_dirty.swap(false, Ordering::AcqRel)
    }

    pub(super) fn is_writing(&self) -> bool {
        self.progress().is_writing
    }

    /// The ordinal of the newest state that was handed in.
    pub(super) fn newest(&self) -> u64 {
        self.progress().handed_in
    }

    /// Writes this state, as soon as no other write is under way. What is returned is its ordinal.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn write(self: &Arc<Self>, state: Vec<u8>) -> Result<u64, Error> {
        let mut progress = self.progress();
        progress.handed_in += 1;
        progress.next = Some(state);
        let begun = self.begin(&mut progress);
        begun.map(|()| progress.handed_in)
    }

    /// Lets the store go once the last write has ended.
    pub(super) fn release(self: &Arc<Self>) {
        let mut progress = self.progress();
        progress.releases = true;
        // Without a thread it is kept until the process ends.
        let _ = self.begin(&mut progress);
    }

    fn begin(self: &Arc<Self>, progress: &mut Progress) -> Result<(), Error> {
        if progress.is_writing {
            return Ok(());
        }
        let writer = self.clone();
        let thread = thread::Builder::new().name("tollgate-quotas".to_owned());
        match thread.spawn(move || writer.run()) {
            Ok(_) => {
                progress.is_writing = true;
                progress.is_late = false;
                Ok(())
            }
            Err(error) => {
                progress.next = None;
                self.mark();
                Err(self.error(error))
            }
        }
    }

    /// Until nothing is left to be written.
    fn run(&self) {
        let mut progress = self.progress();
        loop {
            let number = progress.handed_in;
            let Some(state) = progress.next.take() else {
                break;
            };
            drop(progress);
            let written = self.call(|store| store.save_quotas(&self.key, &state));
            progress = self.progress();
            progress.written = number;
            progress.is_late = false;
            progress.failed = written.err();
            if progress.failed.is_some() {
                self.mark();
            }
            self.ended.notify_all();
        }
        if progress.releases {
            drop(progress);
            let _ = self.call(|store| {
                store.release_quotas(&self.key);
                Ok(())
            });
            progress = self.progress();
        }
        progress.is_writing = false;
        self.ended.notify_all();
    }

    fn call(
        &self,
        call: impl FnOnce(&dyn QuotaStore) -> Result<(), BoxError>,
    ) -> Result<(), Error> {
        let result = contained(|| call(&*self.store));
        let result = result.unwrap_or_else(|| Err("the store panicked".into()));
        result.map_err(|error| self.error(error))
    }

    /// Waits until this state, or a newer one, is written; no longer than `span`. It blocks.
    ///
    /// # Errors
    /// The store's own, or that it has not answered.
    pub(super) fn wait(&self, number: u64, span: Duration) -> Result<(), Error> {
        let progress = self.wait_while(span, |progress| progress.written < number);
        match &progress.failed {
            _ if progress.written < number => Err(self.late(span)),
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Waits until nothing is being written, no longer than `span`, and not at all if somebody
    /// has waited in vain already. It blocks.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub(super) fn wait_for_the_end(&self, span: Duration) -> Result<(), Error> {
        let is_late = self.progress().is_late;
        let span = if is_late { Duration::ZERO } else { span };
        let progress = self.wait_while(span, |progress| progress.is_writing);
        match &progress.failed {
            _ if progress.is_writing => Err(self.late(span)),
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    fn wait_while(
        &self,
        span: Duration,
        condition: impl Fn(&Progress) -> bool,
    ) -> MutexGuard<'_, Progress> {
        let waited = self
            .ended
            .wait_timeout_while(self.progress(), span, |progress| condition(progress));
        let (mut progress, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        progress.is_late |= timeout.timed_out();
        progress
    }

    fn late(&self, span: Duration) -> Error {
        let text = match span {
            Duration::ZERO => "the store has not answered for long".to_owned(),
            span => format!("the store has not answered within {span:?}"),
        };
        self.error(text)
    }

    fn error(&self, error: impl Into<BoxError>) -> Error {
        store_error(&self.account, "the quotas were not saved", error.into())
    }
}

/// What a store, or what is between, says.
pub(super) fn store_error(account: &Arc<str>, message: &str, error: BoxError) -> Error {
    let message = format!("{message}: {error}");
    Error::new(ErrorKind::Store, Recovery::Retry, message)
        .with_source(error)
        .with_account(account)
}
