//! Errors of other layers whose texts show what was put into a URL: the same texts without it.
//!
//! The URL of a `reqwest::Error` can be rewritten where it can be reached. Where it cannot (within
//! an error of a foreign type, as the source of another one, in a text that was made of it), the
//! error itself has to go.

use std::fmt;

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
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// `known` is what the caller knows already: a value that stands in there is no secret.
    pub(super) fn new<'a>(
        pairs: impl Iterator<Item = (&'a str, &'a str)>,
        segments: impl Iterator<Item = String>,
        known: &str,
    ) -> Self {
        let mut texts = Vec::new();
        for (name, value) in pairs {
            match is_telling(value) {
                true => texts.extend(spellings(value)),
                false => texts.extend(named(name, value)),
            }
        }
        texts.extend(
            segments
                .filter(|text| is_telling(text))
                .flat_map(spellings_of),
        );
        texts
            .iter_mut()
            .for_each(|text| text.make_ascii_lowercase());
        let known = known.to_ascii_lowercase();
        texts.retain(|text| !text.is_empty() && !known.contains(text.as_str()));
        // The longest first, so that no part of it is left.
        texts.sort_unstable_by_key(|text| std::cmp::Reverse(text.len()));
        texts.dedup();
        Self(texts)
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
        let text = text.to_ascii_lowercase();
        self.0.iter().any(|secret| text.contains(secret))
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
        for secret in &self.0 {
            let mut from = 0;
            while let Some(at) = find(&text, secret, from) {
                text.replace_range(at..at + secret.len(), LEFT_OUT);
                from = at + LEFT_OUT.len();
            }
        }
        text
    }
}

/// In lower case a text of ASCII and more is as long as before, byte for byte.
fn find(text: &str, secret: &str, from: usize) -> Option<usize> {
    let lower = text.get(from..)?.to_ascii_lowercase();
    lower.find(secret).map(|at| from + at)
}

/// Whether a value is told from words that stand in many an error ("request"): it has something
/// else than letters, or is long. Short ones are in many a text by chance, and no secrets.
fn is_telling(value: &str) -> bool {
    const SHORT: usize = 6;
    const LONG: usize = 16;
    let is_word = value.chars().all(char::is_alphabetic);
    value.len() >= if is_word { LONG } else { SHORT }
}

/// A value that is told by its name alone.
fn named(name: &str, value: &str) -> Vec<String> {
    let (encoded_name, encoded) = (form(name), form(value));
    let pair = format!("{encoded_name}={encoded}");
    let twice = form(&pair);
    vec![format!("{name}={value}"), pair, twice]
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

fn spellings_of(value: String) -> Vec<String> {
    spellings(&value)
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
            "lang=request",
            "?pin=1&",
            "next=lang%3Drequest",
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
    fn words_and_what_the_caller_knows_are_no_secrets() {
        let text = "error sending request for url (https://a.example/find?q=1)";
        assert!(!secrets().are_in_text(text));
        let pairs = [("site", "a.example"), ("key", "")];
        let known = Secrets::new(pairs.into_iter(), std::iter::empty(), "https://a.example/");
        assert!(!known.are_in_text(text), "{:?}", known.0);
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
