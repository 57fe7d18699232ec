//! Redirects, which happen beneath every middleware.

use reqwest::redirect::{Attempt, Policy};

use crate::origin::same_origin;

/// As many as reqwest and browsers follow by themselves.
const MOST: usize = 10;

/// A redirect policy for the client that you build: redirects are followed within an origin
/// (scheme, host, port; RFC 6454), at most ten; one that leads elsewhere is not followed, and the
/// caller gets the 3xx itself.
///
/// reqwest strips `Authorization` when a redirect leaves the origin, but not a header of another
/// name (`Ocp-Apim-Subscription-Key`), and it sends the whole URL, a key in its query included, as
/// `Referer`. No middleware sees that happen.
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
