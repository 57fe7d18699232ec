//! What a token endpoint answered, read leniently. Pure.
//!
//! Endpoints differ from RFC 6749 in every detail: forms instead of JSON, numbers as strings, an
//! error with status 200, HTML from a gateway. And one thing must not get lost in any of it: a
//! rotated refresh token, since the old one is void from now on. So it is *salvaged first*,
//! whatever the rest looks like, even from a body that does not parse.
//!
//! A refusal counts only from the server that was asked. A gateway, a proxy or a captive portal in
//! between speaks HTTP too, but neither OAuth nor, usually, JSON:
//!
//! | the answer                                                        | class                  |
//! |-------------------------------------------------------------------|------------------------|
//! | one that a token rule matches                                     | as the rule says       |
//! | 429; 503 with `Retry-After`; `slow_down`                          | throttled              |
//! | 408, 5xx, 3xx                                                     | transient              |
//! | `invalid_grant` to a refresh token or a code                      | grant rejected         |
//! | an error code that names the refresh token; 400, 401 or 403 in JSON, of a client that has worked before, whose words call it invalid, expired or revoked | grant probably rejected |
//! | 400 or 401 in JSON, or an OAuth error, to a refresh token of a client that has worked before, that names neither client, scope nor grant type | grant probably rejected |
//! | an OAuth error; 401 in JSON                                       | client rejected        |
//! | everything else                                                   | transient              |
//!
//! What of a body gets into an error is in [`refusal_text`](super::refusal_text).

use std::fmt;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, StatusCode};
use url::Url;
use zeroize::Zeroizing;

use super::refusal_text::{self, Answered};
use crate::auth::OAuthSettings;
use crate::auth::token::sendable;
use crate::error::{Error, ErrorKind, Recovery};
use crate::header_value;
use crate::phrase::folded;
use crate::response_rules::{Rules, Verdict};
use fields::Fields;

pub(in crate::auth) use super::refusal_text::presentable;

/// How much of a body is read.
pub(in crate::auth) const LONGEST_BODY: usize = 1 << 20;
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);
const LONGEST_TYPE: usize = 64;

/// An HTTP response of a token endpoint.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Longer than [`LONGEST_BODY`]: only the beginning was read.
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// What the reply answers, and what is known beside it.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// A refresh token or the code of a login was presented.
    pub(crate) presented: bool,
    /// The server has issued a token for this id and secret before.
    pub(crate) has_worked: bool,
    /// Which endpoint: `token` or `revocation`.
    pub(crate) endpoint: &'static str,
    pub(crate) url: &'a Url,
    /// What this endpoint's answers mean where they do not say it.
    pub(crate) rules: &'a Rules,
    pub(crate) request_id_headers: &'a [HeaderName],
    /// What must not show in a message.
    pub(crate) secrets: &'a [&'a str],
    /// The base of a `Retry-After` date if the reply has no `Date`.
    pub(crate) wall: SystemTime,
}

impl OAuthSettings {
    /// A token request that presented neither refresh token nor code, of a client of which nothing
    /// is known.
    pub(in crate::auth) fn asked<'a>(
        &'a self,
        secrets: &'a [&'a str],
        wall: SystemTime,
    ) -> Asked<'a> {
        Asked {
            presented: false,
            has_worked: false,
            endpoint: "token",
            url: &self.token_url,
            rules: &self.token_rules,
            request_id_headers: &self.request_id_headers,
            secrets,
            wall,
        }
    }
}

/// What it means.
pub(crate) struct Answer {
    /// The new refresh token; none if the old one stays.
    pub(crate) refresh_token: Option<Zeroizing<String>>,
    /// How long the refresh token lives from now on, where the answer says it.
    pub(crate) refresh_lifetime: Option<Duration>,
    pub(crate) outcome: Result<Issued, Refusal>,
    /// The server's clock.
    pub(crate) date: Option<SystemTime>,
}

/// A token was issued.
pub(crate) struct Issued {
    pub(crate) access_token: Zeroizing<String>,
    /// None if the answer does not say it in a usable way.
    pub(crate) lifetime: Option<Duration>,
    /// The `token_type`, if it is another than `Bearer`. The token is sent as Bearer all the same.
    pub(crate) unusual_type: Option<String>,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("lifetime", &self.lifetime)
            .field("unusual_type", &self.unusual_type)
            .finish_non_exhaustive()
    }
}

/// No token, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) class: Class,
    /// Without the status, which the error says.
    pub(crate) message: String,
    pub(crate) status: Option<StatusCode>,
    /// The server's name for the exchange.
    pub(crate) request_id: Option<String>,
}

/// What a refusal leads to (the table is in [`outcome`](crate::auth::cache::outcome)).
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
    /// The server at the URL cannot prove that it is the one: its certificate is wrong or of an
    /// unknown authority.
    Untrusted,
    /// The refresh token is no good (any more).
    GrantRejected,
    /// The refresh token seems to be no good: the server does not say so in the words of
    /// RFC 6749, but nothing else is likely. Worth another attempt from time to time.
    GrantProbablyRejected,
    /// The token store cannot be read, and without it the refresh token is not known.
    Store,
}

