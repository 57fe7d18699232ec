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
mod observe;

mod buffered_body;
mod clock;
mod contain;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod header_value;
mod layers;
mod origin;
mod percent;
mod phrase;
mod printable;
mod redirects;
mod response_rules;
mod secret;
mod sync;

#[cfg(feature = "sandbox")]
pub mod sandbox;
#[cfg(feature = "signing")]
pub mod signing;

// By these names the limiter and the sandbox still call them.
use observe::event;
#[cfg(feature = "metrics")]
pub use observe::metrics;
use observe::span;
use options::cost;
use {buffered_body as response, layers as passage, response_rules as verdict};

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

pub use crate::observe::event::{Event, Observer, RejectionVerdict, RenewalReason, ReplayReason};
pub use error::{BoxError, Cause, Error, ErrorKind, Recovery};

pub use crate::response_rules::{Rule, Verdict};
pub use clock::{BoxFuture, Clock, Moment, Now, PausedClock, SystemClock};
pub use redirects::{http_client_builder, same_origin_redirects};
pub use secret::Secret;
