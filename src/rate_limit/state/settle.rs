//! How permits end, and what the ledger learns from it.
//!
//! | a permit ends as              | windows               | gate                              |
//! |-------------------------------|-----------------------|-----------------------------------|
//! | unsent                        | nothing               | a probe hands over                |
//! | lost, or dropped in flight    | live until now + W    | a probe hands over                |
//! | unanswered for long           | live until now + W    | a probe was given up long before  |
//! | answered                      | live until now + W    | a probe opens it                  |
//! | answered 401                  | live until now + W    | a probe stays its own             |
//! | rejected (429)                | live until now + W    | closes for everybody              |
//!
//! A rejected request stays live too, since some servers count it (HAProxy does).
//!
//! Pure: `now` is an argument.

use std::time::Duration;

use http::StatusCode;

use super::{Ledger, Part};
use crate::clock::{Moment, Now};
use crate::rate_limit::headers::Reading;
use crate::rate_limit::in_flight::{PermitId, Slot};
use crate::rate_limit::pace;
use crate::rate_limit::ticket::Ticket;

/// How a permit ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Settlement<'a> {
    Unsent,
    Lost,
    Answered(Report<'a>),
}

impl Settlement<'_> {
    /// The same of an answer whose readings are of windows that are no more.
    pub(crate) fn without_readings(mut self) -> Self {
        if let Self::Answered(report) = &mut self {
            report.readings = &[];
        }
        self
    }
}

/// What an answer says to the ledger.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report<'a> {
    pub(crate) status: StatusCode,
    /// Some if the server said "too many requests"; for how long, if it said so.
    pub(crate) rejected: Option<Option<Duration>>,
    /// One for each window, in order.
    pub(crate) readings: &'a [Reading],
}

/// What the end of a permit changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    Reopened,
    ClosedUntil(Moment),
}

impl Ledger {
    /// The permit ends.
    pub(crate) fn settle(
        &mut self,
        permit: PermitId,
        ticket: Ticket,
        settlement: &Settlement<'_>,
        now: Now,
    ) -> Change {
        self.forget(now);
        let Some(slot) = self.in_flight.take(permit) else {
            // It hung for so long that it was counted as answered.
            self.gate.abandoned(ticket);
            return Change::None;
        };
        match settlement {
            Settlement::Unsent => {
                for part in &mut self.parts {
                    part.meter.arrive(&slot.costs);
                }
                self.gate.abandoned(ticket);
                Change::None
            }
            Settlement::Lost => {
                self.count(&slot.costs, now);
                self.gate.abandoned(ticket);
                Change::None
            }
            Settlement::Answered(report) => {
                self.count(&slot.costs, now);
                self.learn(report, permit, &slot, now);
                self.pass_on(report, &slot, ticket, now)
            }
        }
    }

    /// The request will not come back for its replay.
    pub(crate) fn abandon(&mut self, ticket: Ticket) {
        self.gate.abandoned(ticket);
    }

    fn pass_on(&mut self, report: &Report<'_>, slot: &Slot, ticket: Ticket, now: Now) -> Change {
        if let Some(told) = report.rejected {
            let span = told.or_else(|| wait_of_the_spent(report.readings));
            if !self.gate.is_probe(ticket) {
                let parts = self.parts.iter_mut();
                let paces = parts.map(|Part { live, pace, .. }| (pace, live.limit()));
                pace::slow_down(paces, span, slot.granted, now.moment);
            }
            let span = span.map(|span| span + self.shift(now));
            let longest = self.parts.iter().map(|part| part.meter.length).max();
            let longest = longest.unwrap_or_default();
            return Change::ClosedUntil(self.gate.close(span, longest, now.moment));
        }
        if report.status == StatusCode::UNAUTHORIZED {
            self.gate.unauthorized(ticket, now.moment);
            return Change::None;
        }
        for Part { live, pace, meter } in &mut self.parts {
            if let Some(need) = meter.need(&slot.costs) {
                pace.accepted(need, live.limit(), slot.granted);
            }
        }
        let others = self.in_flight.count();
        let opened = self.gate.answered(ticket, slot.granted, others, now.moment);
        match opened {
            true => Change::Reopened,
            false => Change::None,
        }
    }

    /// How much later than told to come back, where others are told the same.
    fn shift(&self, now: Now) -> Duration {
        let round_trip = self.gate.round_trip();
        let shift = |part: &Part| (part.pace).shift(part.live.limit(), round_trip, now.moment);
        let shifts = self.parts.iter().map(shift);
        shifts.max().unwrap_or_default()
    }

    fn learn(&mut self, report: &Report<'_>, permit: PermitId, slot: &Slot, now: Now) {
        if report.readings.is_empty() {
            return;
        }
        let parts = self.parts.iter_mut().zip(report.readings);
        for ((part, reading), mark) in parts.zip(self.in_flight.marks(permit)) {
            let Part { live, pace, meter } = part;
            let slack = pace.slack(now.moment);
            let own = meter.own_since(mark, &slot.costs, slack);
            let heard = live.heard(*reading, own, slot.granted, now);
            live.learn(*reading, own.most, slot.granted, now);
            // A server that tells what is left only when it rejects would leave a share without
            // news, and so at its slowest, until the sign is forgotten; there the rate factor
            // serves.
            let is_news = report.rejected.is_none() || pace.is_shared(now.moment);
            let Some(heard) = heard.filter(|_| is_news) else {
                continue;
            };
            pace.heard(heard, self.gate.round_trip(), now.moment);
            pace.left_is_told(
                heard.remaining,
                live.limit().saturating_sub(live.own()),
                now.moment,
            );
            if pace.is_shared(now.moment) {
                live.leave_others_to_share();
            }
        }
    }
}

/// Without a `Retry-After`, the window with nothing left says how long; the longest of them.
pub(in crate::rate_limit) fn wait_of_the_spent(readings: &[Reading]) -> Option<Duration> {
    let spent = readings
        .iter()
        .filter(|reading| reading.remaining == Some(0));
    spent
        .filter_map(|reading| reading.reset)
        .filter(|span| !span.is_zero())
        .max()
}
