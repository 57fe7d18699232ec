//! What a vendor's token endpoint asks for.

use std::collections::HashMap;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use hmac::{Hmac, Mac};
use http::Request;
use http::header::{AUTHORIZATION, HOST};
use serde_json::Value;
use sha2::Sha256;
use url::form_urlencoded;

use super::credential::{Known, What, header};

/// How long an assertion may be good, and how far its clock may be off, in seconds. Source: the
/// guide of the one vendor that takes assertions says an hour; the rest is the sandbox's own.
const ASSERTION_SECONDS: u64 = 3600;
const CLOCK_SKEW: u64 = 60;

/// Where, and what.
pub(super) struct TokenWay {
    /// The host, where it is not the API's.
    pub(super) host: Option<&'static str>,
    pub(super) path: &'static str,
    pub(super) client: Client,
    /// Headers that have to be there too.
    pub(super) headers: &'static [(&'static str, What)],
    /// Fields that have to be in the form, beside the client's.
    pub(super) form: &'static [(&'static str, What)],
    /// In seconds.
    pub(super) lifetime: u64,
    /// Whether a refresh token comes along.
    pub(super) refreshes: bool,
}

/// How the client proves who it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    /// By HTTP Basic, and nothing of it in the form.
    Basic,
    /// In the form, and no `Authorization`.
    Form,
    /// By an assertion, and by nothing else.
    Assertion,
}

type Form = HashMap<String, String>;

impl TokenWay {
    /// What is wrong with a request; none if nothing is.
    pub(super) fn refused(
        &self,
        request: &Request<Bytes>,
        known: &Known,
        now: SystemTime,
    ) -> Option<&'static str> {
        let form: Form = form_urlencoded::parse(request.body())
            .into_owned()
            .collect();
        let has_header =
            |(name, what): &(&str, What)| header(request, name) == Some(what.of(known));
        if !self.headers.iter().all(has_header) {
            return Some("a header is missing or wrong");
        }
        let has_field = |(name, what): &(&str, What)| {
            form.get(*name).map(String::as_str) == Some(what.of(known))
        };
        let refreshes = form
            .get("grant_type")
            .is_some_and(|it| it == "refresh_token");
        let is_refresh = refreshes && self.refreshes;
        if !is_refresh && !self.form.iter().all(has_field) {
            return Some("a field of the form is missing or wrong");
        }
        let is_proved = match self.client {
            Client::Basic => basic(request, known) && !form.contains_key("client_secret"),
            Client::Form => in_form(request, &form, known),
            Client::Assertion => assertion(&form, known, &here(request), now).is_some(),
        };
        (!is_proved).then_some("the client did not prove who it is")
    }
}

fn basic(request: &Request<Bytes>, known: &Known) -> bool {
    let expected = STANDARD.encode(format!("{}:{}", known.id, known.secret));
    header(request, AUTHORIZATION.as_str()) == Some(&format!("Basic {expected}"))
}

fn in_form(request: &Request<Bytes>, form: &Form, known: &Known) -> bool {
    form.get("client_id") == Some(&known.id)
        && form.get("client_secret") == Some(&known.secret)
        && !request.headers().contains_key(AUTHORIZATION)
}

/// The URL that this very request went to.
fn here(request: &Request<Bytes>) -> String {
    let host = header(request, HOST.as_str()).unwrap_or_default();
    format!("http://{host}{}", request.uri().path())
}

/// A JWT signed with the customer's secret (RFC 7523, HS256), with the claims of the vendor's
/// guide.
fn assertion(form: &Form, known: &Known, audience: &str, now: SystemTime) -> Option<()> {
    let text = form
        .get("assertion")
        .filter(|_| !form.contains_key("client_id"))?;
    let (signed, signature) = text.rsplit_once('.')?;
    let mut mac = Hmac::<Sha256>::new_from_slice(known.secret.as_bytes()).ok()?;
    mac.update(signed.as_bytes());
    mac.verify_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?)
        .ok()?;
    let (head, claims) = signed.split_once('.')?;
    let (head, claims) = (json(head)?, json(claims)?);
    let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    let (issued, ends) = (claims["iat"].as_u64()?, claims["exp"].as_u64()?);
    let is_right = head["alg"] == "HS256"
        && head["kid"] == known.key.as_str()
        && claims["iss"] == known.id.as_str()
        && claims["aud"] == audience
        && issued <= now + CLOCK_SKEW
        && ends > now
        && ends <= issued + ASSERTION_SECONDS;
    is_right.then_some(())
}

fn json(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
