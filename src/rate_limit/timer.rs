//! The timers of those who wait: their own, and that of a line's head (`alarm.rs`).

use std::task::Context;
use std::time::Duration;

use super::alarm::{Alarm, Timer};
use super::quota_line::QuotaLine;
use crate::clock::{Clock, Moment, Now};
use crate::contain::contained;
use crate::sync::{Handle, RuntimeId};

/// The runtime that this thread is in.
pub(super) fn this_runtime() -> Option<RuntimeId> {
    Handle::try_current().ok().map(|runtime| runtime.id())
}

/// One that rings at `moment`.
pub(super) fn timer(clock: &dyn Clock, moment: Moment, now: Now) -> Timer {
    // At least a millisecond, the timer's grain: a wait of nothing would spin.
    clock.sleep((moment - now.moment).max(Duration::from_millis(1)))
}

impl QuotaLine {
    /// Sets the timer of the line's head, which has no need to be woken for that.
    pub(super) fn set(&self, alarm: Alarm, clock: &dyn Clock, now: Now) {
        let Alarm {
            number,
            waker,
            moment,
        } = alarm;
        // A sleep may panic, as tokio's do in a runtime that was shut down. The permit that the
        // caller holds by now must not be lost by that: the head shall see to its timer itself.
        let timer = contained(|| {
            let mut timer = timer(clock, moment, now);
            let rung = timer.as_mut().poll(&mut Context::from_waker(&waker));
            rung.is_pending().then_some(timer)
        });
        let Some(timer) = timer.flatten() else {
            return waker.wake();
        };
        let spent = self.with(|line, _| line.keep(number, timer));
        let _ = contained(|| drop(spent));
    }
}
