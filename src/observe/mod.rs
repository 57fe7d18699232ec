//! What the crate tells about itself: events, and metrics and spans made of them.

pub(crate) mod event;
#[cfg(feature = "metrics")]
pub mod metrics;
pub(crate) mod span;
