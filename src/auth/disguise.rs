//! What the caller sees of a URL that carries a key: the one it asked for.
//!
//! reqwest puts the URL of a request into its response and into every error, and from there it goes
//! to logs (`error_for_status()`). A key or a signature in it would go there too.

use std::borrow::Cow;

use http::Response as HttpResponse;
use percent_encoding::percent_decode_str;
use reqwest::{Body, Response, ResponseBuilderExt};
use url::{Url, form_urlencoded};

/// A URL as the caller knows it, and as it was sent.
pub(super) struct Disguise {
    shown: Url,
    sent: Url,
}

impl Disguise {
    /// None if there is nothing to hide.
    pub(super) fn new(shown: Url, sent: &Url) -> Option<Box<Self>> {
        let sent = (shown != *sent).then(|| sent.clone())?;
        Some(Box::new(Self { shown, sent }))
    }

    /// The result as the caller gets it.
    pub(super) fn hide(
        &self,
        result: reqwest_middleware::Result<Response>,
    ) -> reqwest_middleware::Result<Response> {
        match result {
            Ok(response) => Ok(self.hide_in_response(response)),
            Err(error) => Err(self.hide_in_error(error)),
        }
    }

    fn hide_in_response(&self, response: Response) -> Response {
        let url = self.seen_for(response.url());
        let (mut parts, body) = HttpResponse::<Body>::from(response).into_parts();
        // The URL of a response travels as a private extension, which only this trait can make.
        if let Ok(carrier) = HttpResponse::builder().url(url).body(()) {
            parts.extensions.extend(carrier.into_parts().0.extensions);
        }
        HttpResponse::from_parts(parts, body).into()
    }

    fn hide_in_error(&self, error: reqwest_middleware::Error) -> reqwest_middleware::Error {
        match error {
            reqwest_middleware::Error::Reqwest(mut error) => {
                self.rewrite(&mut error);
                error.into()
            }
            // A layer beneath may have wrapped it.
            reqwest_middleware::Error::Middleware(mut error) => {
                if let Some(inner) = error.downcast_mut::<reqwest::Error>() {
                    self.rewrite(inner);
                }
                reqwest_middleware::Error::Middleware(error)
            }
        }
    }

    fn rewrite(&self, error: &mut reqwest::Error) {
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
        self.hide_in_query(&mut seen);
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

    /// Pairs that we added go by name, and so do those whose value we changed, unless they have the
    /// caller's. A pair goes too if its value holds one of ours, of the query or of the path, as
    /// where a server puts the whole URL that it was asked for into a parameter.
    fn hide_in_query(&self, seen: &mut Url) {
        let ours: Vec<_> = self.ours().collect();
        let in_path = self.ours_in_path();
        let asked = |name: &str, value: &str| {
            let mut pairs = self.shown.query_pairs();
            pairs.any(|pair| pair.0 == name && pair.1 == value)
        };
        let is_ours = |name: &str, value: &str| {
            let mut ours = ours.iter();
            ours.any(|(our_name, our_value)| our_name == name || holds(value, our_value))
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

/// Whether a value holds another one, as it is or percent-encoded once more. Short ones are left
/// out: they are in many a value by chance, and no secrets.
fn holds(value: &str, ours: &str) -> bool {
    const SHORT: usize = 6;
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

    #[test]
    fn an_unchanged_url_needs_no_disguise() {
        let url = Url::parse("https://a.example/").expect("a URL");
        assert!(Disguise::new(url.clone(), &url).is_none());
    }
}
