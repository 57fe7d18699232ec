//! What the caller sees of a URL that carries a key: the one it asked for.
//!
//! reqwest puts the URL of a request into its response and into every error, and from there it goes
//! to logs (`error_for_status()`). A key or a signature in it would go there too.

use std::borrow::Cow;

use http::Response as HttpResponse;
use reqwest::{Body, Response, ResponseBuilderExt};
use url::Url;

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
    /// it is not the one that was sent, and what we added goes from it by name.
    fn seen_for(&self, url: &Url) -> Url {
        if *url == self.sent {
            return self.shown.clone();
        }
        let mut seen = url.clone();
        if seen.path() == self.sent.path() {
            seen.set_path(self.shown.path());
        }
        let added = |name: &str| self.sent.query_pairs().any(|pair| pair.0 == name);
        let asked = |name: &str| self.shown.query_pairs().any(|pair| pair.0 == name);
        let is_ours = |name: &Cow<'_, str>| added(name) && !asked(name);
        let kept: Vec<_> = url
            .query_pairs()
            .filter(|(name, _)| !is_ours(name))
            .collect();
        if kept.len() < url.query_pairs().count() {
            match kept.is_empty() {
                true => seen.set_query(None),
                false => drop(seen.query_pairs_mut().clear().extend_pairs(kept)),
            }
        }
        seen
    }
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
    fn an_unchanged_url_needs_no_disguise() {
        let url = Url::parse("https://a.example/").expect("a URL");
        assert!(Disguise::new(url.clone(), &url).is_none());
    }
}
