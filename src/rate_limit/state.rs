//! The ledger of one quota: the pure decision who may leave when.
//!
//! A request may leave if for every window `live + in flight + cost ≤ limit`, in the window's unit,
//! the gate is open, and `max_in_flight` allows it (`state/bodies.rs`). It stays *live* in a window
//! until its response arrived + W: the server counted it at some moment between its departure and
//! that arrival, and forgets it W after that moment. So the ledger never lets more leave than any
//! server of that limit accepts, whether it counts by fixed windows, by a log or by a bucket, and
//! whatever the latency. The price is a throughput of W/(W + round trip).
//!
//! How permits end stands in `state/settle.rs`.

mod bodies;
mod change;
mod settle;

use std::time::Duration;

use super::evidence::{self, Chance, Evidence, News};
use super::gate::{Gate, Opening};
use super::in_flight::{InFlight, PermitId, Slot};
use super::live::{Live, Room};
use super::meter::{Excess, Meter};
use super::pace::Pace;
use super::ticket::Ticket;
use super::window::Window;
use crate::clock::{Moment, Now};
use crate::cost::Costs;

pub(super) use settle::wait_of_the_spent;
pub(crate) use settle::{Change, Report, Settlement};

/// So many charges of this size that no program makes do not overflow a count.
const LARGEST_CHARGE: u64 = 1 << 40;

/// One quota's state.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    parts: Vec<Part>,
    edition: u64,
    in_flight: InFlight,
    /// Answered, with a body that has not ended.
    bodies: InFlight,
    gate: Gate,
    evidence: Evidence,
    /// What changed and was not reported yet.
    news: Vec<News>,
    max_in_flight: Option<u64>,
    unanswered_after: Duration,
}

/// What is known of one window.
#[derive(Clone, Debug)]
struct Part {
    live: Live,
    pace: Pace,
    meter: Meter,
}

impl Part {
    fn new(window: &Window, live: Live) -> Self {
        Self {
            live,
            pace: Pace::new(window),
            meter: Meter::new(window),
        }
    }
}

/// When a request may leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Now,
    /// Not before this moment, by all that is known now.
    At(Moment),
    /// Not before a request in flight is answered; worth another look at this moment.
    WhenAnswered(Moment),
    /// Never: it costs more than a window allows at all.
    Never(Excess),
}

impl Ledger {
    pub(crate) fn new(
        windows: &[Window],
        max_in_flight: Option<usize>,
        unanswered_after: Duration,
        now: Now,
    ) -> Self {
        let part = |window| Part::new(window, Live::new(window, now));
        Self {
            parts: windows.iter().map(part).collect(),
            edition: 0,
            in_flight: InFlight::new(windows.len()),
            bodies: InFlight::default(),
            gate: Gate::default(),
            evidence: Evidence::default(),
            news: Vec::new(),
            max_in_flight: max_in_flight.map(|most| most as u64),
            unanswered_after,
        }
    }

