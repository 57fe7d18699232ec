//! Permits for code that speaks to the distributor without the layers.

use super::Account;
use crate::error::Error;
use crate::options::RequestOptions;
use crate::rate_limit::Permit;

impl Account {
    /// Waits until a request to `path` may leave, for use where the layers cannot be: another HTTP
    /// client, a WebSocket, a library that sends by itself. It is counted with the requests of the
    /// layers, in the same quota, and stands in the same line.
    ///
    /// `path` chooses the quota by its prefix, as the path of a URL does; of the options, `quota`,
    /// `priority`, `cost`, `timeout`, `deadline` and `max_wait` count, over those of the task and
    /// the account. Nothing is sent again by itself: see [`Permit::answered`].
    ///
    /// ```
    /// use reqwest_tollgate::{Account, RequestOptions, Window};
    /// # use http::{HeaderMap, StatusCode};
    /// # async fn send() -> (StatusCode, HeaderMap) { (StatusCode::OK, HeaderMap::new()) }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), reqwest_tollgate::Error> {
    /// let account = Account::builder("acme", "https://api.acme.example")
    ///     .window(Window::per_minute(120))
    ///     .build()?;
    /// let mut permit = account.permit("/part/LM358", &RequestOptions::new()).await?;
    /// loop {
    ///     let (status, headers) = send().await;
    ///     match permit.answered(status, &headers) {
    ///         Some(rejected) => permit = rejected.again().await?,
    ///         None => break,
    ///     }
    /// }
    /// assert_eq!(account.quotas()[0].windows()[0].remaining, 119);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of a request that waits for its permit:
    /// [`ErrorKind::QuotaExceeded`](crate::ErrorKind::QuotaExceeded), `DeadlineExceeded`,
    /// `QueueFull`, `CostExceedsLimit`; [`ErrorKind::Config`](crate::ErrorKind::Config) if the
    /// option names a quota, or a unit of a cost, that there is not.
    ///
    /// # Cancel safety
    /// Dropping it leaves the line; a permit that it was granted meanwhile goes back.
    pub async fn permit(&self, path: &str, options: &RequestOptions) -> Result<Permit, Error> {
        let options = options.on_this_task(&self.defaults);
        self.shared.limiter.permit(path, &options).await
    }

    /// The same without waiting: none if the request could not leave now, or if others wait that
    /// go before it.
    ///
    /// # Errors
    /// [`ErrorKind::CostExceedsLimit`](crate::ErrorKind::CostExceedsLimit) and
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), as [`permit`](Self::permit).
    pub fn try_permit(
        &self,
        path: &str,
        options: &RequestOptions,
    ) -> Result<Option<Permit>, Error> {
        let options = options.on_this_task(&self.defaults);
        self.shared.limiter.try_permit(path, &options)
    }
}
