//! Windows: "so many requests in so long", and where a response reports on them.
//!
//! DigiKey allows 120 requests a minute *and* 1000 a day, per API product: two windows, which make
//! one quota (`quota.rs`) for each product.

mod headers;
mod lengths;
mod offset;
mod span;
mod text;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::pacing::Pacing;
use crate::clock::Now;
use crate::cost::REQUESTS;
use crate::verdict::Verdict;

pub use headers::ResetUnit;
pub(crate) use headers::WindowHeaders;
pub(crate) use offset::Offset;
pub(crate) use span::{Period, Span};
pub(crate) use text::parse_length;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A clock that NTP sets right runs too slow by up to one part in so many (500 ppm, the most that a
/// kernel allows), and a server may count in whole milliseconds. Without that margin a client
/// nearby is a hair too early now and then.
const CLOCK_DRIFT: u32 = 2_000;
const CLOCK_GRAIN: Duration = Duration::from_millis(1);

/// No clock of this crate lives to see a longer one end, and sums with it do not overflow.
const LONGEST: Duration = Duration::from_nanos(u64::MAX);

/// A limit on the number of requests, or of what else they cost ([`unit`](Self::unit)), in a length
/// of time.
///
/// Written as text (configuration files, command lines, [`FromStr`]) it is `LIMIT/LENGTH`:
/// `120/min`, `10/s`, `20/500ms`, `3000/12h`, `5000/day` (any 24 hours), `1000/utc-day` (resets at
/// 00:00 UTC), `10000/utc-month`, and `5000/day-06:00` or `20000/month+01:00` (resets at 00:00 by a
/// clock of that offset: [`per_local_day`](Self::per_local_day)).
///
/// Responses may report on it. The header names that a window is given are its own. Those in common
/// use belong to the window whose length they tell (the IETF's `RateLimit` and `RateLimit-Policy`,
/// drafts 06 to 10; `X-RateLimit-Limit-Minute` and the like), else to the one whose limit they tell
/// (`X-RateLimit-*`, `X-Rate-Limit-*`, `X-BurstLimit-*`, or the IETF's without a length). What they
/// say of another limit is obeyed until the reset that they tell, and changes no window.
///
/// ```
/// use std::time::Duration;
/// use reqwest_tollgate::Window;
///
/// let window: Window = "20/500ms".parse()?;
/// assert_eq!(window, Window::new(20, Duration::from_millis(500)));
/// assert_eq!(window.to_string(), "20/500ms");
/// # Ok::<(), reqwest_tollgate::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub(crate) limit: u64,
    pub(crate) span: Span,
    pub(crate) unit: Arc<str>,
    /// Its length before a margin was added, if one was.
    pub(crate) shown: Option<Duration>,
    pub(crate) headers: WindowHeaders,
    pub(crate) pacing: Pacing,
    pub(crate) reserve: u64,
    pub(crate) follows_raises: bool,
    // Setters never fail; `build()` reports what they could not take.
    pub(crate) problems: Vec<String>,
}

impl Window {
    /// What the window counts; default `"requests"`, of which every request costs one.
    ///
    /// A request is concerned by a window of another unit only if it names its cost in that unit
    /// ([`RequestOptions::cost`](crate::RequestOptions::cost)). What the window's limit, reserve
    /// and response headers tell is in this unit too.
    ///
    /// ```
    /// use reqwest_tollgate::{Account, RequestOptions, Window};
    ///
    /// let account = Account::builder("acme", "https://api.acme.example")
    ///     .window(Window::per_minute(100).unit("lines"))
    ///     .window(Window::per_day(1000))
    ///     .build()?;
    /// let order = RequestOptions::new().cost("lines", 12);
    /// # Ok::<(), reqwest_tollgate::Error>(())
    /// ```
    #[must_use]
    pub fn unit(mut self, unit: &str) -> Self {
        if unit.trim().is_empty() {
            self.problems.push("a window's unit is empty".to_owned());
        }
        self.unit = unit.into();
        self
    }

    /// How the requests follow each other; default [`Pacing::Auto`].
    #[must_use]
    pub fn pacing(mut self, pacing: Pacing) -> Self {
        self.pacing = pacing;
        self
    }

    /// Keeps the last `amount` of the window for
    /// [`Priority::High`](crate::Priority::High); default 0, and less than the limit.
    ///
    /// In a quota with such a window a request of high priority passes all others, however long
    /// they have waited.
    #[must_use]
    pub fn reserve(mut self, amount: u64) -> Self {
        if amount >= self.limit {
            let limit = self.limit;
            let problem = format!("a reserve of {amount} leaves nothing of a limit of {limit}");
            self.problems.push(problem);
        }
        self.reserve = amount;
        self
    }

