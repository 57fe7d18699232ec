//! The limiter of one account: its quotas, each with a line, and the choice between them.

mod refused;
mod units;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;

use super::LimiterSettings;
use super::in_flight::PermitId;
use super::line::Standing;
use super::place::{Claim, Entry, Place};
use super::quota::Quota;
use super::quota_line::QuotaLine;
use super::quotas::{Chosen, Quotas};
use super::saved::Saved;
use super::snapshot::QuotaSnapshot;
use super::unreadable::Unreadable;
use crate::clock::{Moment, Now};
use crate::contain::contained;
use crate::error::Error;
use crate::event::Event;
use crate::options::{RequestOptions, Terms};

/// The rate-limit half of one account, shared by all layers and clients made from it.
pub(crate) struct Limiter {
    pub(super) settings: LimiterSettings,
    quotas: Quotas,
    /// One change at a time.
    changing: Mutex<()>,
    pub(super) unreadable: Unreadable,
}

/// The right to send once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Granted {
    pub(super) id: PermitId,
    pub(super) at: Now,
}

/// Of which quota, and on what terms.
pub(super) type Asked = (Chosen, Terms);

impl Limiter {
    pub(crate) fn new(settings: LimiterSettings) -> Self {
        let now = settings.clock.now();
        if let Some(keeper) = &settings.keeper {
            keeper.load(now);
        }
        let quotas = settings.quotas.iter().cloned();
        let quotas: Vec<_> = quotas
            .map(|quota| Arc::new(QuotaLine::new(quota, &settings, now)))
            .collect();
        Self {
            settings,
            quotas: Quotas::new(quotas),
            changing: Mutex::new(()),
            unreadable: Unreadable::default(),
        }
    }

    /// The quota a request belongs to: by option, else by the longest prefix of its path.
    ///
    /// # Errors
    /// The option names a quota that the account does not have.
    pub(super) fn quota(&self, options: &RequestOptions, path: &str) -> Result<Chosen, Error> {
        if let Some(name) = options.quota.as_deref() {
            return self.named(name);
        }
        let by_path = self.quotas.by_path(path);
        by_path.ok_or_else(|| self.no_such_quota(Quota::DEFAULT))
    }

    fn named(&self, name: &str) -> Result<Chosen, Error> {
        let named = self.quotas.named(name);
        named.ok_or_else(|| self.no_such_quota(name))
    }

    /// A quota that this limiter chose.
    pub(super) fn line<'a>(&'a self, quota: &'a Chosen) -> &'a QuotaLine {
        self.quotas.line(quota)
    }

    /// Replaces the quota of this name, or adds it. `check` sees the quotas that there are, and may
    /// complete it.
    pub(crate) fn set_quota<E>(
        self: &Arc<Self>,
        check: impl FnOnce(&[&Quota]) -> Result<Quota, E>,
    ) -> Result<(), E> {
        let changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut quotas = self.quotas.with(<[_]>::to_vec);
        let known: Vec<_> = quotas.iter().map(|line| line.quota()).collect();
        let quota = check(&known)?;
        let now = self.settings.clock.now();
        let present = quotas.iter_mut().find(|line| *line.name == *quota.name);
        let changed = present.as_ref().map(|line| line.name.clone());
        match present {
            Some(line) => *line = Arc::new(line.changed(quota, now)),
            None => quotas.push(Arc::new(QuotaLine::new(quota, &self.settings, now))),
        }
        self.quotas.replace(quotas);
        drop(changing);
        match changed {
            Some(name) => self.forgotten(&name),
            None => self.touch(),
        }
        Ok(())
    }

    /// Forgets what was learned of a quota.
    ///
    /// # Errors
    /// The account has no such quota.
    pub(crate) fn reopen(self: &Arc<Self>, quota: &str) -> Result<(), Error> {
        let quota = self.named(quota)?;
        let line = self.line(&quota);
        line.reopen(self.settings.clock.now());
        self.forgotten(&line.name);
        Ok(())
    }

    fn forgotten(self: &Arc<Self>, quota: &Arc<str>) {
        self.touch();
        let quota = quota.clone();
        let events = &self.settings.events;
        events.emit(|| Event::EvidenceForgotten { quota });
    }

    /// A cost that showed only in an answer.
    ///
    /// # Errors
    /// The account has no such quota, or counts other units than this one.
    pub(crate) fn charge(
        self: &Arc<Self>,
        quota: &str,
        unit: &str,
        amount: u64,
    ) -> Result<(), Error> {
        self.check_unit(unit)?;
        let now = self.settings.clock.now();
        self.line(&self.named(quota)?).charge(unit, amount, now);
        self.touch();
        Ok(())
    }

    fn no_such_quota(&self, name: &str) -> Error {
        let known = self.quotas.with(|quotas| {
            let known: Vec<_> = quotas.iter().map(|quota| &*quota.name).collect();
            known.join(", ")
        });
        Error::config(format!("no quota {name:?}: the account has {known}"))
            .with_account(&self.settings.account)
    }

