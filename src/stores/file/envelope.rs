//! A record as it stands in a file. Pure.
//!
//! JSON, with the record's bytes in base64 and a digest by which a torn or edited file is told.
//! Fields that a later version adds are kept. The bytes of a sealed record are encrypted.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::auth::store::Record;

const PLAIN: u32 = 1;
const SEALED: u32 = 2;

/// A record, and what else its file holds.
pub(super) struct Envelope {
    pub(super) record: Record,
    /// With which the bytes are encrypted; none: they are not.
    pub(super) nonce: Option<Vec<u8>>,
    /// The number of the file that whoever wrote it had locked, if that is known.
    pub(super) renew: Option<u64>,
    /// Fields that this version does not know.
    pub(super) others: Map<String, Value>,
}

/// What is wrong with a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Damaged,
    TooNew,
}

#[derive(Deserialize)]
struct Formatted {
    format: u32,
}

#[derive(Serialize, Deserialize)]
struct Written {
    format: u32,
    version: u64,
    sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    renew: Option<u64>,
    bytes: String,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Drop for Written {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl Envelope {
    pub(super) fn parse(content: &[u8]) -> Result<Self, Flaw> {
        let formatted: Formatted = parsed(content)?;
        if formatted.format > SEALED {
            return Err(Flaw::TooNew);
        }
        let mut written: Written = parsed(content)?;
        if (written.format == SEALED) != written.nonce.is_some() {
            return Err(Flaw::Damaged);
        }
        let nonce = written.nonce.as_deref().map(decoded).transpose()?;
        let record = Record::new(written.version, decoded(&written.bytes)?);
        match digest(&record) == written.sha256 {
            true => Ok(Self {
                record,
                nonce,
                renew: written.renew,
                others: std::mem::take(&mut written.others),
            }),
            false => Err(Flaw::Damaged),
        }
    }

    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let written = Written {
            format: self.nonce.as_ref().map_or(PLAIN, |_| SEALED),
            version: self.record.version,
            sha256: digest(&self.record),
            nonce: self.nonce.as_ref().map(|nonce| STANDARD.encode(nonce)),
            renew: self.renew,
            bytes: STANDARD.encode(&self.record.bytes),
            others: self.others.clone(),
        };
        // Strings and numbers: this cannot fail.
        Zeroizing::new(serde_json::to_vec(&written).unwrap_or_default())
    }
}

fn parsed<'a, T: Deserialize<'a>>(content: &'a [u8]) -> Result<T, Flaw> {
    serde_json::from_slice(content).map_err(|_| Flaw::Damaged)
}

fn decoded(text: &str) -> Result<Vec<u8>, Flaw> {
    STANDARD.decode(text).map_err(|_| Flaw::Damaged)
}

/// Of the version and the bytes, in hexadecimal.
fn digest(record: &Record) -> String {
    let mut digest = Sha256::new();
    digest.update(record.version.to_be_bytes());
    digest.update(&record.bytes);
    hex(&digest.finalize())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope() -> Envelope {
        Envelope {
            record: Record::new(7, b"secret"),
            nonce: None,
            renew: Some(1 << 60),
            others: Map::new(),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let read = Envelope::parse(&envelope().to_bytes()).expect("whole");
        assert_eq!(read.record, envelope().record);
        assert_eq!(read.renew, envelope().renew);
    }

    #[test]
    fn white_space_after_a_record_is_none_of_it() {
        let whole = [envelope().to_bytes().as_slice(), &[b' '; 9_000]].concat();
        let read = Envelope::parse(&whole).expect("whole");
        assert_eq!(read.record, envelope().record);
    }

    #[test]
    fn a_file_cut_anywhere_is_damaged() {
        let whole = envelope().to_bytes();
        for end in 0..whole.len() {
            let flaw = Envelope::parse(&whole[..end]).err();
            assert_eq!(flaw, Some(Flaw::Damaged), "cut at {end}");
        }
    }

    #[test]
    fn an_edited_version_is_damage() {
        let text = String::from_utf8(envelope().to_bytes().to_vec()).expect("text");
        let edited = text.replace("\"version\":7", "\"version\":8");
        assert_ne!(text, edited);
        assert_eq!(
            Envelope::parse(edited.as_bytes()).err(),
            Some(Flaw::Damaged)
        );
    }

    #[test]
    fn fields_of_a_later_version_are_kept() {
        let mut later = envelope();
        later.others.insert("novelty".into(), Value::from(3));
        let read = Envelope::parse(&later.to_bytes()).expect("whole");
        assert_eq!(read.others, later.others);
    }

    #[test]
    fn a_later_format_is_told_apart_from_damage() {
        let flaw = Envelope::parse(br#"{"format":3,"novelty":true}"#).err();
        assert_eq!(flaw, Some(Flaw::TooNew));
    }
}
