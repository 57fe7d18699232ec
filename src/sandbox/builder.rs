//! What a sandbox is told before it starts.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use super::Sandbox;
use super::dialect::Dialect;
use super::enforcement::Enforcement;
use super::manners::Manners;
use super::resource::Resource;
use super::server::Server;
use super::token_endpoint;
use crate::error::Error;
use crate::rate_limit::{Quota, Window};

/// The arithmetic of the quotas is exact up to here.
const LONGEST_WINDOW: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);
/// Nobody waits longer, and dice can be thrown for it without overflow.
const LONGEST_LATENCY: Duration = Duration::from_secs(24 * 60 * 60);

/// Makes a [`Sandbox`]. Setters never fail; [`start`](Self::start) checks everything.
///
/// Without any setter called: no quota, no latency, tokens of ten minutes.
#[derive(Clone)]
#[must_use]
pub struct SandboxBuilder {
    settings: Settings,
    // Sorts the windows and lets a new one replace that of the same length, as an account does.
    quota: Quota,
}

/// What a sandbox runs by.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) token_lifetime: Duration,
    pub(super) omit_expires_in: bool,
    pub(super) refresh_grant: bool,
    pub(super) rotation: bool,
    pub(super) grace: Duration,
    /// Shortest first.
    pub(super) windows: Vec<Window>,
    pub(super) enforcement: Enforcement,
    pub(super) count_rejected: bool,
    pub(super) dialect: Dialect,
    /// None: the sandbox's own, which are DigiKey's without a check of the client's id.
    pub(super) manners: Option<Manners>,
    pub(super) header_on_success: bool,
    pub(super) latency: Range<Duration>,
    pub(super) resource: Resource,
    pub(super) port: u16,
    pub(super) seed: u64,
}

impl Settings {
    /// Where the token endpoint is; a vendor without one has no such path.
    pub(super) fn token_path(&self) -> &'static str {
        match &self.manners {
            Some(manners) => manners.token_path().unwrap_or_default(),
            None => token_endpoint::PATH,
        }
    }
}

impl Default for SandboxBuilder {
    fn default() -> Self {
        Self {
            settings: Settings {
                client_id: Sandbox::CLIENT_ID.to_owned(),
                client_secret: Sandbox::CLIENT_SECRET.to_owned(),
                token_lifetime: Self::DEFAULT_TOKEN_LIFETIME,
                omit_expires_in: false,
                refresh_grant: false,
                rotation: true,
                grace: Duration::ZERO,
                windows: Vec::new(),
                enforcement: Enforcement::default(),
                count_rejected: false,
                dialect: Dialect::default(),
                manners: None,
                header_on_success: true,
                latency: Duration::ZERO..Duration::ZERO,
                resource: Resource::default(),
                port: 0,
                seed: 0,
            },
            quota: Quota::new(Quota::DEFAULT),
        }
    }
}

impl SandboxBuilder {
    /// See [`token_lifetime`](Self::token_lifetime).
    pub const DEFAULT_TOKEN_LIFETIME: Duration = Duration::from_secs(10 * 60);

    /// The one client that the token endpoint knows; default [`Sandbox::CLIENT_ID`] and
    /// [`Sandbox::CLIENT_SECRET`].
    ///
    /// API requests need no `X-DIGIKEY-Client-Id`, but one with another id is refused; what a
    /// vendor's [`manners`](Self::manners) want of the two is theirs.
    pub fn client(mut self, id: impl Into<String>, secret: impl Into<String>) -> Self {
        self.settings.client_id = id.into();
        self.settings.client_secret = secret.into();
        self
    }

