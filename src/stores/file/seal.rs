//! Records encrypted at rest: XChaCha20-Poly1305, a random nonce for each save.
//!
//! The file's name and the record's version are authenticated too, so that no record passes for
//! that of another account or for a newer one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Generate, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::envelope::Envelope;
use crate::auth::store::Record;
use crate::secret::Secret;

const EXPECTED: &str = "expected 32 bytes in base64";

/// The key, or where to find it.
pub(super) struct Seal(Secret);

/// Why it could not be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The key itself; says how.
    Key(String),
    /// It is not the key of this record.
    OtherKey,
}

impl Seal {
    pub(super) fn new(key: Secret) -> Self {
        Self(key)
    }

    /// Read again each time, so that a key can be put in place without a restart.
    fn cipher(&self) -> Result<XChaCha20Poly1305, Trouble> {
        let text = self.0.read().map_err(Trouble::Key)?;
        let key = STANDARD.decode(text.as_bytes()).map(Zeroizing::new);
        let key = key.map_err(|_| Trouble::Key(format!("found other text; {EXPECTED}")))?;
        XChaCha20Poly1305::new_from_slice(&key)
            .map_err(|_| Trouble::Key(format!("found {} bytes; {EXPECTED}", key.len())))
    }

    /// Whether it could be used now.
    pub(super) fn check(&self) -> Result<(), Trouble> {
        self.cipher().map(drop)
    }

    pub(super) fn close(&self, name: &str, mut envelope: Envelope) -> Result<Envelope, Trouble> {
        let cipher = self.cipher()?;
        let nonce = XNonce::try_generate();
        let nonce = nonce.map_err(|_| Trouble::Key("no random numbers for it".into()))?;
        let plain = Zeroizing::new(std::mem::take(&mut envelope.record.bytes));
        let aad = context(name, &envelope.record);
        let payload = Payload {
            msg: &plain,
            aad: &aad,
        };
        let sealed = cipher.encrypt(&nonce, payload);
        envelope.record.bytes = sealed.map_err(|_| Trouble::OtherKey)?;
        envelope.nonce = Some(nonce.to_vec());
        Ok(envelope)
    }

    pub(super) fn open(&self, name: &str, mut envelope: Envelope) -> Result<Envelope, Trouble> {
        let Some(nonce) = envelope.nonce.take() else {
            return Ok(envelope);
        };
        let cipher = self.cipher()?;
        let nonce = XNonce::try_from(nonce.as_slice()).map_err(|_| Trouble::OtherKey)?;
        let aad = context(name, &envelope.record);
        let payload = Payload {
            msg: &envelope.record.bytes,
            aad: &aad,
        };
        let plain = cipher.decrypt(&nonce, payload);
        envelope.record.bytes = plain.map_err(|_| Trouble::OtherKey)?;
        Ok(envelope)
    }
}

/// What is authenticated beside the bytes.
fn context(name: &str, record: &Record) -> Vec<u8> {
    let version = record.version.to_be_bytes();
    [version.as_slice(), name.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(byte: u8) -> Seal {
        Seal::new(STANDARD.encode([byte; 32]).into())
    }

    fn envelope() -> Envelope {
        Envelope {
            record: Record::new(1, b"canary"),
            nonce: None,
            renew: None,
            others: serde_json::Map::new(),
        }
    }

    fn closed() -> Envelope {
        seal(1).close("name", envelope()).expect("it closes")
    }

    #[test]
    fn what_is_closed_is_opened_by_the_same_key_alone() {
        let opened = seal(1).open("name", closed()).expect("it opens");
        assert_eq!(opened.record, envelope().record);
        let trouble = seal(2).open("name", closed()).err();
        assert_eq!(trouble, Some(Trouble::OtherKey));
    }

    #[test]
    fn no_two_are_alike_and_none_shows_its_content() {
        let (one, two) = (closed().to_bytes(), closed().to_bytes());
        assert_ne!(*one, *two);
        let bytes = closed().record.bytes;
        assert!(!bytes.windows(6).any(|part| part == b"canary"));
    }

    #[test]
    fn a_record_passes_neither_for_anothers_nor_for_a_newer_one() {
        assert!(seal(1).open("other", closed()).is_err());
        let mut newer = closed();
        newer.record.version += 1;
        assert!(seal(1).open("name", newer).is_err());
    }

    #[test]
    fn a_key_of_another_length_is_refused_without_showing_it() {
        for (key, found) in [("c4n4ry!", "found other text"), ("AAAA", "found 3 bytes")] {
            let trouble = Seal::new(key.into()).close("name", envelope()).err();
            let expected = format!("{found}; {EXPECTED}");
            assert_eq!(trouble, Some(Trouble::Key(expected)));
        }
    }
}
