//! What a token endpoint answered, read leniently. Pure.
//!
//! Endpoints differ from RFC 6749 in every detail: forms instead of JSON, numbers as strings, an
//! error with status 200, HTML from a gateway. And one thing must not get lost in any of it: a
//! rotated refresh token, since the old one is void from now on. So it is *salvaged first*,
//! whatever the rest looks like, even from a body that does not parse.
//!
//! Nothing of a body gets into an error but `error` and `error_description`, cut short, without
//! control characters and without any secret that either side sent.

use std::cmp::Reverse;
use std::time::{Duration, SystemTime};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use zeroize::Zeroizing;

use super::fields::Fields;
use crate::error::{Error, ErrorKind, Recovery};

const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);
const LONGEST_CODE: usize = 64;
const LONGEST_DESCRIPTION: usize = 200;

/// An HTTP response of a token endpoint.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// What it means.
pub(crate) struct Answer {
    /// The new refresh token; none if the old one stays.
    pub(crate) refresh_token: Option<Zeroizing<String>>,
    pub(crate) outcome: Result<Issued, Refusal>,
    /// The server's clock.
    pub(crate) date: Option<SystemTime>,
}

/// A token was issued.
pub(crate) struct Issued {
    pub(crate) access_token: Zeroizing<String>,
    /// None if the answer does not say it in a usable way.
    pub(crate) lifetime: Option<Duration>,
}

/// No token, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) class: Class,
    pub(crate) message: String,
    pub(crate) status: Option<StatusCode>,
}

/// What a refusal leads to (the table is in [`state`](super::state)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// It may work soon.
    Transient,
    /// It may work after a while, which the endpoint may have named.
    Throttled { retry_after: Option<Duration> },
    /// Id, secret, scope or grant are wrong.
    ClientRejected,
    /// The configuration is wrong in another way.
    Misconfigured,
    /// The refresh token is no good (any more).
    GrantRejected,
    /// The token store cannot be read, and without it the refresh token is not known.
    Store,
}

impl Refusal {
    pub(crate) fn new(class: Class, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            status: None,
        }
    }

    /// The error that callers see.
    pub(crate) fn error(&self, recovery: Recovery) -> Error {
        let error = Error::new(self.kind(), recovery, self.message.clone());
        match self.status {
            Some(status) => error.with_status(status),
            None => error,
        }
    }

    fn kind(&self) -> ErrorKind {
        match self.class {
            Class::Transient | Class::Throttled { .. } => ErrorKind::TokenEndpoint,
            Class::ClientRejected => ErrorKind::ClientRejected,
            Class::Misconfigured => ErrorKind::Config,
            Class::GrantRejected => ErrorKind::LoginRequired,
            Class::Store => ErrorKind::Store,
        }
    }
}

/// Reads a reply. `presented` is whether a refresh token was sent; `secrets` are what must not show
/// in a message; `wall` is the base of a `Retry-After` date if the reply has no `Date`.
pub(crate) fn read(reply: &Reply, presented: bool, secrets: &[&str], wall: SystemTime) -> Answer {
    let fields = Fields::parse(&reply.body);
    let refresh_token = match reply.status.is_success() {
        true => fields.secret("refresh_token"),
        false => None,
    };
    let outcome = outcome(reply, &fields, presented, wall).map_err(|mut refusal| {
        let own = ["access_token", "refresh_token", "id_token"].map(|name| fields.secret(name));
        let own = own.iter().flatten().map(|secret| secret.as_str());
        let all: Vec<&str> = secrets.iter().copied().chain(own).collect();
        refusal.message = describe(reply.status, &refusal.message, &fields, &all);
        refusal
    });
    Answer {
        refresh_token,
        outcome,
        date: date(&reply.headers),
    }
}

fn outcome(
    reply: &Reply,
    fields: &Fields,
    presented: bool,
    wall: SystemTime,
) -> Result<Issued, Refusal> {
    let refuse = |class, message: &str| {
        Err(Refusal {
            class,
            message: message.to_owned(),
            status: Some(reply.status),
        })
    };
    let error = fields.error();
    if !reply.status.is_success() || error.is_some() {
        let retry_after = retry_after(&reply.headers, wall);
        let class = classify(reply.status, error.as_deref(), presented, retry_after);
        return refuse(class, "refused");
    }
    let Some(access_token) = fields.secret("access_token") else {
        return refuse(Class::Transient, "gave no access token");
    };
    match fields.text("token_type") {
        Some(other) if !other.trim().eq_ignore_ascii_case("bearer") => refuse(
            Class::Misconfigured,
            "gave a token of a type other than Bearer",
        ),
        _ => Ok(Issued {
            access_token,
            lifetime: fields.seconds("expires_in"),
        }),
    }
}

fn classify(
    status: StatusCode,
    error: Option<&str>,
    presented: bool,
    retry_after: Option<Duration>,
) -> Class {
    match (status.as_u16(), error) {
        (429, _) | (_, Some("slow_down" | "temporarily_unavailable")) => {
            Class::Throttled { retry_after }
        }
        (503, _) if retry_after.is_some() => Class::Throttled { retry_after },
        // A failing server may say anything: only a working one is believed that a login is void.
        (408 | 500..=599, _) => Class::Transient,
        (_, Some("invalid_grant")) if presented => Class::GrantRejected,
        (
            _,
            Some(
                "invalid_client"
                | "unauthorized_client"
                | "invalid_scope"
                | "invalid_grant"
                | "invalid_request"
                | "unsupported_grant_type"
                | "access_denied",
            ),
        ) => Class::ClientRejected,
        (400..=499, _) => Class::ClientRejected,
        // A redirect (to a maintenance page, say), or an unknown error with status 200.
        _ => Class::Transient,
    }
}

/// Seconds or an HTTP date; at most an hour, and nothing that is over.
fn retry_after(headers: &HeaderMap, wall: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let span = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse()
            .map_or(LONGEST_RETRY_AFTER, Duration::from_secs)
    } else {
        let base = date(headers).unwrap_or(wall);
        let until = httpdate::parse_http_date(text).ok()?;
        until.duration_since(base).ok()?
    };
    Some(span.min(LONGEST_RETRY_AFTER)).filter(|span| !span.is_zero())
}

fn date(headers: &HeaderMap) -> Option<SystemTime> {
    let text = headers.get(DATE)?.to_str().ok()?;
    httpdate::parse_http_date(text).ok()
}

fn describe(status: StatusCode, message: &str, fields: &Fields, secrets: &[&str]) -> String {
    let mut text = format!("the token endpoint {message} (status {})", status.as_u16());
    if let Some(code) = fields.error() {
        text = format!("{text}: {}", presentable(&code, LONGEST_CODE, secrets));
    }
    if let Some(description) = fields.text("error_description") {
        let description = presentable(&description, LONGEST_DESCRIPTION, secrets);
        text = format!("{text}: {description}");
    }
    if status.is_redirection() {
        text.push_str(": redirects are not followed, check token_url");
    }
    text
}

/// Without control characters, secrets and excess length, in this order: what is taken out must
/// not put a secret together, and a cut must not leave half of one. The longest secret goes first,
/// since a short one may be a part of it.
pub(super) fn presentable(text: &str, longest: usize, secrets: &[&str]) -> String {
    let printable = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
    let secrets = secrets
        .iter()
        .map(|secret| Zeroizing::new(printable(secret)));
    let mut secrets: Vec<_> = secrets.collect();
    secrets.sort_by_key(|secret| Reverse(secret.len()));
    let mut text = printable(text);
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret.as_str(), "***");
    }
    text.chars().take(longest).collect()
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
