//! An access token as a caller gets it.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::Authenticator;
use super::cache::state::Need;
use super::token::Token;
use crate::error::Error;
use crate::options::RequestOptions;

/// An access token for use where the layers cannot be, a WebSocket for one
/// ([`Account::token`](crate::Account::token)). `Debug` does not show it.
#[derive(Clone)]
pub struct AccessToken(Arc<Token>);

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

impl Authenticator {
    /// A token, for use beside the layers; none if the account has no token endpoint.
    ///
    /// # Errors
    /// As of [`Cache::token`].
    pub(crate) async fn token(
        &self,
        options: &RequestOptions,
    ) -> Result<Option<AccessToken>, Error> {
        let Some(cache) = self.cache() else {
            return Ok(None);
        };
        let now = self.settings.clock.now();
        let token = match cache.ready(now) {
            Some(token) => token,
            None => cache.token(Need::Usable, options.patience(now)).await?,
        };
        Ok(Some(AccessToken(token)))
    }
}
