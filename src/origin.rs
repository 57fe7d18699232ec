//! Origins (RFC 6454: scheme, host, port): where an account acts, and nowhere else.

use std::net::IpAddr;

use url::{Host, Url};

use crate::error::{Error, ErrorKind, Recovery};

/// The origins of one account.
#[derive(Clone, Debug)]
pub(crate) struct Origins(Vec<Url>);

/// Whose a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// To one of the account's origins.
    Ours,
    /// To the account's own host, but over plain http: no credential may leave that way.
    OursInTheClear,
    /// To somebody else.
    Foreign,
}

impl Origins {
    pub(crate) fn new(urls: Vec<Url>) -> Self {
        Self(urls)
    }

    pub(crate) fn whose(&self, url: &Url) -> Whose {
        if self.0.iter().any(|own| same_origin(own, url)) {
            return Whose::Ours;
        }
        let own_host = |own: &Url| own.host() == url.host();
        if url.scheme() == "http" && !is_loopback(url) && self.0.iter().any(own_host) {
            return Whose::OursInTheClear;
        }
        Whose::Foreign
    }
}

/// The error of a request to the account's own host over plain http.
pub(crate) fn insecure(url: &Url) -> Error {
    let host = url.host_str().unwrap_or_default();
    let message = format!("refused to send credentials to {host} over plain http: use https");
    Error::new(ErrorKind::Insecure, Recovery::Reconfigure, message)
}

/// Whether credentials may travel to this URL: https, or plain http within the machine.
pub(crate) fn is_secure(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

/// Whether this URL leads to the machine itself.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// Without `Url::origin()`, which allocates.
pub(crate) fn same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host() == other.host()
        && one.port_or_known_default() == other.port_or_known_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect(text)
    }

    fn whose(text: &str) -> Whose {
        let origins = vec![url("https://api.digikey.com"), url("http://127.0.0.1:80")];
        Origins::new(origins).whose(&url(text))
    }

    #[test]
    fn scheme_host_and_port_make_an_origin() {
        assert_eq!(whose("https://api.digikey.com/x?y"), Whose::Ours);
        assert_eq!(whose("https://api.digikey.com:443/x"), Whose::Ours);
        assert_eq!(whose("https://API.DigiKey.com/x"), Whose::Ours);
        assert_eq!(whose("https://api.digikey.com:8443/x"), Whose::Foreign);
        assert_eq!(
            whose("https://api.digikey.com.evil.example/"),
            Whose::Foreign
        );
        assert_eq!(
            whose("https://api.digikey.com@evil.example/"),
            Whose::Foreign
        );
        assert_eq!(whose("http://127.0.0.1/"), Whose::Ours);
        assert_eq!(whose("http://127.0.0.1:8080/"), Whose::Foreign);
    }

    #[test]
    fn our_own_host_over_plain_http_is_neither_ours_nor_foreign() {
        assert_eq!(whose("http://api.digikey.com/x"), Whose::OursInTheClear);
        assert_eq!(
            whose("http://api.digikey.com:8080/x"),
            Whose::OursInTheClear
        );
    }

    #[test]
    fn plain_http_is_secure_within_the_machine_only() {
        for text in [
            "http://127.0.0.1:1/",
            "http://[::1]/",
            "http://localhost/",
            "https://a.example",
        ] {
            assert!(is_secure(&url(text)), "{text}");
        }
        for text in [
            "http://a.example/",
            "http://127.0.0.1.example/",
            "ftp://localhost/",
        ] {
            assert!(!is_secure(&url(text)), "{text}");
        }
    }
}
