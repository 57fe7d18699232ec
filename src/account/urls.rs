//! The URLs of an account: where it acts, and where its tokens come from.

use url::{ParseError, Url};

use super::problems::Problems;
use super::{Environment, Settings};
use crate::origin::is_secure;

const EXPECTED: &str = "expected an absolute URL such as https://api.acme.example";

/// The base URL, or the vendor's sandbox in its place.
pub(crate) fn base(settings: &Settings, problems: &mut Problems) -> Option<Url> {
    let text = match (settings.environment, &settings.sandbox_url) {
        (Environment::Production, _) => &settings.base_url,
        (Environment::Sandbox, Some(sandbox_url)) => sandbox_url,
        (Environment::Sandbox, None) if settings.has_own_base_url => &settings.base_url,
        (Environment::Sandbox, None) => {
            let text = "the sandbox of this distributor is not known: give its base_url instead";
            problems.add("environment", text);
            return None;
        }
    };
    problems.keep("base_url", absolute(text))
}

/// The base URL's origin and the others.
pub(super) fn origins(
    settings: &Settings,
    base_url: Option<&Url>,
    problems: &mut Problems,
) -> Vec<Url> {
    let mut origins: Vec<Url> = base_url.cloned().into_iter().collect();
    for text in &settings.origins {
        let origin = absolute(text).and_then(|url| bare(text, url));
        origins.extend(problems.keep("origins", origin));
    }
    origins
}

/// An absolute token URL as it is; a relative one below the base URL's path, or, if it begins with
/// a slash, below its host.
pub(crate) fn token(text: &str, base_url: Option<&Url>, problems: &mut Problems) -> Option<Url> {
    endpoint("token_url", text, base_url, problems)
}

/// The same for the authorization endpoint.
pub(super) fn authorization(
    text: &str,
    base_url: Option<&Url>,
    problems: &mut Problems,
) -> Option<Url> {
    endpoint("authorization_url", text, base_url, problems)
}

/// The same for the revocation endpoint.
pub(super) fn revocation(
    text: &str,
    base_url: Option<&Url>,
    problems: &mut Problems,
) -> Option<Url> {
    endpoint("revocation_url", text, base_url, problems)
}

fn endpoint(
    field: &str,
    text: &str,
    base_url: Option<&Url>,
    problems: &mut Problems,
) -> Option<Url> {
    let url = match Url::parse(text) {
        Err(ParseError::RelativeUrlWithoutBase) => below(base_url?, text),
        parsed => parsed,
    };
    let expected = "expected an absolute URL, or one relative to base_url";
    let url = url.map_err(|error| format!("found {}: {error}; {expected}", shown(text)));
    problems.keep(field, url.and_then(|url| secure(text, url)))
}

fn below(base_url: &Url, text: &str) -> Result<Url, ParseError> {
    let mut directory = base_url.clone();
    // Without a slash at its end the last segment of the base would be replaced (RFC 3986 5.2.3).
    if !directory.path().ends_with('/') {
        directory.set_path(&format!("{}/", base_url.path()));
    }
    directory.join(text)
}

fn absolute(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| format!("found {}; {EXPECTED}", shown(text)))?;
    secure(text, url)
}

fn secure(text: &str, url: Url) -> Result<Url, String> {
    let found = shown(text);
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!(
            "found {found}; expected no user and password in a URL"
        ));
    }
    match url.scheme() {
        "http" | "https" if is_secure(&url) => Ok(url),
        "http" => Err(format!(
            "found {found}: credentials would travel over plain http; expected https (http within \
             this machine only)"
        )),
        _ => Err(format!("found {found}; {EXPECTED}")),
    }
}

fn bare(text: &str, url: Url) -> Result<Url, String> {
    if url.path() == "/" && url.query().is_none() && url.fragment().is_none() {
        return Ok(url);
    }
    let found = shown(text);
    Err(format!(
        "found {found}; expected scheme, host and port only: paths play no part"
    ))
}

/// The text without what may be secret in it: user and password, the query.
pub(super) fn shown(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    match text.rsplit_once('@') {
        Some((_, host)) => format!("{:?}", format!("***@{host}")),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token_url(text: &str, base_url: &str) -> Result<String, String> {
        let mut problems = Problems::default();
        let base_url = Url::parse(base_url).expect(base_url);
        match token(text, Some(&base_url), &mut problems) {
            Some(url) => Ok(url.into()),
            None => Err(problems.to_string()),
        }
    }

    #[test]
    fn a_relative_token_url_lies_below_the_base_url() {
        for (text, base_url, expected) in [
            (
                "v1/token",
                "https://a.example",
                "https://a.example/v1/token",
            ),
            (
                "v1/token",
                "https://a.example/proxy",
                "https://a.example/proxy/v1/token",
            ),
            (
                "v1/token",
                "https://a.example/proxy/",
                "https://a.example/proxy/v1/token",
            ),
            (
                "/v1/token",
                "https://a.example/proxy",
                "https://a.example/v1/token",
            ),
            (
                "https://b.example/t?x=1",
                "https://a.example",
                "https://b.example/t?x=1",
            ),
        ] {
            assert_eq!(token_url(text, base_url).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn a_token_url_over_plain_http_is_refused_but_for_loopback() {
        let error = token_url("http://login.example/token", "https://a.example").unwrap_err();
        assert!(error.contains("plain http"), "{error}");
        assert!(token_url("http://127.0.0.1:9/token", "https://a.example").is_ok());
        assert!(token_url("v1/token", "http://127.0.0.1:9").is_ok());
    }

    #[test]
    fn user_password_and_query_of_a_url_are_not_shown() {
        for text in [
            "https://user:canary@a.example/",
            "nonsense canary@x",
            "nonsense?canary",
        ] {
            let error = absolute(text).unwrap_err();
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
