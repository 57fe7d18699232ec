//! One quota: its ledger and line behind a lock, and what its responses say.

mod offers;
#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError, TryLockError};
use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};
use smallvec::SmallVec;

pub(super) use self::offers::Offer;
use self::offers::Offers;
use super::LimiterSettings;
use super::alarm::Alarm;
use super::evidence::News;
use super::headers::{self, Fields, Reading, Told};
use super::in_flight::PermitId;
use super::line::{Line, Refusal, Standing, Wakers};
use super::place::Claim;
use super::quota::Quota;
use super::saved::SavedQuota;
use super::snapshot::{QuotaSnapshot, WindowSnapshot};
use super::state::{Admission, Change, Ledger, Report, Settlement, wait_of_the_spent};
use super::ticket::Ticket;
use super::timer::this_runtime;
use super::window::Window;
use crate::clock::Now;
use crate::cost::{Costs, REQUESTS};
use crate::header_value;
use crate::options::{Priority, Terms};
use crate::sync::{Mutex, MutexGuard};
use crate::verdict::Verdict;

/// So often a thread that finds the line locked yields before it sleeps. The lock is held for less
/// than a microsecond; but while one sleeps, each unlocking wakes another, which finds it locked
/// again. Of 8 threads on two cores each took 5 to 6 times the time of one that way, 3 to 3.5 times
/// so, and 5 to 8 times when it spun meanwhile (`limiter` in `benches/peers`).
const YIELDS: usize = 16;

/// One quota and its line. A change of the quota makes another one of the same line; requests on
/// their way keep the one they know.
pub(crate) struct QuotaLine {
    pub(super) name: Arc<str>,
    account: Arc<str>,
    quota: Quota,
    fields: Vec<Fields>,
    offers: Offers,
    /// Of the ledger, when its windows were the quota's.
    edition: u64,
    line: Arc<Mutex<Line>>,
}

impl QuotaLine {
    /// It goes on from what was saved of it, if anything was.
    pub(super) fn new(quota: Quota, settings: &LimiterSettings, now: Now) -> Self {
        let windows = counted(&quota);
        let mut ledger = Ledger::new(
            &windows,
            settings.max_in_flight,
            settings.unanswered_after,
            now,
        );
        let keeper = settings.keeper.as_ref();
        if let Some((saved, dial)) = keeper.and_then(|keeper| keeper.take(&quota.name)) {
            ledger = ledger.restored(&saved, &windows, dial);
        }
        Self {
            name: quota.name.as_str().into(),
            account: settings.account.clone(),
            fields: fields(&quota),
            offers: Offers::none(&quota.windows),
            quota,
            edition: ledger.edition(),
            line: Arc::new(Mutex::new(Line::new(ledger, settings.max_queue))),
        }
    }

    /// The same line with another quota of this name.
    pub(super) fn changed(&self, quota: Quota, now: Now) -> Self {
        let edition = self.with(|line, wakers| {
            line.change(&counted(&quota), now, wakers);
            line.ledger.edition()
        });
        Self {
            name: self.name.clone(),
            account: self.account.clone(),
            fields: fields(&quota),
            offers: Offers::none(&quota.windows),
            quota,
            edition,
            line: self.line.clone(),
        }
    }

    /// Forgets what was learned of it.
    pub(super) fn reopen(&self, now: Now) {
        self.with(|line, wakers| line.reopen(&counted(&self.quota), now, wakers));
    }

    /// As it was configured.
    pub(crate) fn quota(&self) -> &Quota {
        &self.quota
    }

    /// The line's methods leave it whole wherever they could panic.
    fn lock(&self) -> MutexGuard<'_, Line> {
        for _ in 0..YIELDS {
            match self.line.try_lock() {
                Ok(line) => return line,
                Err(TryLockError::Poisoned(line)) => return line.into_inner(),
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the line, and wakes whom it says after the lock is free.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Line, &mut Wakers) -> T) -> T {
        let mut wakers = Wakers::new();
        let result = act(&mut self.lock(), &mut wakers);
        wakers.into_iter().for_each(std::task::Waker::wake);
        result
    }

    pub(super) fn enter(&self, claim: Claim, terms: &Terms, now: &Now) -> (Ticket, Standing) {
        self.with(|line, _| {
            let ticket = match claim {
                Claim::New(priority) => line.ticket(priority, *now),
                Claim::Again(ticket) => ticket,
            };
            (ticket, line.enter(ticket, terms, *now))
        })
    }

    /// A permit, if there is one now.
    ///
    /// # Errors
    /// It costs more than a window allows.
    pub(super) fn try_enter(
        &self,
        priority: Priority,
        costs: &Costs,
        now: Now,
    ) -> Result<Option<(Ticket, PermitId)>, Refusal> {
        let mut line = self.lock();
        let ticket = line.ticket(priority, now);
        match line.try_enter(ticket, costs, now) {
            Ok(permit) => Ok(Some((ticket, permit))),
            Err(Admission::Never(excess)) => Err(Refusal::TooCostly(excess)),
            Err(_) => Ok(None),
        }
    }

