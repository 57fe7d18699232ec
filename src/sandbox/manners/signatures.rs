//! Signatures, checked as the vendors' pages describe them. Nothing of `crate::signing` is used: a
//! slip there would be shared.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use http::header::AUTHORIZATION;
use sha2::Sha256;

use super::credential::{Found, Signed, header};

/// How far a timestamp may be off, in seconds. No vendor publishes it: the sandbox's own.
const CLOCK_SKEW: u64 = 300;

fn is_recent(timestamp: &str, now: u64) -> bool {
    let timestamp = timestamp.parse::<u64>();
    timestamp.is_ok_and(|timestamp| timestamp.abs_diff(now) <= CLOCK_SKEW)
}

/// `Authorization: JOP appid="…",accesskey="…",nonce="…",timestamp="…",signature="…"`, an
/// HMAC-SHA-256 of method, path with query, timestamp, nonce and body, each with a line's end.
pub(super) fn jop(signed: &Signed<'_>) -> Found {
    let Some(text) = header(signed.request, AUTHORIZATION.as_str()) else {
        return Found::Nothing;
    };
    let Some(fields) = text.strip_prefix("JOP ") else {
        return Found::Wrong;
    };
    let fields = fields.split(',').filter_map(|field| field.split_once('='));
    let fields: BTreeMap<_, _> = fields.collect();
    let field = |name: &str| fields.get(name).map_or("", |value| value.trim_matches('"'));
    let (nonce, timestamp) = (field("nonce"), field("timestamp"));
    let (uri, method) = (signed.request.uri(), signed.request.method());
    let path = uri.path_and_query().map_or("", |it| it.as_str());
    let head = format!("{method}\n{path}\n{timestamp}\n{nonce}\n");
    let message = [head.as_bytes(), signed.request.body(), b"\n"].concat();
    let is_right = field("appid") == signed.known.id
        && field("accesskey") == signed.known.key
        && nonce.len() == 32
        && is_recent(timestamp, signed.unix_seconds)
        && hmac_sha256(&signed.known.secret, &message).as_deref() == Some(field("signature"));
    match is_right {
        true => Found::Once(nonce.to_owned()),
        false => Found::Wrong,
    }
}

fn hmac_sha256(key: &str, message: &[u8]) -> Option<String> {
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).ok()?;
    let digest = mac.chain_update(message).finalize().into_bytes();
    Some(STANDARD.encode(digest))
}

#[cfg(feature = "signing")]
pub(super) use by_sha1::{contract, lcsc, tme};

#[cfg(feature = "signing")]
mod by_sha1 {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    use sha1::{Digest, Sha1};
    use url::form_urlencoded;

    use super::*;
    use crate::sandbox::manners::credential::query;

    /// All but the unreserved characters of RFC 3986 section 2.3.
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');

    fn percent(text: &str) -> String {
        utf8_percent_encode(text, RESERVED).to_string()
    }

    fn hmac_sha1(key: &str, message: &str) -> Option<String> {
        let mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).ok()?;
        let digest = mac.chain_update(message).finalize().into_bytes();
        Some(STANDARD.encode(digest))
    }

    /// `key`, `nonce`, `timestamp` and `signature` in the query, a plain SHA-1 in hexadecimal.
    pub(in super::super) fn lcsc(signed: &Signed<'_>) -> Found {
        let field = |name: &str| query(signed.request, name).unwrap_or_default();
        let (key, nonce, timestamp) = (field("key"), field("nonce"), field("timestamp"));
        if key.is_empty() && field("signature").is_empty() {
            return Found::Nothing;
        }
        let secret = &signed.known.secret;
        let text = format!("key={key}&nonce={nonce}&secret={secret}&timestamp={timestamp}");
        let digest = Sha1::digest(text.as_bytes());
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let is_right = key == signed.known.id
            && nonce.len() == 16
            && is_recent(&timestamp, signed.unix_seconds)
            && field("signature") == digest;
        match is_right {
            true => Found::Once(nonce),
            false => Found::Wrong,
        }
    }

    /// `Token` and `ApiSignature` in the form: an HMAC-SHA-1 of `POST&url&fields`, the URL being
    /// the one that the request was sent to.
    pub(in super::super) fn tme(signed: &Signed<'_>) -> Found {
        let form = form_urlencoded::parse(signed.request.body()).into_owned();
        let mut form: BTreeMap<String, String> = form.collect();
        let signature = form.remove("ApiSignature");
        if signature.is_none() && !form.contains_key("Token") {
            return Found::Nothing;
        }
        let pair =
            |(name, value): (&String, &String)| format!("{}={}", percent(name), percent(value));
        let fields: Vec<_> = form.iter().map(pair).collect();
        let host = header(signed.request, "host").unwrap_or_default();
        let url = format!("http://{host}{}", signed.request.uri());
        let message = format!("POST&{}&{}", percent(&url), percent(&fields.join("&")));
        let is_right = form.get("Token") == Some(&signed.known.id)
            && form.contains_key("Country")
            && form.contains_key("Language")
            && signature == hmac_sha1(&signed.known.secret, &message);
        // The signature of a request is always the same: there is no nonce.
        if is_right { Found::Right } else { Found::Wrong }
    }

    /// `userInfo.customerId`, `userInfo.timestamp` and `userInfo.signature`: an HMAC-SHA-1 of the
    /// operation's name and the timestamp.
    pub(in super::super) fn contract(signed: &Signed<'_>) -> Found {
        let field = |name: &str| query(signed.request, name).unwrap_or_default();
        let (id, signature) = (field("userInfo.customerId"), field("userInfo.signature"));
        if id.is_empty() && signature.is_empty() {
            return Found::Nothing;
        }
        let operation = match field("term").split(':').next() {
            Some("any") => "searchByKeyword",
            Some("id") => "searchByPremierFarnellPartNumber",
            Some("manuPartNum") => "searchByManufacturerPartNumber",
            _ => return Found::Wrong,
        };
        let message = format!("{operation}{}", field("userInfo.timestamp"));
        let is_right =
            id == signed.known.id && hmac_sha1(&signed.known.secret, &message) == Some(signature);
        if is_right { Found::Right } else { Found::Wrong }
    }
}
