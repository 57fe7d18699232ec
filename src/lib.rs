//! placeholder

mod account;
mod auth;
mod clock;
mod config;
pub mod distributors;
mod error;
mod event;
mod options;
mod origin;
mod passage;
mod rate_limit;
mod response;
mod retry;
#[cfg(feature = "sandbox")]
pub mod sandbox;
mod secret;
mod stores;
#[cfg(feature = "task-local")]
mod task_scope;

pub use account::{Account, AccountBuilder, Environment};
pub use auth::store::{Record, Swap, TokenStore};
pub use auth::{AuthMiddleware, ClientAuth, Grant};
pub use clock::{BoxFuture, Clock, Moment, Now, PausedClock, SystemClock};
pub use error::{BoxError, Cause, Error, ErrorKind, Recovery};
pub use event::{Event, Observer, RejectionVerdict, RenewalReason, ReplayReason};
pub use options::RequestOptions;
pub use rate_limit::{Quota, RateLimitMiddleware, ResetUnit, Window};
pub use secret::Secret;
pub use stores::MemoryStore;
