//! An access token and its times. Pure: every function takes `now`.
//!
//! Words as in HTTP caching (RFC 9111): a token is *fresh*, then *stale* (still good, but its
//! successor should be fetched), then *expired*. Both turns are relative to the lifetime, since
//! lifetimes are not alike: five minutes before the end is early for a day, and before the
//! beginning for TME's 300 seconds.
//!
//! Each turn is kept by both clocks and has come once *either* passed it: the monotonic clock
//! stands still while the machine sleeps, the wall clock may be set.

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::clock::{Moment, Now};
use crate::sync::AtomicU64;

const YEAR: Duration = Duration::from_secs(365 * 86_400);
const UNKNOWN: Duration = Duration::from_secs(300);
const LONGEST_MARGIN: Duration = Duration::from_secs(30);
const EVIDENCE_LASTS: Duration = Duration::from_secs(10);
/// Successes that left closer together than this are one piece of evidence.
const EVIDENCE_EVERY: Duration = Duration::from_secs(1);
// Below this a cap learned from a refusal would only make a loop.
const SHORTEST_CAP: Duration = Duration::from_secs(1);
const SCHEME: &str = "Bearer ";

/// How long a token lives, and how far that is to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// The answer said it.
    Stated(Duration),
    /// The answer did not; the distributor's tokens usually live so long.
    Usual(Duration),
    /// Nobody knows: renewed after so long, but never refused as expired.
    Unknown(Duration),
}

impl Lifetime {
    /// From what the answer said, the distributor's usual lifetime, and the cap learned from a
    /// token of unknown expiry that was refused.
    pub(crate) fn new(
        stated: Option<Duration>,
        usual: Option<Duration>,
        cap: Option<Duration>,
    ) -> Self {
        match (stated.filter(|span| !span.is_zero()), usual) {
            (Some(span), _) => Self::Stated(span.min(YEAR)),
            (None, Some(span)) => Self::Usual(span.min(YEAR)),
            (None, None) => Self::Unknown(cap.unwrap_or(UNKNOWN).min(UNKNOWN)),
        }
    }

    /// How long.
    pub(crate) fn span(self) -> Duration {
        match self {
            Self::Stated(span) | Self::Usual(span) | Self::Unknown(span) => span,
        }
    }
}

/// How long before the end a token turns stale: `draw` in 0..1 spreads accounts by a fifth, so that
/// a fleet that was started together does not renew together.
pub(crate) fn lead(configured: Duration, lifetime: Duration, draw: f64) -> Duration {
    let lead = configured.min(lifetime / 4);
    // A lead shorter than the margin would let a token expire before it was ever stale.
    lead.mul_f64(1.0 + 0.2 * draw.clamp(0.0, 1.0))
        .max(margin(lifetime))
}

/// How long before the end a token is no longer sent: it has to arrive there alive.
pub(crate) fn margin(lifetime: Duration) -> Duration {
    LONGEST_MARGIN.min(lifetime / 10)
}

/// The lifetime that a refusal at this age suggests for the next token of unknown expiry.
pub(crate) fn cap_after_refusal(age: Duration) -> Duration {
    age.mul_f64(0.9).max(SHORTEST_CAP)
}

/// A point in time by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    moment: Moment,
    wall: Option<SystemTime>,
}

impl Turn {
    fn after(start: Now, span: Duration) -> Self {
        Self {
            moment: start.moment + span,
            wall: start.wall.checked_add(span),
        }
    }

    fn has_come(&self, now: Now) -> bool {
        now.moment >= self.moment || self.wall.is_some_and(|wall| now.wall >= wall)
    }
}

/// When a token turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    start: Now,
    lifetime: Lifetime,
    stale: Turn,
    expired: Option<Turn>,
}

impl Times {
    /// `start` is the moment *before* the token request was sent: the server began to count later.
    pub(crate) fn new(start: Now, lifetime: Lifetime, configured: Duration, draw: f64) -> Self {
        let span = lifetime.span();
        let expired = match lifetime {
            Lifetime::Unknown(_) => None,
            _ => Some(Turn::after(start, span - margin(span))),
        };
        Self {
            start,
            lifetime,
            stale: Turn::after(start, span.saturating_sub(lead(configured, span, draw))),
            expired,
        }
    }

    /// Whether the successor should be fetched.
    pub(crate) fn is_stale(&self, now: Now) -> bool {
        self.stale.has_come(now)
    }

    /// How long it is fresh yet, by the clock that ends it first.
    pub(crate) fn fresh_for(&self, now: Now) -> Duration {
        let by_wall = self.stale.wall.map(|wall| wall.duration_since(now.wall));
        let by_wall = by_wall.map(Result::unwrap_or_default);
        let by_moment = self.stale.moment - now.moment;
        by_wall.map_or(by_moment, |span| span.min(by_moment))
    }

    /// Whether the token must no longer be sent.
    pub(crate) fn is_expired(&self, now: Now) -> bool {
        self.expired.is_some_and(|turn| turn.has_come(now))
    }

    /// How long it may still be sent.
    pub(crate) fn left(&self, now: Now) -> Duration {
        match self.expired {
            Some(_) if self.is_expired(now) => Duration::ZERO,
            Some(turn) => turn.moment - now.moment,
            None => UNKNOWN,
        }
    }

