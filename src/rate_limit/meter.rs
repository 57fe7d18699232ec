//! What one window counts, and how much of that is on the wire.
//!
//! Pure.

use std::sync::Arc;
use std::time::Duration;

use super::share::Own;
use super::window::Window;
use crate::cost::{Costs, REQUESTS};

/// One window's unit, and what was granted in it.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    pub(super) unit: Arc<str>,
    /// As it was configured, without the margin for the server's clock.
    pub(super) length: Duration,
    counts_requests: bool,
    in_flight: u64,
    /// Ever, round and round.
    granted: u64,
}

/// What the meter showed when a request left.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    /// Our own that counted, that request included.
    ours: u64,
    granted: u64,
}

/// Which window can never let a request pass, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Excess {
    pub(crate) unit: Arc<str>,
    pub(crate) cost: u64,
    /// The most that one request may cost.
    pub(crate) limit: u64,
}

impl Meter {
    pub(super) fn new(window: &Window) -> Self {
        Self {
            unit: window.unit.clone(),
            length: window.configured_length(),
            counts_requests: &*window.unit == REQUESTS,
            in_flight: 0,
            granted: 0,
        }
    }

    /// What a request costs here; none: the window is no matter of its.
    pub(super) fn cost(&self, costs: &Costs) -> Option<u64> {
        if !self.counts_requests {
            return costs.named(&self.unit);
        }
        // Whatever was said, it is a request.
        Some(costs.named(REQUESTS).map_or(1, |cost| cost.max(1)))
    }

    /// How much room it needs: one whose cost shows only afterwards needs some.
    pub(super) fn need(&self, costs: &Costs) -> Option<u64> {
        self.cost(costs).map(|cost| cost.max(1))
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// A request leaves, while `own` of ours count in its window.
    pub(super) fn leave(&mut self, costs: &Costs, own: u64) -> Mark {
        let cost = self.cost(costs).unwrap_or(0);
        self.in_flight = self.in_flight.saturating_add(cost);
        self.granted = self.granted.wrapping_add(cost);
        Mark {
            ours: own.saturating_add(self.in_flight),
            granted: self.granted,
        }
    }

    /// A request is no longer on the wire; what it cost.
    pub(super) fn arrive(&mut self, costs: &Costs) -> u64 {
        let cost = self.cost(costs).unwrap_or(0);
        self.in_flight = self.in_flight.saturating_sub(cost);
        cost
    }

    /// A cost that shows only now counts like one that was granted now.
    pub(super) fn charge(&mut self, amount: u64) {
        self.granted = self.granted.wrapping_add(amount);
    }

    /// Our own part in what the server says to a request of this mark; it may count `slack` more.
    pub(super) fn own_since(&self, mark: Mark, costs: &Costs, slack: u64) -> Own {
        let since = self.granted.wrapping_sub(mark.granted);
        let most = mark.ours.saturating_add(since).saturating_add(slack);
        let cost = self.cost(costs).unwrap_or(0);
        Own { cost, most, since }
    }
}
