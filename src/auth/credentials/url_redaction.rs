//! What the caller sees of a URL that carries a key: the one it asked for.
//!
//! reqwest puts the URL of a request into its response and into every error, and from there it goes
//! to logs (`error_for_status()`). A key or a signature in it would go there too; and a server that
//! redirects sends it back in a `Location`, for whoever follows that by hand.

use std::borrow::Cow;

use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderMap, HeaderValue, Response as HttpResponse};
use percent_encoding::percent_decode_str;
use reqwest::{Body, Response, ResponseBuilderExt};
use url::{Position, Url, form_urlencoded};

use super::redacted::Secrets;
use crate::origin::same_origin;

/// A URL as the caller knows it, and as it was sent.
pub(in crate::auth) struct Disguise {
    shown: Url,
    sent: Url,
}

impl Disguise {
    /// None if there is nothing to hide.
    pub(in crate::auth) fn new(shown: Url, sent: &Url) -> Option<Box<Self>> {
        let sent = (shown != *sent).then(|| sent.clone())?;
        Some(Box::new(Self { shown, sent }))
    }

    /// The result as the caller gets it.
    pub(in crate::auth) fn hide(
        &self,
        result: reqwest_middleware::Result<Response>,
    ) -> reqwest_middleware::Result<Response> {
        match result {
            Ok(response) => Ok(self.hide_in_response(response)),
            Err(error) => Err(self.hide_in_error(error)),
        }
    }

    fn hide_in_response(&self, response: Response) -> Response {
        let sent = response.url().clone();
        let (mut parts, body) = HttpResponse::<Body>::from(response).into_parts();
        self.hide_in_headers(&mut parts.headers, &sent);
        // The URL of a response travels as a private extension, which only this trait can make.
        let url = self.seen_for(&sent);
        if let Ok(carrier) = HttpResponse::builder().url(url).body(()) {
            parts.extensions.extend(carrier.into_parts().0.extensions);
        }
        HttpResponse::from_parts(parts, body).into()
    }

    /// Where a response leads is told without our keys, so that whoever goes there by hand does not
    /// take them along: to our origins they are added again. Any other value that holds one is
    /// marked, so that it does not show in `Debug`.
    fn hide_in_headers(&self, headers: &mut HeaderMap, from: &Url) {
        for name in [LOCATION, CONTENT_LOCATION] {
            if let Some(value) = headers.get_mut(name) {
                if let Some(hidden) = self.target_without_ours(value, from) {
                    *value = hidden;
                }
            }
        }
        for value in headers.values_mut() {
            if !value.is_sensitive() && self.is_held_by(value) {
                value.set_sensitive(true);
            }
        }
    }

    /// None if there is nothing of ours in it.
    fn target_without_ours(&self, value: &HeaderValue, from: &Url) -> Option<HeaderValue> {
        let text = value.to_str().ok()?;
        let target = from.join(text).ok()?;
        let seen = match same_origin(&target, from) {
            true => self.seen_for(&target),
            false => self.seen_elsewhere(&target),
        };
        if seen == target {
            return None;
        }
        let is_relative = Url::parse(text).is_err() && !text.starts_with("//");
        let text = match is_relative {
            true => &seen[Position::BeforePath..],
            false => seen.as_str(),
        };
        HeaderValue::from_str(text).ok()
    }

    /// Without an allocation for a key that needs no escapes: it is asked of every header.
    fn is_held_by(&self, value: &HeaderValue) -> bool {
        let Ok(value) = value.to_str() else {
            return false;
        };
        let (shown, sent) = (parts_of(&self.shown), parts_of(&self.sent));
        let mut ours = sent.filter(|part| !shown.clone().any(|shown| shown == *part));
        ours.any(|part| {
            let part = part.split_once('=').map_or(part, |(_, value)| value);
            let decoded = percent_decode_str(part).decode_utf8_lossy();
            part.len() >= SHORT && (value.contains(part) || value.contains(&*decoded))
        })
    }

    fn hide_in_error(&self, mut error: reqwest_middleware::Error) -> reqwest_middleware::Error {
        self.rewrite(&mut error);
        self.secrets().hidden_in(error)
    }

