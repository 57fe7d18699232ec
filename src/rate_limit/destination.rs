//! Where a request goes: whether its answer comes from there.
//!
//! reqwest follows redirects beneath all layers, and what shows of them is the URL of the answer.

use std::hash::{DefaultHasher, Hash, Hasher};

use url::{Position, Url};

/// A request's URL, without what does not go into its line or its `Host`: the fragment, and a
/// user's name, which reqwest makes a header of. It is kept for each request, so no copy of it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Destination(u64);

impl From<&Url> for Destination {
    fn from(url: &Url) -> Self {
        let mut hasher = DefaultHasher::new();
        url.scheme().hash(&mut hasher);
        url[Position::BeforeHost..Position::AfterQuery].hash(&mut hasher);
        Self(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_same(one: &str, other: &str) -> bool {
        let of = |text: &str| Destination::from(&Url::parse(text).expect("a URL"));
        of(one) == of(other)
    }

    #[test]
    fn another_path_query_host_or_scheme_is_another_destination_and_a_fragment_is_none() {
        let one = "https://a.example/x?y=1";
        for other in [
            "https://a.example/x/?y=1",
            "https://a.example/x?y=2",
            "https://a.example/x",
            "https://b.example/x?y=1",
            "https://a.example:8443/x?y=1",
            "http://a.example/x?y=1",
        ] {
            assert!(!is_same(one, other), "{other}");
        }
        assert!(is_same(one, "https://a.example/x?y=1#z"));
        assert!(is_same(one, "https://user:word@a.example:443/x?y=1"));
    }
}
