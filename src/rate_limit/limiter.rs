//! The limiter of one account: its quotas, each with a line, and the choice between them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use reqwest::Response;
use smallvec::SmallVec;

use super::LimiterSettings;
use super::gate::Ticket;
use super::headers::{self, Fields};
use super::in_flight::PermitId;
use super::line::{Line, Refusal, Standing, Wakers};
use super::snapshot::{QuotaSnapshot, WindowSnapshot};
use super::state::{Change, Ledger, Report, Settlement};
use super::window::{Quota, Window};
use crate::clock::{BoxFuture, Moment, Now};
use crate::error::{Error, ErrorKind, Recovery};
use crate::event::Event;
use crate::options::{Patience, Priority, RequestOptions};

/// The rate-limit half of one account, shared by all layers and clients made from it.
pub(crate) struct Limiter {
    pub(super) settings: LimiterSettings,
    quotas: Vec<Arc<QuotaLine>>,
}

/// The right to send once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permit {
    pub(super) id: PermitId,
    pub(super) granted: Moment,
}

/// One quota and its line.
pub(crate) struct QuotaLine {
    pub(super) name: Arc<str>,
    account: Arc<str>,
    paths: Vec<String>,
    windows: Vec<Window>,
    fields: Vec<Fields>,
    line: Mutex<Line>,
}

impl Limiter {
    pub(crate) fn new(settings: LimiterSettings) -> Self {
        let now = settings.clock.now();
        let quotas = settings.quotas.iter();
        let quotas = quotas
            .map(|quota| Arc::new(QuotaLine::new(quota, &settings, now)))
            .collect();
        Self { settings, quotas }
    }

    /// The quota a request belongs to: by option, else by the longest prefix of its path.
    ///
    /// # Errors
    /// The option names a quota that the account does not have.
    pub(super) fn quota(
        &self,
        options: &RequestOptions,
        path: &str,
    ) -> Result<&Arc<QuotaLine>, Error> {
        if let Some(name) = options.quota.as_deref() {
            let named = self.quotas.iter().find(|quota| &*quota.name == name);
            return named.ok_or_else(|| self.no_such_quota(name));
        }
        let by_path = self
            .quotas
            .iter()
            .max_by_key(|quota| quota.prefix_length(path));
        by_path.ok_or_else(|| self.no_such_quota(Quota::DEFAULT))
    }

    fn no_such_quota(&self, name: &str) -> Error {
        let known: Vec<_> = self.quotas.iter().map(|quota| &*quota.name).collect();
        Error::config(format!(
            "no quota {name:?}: the account has {}",
            known.join(", ")
        ))
        .with_account(&self.settings.account)
    }

    /// What is left of each quota.
    pub(crate) fn snapshots(&self) -> Vec<QuotaSnapshot> {
        let now = self.settings.clock.now();
        self.quotas
            .iter()
            .map(|quota| quota.snapshot(now))
            .collect()
    }

    /// A permit of `quota` at once, or a place in its line.
    ///
    /// # Errors
    /// The next permit is too far off, or comes too late, or too many wait.
    pub(super) fn enter(
        self: &Arc<Self>,
        quota: &Arc<QuotaLine>,
        claim: Claim,
        patience: Patience,
        now: Now,
    ) -> Result<Entry, Error> {
        let (ticket, standing) = quota.enter(claim, patience, now);
        match standing {
            Standing::Granted(id) => Ok(Entry::Granted(
                ticket,
                Permit {
                    id,
                    granted: now.moment,
                },
            )),
            Standing::Refused(refusal) => Err(self.refused(quota, refusal, now)),
            Standing::Waiting(_) => Ok(Entry::Waiting(Place {
                limiter: self.clone(),
                quota: quota.clone(),
                ticket,
                since: now,
                left: false,
            })),
        }
    }

    fn refused(&self, quota: &QuotaLine, refusal: Refusal, now: Now) -> Error {
        let name = &quota.name;
        let error = match refusal {
            Refusal::TooFarOff(moment) => {
                let (until, text) = time(now, moment);
                let message = format!("quota {name} has no permit before {text}");
                Error::new(
                    ErrorKind::QuotaExceeded,
                    Recovery::WaitUntil(until),
                    message,
                )
            }
            Refusal::TooLate(Some(moment)) => {
                let (until, text) = time(now, moment);
                let message =
                    format!("quota {name} has no permit before {text}, after the deadline");
                Error::new(
                    ErrorKind::DeadlineExceeded,
                    Recovery::WaitUntil(until),
                    message,
                )
            }
            Refusal::TooLate(None) => {
                let message = format!("the deadline passed while waiting for quota {name}");
                Error::new(ErrorKind::DeadlineExceeded, Recovery::Retry, message)
            }
            Refusal::QueueFull => {
                let message = format!("too many requests wait for quota {name} already");
                Error::new(ErrorKind::QueueFull, Recovery::Retry, message)
            }
        };
        error.with_account(&self.settings.account)
    }
}

