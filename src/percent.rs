//! Percent-encoding (RFC 3986 section 2.1) of text that others decode, or compare byte by byte: a
//! client's secret, a part of a path, what a signature is made of. A whole URL is `url`'s affair.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but the unreserved characters of section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// All but the unreserved characters encoded, so that every decoder agrees; a space becomes `%20`,
/// never `+`.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_characters_stay() {
        let text = "Az09-._~ +/&=%é";
        assert_eq!(encode(text), "Az09-._~%20%2B%2F%26%3D%25%C3%A9");
    }
}
