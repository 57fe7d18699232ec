//! Errors of other layers whose texts show what was put into a URL: the same texts without it.
//!
//! The URL of a `reqwest::Error` can be rewritten where it can be reached. Where it cannot (within
//! an error of a foreign type, as the source of another one, in a text that was made of it), the
//! error itself has to go.

use std::fmt;
use std::ops::Range;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::form_urlencoded;

use crate::error::{Cause, Error};

/// What stands for a secret.
const LEFT_OUT: &str = "[redacted]";

/// As many sources are followed; more would be a circle.
const LONGEST_CHAIN: usize = 32;

/// Texts that must not show, in all the ways in which a URL or `Debug` spells them.
///
/// Letter case does not count, since `%2f` is `%2F`.
pub(in crate::auth) struct Secrets {
    values: Vec<String>,
    /// What stands in a URL before a value that differs from attempt to attempt (a signature).
    names: Vec<String>,
}

impl Secrets {
    /// `known` is what the caller knows already: a value that stands in there is no secret.
    pub(in crate::auth) fn new<'a>(
        pairs: impl Iterator<Item = (&'a str, &'a str)>,
        segments: impl Iterator<Item = String>,
        known: &str,
    ) -> Self {
        let (mut values, mut names) = (Vec::new(), Vec::new());
        for (name, value) in pairs {
            names.extend(openings(name));
            values.push(value.to_owned());
        }
        values.extend(segments);
        values.retain(|value| is_telling(value));
        let values = values.iter().flat_map(|value| spellings(value)).collect();
        let known = known.to_ascii_lowercase();
        Self {
            values: unknown(values, &known),
            names: unknown(names, &known),
        }
    }

    /// The error as it is if it shows none of them, or what is left of it.
    pub(super) fn hidden_in(&self, error: reqwest_middleware::Error) -> reqwest_middleware::Error {
        match self.are_in(&error) {
            false => error,
            true => reqwest_middleware::Error::middleware(self.redacted(&error)),
        }
    }

    fn are_in(&self, error: &(dyn std::error::Error + 'static)) -> bool {
        let mut chain = chain(error);
        chain.any(|error| self.are_in_text(&display(error)) || self.are_in_text(&debug(error)))
    }

    fn are_in_text(&self, text: &str) -> bool {
        self.next_in(&text.to_ascii_lowercase()).is_some()
    }

    /// Where the first of them stands in a text in lower case.
    fn next_in(&self, text: &str) -> Option<Range<usize>> {
        let value = |secret: &String| text.find(secret).map(|at| at..at + secret.len());
        let named = |name: &String| {
            let mut found = text.match_indices(name);
            found.find_map(|(at, _)| named_value(text, at + name.len()))
        };
        let mut values = self.values.iter().filter_map(value);
        values.next().or_else(|| self.names.iter().find_map(named))
    }

    fn redacted(&self, error: &(dyn std::error::Error + 'static)) -> Redacted {
        let ours = Error::find(error).cloned().map(Source::Ours);
        let sources: Vec<_> = chain(error).skip(1).collect();
        let source = sources.into_iter().rev().fold(ours, |source, error| {
            Some(Source::Text(Box::new(self.without(error, source))))
        });
        self.without(error, source)
    }

    fn without(
        &self,
        error: &(dyn std::error::Error + 'static),
        source: Option<Source>,
    ) -> Redacted {
        Redacted {
            display: self.left_out_of(display(error)),
            debug: self.left_out_of(debug(error)),
            source,
        }
    }

    fn left_out_of(&self, mut text: String) -> String {
        // In lower case a text is as long as before, byte for byte, where only ASCII changes.
        while let Some(secret) = self.next_in(&text.to_ascii_lowercase()) {
            text.replace_range(secret, LEFT_OUT);
        }
        text
    }
}

/// In lower case, the longest first, so that no part of it is left, and without what is known.
fn unknown(mut texts: Vec<String>, known: &str) -> Vec<String> {
    texts
        .iter_mut()
        .for_each(|text| text.make_ascii_lowercase());
    // A part of what stands for secrets would be left out again and again.
    texts.retain(|text| !known.contains(text.as_str()) && !LEFT_OUT.contains(text.as_str()));
    texts.sort_unstable_by(|one, other| (other.len(), one).cmp(&(one.len(), other)));
    texts.dedup();
    texts
}

/// The value that begins there in a URL, unless it is left out already.
fn named_value(text: &str, begin: usize) -> Option<Range<usize>> {
    let rest = &text[begin..];
    let ends = |c: char| c.is_whitespace() || "&#\"'<>()[]{}\\".contains(c);
    let length = rest.find(ends).unwrap_or(rest.len());
    let length = rest[..length].find("%26").unwrap_or(length);
    (length > 0).then(|| begin..begin + length)
}

/// Whether a value is told from words that stand in many an error ("request"): it has something
/// else than letters, or is long. Short ones are in many a text by chance, and no secrets.
fn is_telling(value: &str) -> bool {
    const SHORT: usize = 6;
    const LONG: usize = 16;
    let is_word = value.chars().all(char::is_alphabetic);
    value.len() >= if is_word { LONG } else { SHORT }
}

/// What stands before the value of this name in a query, and in one within a parameter of another.
fn openings(name: &str) -> [String; 4] {
    let name = form(name);
    let opening = |before: &str| format!("{before}{name}=");
    let within = |before: &str| form(&opening(before));
    [opening("?"), opening("&"), within("?"), within("&")]
}

/// As it is, in a URL, in a URL within a parameter of another, and in `Debug`.
fn spellings(value: &str) -> Vec<String> {
    let encoded = form(value);
    let percent = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
    let escaped = value.escape_debug().to_string();
    let twice = [form(&encoded), form(&percent)];
    let mut all = vec![value.to_owned(), encoded, percent, escaped];
    all.extend(twice);
    all
}

fn form(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The error and its sources, up to an error of ours, which shows no secret.
fn chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    let all = std::iter::successors(Some(error), |error| error.source());
    let foreign = all.take_while(|error| !error.is::<Error>() && !error.is::<Cause>());
    foreign.take(LONGEST_CHAIN)
}

/// Without the panic of `to_string` where the error fails to write itself.
fn display(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let _ = fmt::write(&mut text, format_args!("{error}"));
    text
}

fn debug(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let _ = fmt::write(&mut text, format_args!("{error:?}"));
    text
}

/// What is left of an error.
struct Redacted {
    display: String,
    debug: String,
    source: Option<Source>,
}

enum Source {
    Text(Box<Redacted>),
    Ours(Error),
}

impl fmt::Display for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display)
    }
}

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.debug)
    }
}