    /// What is left of each quota.
    pub(crate) fn snapshots(&self) -> Vec<QuotaSnapshot> {
        let now = self.settings.clock.now();
        let snapshot = |quota: &Arc<QuotaLine>| quota.snapshot(now);
        self.quotas
            .with(|quotas| quotas.iter().map(snapshot).collect())
    }

    /// A permit at once or a place in line, for a request to `path` with these options, which has
    /// to have it by `deadline` too; and what it was asked for.
    ///
    /// # Errors
    /// As [`check_units`](Self::check_units), [`quota`](Self::quota) and [`enter`](Self::enter).
    pub(super) fn ask(
        self: &Arc<Self>,
        options: &RequestOptions,
        path: &str,
        deadline: Option<Moment>,
    ) -> Result<(Asked, Entry), Error> {
        let now = self.settings.clock.now();
        let mut terms = options.terms(&now);
        let patience = &mut terms.patience;
        patience.deadline = patience.deadline.into_iter().chain(deadline).min();
        self.check_units(&terms.costs)?;
        let quota = self.quota(options, path)?;
        let claim = Claim::New(options.priority.unwrap_or_default());
        let entry = self.enter(&quota, claim, &terms, &now)?;
        Ok(((quota, terms), entry))
    }

    /// The time, where something has to be ended whatever happens: by a clock that panics twice it
    /// is `earlier`, the last reading of whoever asks.
    pub(super) fn now_after(&self, earlier: Now) -> Now {
        let read = || contained(|| self.settings.clock.now());
        read().or_else(read).unwrap_or(earlier)
    }

    /// The caller is told that the request does not leave, and so are the observers.
    pub(super) fn told(&self, error: Error) -> Error {
        self.settings.events.emit(|| Event::Refused {
            error: error.clone(),
        });
        error
    }

    /// A permit of `quota` at once, or a place in its line.
    ///
    /// # Errors
    /// The next permit is too far off, or comes too late, or too many wait.
    pub(super) fn enter(
        self: &Arc<Self>,
        quota: &Chosen,
        claim: Claim,
        terms: &Terms,
        now: &Now,
    ) -> Result<Entry, Error> {
        let line = self.line(quota);
        let (ticket, standing) = line.enter(claim, terms, now);
        match standing {
            Standing::Granted(id) => {
                self.touch();
                Ok(Entry::Granted(ticket, Granted { id, at: *now }))
            }
            Standing::Refused(refusal) => Err(self.refused(line, refusal, *now)),
            Standing::Waiting(_) => {
                let (limiter, quota) = (self.clone(), quota.clone());
                Ok(Entry::Waiting(Place::new(limiter, quota, ticket, *now)))
            }
        }
    }

    /// What is used has changed.
    pub(super) fn touch(self: &Arc<Self>) {
        if let Some(keeper) = &self.settings.keeper {
            keeper.touch(self);
        }
    }

    /// Saves what is used, if that changed, without waiting for an earlier save: should that one
    /// hang, each change would take another of the runtime's threads.
    pub(super) async fn save_in_background(self: Arc<Self>) {
        let save = move || match &self.settings.keeper {
            // Whoever began the one under way reports how it ends.
            Some(keeper) if keeper.is_saving() => drop(keeper.hand_in(|| self.saved())),
            _ => drop(self.save()),
        };
        // A panic in there was contained and leaves nothing undone.
        let _ = tokio::task::spawn_blocking(save).await;
    }

    /// Saves what is used, if that changed. It blocks for a bounded time.
    pub(super) fn save(&self) -> Result<(), Error> {
        match &self.settings.keeper {
            Some(keeper) => keeper.save(|| self.saved()),
            None => Ok(()),
        }
    }

    /// The state, and of when it is.
    fn saved(&self) -> (Saved, Now) {
        let now = self.settings.clock.now();
        let saved = |quota: &Arc<QuotaLine>| (quota.name.to_string(), quota.save(now));
        let saved = self
            .quotas
            .with(|quotas| quotas.iter().map(saved).collect());
        (Saved::new(saved, now), now)
    }

    /// Waits until what is used is saved, for a bounded time.
    ///
    /// # Errors
    /// [`ErrorKind::Store`](crate::ErrorKind::Store): the store's own, or that it did not answer.
    ///
    /// # Cancel safety
    /// Dropping it ends the wait; a save that has begun goes on.
    pub(crate) async fn flush(self: &Arc<Self>) -> Result<(), Error> {
        if self.settings.keeper.is_none() {
            return Ok(());
        }
        let limiter = self.clone();
        match Handle::try_current() {
            // One that did not run to its end went with its runtime.
            Ok(runtime) => {
                let saved = runtime.spawn_blocking(move || limiter.save()).await;
                saved.unwrap_or(Ok(()))
            }
            Err(_) => limiter.save(),
        }
    }
}

impl Drop for Limiter {
    /// The last state is saved, without keeping a runtime's own threads, and the store let go.
    fn drop(&mut self) {
        let Some(keeper) = self.settings.keeper.take() else {
            return;
        };
        keeper.end(|| self.saved());
        let wait = move || keeper.wait_for_the_end();
        match Handle::try_current() {
            // So that a runtime which ends now waits for it.
            Ok(runtime) => drop(runtime.spawn_blocking(wait)),
            Err(_) => wait(),
        }
    }
}