fn time(now: Now, moment: Moment) -> (std::time::SystemTime, String) {
    let until = now.wall_at(moment);
    (until, httpdate::fmt_http_date(until))
}

impl QuotaLine {
    fn new(quota: &Quota, settings: &LimiterSettings, now: Now) -> Self {
        let windows = &quota.windows;
        let counted: Vec<_> = windows.iter().map(Window::by_another_clock).collect();
        let ledger = Ledger::new(
            &counted,
            settings.max_in_flight,
            settings.unanswered_after,
            now,
        );
        Self {
            name: quota.name.as_str().into(),
            account: settings.account.clone(),
            paths: quota.paths.clone(),
            windows: windows.clone(),
            fields: (0..windows.len())
                .filter_map(|index| Fields::of(windows, index))
                .collect(),
            line: Mutex::new(Line::new(ledger, settings.max_queue)),
        }
    }

    /// How much of the path its longest matching prefix takes, and one more; 1 for the default
    /// quota, which takes any path, 0 for one that does not match.
    fn prefix_length(&self, path: &str) -> usize {
        let matching = self
            .paths
            .iter()
            .filter(|prefix| path.starts_with(prefix.as_str()));
        let longest = matching.map(|prefix| prefix.len() + 2).max();
        longest.unwrap_or(usize::from(&*self.name == Quota::DEFAULT))
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        // The line's methods leave it whole wherever they could panic.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the line, and wakes whom it says after the lock is free.
    fn with<T>(&self, act: impl FnOnce(&mut Line, &mut Wakers) -> T) -> T {
        let mut wakers = Wakers::new();
        let result = act(&mut self.lock(), &mut wakers);
        wakers.into_iter().for_each(std::task::Waker::wake);
        result
    }

    fn enter(&self, claim: Claim, patience: Patience, now: Now) -> (Ticket, Standing) {
        self.with(|line, _| {
            let ticket = match claim {
                Claim::New(priority) => line.ticket(priority, now),
                Claim::Again(ticket) => ticket,
            };
            (ticket, line.enter(ticket, patience, now))
        })
    }

    /// Ends a permit.
    pub(super) fn settle(
        &self,
        permit: PermitId,
        ticket: Ticket,
        settlement: &Settlement,
        now: Now,
    ) -> Change {
        self.with(|line, wakers| line.settle(permit, ticket, settlement, now, wakers))
    }

    pub(super) fn abandon(&self, ticket: Ticket, now: Now) {
        self.with(|line, wakers| line.abandon(ticket, now, wakers));
    }

    /// What an answer says about this quota.
    pub(super) fn report(&self, status: StatusCode, headers: &HeaderMap, now: Now) -> Report {
        let from_cache = headers.get(http::header::AGE).is_some_and(|age| age != "0");
        let mut readings = SmallVec::new();
        // A cached answer tells of a moment long past.
        if !from_cache && !headers.is_empty() {
            readings = headers::read(&self.fields, headers, now);
        }
        Report {
            status,
            rejected: rejection(status, headers, now),
            readings,
        }
    }

    pub(super) fn snapshot(&self, now: Now) -> QuotaSnapshot {
        let line = self.lock();
        let (lives, in_flight) = line.ledger.windows();
        let mut windows = SmallVec::new();
        for (window, live) in self.windows.iter().zip(lives) {
            windows.push(WindowSnapshot {
                length: window.length(),
                limit: live.limit(),
                remaining: live.left(in_flight),
                reset: live.resets_at(now),
            });
        }
        QuotaSnapshot {
            account: self.account.clone(),
            quota: self.name.clone(),
            windows,
            blocked_until: line
                .ledger
                .closed_until(now)
                .map(|moment| now.wall_at(moment)),
        }
    }
}

/// "Too many requests": 429 (RFC 6585), and 503 where it says when to come back (RFC 9110 section
/// 15.6.4). Flask-Limiter and slowapi send `Retry-After` on every 200, where it says nothing.
fn rejection(status: StatusCode, headers: &HeaderMap, now: Now) -> Option<Option<Duration>> {
    let told = || headers::retry_after(headers, now);
    match status {
        StatusCode::TOO_MANY_REQUESTS => Some(told()),
        StatusCode::SERVICE_UNAVAILABLE => told().map(Some),
        _ => None,
    }
}

/// With what a request comes to the line.
#[derive(Clone, Copy, Debug)]
pub(super) enum Claim {
    /// For the first time.
    New(Priority),
    /// For a replay: its place is that of its arrival.
    Again(Ticket),
}

/// What entering the line brings.
pub(super) enum Entry {
    Granted(Ticket, Permit),
    Waiting(Place),
}

/// A place in line; dropping it leaves the line.
pub(super) struct Place {
    limiter: Arc<Limiter>,
    quota: Arc<QuotaLine>,
    ticket: Ticket,
    since: Now,
    left: bool,
}

type Timer = Option<(Moment, BoxFuture<'static, ()>)>;

impl Place {
    /// Waits for the permit.
    ///
    /// # Errors
    /// As [`Limiter::enter`], should things change meanwhile.
    ///
    /// # Cancel safety
    /// A dropped wait leaves its place to those behind, and gives back a permit that it was
    /// granted.
    pub(super) async fn wait(mut self) -> Result<(Ticket, Permit), Error> {
        let mut timer = None;
        let decision = std::future::poll_fn(|context| self.poll(context, &mut timer)).await;
        let settings = &self.limiter.settings;
        let now = settings.clock.now();
        settings.events.emit(|| Event::Waited {
            quota: self.quota.name.clone(),
            span: now.moment - self.since.moment,
        });
        decision
            .map(|id| {
                (
                    self.ticket,
                    Permit {
                        id,
                        granted: now.moment,
                    },
                )
            })
            .map_err(|refusal| self.limiter.refused(&self.quota, refusal, now))
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
        timer: &mut Timer,
    ) -> Poll<Result<PermitId, Refusal>> {
        loop {
            let now = self.limiter.settings.clock.now();
            let waker = context.waker();
            let standing = self
                .quota
                .with(|line, wakers| line.look(self.ticket, waker, now, wakers));
            let moment = match standing {
                Standing::Granted(permit) => return self.leave(Ok(permit)),
                Standing::Refused(refusal) => return self.leave(Err(refusal)),
                Standing::Waiting(moment) => moment,
            };
            if !self.has_come(moment, now, timer, context) {
                return Poll::Pending;
            }
        }
    }

    /// Sets the timer to `moment`, and says whether it has rung.
    fn has_come(
        &self,
        moment: Moment,
        now: Now,
        timer: &mut Timer,
        context: &mut Context<'_>,
    ) -> bool {
        if moment == Moment::NEVER {
            *timer = None;
            return false;
        }
        if timer.as_ref().is_none_or(|(set, _)| *set != moment) {
            // At least a millisecond, the timer's grain: a wait of nothing would spin.
            let span = (moment - now.moment).max(Duration::from_millis(1));
            *timer = Some((moment, self.limiter.settings.clock.sleep(span)));
        }
        let rung = timer
            .as_mut()
            .is_some_and(|(_, sleep)| sleep.as_mut().poll(context).is_ready());
        if rung {
            *timer = None;
        }
        rung
    }

    fn leave(&mut self, decision: Result<PermitId, Refusal>) -> Poll<Result<PermitId, Refusal>> {
        self.left = true;
        Poll::Ready(decision)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.left {
            let now = self.limiter.settings.clock.now();
            self.quota
                .with(|line, wakers| line.leave(self.ticket, now, wakers));
        }
    }
}

/// Marks a 429 that was replayed already or cannot be, so that an outer retry layer leaves it alone
/// ([`RetryStrategy`](crate::RetryStrategy)).
#[derive(Clone, Copy, Debug)]
pub(crate) struct FinalRejection;

impl FinalRejection {
    /// Whether the response carries the mark.
    #[cfg(feature = "retry")]
    pub(crate) fn marks(response: &Response) -> bool {
        response.extensions().get::<Self>().is_some()
    }

    pub(super) fn mark(response: &mut Response) {
        response.extensions_mut().insert(Self);
    }
}
