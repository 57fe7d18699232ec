use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The example that the debugger at jwt.io has shown for years.
#[test]
fn hs256_signs_a_well_known_example() {
    let input = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.\
                 eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ";
    let signature = sign(Algorithm::Hs256, "your-256-bit-secret", input.as_bytes());
    assert_eq!(
        URL_SAFE_NO_PAD.encode(signature.expect("a signature")),
        "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
    );
}

#[test]
fn an_empty_secret_signs_nothing() {
    assert!(sign(Algorithm::Hs256, "", b"x").is_err());
}

#[cfg(feature = "jwt")]
mod asymmetric {
    use super::*;
    use p256::ecdsa::signature::Verifier as _;
    use rsa::pkcs1::EncodeRsaPrivateKey as _;
    use rsa::pkcs8::{EncodePrivateKey as _, LineEnding};
    use rsa::rand_core::OsRng;

    #[test]
    fn rs256_is_verified_by_the_public_key_whatever_the_pem() {
        // As short as the signature allows, since making a longer one takes long.
        let private = rsa::RsaPrivateKey::new(&mut OsRng, 512).expect("a key");
        let public = rsa::pkcs1v15::VerifyingKey::<Sha256>::new(private.to_public_key());
        let pkcs1 = private.to_pkcs1_pem(LineEnding::LF).expect("PEM");
        let pkcs8 = private.to_pkcs8_pem(LineEnding::LF).expect("PEM");
        for pem in [pkcs1, pkcs8] {
            let signature = sign(Algorithm::Rs256, &pem, b"input").expect("a signature");
            let signature = rsa::pkcs1v15::Signature::try_from(&signature[..]).expect("its form");
            assert!(public.verify(b"input", &signature).is_ok());
            assert!(public.verify(b"another", &signature).is_err());
        }
    }

    #[test]
    fn es256_is_verified_by_the_public_key_and_is_64_bytes_long() {
        let private = p256::SecretKey::random(&mut OsRng);
        let public = p256::ecdsa::VerifyingKey::from(private.public_key());
        let pkcs8 = private.to_pkcs8_pem(LineEnding::LF).expect("PEM");
        let sec1 = private.to_sec1_pem(LineEnding::LF).expect("PEM");
        for pem in [pkcs8, sec1] {
            let signature = sign(Algorithm::Es256, &pem, b"input").expect("a signature");
            assert_eq!(
                signature.len(),
                64,
                "r and s (RFC 7518 section 3.4), not DER"
            );
            let signature = p256::ecdsa::Signature::from_slice(&signature).expect("its form");
            assert!(public.verify(b"input", &signature).is_ok());
        }
    }

    #[test]
    fn a_key_of_the_wrong_kind_is_a_sentence_without_the_key() {
        for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
            let sentence = sign(algorithm, "canary", b"x").expect_err("no PEM");
            assert!(sentence.contains("in PEM"), "{sentence}");
            assert!(!sentence.contains("canary"), "{sentence}");
        }
    }
}
