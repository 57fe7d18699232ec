//! An answer whose body has not ended.

use std::sync::{Arc, Weak};

use super::in_flight::PermitId;
use super::limiter::Limiter;
use super::quotas::Chosen;
use crate::clock::Now;

/// Counts against `max_in_flight` until it is dropped.
pub(super) struct OpenBody {
    /// The caller may keep the body for long. Where the account is gone, nothing waits.
    limiter: Weak<Limiter>,
    quota: Chosen,
    body: PermitId,
    since: Now,
}

impl OpenBody {
    /// None if nothing bounds how many there are.
    pub(super) fn of(limiter: &Arc<Limiter>, quota: &Chosen) -> Option<Self> {
        limiter.settings.max_in_flight?;
        let since = limiter.settings.clock.now();
        Some(Self {
            limiter: Arc::downgrade(limiter),
            quota: quota.clone(),
            body: limiter.line(quota).begin_body(since),
            since,
        })
    }
}

impl Drop for OpenBody {
    fn drop(&mut self) {
        if let Some(limiter) = self.limiter.upgrade() {
            let now = limiter.now_after(self.since);
            limiter.line(&self.quota).end_body(self.body, now);
        }
    }
}
