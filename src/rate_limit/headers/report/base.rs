//! What a reset is read with: its unit, and the answer's own time.
//!
//! Pure.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;
use smallvec::SmallVec;

use super::super::policies::Reset;
use crate::clock::Now;
use crate::header_value::{self, MOST_MEMBERS, When};
use crate::rate_limit::window::ResetUnit;

/// Longer spans are cut. Nothing counts for longer than a year.
const LONGEST_SPAN: Duration = Duration::from_secs(400 * 86_400);

/// How far a time may lie ahead of our own clock where nothing tells the length.
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);

/// From so many seconds on it is no chance that a reset is a thousand times `Retry-After`, even
/// where one of them is rounded.
const SURELY: f64 = 10.0;

pub(super) fn bounded(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(LONGEST_SPAN)
}

/// The values of one field, each line's in their order.
pub(super) type Values<'h> = SmallVec<[&'h str; 1]>;

/// What a reset is read with.
#[derive(Clone, Copy)]
pub(super) struct Base<'h> {
    headers: &'h HeaderMap,
    wall: SystemTime,
    unit: ResetUnit,
    /// How far ahead a time may lie by our own clock.
    farthest: Duration,
}

impl<'h> Base<'h> {
    pub(super) fn new(headers: &'h HeaderMap, now: Now) -> Self {
        Self {
            headers,
            wall: now.wall,
            unit: ResetUnit::Auto,
            farthest: HOUR,
        }
    }

    /// For a window of this length, which tells its resets in this unit.
    pub(super) fn of(self, unit: ResetUnit, length: Duration) -> Self {
        let farthest = length.saturating_mul(2);
        Self {
            unit,
            farthest,
            ..self
        }
    }

    /// The resets of these lines.
    pub(super) fn resets(&self, lines: &Values<'_>) -> SmallVec<[Option<Reset>; 2]> {
        let members = |line: &&str| header_value::members(line, |text| self.reset(text));
        lines.iter().flat_map(members).take(MOST_MEMBERS).collect()
    }

    fn reset(&self, text: &str) -> Option<Reset> {
        let span = match self.unit.read(text)? {
            When::Number(number) if self.is_milliseconds(number) => {
                header_value::seconds(number / 1e3)?
            }
            // Not cut, since its thousandth may be meant.
            When::Number(number) => return Some(Reset::Told(header_value::seconds(number)?, true)),
            When::Span(span) => span,
            When::At(time) => self.until(time)?,
        };
        Some(Reset::Told(span.min(LONGEST_SPAN), false))
    }

    /// Whether a `Retry-After` beside it says the same in seconds.
    fn is_milliseconds(&self, number: f64) -> bool {
        let seconds = self.headers.get(RETRY_AFTER).and_then(|value| {
            let text = std::str::from_utf8(value.as_bytes()).ok()?;
            header_value::number(text.trim())
        });
        seconds.is_some_and(|seconds| {
            let off = (number / 1e3 - seconds).abs();
            seconds >= 1.0 && (off < f64::EPSILON || (seconds >= SURELY && off <= 1.0))
        })
    }

    /// By the answer's own clock; by ours only where that is likely.
    fn until(&self, time: SystemTime) -> Option<Duration> {
        if let Some(sent) = header_value::sent(self.headers) {
            return time.duration_since(sent).ok();
        }
        let span = time.duration_since(self.wall).ok()?;
        (!span.is_zero() && span <= self.farthest).then_some(span)
    }
}
