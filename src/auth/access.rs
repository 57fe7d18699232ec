//! An access token as a caller gets it.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::token::Token;

/// An access token for use where the layers cannot be, a WebSocket for one
/// ([`Account::token`](crate::Account::token)). `Debug` does not show it.
#[derive(Clone)]
pub struct AccessToken(pub(super) Arc<Token>);

impl AccessToken {
    /// The token itself: a secret.
    pub fn expose(&self) -> &str {
        self.0.secret()
    }

    /// When it ends; none if the token endpoint did not say it.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.0.times().expires_at()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}
