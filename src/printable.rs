//! Text from outside, as it may stand in one line of a log.
//!
//! A server chooses the id of an exchange and the words of an error. Neither may break a line, or
//! turn its direction so that a terminal shows something else than what is there. Pure.

use http::{HeaderMap, HeaderName};
use serde_json::{Map, Value};

/// The longest id of an exchange that is kept, in characters. The longest seen in use have 64
/// (two UUIDs); a server may send anything.
const LONGEST_ID: usize = 128;

/// Whether a character is invisible or moves others: controls of direction, marks of no width, and
/// the byte order mark that some editors put at the head of a file.
pub(crate) fn is_hidden(character: char) -> bool {
    matches!(
        character,
        '\u{061c}'
            | '\u{200b}'
            | '\u{200e}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}'
    )
}

/// The text in one line: a blank for each control character, and no hidden one.
pub(crate) fn one_line(text: &str) -> String {
    let visible = text.chars().filter(|&character| !is_hidden(character));
    let printable = |character: char| match character.is_control() {
        true => ' ',
        false => character,
    };
    visible.map(printable).collect()
}

/// The same in several lines, where each line was written by this crate.
pub(crate) fn lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(one_line).collect();
    lines.join("\n")
}

/// What is wrong with a name that a user gives, and that will stand in errors and logs.
pub(crate) fn flaw_of_name(name: &str) -> Option<&'static str> {
    let is_bad = |character: char| character.is_control() || is_hidden(character);
    name.contains(is_bad)
        .then_some("a line break or another character that is not visible")
}

/// The name that a server gave to an exchange; none if nothing of it can be shown.
pub(crate) fn id(text: &str) -> Option<String> {
    // Cut before it is looked through, since it may be as long as a response.
    let text: String = text.chars().take(8 * LONGEST_ID).collect();
    let id: String = one_line(text.trim()).chars().take(LONGEST_ID).collect();
    let id = id.trim();
    (!id.is_empty()).then(|| id.to_owned())
}

/// What servers call the name of an exchange in a body.
pub(crate) const ID_FIELDS: [&str; 9] = [
    "request_id",
    "requestId",
    "RequestId",
    "requestID",
    "correlation_id",
    "correlationId",
    "CorrelationId",
    "trace_id",
    "traceId",
];

/// The name of an exchange, in the first of these headers that is there and says one.
pub(crate) fn id_in(headers: &HeaderMap, names: &[HeaderName]) -> Option<String> {
    let mut values = names.iter().filter_map(|name| headers.get(name));
    values.find_map(|value| id(value.to_str().ok()?))
}

/// The name of an exchange in the body of an error, if that is an object which has one.
pub(crate) fn id_in_body(body: &[u8]) -> Option<String> {
    let fields: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let mut found = ID_FIELDS.iter().filter_map(|name| fields.get(*name));
    found.find_map(|value| id(value.as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_cut_at_128_characters_and_stands_in_one_line() {
        assert_eq!(id(" abc-1 ").as_deref(), Some("abc-1"));
        let long = "ä".repeat(100_000);
        assert_eq!(id(&long), Some("ä".repeat(LONGEST_ID)));
        let hostile = "a\r\nb\u{202e}c\u{2028}d\u{7}\u{feff}";
        assert_eq!(id(hostile).as_deref(), Some("a  bcd"));
        for nothing in ["", "  ", "\u{200b}", "\u{202e}\t"] {
            assert_eq!(id(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn the_first_name_that_says_something_counts_and_a_body_may_have_it() {
        let names = ["x-one", "x-two"].map(HeaderName::from_static);
        let mut headers = HeaderMap::new();
        assert_eq!(id_in(&headers, &names), None);
        headers.insert("x-two", "two".parse().expect("a value"));
        assert_eq!(id_in(&headers, &names).as_deref(), Some("two"));
        headers.insert("x-one", " ".parse().expect("a value"));
        assert_eq!(id_in(&headers, &names).as_deref(), Some("two"));
        headers.insert("x-one", "one".parse().expect("a value"));
        assert_eq!(id_in(&headers, &names).as_deref(), Some("one"));
        let id = |body: &str| id_in_body(body.as_bytes());
        assert_eq!(id(r#"{"correlationId":"c-1"}"#).as_deref(), Some("c-1"));
        assert_eq!(
            id(r#"{"RequestId":"","traceId":"t\n1"}"#).as_deref(),
            Some("t 1")
        );
        for nothing in ["", "[]", "<html>", r#"{"RequestId":7}"#] {
            assert_eq!(id(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_name_has_nothing_in_it_that_is_not_visible() {
        for name in ["DigiKey", "größer 大きい", "a/b:c", ""] {
            assert_eq!(flaw_of_name(name), None, "{name:?}");
        }
        for name in ["a\nb", "a\u{202e}b", "\u{feff}a", "a\u{2028}", "\u{1b}[2J"] {
            assert!(flaw_of_name(name).is_some(), "{name:?}");
        }
    }

    #[test]
    fn only_line_breaks_are_left_of_a_text_of_several_lines() {
        assert_eq!(lines("a\tb\nc\u{2029}d\u{85}e"), "a b\ncd e");
        assert_eq!(one_line("a\nb"), "a b");
        assert_eq!(one_line("größer, 大きい"), "größer, 大きい");
    }
}
