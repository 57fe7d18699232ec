//! What is left of a quota, for the caller.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use smallvec::SmallVec;

/// What is left of the quota that a request was counted in; in `Response::extensions()`, and from
/// [`Account::quotas`](crate::Account::quotas).
///
/// ```no_run
/// # use reqwest_tollgate::QuotaSnapshot;
/// # fn example(response: &reqwest::Response) {
/// if let Some(quota) = response.extensions().get::<QuotaSnapshot>() {
///     for window in quota.windows() {
///         println!("{} of {} left until {:?}", window.remaining, window.limit, window.reset);
///     }
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct QuotaSnapshot {
    pub(crate) account: Arc<str>,
    pub(crate) quota: Arc<str>,
    // Inline, since a snapshot is made for every response.
    pub(crate) windows: SmallVec<[WindowSnapshot; 3]>,
    pub(crate) blocked_until: Option<SystemTime>,
}

impl QuotaSnapshot {
    /// The account's name.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The quota's name.
    pub fn quota(&self) -> &str {
        &self.quota
    }

    /// Its windows: those that are configured, shortest first, then those that were learned from
    /// what responses tell.
    pub fn windows(&self) -> &[WindowSnapshot] {
        &self.windows
    }

    /// The end of the pause after a rejection; none: there is no pause.
    pub fn blocked_until(&self) -> Option<SystemTime> {
        self.blocked_until
    }
}

/// One window of a [`QuotaSnapshot`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WindowSnapshot {
    /// How long the window is; a month counts as 31 days. None for a learned window whose length
    /// no response has told.
    pub length: Option<Duration>,
    /// Whether it is not configured, and was learned from what responses tell. It ends with its
    /// evidence, and is not known when the process starts anew.
    pub learned: bool,
    /// What it counts: `"requests"`, or what [`Window::unit`](crate::Window::unit) says.
    pub unit: Arc<str>,
    /// The limit in force: the configured one, or the server's if that is lower and proven, or if
    /// the window [follows raises](crate::Window::follow_raises). Of a learned window, the one that
    /// was told, or 0.
    pub limit: u64,
    /// How much is left, in its unit: the smaller of the server's count and ours.
    pub remaining: u64,
    /// When the window resets, if the server or the calendar says so.
    pub reset: Option<SystemTime>,
}
