//! Serving the line: permits for those whose turn is, and a timer for the next.
//!
//! Who looks, or tells how its request ended, sets the new head's timer too ([`Alarm`]), so that
//! where requests leave one by one each is woken once, when its turn is. All others only wake the
//! head, which then sets its own timer: what is dropped may be so outside of any runtime, in one
//! that is about to end, or by a thread that panics. So does one in another runtime than the head,
//! since a timer rings only while its runtime is driven.
//!
//! Where many can be granted or have to be refused, one call decides about a bounded number of them
//! and wakes the head, which goes on: neither is the lock held for long, nor a task's runtime kept
//! from other tasks.
//!
//! A timer of its own for each, set to its turn when it comes, would need no such hand-over; but on
//! a busy machine some slots are lost, and all those behind look too early: 5 000 waiters at
//! 1 000/s were polled 3.5 to 4.2 times each instead of twice (`waiters` in `benches/peers`).

use super::standing::Refusal;
use super::{Line, Wakers};
use crate::clock::{Moment, Now};
use crate::rate_limit::alarm::{Alarm, Timer};
use crate::rate_limit::in_flight::PermitId;
use crate::rate_limit::state::Admission;
use crate::rate_limit::ticket::Ticket;
use crate::sync::RuntimeId;

/// How many one call decides about. A decision and the wake-up that follows take 2 to 3 µs with
/// 1 000 000 in line (`waiters` in `benches/peers`).
const MOST_AT_ONCE: usize = 256;

impl Line {
    /// Keeps the timer that was set for an alarm. What is returned is to be dropped.
    pub(crate) fn keep(&mut self, alarm: u64, timer: Timer) -> Option<Timer> {
        self.alarms.keep(alarm, timer)
    }

    /// Grants what can be granted, to the head of the line first; refuses those who would wait too
    /// long; and sees that the head looks again in time.
    pub(crate) fn serve(&mut self, now: Now, wakers: &mut Wakers) {
        if self.queue.is_empty() {
            return;
        }
        let alarm = self.serve_from(None, now, wakers);
        debug_assert!(alarm.is_none(), "nobody would set it");
    }

    /// The same by one that can set timers in this runtime.
    pub(super) fn serve_from(
        &mut self,
        runtime: Option<RuntimeId>,
        now: Now,
        wakers: &mut Wakers,
    ) -> Option<Alarm> {
        let mut room = MOST_AT_ONCE;
        while let Some((head, costs)) = self.queue.head() {
            let look_at = match self.ledger.when(head, costs, now) {
                Admission::WhenAnswered(moment) => moment,
                Admission::At(moment) if self.queue.impatient(moment, now).is_none() => moment,
                // The rest by the head's own look, which comes at once.
                _ if room == 0 => return self.arm(head, now.moment, None, wakers),
                Admission::At(moment) => {
                    room -= self.refuse_impatient(moment, room, now, wakers);
                    continue;
                }
                Admission::Now => {
                    let permit = self.ledger.grant(head, costs, now);
                    self.decide(head, Ok(permit), wakers);
                    room -= 1;
                    continue;
                }
                Admission::Never(excess) => {
                    self.decide(head, Err(Refusal::TooCostly(excess)), wakers);
                    room -= 1;
                    continue;
                }
            };
            return self.arm(head, look_at, runtime, wakers);
        }
        None
    }

    fn decide(&mut self, ticket: Ticket, to: Result<PermitId, Refusal>, wakers: &mut Wakers) {
        if let Some(waiting) = self.queue.remove(ticket) {
            wakers.extend(waiting.waker);
            self.decided.insert(ticket, to);
        }
    }

    /// Refuses those that are not willing to wait until `moment`, `most` of them. How many.
    fn refuse_impatient(
        &mut self,
        moment: Moment,
        most: usize,
        now: Now,
        wakers: &mut Wakers,
    ) -> usize {
        let mut refused = 0;
        while refused < most {
            let Some((ticket, refusal)) = self.queue.impatient(moment, now) else {
                break;
            };
            self.decide(ticket, Err(refusal), wakers);
            refused += 1;
        }
        refused
    }

    pub(super) fn is_armed(&self, ticket: Ticket) -> bool {
        self.armed.is_some_and(|(armed, _)| armed == ticket)
    }

    /// No timer is set, and whoever is the head then has to be told.
    pub(super) fn disarm(&mut self) -> Option<Timer> {
        self.armed = None;
        self.alarms.clear()
    }

    /// Sees that the head looks again at this moment: wakes it, so that it sets its timer, or says
    /// how to set that from this runtime.
    fn arm(
        &mut self,
        head: Ticket,
        moment: Moment,
        runtime: Option<RuntimeId>,
        wakers: &mut Wakers,
    ) -> Option<Alarm> {
        // Looking too early costs one look, no more.
        let early_enough = |(armed, at): (Ticket, Moment)| armed == head && at <= moment;
        if self.armed.is_some_and(early_enough) {
            return None;
        }
        self.armed = Some((head, moment));
        let waiting = self.queue.get_mut(head)?;
        if runtime.is_some() && waiting.runtime == runtime {
            let waker = waiting.waker.clone()?;
            return Some(self.alarms.another(waker, moment));
        }
        wakers.extend(waiting.waker.take());
        None
    }
}
