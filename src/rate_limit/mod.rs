//! When a request may leave.

mod alarm;
mod answered;
mod choice;
#[cfg(test)]
mod cost_tests;
mod destination;
mod evidence;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod gate;
mod headers;
mod in_flight;
mod keeper;
mod last_word;
mod limiter;
mod line;
mod live;
mod meter;
mod middleware;
#[cfg(tollgate_model)]
#[path = "../../tests/model/src/rate_limit/mod.rs"]
pub mod model;
mod open_body;
mod pace;
mod pacing;
#[cfg(test)]
mod panic_tests;
mod permit;
mod place;
mod quota;
mod quota_line;
mod quotas;
mod rate_factor;
mod saved;
#[cfg(test)]
mod saved_tests;
mod seat;
mod share;
mod snapshot;
mod state;
pub(crate) mod store;
mod tally;
mod ticket;
mod timer;
mod turn;
mod unreadable;
pub(crate) mod window;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use crate::clock::Clock;
use crate::event::Events;
use crate::origin::Origins;
use crate::passage::AccountId;
use crate::verdict::Rules;

pub(crate) use keeper::Keeper;
#[cfg(feature = "retry")]
pub(crate) use last_word::FinalRejection;
pub(crate) use limiter::Limiter;
pub use middleware::RateLimitMiddleware;
pub use pacing::Pacing;
pub use permit::{Permit, Rejected};
pub use quota::Quota;
pub use snapshot::{QuotaSnapshot, WindowSnapshot};
pub use store::QuotaStore;
pub(crate) use tally::Tally;
pub use window::{ResetUnit, Window};

/// What the rate-limit half of an account is made of, checked by `AccountBuilder::build`.
pub(crate) struct LimiterSettings {
    pub(crate) account: Arc<str>,
    pub(crate) id: AccountId,
    pub(crate) origins: Arc<Origins>,
    pub(crate) events: Events,
    pub(crate) clock: Arc<dyn Clock>,
    /// The default quota first.
    pub(crate) quotas: Vec<Quota>,
    pub(crate) max_replays: u32,
    pub(crate) max_in_flight: Option<usize>,
    pub(crate) max_queue: Option<usize>,
    /// A request without an answer for so long counts as answered.
    pub(crate) unanswered_after: Duration,
    pub(crate) has_credentials: bool,
    /// What the distributor's answers mean.
    pub(crate) rules: Arc<Rules>,
    pub(crate) request_id_headers: Vec<HeaderName>,
    /// Where what is used of the quotas survives the process.
    pub(crate) keeper: Option<Keeper>,
    /// Whether responses carry a `QuotaSnapshot`.
    pub(crate) snapshots: bool,
}
