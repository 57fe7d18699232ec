//! Request signing: what signatures are made of, and how to write a [`Signer`](crate::Signer).
//!
//! Some vendors give no token. Each request proves that its sender knows a secret, without showing
//! it: a digest over the secret and parts of the request, among them the time and a *nonce* (a
//! number used once), so that nobody can send it a second time. That makes a signature good for one
//! attempt, and decides where it has to be made: beneath everything that waits, repeats or adds. A
//! signature made before the limiter's queue is stale when its turn comes, and a replay after a 429
//! with the old one is refused for its nonce. So a signer belongs to the account
//! ([`AccountBuilder::signer`](crate::AccountBuilder::signer)), which asks it for every attempt,
//! after all other headers and keys are on the request.
//!
//! A signer reads the request and changes it. To write one, find out from the vendor's pages:
//!
//! * **What is signed**, to the byte: which parts, in which order, how encoded, how joined. Most
//!   mistakes are here; begin with a test of the vendor's worked example, or of one made with
//!   `openssl dgst -hmac`.
//! * **With which digest**, and in which spelling: [`hmac_sha256`] or [`hmac_sha1`], sometimes a
//!   plain [`sha1()`]; in [`base64()`] or [`hex`].
//! * **Which time and nonce**: [`Attempt::now`](crate::Attempt::now) is the account's clock,
//!   [`Attempt::nonce`](crate::Attempt::nonce) new random bytes for each attempt.
//! * **Where it goes**: a header, the query ([`Attempt::set_query`](crate::Attempt::set_query)),
//!   the body ([`Attempt::set_body`](crate::Attempt::set_body)).
//!
//! ```
//! use http::HeaderValue;
//! use reqwest_tollgate::signing::{Key, base64, hex, hmac_sha256};
//! use reqwest_tollgate::{Account, Attempt, BoxError, Secret, Signer};
//!
//! /// `X-Signature: NONCE TIME DIGEST`, the last in base64.
//! struct AcmeSignature {
//!     secret: Key,
//! }
//!
//! impl Signer for AcmeSignature {
//!     fn sign(&self, attempt: &mut Attempt<'_>) -> Result<(), BoxError> {
//!         let (nonce, time) = (hex(&attempt.nonce), attempt.unix_seconds());
//!         let (method, path) = (attempt.request.method(), attempt.request.url().path());
//!         let mut message = format!("{method}\n{path}\n{nonce}\n{time}\n").into_bytes();
//!         // An error where the body is a stream: then nothing is sent.
//!         message.extend_from_slice(attempt.body()?);
//!         let digest = base64(&hmac_sha256(self.secret.expose()?.as_bytes(), &message));
//!         let value = HeaderValue::try_from(format!("{nonce} {time} {digest}"))?;
//!         attempt.request.headers_mut().insert("x-signature", value);
//!         Ok(())
//!     }
//! }
//!
//! let account = Account::builder("acme", "https://api.acme.example")
//!     .signer(AcmeSignature { secret: Key::new(Secret::from("my-secret")) })
//!     .build()?;
//!
//! // A test of it needs no server:
//! let url = "https://api.acme.example/parts/LM358".parse()?;
//! let mut request = reqwest::Request::new(http::Method::GET, url);
//! let mut attempt = Attempt::new(&mut request, std::time::UNIX_EPOCH, [0; 16]);
//! AcmeSignature { secret: Key::new("my-secret") }.sign(&mut attempt)?;
//! // printf 'GET\n/parts/LM358\n00000000000000000000000000000000\n0\n' |
//! //     openssl dgst -sha256 -hmac my-secret -binary | base64
//! let digest = "qjwvIGXC17/WVMfht2x7Q42T7TWckCutEwpa2UjMni0=";
//! let expected = format!("{} 0 {digest}", "0".repeat(32));
//! assert_eq!(request.headers()["x-signature"], expected);
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! The example `custom_distributor` is a whole distributor of that kind.
//!
//! # Digests
//! They are RustCrypto's. SHA-1 is here because vendors ask for it; a signature of one request is
//! no use for a collision, but choose something else for a scheme of your own.
//!
//! ```
//! use reqwest_tollgate::signing::{base64, hex, hmac_sha1, hmac_sha256, sha1};
//!
//! // RFC 2202 section 3, test case 2; RFC 4231 section 4.3; FIPS 180-2 appendix A.1.
//! let mac = hmac_sha1(b"Jefe", b"what do ya want for nothing?");
//! assert_eq!(hex(&mac), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
//! let mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
//! assert_eq!(base64(&mac), "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=");
//! assert_eq!(hex(&sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
//! ```

use std::sync::OnceLock;

use ::base64::Engine;
use ::base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::BoxError;
use crate::percent;
use crate::secret::Secret;

/// HMAC-SHA-1 (RFC 2104).
pub fn hmac_sha1(key: &[u8], message: &[u8]) -> [u8; 20] {
    // An HMAC takes a key of any length.
    let Ok(mac) = Hmac::<Sha1>::new_from_slice(key) else {
        return [0; 20];
    };
    mac.chain_update(message).finalize().into_bytes().into()
}

/// HMAC-SHA-256 (RFC 2104).
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return [0; 32];
    };
    mac.chain_update(message).finalize().into_bytes().into()
}

/// SHA-1 (FIPS 180).
pub fn sha1(message: &[u8]) -> [u8; 20] {
    Sha1::digest(message).into()
}

/// In base64 with padding (RFC 4648 section 4).
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// In lower-case hexadecimal (RFC 4648 section 8).
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half & 0xf)]);
    let both = |byte: &u8| [digit(byte >> 4), digit(*byte)];
    bytes.iter().flat_map(both).collect()
}

/// With all but the unreserved characters of RFC 3986 section 2.3 percent-encoded.
pub fn percent_encode(text: &str) -> String {
    percent::encode(text)
}

/// A signing key: a [`Secret`], read when it is first needed and kept.
pub struct Key {
    secret: Secret,
    value: OnceLock<Zeroizing<String>>,
}

impl Key {
    /// The key that the secret is, or refers to.
    pub fn new(secret: impl Into<Secret>) -> Self {
        Self {
            secret: secret.into(),
            value: OnceLock::new(),
        }
    }

    /// The key.
    ///
    /// # Errors
    /// The secret cannot be read; the text names the variable or file, never a value. The next call
    /// tries again.
    pub fn expose(&self) -> Result<&str, BoxError> {
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        let value = self.secret.read()?;
        Ok(self.value.get_or_init(|| value))
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Key").field(&self.secret).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_shows_its_place_alone() {
        let key = Key::new("canary");
        assert_eq!(format!("{key:?}"), "Key(Secret(***))");
        assert_eq!(key.expose().expect("a literal"), "canary");
        let missing = Key::new(Secret::env("TOLLGATE_NO_SUCH_VARIABLE"));
        let text = missing.expose().expect_err("not set").to_string();
        assert_eq!(
            text,
            "environment variable TOLLGATE_NO_SUCH_VARIABLE is not set"
        );
    }
}
