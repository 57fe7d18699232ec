//! Requests as text.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::wire::Sent;

/// Of the connection, not of the account.
const LEFT_OUT: [&str; 2] = ["content-length", "host"];
/// What stands for something that is new with each request.
const NEW: &str = "(new)";

/// What an account sent, twice.
pub(crate) fn account(name: &str, distributor: &str, one: &[Sent], other: &[Sent]) -> String {
    let kind = match distributor {
        "" => "its own URLs and limits",
        name => name,
    };
    let mut text = format!("{name} ({kind})\n");
    for (index, sent) in one.iter().enumerate() {
        let again = other.get(index).unwrap_or(sent);
        request(&mut text, sent, again);
    }
    text
}

fn request(text: &mut String, one: &Sent, other: &Sent) {
    let url = common(&one.url, &other.url);
    // A String takes everything.
    let _ = writeln!(text, "  {} {url}", one.method);
    for (index, (name, value)) in one.headers.iter().enumerate() {
        let again = other.headers.get(index).map_or("", |(_, value)| value);
        if !LEFT_OUT.contains(&name.as_str()) {
            let _ = writeln!(text, "    {name}: {}", readable(&common(value, again)));
        }
    }
    if !one.body.is_empty() {
        let _ = writeln!(text, "    {}", readable(&common(&one.body, &other.body)));
    }
}

/// The first text, with what differs in the second one shown as new.
fn common(one: &str, other: &str) -> String {
    let is_edge = |c: char| "?&=\",; ".contains(c);
    let (mut left, mut right) = (one.split(is_edge), other.split(is_edge));
    let mut edges = one.matches(is_edge);
    let mut text = String::new();
    loop {
        match (left.next(), right.next()) {
            (Some(same), Some(again)) if same == again => text += same,
            (Some(_), _) => text += NEW,
            (None, _) => return text,
        }
        text += edges.next().unwrap_or_default();
    }
}

/// What is only encoded is decoded.
fn readable(text: &str) -> String {
    if let Some(pair) = text
        .strip_prefix("Basic ")
        .and_then(|it| STANDARD.decode(it).ok())
    {
        return format!("Basic base64({})", String::from_utf8_lossy(&pair));
    }
    let Some((before, assertion)) = text.split_once("assertion=") else {
        return text.to_owned();
    };
    let end = assertion.find('&').unwrap_or(assertion.len());
    let (assertion, after) = assertion.split_at(end);
    let mut parts = assertion.split('.').map(decoded);
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(head), Some(claims)) => format!("{before}assertion=JWT({head} {claims}){after}"),
        _ => text.to_owned(),
    }
}

fn decoded(part: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
