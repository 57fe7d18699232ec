//! Where a response reports on a window.
//!
//! Pure.

use http::HeaderName;

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

/// What the number in a reset header counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResetUnit {
    /// Told by its size: below 10⁹ seconds to go (milliseconds where seconds would exceed the
    /// window, or two of up to an hour), then seconds, milliseconds or microseconds since 1970; a
    /// date is read as a date.
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
