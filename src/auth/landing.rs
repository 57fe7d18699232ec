//! How the end of a flight changes the state. Pure.
//!
//! A failed renewal leads to one of these:
//!
//! | class           | then                                                                 |
//! |-----------------|----------------------------------------------------------------------|
//! | transient, store| back off: 0.5 s·2ⁿ to 60 s, or an eighth of a usable token's rest |
//! | throttled       | the same, but not before the endpoint's `Retry-After`                |
//! | client rejected | latched, with a probe after 1, 2, 4, 8, 15, 15 … minutes             |
//! | grant rejected  | latched until the store has news; it is read again every 5 s at most |
//!
//! A usable token stays in use whatever happens to its renewal. Once the answer to a refresh token
//! may be lost, that token is presented only once more, as the last resort: when nothing usable is
//! left. A server that takes the repetition for theft voids the whole family (RFC 9700).

use std::sync::Arc;
use std::time::Duration;

use super::answer::{Class, Refusal};
use super::state::{Next, Phase, State};
use super::token::Token;
use crate::clock::Now;
use crate::error::{Error, Recovery};

const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
const FIRST_PROBE: Duration = Duration::from_secs(60);
const LONGEST_PROBE: Duration = Duration::from_secs(15 * 60);
const REREAD: Duration = Duration::from_secs(5);
const MAY_BE_LOST: &str = "log in again: the answer to a renewal was lost, and with it perhaps the \
    only valid refresh token";
/// What a process knows that finds the record of one that is no more.
const MAY_BE_ELSEWHERE: &str = "; if a process with the same token store was ended while it \
    renewed, the answer may be lost with it";

/// How a flight failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) refusal: Refusal,
    /// A refresh token that may be good for one use was presented, and an answer may be lost.
    pub(crate) lost: bool,
}

/// How a flight ended.
#[derive(Clone, Debug)]
pub(crate) enum Landing {
    Renewed(Arc<Token>),
    /// Another process had renewed already.
    Adopted(Arc<Token>),
    Failed(Failure),
    /// A look into the store found nothing newer.
    NothingNew,
}

impl State {
    /// A flight ended. `draw` in 0..1 is the jitter.
    pub(crate) fn land(&mut self, landing: &Landing, now: Now, draw: f64) -> Result<(), Error> {
        let landed = self.settle(landing, now, draw);
        self.last_error = landed.as_ref().err().cloned();
        landed
    }

    /// A flight ended without a result: it panicked, or its runtime is gone. `lost`: while a
    /// refresh token that may be good for one use was presented.
    pub(crate) fn abandon(&mut self, lost: bool, now: Now) {
        let (forced, latch) = self.end_flight();
        if forced {
            self.forced.refund();
        }
        match latch {
            // That was the last resort.
            _ if lost && self.lost => {
                let refusal = Refusal::new(Class::GrantRejected, "the renewal was broken off");
                self.last_error = Some(self.log_in(&refusal, now));
            }
            // A look into the store that nobody finished opens no latch.
            Some(error) if !lost => self.latch(Next::Reread, REREAD, error, now),
            _ => {}
        }
        self.lost |= lost;
    }

    /// The flight under way is over: whether it was forced, and the latch that it looked into the
    /// store for.
    fn end_flight(&mut self) -> (bool, Option<Error>) {
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Refreshing { forced, latch } => (forced, latch),
            _ => (false, None),
        }
    }

    fn settle(&mut self, landing: &Landing, now: Now, draw: f64) -> Result<(), Error> {
        let (forced, latch) = self.end_flight();
        match landing {
            Landing::Renewed(token) | Landing::Adopted(token) => {
                // The process that asked for it has paid. Each that shares the store would pay for
                // the one refusal, and the next would find all of them without means.
                if forced && matches!(landing, Landing::Adopted(_)) {
                    self.forced.refund();
                }
                self.token = Some(token.clone());
                self.failures = 0;
                self.lost = false;
                Ok(())
            }
            Landing::Failed(failure) => {
                if forced {
                    self.forced.refund();
                }
                Err(self.fail(failure, now, draw))
            }
            Landing::NothingNew => {
                let error = latch.unwrap_or_else(nothing_new);
                self.latch(Next::Reread, REREAD, error.clone(), now);
                Err(error)
            }
        }
    }

    fn fail(&mut self, failure: &Failure, now: Now, draw: f64) -> Error {
        let refusal = &failure.refusal;
        let earlier = self.lost;
        self.lost |= failure.lost;
        let failures = self.failures;
        self.failures = failures.saturating_add(1);
        match refusal.class {
            Class::GrantRejected => self.log_in(refusal, now),
            _ if failure.lost && earlier => self.log_in(refusal, now),
            Class::ClientRejected
            | Class::Misconfigured
            | Class::Untrusted
            | Class::GrantProbablyRejected => {
                let span = doubled(FIRST_PROBE, failures, LONGEST_PROBE);
                let error = refusal.error(match refusal.class.needs_login() {
                    true => Recovery::LogIn,
                    false => Recovery::Reconfigure,
                });
                self.latch(Next::Probe, jittered(span, draw), error.clone(), now);
                error
            }
            Class::Transient | Class::Store => self.back_off(refusal, Duration::ZERO, now, draw),
            Class::Throttled { retry_after } => {
                self.back_off(refusal, retry_after.unwrap_or_default(), now, draw)
            }
        }
    }

    fn back_off(&mut self, refusal: &Refusal, least: Duration, now: Now, draw: f64) -> Error {
        let good = |token: &&Arc<Token>| token.generation() > self.watermark;
        let left = self.token.as_ref().filter(good);
        let left = left.map(|token| token.times().left(now));
        let span = match left.filter(|left| !left.is_zero()) {
            Some(left) => (left / 8).clamp(FIRST_BACKOFF, LONGEST_BACKOFF),
            None => {
                let earlier = self.failures.saturating_sub(1);
                doubled(FIRST_BACKOFF, earlier, LONGEST_BACKOFF)
            }
        };
        let until = now.moment + jittered(span, draw).max(least);
        let error = refusal.error(Recovery::WaitUntil(now.wall_at(until)));
        self.phase = Phase::BackingOff {
            until,
            error: error.clone(),
        };
        error
    }

    fn log_in(&mut self, refusal: &Refusal, now: Now) -> Error {
        // A refusal without a status is not the endpoint's.
        let is_shared = self.has_store && refusal.status.is_some();
        let message = match self.lost {
            true => format!("{MAY_BE_LOST} ({})", refusal.message),
            false if is_shared => format!("log in again: {}{MAY_BE_ELSEWHERE}", refusal.message),
            false => format!("log in again: {}", refusal.message),
        };
        let refusal = Refusal {
            class: Class::GrantRejected,
            message,
            ..refusal.clone()
        };
        let error = refusal.error(Recovery::LogIn);
        let span = if self.has_store {
            REREAD
        } else {
            Duration::MAX
        };
        self.latch(Next::Reread, span, error.clone(), now);
        error
    }

    fn latch(&mut self, next: Next, span: Duration, error: Error, now: Now) {
        let at = now.moment + span;
        self.phase = Phase::Latched { next, at, error };
    }
}

fn nothing_new() -> Error {
    Refusal::new(Class::GrantRejected, "log in again").error(Recovery::LogIn)
}

fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << times.min(16)).min(longest)
}

/// Three quarters of it to all of it.
fn jittered(span: Duration, draw: f64) -> Duration {
    span.mul_f64(0.75 + 0.25 * draw.clamp(0.0, 1.0))
}
