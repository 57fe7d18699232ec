//! Where a vendor looks for a credential, and what it finds there.

use std::collections::HashSet;
use std::time::SystemTime;

use bytes::Bytes;
use http::Request;
use http::header::AUTHORIZATION;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use url::form_urlencoded;

/// What the sandbox knows of its one customer.
pub(in crate::sandbox) struct Known {
    pub(in crate::sandbox) id: String,
    pub(in crate::sandbox) secret: String,
    pub(in crate::sandbox) key: String,
}

/// What should stand in a place.
#[derive(Clone, Copy)]
pub(super) enum What {
    Id,
    Secret,
    Key,
    Text(&'static str),
}

impl What {
    pub(super) fn of(self, known: &Known) -> &str {
        match self {
            Self::Id => &known.id,
            Self::Secret => &known.secret,
            Self::Key => &known.key,
            Self::Text(text) => text,
        }
    }
}

/// Where something should stand.
pub(super) enum Place {
    /// A token of the endpoint, as `Authorization: Bearer`.
    Token,
    /// `Authorization: Bearer`, for ever the same.
    Bearer(What),
    Header(&'static str, What),
    Query(&'static str, What),
    /// The last segment of the path.
    PathEnd(What),
    /// A member of the JSON object that the body is.
    Json(&'static str, What),
    /// What no table can say.
    Signature(Check),
}

/// Looks at the whole of a signed request.
pub(super) type Check = fn(&Signed<'_>) -> Found;

/// A signed request, and what it takes to check it.
pub(super) struct Signed<'a> {
    pub(super) request: &'a Request<Bytes>,
    pub(super) known: &'a Known,
    pub(super) unix_seconds: u64,
}

/// What is in a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Wrong,
    Right,
    /// Right, if the nonce is a new one.
    Once(String),
}

/// What is wrong with a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sandbox) enum Gap {
    /// There is none at all, in any place.
    Missing,
    /// The token is not good, or the only key.
    Token,
    /// What should stand beside the token is not right.
    Other,
}

pub(super) fn gap(
    places: &[Place],
    request: &Request<Bytes>,
    known: &Known,
    nonces: &mut HashSet<String>,
    is_good: &dyn Fn(&str) -> bool,
    now: SystemTime,
) -> Option<Gap> {
    let found = places
        .iter()
        .map(|place| place.look(request, known, is_good, now));
    let found: Vec<_> = found.map(|found| once(found, nonces)).collect();
    // What is the same for everybody (a shop, a format) is no credential.
    let own = places
        .iter()
        .zip(&found)
        .filter(|(place, _)| place.is_own());
    if own.clone().all(|(_, found)| *found == Found::Nothing) {
        return Some(Gap::Missing);
    }
    let wrong = places.iter().zip(&found);
    let wrong: Vec<_> = wrong.filter(|(_, found)| **found != Found::Right).collect();
    let is_token = |place: &Place| matches!(place, Place::Token) || !has_token(places);
    match wrong.first() {
        None => None,
        Some(_) if wrong.iter().any(|(place, _)| is_token(place)) => Some(Gap::Token),
        Some(_) => Some(Gap::Other),
    }
}

fn has_token(places: &[Place]) -> bool {
    places.iter().any(|place| matches!(place, Place::Token))
}

fn once(found: Found, nonces: &mut HashSet<String>) -> Found {
    match found {
        Found::Once(nonce) if nonces.insert(nonce.clone()) => Found::Right,
        Found::Once(_) => Found::Wrong,
        other => other,
    }
}

impl Place {
    fn is_own(&self) -> bool {
        let what = match self {
            Self::Bearer(what)
            | Self::Header(_, what)
            | Self::Query(_, what)
            | Self::PathEnd(what)
            | Self::Json(_, what) => *what,
            _ => return true,
        };
        !matches!(what, What::Text(_))
    }

    fn look(
        &self,
        request: &Request<Bytes>,
        known: &Known,
        is_good: &dyn Fn(&str) -> bool,
        now: SystemTime,
    ) -> Found {
        let is = |found: Option<String>, what: &What| compare(found.as_deref(), what.of(known));
        match self {
            Self::Token => match bearer(request) {
                None => Found::Nothing,
                Some(token) if is_good(token) => Found::Right,
                Some(_) => Found::Wrong,
            },
            Self::Bearer(what) => compare(bearer(request), what.of(known)),
            Self::Header(name, what) => compare(header(request, name), what.of(known)),
            Self::Query(name, what) => is(query(request, name), what),
            Self::PathEnd(what) => is(path_end(request), what),
            Self::Json(name, what) => is(member(request, name), what),
            Self::Signature(check) => check(&Signed {
                request,
                known,
                unix_seconds: now
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .unwrap_or_default()
                    .as_secs(),
            }),
        }
    }
}

fn compare(found: Option<&str>, expected: &str) -> Found {
    match found {
        None => Found::Nothing,
        Some(found) if found == expected => Found::Right,
        Some(_) => Found::Wrong,
    }
}

pub(super) fn header<'a>(request: &'a Request<Bytes>, name: &str) -> Option<&'a str> {
    let mut values = request.headers().get_all(name).iter();
    let first = values.next()?.to_str().ok()?;
    // Twice is as good as wrong.
    Some(if values.next().is_some() { "" } else { first })
}

fn bearer(request: &Request<Bytes>) -> Option<&str> {
    let text = header(request, AUTHORIZATION.as_str())?;
    let parts = text.split_once(' ');
    let token = parts.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    // Another scheme, or a header twice, is as good as wrong.
    Some(token.map_or("", |(_, token)| token))
}

pub(super) fn query(request: &Request<Bytes>, name: &str) -> Option<String> {
    let query = request.uri().query()?.as_bytes();
    let values = form_urlencoded::parse(query).filter(|(found, _)| found == name);
    let values: Vec<_> = values.map(|(_, value)| value.into_owned()).collect();
    match values.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        // Twice is as good as wrong.
        _ => Some(String::new()),
    }
}

/// A segment that still holds the caller's placeholder has no key.
fn path_end(request: &Request<Bytes>) -> Option<String> {
    let end = request.uri().path().rsplit('/').next()?;
    let end = percent_decode_str(end).decode_utf8().ok()?;
    (!end.contains('{')).then(|| end.into_owned())
}

fn member(request: &Request<Bytes>, name: &str) -> Option<String> {
    let body: Value = serde_json::from_slice(request.body()).ok()?;
    Some(body.get(name)?.as_str().unwrap_or_default().to_owned())
}
