//! What a reset is read with: its unit, and the answer's own time.
//!
//! Pure.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;
use smallvec::SmallVec;

use super::super::ResetUnit;
use super::super::policies::Reset;
use super::lines::Values;
use crate::clock::Now;
use crate::header_value::{self, MOST_MEMBERS, When};

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

/// What a reset is read with.
#[derive(Clone, Copy)]
pub(super) struct Base {
    unit: ResetUnit,
    /// When the answer was sent, by its own clock.
    sent: Option<SystemTime>,
    wall: SystemTime,
    /// How far ahead a time may lie by our own clock.
    farthest: Duration,
    /// `Retry-After`, where it is a number of seconds.
    retry_after: Option<f64>,
}

impl Base {
    pub(super) fn new(headers: &HeaderMap, now: Now) -> Self {
        let retry_after = headers.get(RETRY_AFTER).and_then(|value| {
            let text = std::str::from_utf8(value.as_bytes()).ok()?;
            header_value::number(text.trim())
        });
        Self {
            unit: ResetUnit::Auto,
            sent: header_value::sent(headers),
            wall: now.wall,
            farthest: HOUR,
            retry_after,
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
    pub(super) fn resets<'v>(&self, lines: &Values<'_>) -> SmallVec<[Option<Reset<'v>>; 2]> {
        let members = |line: &&str| header_value::members(line, |text| self.reset(text));
        lines.iter().flat_map(members).take(MOST_MEMBERS).collect()
    }

    fn reset<'v>(&self, text: &str) -> Option<Reset<'v>> {
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
        let Some(seconds) = self.retry_after else {
            return false;
        };
        let off = (number / 1e3 - seconds).abs();
        seconds >= 1.0 && (off < f64::EPSILON || (seconds >= SURELY && off <= 1.0))
    }

    fn until(&self, time: SystemTime) -> Option<Duration> {
        match self.sent {
            Some(sent) => time.duration_since(sent).ok(),
            None => {
                let span = time.duration_since(self.wall).ok();
                span.filter(|span| !span.is_zero() && *span <= self.farthest)
            }
        }
    }
}
