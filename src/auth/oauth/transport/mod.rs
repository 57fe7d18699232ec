//! What a failed exchange with the token endpoint says: whether the request may have been seen,
//! whose certificate is wrong, and why, in words without a secret.

use std::error::Error as StdError;
use std::io;

use url::Url;
use zeroize::Zeroizing;

use super::endpoint::Delivery;
use super::refusal_text::shown_url;
use super::response::{Class, Refusal, presentable};

const LONGEST_REASON: usize = 300;

/// The end of a request that got no answer.
pub(in crate::auth) fn failed(
    error: &reqwest::Error,
    url: &Url,
    secrets: &[Zeroizing<String>],
) -> Delivery {
    match error.is_connect() || error.is_builder() {
        true => Delivery::NotSent(unanswered("cannot be reached", error, url, secrets)),
        false => Delivery::Lost {
            refusal: unanswered("did not answer", error, url, secrets),
            is_closed: is_closed(error),
        },
    }
}

/// Why there is no answer. Without the error's own text, which shows the URL: a tenant's token URL
/// may hold a key.
pub(in crate::auth) fn unanswered(
    what: &str,
    error: &reqwest::Error,
    url: &Url,
    secrets: &[Zeroizing<String>],
) -> Refusal {
    if let Some(words) = about_certificate(error) {
        let place = shown_url(url, &known(url, secrets));
        let words = reason(&words, url, secrets);
        let message = format!("the token endpoint {place} cannot be trusted: {words}");
        return Refusal::new(Class::Untrusted, message);
    }
    let why = match innermost(error) {
        _ if error.is_timeout() => ": timed out".to_owned(),
        Some(text) => format!(": {}", reason(&text, url, secrets)),
        None => String::new(),
    };
    Refusal::new(Class::Transient, format!("the token endpoint {what}{why}"))
}

/// What must not show: what was sent, and what is secret in the URL.
fn known<'a>(url: &'a Url, secrets: &'a [Zeroizing<String>]) -> Vec<&'a str> {
    let of_url = [url.query(), url.password(), Some(url.username())];
    let sent = secrets.iter().map(|secret| secret.as_str());
    sent.chain(of_url.into_iter().flatten()).collect()
}

fn reason(text: &str, url: &Url, secrets: &[Zeroizing<String>]) -> String {
    presentable(text, LONGEST_REASON, &known(url, secrets))
}

/// Whether the server closed the connection before any byte of an answer. Servers do that to
/// connections that were idle for a while, at the very moment at which a request leaves.
fn is_closed(error: &reqwest::Error) -> bool {
    // hyper is not among the dependencies of every build, so its error is known by its text.
    const INCOMPLETE: &str = "connection closed before message completed";
    let is_of_a_connection = |cause: &(dyn StdError + 'static)| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let ended = matches!(
            kind,
            Some(
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::UnexpectedEof
            )
        );
        ended || cause.to_string().contains(INCOMPLETE)
    };
    causes(error).any(is_of_a_connection)
}

/// Whether a TLS library says this of a certificate that it does not accept: the server's, or ours.
///
/// Which library it is, is the user's choice, so the words have to do: `rustls` says "invalid peer
/// certificate: UnknownIssuer" or "received fatal alert: UnknownCA", OpenSSL "certificate verify
/// failed" with the reason in parentheses, macOS "The certificate was not trusted", Windows "The
/// certificate chain was issued by an authority that is not trusted".
fn is_about_certificate(text: &str) -> bool {
    const WORDS: [&str; 5] = [
        "certificate",
        "unknownca",
        "unknown ca",
        "self-signed",
        "self signed",
    ];
    let text = text.to_ascii_lowercase();
    WORDS.iter().any(|word| text.contains(word))
}

fn about_certificate(error: &reqwest::Error) -> Option<String> {
    let texts = causes(error).map(ToString::to_string);
    texts.filter(|text| is_about_certificate(text)).last()
}

fn innermost(error: &reqwest::Error) -> Option<String> {
    causes(error).last().map(ToString::to_string)
}

/// What lies beneath the error itself, from the top.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(StdError::source(error), |cause| StdError::source(*cause))
}

#[cfg(test)]
mod tests;
