//! What a request is told that gets no permit.

use std::time::SystemTime;

use super::Limiter;
use crate::clock::{Moment, Now};
use crate::error::{Error, ErrorKind, Recovery};
use crate::rate_limit::line::Refusal;
use crate::rate_limit::meter::Excess;
use crate::rate_limit::quota_line::QuotaLine;

impl Limiter {
    pub(in crate::rate_limit) fn refused(
        &self,
        quota: &QuotaLine,
        refusal: Refusal,
        now: Now,
    ) -> Error {
        let name = &quota.name;
        let error = match refusal {
            Refusal::TooFarOff(moment) => {
                let (until, text) = time(now, moment);
                let message = format!("quota {name} has no permit before {text}");
                Error::new(
                    ErrorKind::QuotaExceeded,
                    Recovery::WaitUntil(until),
                    message,
                )
            }
            Refusal::TooLate(Some(moment)) => {
                let (until, text) = time(now, moment);
                let message =
                    format!("quota {name} has no permit before {text}, after the deadline");
                Error::new(
                    ErrorKind::DeadlineExceeded,
                    Recovery::WaitUntil(until),
                    message,
                )
            }
            Refusal::TooLate(None) => {
                let message = format!("the deadline passed while waiting for quota {name}");
                Error::new(ErrorKind::DeadlineExceeded, Recovery::Retry, message)
            }
            Refusal::QueueFull => {
                let message = format!("too many requests wait for quota {name} already");
                Error::new(ErrorKind::QueueFull, Recovery::Retry, message)
            }
            Refusal::TooCostly(excess) => {
                let Excess { unit, cost, limit } = excess;
                let message =
                    format!("a cost of {cost} {unit} exceeds quota {name}'s limit of {limit}");
                let kind = ErrorKind::CostExceedsLimit;
                Error::new(kind, Recovery::Reconfigure, message)
            }
        };
        error.with_account(&self.settings.account)
    }
}

fn time(now: Now, moment: Moment) -> (SystemTime, String) {
    let until = now.wall_at(moment);
    (until, httpdate::fmt_http_date(until))
}