    /// When this request may leave. It grants nothing yet.
    pub(crate) fn when(&mut self, ticket: Ticket, costs: &Costs, now: Now) -> Admission {
        self.forget(now);
        let (mut latest, probe) = match self.gate.opens(ticket, now.moment) {
            Opening::Now => (None, None),
            Opening::At(moment) => (Some(moment), None),
            Opening::WithProbe(given_up) => (None, Some(given_up)),
        };
        let is_full = |most| self.in_flight.count() >= most;
        // How long an answer is worth waiting for, whatever it is needed for.
        let mut patience = probe.unwrap_or(Moment::NEVER);
        let mut answer_needed =
            probe.is_some() || self.is_full() || self.most_released(now).is_some_and(is_full);
        for Part { live, pace, meter } in &self.parts {
            let Some(need) = meter.need(costs) else {
                continue;
            };
            let kept = match ticket.is_high() {
                true => 0,
                false => pace.reserve(live.limit()),
            };
            let limit = live.limit().saturating_sub(kept);
            // A server that allows nothing at all may come to its senses; it cannot mean this one.
            if need > limit.max(1) {
                let unit = meter.unit.clone();
                let cost = need;
                return Admission::Never(Excess { unit, cost, limit });
            }
            let round_trip = self.gate.round_trip();
            let opens = pace.opens(need, live.limit(), round_trip, now.moment);
            latest = latest.max(opens);
            let in_flight = meter.in_flight();
            let worth_waiting = pace.needs_answer(in_flight, live.limit(), round_trip, now.moment);
            if let Some(until) = worth_waiting.filter(|_| self.in_flight.count() > 0) {
                answer_needed = true;
                patience = patience.min(until);
            }
            let beside = in_flight.saturating_add(kept);
            match live.room(beside.saturating_add(need - 1), now) {
                Room::Now => {}
                Room::At(moment) => latest = latest.max(Some(moment)),
                Room::WhenAnswered => answer_needed = true,
            }
        }
        let mut tries_at = None;
        match self.chance(now) {
            Chance::Now => {}
            Chance::At(moment) => latest = latest.max(Some(moment)),
            Chance::Try(moment) => tries_at = Some(moment),
            Chance::WhenAnswered(moment) => {
                answer_needed = true;
                patience = patience.min(moment);
            }
        }
        match latest {
            // What is too doubtful to refuse a caller for: it waits as for an answer.
            None if tries_at.is_some() => {
                Admission::WhenAnswered(tries_at.unwrap_or(patience).max(now.moment))
            }
            Some(moment) => Admission::At(moment.max(tries_at.unwrap_or(moment))),
            None if answer_needed => Admission::WhenAnswered(patience.min(self.next_overdue(now))),
            None => Admission::Now,
        }
    }

    /// When a request may leave by what was told beside the windows.
    fn chance(&self, now: Now) -> Chance {
        let own = |index| own_with_flight(&self.parts, index);
        let in_flight = self.in_flight.count();
        (self.evidence).chance(in_flight, own, self.believed(), now.moment)
    }

    /// For how long a word is believed that nothing corroborates.
    fn believed(&self) -> Duration {
        evidence::believed(self.parts.iter().map(|part| part.meter.length).max())
    }

    /// How many may be in flight after a pause, unless the windows' slots see to that, or while a
    /// window is tried (`pace/long.rs`).
    fn most_released(&self, now: Now) -> Option<u64> {
        let is_spread = |part: &Part| part.pace.is_spread(now.moment);
        let of_gate = self.gate.most_in_flight(now.moment);
        let of_gate = of_gate.filter(|_| !self.parts.iter().any(is_spread));
        let round_trip = self.gate.round_trip();
        let of_trial = |part: &Part| {
            let limit = part.live.limit();
            part.pace.most_on_trial(limit, round_trip, now.moment)
        };
        self.parts.iter().filter_map(of_trial).chain(of_gate).min()
    }

    /// Before when a request of these costs cannot leave, by all that is known now, if others have
    /// to leave before it that cost `ahead` in each window: as if every answer came at once, and
    /// nothing else went wrong.
    pub(super) fn not_before(
        &self,
        ahead: impl Fn(&Meter) -> u64,
        costs: &Costs,
        now: Now,
    ) -> Moment {
        let closed = self.closed_until(now).unwrap_or(now.moment);
        let round_trip = self.gate.round_trip();
        let moments = self.parts.iter().filter_map(|Part { live, pace, meter }| {
            let need = meter.need(costs)?;
            let ahead = ahead(meter);
            let slot = pace.not_before(ahead, live.limit(), round_trip, now.moment);
            let all = ahead.saturating_add(need);
            let room = live.not_before(all, meter.in_flight(), now);
            Some(slot.max(room))
        });
        moments.fold(closed, Moment::max)
    }

