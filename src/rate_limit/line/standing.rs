//! How a request stands in the line.
//!
//! Pure: `now` is an argument.

use crate::clock::{Moment, Now};
use crate::options::Patience;
use crate::rate_limit::alarm::{Alarm, Timer};
use crate::rate_limit::in_flight::PermitId;
use crate::rate_limit::meter::Excess;

/// Why a request does not get a permit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The next permit is further off than `max_wait`.
    TooFarOff(Moment),
    /// Its permit would come after the deadline, or the deadline has passed.
    TooLate(Option<Moment>),
    QueueFull,
    /// It costs more than a window allows.
    TooCostly(Excess),
}

/// How a request stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Granted(PermitId),
    Refused(Refusal),
    /// In line; look again at this moment, or when woken.
    Waiting(Moment),
}

/// What a look brings: how it stands, and what is to be done once the lock is free.
pub(crate) struct Look {
    pub(crate) standing: Standing,
    /// To be set.
    pub(crate) alarm: Option<Alarm>,
    /// To be dropped.
    pub(crate) spent: Option<Timer>,
}

pub(super) fn refusal(patience: Patience, now: Now, moment: Moment) -> Option<Refusal> {
    if patience.reaches(now.moment, moment) {
        None
    } else if moment - now.moment > patience.max_wait {
        Some(Refusal::TooFarOff(moment))
    } else {
        Some(Refusal::TooLate(Some(moment)))
    }
}