    /// How old it is.
    pub(crate) fn age(&self, now: Now) -> Duration {
        now.moment - self.start.moment
    }

    /// The wall time before its request was sent.
    pub(crate) fn issued_at(&self) -> SystemTime {
        self.start.wall
    }

    /// When it ends, if the endpoint said so.
    pub(crate) fn expires_at(&self) -> Option<SystemTime> {
        match self.lifetime {
            Lifetime::Stated(span) => self.start.wall.checked_add(span),
            _ => None,
        }
    }

    /// Whether nobody knows when it ends.
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self.lifetime, Lifetime::Unknown(_))
    }
}

/// An access token, ready to be put on requests.
pub(crate) struct Token {
    generation: u64,
    header: HeaderValue,
    fingerprint: Fingerprint,
    times: Times,
    evidence: Evidence,
}

/// Tells access tokens apart without keeping one.
pub(crate) type Fingerprint = [u8; 32];

/// The fingerprint of an access token; white space around it makes no other token of it.
pub(crate) fn fingerprint(access_token: &str) -> Fingerprint {
    Sha256::digest(access_token.trim().as_bytes()).into()
}

/// An access token without the white space around it.
///
/// # Errors
/// Why it cannot be sent, to stand after "a token that"; never with the token in it.
pub(crate) fn sendable(access_token: &str) -> Result<&str, String> {
    let text = access_token.trim();
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    // RFC 6750 section 2.1 allows still less; what a vendor means by the rest is its own affair.
    let is_visible = |c: char| ('\u{21}'..='\u{7e}').contains(&c);
    match text.chars().position(|c| !is_visible(c)) {
        Some(index) => Err(format!(
            "holds a character that no header can carry at position {}",
            index + 1
        )),
        None => Ok(text),
    }
}

impl Token {
    /// White space around the text is not sent. None if it is not [`sendable`].
    pub(crate) fn new(generation: u64, access_token: &str, times: Times) -> Option<Self> {
        let access_token = sendable(access_token).ok()?;
        let text = Zeroizing::new(format!("{SCHEME}{access_token}"));
        let mut header = HeaderValue::from_str(&text).ok()?;
        header.set_sensitive(true);
        Some(Self {
            generation,
            header,
            fingerprint: fingerprint(access_token),
            times,
            evidence: Evidence::default(),
        })
    }

    /// Counts the account's tokens in this process, from 1.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// `Bearer …`, built once and marked sensitive.
    pub(crate) fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// The access token itself.
    pub(crate) fn secret(&self) -> &str {
        let text = self.header.to_str().unwrap_or_default();
        text.strip_prefix(SCHEME).unwrap_or_default()
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(crate) fn times(&self) -> &Times {
        &self.times
    }

    pub(crate) fn evidence(&self) -> &Evidence {
        &self.evidence
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("generation", &self.generation)
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}

/// What requests found out about a token: whether it works, and whether a 401 need be its fault.
///
/// A success proves that the token works if its request left after the last refused replay. It
/// takes such a refusal *and* a later success to say that a 401 is not the token's fault.
///
/// Zero means "never": a request cannot have started at the very start of the clock.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    refused: AtomicU64,
    /// When the latest successful request left, in steps of [`EVIDENCE_EVERY`].
    worked_from: AtomicU64,
    /// When a success was noted last.
    worked: AtomicU64,
}

impl Evidence {
    /// A replay with this token was refused.
    pub(crate) fn note_refused_replay(&self, now: Moment) {
        self.refused.fetch_max(nanos(now), Ordering::Relaxed);
    }

    /// Whether the success of a request that left at `started` is news: two loads on the way of
    /// every request, where noting it takes a reading of the clock and two writes that all threads
    /// would contend for.
    pub(crate) fn is_sought(&self, started: Moment) -> bool {
        let refused = self.refused.load(Ordering::Relaxed);
        let from = self.worked_from.load(Ordering::Relaxed);
        let started = nanos(started);
        let is_first = from <= refused && started > refused;
        is_first || Duration::from_nanos(started.saturating_sub(from)) >= EVIDENCE_EVERY
    }

    /// A request with this token that left at `started` succeeded.
    pub(crate) fn note_success(&self, started: Moment, now: Moment) {
        let started = nanos(started);
        if started > self.refused.load(Ordering::Relaxed) {
            self.worked_from.fetch_max(started, Ordering::Relaxed);
            self.worked.fetch_max(nanos(now), Ordering::Relaxed);
        }
    }

    /// Whether it worked of late: a request that left after the last refused replay succeeded with
    /// it within the last ten seconds.
    pub(crate) fn works(&self, now: Moment) -> bool {
        let refused = self.refused.load(Ordering::Relaxed);
        let from = self.worked_from.load(Ordering::Relaxed);
        let worked = self.worked.load(Ordering::Relaxed);
        let since = Duration::from_nanos(nanos(now).saturating_sub(worked));
        from > refused && since <= EVIDENCE_LASTS
    }

    /// Whether a refusal now says nothing about the token.
    pub(crate) fn exonerates(&self, now: Moment) -> bool {
        self.refused.load(Ordering::Relaxed) != 0 && self.works(now)
    }
}

fn nanos(moment: Moment) -> u64 {
    u64::try_from((moment - Moment::ZERO).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
