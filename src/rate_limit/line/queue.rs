//! The requests that wait, in the order of their tickets.
//!
//! What is asked of all of them together costs the same at any length of the queue. Two orders, by
//! `max_wait` and by deadline, show for which of them a wait is too long, and sums ([`Sums`]) what
//! they cost together. Asked one by one, they made each release of a spread window take 23 ms where
//! 1 000 000 waited (`waiters` in `benches/peers`).
//!
//! Pure: `now` is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::task::Waker;
use std::time::Duration;

use super::standing::{Refusal, refusal};
use super::sums::Sums;
use crate::clock::{Moment, Now};
use crate::cost::Costs;
use crate::options::Terms;
use crate::rate_limit::meter::Meter;
use crate::rate_limit::ticket::Ticket;
use crate::sync::RuntimeId;

#[derive(Default)]
pub(super) struct Queue {
    waiting: BTreeMap<Ticket, Waiting>,
    max_waits: BTreeSet<(Duration, Ticket)>,
    deadlines: BTreeSet<(Moment, Ticket)>,
    sums: Sums,
}

pub(super) struct Waiting {
    pub(super) terms: Terms,
    pub(super) waker: Option<Waker>,
    /// Where it looked last.
    pub(super) runtime: Option<RuntimeId>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The next to leave, and what it costs.
    pub(super) fn head(&self) -> Option<(Ticket, &Costs)> {
        let (ticket, waiting) = self.waiting.first_key_value()?;
        Some((*ticket, &waiting.terms.costs))
    }

    pub(super) fn get(&self, ticket: Ticket) -> Option<&Waiting> {
        self.waiting.get(&ticket)
    }

    pub(super) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Waiting> {
        self.waiting.get_mut(&ticket)
    }

    pub(super) fn insert(&mut self, ticket: Ticket, terms: &Terms) {
        self.remove(ticket);
        self.max_waits.insert((terms.patience.max_wait, ticket));
        if let Some(deadline) = terms.patience.deadline {
            self.deadlines.insert((deadline, ticket));
        }
        let waiting = Waiting {
            terms: terms.clone(),
            waker: None,
            runtime: None,
        };
        self.waiting.insert(ticket, waiting);
        let all = &self.waiting;
        let from = |first| costs(all.range(first..));
        self.sums.add(ticket, &terms.costs, from);
    }

    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Waiting> {
        let waiting = self.waiting.remove(&ticket)?;
        let patience = waiting.terms.patience;
        self.max_waits.remove(&(patience.max_wait, ticket));
        if let Some(deadline) = patience.deadline {
            self.deadlines.remove(&(deadline, ticket));
        }
        self.sums.subtract(ticket, &waiting.terms.costs);
        Some(waiting)
    }

    /// One that is not willing to wait until `moment`, and why it is refused.
    pub(super) fn impatient(&self, moment: Moment, now: Now) -> Option<(Ticket, Refusal)> {
        let refused = |ticket: Ticket| {
            let patience = self.waiting.get(&ticket)?.terms.patience;
            Some((ticket, refusal(patience, now, moment)?))
        };
        let shortest = self.max_waits.first();
        let by_max_wait = shortest.and_then(|(_, ticket)| refused(*ticket));
        let earliest = || self.deadlines.first();
        by_max_wait.or_else(|| earliest().and_then(|(_, ticket)| refused(*ticket)))
    }

    /// What those ahead of this place cost together, as the meter counts.
    pub(super) fn ahead(&self, ticket: Ticket, meter: &Meter) -> u64 {
        let between = |first| costs(self.waiting.range(first..ticket.max(first)));
        let is_last = |(last, _): (&Ticket, _)| *last < ticket;
        match self.waiting.last_key_value().is_none_or(is_last) {
            true => self.sums.all(meter),
            false => self.sums.before(ticket, meter, between),
        }
    }
}

/// The costs of these.
fn costs<'a>(
    waiting: impl Iterator<Item = (&'a Ticket, &'a Waiting)>,
) -> impl Iterator<Item = (Ticket, &'a Costs)> {
    waiting.map(|(ticket, waiting)| (*ticket, &waiting.terms.costs))
}

#[cfg(test)]
mod tests;
