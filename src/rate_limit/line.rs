//! The line of requests that wait for a permit of one quota: a queue around the ledger.
//!
//! There is no task that serves the line. Whoever gets a permit, gives one back or leaves the line
//! serves those behind ([`Line::serve`]): it grants what can be granted, one wake-up each, and sees
//! that the new head looks again in time. So nothing is left behind when a request is dropped, and
//! nothing needs a runtime of its own.
//!
//! Who looks sets the new head's timer too ([`Alarm`]), so that where requests leave one by one
//! each is woken once, when its turn is. All others only wake the head, which then sets its own
//! timer: they may be outside of any runtime, or in one that is about to end. So does a look from
//! another runtime than the head's, since a timer rings only while its runtime is driven.
//!
//! A timer of its own for each, set to its turn when it comes, would need no such hand-over; but on
//! a busy machine some slots are lost, and all those behind look too early: 5 000 waiters at
//! 1 000/s were polled 3.5 to 4.2 times each instead of twice (`waiters` in `benches/peers`).
//!
//! Pure but for the wakers, which the caller wakes after it let go of the lock, and the timer that
//! it keeps.

use std::collections::{BTreeMap, HashMap};
use std::task::Waker;

use super::alarm::{Alarm, Alarms, Looker, Timer};
use super::in_flight::PermitId;
use super::meter::{Excess, Meter};
use super::state::{Admission, Change, Ledger, Settlement};
use super::ticket::Ticket;
use super::window::Window;
use crate::clock::{Moment, Now};
use crate::cost::Costs;
use crate::options::{Patience, Priority, Terms};
use crate::sync::RuntimeId;

/// A quota's ledger and those who wait for it.
pub(crate) struct Line {
    pub(crate) ledger: Ledger,
    waiting: BTreeMap<Ticket, Waiting>,
    decided: HashMap<Ticket, Result<PermitId, Refusal>>,
    tickets: u64,
    max_queue: Option<usize>,
    /// How many of those who wait named a cost.
    priced: usize,
    /// What the head's timer is set to.
    armed: Option<(Ticket, Moment)>,
    /// That timer, if another set it.
    alarms: Alarms,
    /// Everybody in line is willing to wait until then.
    accepted: Moment,
}

struct Waiting {
    terms: Terms,
    waker: Option<Waker>,
    /// Where it looked last.
    runtime: Option<RuntimeId>,
}

/// Why a request does not get a permit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The next permit is further off than `max_wait`.
    TooFarOff(Moment),
    /// Its permit would come after the deadline, or the deadline has passed.
    TooLate(Option<Moment>),
    QueueFull,
    /// It costs more than a window allows.
    TooCostly(Excess),
}

/// How a request stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Granted(PermitId),
    Refused(Refusal),
    /// In line; look again at this moment, or when woken.
    Waiting(Moment),
}

/// What a look brings: how it stands, and what is to be done once the lock is free.
pub(crate) struct Look {
    pub(crate) standing: Standing,
    /// To be set.
    pub(crate) alarm: Option<Alarm>,
    /// To be dropped.
    pub(crate) spent: Option<Timer>,
}

/// Those to wake once the lock is free.
pub(crate) type Wakers = Vec<Waker>;

