//! What tasks meet at: the locks, atomics and channels of the control state, in one place.
//!
//! `tests/model` builds this same source once more with a model checker's in their stead
//! (`tollgate_model` is set by that package's build script alone). Where nothing hangs on an order,
//! the plain ones are used.

#[cfg(not(tollgate_model))]
pub(crate) use plain::*;

#[cfg(not(tollgate_model))]
mod plain {
    pub(crate) use arc_swap::{ArcSwap, Guard};
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64};
    pub(crate) use std::sync::{Mutex, MutexGuard};
    pub(crate) use tokio::runtime::Handle;
    pub(crate) use tokio::sync::watch;
}

#[cfg(tollgate_model)]
#[path = "../tests/model/src/sync.rs"]
mod checked;
#[cfg(tollgate_model)]
pub(crate) use checked::*;
