//! Waiting in line for a permit.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::gate::Ticket;
use super::in_flight::PermitId;
use super::limiter::{Granted, Limiter};
use super::line::{Refusal, Standing};
use super::quota_line::QuotaLine;
use super::quotas::Chosen;
use crate::clock::{BoxFuture, Moment, Now};
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

/// A place in line; dropping it leaves the line.
pub(super) struct Place {
    limiter: Arc<Limiter>,
    quota: Chosen,
    ticket: Ticket,
    since: Now,
    left: bool,
}

type Timer = Option<(Moment, BoxFuture<'static, ()>)>;

impl Place {
    /// The place of a request that was just put in line.
    pub(super) fn new(limiter: Arc<Limiter>, quota: Chosen, ticket: Ticket, since: Now) -> Self {
        Self {
            limiter,
            quota,
            ticket,
            since,
            left: false,
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
        let decision = span.around(wait).await;
        self.limiter.touch();
        let now = self.limiter.settings.clock.now();
        span.waited(now.moment - self.since.moment);
        span.ended(match decision {
            Ok(_) => "granted",
            Err(_) => "refused",
        });
        self.tell(now);
        decision
            .map(|id| {
                let at = now.moment;
                (self.ticket, Granted { id, at })
            })
            .map_err(|refusal| self.limiter.refused(self.quota(), refusal, now))
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
        timer: &mut Timer,
    ) -> Poll<Result<PermitId, Refusal>> {
        loop {
            let now = self.limiter.settings.clock.now();
            let waker = context.waker();
            let standing = self
                .quota()
                .with(|line, wakers| line.look(self.ticket, waker, now, wakers));
            let moment = match standing {
                Standing::Granted(permit) => return self.leave(Ok(permit)),
                Standing::Refused(refusal) => return self.leave(Err(refusal)),
                Standing::Waiting(moment) => moment,
            };
            if !self.has_come(moment, now, timer, context) {
                return Poll::Pending;
            }
        }
    }

    /// Sets the timer to `moment`, and says whether it has rung.
    fn has_come(
        &self,
        moment: Moment,
        now: Now,
        timer: &mut Timer,
        context: &mut Context<'_>,
    ) -> bool {
        if moment == Moment::NEVER {
            *timer = None;
            return false;
        }
        if timer.as_ref().is_none_or(|(set, _)| *set != moment) {
            // At least a millisecond, the timer's grain: a wait of nothing would spin.
            let span = (moment - now.moment).max(Duration::from_millis(1));
            *timer = Some((moment, self.limiter.settings.clock.sleep(span)));
        }
        let rung = timer
            .as_mut()
            .is_some_and(|(_, sleep)| sleep.as_mut().poll(context).is_ready());
        if rung {
            *timer = None;
        }
        rung
    }

    fn leave(&mut self, decision: Result<PermitId, Refusal>) -> Poll<Result<PermitId, Refusal>> {
        self.left = true;
        Poll::Ready(decision)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.left {
            let now = self.limiter.settings.clock.now();
            self.quota()
                .with(|line, wakers| line.leave(self.ticket, now, wakers));
            self.tell(now);
        }
    }
}
