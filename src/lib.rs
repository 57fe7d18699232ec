#![doc = include_str!("../README.md")]
//!
//! # The map
//!
//! ```text
//!            Account ── attach ──▶ RateLimitMiddleware ─▶ AuthMiddleware ─▶ wire
//!   (account.rs, config.rs,        (rate_limit/)          (auth/)
//!    distributors/)                skin: middleware.rs    skin: middleware.rs
//!                                  shell: limiter.rs      shell: cache.rs
//!                                  core: state.rs         core: state.rs
//!                                        │                      │
//!                                        └──── passage.rs ──────┘
//!                                  what one layer leaves for the other
//! ```
//!
//! Decisions are plain functions of state, input and `now` (the cores); async, clock, HTTP and
//! locks live in thin shells around them. The two halves do not know each other.

mod account;
mod config;
pub mod distributors;

mod auth;
mod rate_limit;
mod stores;

mod options;
#[cfg(feature = "retry")]
mod retry;

mod error;
mod event;
#[cfg(feature = "metrics")]
pub mod metrics;
mod span;

mod clock;
mod contain;
mod cost;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod header_value;
mod origin;
mod passage;
mod percent;
mod phrase;
mod printable;
mod redirects;
mod response;
mod secret;
mod sync;
#[cfg(feature = "task-local")]
mod task_scope;
mod verdict;

#[cfg(feature = "sandbox")]
pub mod sandbox;
#[cfg(feature = "signing")]
pub mod signing;

#[cfg(tollgate_model)]
pub use {auth::model, rate_limit::model as line_model};

pub use account::{Account, AccountBuilder, Environment};
pub use config::Config;

pub use auth::store::{Lease, Record, Swap, TokenStore};
pub use auth::{
    AccessToken, Attempt, AuthMiddleware, AuthorizationRequest, ClientAuth, Grant, Health,
    JwtBearer, RenewalElsewhere, Signer,
};
pub use rate_limit::{
    Pacing, Permit, Quota, QuotaSnapshot, QuotaStore, RateLimitMiddleware, Rejected, ResetUnit,
    Window, WindowSnapshot,
};
pub use stores::{FileStore, FileStoreError, MemoryStore};

pub use options::{Priority, RequestOptions};
#[cfg(feature = "retry")]
pub use retry::RetryStrategy;

pub use error::{BoxError, Cause, Error, ErrorKind, Recovery};
pub use event::{Event, Observer, RejectionVerdict, RenewalReason, ReplayReason};

pub use clock::{BoxFuture, Clock, Moment, Now, PausedClock, SystemClock};
pub use redirects::{http_client_builder, same_origin_redirects};
pub use secret::Secret;
pub use verdict::{Rule, Verdict};
