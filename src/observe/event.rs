//! Everything worth logging or counting, as one enum.
//!
//! An [`Observer`] sees each [`Event`] of an account as it happens: counters, summaries and
//! pictures are made from them. With the feature `tracing` every event is a `tracing` event too,
//! under the target `reqwest_tollgate`; with the feature `metrics` every event is counted. No event
//! holds a secret.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderName, StatusCode};

use crate::contain::contained;
use crate::error::Error;

/// Something that happened to an account.
///
/// Attempts on the wire are counted by the limiter's events alone, one [`Answered`](Self::Answered)
/// or [`Lost`](Self::Lost) for each; an account whose limiter is not attached has none.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A token request is about to leave.
    TokenRequested {
        /// Why.
        reason: RenewalReason,
    },
    /// A token request brought a token, and what had to be saved is saved (or being saved).
    TokenRenewed {
        /// Why it was asked for.
        reason: RenewalReason,
        /// Counts the account's tokens in this process, from 1.
        generation: u64,
        /// When it expires, if the endpoint said so.
        expires_at: Option<SystemTime>,
        /// From the request to the parsed answer.
        elapsed: Duration,
        /// Whether a new refresh token came along.
        rotated: bool,
    },
    /// A token that another process had stored was taken over instead of asking for one.
    TokenAdopted {
        /// Why one was needed.
        reason: RenewalReason,
        /// Counts the account's tokens in this process, from 1.
        generation: u64,
    },
    /// A renewal failed; a token that is still usable goes on being used.
    TokenFailed {
        /// Why.
        error: Error,
        /// When the next attempt is due; none: not before somebody changes something.
        retry_at: Option<SystemTime>,
    },
    /// The store has a rotated refresh token.
    TokenSaved,
    /// The store failed; saving goes on in the background, and the token is used meanwhile.
    TokenSaveFailed {
        /// Why.
        error: Error,
    },
    /// The token endpoint named another type than `Bearer`. The token is sent as Bearer all the
    /// same; reported once for each account.
    UnusualTokenType {
        /// The type, cut short.
        token_type: String,
    },
    /// The refresh token ends within a week, and renewals do not extend it: a person has to log in
    /// before. Reported at most once a day.
    RefreshTokenExpiring {
        /// When it ends.
        at: SystemTime,
    },
    /// A login took the place of another one, whose refresh token the store still had. If that was
    /// another person's, give each person's account a name of its own
    /// ([`AccountBuilder::name`](crate::AccountBuilder::name)).
    LoginReplaced,
    /// A refresh token that the store did not have yet gave way to another process's newer one.
    TokenSuperseded,
    /// A renewal was broken off with the runtime that it ran on, or by a panic.
    RefreshAbandoned {
        /// Whether its request had left. The answer is lost then, and with it perhaps the only
        /// valid refresh token. End the renewal with [`Account::flush`](crate::Account::flush)
        /// before a runtime ends.
        sent: bool,
    },
    /// The API refused a token of ours.
    TokenRejected {
        /// Which.
        generation: u64,
        /// With which status.
        status: StatusCode,
        /// What follows.
        verdict: RejectionVerdict,
        /// The distributor's name for the exchange.
        request_id: Option<String>,
    },
    /// A request that waited for a token has got it, or has given up or gone away.
    TokenAwaited {
        /// How long.
        span: Duration,
    },
    /// A request that waited for a permit has got it, or has given up or gone away.
    Waited {
        /// For which quota.
        quota: Arc<str>,
        /// How long.
        span: Duration,
    },
    /// An attempt was answered.
    Answered {
        /// The quota it was counted in.
        quota: Arc<str>,
        /// The answer's status.
        status: StatusCode,
        /// From permit to answer.
        elapsed: Duration,
        /// The distributor's name for the exchange.
        request_id: Option<String>,
    },
    /// An attempt left, and no answer came back: connection lost, timeout, or dropped by its
    /// caller.
    Lost {
        /// The quota it was counted in.
        quota: Arc<str>,
        /// From permit to loss.
        elapsed: Duration,
    },
    /// A request is about to be sent again.
    Replayed {
        /// After what.
        reason: ReplayReason,
        /// The status of the answer that led here. It need not be 401 or 429: some vendors say it
        /// with a 403 or a 200.
        status: StatusCode,
        /// Counts the replays of this request for this reason, from 1.
        attempt: u32,
    },
    /// The server said "too many requests": nobody leaves on that quota before `until`.
    QuotaRejected {
        /// Which quota.
        quota: Arc<str>,
        /// The status of the answer.
        status: StatusCode,
        /// The end of the pause.
        until: SystemTime,
        /// The distributor's name for the exchange.
        request_id: Option<String>,
    },
    /// The answer to a probe opened the quota again after a rejection.
    QuotaReopened {
        /// Which quota.
        quota: Arc<str>,
    },
    /// A header that a window names ([`Window::limit_header`](crate::Window::limit_header) and the
    /// like) came in a form that cannot be read, such as `38/40`: it counts as absent. Reported
    /// once for each name.
    HeaderUnreadable {
        /// The window's quota.
        quota: Arc<str>,
        /// The header.
        name: HeaderName,
        /// What it said, cut short.
        example: String,
    },
    /// The server tells a limit above the configured one, in the
    /// [header](crate::Window::limit_header) that the window names: the account uses less than it
    /// may. Configure the new limit, or let the window
    /// [follow raises](crate::Window::follow_raises). Reported once for each limit that is higher
    /// than those before.
    HigherLimitOffered {
        /// Which quota.
        quota: Arc<str>,
        /// The length of the window.
        length: Duration,
        /// Its configured limit, which stays in force.
        configured: u64,
        /// What the server tells.
        told: u64,
    },
    /// The server tells another limit than the configured one for a window, by the headers that the
    /// window names, by the window's length, or, where headers tell a limit alone, by a test with
    /// one request. Reported once for each change.
    LimitDiffers {
        /// Which quota.
        quota: Arc<str>,
        /// The length of the window.
        length: Duration,
        /// Its configured limit.
        configured: u64,
        /// What the server tells.
        told: u64,
        /// Whether that is the limit in force now; false: a test showed that it is not this
        /// window's.
        adopted: bool,
    },
    /// Responses report on a window that is not configured: what they say is obeyed until its
    /// reset, and [`Account::quotas`](crate::Account::quotas) shows it. Configure the window to
    /// share it evenly, and to keep to it before the first response.
    WindowLearned {
        /// Which quota.
        quota: Arc<str>,
        /// Its limit, where that is told.
        limit: Option<u64>,
        /// How long it is, where that is told.
        length: Option<Duration>,
        /// The headers that report on it.
        names: String,
    },
    /// No response has reported on a learned window for two of its periods.
    WindowForgotten {
        /// Which quota.
        quota: Arc<str>,
        /// Its limit, where that was told.
        limit: Option<u64>,
        /// How long it is, where that was told.
        length: Option<Duration>,
        /// The headers that reported on it.
        names: String,
    },
    /// These headers said three times that nothing is left, and requests were accepted. They are
    /// not obeyed until they say otherwise.
    HeadersDisbelieved {
        /// Which quota.
        quota: Arc<str>,
        /// Which headers.
        names: String,
    },
    /// A rejection told a pause that nothing corroborates, and that is longer than the quota's
    /// longest window, or an hour: after that time one request goes and asks again.
    PauseCapped {
        /// Which quota.
        quota: Arc<str>,
        /// The end of the pause that the server told.
        told: SystemTime,
        /// The end of the one that is kept.
        until: SystemTime,
    },
    /// What was learned of a quota, and any pause, was forgotten, by
    /// [`Account::reopen`](crate::Account::reopen) or
    /// [`Account::set_quota`](crate::Account::set_quota).
    EvidenceForgotten {
        /// Which quota.
        quota: Arc<str>,
    },
    /// What is used of the quotas could not be saved, or the store has not answered for 10 s; it is
    /// tried again after each change, or once it answers. Or what was saved could not be read
    /// within 5 s, and the account begins with nothing used. Of failures in a row to save, the
    /// first is reported.
    QuotaStoreFailed {
        /// Why.
        error: Error,
    },
    /// Another account that nothing tells from this one was built before and lives: it has the same
    /// name and base URL, and the same token URL, client id, scope, token fields and grant. The two
    /// do not know each other: each counts the quota for itself and renews tokens for itself. A
    /// clone was meant; or, where each is another person's, a name for each.
    SecondLedger,
    /// The configuration file holds a secret itself, instead of saying where it is: it goes
    /// wherever the file goes. Told once for each, when the account is built.
    LiteralSecret {
        /// Its key in the account's table, such as `client_secret` or `headers.X-Api-Key`.
        key: String,
    },
    /// An answer came from another origin although keys were on the request: the client followed a
    /// redirect, and what reqwest does not strip went along (headers other than `Authorization`, a
    /// signature, the URL as `Referer`, after a 307 or 308 the body). The client was not made by
    /// [`Account::client`](crate::Account::client) or
    /// [`http_client_builder`](crate::http_client_builder); replace the key, and give the client
    /// [`same_origin_redirects`](crate::same_origin_redirects). Reported once for each host, for
    /// the first 64 hosts. A redirect that led back is not seen.
    CredentialsRedirected {
        /// The other origin's host, with its port where that is not the scheme's own.
        host: String,
    },
    /// A request failed without being sent, or without being sent again.
    Refused {
        /// With this error.
        error: Error,
    },
}

