//! The token endpoint (RFC 6749 section 3.2), without its sockets.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Method, Request, StatusCode};
use percent_encoding::percent_decode;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::answer::{Answer, html_answer, json_answer};
use super::calendar::whole_seconds;
use super::counters::Counters;
use super::issuer::{Issued, Issuer, RefreshRefused};
use super::manners::{Known, Manners};
use bytes::Bytes;

/// Where it is, below the sandbox's URL.
pub(super) const PATH: &str = "/v1/oauth2/token";

/// What the endpoint knows about its one client, and how it writes a token.
pub(super) struct TokenEndpoint {
    pub(super) known: Known,
    pub(super) lifetime: Duration,
    pub(super) omit_expires_in: bool,
    /// A vendor's own ideas of a token request.
    pub(super) manners: Option<Manners>,
}

/// An error of RFC 6749 section 5.2.
struct Refused {
    status: StatusCode,
    error: &'static str,
    description: &'static str,
}

type Form = HashMap<String, String>;

impl TokenEndpoint {
    /// Answers a token request; nothing is spent unless the answer is a token.
    pub(super) fn answer(
        &self,
        request: &Request<Bytes>,
        issuer: &mut Issuer,
        counters: &mut Counters,
        now: Duration,
        wall: SystemTime,
    ) -> Answer {
        let issued = match self.manners {
            Some(manners) => self.issue_as(manners, request, issuer, counters, (now, wall)),
            None => self
                .form(request)
                .and_then(|form| self.issue(&form, issuer, counters, now)),
        };
        match issued {
            Ok(issued) => {
                counters.tokens_issued += 1;
                counters.rotations += u64::from(issued.refresh.is_some());
                self.token(issued)
            }
            Err(refused) => {
                counters.token_refusals += 1;
                refused.into_answer(request.headers().contains_key(AUTHORIZATION))
            }
        }
    }

    /// The form, once the client has proved who it is.
    fn form(&self, request: &Request<Bytes>) -> Result<Form, Refused> {
        check(request)?;
        let form: Form = form_urlencoded::parse(request.body())
            .into_owned()
            .collect();
        let (id, secret) = match request.headers().get(AUTHORIZATION) {
            Some(_) if form.contains_key("client_secret") => {
                return Err(Refused::request("two ways of client authentication"));
            }
            Some(header) => basic(header).ok_or(Refused::client())?,
            None => in_body(&form).ok_or(Refused::client())?,
        };
        match id == self.known.id && secret == self.known.secret {
            true => Ok(form),
            false => Err(Refused::client()),
        }
    }

    fn issue(
        &self,
        form: &Form,
        issuer: &mut Issuer,
        counters: &mut Counters,
        now: Duration,
    ) -> Result<Issued, Refused> {
        match form.get("grant_type").map(String::as_str) {
            Some("client_credentials") => Ok(issuer.client_credentials(now)),
            Some("refresh_token") => {
                let token = form.get("refresh_token");
                let token = token.ok_or(Refused::request("refresh_token is missing"))?;
                issuer.refresh(token, now).map_err(|why| {
                    counters.families_revoked += u64::from(why == RefreshRefused::Reused);
                    Refused::grant(why)
                })
            }
            Some(_) => Err(Refused::bad("unsupported_grant_type", "unknown grant_type")),
            None => Err(Refused::request("grant_type is missing")),
        }
    }

    /// A vendor has its own ways of authentication and its own grants.
    fn issue_as(
        &self,
        manners: Manners,
        request: &Request<Bytes>,
        issuer: &mut Issuer,
        counters: &mut Counters,
        (now, wall): (Duration, SystemTime),
    ) -> Result<Issued, Refused> {
        check(request)?;
        if let Some(why) = manners.token_request_refused(request, &self.known, wall) {
            let status = StatusCode::UNAUTHORIZED;
            return Err(Refused::bad("invalid_client", why).with(status));
        }
        let form: Form = form_urlencoded::parse(request.body())
            .into_owned()
            .collect();
        if form.contains_key("refresh_token") {
            return self.issue(&form, issuer, counters, now);
        }
        let mut issued = issuer.client_credentials(now);
        if manners.refresh_token_comes_along() {
            issued.refresh = Some(issuer.log_in());
        }
        Ok(issued)
    }

