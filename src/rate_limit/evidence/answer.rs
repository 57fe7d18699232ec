//! What an answer says beside its reports.
//!
//! Pure.

use std::time::Duration;

use crate::clock::Moment;
use crate::rate_limit::in_flight::PermitId;

/// What an answer says beside its reports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) permit: PermitId,
    pub(crate) sent: Moment,
    pub(crate) now: Moment,
    /// Others that are still in flight.
    pub(crate) in_flight: u64,
    pub(crate) is_rejected: bool,
    /// Neither a rejection nor an error that a gateway may have given without counting it.
    pub(crate) is_success: bool,
    /// How long to pause, by its own word.
    pub(crate) pause: Option<Duration>,
}
