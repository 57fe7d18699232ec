//! What the requests cost together that wait ahead of a place in line.
//!
//! The queue is kept in blocks of neighbours, each with its sum: so a sum takes one look at each
//! block and at the requests of one, however many wait.
//!
//! Pure.

use std::collections::VecDeque;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::cost::{Costs, REQUESTS};
use crate::rate_limit::meter::Meter;
use crate::rate_limit::ticket::Ticket;

/// A block of more requests than this is split; two neighbours that have half as many together
/// become one.
#[cfg(not(test))]
const LARGEST_BLOCK: u64 = 1024;
#[cfg(test)]
const LARGEST_BLOCK: u64 = 8;

#[derive(Default)]
pub(super) struct Sums {
    all: Sum,
    blocks: VecDeque<Block>,
}

/// The requests from this ticket up to the first one of the next block.
struct Block {
    first: Ticket,
    sum: Sum,
}

/// The costs of some requests. It cannot overflow: there are fewer than 2⁶⁴ of them.
#[derive(Debug, Default, PartialEq)]
struct Sum {
    requests: u64,
    /// What was said about a unit; about requests, only what goes beyond one each.
    named: SmallVec<[(Arc<str>, u128); 1]>,
}

impl Sums {
    /// One more waits; `from` are all that wait from a ticket on.
    pub(super) fn add<'a, I: Iterator<Item = (Ticket, &'a Costs)>>(
        &mut self,
        ticket: Ticket,
        costs: &Costs,
        from: impl FnOnce(Ticket) -> I,
    ) {
        self.all.add(costs);
        let at = self.at(ticket);
        let Some(block) = self.blocks.get_mut(at) else {
            let mut sum = Sum::default();
            sum.add(costs);
            self.blocks.push_back(Block { first: ticket, sum });
            return;
        };
        block.first = block.first.min(ticket);
        block.sum.add(costs);
        if block.sum.requests > LARGEST_BLOCK {
            let split = block.split(from(block.first));
            self.blocks.insert(at + 1, split);
        }
    }

    /// One fewer waits.
    pub(super) fn subtract(&mut self, ticket: Ticket, costs: &Costs) {
        self.all.subtract(costs);
        let at = self.at(ticket);
        let Some(block) = self.blocks.get_mut(at) else {
            return;
        };
        block.sum.subtract(costs);
        if block.sum.requests == 0 {
            self.blocks.remove(at);
        } else if !self.join(at) && at > 0 {
            self.join(at - 1);
        }
    }

    /// What all cost.
    pub(super) fn all(&self, meter: &Meter) -> u64 {
        clamped(self.all.of(meter))
    }

    /// What those cost that wait before `ticket`; `from` are those between a ticket and that one.
    pub(super) fn before<'a, I: Iterator<Item = (Ticket, &'a Costs)>>(
        &self,
        ticket: Ticket,
        meter: &Meter,
        from: impl FnOnce(Ticket) -> I,
    ) -> u64 {
        let at = self.at(ticket);
        let whole = self.blocks.range(..at).map(|block| block.sum.of(meter));
        let rest = self.blocks.get(at).map(|block| from(block.first));
        let rest = rest.into_iter().flatten();
        let rest = rest.filter_map(|(_, costs)| meter.cost(costs));
        clamped(whole.chain(rest.map(u128::from)).sum())
    }

    /// The block of this ticket.
    fn at(&self, ticket: Ticket) -> usize {
        let after = self.blocks.partition_point(|block| block.first <= ticket);
        after.saturating_sub(1)
    }

    /// Makes one block of this one and the next if both are small.
    fn join(&mut self, at: usize) -> bool {
        let requests = |at| self.blocks.get(at).map(|block: &Block| block.sum.requests);
        let both = requests(at).zip(requests(at + 1));
        let are_small = both.is_some_and(|(one, other)| one + other <= LARGEST_BLOCK / 2);
        if let Some(next) = are_small.then(|| self.blocks.remove(at + 1)).flatten() {
            self.blocks[at].sum.join(next.sum);
        }
        are_small
    }
}

impl Block {
    /// Leaves the later half of its requests, all of which are given, to a block of their own.
    fn split<'a>(&mut self, requests: impl Iterator<Item = (Ticket, &'a Costs)>) -> Self {
        let half = self.sum.requests / 2;
        let mut later = Self {
            first: self.first,
            sum: Sum::default(),
        };
        let requests = requests.zip(0..self.sum.requests);
        for ((ticket, costs), place) in requests.filter(|(_, place)| *place >= half) {
            if place == half {
                later.first = ticket;
            }
            later.sum.add(costs);
            self.sum.subtract(costs);
        }
        later
    }
}

impl Sum {
    fn add(&mut self, costs: &Costs) {
        self.requests += 1;
        costs
            .each()
            .for_each(|(unit, amount)| self.add_named(unit, beyond_one(unit, *amount)));
    }

    fn add_named(&mut self, unit: &Arc<str>, amount: u128) {
        match self.named.iter_mut().find(|(other, _)| other == unit) {
            Some((_, sum)) => *sum += amount,
            None if amount > 0 => self.named.push((unit.clone(), amount)),
            None => {}
        }
    }

    fn subtract(&mut self, costs: &Costs) {
        self.requests -= 1;
        for (unit, amount) in costs.each() {
            let sum = self.named.iter_mut().find(|(other, _)| other == unit);
            if let Some((_, sum)) = sum {
                *sum -= beyond_one(unit, *amount);
            }
        }
        self.named.retain(|(_, sum)| *sum > 0);
    }

    fn join(&mut self, other: Self) {
        self.requests += other.requests;
        for (unit, amount) in other.named {
            self.add_named(&unit, amount);
        }
    }

    fn of(&self, meter: &Meter) -> u128 {
        let named = self.named.iter().find(|(unit, _)| *unit == meter.unit);
        let named = named.map_or(0, |(_, amount)| *amount);
        match &*meter.unit {
            REQUESTS => named + u128::from(self.requests),
            _ => named,
        }
    }
}

fn beyond_one(unit: &str, amount: u64) -> u128 {
    u128::from(match unit {
        REQUESTS => amount.saturating_sub(1),
        _ => amount,
    })
}

fn clamped(sum: u128) -> u64 {
    u64::try_from(sum).unwrap_or(u64::MAX)
}
