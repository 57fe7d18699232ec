//! Counts, made from the account's events.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use reqwest_tollgate::{Clock as _, Event, Moment, Observer, SystemClock};

/// Sees the events of an account and counts them. Clones count together.
#[derive(Clone)]
pub(crate) struct Tally {
    start: Moment,
    counts: Arc<Mutex<Counts>>,
}

/// What was counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Requests on the wire by the status that they were answered with.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// The same by the quota that they were counted in.
    pub(crate) quotas: BTreeMap<String, u64>,
    /// Requests on the wire that no answer came back to.
    pub(crate) lost: u64,
    /// Requests that were sent again, by the status of the answer that led there.
    pub(crate) replayed: BTreeMap<u16, u64>,
    /// Pauses that the server asked for.
    pub(crate) rejected: u64,
    pub(crate) token_requests: u64,
    /// All waits for a permit together.
    pub(crate) waited: Duration,
    /// When requests left, as time since the start.
    pub(crate) sent_at: Vec<Duration>,
    /// What else happened, and when.
    pub(crate) marks: Vec<(Duration, Mark)>,
}

/// Something to mark in a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Renewed,
    Unauthorized,
    RateLimited,
    ServerError,
    Lost,
}

impl Counts {
    /// Requests on the wire.
    pub(crate) fn attempts(&self) -> u64 {
        self.statuses.values().sum::<u64>() + self.lost
    }

    /// How many answers of this status led to a replay.
    pub(crate) fn replayed(&self, status: StatusCode) -> u64 {
        self.replayed.get(&status.as_u16()).copied().unwrap_or(0)
    }

    /// The quota that most of them were counted in.
    pub(crate) fn busiest_quota(&self) -> Option<&str> {
        let busiest = self.quotas.iter().max_by_key(|(_, count)| **count);
        busiest.map(|(name, _)| name.as_str())
    }

    fn add(&mut self, at: Duration, event: &Event) {
        match event {
            Event::Answered {
                quota,
                status,
                elapsed,
                ..
            } => {
                *self.quotas.entry(quota.to_string()).or_default() += 1;
                self.answered(at, *status, *elapsed);
            }
            Event::Lost { elapsed, .. } => {
                self.lost += 1;
                self.marks.push((at, Mark::Lost));
                self.sent_at.push(at.saturating_sub(*elapsed));
            }
            Event::Waited { span, .. } => self.waited += *span,
            Event::QuotaRejected { .. } => self.rejected += 1,
            Event::TokenRequested { .. } => self.token_requests += 1,
            Event::TokenRenewed { .. } => self.marks.push((at, Mark::Renewed)),
            Event::Replayed { status, .. } => {
                *self.replayed.entry(status.as_u16()).or_default() += 1;
            }
            _ => {}
        }
    }

    fn answered(&mut self, at: Duration, status: StatusCode, elapsed: Duration) {
        *self.statuses.entry(status.as_u16()).or_default() += 1;
        self.sent_at.push(at.saturating_sub(elapsed));
        match status {
            StatusCode::UNAUTHORIZED => self.marks.push((at, Mark::Unauthorized)),
            StatusCode::TOO_MANY_REQUESTS => self.marks.push((at, Mark::RateLimited)),
            status if status.is_server_error() => self.marks.push((at, Mark::ServerError)),
            _ => {}
        }
    }
}

impl Tally {
    /// Counts nothing yet; time begins now.
    pub(crate) fn start() -> Self {
        Self {
            start: SystemClock.now().moment,
            counts: Arc::default(),
        }
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        SystemClock.now().moment - self.start
    }

    /// The quota that most requests were counted in.
    pub(crate) fn busiest_quota(&self) -> Option<String> {
        self.lock().busiest_quota().map(str::to_owned)
    }

    /// How many requests the server rejected for its quotas.
    pub(crate) fn rejected(&self) -> u64 {
        self.lock().rejected
    }

    /// What was counted so far.
    pub(crate) fn counts(&self) -> Counts {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Tally {
    fn on_event(&self, _account: &str, event: &Event) {
        let at = self.elapsed();
        self.lock().add(at, event);
    }
}

#[cfg(test)]
mod tests {
    use reqwest_tollgate::ReplayReason;

    use super::*;

    /// A quota may be spent with a 403, and a token refused with a 200.
    #[test]
    fn replayed_429_counts_429s_and_nothing_else() {
        let mut counts = Counts::default();
        let attempt = 1;
        for (reason, status) in [
            (ReplayReason::RateLimited, StatusCode::TOO_MANY_REQUESTS),
            (ReplayReason::RateLimited, StatusCode::FORBIDDEN),
            (ReplayReason::RateLimited, StatusCode::FORBIDDEN),
            (ReplayReason::Unauthorized, StatusCode::OK),
            (ReplayReason::Unauthorized, StatusCode::UNAUTHORIZED),
        ] {
            let event = Event::Replayed {
                reason,
                status,
                attempt,
            };
            counts.add(Duration::ZERO, &event);
        }
        let found = [200, 401, 403, 429, 503].map(|status| {
            let status = StatusCode::from_u16(status);
            status.map_or(0, |status| counts.replayed(status))
        });
        assert_eq!(found, [1, 1, 2, 1, 0]);
    }
}
