//! What an error says about an answer of the token endpoint. Pure.
//!
//! The error code and the vendor's own words; where there are none, what a person needs to see who
//! has answered: content type, the first words of the page or the names of the fields, the URL.
//! All of it is cut short and without control characters, text direction marks or any secret that
//! either side sent. A successful answer is never quoted, since it may be the token itself; nor are
//! the values of fields without a known name.

use std::cmp::Reverse;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, StatusCode};
use url::Url;
use zeroize::Zeroizing;

use super::response::fields::{Fields, UNKNOWN};

const LONGEST_CODE: usize = 64;
const LONGEST_WORDS: usize = 200;
const LONGEST_QUOTE: usize = 120;
const LONGEST_URL: usize = 200;
const LONGEST_TYPE: usize = 60;
const LONGEST_NAME: usize = 32;
const MOST_NAMES: usize = 10;
const LONGEST_REQUEST_ID: usize = 128;
/// How much of a page is searched for words.
const LONGEST_PAGE: usize = 16 * 1024;
/// A run of letters and digits in a page that is this long may be a token.
const SHORTEST_TOKEN: usize = 20;

/// An answer, and what must not show of it.
pub(in crate::auth) struct Answered<'a> {
    pub(in crate::auth) endpoint: &'static str,
    pub(in crate::auth) url: &'a Url,
    pub(in crate::auth) status: StatusCode,
    pub(in crate::auth) headers: &'a HeaderMap,
    pub(in crate::auth) body: &'a [u8],
    pub(in crate::auth) fields: &'a Fields,
    pub(in crate::auth) secrets: &'a [&'a str],
}

/// The sentence; the status is not in it. `what` is what the endpoint did.
pub(in crate::auth) fn message(answered: &Answered<'_>, what: &str) -> String {
    let endpoint = answered.endpoint;
    let code = answered
        .fields
        .error()
        .filter(|code| tells(code, answered.status));
    let words = words(answered);
    let is_wrong_place = matches!(answered.status.as_u16(), 300..=399 | 404 | 405);
    let place = match code.is_none() || is_wrong_place {
        true => format!(" {}", shown_url(answered.url, answered.secrets)),
        false => String::new(),
    };
    let mut text = format!("the {endpoint} endpoint{place} {what}");
    if let Some(code) = &code {
        text = format!(
            "{text}: {}",
            presentable(code, LONGEST_CODE, answered.secrets)
        );
    }
    match words {
        Some(words) => text = format!("{text}: {words}"),
        None if code.is_none() => text = format!("{text}: {}", look(answered)),
        None => {}
    }
    match answered.status.as_u16() {
        404 | 405 => format!("{text}; is that the {endpoint} URL?"),
        300..=399 => format!("{text}; redirects are not followed, check {endpoint}_url"),
        _ => text,
    }
}

/// Whether the code says what neither the status nor the lack of one says.
fn tells(code: &str, status: StatusCode) -> bool {
    code != UNKNOWN && code != status.as_str()
}

/// The vendor's words: two fields at most, since some vendors repeat them in several.
fn words(answered: &Answered<'_>) -> Option<String> {
    let words = answered.fields.words();
    let words: Vec<String> = words
        .iter()
        .map(|words| presentable(words.trim(), LONGEST_WORDS, answered.secrets))
        .filter(|words| !words.trim().is_empty())
        .take(2)
        .collect();
    let joined = words.join(": ").replace(".: ", ". ");
    let text: String = joined.chars().take(LONGEST_WORDS).collect();
    Some(text).filter(|text| !text.is_empty())
}

/// What came, as far as it can be said without quoting what may be secret.
fn look(answered: &Answered<'_>) -> String {
    let kind = answered.headers.get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok());
    let kind = kind.map_or("no content type", |kind| {
        kind.split(';').next().unwrap_or(kind).trim()
    });
    let kind = presentable(kind, LONGEST_TYPE, answered.secrets);
    let names = answered.fields.names();
    if answered.body.is_empty() {
        return format!("{kind}, an empty body");
    }
    if !names.is_empty() {
        return format!(
            "{kind} with the fields {}",
            listed(&names, answered.secrets)
        );
    }
    match answered.status.is_success() || answered.fields.are_there() {
        true => format!("{kind} without any known field"),
        false => format!("{kind}, {:?}", quote(answered.body, answered.secrets)),
    }
}

fn listed(names: &[String], secrets: &[&str]) -> String {
    let shown = names.iter().take(MOST_NAMES);
    let shown = shown.map(|name| presentable(&obscured(name), LONGEST_NAME, secrets));
    let shown: Vec<String> = shown.collect();
    let more = match names.len() > MOST_NAMES {
        true => " …",
        false => "",
    };
    format!("{}{more}", shown.join(", "))
}

