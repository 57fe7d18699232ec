//! Where a response reports on a window.
//!
//! Pure.

use http::HeaderName;

use crate::header_value::{self, When};

/// The response headers that report on a window; empty: the usual names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WindowHeaders {
    pub(crate) limit: Option<HeaderName>,
    pub(crate) remaining: Option<HeaderName>,
    pub(crate) reset: Option<HeaderName>,
    pub(crate) reset_time: Option<HeaderName>,
    pub(crate) reset_unit: ResetUnit,
}

impl WindowHeaders {
    /// Whether any name was set.
    pub(crate) fn are_named(&self) -> bool {
        self.limit.is_some()
            || self.remaining.is_some()
            || self.reset.is_some()
            || self.reset_time.is_some()
    }
}

impl ResetUnit {
    /// What a reset says: its number in this unit, whatever its size. A date, or a span with its
    /// units, is read as such.
    pub(crate) fn read(self, text: &str) -> Option<When> {
        let number = match self {
            Self::Auto => None,
            _ => header_value::number(text),
        };
        let Some(number) = number else {
            return header_value::when(text);
        };
        match self {
            Self::Seconds => header_value::seconds(number).map(When::Span),
            Self::Milliseconds => header_value::seconds(number / 1e3).map(When::Span),
            Self::UnixSeconds => header_value::unix(number).map(When::At),
            Self::UnixMilliseconds => header_value::unix(number / 1e3).map(When::At),
            Self::Auto | Self::Date => None,
        }
    }
}

/// What the number in a reset header counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResetUnit {
    /// Told by its size: below 10⁹ seconds to go (milliseconds where seconds would exceed the
    /// window, or two of up to an hour, and where a `Retry-After` beside it says the same in
    /// seconds), then seconds, milliseconds or microseconds since 1970; a date is read as a date,
    /// and a span with its units (`6m0s`, `3000ms`, `PT3S`) as such.
    #[default]
    Auto,
    /// Seconds to go.
    Seconds,
    /// Milliseconds to go.
    Milliseconds,
    /// Seconds since 1970.
    UnixSeconds,
    /// Milliseconds since 1970.
    UnixMilliseconds,
    /// A date, in any form of RFC 9110 section 5.6.7 or of ISO 8601.
    Date,
}
