//! The timer of a line's head, set on its behalf by another.
//!
//! It would otherwise be woken twice: to set the timer, and when that rings. Whoever is granted its
//! permit, or tells how its request ended, is running anyway; it makes the timer and polls it once
//! with the head's waker, so that the head's task is woken when it rings. The line keeps it until
//! the head looks. A timer rings only while the runtime that it was made in is driven, so both must
//! be in the same one: there the head's own would ring no sooner.
//!
//! The head does not depend on it: woken for whatever reason, it sets a timer of its own.
//!
//! Pure: what is to be set and dropped is told to the caller, who does it without the lock.

use std::task::Waker;

use crate::clock::{BoxFuture, Moment};
use crate::sync::RuntimeId;

/// A sleep by the account's clock.
pub(crate) type Timer = BoxFuture<'static, ()>;

/// Who looks: whom to wake, and in which runtime its timers ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looker<'a> {
    pub(crate) waker: &'a Waker,
    /// None outside of any.
    pub(crate) runtime: Option<RuntimeId>,
}

/// A timer to be set for another, which it wakes.
#[derive(Debug)]
pub(crate) struct Alarm {
    pub(crate) number: u64,
    pub(crate) waker: Waker,
    pub(crate) moment: Moment,
}

/// The timer that was set for the present head, if it was set by another.
#[derive(Default)]
pub(crate) struct Alarms {
    /// The number of the last alarm, or of the look that made it needless.
    last: u64,
    timer: Option<Timer>,
}

impl Alarms {
    /// From now on no earlier one is kept.
    pub(crate) fn another(&mut self, waker: Waker, moment: Moment) -> Alarm {
        self.last += 1;
        Alarm {
            number: self.last,
            waker,
            moment,
        }
    }

    /// Keeps the timer of the last alarm, so that it rings. Returned is what is not kept: between
    /// an alarm and its timer the head may have looked, and the next one have its own.
    pub(crate) fn keep(&mut self, number: u64, timer: Timer) -> Option<Timer> {
        match number == self.last {
            true => self.timer.replace(timer),
            false => Some(timer),
        }
    }

    /// The head looks for itself, or is gone.
    pub(crate) fn clear(&mut self) -> Option<Timer> {
        self.last += 1;
        self.timer.take()
    }
}