    /// How long an access token is good; default
    /// [`DEFAULT_TOKEN_LIFETIME`](Self::DEFAULT_TOKEN_LIFETIME). A lifetime that is not in whole
    /// seconds is told as a fraction.
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.token_lifetime = lifetime;
        self
    }

    /// Whether the token endpoint leaves `expires_in` out; default: no.
    pub fn omit_expires_in(mut self, omit: bool) -> Self {
        self.settings.omit_expires_in = omit;
        self
    }

    /// Whether [`Sandbox::account`] uses the refresh_token grant, with a login of its own, instead
    /// of client_credentials; default: no. The token endpoint takes both in any case.
    pub fn refresh_grant(mut self, refresh: bool) -> Self {
        self.settings.refresh_grant = refresh;
        self
    }

    /// Whether a refresh token is good for one use, which brings its successor; default: yes. A
    /// spent one that comes back ends every refresh token of its family, and access tokens live on
    /// until they expire. Without rotation no new refresh token is ever sent.
    pub fn rotation(mut self, rotation: bool) -> Self {
        self.settings.rotation = rotation;
        self
    }

    /// For how long after its first use a spent refresh token is still taken, and gets another
    /// successor; default: zero.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// Adds a window to the quota; it replaces the one of the same length. Default: none, anything
    /// goes.
    ///
    /// The shortest is the burst limit, the longest the day's. A window by the calendar resets at
    /// 00:00 UTC whatever the [`enforcement`](Self::enforcement). Header names that the window has
    /// set do not count: the [`dialect`](Self::dialect) has its own.
    pub fn window(mut self, window: Window) -> Self {
        self.quota = self.quota.window(window);
        self
    }

    /// How requests are counted; default [`Enforcement::FixedWindow`].
    pub fn enforcement(mut self, enforcement: Enforcement) -> Self {
        self.settings.enforcement = enforcement;
        self
    }

    /// Whether requests that were refused count too, in every window; default: no.
    pub fn count_rejected(mut self, count: bool) -> Self {
        self.settings.count_rejected = count;
        self
    }

    /// Which headers tell of the quota; default [`Dialect::DigiKey`].
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.settings.dialect = dialect;
        self
    }

    /// Behaves like that vendor: its credential in its places, its token endpoint, and its own
    /// words for every refusal; default: DigiKey's, except that nobody has to send the client's id.
    ///
    /// Its quotas are still the [`window`](Self::window)s: the words come from the vendor, the
    /// numbers from here, and the [`dialect`](Self::dialect) plays no part. Tokens live as long as
    /// the vendor's, unless [`token_lifetime`](Self::token_lifetime) is called afterwards. What it
    /// refused, and why, is in the [`Counters`](super::Counters).
    pub fn manners(mut self, manners: Manners) -> Self {
        let lifetime = manners.token_lifetime();
        self.settings.token_lifetime = lifetime.unwrap_or(Self::DEFAULT_TOKEN_LIFETIME);
        self.settings.manners = Some(manners);
        self
    }

    /// Whether quota headers come on every response or only on a 429; default: on every one that
    /// the [`dialect`](Self::dialect) puts them on.
    pub fn header_on_success(mut self, on_success: bool) -> Self {
        self.settings.header_on_success = on_success;
        self
    }

    /// How long an answer takes, evenly spread over the range; default: zero. Half of it passes
    /// before the quota decides and half after, on token requests too. The timer counts in
    /// milliseconds.
    pub fn latency(mut self, range: Range<Duration>) -> Self {
        self.settings.latency = range;
        self
    }

    /// What the API answers once credential and quota are in order, at any path but the token
    /// endpoint's; default: product details at DigiKey's paths, or at every path of the vendor
    /// whose [`manners`](Self::manners) it has a few words of JSON.
    ///
    /// Headers that the answer sets itself stay as they are, even the quota's. The closure runs on
    /// the sandbox's only thread: one that blocks stops the distributor, one that panics loses its
    /// connection.
    pub fn resource<B: Into<Bytes>>(
        mut self,
        answer: impl Fn(&Request<Bytes>) -> Response<B> + Send + Sync + 'static,
    ) -> Self {
        self.settings.resource = Resource::new(answer);
        self
    }

    /// The port on 127.0.0.1; default 0: any that is free.
    pub fn port(mut self, port: u16) -> Self {
        self.settings.port = port;
        self
    }

    /// Where its dice begin (latencies, phases of windows, faults by chance); default 0. The same
    /// seed and the same requests give the same sandbox, but for its tokens, which are always new.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// Starts it, on a thread of its own; returns when the port is open.
    ///
    /// # Errors
    /// One [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every problem, or says why
    /// the port cannot be opened.
    ///
    /// # Cancel safety
    /// Dropping the future ends what it has started.
    pub async fn start(mut self) -> Result<Sandbox, Error> {
        let problems = self.problems();
        if !problems.is_empty() {
            return Err(Error::config(problems.join("; ")));
        }
        self.settings.windows = self.quota.windows;
        let port = self.settings.port;
        let server = Server::start(self.settings).await.map_err(|error| {
            let message = format!("the sandbox cannot listen on 127.0.0.1:{port}: {error}");
            Error::config(message).with_source(error)
        })?;
        Sandbox::over(server)
    }

    fn problems(&self) -> Vec<String> {
        let settings = &self.settings;
        let mut problems = Vec::new();
        let mut check = |is_right: bool, problem: &str| {
            if !is_right {
                problems.push(problem.to_owned());
            }
        };
        check(!settings.client_id.is_empty(), "client: the id is empty");
        check(
            !settings.token_lifetime.is_zero(),
            "token_lifetime: must be more than zero",
        );
        check(
            settings.latency.start <= settings.latency.end,
            "latency: the range ends before it starts",
        );
        check(
            settings.latency.end <= LONGEST_LATENCY,
            "latency: longer than a day",
        );
        for window in &self.quota.windows {
            check(
                window.length() <= LONGEST_WINDOW,
                "window: longer than ten years",
            );
            for problem in &window.problems {
                check(false, &format!("window: {problem}"));
            }
        }
        problems
    }
}

impl fmt::Debug for SandboxBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxBuilder")
            .field("windows", &self.quota.windows)
            .field("enforcement", &self.settings.enforcement)
            .finish_non_exhaustive()
    }
}
