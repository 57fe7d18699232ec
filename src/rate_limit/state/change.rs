//! A ledger whose windows become others, while the process runs or between two of them.
//!
//! Pure.

use super::{Ledger, Part};
use crate::clock::Now;
use crate::rate_limit::live::Live;
use crate::rate_limit::pace::Pace;
use crate::rate_limit::saved::{Dial, SavedQuota, SavedWindow};
use crate::rate_limit::window::{Span, Window};

impl Part {
    /// The same with what was configured since.
    fn changed(self, window: &Window) -> Self {
        Self {
            live: self.live.changed(window),
            pace: self.pace.changed(window),
            meter: self.meter,
        }
    }
}

impl Ledger {
    /// Other windows from now on. Those of the same length and unit go on counting; a new one
    /// begins with what the others know of the requests in its unit.
    pub(crate) fn change(&mut self, windows: &[Window], now: Now) {
        self.forget(now);
        self.edition += 1;
        let old = std::mem::take(&mut self.parts);
        let mut kept = Vec::new();
        for window in windows {
            let is_of_unit = |part: &&Part| part.meter.unit == window.unit;
            let is_same = |part: &Part| is_of_unit(&part) && part.live.span() == window.span;
            let same = old.iter().position(is_same);
            kept.push(same);
            self.parts.push(match same {
                Some(at) => old[at].clone().changed(window),
                None => {
                    let others = old.iter().filter(is_of_unit).map(|part| &part.live);
                    Part::new(window, Live::among(window, others, now))
                }
            });
        }
        self.mark_again(&kept);
    }

    /// Forgets what was learned of these windows, which are the ledger's, and any pause. Our own
    /// count stays.
    pub(crate) fn reopen(&mut self, windows: &[Window], now: Now) {
        self.forget(now);
        self.gate.reopen();
        self.evidence.reopen();
        for (part, window) in self.parts.iter_mut().zip(windows) {
            part.live.reopen();
            part.pace = Pace::new(window);
        }
    }

    /// What is in flight is marked for each window, for the new ones as if it left now.
    fn mark_again(&mut self, kept: &[Option<usize>]) {
        let parts = &mut self.parts;
        self.in_flight.mark_again(parts.len(), |costs, old, marks| {
            for (Part { live, meter, .. }, kept) in parts.iter_mut().zip(kept) {
                let kept = kept.and_then(|at| old.get(at).copied());
                marks.push_back(kept.unwrap_or_else(|| meter.leave(costs, live.own())));
            }
        });
    }

    pub(in crate::rate_limit) fn save(&mut self, now: Now) -> SavedQuota {
        self.forget(now);
        let (closed_until, rejections) = self.gate.save(now);
        let windows = self.parts.iter().map(|Part { live, pace, meter }| {
            let ours = live.own().saturating_add(meter.in_flight());
            SavedWindow {
                span: live.span().into(),
                unit: (*meter.unit).to_owned(),
                in_flight: meter.in_flight(),
                live: live.save(pace.by_others(ours, now.moment), now),
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
            parts: Vec::new(),
            ..self
        };
        for part in &saved.windows {
            let window = part.window();
            let live = Live::restored(&window, &part.landed(dial), dial);
            old.parts.push(Part::new(&window, live));
        }
        old.change(windows, dial.now);
        for (window, part) in windows.iter().zip(&mut old.parts) {
            *part = Part::new(window, part.live.clone());
            let is_same = |saved: &&SavedWindow| {
                Span::from(saved.span) == part.live.span() && *saved.unit == *window.unit
            };
            if let Some(saved) = saved.windows.iter().find(is_same) {
                part.pace.restore(&saved.pace, dial);
            }
        }
        old.gate.restore(saved.closed_until, saved.rejections, dial);
        old
    }
}
