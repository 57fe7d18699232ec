//! What tells the windows of a quota apart in what responses report.
//!
//! Pure.

use std::time::Duration;

use crate::cost::REQUESTS;
use crate::rate_limit::window::{ResetUnit, Span, Window, WindowHeaders};

/// Servers round a reset to the second, and some add another half on the way.
pub(crate) const RESET_GRAIN: Duration = Duration::from_millis(1_500);

/// Windows up to this length may be a sliding counter's.
pub(super) const LONGEST_COUNTER: Duration = Duration::from_secs(60 * 60);

/// What tells one window of a quota from the others in what responses report.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    pub(super) names: WindowHeaders,
    pub(super) named: bool,
    pub(super) limit: u64,
    /// As configured; of a month, that of the longest.
    pub(super) length: Duration,
    /// The same, but of the shortest month.
    pub(super) shortest: Duration,
    pub(super) is_calendar: bool,
    pub(super) counts_requests: bool,
    pub(super) reset_unit: ResetUnit,
}

impl Fields {
    pub(crate) fn of(window: &Window) -> Self {
        Self {
            names: window.headers.clone(),
            named: window.headers.are_named(),
            limit: window.limit,
            length: window.length(),
            shortest: match window.span {
                Span::Rolling(length) => length,
                Span::Calendar(period) => period.shortest(),
            },
            is_calendar: matches!(window.span, Span::Calendar(_)),
            counts_requests: &*window.unit == REQUESTS,
            reset_unit: window.headers.reset_unit,
        }
    }

    /// How far off a reset of this window may be: a sliding counter forgets all only after two
    /// windows, and says so. None is known that counts a day that way.
    pub(super) fn longest_reset(&self) -> Duration {
        let may_slide = !self.is_calendar && self.length <= LONGEST_COUNTER;
        let windows = if may_slide { 2 } else { 1 };
        (self.length.saturating_mul(windows)).saturating_add(RESET_GRAIN)
    }

    /// At most the window's length, and a rounded-up second more.
    pub(super) fn bounded(&self, span: Duration) -> Duration {
        span.min(self.length.saturating_add(Duration::from_secs(1)))
    }
}
