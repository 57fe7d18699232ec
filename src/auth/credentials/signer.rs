//! Request signing: the hook for vendors that want no token but a signature.
//!
//! A signature holds for one attempt: it covers a time, a nonce, often the body, and a server may
//! refuse the second request with the same nonce. So the signer is asked for every attempt, replays
//! after a 401 or a 429 included, after everything else is on the request.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use http::header::CONTENT_LENGTH;
use reqwest::{Body, Request};
use url::{Url, form_urlencoded};

use crate::error::BoxError;

/// Signs every attempt of a request to the account's origins.
///
/// It may change headers, query, path and body. What it adds to the URL does not show in the
/// response's URL nor in errors: the caller sees the URL that it asked for.
///
/// How to write one is told in the module `signing` (feature of that name), with an example.
///
/// It must not block, and must not keep the request. What always holds: the attempt carries all of
/// the account's other headers and query keys, no attempt is signed twice, and none is sent if the
/// signer fails. A request with an `Authorization` header of its own is not signed.
///
/// ```
/// use reqwest_tollgate::{Account, Attempt, BoxError, Signer};
///
/// struct Stamp;
///
/// impl Signer for Stamp {
///     fn sign(&self, attempt: &mut Attempt<'_>) -> Result<(), BoxError> {
///         let length = attempt.body()?.len().to_string();
///         attempt.request.headers_mut().insert("x-length", length.parse()?);
///         Ok(())
///     }
/// }
///
/// let account = Account::builder("acme", "https://api.acme.example").signer(Stamp).build()?;
/// # Ok::<(), reqwest_tollgate::Error>(())
/// ```
pub trait Signer: Send + Sync + 'static {
    /// Signs one attempt.
    ///
    /// # Errors
    /// Whatever keeps it from signing; the caller gets an
    /// [`ErrorKind::Signature`](crate::ErrorKind::Signature) with it as source, and nothing is
    /// sent. It must not hold a secret.
    fn sign(&self, attempt: &mut Attempt<'_>) -> Result<(), BoxError>;
}

/// One attempt of a request, about to leave.
/// `Debug` shows no value of its query and headers, and nothing of its body: any may be a secret.
#[non_exhaustive]
pub struct Attempt<'a> {
    /// The request, with everything on it but the signature.
    pub request: &'a mut Request,
    /// The time by the account's clock.
    pub now: SystemTime,
    /// Random bytes of this attempt alone, from the operating system.
    pub nonce: [u8; 16],
}

impl<'a> Attempt<'a> {
    /// An attempt, for tests of a signer.
    pub fn new(request: &'a mut Request, now: SystemTime, nonce: [u8; 16]) -> Self {
        Self {
            request,
            now,
            nonce,
        }
    }

    /// The body's bytes; empty where there is none.
    ///
    /// # Errors
    /// The body is a stream, whose bytes nobody knows before they are sent.
    pub fn body(&self) -> Result<&[u8], BoxError> {
        match self.request.body() {
            None => Ok(&[]),
            Some(body) => body
                .as_bytes()
                .ok_or_else(|| "the body is a stream; a signature needs its bytes".into()),
        }
    }

    /// Another body. A `Content-Length` goes, since it told the length of the old one; the
    /// `Content-Type` stays.
    pub fn set_body(&mut self, body: impl Into<Body>) {
        self.request.headers_mut().remove(CONTENT_LENGTH);
        *self.request.body_mut() = Some(body.into());
    }

    /// Puts a pair at the end of the query, instead of those of that name.
    pub fn set_query(&mut self, name: &str, value: &str) {
        self.take_query(name);
        let mut pairs = self.request.url_mut().query_pairs_mut();
        pairs.append_pair(name, value);
    }

