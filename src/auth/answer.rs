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
mod tests {
    use super::*;
    use http::HeaderValue;

    fn reply(status: u16, body: &str) -> Reply {
        Reply {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::new(),
            body: Zeroizing::new(body.as_bytes().to_vec()),
        }
    }

    fn answer(status: u16, body: &str) -> Answer {
        read(
            &reply(status, body),
            true,
            &["hunter2"],
            SystemTime::UNIX_EPOCH,
        )
    }

    fn class(status: u16, body: &str) -> Class {
        answer(status, body).outcome.err().expect("a refusal").class
    }

    fn message(status: u16, body: &str) -> String {
        answer(status, body)
            .outcome
            .err()
            .expect("a refusal")
            .message
    }

    fn lifetime(expires_in: &str) -> Option<Duration> {
        let body = format!(r#"{{"access_token":"a"{expires_in}}}"#);
        answer(200, &body).outcome.expect("a token").lifetime
    }

    #[test]
    fn lifetimes_are_read_in_every_shape() {
        let seconds = |s| Some(Duration::from_secs_f64(s));
        for (text, expected) in [
            ("", None),
            (r#","expires_in":null"#, None),
            (r#","expires_in":0"#, None),
            (r#","expires_in":-1"#, None),
            (r#","expires_in":"NaN""#, None),
            (r#","expires_in":"soon""#, None),
            (r#","expires_in":"²""#, None),
            (r#","expires_in":[1]"#, None),
            (r#","expires_in":0.05"#, seconds(0.05)),
            (r#","expires_in":1"#, seconds(1.0)),
            (r#","expires_in":"599""#, seconds(599.0)),
            (r#","expires_in":599.0"#, seconds(599.0)),
            (r#","expires_in":300"#, seconds(300.0)),
            (r#","expires_in":86400"#, seconds(86_400.0)),
            (r#","expires_in":1e18"#, seconds(1e18)),
            (r#","expires_in":"inf""#, Some(Duration::MAX)),
            (r#","expires_in":1e999"#, None),
            (r#","expires_in":NaN"#, None),
        ] {
            assert_eq!(lifetime(text), expected, "{text}");
        }
    }

    #[test]
    fn a_form_is_as_good_as_json() {
        let answer = answer(200, "access_token=a%20b&expires_in=60&refresh_token=r");
        let issued = answer.outcome.expect("a token");
        assert_eq!(issued.access_token.as_str(), "a b");
        assert_eq!(issued.lifetime, Some(Duration::from_secs(60)));
        assert_eq!(
            answer.refresh_token.as_deref().map(String::as_str),
            Some("r")
        );
    }

    #[test]
    fn any_2xx_and_any_case_of_bearer_will_do() {
        for body in [
            r#"{"access_token":"a"}"#,
            r#"{"access_token":"a","token_type":"BEARER"}"#,
            r#"{"access_token":"a","token_type":null,"error":null}"#,
            "\u{feff} {\"access_token\":\"a\",\"error\":\"\"}",
        ] {
            assert!(answer(201, body).outcome.is_ok(), "{body}");
        }
    }

    #[test]
    fn the_refresh_token_is_salvaged_from_every_wreck() {
        for body in [
            r#"{"refresh_token":"r2"}"#,
            r#"{"refresh_token":"r2","error":"server_error"}"#,
            r#"{"refresh_token":"r2","token_type":"mac","access_token":"a"}"#,
            r#"{"refresh_token" : "r2","access_token":"to"#,
            r#"{"expires_in":NaN,"refresh_token":"r2"}"#,
            "refresh_token=r2",
        ] {
            let salvaged = answer(200, body).refresh_token;
            assert_eq!(
                salvaged.as_deref().map(String::as_str),
                Some("r2"),
                "{body}"
            );
        }
    }

    #[test]
    fn an_empty_null_or_torn_refresh_token_is_none() {
        for body in [
            r#"{"access_token":"a","refresh_token":""}"#,
            r#"{"access_token":"a","refresh_token":null}"#,
            r#"{"access_token":"a","refresh_token":7}"#,
            r#"{"access_token":"a","refresh_token":"r"#,
            "access_token=a&refresh_token=",
        ] {
            assert!(answer(200, body).refresh_token.is_none(), "{body}");
        }
    }

    #[test]
    fn a_torn_access_token_is_no_token() {
        assert_eq!(
            class(200, r#"{"access_token":"a","expires"#),
            Class::Transient
        );
        assert_eq!(class(200, r#"{"access_token":"a"#), Class::Transient);
    }

    #[test]
    fn refusals_are_classified_by_what_helps() {
        let throttled = Class::Throttled { retry_after: None };
        for (status, body, expected) in [
            (200, "<html>login</html>", Class::Transient),
            (200, "", Class::Transient),
            (200, "[]", Class::Transient),
            (200, r#"{"token_type":"Bearer"}"#, Class::Transient),
            (200, r#"{"access_token":null}"#, Class::Transient),
            (
                200,
                r#"{"access_token":"a","error":"server_error"}"#,
                Class::Transient,
            ),
            (200, r#"{"error":"invalid_client"}"#, Class::ClientRejected),
            (
                200,
                r#"{"access_token":"a","token_type":"mac"}"#,
                Class::Misconfigured,
            ),
            (302, "", Class::Transient),
            (400, r#"{"error":"invalid_grant"}"#, Class::GrantRejected),
            (400, "error=invalid_grant", Class::GrantRejected),
            (401, r#"{"error":"invalid_client"}"#, Class::ClientRejected),
            (
                400,
                r#"{"error":"unauthorized_client"}"#,
                Class::ClientRejected,
            ),
            (400, r#"{"error":"invalid_scope"}"#, Class::ClientRejected),
            (401, "no", Class::ClientRejected),
            (404, "<html>", Class::ClientRejected),
            (
                400,
                r#"{"error":{"code":"invalid_grant"}}"#,
                Class::GrantRejected,
            ),
            (400, r#"{"error":"slow_down"}"#, throttled),
            (400, r#"{"error":"temporarily_unavailable"}"#, throttled),
            (429, "", throttled),
            (408, "", Class::Transient),
            (500, r#"{"error":"invalid_grant"}"#, Class::Transient),
            (502, "<html>bad gateway</html>", Class::Transient),
            (503, "", Class::Transient),
        ] {
            assert_eq!(class(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn invalid_grant_without_a_refresh_token_is_the_clients_fault() {
        let reply = reply(400, r#"{"error":"invalid_grant"}"#);
        let answer = read(&reply, false, &[], SystemTime::UNIX_EPOCH);
        assert_eq!(
            answer.outcome.err().expect("a refusal").class,
            Class::ClientRejected
        );
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_an_hour_at_most() {
        let wait = |text: &str, date: Option<&str>| {
            let mut reply = reply(503, "");
            let value = HeaderValue::from_str(text).expect("a value");
            reply.headers.insert(RETRY_AFTER, value);
            if let Some(date) = date {
                reply
                    .headers
                    .insert(DATE, HeaderValue::from_str(date).expect("a value"));
            }
            match read(&reply, true, &[], SystemTime::UNIX_EPOCH).outcome {
                Err(Refusal {
                    class: Class::Throttled { retry_after },
                    ..
                }) => retry_after,
                _ => None,
            }
        };
        let seconds = |s| Some(Duration::from_secs(s));
        assert_eq!(wait("7", None), seconds(7));
        assert_eq!(wait("86400", None), seconds(3600));
        assert_eq!(wait("99999999999999999999999", None), seconds(3600));
        assert_eq!(wait("Thu, 01 Jan 1970 00:00:09 GMT", None), seconds(9));
        let sent = Some("Thu, 01 Jan 1970 00:00:04 GMT");
        assert_eq!(wait("Thu, 01 Jan 1970 00:00:09 GMT", sent), seconds(5));
        for nothing in ["0", "-5", "soon", "", "²", "1.5"] {
            if let Ok(value) = HeaderValue::from_str(nothing) {
                let text = value.to_str().unwrap_or("soon").to_owned();
                assert_eq!(wait(&text, None), None, "{nothing}");
            }
        }
    }

    #[test]
    fn what_is_taken_out_of_a_message_puts_no_secret_together() {
        let text = message(
            400,
            r#"{"error":"x","error_description":"bad hun\u0007ter2"}"#,
        );
        assert!(text.ends_with(": bad ***"), "{text}");
        let body = r#"{"error":"x","access_token":"nt","error_description":"bad hunter2"}"#;
        let text = message(200, body);
        assert!(text.ends_with(": bad ***"), "{text}");
    }

    #[test]
    fn a_message_says_the_code_and_no_secret() {
        let body = r#"{"error":"invalid_client","error_description":"bad secret hunter2\r\n!",
            "refresh_token":"r3fr35h"}"#;
        let text = message(401, body);
        assert_eq!(
            text,
            "the token endpoint refused (status 401): invalid_client: bad secret ***!"
        );
        let body =
            r#"{"error":"e","error_description":"you sent r3fr35h","refresh_token":"r3fr35h"}"#;
        assert!(!message(400, body).contains("r3fr35h"));
    }

    #[test]
    fn a_message_is_short_and_never_quotes_a_body() {
        let long = format!(
            r#"{{"error":"x","error_description":"{}"}}"#,
            "y".repeat(10_000)
        );
        assert!(message(400, &long).len() < 300);
        assert!(!message(502, "<html>internal detail</html>").contains("internal"));
    }
}