/// The first words of a page, without markup and without what looks like a token.
fn quote(body: &[u8], secrets: &[&str]) -> String {
    let beginning = &body[..body.len().min(LONGEST_PAGE)];
    let text = String::from_utf8_lossy(beginning);
    // The last word is torn, and half of a secret would not be known as one.
    let text = match body.len() > LONGEST_PAGE {
        true => text
            .rsplit_once(char::is_whitespace)
            .map_or("", |(whole, _)| whole),
        false => &*text,
    };
    // Known secrets first: what the markup's removal puts together must not hide one.
    let text = presentable_lines(text, secrets);
    let text = match text.trim_start().starts_with('<') {
        true => without_markup(&text),
        false => text,
    };
    let words: Vec<String> = text.split_whitespace().map(obscured).collect();
    presentable(&words.join(" "), LONGEST_QUOTE, secrets)
}

fn presentable_lines(text: &str, secrets: &[&str]) -> String {
    let lines = text.lines();
    let lines = lines.map(|line| presentable(&line.replace('\t', " "), usize::MAX, secrets));
    lines.collect::<Vec<_>>().join("\n")
}

/// The text between tags, without scripts and styles.
fn without_markup(page: &str) -> String {
    let mut text = String::new();
    let mut rest = page;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        text.push(' ');
        let (name, after) = tag.split_once('>').unwrap_or((tag, ""));
        rest = after;
        for silent in ["script", "style"] {
            if name.to_ascii_lowercase().starts_with(silent) {
                let end = after.to_ascii_lowercase().find(&format!("</{silent}"));
                rest = end.map_or("", |end| &after[end..]);
            }
        }
    }
    text.push_str(rest);
    text
}

/// Stars in the place of each long run of letters and digits that has both.
fn obscured(word: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-._~+=%".contains(c);
    let mut text = String::new();
    let mut rest = word;
    while !rest.is_empty() {
        let run = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (part, after) = rest.split_at(run);
        let digits = part.bytes().filter(u8::is_ascii_digit).count();
        match part.len() >= SHORTEST_TOKEN && digits > 0 {
            true => text.push_str("***"),
            false => text.push_str(part),
        }
        let mut others = after.chars();
        text.extend(others.next());
        rest = others.as_str();
    }
    text
}

/// The URL without what may be secret in it.
pub(super) fn shown_url(url: &Url, secrets: &[&str]) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Both fail only where a URL can have neither.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    presentable(url.as_str(), LONGEST_URL, secrets)
}

/// The server's name for the exchange: in a header that the account names, in one that is usual, or
/// in the body.
pub(in crate::auth) fn request_id(answered: &Answered<'_>, own: &[HeaderName]) -> Option<String> {
    let header = |name: &HeaderName| {
        let value = answered.headers.get(name)?.to_str().ok()?;
        Some(value.to_owned()).filter(|value| !value.trim().is_empty())
    };
    let usual = || {
        let names = answered.headers.keys();
        let mut usual = names.filter(|name| {
            let name = name.as_str();
            ["request-id", "requestid", "correlation-id", "trace-id"]
                .iter()
                .any(|end| name.ends_with(end))
        });
        usual.find_map(header)
    };
    let id = own.iter().find_map(header).or_else(usual);
    let id = id.or_else(|| answered.fields.text("request_id"))?;
    Some(presentable(id.trim(), LONGEST_REQUEST_ID, answered.secrets)).filter(|id| !id.is_empty())
}

/// Without control characters, secrets and excess length, in this order: what is taken out must
/// not put a secret together, and a cut must not leave half of one. The longest secret goes first,
/// since a short one may be a part of it.
pub(in crate::auth) fn presentable(text: &str, longest: usize, secrets: &[&str]) -> String {
    let printable = |text: &str| text.chars().filter(|c| shows(*c)).collect::<String>();
    let secrets = secrets
        .iter()
        .map(|secret| Zeroizing::new(printable(secret)));
    let mut secrets: Vec<_> = secrets.collect();
    secrets.sort_by_key(|secret| Reverse(secret.len()));
    let mut text = printable(text);
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret.as_str(), "***");
    }
    text.chars().take(longest).collect()
}

/// Control characters can write over a line of a log, and characters of format (text direction,
/// no width, line and paragraph separators) can make it read as another.
fn shows(c: char) -> bool {
    let is_format = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}');
    !c.is_control() && !is_format
}

#[cfg(test)]
mod tests;