    /// Takes all pairs of that name off the query, and gives the value of the first. The other
    /// pairs stay as they are spelled.
    pub fn take_query(&mut self, name: &str) -> Option<String> {
        let url = self.request.url_mut();
        let (_, value) = url.query_pairs().find(|(other, _)| other == name)?;
        let value = value.into_owned();
        let is_other = |pair: &&str| {
            let mut parsed = form_urlencoded::parse(pair.as_bytes());
            parsed.next().is_none_or(|(other, _)| other != name)
        };
        let query = url.query().unwrap_or_default();
        let others: Vec<_> = query.split('&').filter(is_other).collect();
        let others = others.join("&");
        url.set_query(Some(&*others).filter(|others| !others.is_empty()));
        Some(value)
    }

    /// The account's clock in whole seconds since 1970, as most schemes write it.
    pub fn unix_seconds(&self) -> u64 {
        let since = self.now.duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    }
}

impl fmt::Debug for Attempt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = self.request.body().map(|body| match body.as_bytes() {
            Some(bytes) => format!("{} bytes", bytes.len()),
            None => "a stream".to_owned(),
        });
        let headers: Vec<_> = self.request.headers().keys().collect();
        f.debug_struct("Attempt")
            .field("method", self.request.method())
            .field("url", &without_values(self.request.url()))
            .field("headers", &headers)
            .field("body", &body)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// The URL without user and password, and of its query the names alone.
fn without_values(url: &Url) -> String {
    let names: Vec<_> = url
        .query()
        .into_iter()
        .flat_map(|query| query.split('&'))
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) => format!("{name}=***"),
            // A pair without a name may be a key itself.
            None => "***".to_owned(),
        })
        .collect();
    let query = match names.is_empty() {
        true => String::new(),
        false => format!("?{}", names.join("&")),
    };
    let origin = url.origin().ascii_serialization();
    format!("{origin}{}{query}", url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(url: &str) -> Request {
        Request::new(http::Method::GET, url.parse().expect("a URL"))
    }

    fn with_query_set(url: &str) -> String {
        let mut request = request(url);
        let mut attempt = Attempt::new(&mut request, UNIX_EPOCH, [0; 16]);
        attempt.set_query("k", "a+b=");
        request.url().query().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_pair_of_the_query_is_replaced_and_the_others_stay_as_spelled() {
        assert_eq!(with_query_set("https://a.example/"), "k=a%2Bb%3D");
        assert_eq!(with_query_set("https://a.example/?k=1"), "k=a%2Bb%3D");
        let query = with_query_set("https://a.example/?q=1%20k&k=1&flag&%6b=2&kk=3");
        assert_eq!(query, "q=1%20k&flag&kk=3&k=a%2Bb%3D");
    }

    #[test]
    fn a_new_body_does_not_keep_the_old_length() {
        let mut request = request("https://a.example/");
        let headers = request.headers_mut();
        headers.insert(CONTENT_LENGTH, http::HeaderValue::from_static("3"));
        let mut attempt = Attempt::new(&mut request, UNIX_EPOCH, [0; 16]);
        attempt.set_body("longer");
        assert_eq!(attempt.body().expect("bytes"), b"longer");
        assert!(request.headers().get(CONTENT_LENGTH).is_none());
    }

    #[test]
    fn debug_shows_no_secret_of_an_attempt() {
        let url = "https://user:canary1@a.example/path?key=canary2&canary3&a=canary4#canary5";
        let mut request = request(url);
        let key = http::HeaderValue::from_static("canary6");
        request.headers_mut().insert("x-api-key", key.clone());
        request
            .headers_mut()
            .insert(http::header::AUTHORIZATION, key);
        let mut attempt = Attempt::new(&mut request, UNIX_EPOCH, [0; 16]);
        attempt.set_body("canary7");
        for shown in [format!("{attempt:?}"), format!("{attempt:#?}")] {
            assert!(!shown.contains("canary"), "{shown}");
            for part in [
                "GET",
                "https://a.example/path?key=***&***&a=***",
                "x-api-key",
                "7 bytes",
            ] {
                assert!(shown.contains(part), "{shown}");
            }
        }
    }
}