    /// Whether a limit that the server tells is taken too where it is above the configured one;
    /// default false. A lower one is taken always. Both only where it is clear whose limit it is:
    /// the window names the [`limit_header`](Self::limit_header), or the response tells the
    /// window's length.
    ///
    /// For an account whose limits the vendor raises now and then, and tells so in its responses
    /// alone. A higher limit counts until the server tells another one, or for ten windows after it
    /// was told last (of a day, ten days), restarts between included where there is a
    /// [`quota_store`](crate::AccountBuilder::quota_store).
    ///
    /// Not where several machines divide a limit by configuration, 500 of 1000 each: every one of
    /// them would take all that the server tells.
    ///
    /// ```
    /// use reqwest_tollgate::Window;
    ///
    /// let window = Window::per_utc_day(1000)
    ///     .limit_header("x-ratelimit-limit")
    ///     .remaining_header("x-ratelimit-remaining")
    ///     .follow_raises(true);
    /// ```
    #[must_use]
    pub fn follow_raises(mut self, follow: bool) -> Self {
        self.follows_raises = follow;
        self
    }

    /// The response header that tells the window's limit.
    #[must_use]
    pub fn limit_header(mut self, name: &str) -> Self {
        self.headers.limit = self.header_name(name);
        self
    }

    /// The response header that tells how many requests are left in the window.
    #[must_use]
    pub fn remaining_header(mut self, name: &str) -> Self {
        self.headers.remaining = self.header_name(name);
        self
    }

    /// The response header that tells when the window resets, as a number
    /// ([`reset_unit`](Self::reset_unit)) or as a date.
    #[must_use]
    pub fn reset_header(mut self, name: &str) -> Self {
        self.headers.reset = self.header_name(name);
        self
    }

    /// A second header that tells the same moment, as a date; it goes before
    /// [`reset_header`](Self::reset_header) (DigiKey's `X-BurstLimit-ResetTime`).
    #[must_use]
    pub fn reset_time_header(mut self, name: &str) -> Self {
        self.headers.reset_time = self.header_name(name);
        self
    }

    /// What the number in the reset header counts; default: told by its size.
    #[must_use]
    pub fn reset_unit(mut self, unit: ResetUnit) -> Self {
        self.headers.reset_unit = unit;
        self
    }

    /// How many requests the window allows, or how much of its unit.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// How long the window is; a month counts as 31 days.
    pub fn length(&self) -> Duration {
        match self.span {
            Span::Rolling(length) => length,
            Span::Calendar(period) => period.longest(),
        }
    }

    /// Its length as it was configured, without a margin for the server's clock.
    pub(crate) fn configured_length(&self) -> Duration {
        self.shown.unwrap_or_else(|| self.length())
    }

    /// How long to pause once the server called it spent and did not say until when: to its end by
    /// the calendar, or a while.
    pub(crate) fn pause(&self, now: Now) -> Duration {
        match self.span {
            Span::Rolling(length) => length.min(Verdict::LOOK_AGAIN),
            Span::Calendar(period) => {
                let end = period.ends_after(now.wall);
                end.duration_since(now.wall).unwrap_or_default()
            }
        }
    }

    /// Whether it was told no more than its limit and its length.
    pub(crate) fn is_plain(&self) -> bool {
        let is_paced = self.pacing != Pacing::default() || self.reserve > 0;
        let counts_requests = &*self.unit == REQUESTS;
        let is_default = counts_requests && !is_paced && !self.follows_raises;
        is_default && self.headers == WindowHeaders::default()
    }

    /// Whether both count the same in the same length, so that one replaces the other.
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        self.length() == other.length() && self.unit == other.unit
    }

    /// As long as it may be by the server's clock.
    pub(crate) fn by_another_clock(&self) -> Self {
        let mut window = self.clone();
        if let Span::Rolling(length) = self.span {
            let by_theirs = length.saturating_add(length / CLOCK_DRIFT + CLOCK_GRAIN);
            window.span = Span::Rolling(by_theirs.min(LONGEST));
            window.shown = Some(length);
        }
        window
    }

    fn header_name(&mut self, name: &str) -> Option<HeaderName> {
        let parsed = HeaderName::from_str(name).ok();
        if parsed.is_none() {
            self.problems.push(format!("{name:?} is not a header name"));
        }
        parsed
    }
}

#[cfg(test)]
mod tests;