impl Line {
    pub(crate) fn new(ledger: Ledger, max_queue: Option<usize>) -> Self {
        Self {
            ledger,
            waiting: BTreeMap::new(),
            decided: HashMap::new(),
            tickets: 0,
            max_queue,
            priced: 0,
            armed: None,
            alarms: Alarms::default(),
            accepted: Moment::ZERO,
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
                self.accepted = self.accepted.min(moment);
                moment
            }
            Admission::Now => {
                self.accepted = Moment::ZERO;
                now.moment
            }
            Admission::WhenAnswered(moment) => {
                self.accepted = Moment::ZERO;
                moment
            }
        };
        // As things stand: of those ahead some may give up, but nobody can count on that.
        if let Some(deadline) = terms.patience.deadline {
            let not_before = self.not_before(ticket, &terms.costs, now);
            if not_before > deadline {
                return Standing::Refused(Refusal::TooLate(Some(not_before)));
            }
        }
        if self
            .max_queue
            .is_some_and(|most| self.waiting.len() >= most)
        {
            return Standing::Refused(Refusal::QueueFull);
        }
        self.priced += usize::from(!terms.costs.are_plain());
        self.waiting.insert(
            ticket,
            Waiting {
                terms: terms.clone(),
                waker: None,
                runtime: None,
            },
        );
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
        let needless = is_head || self.is_armed(ticket) || self.waiting.is_empty();
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
        let Some(waiting) = self.waiting.get(&ticket) else {
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

    /// Keeps the timer that was set for an alarm. What is returned is to be dropped.
    pub(crate) fn keep(&mut self, alarm: u64, timer: Timer) -> Option<Timer> {
        self.alarms.keep(alarm, timer)
    }

    /// Grants what can be granted, to the head of the line first; refuses those who would wait too
    /// long; and sees that the head looks again in time.
    pub(crate) fn serve(&mut self, now: Now, wakers: &mut Wakers) {
        if self.waiting.is_empty() {
            return;
        }
        let alarm = self.serve_from(None, now, wakers);
        debug_assert!(alarm.is_none(), "nobody would set it");
    }

    /// The same by one that can set timers in this runtime.
    fn serve_from(
        &mut self,
        runtime: Option<RuntimeId>,
        now: Now,
        wakers: &mut Wakers,
    ) -> Option<Alarm> {
        while let Some((&head, waiting)) = self.waiting.first_key_value() {
            let costs = &waiting.terms.costs;
            let look_at = match self.ledger.when(head, costs, now) {
                Admission::Now => {
                    let permit = self.ledger.grant(head, costs, now);
                    self.decide(head, Ok(permit), wakers);
                    continue;
                }
                Admission::Never(excess) => {
                    self.decide(head, Err(Refusal::TooCostly(excess)), wakers);
                    continue;
                }
                Admission::At(moment) => {
                    if self.refuse_impatient(moment, now, wakers) {
                        continue;
                    }
                    moment
                }
                Admission::WhenAnswered(moment) => moment,
            };
            return self.arm(head, look_at, runtime, wakers);
        }
        None
    }

    /// A permit ends, and those behind are served.
    pub(crate) fn settle(
        &mut self,
        permit: PermitId,
        ticket: Ticket,
        settlement: &Settlement<'_>,
        now: Now,
        wakers: &mut Wakers,
    ) -> Change {
        let change = self.ledger.settle(permit, ticket, settlement, now);
        self.serve(now, wakers);
        change
    }

    /// A request gives up its place; a permit that it was granted and did not take goes back. The
    /// timer that another set for it is to be dropped.
    pub(crate) fn leave(&mut self, ticket: Ticket, now: Now, wakers: &mut Wakers) -> Option<Timer> {
        // One that came before the others but has not looked yet leaves their timer as it is.
        let spent = self.is_armed(ticket).then(|| self.disarm()).flatten();
        self.take(ticket);
        if let Some(Ok(permit)) = self.decided.remove(&ticket) {
            self.ledger.settle(permit, ticket, &Settlement::Unsent, now);
        }
        self.serve(now, wakers);
        spent
    }

    /// Other windows from now on; those who wait are looked at again.
    pub(crate) fn change(&mut self, windows: &[Window], now: Now, wakers: &mut Wakers) {
        self.ledger.change(windows, now);
        self.serve(now, wakers);
    }

    /// A cost that showed only in an answer.
    pub(crate) fn charge(&mut self, unit: &str, amount: u64, now: Now, wakers: &mut Wakers) {
        self.ledger.charge(unit, amount, now);
        self.serve(now, wakers);
    }

    /// A request will not come back for its replay: should it be the probe, the next one is.
    pub(crate) fn abandon(&mut self, ticket: Ticket, now: Now, wakers: &mut Wakers) {
        self.ledger.abandon(ticket);
        self.serve(now, wakers);
    }

    /// Before when this request cannot leave if all those ahead do.
    fn not_before(&self, ticket: Ticket, costs: &Costs, now: Now) -> Moment {
        let ahead = self.waiting.range(..ticket);
        let ahead = ahead.map(|(_, waiting)| &waiting.terms.costs);
        if self.priced > 0 {
            let sum = |meter: &Meter| {
                let costs = ahead.clone().filter_map(|costs| meter.cost(costs));
                costs.fold(0, u64::saturating_add)
            };
            return self.ledger.not_before(sum, costs, now);
        }
        // Mostly it is the last of many alike.
        let is_last = self
            .waiting
            .last_key_value()
            .is_none_or(|(last, _)| *last < ticket);
        let count = match is_last {
            true => self.waiting.len(),
            false => ahead.count(),
        } as u64;
        let plain = Costs::default();
        let sum = |meter: &Meter| count.saturating_mul(meter.cost(&plain).unwrap_or(0));
        self.ledger.not_before(sum, costs, now)
    }

    fn take(&mut self, ticket: Ticket) -> Option<Waiting> {
        let waiting = self.waiting.remove(&ticket)?;
        self.priced -= usize::from(!waiting.terms.costs.are_plain());
        Some(waiting)
    }

    fn head(&self) -> Option<Ticket> {
        self.waiting.keys().next().copied()
    }

    fn set_waker(&mut self, ticket: Ticket, looker: Option<Looker<'_>>) {
        if let Some(waiting) = self.waiting.get_mut(&ticket) {
            waiting.waker = looker.map(|looker| looker.waker.clone());
            waiting.runtime = looker.and_then(|looker| looker.runtime);
        }
    }

    fn decide(&mut self, ticket: Ticket, to: Result<PermitId, Refusal>, wakers: &mut Wakers) {
        if let Some(waiting) = self.take(ticket) {
            wakers.extend(waiting.waker);
            self.decided.insert(ticket, to);
        }
    }

    /// Everybody who is not willing to wait so long. True if the head was among them.
    fn refuse_impatient(&mut self, moment: Moment, now: Now, wakers: &mut Wakers) -> bool {
        let known = std::mem::replace(&mut self.accepted, moment);
        if moment <= known {
            return false;
        }
        let head = self.head();
        let impatient: Vec<_> = self
            .waiting
            .iter()
            .filter_map(|(ticket, waiting)| {
                refusal(waiting.terms.patience, now, moment).map(|refusal| (*ticket, refusal))
            })
            .collect();
        let head_refused = impatient.iter().any(|(ticket, _)| Some(*ticket) == head);
        for (ticket, refusal) in impatient {
            self.decide(ticket, Err(refusal), wakers);
        }
        head_refused
    }

    fn is_armed(&self, ticket: Ticket) -> bool {
        self.armed.is_some_and(|(armed, _)| armed == ticket)
    }

    /// No timer is set, and whoever is the head then has to be told.
    fn disarm(&mut self) -> Option<Timer> {
        self.armed = None;
        self.alarms.clear()
    }

    /// Sees that the head looks again at this moment: wakes it, so that it sets its timer, or says
    /// how to set that from this runtime.
    fn arm(
        &mut self,
        head: Ticket,
        moment: Moment,
        runtime: Option<RuntimeId>,
        wakers: &mut Wakers,
    ) -> Option<Alarm> {
        // Looking too early costs one look, no more.
        let early_enough = |(armed, at): (Ticket, Moment)| armed == head && at <= moment;
        if self.armed.is_some_and(early_enough) {
            return None;
        }
        self.armed = Some((head, moment));
        let waiting = self.waiting.get_mut(&head)?;
        if runtime.is_some() && waiting.runtime == runtime {
            let waker = waiting.waker.clone()?;
            return Some(self.alarms.another(waker, moment));
        }
        wakers.extend(waiting.waker.take());
        None
    }
}

fn refusal(patience: Patience, now: Now, moment: Moment) -> Option<Refusal> {
    if patience.reaches(now.moment, moment) {
        None
    } else if moment - now.moment > patience.max_wait {
        Some(Refusal::TooFarOff(moment))
    } else {
        Some(Refusal::TooLate(Some(moment)))
    }
}

#[cfg(test)]
mod tests;
