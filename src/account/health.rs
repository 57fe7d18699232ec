//! How an account stands, and how to leave it.

use super::Account;
use crate::auth::Health;
use crate::error::Error;

impl Account {
    /// How its token stands, for a readiness probe, a metric or a log. It sends nothing, waits for
    /// nothing and renews nothing.
    ///
    /// A probe that fails while [`Health::is_ready`] is false keeps an account out of service that
    /// has not been asked yet: tokens are fetched when the first request needs one. To alarm on,
    /// take [`Health::needs_login`], which does not pass by itself.
    pub fn health(&self) -> Health {
        self.shared.authenticator.health()
    }

    /// Waits until what is used of the quotas is saved, where there is a
    /// [`quota_store`](crate::AccountBuilder::quota_store), and until a renewal under way has ended
    /// and its result is stored; with nothing under way it returns at once. To be called before the
    /// process exits: a rotated refresh token that is not stored is lost, and a person has to log
    /// in again.
    ///
    /// It takes as long as the quota store, 10 s at most, then as long as the renewal (a minute or
    /// two if the token endpoint does not answer), and then as long as the token store, 10 s at
    /// most. A store that has failed is tried again at once. How the renewal ended is not its
    /// matter: [`health`](Self::health) tells that.
    ///
    /// # Errors
    /// [`ErrorKind::Store`](crate::ErrorKind::Store): a store failed, or did not save in time. It
    /// is tried again in the background while the runtime lives.
    ///
    /// # Cancel safety
    /// Dropping the future only ends the wait; renewal and saving go on.
    pub async fn flush(&self) -> Result<(), Error> {
        let quotas = self.shared.limiter.flush().await;
        self.shared.authenticator.flush().await.and(quotas)
    }
}
