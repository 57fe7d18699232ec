//! The parser of a stored file for a fuzzer: see [`crate::fuzzing`].

#![allow(missing_docs, unreachable_pub)] // Nobody but fuzzers sees them.
#![allow(clippy::expect_used, clippy::unwrap_used)] // To panic is their task.

use super::envelope::Envelope;

/// A whole file.
pub fn envelope(data: &[u8]) {
    let Ok(envelope) = Envelope::parse(data) else {
        return;
    };
    let Ok(again) = Envelope::parse(&envelope.to_bytes()) else {
        panic!("what was read is not what was written");
    };
    assert_eq!(again.record, envelope.record);
    assert_eq!(again.nonce, envelope.nonce);
    assert_eq!(again.renew, envelope.renew);
    assert_eq!(again.others, envelope.others);
}
