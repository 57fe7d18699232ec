//! Bytes of a file as text, whichever program wrote it.

use anyhow::{Result, bail};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// How much is looked at to tell UTF-16 without a byte order mark.
const SAMPLE: usize = 1_000;

/// By its byte order mark; without one UTF-8, UTF-16 if every other byte of it is zero, and else
/// what spreadsheets write where they are not told otherwise.
pub(super) fn decode(bytes: &[u8]) -> Result<String> {
    let encoding = match Encoding::for_bom(bytes) {
        Some((encoding, _)) => encoding,
        None => guess(bytes),
    };
    let (text, _, is_broken) = encoding.decode(bytes);
    match is_broken || text.contains('\0') {
        true => bail!("it is no text, or not in {}", encoding.name()),
        false => Ok(text.into_owned()),
    }
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    let sample = &bytes[..bytes.len().min(SAMPLE)];
    let zeros = |first: usize| {
        let every_other = sample.iter().skip(first).step_by(2);
        every_other.filter(|byte| **byte == 0).count() * 4 > sample.len()
    };
    match (zeros(0), zeros(1)) {
        (true, false) => UTF_16BE,
        (false, true) => UTF_16LE,
        _ if std::str::from_utf8(bytes).is_ok() => UTF_8,
        _ => WINDOWS_1252,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "part;Größe\nµA741;1\n";

    fn utf_16(bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        TEXT.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn a_file_reads_the_same_in_every_encoding() {
        let with = |mark: &[u8], text: Vec<u8>| [mark, &text].concat();
        let (cp1252, _, _) = WINDOWS_1252.encode(TEXT);
        for bytes in [
            TEXT.as_bytes().to_vec(),
            with(b"\xef\xbb\xbf", TEXT.as_bytes().to_vec()),
            with(b"\xff\xfe", utf_16(u16::to_le_bytes)),
            with(b"\xfe\xff", utf_16(u16::to_be_bytes)),
            utf_16(u16::to_le_bytes),
            utf_16(u16::to_be_bytes),
            cp1252.into_owned(),
        ] {
            assert_eq!(decode(&bytes).unwrap(), TEXT, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_text_is_refused() {
        assert!(decode(b"PK\x03\x04\0\0\0\0part\0").is_err());
        assert!(decode(b"\xff\xfe\x00").is_err());
    }
}
