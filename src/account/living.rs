//! Which accounts live in this process.
//!
//! Two accounts with the same credentials are two ledgers of one quota, and two that renew one
//! chain of refresh tokens. That is hardly ever meant (a clone was), so it is told.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use url::Url;

use super::Shared;

/// Accounts of one identity share a quota at the distributor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) name: Arc<str>,
    pub(super) base_url: Url,
    /// Where it has them: token URL and client id.
    pub(super) client: Option<(Url, Option<String>)>,
}

static LIVING: Mutex<Vec<(Identity, Weak<Shared>)>> = Mutex::new(Vec::new());

/// Remembers an account for as long as it lives. True if another one of its identity does.
pub(super) fn enter(identity: Identity, account: &Arc<Shared>) -> bool {
    let mut living = LIVING.lock().unwrap_or_else(PoisonError::into_inner);
    living.retain(|(_, account)| account.strong_count() > 0);
    let is_second = living.iter().any(|(other, _)| *other == identity);
    living.push((identity, Arc::downgrade(account)));
    is_second
}
