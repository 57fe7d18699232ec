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

use super::{Ledger, Part, own_with_flight};
use crate::clock::{Moment, Now};
use crate::rate_limit::evidence::{Answer, Evidence, News};
use crate::rate_limit::gate::Told;
use crate::rate_limit::headers::report::Report as HeaderReport;
use crate::rate_limit::headers::{Owner, RESET_GRAIN, Reading};
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
            report.reports = &[];
        }
        self
    }
}

/// What an answer says to the ledger.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Report<'a> {
    pub(crate) status: StatusCode,
    /// Some if the server said "too many requests"; for how long, if it said so.
    pub(crate) rejected: Option<Option<Duration>>,
    /// One for each window, in order.
    pub(crate) readings: &'a [Reading],
    /// Whether a rule of the distributor's says so, which knows what the answer means.
    pub(crate) is_by_rule: bool,
    /// All that it reports, each with what that speaks of.
    pub(crate) reports: &'a [(HeaderReport, Owner)],
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
                self.evidence.unsent(permit);
                self.gate.abandoned(ticket);
                Change::None
            }
            Settlement::Lost => {
                self.evidence.lost(permit, now.moment);
                self.count(&slot.costs, now);
                self.gate.abandoned(ticket);
                Change::None
            }
            Settlement::Answered(report) => {
                self.count(&slot.costs, now);
                self.weigh(report, permit, &slot, now);
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
            let span = span.or_else(|| wait_of_the_learned(report.reports));
            // What a learned window explains says nothing of the pace of the others.
            if !self.gate.is_probe(ticket) && !Evidence::explains_rejection(report.reports) {
                let parts = self.parts.iter_mut();
                let paces = parts.map(|Part { live, pace, .. }| (pace, live.limit()));
                pace::slow_down(paces, span, slot.granted, now.moment);
            }
            let believed = span.map(|span| match self.corroborates(span, report, now) {
                true => span,
                false => self.believed(),
            });
            let shift = self.shift(now);
            let told = span.zip(believed).map(|(span, believed)| Told {
                span: span + shift,
                believed: believed + shift,
            });
            let longest = self.parts.iter().map(|part| part.meter.length).max();
            let longest = longest.unwrap_or_default();
            let until = self.gate.close(told, longest, now.moment);
            let told = told.map_or(until, |told| now.moment + told.span);
            if until < told {
                self.news.push(News::PauseCapped { told, until });
            }
            return Change::ClosedUntil(until);
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

    /// Whether anything but this answer's own word says so: the windows' headers, a series, the
    /// calendar, or our own count.
    fn corroborates(&self, span: Duration, report: &Report<'_>, now: Now) -> bool {
        let end = now.moment + span;
        let of_window = |reading: &Reading| reading.reset.is_some_and(|reset| agree(reset, span));
        let of_part = |Part { live, meter, .. }: &Part| {
            let is_full = live.own().saturating_mul(10) >= live.limit().saturating_mul(9);
            let calendar = live
                .calendar_end()
                .map(|end| now.moment_at(end) - now.moment);
            (is_full && meter.length + RESET_GRAIN >= span)
                || calendar.is_some_and(|calendar| agree(calendar, span))
        };
        report.is_by_rule
            || report.readings.iter().any(of_window)
            || self.parts.iter().any(of_part)
            || self.evidence.corroborates(end, span)
    }

    /// What the answer tells beside the windows, and what became of the limits that it tested.
    fn weigh(&mut self, report: &Report<'_>, permit: PermitId, slot: &Slot, now: Now) {
        let answer = Answer {
            permit,
            sent: slot.granted,
            now: now.moment,
            in_flight: self.in_flight.count(),
            is_rejected: report.rejected.is_some(),
            is_success: report.rejected.is_none() && is_counted(report.status),
            pause: report.rejected.flatten(),
        };
        let parts = &self.parts;
        let window = |index: usize| {
            let part = parts.get(index)?;
            Some((part.live.limit(), part.meter.length))
        };
        let own = |index| own_with_flight(parts, index);
        let news = (self.evidence).answered(report.reports, answer, own, window);
        for news in &news {
            if let News::Limit {
                window,
                told,
                adopted: true,
            } = *news
            {
                if let Some(part) = self.parts.get_mut(window) {
                    part.live.adopt_limit(told, slot.granted, now);
                }
            }
        }
        self.news.extend(news);
    }

    fn learn(&mut self, report: &Report<'_>, permit: PermitId, slot: &Slot, now: Now) {
        if report.readings.is_empty() {
            return;
        }
        let parts = self.parts.iter_mut().zip(report.readings);
        for (window, ((part, reading), mark)) in parts.zip(self.in_flight.marks(permit)).enumerate()
        {
            let Part { live, pace, meter } = part;
            let before = live.limit();
            let slack = pace.slack(now.moment);
            let own = meter.own_since(mark, &slot.costs, slack);
            let heard = live.heard(*reading, own, slot.granted, now);
            live.learn(*reading, own.most, slot.granted, now);
            if live.limit() != before {
                let (told, adopted) = (live.limit(), true);
                self.news.push(News::Limit {
                    window,
                    told,
                    adopted,
                });
            }
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

/// Servers and gateways do not count what they fail at.
fn is_counted(status: StatusCode) -> bool {
    !status.is_server_error() && status != StatusCode::UNAUTHORIZED
}

/// Whether two spans end at the same moment, as far as servers round.
fn agree(one: Duration, other: Duration) -> bool {
    one.abs_diff(other) <= Duration::from_secs(2) + other / 100
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

/// The same of windows that are not configured.
fn wait_of_the_learned(reports: &[(HeaderReport, Owner)]) -> Option<Duration> {
    let spent = |(report, owner): &&(HeaderReport, Owner)| {
        *owner == Owner::Learned && report.remaining == Some(0)
    };
    let resets = reports
        .iter()
        .filter(spent)
        .filter_map(|(report, _)| report.reset);
    resets.filter(|span| !span.is_zero()).max()
}