    /// What must not show in an error.
    fn secrets(&self) -> Secrets {
        let pairs: Vec<_> = self.ours().collect();
        let pairs = pairs.iter().map(|(name, value)| (&**name, &**value));
        let segments = self.ours_in_path().into_iter();
        let segments = segments.flat_map(|part| {
            let decoded = percent_decode_str(part).decode_utf8_lossy();
            [part.to_owned(), decoded.into_owned()]
        });
        Secrets::new(pairs, segments, self.shown.as_str())
    }

    /// Rewrites the URL of reqwest's error wherever it can be reached, so that the error keeps its
    /// type: a layer beneath may have wrapped it.
    fn rewrite(&self, error: &mut reqwest_middleware::Error) {
        match error {
            reqwest_middleware::Error::Reqwest(error) => self.rewrite_url(error),
            reqwest_middleware::Error::Middleware(error) => {
                if let Some(error) = error.downcast_mut::<reqwest::Error>() {
                    self.rewrite_url(error);
                } else if let Some(error) = error.downcast_mut::<reqwest_middleware::Error>() {
                    self.rewrite(error);
                }
                #[cfg(feature = "retry")]
                if let Some(error) = error.downcast_mut::<reqwest_retry::RetryError>() {
                    self.rewrite(retried(error));
                }
            }
        }
    }

    fn rewrite_url(&self, error: &mut reqwest::Error) {
        if let Some(url) = error.url_mut() {
            *url = self.seen_for(url);
        }
    }

    /// What to show for a URL that came back: after a redirect, or a replay with another signature,
    /// it is not the one that was sent, and what we put into that goes.
    fn seen_for(&self, url: &Url) -> Url {
        if *url == self.sent {
            return self.shown.clone();
        }
        let mut seen = url.clone();
        self.hide_in_path(&mut seen);
        self.hide_in_query(&mut seen, true);
        seen
    }

    /// A URL of another origin may have a pair of its own by the name of ours (a signed link).
    fn seen_elsewhere(&self, url: &Url) -> Url {
        let mut seen = url.clone();
        self.hide_in_path(&mut seen);
        self.hide_in_query(&mut seen, false);
        seen
    }

    /// Segments that we put into the path (a key, where a vendor has it there) go.
    fn hide_in_path(&self, seen: &mut Url) {
        if seen.path() == self.sent.path() {
            seen.set_path(self.shown.path());
            return;
        }
        let ours = self.ours_in_path();
        let parts = seen.path().split('/');
        let kept: Vec<_> = parts.filter(|part| !ours.contains(part)).collect();
        let kept = kept.join("/");
        seen.set_path(&kept);
    }

    /// Pairs that we added go, `by_name` whatever their value is now, and so do those whose value
    /// we changed, unless they have the caller's. A pair goes too if its value holds one of ours,
    /// of the query or of the path, as where a server puts the whole URL that it was asked for into
    /// a parameter.
    fn hide_in_query(&self, seen: &mut Url, by_name: bool) {
        let ours: Vec<_> = self.ours().collect();
        let in_path = self.ours_in_path();
        let asked = |name: &str, value: &str| {
            let mut pairs = self.shown.query_pairs();
            pairs.any(|pair| pair.0 == name && pair.1 == value)
        };
        let is_ours = |name: &str, value: &str| {
            let mut ours = ours.iter();
            let is_pair = |our_name: &str, our_value: &str| {
                our_name == name && (by_name || our_value == value)
            };
            ours.any(|(name, our)| is_pair(name, our) || holds(value, our))
                || in_path.iter().any(|part| holds_segment(value, part))
        };
        let url = seen.clone();
        let pairs = url.query_pairs();
        let kept: Vec<_> = pairs
            .filter(|(name, value)| asked(name, value) || !is_ours(name, value))
            .collect();
        if kept.len() < url.query_pairs().count() {
            match kept.is_empty() {
                true => seen.set_query(None),
                false => drop(seen.query_pairs_mut().clear().extend_pairs(kept)),
            }
        }
    }

    /// The segments of the path that are not the caller's.
    fn ours_in_path(&self) -> Vec<&str> {
        let shown: Vec<_> = self.shown.path().split('/').collect();
        let sent = self.sent.path().split('/');
        sent.filter(|part| !shown.contains(part)).collect()
    }

    /// The pairs of the query that are not the caller's.
    fn ours(&self) -> impl Iterator<Item = (String, String)> {
        let owned = |(name, value): (Cow<'_, str>, Cow<'_, str>)| (name.into(), value.into());
        let shown: Vec<(String, String)> = self.shown.query_pairs().map(owned).collect();
        let sent = self.sent.query_pairs().map(owned);
        sent.filter(move |pair| !shown.contains(pair))
    }
}

