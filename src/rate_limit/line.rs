//! The line of requests that wait for a permit of one quota: a queue around the ledger.
//!
//! There is no task that serves the line. Whoever gets a permit, gives one back or leaves the line
//! serves those behind ([`Line::serve`]): it grants what can be granted, one wake-up each, and sees
//! that the new head looks again in time. So nothing is left behind when a request is dropped, and
//! nothing needs a runtime of its own.
//!
//! Pure but for the wakers, which the caller wakes after it let go of the lock, and the timer that
//! it keeps.

mod queue;
mod serve;
mod standing;
mod sums;

use std::collections::BTreeMap;
use std::task::Waker;

use super::alarm::{Alarm, Alarms, Looker, Timer};
use super::in_flight::PermitId;
use super::meter::Meter;
use super::state::{Admission, Change, Ledger, Settlement};
use super::ticket::Ticket;
use super::window::Window;
use crate::clock::{Moment, Now};
use crate::cost::Costs;
use crate::options::{Priority, Terms};
use crate::sync::RuntimeId;

use queue::Queue;
use standing::refusal;
pub(crate) use standing::{Look, Refusal, Standing};

/// A quota's ledger and those who wait for it.
pub(crate) struct Line {
    pub(crate) ledger: Ledger,
    queue: Queue,
    /// A map that grows by nodes: where many are decided, none of them waits for all to be moved.
    decided: BTreeMap<Ticket, Result<PermitId, Refusal>>,
    tickets: u64,
    max_queue: Option<usize>,
    /// What the head's timer is set to.
    armed: Option<(Ticket, Moment)>,
    /// That timer, if another set it.
    alarms: Alarms,
}

/// Those to wake once the lock is free.
pub(crate) type Wakers = Vec<Waker>;

impl Line {
    pub(crate) fn new(ledger: Ledger, max_queue: Option<usize>) -> Self {
        Self {
            ledger,
            queue: Queue::default(),
            decided: BTreeMap::new(),
            tickets: 0,
            max_queue,
            armed: None,
            alarms: Alarms::default(),
        }
    }