impl std::error::Error for Redacted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.source.as_ref()? {
            Source::Text(redacted) => Some(&**redacted),
            Source::Ours(error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ErrorKind, Recovery};

    fn secrets() -> Secrets {
        let pairs = [("key", "s3cr3t/x+y \""), ("lang", "request"), ("pin", "1")];
        let known = "https://a.example/find?q=1";
        Secrets::new(
            pairs.into_iter(),
            std::iter::once("pa7h-key".to_owned()),
            known,
        )
    }

    #[test]
    fn a_secret_is_found_in_every_spelling_of_it() {
        for text in [
            "s3cr3t/x+y \"",
            "key=s3cr3t%2Fx%2By+%22&q=1",
            "key=s3cr3t%2fx%2by%20%22",
            "next=%2Ffind%3Fkey%3Ds3cr3t%252Fx%252By%2B%2522",
            r#""s3cr3t/x+y \"""#,
            "https://a.example/pa7h-key/find",
            "PA7H-KEY",
            "/find?lang=request",
            "/find?q=1&pin=1&",
            "/find?pin=2 of another attempt",
            "next=%2Ffind%3Fq%3D1%26lang%3Drequest",
            r#"{ url: "/find?pin=1" }"#,
        ] {
            assert!(secrets().are_in_text(text), "{text}");
            let left = secrets().left_out_of(format!("before {text} after {text}"));
            assert!(!secrets().are_in_text(&left), "{left}");
            assert!(
                left.starts_with("before ") && left.contains(LEFT_OUT),
                "{left}"
            );
        }
    }

    #[test]
    fn what_stands_for_a_secret_may_be_one() {
        let pairs = [("key", LEFT_OUT), ("other", "[redacted]-1")];
        let secrets = Secrets::new(pairs.into_iter(), std::iter::empty(), "");
        let left = secrets.left_out_of("at ?key=[redacted]&other=[redacted]-1".to_owned());
        assert!(!left.contains("-1"), "{left}");
    }

    #[test]
    fn words_and_what_the_caller_knows_are_no_secrets() {
        let text = "error sending request for url (https://a.example/find?q=1)";
        assert!(!secrets().are_in_text(text));
        let pairs = [("site", "a.example"), ("key", "")];
        let known = "https://a.example/?key=mine";
        let known = Secrets::new(pairs.into_iter(), std::iter::empty(), known);
        let text = format!("{text} https://a.example/?key=mine site=a.example");
        assert!(!known.are_in_text(&text), "{:?}", known.values);
    }

    /// An error whose text holds all that it was made of.
    #[derive(Debug)]
    struct Wrapper(
        &'static str,
        Option<Box<dyn std::error::Error + Send + Sync>>,
    );

    impl fmt::Display for Wrapper {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl std::error::Error for Wrapper {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            self.1.as_ref().map(|source| &**source as _)
        }
    }

    #[test]
    fn the_texts_stay_and_our_error_is_found_beneath_them() {
        let ours = Error::new(ErrorKind::QuotaExceeded, Recovery::Retry, "spent");
        let inner = Wrapper("at https://a.example/pa7h-key", Some(ours.into()));
        let outer = Wrapper("it failed", Some(Box::new(inner)));
        let hidden = secrets().hidden_in(reqwest_middleware::Error::middleware(outer));
        assert_eq!(hidden.to_string(), "it failed");
        let texts: Vec<_> = chain(&hidden).map(|error| error.to_string()).collect();
        assert_eq!(texts[1], "at https://a.example/[redacted]", "{texts:?}");
        assert!(!secrets().are_in(&hidden), "{hidden:?}");
        let found = Error::find(&hidden).expect("ours");
        assert_eq!(found.kind(), ErrorKind::QuotaExceeded);
    }

    /// What shows nothing of its source.
    struct Quiet(Wrapper);

    impl fmt::Display for Quiet {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("quiet")
        }
    }

    impl fmt::Debug for Quiet {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Quiet")
        }
    }

    impl std::error::Error for Quiet {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_secret_that_only_a_source_shows_is_found() {
        assert!(secrets().are_in(&Quiet(Wrapper("at /pa7h-key", None))));
        assert!(!secrets().are_in(&Quiet(Wrapper("at /find", None))));
    }

    #[test]
    fn an_error_that_shows_nothing_stays_itself() {
        let harmless = reqwest_middleware::Error::middleware(Wrapper("it failed", None));
        match secrets().hidden_in(harmless) {
            reqwest_middleware::Error::Middleware(error) => assert!(error.is::<Wrapper>()),
            other => panic!("{other:?}"),
        }
    }
}