/// Why a token is asked for; its `Display` is the name that spans and counters use.
///
/// A token that another process has stored is taken over without asking, which is an event of its
/// own: [`Event::TokenAdopted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RenewalReason {
    /// There was none.
    Cold,
    /// It will expire soon; requests go on with it meanwhile.
    Stale,
    /// It has expired; requests wait.
    Expired,
    /// The API refused it.
    Rejected,
    /// Somebody had it taken for refused ([`Account::invalidate`](crate::Account::invalidate)).
    Manual,
    /// A person logged in.
    LoggedIn,
}

/// What a refused token led to; its `Display` is the name that counters use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RejectionVerdict {
    /// The token is bad: it is renewed, and the request replayed.
    Renew,
    /// A newer one is there already: the request is replayed with it.
    Superseded,
    /// The token is not the problem (no subscription, wrong client id): the answer is returned.
    NotTheToken,
    /// Too many refused tokens of late: the answer is returned, and no new one asked for.
    Storm,
    /// The token works for other requests, and the answer does not say that it is bad: the request
    /// is replayed with the same token.
    RetrySameToken,
}

/// Why a request is sent again; its `Display` is the name that counters use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayReason {
    /// Its token was refused.
    Unauthorized,
    /// The server said "too many requests".
    RateLimited,
}

