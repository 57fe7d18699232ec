//! Which accounts live in this process.
//!
//! Two accounts with the same credentials are two ledgers of one quota, and two that renew one
//! chain of refresh tokens. That is hardly ever meant (a clone was), so it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use url::Url;
use zeroize::Zeroizing;

use super::Shared;
use crate::auth::OAuthSettings;
use crate::auth::persistence::record;
use crate::secret::Secret;

/// Accounts of one identity share a quota at the distributor, and one record in a store. It has no
/// `Debug`: a field of the token request may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) name: Arc<str>,
    pub(super) base_url: Url,
    /// Whose tokens it has, where it has them.
    pub(super) tokens: Option<TokenIdentity>,
}

/// What makes the tokens of one account other ones than those of another.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct TokenIdentity {
    /// Their key in a store.
    key: String,
    /// Without those that cannot be read.
    fields: BTreeMap<String, Zeroizing<String>>,
}

impl TokenIdentity {
    pub(super) fn of(account: &str, oauth: &OAuthSettings) -> Self {
        let field = |(name, secret): &(String, Secret)| Some((name.clone(), secret.read().ok()?));
        Self {
            key: record::key(account, oauth),
            fields: oauth.token_fields.iter().filter_map(field).collect(),
        }
    }
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