    /// The request leaves; only after [`when`](Self::when) said `Now`.
    pub(crate) fn grant(&mut self, ticket: Ticket, costs: &Costs, now: Now) -> PermitId {
        self.gate.pass(ticket, now.moment);
        let beside = self.in_flight.count();
        let permit = self.in_flight.add(Slot {
            granted: now.moment,
            costs: costs.clone(),
        });
        let parts = &self.parts;
        let own = |index| own_with_flight(parts, index);
        self.evidence.grant(permit, beside, own, now.moment);
        for Part { live, pace, meter } in &mut self.parts {
            self.in_flight.mark(meter.leave(costs, live.own()));
            if let Some(need) = meter.need(costs) {
                pace.grant(need, live.limit(), self.gate.round_trip(), now.moment);
            }
        }
        permit
    }

    /// How often the windows have changed: readings of others must not be taken for theirs.
    pub(crate) fn edition(&self) -> u64 {
        self.edition
    }

    /// Whether a part of a window is for high priority alone.
    pub(crate) fn has_reserve(&self) -> bool {
        self.parts.iter().any(|part| part.pace.has_reserve())
    }

    /// Whether everybody waits for this request's answer.
    pub(crate) fn is_probe(&self, ticket: Ticket) -> bool {
        self.gate.is_probe(ticket)
    }

    /// A request is no longer on the wire, and counts from now on.
    fn count(&mut self, costs: &Costs, now: Now) {
        for Part { live, meter, .. } in &mut self.parts {
            live.count(meter.arrive(costs), now);
        }
    }

    /// A cost that showed only in an answer. It may exceed a limit; then the next have to wait.
    pub(crate) fn charge(&mut self, unit: &str, amount: u64, now: Now) {
        self.forget(now);
        let amount = amount.min(LARGEST_CHARGE);
        for Part { live, meter, .. } in &mut self.parts {
            if *meter.unit == *unit {
                meter.charge(amount);
                live.charge(amount, now);
            }
        }
    }

    /// What no longer counts.
    pub(super) fn forget(&mut self, now: Now) {
        let hanging = self.unanswered_after;
        while let Some((permit, slot)) = self.in_flight.take_overdue(now.moment, hanging) {
            self.evidence.lost(permit, now.moment);
            self.count(&slot.costs, now);
        }
        self.forget_bodies(now);
        let mut begins_anew = false;
        for part in &mut self.parts {
            begins_anew |= part.live.forget(now);
        }
        if begins_anew
            && self
                .gate
                .closed_until()
                .is_none_or(|until| until <= now.moment)
        {
            self.gate.probe_first();
        }
    }

    fn next_overdue(&self, now: Now) -> Moment {
        let oldest = self
            .in_flight
            .oldest()
            .into_iter()
            .chain(self.bodies.oldest());
        oldest.min().unwrap_or(now.moment) + self.unanswered_after
    }

    /// The end of the pause after a rejection, while there is one.
    pub(crate) fn closed_until(&self, now: Now) -> Option<Moment> {
        self.gate.closed_until().filter(|until| *until > now.moment)
    }

    /// The same as if an answer had come, so that more than two may leave at first.
    #[cfg(test)]
    pub(super) fn in_contact(mut self) -> Self {
        self.evidence.make_contact();
        self
    }

    /// How many entries it holds, of whatever kind.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        let entries: usize = self.parts.iter().map(|part| part.live.size()).sum();
        entries + self.in_flight.size() + self.bodies.size()
    }

    /// What changed since the last call, to be reported.
    pub(super) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// What was told beside the windows, and how many are in flight.
    pub(super) fn evidence(&self) -> (&Evidence, u64) {
        (&self.evidence, self.in_flight.count())
    }

    /// The windows, each with its unit and what of it is in flight.
    pub(super) fn windows(&self) -> impl Iterator<Item = (&Live, &Meter)> {
        self.parts.iter().map(|part| (&part.live, &part.meter))
    }
}

/// Our own that count in this window, with what of it is in flight.
fn own_with_flight(parts: &[Part], index: usize) -> u64 {
    let part = parts.get(index);
    part.map_or(0, |Part { live, meter, .. }| {
        live.own().saturating_add(meter.in_flight())
    })
}

#[cfg(test)]
mod tests;