/// Names of events, for logs and counters.
macro_rules! names {
    ($type:ident: $($variant:ident = $name:literal),+) => {
        impl $type {
            pub(crate) const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

names!(RenewalReason: Cold = "cold", Stale = "stale", Expired = "expired",
    Rejected = "rejected", Manual = "manual", LoggedIn = "logged_in");
names!(RejectionVerdict: Renew = "renew", Superseded = "superseded",
    NotTheToken = "not_the_token", Storm = "storm", RetrySameToken = "retry_same_token");
names!(ReplayReason: Unauthorized = "unauthorized", RateLimited = "rate_limited");

/// Sees the events of an account. Also any `Fn(&str, &Event)`.
///
/// A panic in it is contained: other observers see the event too, and the request goes on. With the
/// feature `tracing` it is reported as an error.
pub trait Observer: Send + Sync + 'static {
    /// Called on the task that brought the event about, with the account's name; it must not block.
    fn on_event(&self, account: &str, event: &Event);
}

impl<F: Fn(&str, &Event) + Send + Sync + 'static> Observer for F {
    fn on_event(&self, account: &str, event: &Event) {
        self(account, event);
    }
}

/// Where an account's events go.
#[derive(Clone)]
pub(crate) struct Events {
    account: Arc<str>,
    observers: Arc<[Arc<dyn Observer>]>,
}

impl Events {
    pub(crate) fn new(account: Arc<str>, observers: Vec<Arc<dyn Observer>>) -> Self {
        Self {
            account,
            observers: observers.into(),
        }
    }

    /// The event is made only if somebody looks. Never call it with a lock held.
    ///
    /// A panic of an observer, a subscriber or a recorder ends there: the others see the event, and
    /// what it is about goes on.
    pub(crate) fn emit(&self, event: impl FnOnce() -> Event) {
        if !self.is_observed() {
            return;
        }
        let event = event();
        #[cfg(feature = "tracing")]
        let _ = contained(|| trace(&self.account, &event));
        #[cfg(feature = "metrics")]
        let _ = contained(|| super::metrics::record(&self.account, &event));
        for observer in self.observers.iter() {
            let seen = contained(|| observer.on_event(&self.account, &event));
            if seen.is_none() {
                self.report_panic();
            }
        }
    }

    /// Without its payload, which may hold anything. Its text has gone to the panic hook.
    fn report_panic(&self) {
        #[cfg(feature = "tracing")]
        let _ = contained(|| {
            tracing::error!(
                target: "reqwest_tollgate",
                account = &*self.account,
                "an observer panicked"
            );
        });
    }

    /// Whether anybody looks.
    pub(crate) fn is_observed(&self) -> bool {
        #[cfg(feature = "tracing")]
        if contained(is_traced).unwrap_or(false) {
            return true;
        }
        // The facade does not tell whether anybody counts.
        cfg!(feature = "metrics") || !self.observers.is_empty()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "tracing")]
fn is_traced() -> bool {
    tracing::enabled!(target: "reqwest_tollgate", tracing::Level::WARN)
}

#[cfg(feature = "tracing")]
fn trace(account: &str, event: &Event) {
    macro_rules! log {
        ($level:ident) => {
            tracing::$level!(target: "reqwest_tollgate", account, ?event)
        };
    }
    match event {
        Event::Answered { .. } | Event::Waited { .. } | Event::TokenAwaited { .. } => log!(trace),
        Event::TokenRequested { .. } | Event::TokenSaved | Event::Replayed { .. } => log!(debug),
        Event::TokenRenewed { .. }
        | Event::TokenAdopted { .. }
        | Event::QuotaReopened { .. }
        | Event::EvidenceForgotten { .. } => log!(info),
        Event::WindowLearned { .. } | Event::WindowForgotten { .. } => log!(info),
        Event::HigherLimitOffered { .. }
        | Event::LimitDiffers { .. }
        | Event::HeadersDisbelieved { .. }
        | Event::PauseCapped { .. } => log!(warn),
        Event::Lost { .. }
        | Event::TokenRejected { .. }
        | Event::QuotaRejected { .. }
        | Event::TokenFailed { .. }
        | Event::TokenSaveFailed { .. }
        | Event::UnusualTokenType { .. }
        | Event::RefreshTokenExpiring { .. }
        | Event::LoginReplaced
        | Event::TokenSuperseded
        | Event::RefreshAbandoned { .. }
        | Event::HeaderUnreadable { .. }
        | Event::QuotaStoreFailed { .. }
        | Event::SecondLedger
        | Event::LiteralSecret { .. }
        | Event::CredentialsRedirected { .. }
        | Event::Refused { .. } => log!(warn),
    }
}
