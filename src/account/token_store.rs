//! Whether the token store can be used, before an account needs it.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use super::check::problems::Problems;
use crate::auth::OAuthSettings;
use crate::auth::persistence::record;

const LONGEST_CHECK: Duration = Duration::from_secs(5);

/// On a thread of its own, since a store may hang: that may pass, so it is no problem here.
pub(super) fn check(account: &str, oauth: &OAuthSettings, problems: &mut Problems) {
    let Some(store) = oauth.store.clone() else {
        return;
    };
    let key = record::key(account, oauth);
    let needs_lease = oauth.grant.0.refreshes();
    let (sender, checked) = channel();
    let check = move || {
        let _ = sender.send(store.check(&key, needs_lease));
    };
    let thread = thread::Builder::new().name("token-store-check".into());
    if thread.spawn(check).is_err() {
        return;
    }
    match checked.recv_timeout(LONGEST_CHECK) {
        Ok(Ok(())) | Err(RecvTimeoutError::Timeout) => {}
        Ok(Err(error)) => problems.add("token_store", error.to_string()),
        Err(RecvTimeoutError::Disconnected) => problems.add("token_store", "its check panicked"),
    }
}
