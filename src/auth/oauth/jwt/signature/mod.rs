//! Signatures of assertions (RFC 7518 section 3).

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// How an assertion is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::auth) enum Algorithm {
    Hs256,
    #[cfg(feature = "jwt")]
    Rs256,
    #[cfg(feature = "jwt")]
    Es256,
}

impl Algorithm {
    /// As `alg` names it.
    pub(in crate::auth) fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            #[cfg(feature = "jwt")]
            Self::Rs256 => "RS256",
            #[cfg(feature = "jwt")]
            Self::Es256 => "ES256",
        }
    }
}

/// The signature of `input`; `key` is the shared secret, or the private key as PEM.
///
/// # Errors
/// A sentence about the key, never with the key in it.
pub(in crate::auth) fn sign(
    algorithm: Algorithm,
    key: &str,
    input: &[u8],
) -> Result<Vec<u8>, String> {
    match algorithm {
        Algorithm::Hs256 => hs256(key, input),
        #[cfg(feature = "jwt")]
        Algorithm::Rs256 => asymmetric::rs256(key, input),
        #[cfg(feature = "jwt")]
        Algorithm::Es256 => asymmetric::es256(key, input),
    }
}

fn hs256(key: &str, input: &[u8]) -> Result<Vec<u8>, String> {
    if key.is_empty() {
        return Err("is empty".to_owned());
    }
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes());
    let mut mac = mac.map_err(|_| "cannot be a key of HS256".to_owned())?;
    mac.update(input);
    Ok(mac.finalize().into_bytes().to_vec())
}

#[cfg(feature = "jwt")]
mod asymmetric {
    use p256::ecdsa::signature::Signer as _;
    use rsa::pkcs1::DecodeRsaPrivateKey as _;
    use rsa::pkcs8::DecodePrivateKey as _;
    use rsa::rand_core::OsRng;
    use rsa::signature::{RandomizedSigner as _, SignatureEncoding as _};

    /// With blinding, so that the time it takes tells nothing about the key.
    pub(super) fn rs256(key: &str, input: &[u8]) -> Result<Vec<u8>, String> {
        let key = rsa::RsaPrivateKey::from_pkcs8_pem(key)
            .or_else(|_| rsa::RsaPrivateKey::from_pkcs1_pem(key))
            .map_err(|_| "is no RSA private key in PEM (PKCS #8 or PKCS #1)".to_owned())?;
        let key = rsa::pkcs1v15::SigningKey::<sha2::Sha256>::new(key);
        let signature = key.try_sign_with_rng(&mut OsRng, input);
        let signature = signature.map_err(|_| "is an RSA key that cannot sign".to_owned())?;
        Ok(signature.to_vec())
    }

    pub(super) fn es256(key: &str, input: &[u8]) -> Result<Vec<u8>, String> {
        let key = p256::SecretKey::from_pkcs8_pem(key)
            .or_else(|_| p256::SecretKey::from_sec1_pem(key))
            .map_err(|_| "is no P-256 private key in PEM (PKCS #8 or SEC 1)".to_owned())?;
        let key = p256::ecdsa::SigningKey::from(key);
        let signature: p256::ecdsa::Signature = key
            .try_sign(input)
            .map_err(|_| "is a P-256 key that cannot sign".to_owned())?;
        Ok(signature.to_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests;
