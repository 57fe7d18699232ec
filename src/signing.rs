//! What signatures are made of, for [`Signer`](crate::Signer)s: digests, their usual spellings, and
//! a key that is read where it is kept.
//!
//! The digests are RustCrypto's. SHA-1 is here because vendors ask for it; a signature of one
//! request is no use for a collision, but choose something else for a scheme of your own.
//!
//! ```
//! use reqwest_tollgate::signing::{base64, hex, hmac_sha1, hmac_sha256, sha1};
//!
//! // RFC 2202 section 3, test case 2; RFC 4231 section 4.3; FIPS 180-2 appendix A.1.
//! let mac = hmac_sha1(b"Jefe", b"what do ya want for nothing?");
//! assert_eq!(hex(&mac), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
//! let mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
//! assert_eq!(base64(&mac), "W9zBRr9gdU5qBCQIlcQHWgCQibOsOcg5Z192OexYOEM=");
//! assert_eq!(hex(&sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
//! ```

use std::sync::OnceLock;

use ::base64::Engine;
use ::base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::BoxError;
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
    const RESERVED: AsciiSet = NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    utf8_percent_encode(text, &RESERVED).to_string()
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
    fn only_unreserved_characters_stay() {
        let text = "Az09-._~ +/&=%é";
        assert_eq!(percent_encode(text), "Az09-._~%20%2B%2F%26%3D%25%C3%A9");
    }

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
