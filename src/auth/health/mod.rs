//! How an account's token stands.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::cache::refresh_task::Shared;
use crate::error::{Error, Recovery};

/// How an account's token stands, from [`Account::health`](crate::Account::health).
///
/// Its [`Display`](fmt::Display) is one line for a log. It holds no secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Health {
    /// The account's name.
    pub account: Arc<str>,
    /// Whether a request would go without waiting for a token: one is there that has neither
    /// expired nor been refused, or the account needs none. Where it needs one, false before the
    /// first request.
    pub is_ready: bool,
    /// When the token expires; none if there is none, or its endpoint does not say it.
    pub expires_at: Option<SystemTime>,
    /// Why the last renewal failed; none once another has succeeded.
    pub last_error: Option<Error>,
    /// Whether the store still lacks a refresh token that may be good for one use only. It is
    /// tried again in the background; ending the process now would lose it.
    pub is_unsaved: bool,
    /// When the refresh token expires, after which a person has to log in; none if its endpoint
    /// does not say it.
    pub refresh_token_expires_at: Option<SystemTime>,
    /// Another process that has presented the refresh token and has not said how that ended. Where
    /// that lasts for minutes, the process may be stopped, or ended on another machine.
    pub renewed_elsewhere: Option<RenewalElsewhere>,
    /// Whether renewals have come to their end until a person logs in. The present token may still
    /// be good for a while.
    pub needs_login: bool,
}

/// A renewal by another process that shares the token store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RenewalElsewhere {
    /// The process, such as `process 4711`.
    pub holder: Arc<str>,
    /// When it presented the refresh token, by its own clock.
    pub since: Option<SystemTime>,
}

impl Health {
    /// Of an account without a token endpoint.
    pub(super) fn without_token(account: Arc<str>) -> Self {
        Self {
            account,
            is_ready: true,
            expires_at: None,
            last_error: None,
            is_unsaved: false,
            refresh_token_expires_at: None,
            renewed_elsewhere: None,
            needs_login: false,
        }
    }

    pub(super) fn of(shared: &Shared) -> Self {
        let now = shared.clock.now();
        let posting = shared.board.read();
        let last_error = posting.state.last_error().cloned();
        let token = posting.state.token();
        Self {
            account: shared.account.clone(),
            is_ready: posting.state.is_usable(now),
            expires_at: token.and_then(|token| token.times().expires_at()),
            needs_login: matches!(&last_error, Some(error) if error.recovery() == Recovery::LogIn),
            last_error: last_error.map(|error| error.with_account(&shared.account)),
            is_unsaved: shared
                .source
                .persistence
                .chain(|chain| chain.has_unsaved_refresh_token()),
            refresh_token_expires_at: shared
                .source
                .persistence
                .chain(|chain| chain.refresh_expires_at()),
            renewed_elsewhere: shared.source.persistence.chain(|chain| {
                let (holder, since) = chain.holder()?;
                Some(RenewalElsewhere {
                    holder: holder.into(),
                    since,
                })
            }),
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.is_ready {
            true => "ready",
            false => "not ready",
        };
        write!(f, "account {}: {state}", self.account)?;
        if let Some(time) = self.expires_at {
            write!(f, ", its token expires {}", httpdate::fmt_http_date(time))?;
        }
        if self.needs_login {
            f.write_str(", a person has to log in")?;
        }
        if self.is_unsaved {
            f.write_str(", its refresh token is not saved yet")?;
        }
        if let Some(other) = &self.renewed_elsewhere {
            write!(f, ", {} is renewing its token", other.holder)?;
        }
        match &self.last_error {
            Some(error) => write!(f, "; the last renewal failed: {error}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