    /// Ends a permit. An alarm is to be set.
    pub(super) fn settle(
        &self,
        permit: PermitId,
        ticket: Ticket,
        settlement: &Settlement<'_>,
        now: &Now,
    ) -> (Change, Option<Alarm>, Vec<News>) {
        // What was lost may be dropped while its thread panics: no place for a timer.
        let is_lost = matches!(settlement, Settlement::Lost);
        let runtime = || this_runtime().filter(|_| !is_lost);
        self.with(|line, wakers| {
            let is_of_these_windows = line.ledger.edition() == self.edition;
            let stripped = settlement.without_readings();
            let settlement = if is_of_these_windows {
                settlement
            } else {
                &stripped
            };
            let (change, alarm) = line.settle(permit, ticket, settlement, runtime, *now, wakers);
            (change, alarm, line.ledger.take_news())
        })
    }

    /// A cost that showed only in an answer.
    pub(super) fn charge(&self, unit: &str, amount: u64, now: Now) {
        self.with(|line, wakers| line.charge(unit, amount, now, wakers));
    }

    pub(super) fn begin_body(&self, now: Now) -> PermitId {
        self.lock().ledger.begin_body(now)
    }

    pub(super) fn end_body(&self, body: PermitId, now: Now) {
        self.with(|line, wakers| line.end_body(body, now, wakers));
    }

    pub(super) fn abandon(&self, ticket: Ticket, now: Now) {
        self.with(|line, wakers| line.abandon(ticket, now, wakers));
    }

    /// What an answer's headers say about each window.
    pub(super) fn told(&self, headers: &HeaderMap, now: &Now) -> Told {
        let from_cache = || headers.get(http::header::AGE).is_some_and(|age| age != "0");
        // A cached answer tells of a moment long past.
        match headers.is_empty() || from_cache() {
            true => Told::default(),
            false => headers::read(&self.fields, headers, *now),
        }
    }

    /// The headers that its windows name and that cannot be read, with their values.
    pub(super) fn unreadable(
        &self,
        headers: &HeaderMap,
    ) -> impl Iterator<Item = (&HeaderName, String)> {
        headers::report::unreadable(&self.fields, headers)
    }

    /// Limits among them that are above the configured ones, and news.
    pub(super) fn offers(&self, readings: &[Reading]) -> SmallVec<[Offer<'_>; 1]> {
        self.offers.news(&self.quota.windows, readings)
    }

    /// What an answer with these readings says about this quota.
    #[inline]
    pub(super) fn report<'a>(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        verdict: Option<Verdict>,
        told: &'a Told,
        now: &Now,
    ) -> Report<'a> {
        Report {
            status,
            rejected: match verdict {
                None => rejection(status, headers, now),
                Some(verdict) => self.rejection_by_rule(verdict, headers, &told.readings, *now),
            },
            readings: &told.readings,
            is_by_rule: verdict.is_some(),
            reports: &told.reports,
        }
    }

    /// What a distributor's rule says; how long, by the answer where that tells.
    fn rejection_by_rule(
        &self,
        verdict: Verdict,
        headers: &HeaderMap,
        readings: &[Reading],
        now: Now,
    ) -> Option<Option<Duration>> {
        let span = match verdict {
            Verdict::RateExceeded | Verdict::RateSuspected => {
                self.quota.windows.first().map(Window::length)
            }
            Verdict::QuotaSpent => {
                let longest = self.quota.windows.last();
                Some(longest.map_or(Verdict::LOOK_AGAIN, |window| window.pause(now)))
            }
            _ => return None,
        };
        let told = header_value::retry_after(headers, now.wall);
        Some(told.or_else(|| wait_of_the_spent(readings)).or(span))
    }

    pub(super) fn save(&self, now: Now) -> SavedQuota {
        self.lock().ledger.save(now)
    }

    pub(super) fn snapshot(&self, now: Now) -> QuotaSnapshot {
        let mut line = self.lock();
        // Nobody may have looked for long.
        line.ledger.forget(now);
        let mut windows = SmallVec::new();
        for (live, meter) in line.ledger.windows() {
            windows.push(WindowSnapshot {
                length: Some(meter.length),
                learned: false,
                unit: meter.unit.clone(),
                limit: live.limit(),
                remaining: live.left(meter.in_flight()),
                reset: live.resets_at(now),
            });
        }
        let (evidence, in_flight) = line.ledger.evidence();
        for series in evidence.learned() {
            windows.extend(series.left(in_flight).map(|remaining| WindowSnapshot {
                length: series.length(),
                learned: true,
                unit: REQUESTS.into(),
                limit: series.limit().unwrap_or(0),
                remaining,
                reset: series.resets_at().map(|at| now.wall_at(at)),
            }));
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

/// The windows, as long as they may be by the server's clock.
fn counted(quota: &Quota) -> Vec<Window> {
    quota.windows.iter().map(Window::by_another_clock).collect()
}

fn fields(quota: &Quota) -> Vec<Fields> {
    quota.windows.iter().map(Fields::of).collect()
}

/// "Too many requests": 429 (RFC 6585), and 503 where it says when to come back (RFC 9110 section
/// 15.6.4). Flask-Limiter and slowapi send `Retry-After` on every 200, where it says nothing.
#[inline]
pub(super) fn rejection(
    status: StatusCode,
    headers: &HeaderMap,
    now: &Now,
) -> Option<Option<Duration>> {
    let told = || header_value::retry_after(headers, now.wall);
    match status {
        StatusCode::TOO_MANY_REQUESTS => Some(told()),
        StatusCode::SERVICE_UNAVAILABLE => told().map(Some),
        _ => None,
    }
}
