//! Credentials that need no token endpoint: headers and query keys, and where they are kept.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderName, HeaderValue};
use reqwest::Request;
use zeroize::Zeroizing;

use super::scheme::{Scheme, Signature};
use crate::auth::persistence::record::short_mark_of;
use crate::secret::Secret;

const NOT_A_VALUE: &str = "found a character that cannot stand in a header; expected visible ASCII";

/// Where a header's value comes from.
#[derive(Clone)]
pub(crate) enum HeaderPlace {
    /// No secret.
    Plain(String),
    Secret(Secret),
    /// `Bearer <token>` (RFC 6750 section 2.1).
    Bearer(Secret),
    /// `Basic <base64 of user:password>` (RFC 7617 section 2).
    Basic {
        user: String,
        password: Secret,
    },
}

impl HeaderPlace {
    /// # Errors
    /// A sentence that names the place, never the value.
    pub(crate) fn read(&self) -> Result<HeaderValue, String> {
        let (text, is_secret) = match self {
            Self::Plain(text) => (Zeroizing::new(text.clone()), false),
            Self::Secret(secret) => (secret.read()?, true),
            Self::Bearer(token) => (bearer(&token.read()?)?, true),
            Self::Basic { user, password } => (basic(user, &password.read()?)?, true),
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| NOT_A_VALUE.to_owned())?;
        value.set_sensitive(is_secret);
        Ok(value)
    }

    pub(crate) fn is_reference(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Secret(secret) | Self::Bearer(secret) => secret.is_reference(),
            Self::Basic { password, .. } => password.is_reference(),
        }
    }
}

fn bearer(token: &str) -> Result<Zeroizing<String>, String> {
    match token.trim().is_empty() {
        true => Err("is empty".to_owned()),
        false => Ok(Zeroizing::new(format!("Bearer {token}"))),
    }
}

fn basic(user: &str, password: &str) -> Result<Zeroizing<String>, String> {
    if user.contains(':') {
        return Err("found a colon in the user's name, which ends it (RFC 7617)".to_owned());
    }
    let pair = Zeroizing::new(format!("{user}:{password}"));
    Ok(Zeroizing::new(format!(
        "Basic {}",
        STANDARD.encode(pair.as_bytes())
    )))
}

/// Where the keys are kept.
#[derive(Clone, Default)]
pub(crate) struct KeyPlaces {
    pub(crate) headers: Vec<(HeaderName, HeaderPlace)>,
    pub(crate) query: Vec<(String, Secret)>,
    pub(crate) scheme: Option<Scheme>,
}

impl KeyPlaces {
    /// # Errors
    /// The first one that cannot be read, and why; never a value.
    pub(crate) fn read(&self) -> Result<Keys, String> {
        let header = |(name, place): &(HeaderName, HeaderPlace)| {
            Ok::<_, String>((name.clone(), place.read()?))
        };
        let pair =
            |(name, secret): &(String, Secret)| Ok::<_, String>((name.clone(), secret.read()?));
        let signature = self.scheme.as_ref().map(Scheme::read).transpose();
        let signature = signature.map_err(|(name, text)| format!("{name} {text}"))?;
        Ok(Keys {
            headers: self.headers.iter().map(header).collect::<Result<_, _>>()?,
            query: self.query.iter().map(pair).collect::<Result<_, _>>()?,
            signature: signature.unwrap_or_default(),
        })
    }

    /// Whose keys these are, which were read here: what a customer is known by, and fingerprints of
    /// secrets. Nothing of what is no secret (a language), nor of a password beside its user.
    pub(crate) fn owner(&self, keys: &Keys) -> Vec<String> {
        let mut owner = Vec::new();
        for ((name, place), (_, value)) in self.headers.iter().zip(&keys.headers) {
            let text = String::from_utf8_lossy(value.as_bytes());
            match place {
                HeaderPlace::Plain(_) => continue,
                HeaderPlace::Basic { user, .. } => owner.push(user.clone()),
                HeaderPlace::Secret(_) | HeaderPlace::Bearer(_) => owner.push(short_mark_of(&text)),
            }
            owner.push(name.as_str().to_owned());
        }
        for (name, value) in &keys.query {
            owner.extend([short_mark_of(value), name.clone()]);
        }
        for (name, value) in keys.signature.secrets() {
            owner.extend([short_mark_of(value), name.to_owned()]);
        }
        owner
    }

    /// Whether reading them again could give other values.
    pub(crate) fn have_references(&self) -> bool {
        let mut headers = self.headers.iter();
        let mut query = self.query.iter();
        headers.any(|(_, place)| place.is_reference())
            || query.any(|(_, secret)| secret.is_reference())
            || self.scheme.as_ref().is_some_and(Scheme::has_references)
    }
}

/// What the account puts on every request.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Keys {
    /// Those that are secrets are marked sensitive.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) query: Vec<(String, Zeroizing<String>)>,
    pub(crate) signature: Signature,
}

impl Keys {
    pub(crate) fn are_none(&self) -> bool {
        self.headers.is_empty() && self.query.is_empty() && self.signature.signer.is_none()
    }

    /// Whether reqwest takes any of them along to another origin: it strips these headers alone.
    pub(in crate::auth) fn outlive_redirects(&self) -> bool {
        const STRIPPED: [HeaderName; 3] = [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION];
        let stays = |(name, value): &(HeaderName, HeaderValue)| {
            value.is_sensitive() && !STRIPPED.contains(name)
        };
        !self.query.is_empty() || self.headers.iter().any(stays)
    }

    /// Puts on what the caller did not.
    pub(in crate::auth) fn put(&self, request: &mut Request) {
        let headers = request.headers_mut();
        for (name, value) in &self.headers {
            if !headers.contains_key(name) {
                headers.insert(name.clone(), value.clone());
            }
        }
        for (name, value) in &self.query {
            let mut pairs = request.url().query_pairs();
            if !pairs.any(|(present, _)| present == name.as_str()) {
                request.url_mut().query_pairs_mut().append_pair(name, value);
            }
        }
    }
}