impl Class {
    /// Credentials, configuration or the server's certificate have to change first.
    pub(crate) fn needs_reconfiguration(self) -> bool {
        matches!(
            self,
            Self::ClientRejected | Self::Misconfigured | Self::Untrusted
        )
    }

    /// A person has to log in again.
    pub(crate) fn needs_login(self) -> bool {
        matches!(self, Self::GrantRejected | Self::GrantProbablyRejected)
    }
}

impl Refusal {
    pub(crate) fn new(class: Class, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            status: None,
            request_id: None,
        }
    }

    /// The error that callers see.
    pub(crate) fn error(&self, recovery: Recovery) -> Error {
        let error = Error::new(self.kind(), recovery, self.message.clone());
        let error = error.with_request_id(self.request_id.clone());
        match self.status {
            Some(status) => error.with_status(status),
            None => error,
        }
    }

    fn kind(&self) -> ErrorKind {
        match self.class {
            Class::Transient | Class::Throttled { .. } | Class::Untrusted => {
                ErrorKind::TokenEndpoint
            }
            Class::ClientRejected => ErrorKind::ClientRejected,
            Class::Misconfigured => ErrorKind::Config,
            Class::GrantRejected | Class::GrantProbablyRejected => ErrorKind::LoginRequired,
            Class::Store => ErrorKind::Store,
        }
    }
}

/// Reads a reply.
pub(crate) fn read(reply: &Reply, asked: &Asked<'_>) -> Answer {
    let fields = Fields::parse(&reply.body, reply.body.len() > LONGEST_BODY);
    let refresh_token = match reply.status.is_success() {
        true => fields.secret("refresh_token"),
        false => None,
    };
    let outcome = outcome(reply, &fields, asked);
    Answer {
        refresh_token,
        refresh_lifetime: fields.seconds("refresh_token_expires_in"),
        outcome: outcome.map_err(|(class, what)| refusal(class, &what, reply, &fields, asked)),
        date: header_value::sent(&reply.headers),
    }
}

/// Whether a body, if it breaks off here, holds a whole refresh token: the only copy of it.
pub(super) fn holds_refresh_token(body: &[u8]) -> bool {
    Fields::parse(body, true).secret("refresh_token").is_some()
}

fn refusal(class: Class, what: &str, reply: &Reply, fields: &Fields, asked: &Asked<'_>) -> Refusal {
    let own = ["access_token", "refresh_token", "id_token"].map(|name| fields.secret(name));
    let own = own.iter().flatten().map(|secret| secret.as_str());
    let secrets: Vec<&str> = asked.secrets.iter().copied().chain(own).collect();
    let answered = Answered {
        endpoint: asked.endpoint,
        url: asked.url,
        status: reply.status,
        headers: &reply.headers,
        body: &reply.body,
        fields,
        secrets: &secrets,
    };
    Refusal {
        class,
        message: refusal_text::message(&answered, what),
        status: Some(reply.status),
        request_id: refusal_text::request_id(&answered, asked.request_id_headers),
    }
}

/// A token, or the class of the refusal and what the endpoint did.
fn outcome(reply: &Reply, fields: &Fields, asked: &Asked<'_>) -> Result<Issued, (Class, String)> {
    let told = header_value::retry_after(&reply.headers, asked.wall);
    let retry_after = told.map(|span| span.min(LONGEST_RETRY_AFTER));
    if let Some(class) = ruled(reply, asked, retry_after) {
        return Err((class, "refused".to_owned()));
    }
    let error = fields.error();
    if !reply.status.is_success() || error.is_some() {
        let class = classify(reply.status, error.as_deref(), fields, asked, retry_after);
        return Err((class, "refused".to_owned()));
    }
    let Some(access_token) = fields.secret("access_token") else {
        return Err((Class::Transient, "gave no access token".to_owned()));
    };
    let access_token = sendable(&access_token)
        .map(|text| Zeroizing::new(text.to_owned()))
        .map_err(|why| (Class::Transient, format!("gave an access token that {why}")))?;
    let unusual_type = unusual_type(fields, asked)?;
    Ok(Issued {
        access_token,
        lifetime: fields.seconds("expires_in"),
        unusual_type,
    })
}

fn ruled(reply: &Reply, asked: &Asked<'_>, retry_after: Option<Duration>) -> Option<Class> {
    let verdict = asked
        .rules
        .verdict(reply.status, &reply.headers, Some(&reply.body))?;
    match verdict {
        Verdict::GrantRejected if asked.presented => Some(Class::GrantRejected),
        Verdict::GrantRejected | Verdict::ClientRejected => Some(Class::ClientRejected),
        Verdict::RateExceeded => Some(Class::Throttled { retry_after }),
        Verdict::Unavailable => Some(Class::Transient),
        // The others are about answers of the API; `build()` refuses them here.
        _ => None,
    }
}

