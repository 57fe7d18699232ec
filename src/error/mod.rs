//! Errors, sorted by what the caller can do about them.
//!
//! `Ok(response)` is the server's last word. An [`Error`] means that this crate did not send, or
//! will not send again; [`Error::recovery`] says what would help. It travels inside
//! `reqwest_middleware::Error`, often beneath more wrapping (reqwest-retry, generated clients):
//! [`Error::find`] gets it back out of anything.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use http::StatusCode;

use crate::printable;

/// Any error, as ports return it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a request was not sent, or not sent again.
///
/// Cheap to clone: all who waited for the same failed renewal get the same error. It never holds a
/// secret, and a URL in it has no query.
#[derive(Clone)]
pub struct Error {
    facts: Arc<Facts>,
    // None only in the copy that a `Cause` carries.
    cause: Option<Arc<Cause>>,
}

struct Facts {
    kind: ErrorKind,
    recovery: Recovery,
    message: String,
    account: Option<Arc<str>>,
    status: Option<StatusCode>,
    request_id: Option<String>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// What could help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recovery {
    /// The same call may succeed soon.
    Retry,
    /// The same call cannot succeed before this moment.
    WaitUntil(SystemTime),
    /// A person has to log in again.
    LogIn,
    /// Credentials, configuration or the request itself have to change.
    Reconfigure,
}

/// What happened, by the names that logs and counters use ([`fmt::Display`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The quota's next permit is further away than `max_wait`; [`Recovery::WaitUntil`] says when.
    QuotaExceeded,
    /// The request's `timeout` or `deadline` would pass before permit and token are there.
    DeadlineExceeded,
    /// Too many requests wait already.
    QueueFull,
    /// The request costs more than a window's limit, so it could never leave.
    CostExceedsLimit,
    /// The refresh token is gone or was refused: a person must log in.
    LoginRequired,
    /// The token endpoint refused the client itself: wrong id, secret, scope or grant.
    ClientRejected,
    /// The token endpoint did not give a token: down, throttled, an answer that cannot be read, or
    /// one of a gateway in between; with [`Recovery::Reconfigure`], a certificate that is not
    /// trusted.
    TokenEndpoint,
    /// The token store failed.
    Store,
    /// A credential would have left over plain http.
    Insecure,
    /// The account's [`Signer`](crate::Signer) failed.
    Signature,
    /// The configuration is wrong.
    Config,
}

impl ErrorKind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::QuotaExceeded => "quota_exceeded",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::QueueFull => "queue_full",
            Self::CostExceedsLimit => "cost_exceeds_limit",
            Self::LoginRequired => "login_required",
            Self::ClientRejected => "client_rejected",
            Self::TokenEndpoint => "token_endpoint",
            Self::Store => "store",
            Self::Insecure => "insecure",
            Self::Signature => "signature",
            Self::Config => "config",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Error {
    /// An error of this kind; `message` must not hold a secret. Whatever a server or a store wrote
    /// into it, it is shown in one line; the list of what is wrong with a configuration has one
    /// line for each.
    pub(crate) fn new(kind: ErrorKind, recovery: Recovery, message: impl Into<String>) -> Self {
        let message = message.into();
        let message = match kind {
            ErrorKind::Config => printable::lines(&message),
            _ => printable::one_line(&message),
        };
        Self::from_facts(Facts {
            kind,
            recovery,
            message,
            account: None,
            status: None,
            request_id: None,
            source: None,
        })
    }

    /// Something in the configuration is wrong: `message` names the field and what was expected.
    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, Recovery::Reconfigure, message)
    }

    pub(crate) fn with_account(self, account: &Arc<str>) -> Self {
        self.change(|facts| facts.account = Some(account.clone()))
    }

    /// The status of the response that led here.
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        self.change(|facts| facts.status = Some(status))
    }

    /// The distributor's name for the exchange that led here (`X-DIGIKEY-REQUEST-ID`).
    pub(crate) fn with_request_id(self, id: Option<String>) -> Self {
        let id = id.as_deref().and_then(printable::id);
        self.change(|facts| facts.request_id = id.or(facts.request_id.take()))
    }

    /// What lies beneath; it must not show a secret (`reqwest::Error::without_url`).
    pub(crate) fn with_source(self, source: impl Into<BoxError>) -> Self {
        let source: BoxError = source.into();
        self.change(|facts| facts.source = Some(Arc::from(source)))
    }

    fn change(self, change: impl FnOnce(&mut Facts)) -> Self {
        let mut facts = Facts {
            kind: self.facts.kind,
            recovery: self.facts.recovery,
            message: self.facts.message.clone(),
            account: self.facts.account.clone(),
            status: self.facts.status,
            request_id: self.facts.request_id.clone(),
            source: self.facts.source.clone(),
        };
        change(&mut facts);
        Self::from_facts(facts)
    }

    fn from_facts(facts: Facts) -> Self {
        let facts = Arc::new(facts);
        let inner = Self {
            facts: facts.clone(),
            cause: None,
        };
        Self {
            facts,
            cause: Some(Arc::new(Cause { error: inner })),
        }
    }

    /// Our error, whatever wraps it.
    ///
    /// It follows `source()` alone, so it needs no feature and knows no version of any wrapper.
    /// `RetryError` and `reqwest_middleware::Error` are transparent: they skip the error they hold
    /// and go on with *its* source. That source is a [`Cause`], which knows its error.
    pub fn find<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(found);
            }
            if let Some(cause) = error.downcast_ref::<Cause>() {
                return Some(&cause.error);
            }
            next = error.source();
        }
        None
    }

    /// What would help.
    pub fn recovery(&self) -> Recovery {
        self.facts.recovery
    }

    /// What happened.
    pub fn kind(&self) -> ErrorKind {
        self.facts.kind
    }

    /// The account it happened to.
    pub fn account(&self) -> Option<&str> {
        self.facts.account.as_deref()
    }

    /// The status of the response that led here: the 401 that a failed renewal could not cure, the
    /// 429 whose wait is too long, the refusal of the token endpoint.
    pub fn status(&self) -> Option<StatusCode> {
        self.facts.status
    }

    /// The distributor's name for the exchange that led here, for its support
    /// (`X-DIGIKEY-REQUEST-ID`).
    pub fn request_id(&self) -> Option<&str> {
        self.facts.request_id.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(account) = &self.facts.account {
            write!(f, "account {account}: ")?;
        }
        f.write_str(&self.facts.message)?;
        if let Some(status) = self.facts.status {
            write!(f, " (after status {})", status.as_u16())?;
        }
        if let Some(id) = &self.facts.request_id {
            write!(f, " (request id {id})")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.facts.kind)
            .field("recovery", &self.facts.recovery)
            .field("message", &self.facts.message)
            .field("account", &self.facts.account)
            .field("status", &self.facts.status)
            .field("request_id", &self.facts.request_id)
            .field("source", &self.facts.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Some(cause) => Some(&**cause),
            None => self.facts.source.as_ref().map(|source| &**source as _),
        }
    }
}

impl From<Error> for reqwest_middleware::Error {
    fn from(error: Error) -> Self {
        Self::middleware(error)
    }
}

/// The `source()` of every [`Error`]: its kind, and the way back to it for [`Error::find`].
pub struct Cause {
    error: Error,
}

impl Cause {
    /// What happened.
    pub fn kind(&self) -> ErrorKind {
        self.error.kind()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error.kind())
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cause").field(&self.error.kind()).finish()
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

#[cfg(test)]
mod tests;