    /// A place in line for a request that comes now.
    pub(crate) fn ticket(&mut self, priority: Priority, now: Now) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket::new(self.tickets, priority, now.moment);
        // One that may use the reserve must not stand behind one that may not.
        match self.ledger.has_reserve() {
            true => ticket.foremost(),
            false => ticket,
        }
    }

    /// A permit at once, or why there is none: if that is `Now`, others go before.
    pub(crate) fn try_enter(
        &mut self,
        ticket: Ticket,
        costs: &Costs,
        now: Now,
    ) -> Result<PermitId, Admission> {
        // The replay of a probe goes before everybody, since everybody waits for its answer.
        let is_first = self.head().is_none_or(|head| ticket < head) || self.ledger.is_probe(ticket);
        match self.ledger.when(ticket, costs, now) {
            Admission::Now if is_first => Ok(self.ledger.grant(ticket, costs, now)),
            admission => Err(admission),
        }
    }

    /// A permit at once, a refusal at once, or a place in line.
    pub(crate) fn enter(&mut self, ticket: Ticket, terms: &Terms, now: Now) -> Standing {
        let admission = match self.try_enter(ticket, &terms.costs, now) {
            Ok(permit) => return Standing::Granted(permit),
            Err(admission) => admission,
        };
        let look_at = match admission {
            Admission::Never(excess) => return Standing::Refused(Refusal::TooCostly(excess)),
            Admission::At(moment) => {
                if let Some(refusal) = refusal(terms.patience, now, moment) {
                    return Standing::Refused(refusal);
                }
                moment
            }
            Admission::Now => now.moment,
            Admission::WhenAnswered(moment) => moment,
        };
        // As things stand: of those ahead some may give up, but nobody can count on that.
        if let Some(deadline) = terms.patience.deadline {
            let not_before = self.not_before(ticket, &terms.costs, now);
            if not_before > deadline {
                return Standing::Refused(Refusal::TooLate(Some(not_before)));
            }
        }
        if self.max_queue.is_some_and(|most| self.queue.len() >= most) {
            return Standing::Refused(Refusal::QueueFull);
        }
        self.queue.insert(ticket, terms);
        Standing::Waiting(look_at)
    }

    /// A waiting request looks how it stands.
    pub(crate) fn look(
        &mut self,
        ticket: Ticket,
        looker: Looker<'_>,
        now: Now,
        wakers: &mut Wakers,
    ) -> Look {
        let is_head = self.head() == Some(ticket);
        // It is looking already and needs no wake-up, by another's timer neither.
        let needless = is_head || self.is_armed(ticket) || self.queue.is_empty();
        let spent = needless.then(|| self.disarm()).flatten();
        let mut alarm = None;
        if is_head {
            self.set_waker(ticket, None);
            alarm = self.serve_from(looker.runtime, now, wakers);
        }
        Look {
            standing: self.standing(ticket, looker, now, wakers),
            alarm,
            spent,
        }
    }

    fn standing(
        &mut self,
        ticket: Ticket,
        looker: Looker<'_>,
        now: Now,
        wakers: &mut Wakers,
    ) -> Standing {
        if let Some(decision) = self.decided.remove(&ticket) {
            return decision.map_or_else(Standing::Refused, Standing::Granted);
        }
        let armed = self
            .armed
            .filter(|(head, _)| *head == ticket)
            .map(|(_, moment)| moment);
        let Some(waiting) = self.queue.get(ticket) else {
            return Standing::Refused(Refusal::TooLate(None));
        };
        let deadline = waiting.terms.patience.deadline;
        if deadline.is_some_and(|deadline| deadline <= now.moment) {
            self.leave(ticket, now, wakers);
            return Standing::Refused(Refusal::TooLate(None));
        }
        self.set_waker(ticket, Some(looker));
        Standing::Waiting(
            armed
                .into_iter()
                .chain(deadline)
                .min()
                .unwrap_or(Moment::NEVER),
        )
    }

    /// A permit ends, and those behind are served, by one that can set timers in `runtime`, if it
    /// can.
    pub(crate) fn settle(
        &mut self,
        permit: PermitId,
        ticket: Ticket,
        settlement: &Settlement<'_>,
        runtime: impl FnOnce() -> Option<RuntimeId>,
        now: Now,
        wakers: &mut Wakers,
    ) -> (Change, Option<Alarm>) {
        let change = self.ledger.settle(permit, ticket, settlement, now);
        // Mostly nobody waits, and which runtime it is takes a while to find out.
        let is_awaited = !self.queue.is_empty();
        let alarm = is_awaited.then(|| self.serve_from(runtime(), now, wakers));
        (change, alarm.flatten())
    }

    /// A request gives up its place; a permit that it was granted and did not take goes back. The
    /// timer that another set for it is to be dropped.
    pub(crate) fn leave(&mut self, ticket: Ticket, now: Now, wakers: &mut Wakers) -> Option<Timer> {
        // One that came before the others but has not looked yet leaves their timer as it is.
        let spent = self.is_armed(ticket).then(|| self.disarm()).flatten();
        self.queue.remove(ticket);
        if let Some(Ok(permit)) = self.decided.remove(&ticket) {
            self.ledger.settle(permit, ticket, &Settlement::Unsent, now);
        }
        self.serve(now, wakers);
        spent
    }

    /// Other windows from now on, of which nothing was learned yet; those who wait are looked at
    /// again.
    pub(crate) fn change(&mut self, windows: &[Window], now: Now, wakers: &mut Wakers) {
        self.ledger.change(windows, now);
        self.reopen(windows, now, wakers);
    }

    /// A cost that showed only in an answer.
    pub(crate) fn charge(&mut self, unit: &str, amount: u64, now: Now, wakers: &mut Wakers) {
        self.ledger.charge(unit, amount, now);
        self.serve(now, wakers);
    }

    /// The body of an answer has ended.
    pub(crate) fn end_body(&mut self, body: PermitId, now: Now, wakers: &mut Wakers) {
        self.ledger.end_body(body);
        self.serve(now, wakers);
    }

    /// What was learned of the windows, and a pause, are forgotten; those who wait are looked at
    /// again.
    pub(crate) fn reopen(&mut self, windows: &[Window], now: Now, wakers: &mut Wakers) {
        self.ledger.reopen(windows, now);
        self.serve(now, wakers);
    }

    /// A request will not come back for its replay: should it be the probe, the next one is.
    pub(crate) fn abandon(&mut self, ticket: Ticket, now: Now, wakers: &mut Wakers) {
        self.ledger.abandon(ticket);
        self.serve(now, wakers);
    }

    /// Before when this request cannot leave if all those ahead do.
    fn not_before(&self, ticket: Ticket, costs: &Costs, now: Now) -> Moment {
        let ahead = |meter: &Meter| self.queue.ahead(ticket, meter);
        self.ledger.not_before(ahead, costs, now)
    }

    fn head(&self) -> Option<Ticket> {
        self.queue.head().map(|(ticket, _)| ticket)
    }

    fn set_waker(&mut self, ticket: Ticket, looker: Option<Looker<'_>>) {
        if let Some(waiting) = self.queue.get_mut(ticket) {
            waiting.waker = looker.map(|looker| looker.waker.clone());
            waiting.runtime = looker.and_then(|looker| looker.runtime);
        }
    }
}

#[cfg(test)]
mod tests;