/// Any other type than those that need a proof is sent as Bearer: vendors write what they like.
fn unusual_type(fields: &Fields, asked: &Asked<'_>) -> Result<Option<String>, (Class, String)> {
    let Some(given) = fields.text("token_type") else {
        return Ok(None);
    };
    let plain = given.trim().to_ascii_lowercase();
    let shown = presentable(given.trim(), LONGEST_TYPE, asked.secrets);
    // RFC 9449, the drafts for MAC and proof of possession, Hawk.
    let needs_proof = ["dpop", "mac", "pop", "hmac", "hawk"]
        .iter()
        .any(|proof| plain.split(['-', '_', '+', ' ']).next() == Some(*proof))
        || plain.starts_with("hmac");
    match plain.as_str() {
        "bearer" => Ok(None),
        _ if needs_proof => {
            let what = format!("gave a token of type {shown}, which needs a proof: not supported");
            Err((Class::Misconfigured, what))
        }
        _ => Ok(Some(shown)),
    }
}

/// Of RFC 6749 section 5.2, RFC 8707 and OpenID Connect; the last three are widespread.
const CLIENT_ERRORS: [&str; 13] = [
    "invalid_client",
    "unauthorized_client",
    "invalid_scope",
    "invalid_grant",
    "invalid_request",
    "unsupported_grant_type",
    "unsupported_response_type",
    "invalid_target",
    "access_denied",
    "interaction_required",
    "invalid_client_credentials",
    "incorrect_client_credentials",
    "invalid_assertion",
];

fn classify(
    status: StatusCode,
    error: Option<&str>,
    fields: &Fields,
    asked: &Asked<'_>,
    retry_after: Option<Duration>,
) -> Class {
    let known = error.is_some_and(|code| CLIENT_ERRORS.contains(&code));
    match (status.as_u16(), error) {
        (429, _) | (_, Some("slow_down" | "temporarily_unavailable")) => {
            Class::Throttled { retry_after }
        }
        (503, _) if retry_after.is_some() => Class::Throttled { retry_after },
        // A failing server may say anything: only a working one is believed that a login is void.
        // A redirect usually leads to a maintenance page.
        (300..=399 | 408 | 500..=599, _) => Class::Transient,
        (_, Some("invalid_grant" | "interaction_required")) if asked.presented => {
            Class::GrantRejected
        }
        (_, Some(code)) if asked.presented && names_refresh_token(code) => {
            Class::GrantProbablyRejected
        }
        (400 | 401 | 403, code) if calls_refresh_token_dead(code, fields, asked) => {
            Class::GrantProbablyRejected
        }
        (400 | 401, _) if blames_grant(fields, asked) => Class::GrantProbablyRejected,
        (_, Some(_)) if known && blames_grant(fields, asked) => Class::GrantProbablyRejected,
        _ if known => Class::ClientRejected,
        (401, _) if fields.is_json() => Class::ClientRejected,
        // An answer of a gateway in between, or an error of no known name.
        _ => Class::Transient,
    }
}

fn names_refresh_token(code: &str) -> bool {
    let code = code.to_ascii_lowercase();
    let named = ["invalid_token", "expired_token", "token_expired"].contains(&code.as_str());
    named || code.contains("refresh_token") || code.contains("refreshtoken")
}

/// Whether the vendor's own words are about the refresh token, whatever the code. Codes that name
/// another cause are believed.
fn calls_refresh_token_dead(code: Option<&str>, fields: &Fields, asked: &Asked<'_>) -> bool {
    const OTHER_CAUSES: [&str; 4] = [
        "invalid_client",
        "unauthorized_client",
        "invalid_scope",
        "unsupported_grant_type",
    ];
    const DEAD: [&str; 5] = ["invalid", "expired", "revoked", "notvalid", "notfound"];
    let names_other = code.is_some_and(|code| OTHER_CAUSES.contains(&code));
    if !asked.presented || !asked.has_worked || !fields.is_json() || names_other {
        return false;
    }
    let is_dead = |text: &String| {
        let text = folded(text);
        text.contains("refreshtoken")
            && !text.contains("secret")
            && DEAD.iter().any(|word| text.contains(word))
    };
    fields.words().iter().any(is_dead)
}

/// Whether nothing is left to be wrong but the refresh token: the client was good before, and the
/// answer names neither it nor the scope, the grant type or a trouble of the server's own.
fn blames_grant(fields: &Fields, asked: &Asked<'_>) -> bool {
    const OTHERS: [&str; 14] = [
        "client",
        "secret",
        "scope",
        "granttype",
        "grant_type",
        "servererror",
        "server_error",
        "internal",
        "unavailable",
        "temporar",
        "maintenance",
        "toomany",
        "ratelimit",
        "throttl",
    ];
    if !asked.presented || !asked.has_worked || !fields.is_json() {
        return false;
    }
    let said = fields.words().into_iter().chain(fields.error());
    let said: Vec<String> = said.map(|text| folded(&text)).collect();
    let names = |other: &&str| said.iter().any(|text| text.contains(*other));
    !OTHERS.iter().any(names)
}

pub(in crate::auth) mod fields;
#[cfg(test)]
mod tests;