    fn token(&self, issued: Issued) -> Answer {
        let mut body = json!({ "access_token": issued.access, "token_type": "Bearer" });
        if !self.omit_expires_in {
            body["expires_in"] = seconds(self.lifetime);
        }
        if let Some(refresh) = issued.refresh {
            body["refresh_token"] = refresh.into();
        }
        no_store(json_answer(StatusCode::OK, &body))
    }
}

/// Whether it is a form at all.
fn check(request: &Request<Bytes>) -> Result<(), Refused> {
    if request.method() != Method::POST {
        return Err(Refused::request("POST only").with(StatusCode::METHOD_NOT_ALLOWED));
    }
    let media_type = request.headers().get(CONTENT_TYPE);
    match media_type.is_some_and(is_form) {
        true => Ok(()),
        false => Err(Refused::request("not a form")),
    }
}

/// A whole number where it is one; a test's token may live half a second.
fn seconds(span: Duration) -> Value {
    match span.subsec_nanos() {
        0 => span.as_secs().into(),
        _ => span.as_secs_f64().into(),
    }
}

fn is_form(media_type: &HeaderValue) -> bool {
    let text = media_type.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Id and secret of `Authorization: Basic`, each percent-decoded (RFC 6749 section 2.3.1).
fn basic(header: &HeaderValue) -> Option<(String, String)> {
    let (scheme, credentials) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(credentials.trim()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (id, secret) = (&decoded[..colon], &decoded[colon + 1..]);
    let text = |bytes| percent_decode(bytes).decode_utf8().ok().map(Into::into);
    Some((text(id)?, text(secret)?))
}

fn in_body(form: &Form) -> Option<(String, String)> {
    let id = form.get("client_id")?;
    Some((id.clone(), form.get("client_secret")?.clone()))
}

impl Refused {
    fn bad(error: &'static str, description: &'static str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error,
            description,
        }
    }

    fn request(description: &'static str) -> Self {
        Self::bad("invalid_request", description)
    }

    fn client() -> Self {
        Self::bad("invalid_client", "unknown client id or wrong secret")
            .with(StatusCode::UNAUTHORIZED)
    }

    fn grant(why: RefreshRefused) -> Self {
        let description = match why {
            RefreshRefused::Unknown => "the refresh token is not good",
            RefreshRefused::Reused => "the refresh token was spent before",
        };
        Self::bad("invalid_grant", description)
    }

    fn with(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    fn into_answer(self, tried_header: bool) -> Answer {
        let body = json!({ "error": self.error, "error_description": self.description });
        let mut answer = no_store(json_answer(self.status, &body));
        // Section 5.2: a client that tried by header is told the scheme.
        if tried_header && self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Basic realm=\"sandbox\"");
            answer.headers_mut().insert(WWW_AUTHENTICATE, scheme);
        }
        answer
    }
}

fn no_store(mut answer: Answer) -> Answer {
    let value = HeaderValue::from_static("no-store");
    answer.headers_mut().insert(CACHE_CONTROL, value);
    answer
}

/// The endpoint is down.
pub(super) fn down() -> Answer {
    let page = "<html><body><h1>503 Service Unavailable</h1></body></html>";
    html_answer(StatusCode::SERVICE_UNAVAILABLE, page)
}

/// A page where a token should be, and with a status that says all is well.
pub(super) fn html() -> Answer {
    let page = "<html><body><h1>Welcome to the guest network</h1></body></html>";
    html_answer(StatusCode::OK, page)
}

/// Too many token requests.
pub(super) fn throttled(retry_after: Duration) -> Answer {
    let body = json!({ "error": "slow_down", "error_description": "too many token requests" });
    let mut answer = no_store(json_answer(StatusCode::TOO_MANY_REQUESTS, &body));
    let value = whole_seconds(retry_after).into();
    answer.headers_mut().insert(RETRY_AFTER, value);
    answer
}
