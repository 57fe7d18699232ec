//! Redirects, which happen beneath every middleware: only the `reqwest::Client` can stop one.

use reqwest::ClientBuilder;
use reqwest::redirect::{Attempt, Policy};

use crate::origin::same_origin;

/// As many as reqwest and browsers follow by themselves.
const MOST: usize = 10;

/// A builder of reqwest's for a client beneath the layers of any number of accounts: redirects stay
/// within an origin ([`same_origin_redirects`]), and no request carries a `Referer`, which would
/// show a key in the query of the one before. Everything else is as in `reqwest::Client::builder`.
///
/// [`Account::client`](crate::Account::client) uses it; for what has to be added to it:
///
/// ```
/// use std::time::Duration;
/// use reqwest_middleware::ClientBuilder;
/// use reqwest_tollgate::{Account, Window, http_client_builder};
///
/// let account = Account::builder("acme", "https://api.acme.example")
///     .header("X-Api-Key", "my-key")
///     .build()?;
/// let pool = http_client_builder().connect_timeout(Duration::from_secs(5)).build()?;
/// let client = account.attach(ClientBuilder::new(pool)).build();
/// # let _ = client;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn http_client_builder() -> ClientBuilder {
    reqwest::Client::builder()
        .redirect(same_origin_redirects())
        .referer(false)
}

/// A redirect policy for the client that you build: redirects are followed within an origin
/// (scheme, host, port; RFC 6454), at most ten; one that leads elsewhere is not followed, and the
/// caller gets the 3xx itself. [`http_client_builder`] has it.
///
/// reqwest strips `Authorization` and cookies when a redirect leaves the origin, but not a header
/// of another name (`Ocp-Apim-Subscription-Key`); after a 307 or 308 the body goes there too, and
/// the whole URL of the request before, a key in its query included, as `Referer`. No middleware
/// sees that happen; where it has happened, [`Event::CredentialsRedirected`] reports it.
///
/// Files on other hosts that redirect to further hosts (datasheets) are fetched with a client of
/// their own: this policy knows no account, so it stops at every change of the origin.
///
/// [`Event::CredentialsRedirected`]: crate::Event::CredentialsRedirected
///
/// ```
/// let client = reqwest::Client::builder()
///     .redirect(reqwest_tollgate::same_origin_redirects())
///     .build()?;
/// # Ok::<(), reqwest::Error>(())
/// ```
pub fn same_origin_redirects() -> Policy {
    Policy::custom(|attempt: Attempt<'_>| {
        let last = attempt.previous().last();
        if !last.is_some_and(|last| same_origin(last, attempt.url())) {
            return attempt.stop();
        }
        if attempt.previous().len() > MOST {
            return attempt.error("too many redirects");
        }
        attempt.follow()
    })
}