/// What a retry layer beneath has wrapped.
#[cfg(feature = "retry")]
fn retried(error: &mut reqwest_retry::RetryError) -> &mut reqwest_middleware::Error {
    match error {
        reqwest_retry::RetryError::WithRetries { err, .. } => err,
        reqwest_retry::RetryError::Error(err) => err,
    }
}

/// Segments and pairs, as they are spelled.
fn parts_of(url: &Url) -> impl Iterator<Item = &str> + Clone {
    let query = url.query().unwrap_or_default();
    url.path().split('/').chain(query.split('&'))
}

/// Shorter values are in many a text by chance, and no secrets.
const SHORT: usize = 6;

/// Whether a value holds another one, as it is or percent-encoded once more; not a short one.
fn holds(value: &str, ours: &str) -> bool {
    let encoded: String = form_urlencoded::byte_serialize(ours.as_bytes()).collect();
    ours.len() >= SHORT && (value.contains(ours) || value.contains(&encoded))
}

/// The same of a segment of a path, which is percent-encoded itself.
fn holds_segment(value: &str, part: &str) -> bool {
    let decoded = percent_decode_str(part).decode_utf8_lossy();
    holds(value, part) || holds(value, &decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(url: &str) -> String {
        let parse = |text| Url::parse(text).expect("a URL");
        let shown = parse("https://a.example/find?q=1%20k");
        let sent = parse("https://a.example/find?q=1%20k&apiKey=s3cr3t&sig=x");
        let disguise = Disguise::new(shown, &sent).expect("something to hide");
        disguise.seen_for(&parse(url)).to_string()
    }

    #[test]
    fn the_caller_sees_the_url_it_asked_for() {
        let sent = "https://a.example/find?q=1%20k&apiKey=s3cr3t&sig=x";
        assert_eq!(seen(sent), "https://a.example/find?q=1%20k");
    }

    #[test]
    fn after_a_redirect_or_another_signature_the_keys_go_by_name() {
        let elsewhere = "https://a.example/found?apiKey=s3cr3t&page=2";
        assert_eq!(seen(elsewhere), "https://a.example/found?page=2");
        let again = "https://a.example/find?q=1%20k&apiKey=s3cr3t&sig=y";
        assert_eq!(seen(again), "https://a.example/find?q=1+k");
        let bare = "https://a.example/found?sig=y";
        assert_eq!(seen(bare), "https://a.example/found");
        let other = "https://b.example/x?page=a%20b";
        assert_eq!(seen(other), other);
    }

    #[test]
    fn a_value_that_was_changed_goes_and_the_callers_stays() {
        let parse = |text: &str| Url::parse(text).expect("a URL");
        let shown = parse("https://a.example/list?req=mine&rows=5");
        let sent = parse("https://a.example/list?rows=5&req=mine-and-s3cr3t");
        let disguise = Disguise::new(shown, &sent).expect("something to hide");
        let seen = |url: &str| disguise.seen_for(&parse(url)).to_string();
        let moved = "https://a.example/v4/list?rows=5&req=mine-and-s3cr3t";
        assert_eq!(seen(moved), "https://a.example/v4/list?rows=5");
        let unsigned = "https://a.example/v4/list?rows=5&req=mine";
        assert_eq!(seen(unsigned), unsigned);
    }

    #[test]
    fn a_key_within_another_parameter_goes_with_it() {
        let parse = |text: &str| Url::parse(text).expect("a URL");
        let shown = parse("https://a.example/find?q=1");
        let sent = parse("https://a.example/find?q=1&apiKey=s3cr%2F3t");
        let disguise = Disguise::new(shown, &sent).expect("something to hide");
        let seen = |url: &str| disguise.seen_for(&parse(url)).to_string();
        let login = "https://a.example/login?next=%2Ffind%3Fq%3D1%26apiKey%3Ds3cr%252F3t&x=1";
        assert_eq!(seen(login), "https://a.example/login?x=1");
        let login = "https://a.example/login?next=s3cr%2F3t";
        assert_eq!(seen(login), "https://a.example/login");
    }

    #[test]
    fn a_key_in_the_path_goes_wherever_it_stands() {
        let parse = |text: &str| Url::parse(text).expect("a URL");
        let shown = parse("https://a.example/find/LM358/%7BapiKey%7D");
        let sent = parse("https://a.example/find/LM358/s3cr3t");
        let disguise = Disguise::new(shown, &sent).expect("something to hide");
        let seen = |url: &str| disguise.seen_for(&parse(url)).to_string();
        let again = "https://a.example/find/LM358/s3cr3t?page=2";
        assert_eq!(
            seen(again),
            "https://a.example/find/LM358/%7BapiKey%7D?page=2"
        );
        let moved = "https://a.example/v2/find/LM358/s3cr3t/";
        assert_eq!(seen(moved), "https://a.example/v2/find/LM358/");
    }

    /// Only keys of the query went from there.
    #[test]
    fn a_key_in_the_path_goes_where_the_whole_url_is_a_parameter_too() {
        let parse = |text: &str| Url::parse(text).expect("a URL");
        let shown = parse("https://a.example/find/%7BapiKey%7D");
        let sent = parse("https://a.example/find/s3c%2Br3t");
        let disguise = Disguise::new(shown, &sent).expect("something to hide");
        let seen = |url: &str| disguise.seen_for(&parse(url)).to_string();
        for next in ["%2Ffind%2Fs3c%252Br3t", "%2Ffind%2Fs3c%2Br3t", "s3c%2Br3t"] {
            let login = format!("https://a.example/login?next={next}&x=1");
            assert_eq!(seen(&login), "https://a.example/login?x=1", "{next}");
        }
    }

    fn led_to(location: &'static str) -> (String, bool) {
        let parse = |text: &str| Url::parse(text).expect("a URL");
        let shown = parse("https://a.example/find/%7Bkey%7D?q=1");
        let sent = parse("https://a.example/find/pa7h-key?q=1&apiKey=s3cr%2F3t");
        let disguise = Disguise::new(shown, &sent).expect("something to hide");
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_static(location));
        disguise.hide_in_headers(&mut headers, &sent);
        let value = &headers[LOCATION];
        (
            value.to_str().expect("text").to_owned(),
            value.is_sensitive(),
        )
    }

    #[test]
    fn where_a_response_leads_is_told_without_our_keys_and_else_untouched() {
        for (sent, told) in [
            ("/found?apiKey=s3cr%2F3t&page=2#top", "/found?page=2#top"),
            ("?apiKey=s3cr%2f3t", "/find/%7Bkey%7D"),
            ("https://b.example/x?apiKey=s3cr/3t", "https://b.example/x"),
            (
                "//b.example/x?to=%2F%3FapiKey=s3cr%252F3t",
                "https://b.example/x",
            ),
            ("https://b.example/pa7h-key/x", "https://b.example/x"),
            ("/v2/pa7h-key/x", "/v2/x"),
            // Not ours, though of that name.
            (
                "https://b.example/x?apiKey=theirs&b=%20c",
                "https://b.example/x?apiKey=theirs&b=%20c",
            ),
            ("datasheet.pdf?a=%20b", "datasheet.pdf?a=%20b"),
            ("https://b.example", "https://b.example"),
        ] {
            assert_eq!(led_to(sent), (told.to_owned(), false), "{sent}");
        }
    }

    #[test]
    fn a_header_that_holds_a_key_does_not_show_in_debug() {
        let parse = |text: &str| Url::parse(text).expect("a URL");
        let sent = parse("https://a.example/find?apiKey=s3cr%2F3t");
        let shown = parse("https://a.example/find");
        let disguise = Disguise::new(shown, &sent).expect("something to hide");
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (
                "link",
                "<https://a.example/find?apiKey=s3cr%2F3t&page=2>; rel=next",
            ),
            ("x-key", "s3cr/3t"),
            ("x-other", "find"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let before = headers.clone();
        disguise.hide_in_headers(&mut headers, &sent);
        assert_eq!(headers, before, "the values stay");
        let hidden: Vec<_> = headers
            .iter()
            .filter(|(_, value)| value.is_sensitive())
            .collect();
        assert_eq!(hidden.len(), 2, "{hidden:?}");
    }

    #[test]
    fn an_unchanged_url_needs_no_disguise() {
        let url = Url::parse("https://a.example/").expect("a URL");
        assert!(Disguise::new(url.clone(), &url).is_none());
    }
}
