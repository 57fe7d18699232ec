//! How the end of a flight changes the state. Pure.
//!
//! A failed renewal leads to one of these:
//!
//! | class           | then                                                                 |
//! |-----------------|----------------------------------------------------------------------|
//! | transient, store| back off: 0.5 s·2ⁿ to 60 s, or an eighth of a usable token's rest |
//! | throttled       | the same, but not before the endpoint's `Retry-After`                |
//! | client rejected | latched, with a probe after 1, 2, 4, 8, 15, 15 … minutes             |
//! | grant rejected  | latched until the store has news; it is read again every 5 s at most; |
//! |                 | while it cannot be read, nothing is known, and callers are not told   |
//! |                 | to log in                                                             |
//!
//! A usable token stays in use whatever happens to its renewal. An answer that was lost is
//! transient: only a decisive answer latches.

use std::sync::Arc;
use std::time::Duration;

use super::state::{Latch, Phase, State};
use crate::auth::oauth::response::{Class, Refusal};
use crate::auth::token::Token;
use crate::clock::{Moment, Now};
use crate::error::{Error, Recovery};

const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
const FIRST_PROBE: Duration = Duration::from_secs(60);
const LONGEST_PROBE: Duration = Duration::from_secs(15 * 60);
const REREAD: Duration = Duration::from_secs(5);
/// How a flight failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) refusal: Refusal,
    /// The next attempt makes no sense earlier.
    not_before: Moment,
}

impl Failure {
    pub(crate) fn new(refusal: Refusal) -> Self {
        Self::not_before(refusal, Moment::ZERO)
    }

    pub(crate) fn not_before(refusal: Refusal, not_before: Moment) -> Self {
        Self {
            refusal,
            not_before,
        }
    }
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
    /// The store could not be looked into: it may have news.
    NoLook(Refusal),
}

impl State {
    /// A flight ended. `draw` in 0..1 is the jitter.
    pub(crate) fn land(&mut self, landing: &Landing, now: Now, draw: f64) -> Result<(), Error> {
        let landed = self.settle(landing, now, draw);
        // Why a person has to log in stays true while the store cannot be looked into.
        if !matches!(landing, Landing::NoLook(_)) {
            self.last_error = landed.as_ref().err().cloned();
        }
        landed
    }

    /// A flight ended without a result: it panicked, or its runtime is gone. That is no verdict.
    pub(crate) fn abandon(&mut self, now: Now) {
        let (forced, latch) = self.end_flight();
        if forced {
            self.forced.refund();
        }
        // A look into the store that was broken off opens no latch.
        if let Some((latch, error)) = latch {
            let reread = now.moment + REREAD;
            let latch = Latch { reread, ..latch };
            self.phase = Phase::Latched { latch, error };
        }
    }

    /// The flight under way is over: whether it was forced, and the latch that it looked into the
    /// store for.
    fn end_flight(&mut self) -> (bool, Option<(Latch, Error)>) {
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
                Ok(())
            }
            Landing::Failed(failure) => {
                if forced {
                    self.forced.refund();
                }
                Err(self.fail(failure, now, draw))
            }
            Landing::NothingNew => {
                let (latch, error) = latch.unwrap_or_else(nothing_new);
                let reread = now.moment + REREAD;
                self.latch(Latch { reread, ..latch }, error.clone());
                Err(error)
            }
            Landing::NoLook(refusal) => {
                let until = now.moment + REREAD;
                let error = refusal.error(Recovery::WaitUntil(now.wall_at(until)));
                self.phase = Phase::BackingOff {
                    until,
                    error: error.clone(),
                    latch,
                };
                Err(error)
            }
        }
    }

    fn fail(&mut self, failure: &Failure, now: Now, draw: f64) -> Error {
        let refusal = &failure.refusal;
        let failures = self.failures;
        self.failures = failures.saturating_add(1);
        match refusal.class {
            Class::GrantRejected => self.log_in(refusal, now),
            Class::ClientRejected
            | Class::Misconfigured
            | Class::Untrusted
            | Class::GrantProbablyRejected => {
                let span = doubled(FIRST_PROBE, failures, LONGEST_PROBE);
                let is_login = refusal.class.needs_login();
                let error = match is_login {
                    true => login_required(refusal),
                    false => refusal.error(Recovery::Reconfigure),
                };
                let latch = Latch {
                    probe: now.moment + jittered(span, draw),
                    // The store may have the tokens of a login by another process.
                    reread: match is_login && self.has_store {
                        true => now.moment + REREAD,
                        false => Moment::NEVER,
                    },
                };
                self.latch(latch, error.clone());
                error
            }
            Class::Transient | Class::Store => self.back_off(failure, Duration::ZERO, now, draw),
            Class::Throttled { retry_after } => {
                self.back_off(failure, retry_after.unwrap_or_default(), now, draw)
            }
        }
    }

    fn back_off(&mut self, failure: &Failure, least: Duration, now: Now, draw: f64) -> Error {
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
        let until = until.max(failure.not_before);
        let error = failure
            .refusal
            .error(Recovery::WaitUntil(now.wall_at(until)));
        self.phase = Phase::BackingOff {
            until,
            error: error.clone(),
            latch: None,
        };
        error
    }

    fn log_in(&mut self, refusal: &Refusal, now: Now) -> Error {
        let error = login_required(refusal);
        let latch = Latch {
            probe: Moment::NEVER,
            reread: match self.has_store {
                true => now.moment + REREAD,
                false => Moment::NEVER,
            },
        };
        self.latch(latch, error.clone());
        error
    }

    fn latch(&mut self, latch: Latch, error: Error) {
        self.phase = Phase::Latched { latch, error };
    }
}

/// The advice first: what the server says of it may be anything.
fn login_required(refusal: &Refusal) -> Error {
    let refusal = Refusal {
        class: Class::GrantRejected,
        message: format!("log in again: {}", refusal.message),
        ..refusal.clone()
    };
    refusal.error(Recovery::LogIn)
}

fn nothing_new() -> (Latch, Error) {
    let error = Refusal::new(Class::GrantRejected, "log in again").error(Recovery::LogIn);
    let latch = Latch {
        probe: Moment::NEVER,
        reread: Moment::NEVER,
    };
    (latch, error)
}

fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << times.min(16)).min(longest)
}

/// Three quarters of it to all of it.
fn jittered(span: Duration, draw: f64) -> Duration {
    span.mul_f64(0.75 + 0.25 * draw.clamp(0.0, 1.0))
}
