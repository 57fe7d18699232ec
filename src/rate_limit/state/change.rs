//! A ledger whose windows become others, while the process runs or between two of them.
//!
//! Pure.

use super::Ledger;
use crate::clock::Now;
use crate::rate_limit::live::Live;
use crate::rate_limit::meter::Meter;
use crate::rate_limit::pace::Pace;
use crate::rate_limit::saved::{Dial, SavedQuota, SavedWindow};
use crate::rate_limit::window::{Span, Window};

impl Ledger {
    /// Other windows from now on. Those of the same length and unit go on counting; a new one
    /// begins with what the others know of the requests in its unit.
    pub(crate) fn change(&mut self, windows: &[Window], now: Now) {
        self.forget(now);
        self.edition += 1;
        let old = std::mem::take(&mut self.windows);
        let paces = std::mem::take(&mut self.paces);
        let meters = std::mem::take(&mut self.meters);
        let mut kept = Vec::new();
        for window in windows {
            let of_unit = |meter: &Meter| meter.unit == window.unit;
            let same = old
                .iter()
                .zip(&meters)
                .position(|(live, meter)| of_unit(meter) && live.span() == window.span);
            kept.push(same);
            let (live, pace, meter) = match same {
                Some(at) => (
                    old[at].clone().changed(window),
                    paces[at].clone().changed(window),
                    meters[at].clone(),
                ),
                None => {
                    let others = old.iter().zip(&meters);
                    let others = others.filter(|(_, meter)| of_unit(meter));
                    let live = Live::among(window, others.map(|(live, _)| live), now);
                    (live, Pace::new(window), Meter::new(window))
                }
            };
            self.windows.push(live);
            self.paces.push(pace);
            self.meters.push(meter);
        }
        self.mark_again(&kept);
    }

    /// What is in flight is marked for each window, for the new ones as if it left now.
    fn mark_again(&mut self, kept: &[Option<usize>]) {
        let (windows, meters) = (&self.windows, &mut self.meters);
        self.in_flight
            .mark_again(windows.len(), |costs, old, marks| {
                for ((window, meter), kept) in windows.iter().zip(&mut *meters).zip(kept) {
                    let kept = kept.and_then(|at| old.get(at).copied());
                    marks.push_back(kept.unwrap_or_else(|| meter.leave(costs, window.own())));
                }
            });
    }

    pub(in crate::rate_limit) fn save(&mut self, now: Now) -> SavedQuota {
        self.forget(now);
        let (closed_until, rejections) = self.gate.save(now);
        let parts = self.windows.iter().zip(&self.paces).zip(&self.meters);
        let windows = parts.map(|((window, pace), meter)| {
            let ours = window.own().saturating_add(meter.in_flight());
            SavedWindow {
                span: window.span().into(),
                unit: (*meter.unit).to_owned(),
                in_flight: meter.in_flight(),
                live: window.save(pace.by_others(ours, now.moment), now),
                pace: pace.save(now),
            }
        });
        SavedQuota {
            closed_until,
            rejections,
            windows: windows.collect(),
        }
    }

    /// The ledger of a quota that was saved, with the windows that it has now: those that differ
    /// are treated like those that [`change`](Self::change).
    pub(in crate::rate_limit) fn restored(
        self,
        saved: &SavedQuota,
        windows: &[Window],
        dial: Dial,
    ) -> Self {
        let mut old = Self {
            windows: Vec::new(),
            paces: Vec::new(),
            meters: Vec::new(),
            ..self
        };
        for part in &saved.windows {
            let window = Window::with_span(part.live.configured, part.span.into());
            let window = window.unit(&part.unit);
            let live = Live::restored(&window, &part.live, part.in_flight, dial);
            old.windows.push(live);
            old.paces.push(Pace::new(&window));
            old.meters.push(Meter::new(&window));
        }
        old.change(windows, dial.now);
        for (window, (live, pace)) in windows.iter().zip(old.windows.iter().zip(&mut old.paces)) {
            let is_same = |part: &&SavedWindow| {
                Span::from(part.span) == live.span() && *part.unit == *window.unit
            };
            *pace = Pace::new(window);
            if let Some(part) = saved.windows.iter().find(is_same) {
                pace.restore(&part.pace, dial);
            }
        }
        old.meters = windows.iter().map(Meter::new).collect();
        old.gate.restore(saved.closed_until, saved.rejections, dial);
        old
    }
}
