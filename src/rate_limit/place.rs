//! Waiting in line for a permit.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::alarm::{Looker, Timer};
use super::in_flight::PermitId;
use super::limiter::{Granted, Limiter};
use super::line::{Refusal, Standing};
use super::quota_line::QuotaLine;
use super::quotas::Chosen;
use super::state::Settlement;
use super::ticket::Ticket;
use super::timer::{self, this_runtime};
use crate::clock::{Moment, Now};
use crate::contain::contained;
use crate::error::Error;
use crate::event::Event;
use crate::options::Priority;
use crate::span::Span;

/// With what a request comes to the line.
#[derive(Clone, Copy, Debug)]
pub(super) enum Claim {
    /// For the first time.
    New(Priority),
    /// For a replay: its place is that of its arrival.
    Again(Ticket),
}

/// What entering the line brings.
pub(super) enum Entry {
    Granted(Ticket, Granted),
    Waiting(Place),
}

/// A place in line; dropping it leaves the line, and gives back a permit that was not handed over.
pub(super) struct Place {
    limiter: Arc<Limiter>,
    quota: Chosen,
    ticket: Ticket,
    since: Now,
    stage: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    InLine,
    /// Out of the line, with a permit that nobody has yet.
    Granted(PermitId),
    /// It has nothing to give back.
    Left,
}

/// A timer of its own, and what it is set to.
type OwnTimer = Option<(Moment, Timer)>;

impl Place {
    /// The place of a request that was just put in line.
    pub(super) fn new(limiter: Arc<Limiter>, quota: Chosen, ticket: Ticket, since: Now) -> Self {
        Self {
            limiter,
            quota,
            ticket,
            since,
            stage: Stage::InLine,
        }
    }

    /// Waits for the permit.
    ///
    /// # Errors
    /// As [`Limiter::enter`], should things change meanwhile.
    ///
    /// # Cancel safety
    /// A dropped wait leaves its place to those behind, and gives back a permit that it was
    /// granted.
    pub(super) async fn wait(mut self) -> Result<(Ticket, Granted), Error> {
        let mut timer = None;
        let account = &self.limiter.settings.account;
        let priority = self.ticket.priority();
        let span = Span::wait(account, &self.quota().name, priority);
        let wait = std::future::poll_fn(|context| self.poll(context, &mut timer));
        // A subscriber, an observer or a clock may panic from here on: the permit is the place's
        // until it is handed over.
        let decision = span.around(wait).await;
        self.limiter.touch();
        let now = self.limiter.now_after(self.since);
        span.waited(now.moment - self.since.moment);
        span.ended(match decision {
            Ok(_) => "granted",
            Err(_) => "refused",
        });
        self.tell(now);
        match decision {
            Ok(id) => {
                self.stage = Stage::Left;
                Ok((self.ticket, Granted { id, at: now }))
            }
            Err(refusal) => Err(self.limiter.refused(self.quota(), refusal, now)),
        }
    }

    fn quota(&self) -> &QuotaLine {
        self.limiter.line(&self.quota)
    }

    fn tell(&self, now: Now) {
        self.limiter.settings.events.emit(|| Event::Waited {
            quota: self.quota().name.clone(),
            span: now.moment - self.since.moment,
        });
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
        timer: &mut OwnTimer,
    ) -> Poll<Result<PermitId, Refusal>> {
        loop {
            let now = self.limiter.settings.clock.now();
            let moment = match self.look(context, now) {
                Standing::Granted(permit) => {
                    self.stage = Stage::Granted(permit);
                    return Poll::Ready(Ok(permit));
                }
                Standing::Refused(refusal) => {
                    self.stage = Stage::Left;
                    return Poll::Ready(Err(refusal));
                }
                Standing::Waiting(moment) => moment,
            };
            if !self.has_come(moment, now, timer, context) {
                return Poll::Pending;
            }
        }
    }

    /// How it stands. It may be the one to set the timer of another.
    fn look(&self, context: &Context<'_>, now: Now) -> Standing {
        let looker = Looker {
            waker: context.waker(),
            runtime: this_runtime(),
        };
        let look = self
            .quota()
            .with(|line, wakers| line.look(self.ticket, looker, now, wakers));
        drop(look.spent);
        if let Some(alarm) = look.alarm {
            self.quota().set(alarm, &*self.limiter.settings.clock, now);
        }
        look.standing
    }

    /// Sets the timer to `moment`, and says whether it has rung.
    fn has_come(
        &self,
        moment: Moment,
        now: Now,
        timer: &mut OwnTimer,
        context: &mut Context<'_>,
    ) -> bool {
        if moment == Moment::NEVER {
            *timer = None;
            return false;
        }
        if timer.as_ref().is_none_or(|(set, _)| *set != moment) {
            let clock = &*self.limiter.settings.clock;
            *timer = Some((moment, timer::timer(clock, moment, now)));
        }
        let rung = timer
            .as_mut()
            .is_some_and(|(_, sleep)| sleep.as_mut().poll(context).is_ready());
        if rung {
            *timer = None;
        }
        rung
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let now = || self.limiter.now_after(self.since);
        match self.stage {
            Stage::InLine => {
                let now = now();
                let spent = self
                    .quota()
                    .with(|line, wakers| line.leave(self.ticket, now, wakers));
                // A timer of the user's clock.
                let _ = contained(|| drop(spent));
                self.tell(now);
            }
            Stage::Granted(permit) => {
                let unsent = &Settlement::Unsent;
                let (_, alarm, _) = self.quota().settle(permit, self.ticket, unsent, &now());
                // The head sees to its timer itself: this may be a thread that panics.
                if let Some(alarm) = alarm {
                    alarm.waker.wake();
                }
            }
            Stage::Left => {}
        }
    }
}
