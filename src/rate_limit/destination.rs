//! Where a request goes: whether its answer comes from there.
//!
//! reqwest follows redirects beneath all layers, and what shows of them is the URL of the answer.

use std::hash::{DefaultHasher, Hash, Hasher};

use url::{Position, Url};

/// A request's URL; kept for each request, so no copy of it is. Without its fragment, and without a
/// user's name, which reqwest makes a header of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    to_path: u64,
    whole: u64,
}

impl Destination {
    /// Whether an answer from this URL was redirected. By its path: a layer beneath may have put a
    /// key into the query.
    pub(super) fn is_left_for(self, url: &Url) -> bool {
        self.to_path != to_path(url).finish()
    }
}

impl From<&Url> for Destination {
    fn from(url: &Url) -> Self {
        let mut hasher = to_path(url);
        let to_path = hasher.finish();
        url.query().hash(&mut hasher);
        let whole = hasher.finish();
        Self { to_path, whole }
    }
}

fn to_path(url: &Url) -> DefaultHasher {
    let mut hasher = DefaultHasher::new();
    url.scheme().hash(&mut hasher);
    url[Position::BeforeHost..Position::AfterPath].hash(&mut hasher);
    hasher
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    #[test]
    fn another_path_host_or_scheme_is_a_redirect_and_another_query_is_none() {
        let one = Destination::from(&url("https://a.example/x?y=1"));
        for (other, is_redirect, is_same) in [
            ("https://a.example/x/?y=1", true, false),
            ("https://b.example/x?y=1", true, false),
            ("https://a.example:8443/x?y=1", true, false),
            ("http://a.example/x?y=1", true, false),
            ("https://a.example/x?y=2", false, false),
            ("https://a.example/x", false, false),
            ("https://a.example/x?y=1#z", false, true),
            ("https://user:word@a.example:443/x?y=1", false, true),
        ] {
            let other = url(other);
            assert_eq!(one.is_left_for(&other), is_redirect, "{other}");
            assert_eq!(one == Destination::from(&other), is_same, "{other}");
        }
    }
}
