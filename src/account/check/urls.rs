//! The URLs of an account: where it acts, and where its tokens come from.

use std::net::Ipv4Addr;

use url::{ParseError, Url};

use super::problems::Problems;
use crate::account::{Environment, Settings};
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
pub(in crate::account) fn origins(
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
pub(in crate::account) fn authorization(
    text: &str,
    base_url: Option<&Url>,
    problems: &mut Problems,
) -> Option<Url> {
    endpoint("authorization_url", text, base_url, problems)
}

/// The same for the revocation endpoint.
pub(in crate::account) fn revocation(
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
    if let Some(meant) = without_scheme(text) {
        let path = match text.starts_with(|first: char| first.is_ascii_digit()) || has_port(text) {
            true => "",
            false => " If it is a path, begin it with ./",
        };
        let found = shown(text);
        let hint = format!("found {found}, which has no scheme; did you mean {meant:?}?{path}");
        problems.add(field, hint);
        return None;
    }
    if text.trim().is_empty() {
        problems.add(field, "is empty");
        return None;
    }
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
    if let Some(meant) = without_scheme(text) {
        let found = shown(text);
        return Err(format!(
            "found {found}, which has no scheme; did you mean {meant:?}?"
        ));
    }
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

/// Names of top-level domains that hosts of APIs have, beside those of two letters: countries. Not
/// every one there is, since a relative path may have a dot too (Slack's is `oauth.v2.access`).
const TOP_LEVEL: &[&str] = &[
    "agency",
    "app",
    "biz",
    "cloud",
    "com",
    "corp",
    "dev",
    "digital",
    "edu",
    "energy",
    "example",
    "global",
    "gov",
    "group",
    "home",
    "info",
    "int",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localhost",
    "mil",
    "net",
    "network",
    "one",
    "online",
    "org",
    "parts",
    "private",
    "services",
    "shop",
    "site",
    "software",
    "solutions",
    "store",
    "supply",
    "systems",
    "tech",
    "technology",
    "test",
    "tools",
    "trade",
    "world",
    "xyz",
];

/// What a name ends with that is a page rather than a country's.
const PAGES: &[&str] = &["do", "pl", "py", "rb", "sh"];

/// The URL that was meant, where a host stands at the head without a scheme before it. The text is
/// otherwise a path (`login.acme.example/token`) or has the host for a scheme
/// (`login.acme.example:8443/token`).
pub(in crate::account) fn without_scheme(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.split(['?', '#']).next().unwrap_or_default();
    // `https//login.acme.example/token`, a colon short.
    let short = ["https//", "http//"]
        .iter()
        .find(|head| text.starts_with(**head));
    if let Some((scheme, rest)) = short.and_then(|_| text.split_once("//")) {
        return Some(format!("{scheme}://{rest}"));
    }
    let (authority, path) = match text.split_once('/') {
        Some((authority, path)) => (authority, Some(path)),
        None => (text, None),
    };
    // Of what stands before an @ nothing may be shown; it is refused elsewhere.
    let is_host = match authority.rsplit_once(':') {
        Some((host, port)) => !host.is_empty() && is_port(port) && is_name(host),
        None => is_name(authority) && has_domain(authority, path.is_some()),
    };
    let scheme = match is_loopback(authority) {
        true => "http",
        false => "https",
    };
    is_host.then(|| format!("{scheme}://{text}"))
}

fn has_port(text: &str) -> bool {
    let authority = text.trim().split(['/', '?', '#']).next();
    let port = authority.and_then(|authority| authority.rsplit_once(':'));
    port.is_some_and(|(_, port)| is_port(port))
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

/// Whether it could be the name of a host, or its address.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let mut characters = label.chars();
        !label.is_empty()
            && characters.all(|character| character.is_alphanumeric() || "-_".contains(character))
    };
    let is_address = text.starts_with('[') && text.ends_with(']');
    is_address || text.split('.').all(is_label)
}

fn has_domain(name: &str, has_path: bool) -> bool {
    if name.eq_ignore_ascii_case("localhost") || name.starts_with('[') {
        return true;
    }
    let Some((before, last)) = name.rsplit_once('.') else {
        return false;
    };
    let last = last.to_ascii_lowercase();
    let is_country = last.len() == 2 && last.chars().all(|letter| letter.is_ascii_alphabetic());
    let is_page = !has_path && !before.contains('.') && PAGES.contains(&last.as_str());
    let is_address = name.parse::<Ipv4Addr>().is_ok();
    is_address || (TOP_LEVEL.contains(&last.as_str()) || is_country) && !is_page
}

fn is_loopback(authority: &str) -> bool {
    Url::parse(&format!("http://{authority}/")).is_ok_and(|url| is_secure(&url))
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
pub(in crate::account) fn shown(text: &str) -> String {
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

    #[test]
    fn a_token_url_without_its_scheme_is_refused_with_the_one_that_was_meant() {
        for (text, meant) in [
            (
                "login.acme.example/token",
                "https://login.acme.example/token",
            ),
            (
                "login.acme.example:8443/token",
                "https://login.acme.example:8443/token",
            ),
            ("LOGIN.acme.COM", "https://LOGIN.acme.COM"),
            (
                "login.acme.co.uk/oauth2/token?x=1",
                "https://login.acme.co.uk/oauth2/token",
            ),
            ("acme.pl/token", "https://acme.pl/token"),
            ("login.größe.de/token", "https://login.größe.de/token"),
            ("login:8443/token", "https://login:8443/token"),
            ("localhost:8080/token", "http://localhost:8080/token"),
            ("localhost/token", "http://localhost/token"),
            ("127.0.0.1:8080/token", "http://127.0.0.1:8080/token"),
            ("10.0.0.7/token", "https://10.0.0.7/token"),
            ("[::1]:8080/token", "http://[::1]:8080/token"),
            (
                " login.acme.example/token",
                "https://login.acme.example/token",
            ),
        ] {
            let error = token_url(text, "https://api.acme.example").unwrap_err();
            let hint = format!("which has no scheme; did you mean {meant:?}?");
            assert!(error.contains(&hint), "{text}: {error}");
            assert!(error.starts_with("token_url: found "), "{error}");
            let error = absolute(text).unwrap_err();
            assert!(error.ends_with(&hint), "{text}: {error}");
            // What the hint says is taken.
            if !meant.contains("10.0.0.7") {
                assert!(
                    token_url(meant, "https://api.acme.example").is_ok(),
                    "{meant}"
                );
            }
        }
    }

    #[test]
    fn an_empty_endpoint_and_a_scheme_without_its_colon_are_no_paths() {
        for text in ["", "  "] {
            let error = token_url(text, "https://a.example").unwrap_err();
            assert_eq!(error.trim(), "token_url: is empty", "{text:?}");
        }
        let error = token_url("https//login.acme.example/t", "https://a.example").unwrap_err();
        let hint = "did you mean \"https://login.acme.example/t\"?";
        assert!(error.contains(hint), "{error}");
    }

    #[test]
    fn a_path_with_dots_in_it_is_a_path() {
        for text in [
            "v1/oauth2/token",
            "/oauth.v2/token",
            "/login.acme.example/token",
            "./login.acme.example/token",
            "../login.acme.example/token",
            "oauth.v2/token",
            "oauth.v2.access",
            "api/oauth.access",
            "v2.0/token",
            "1.0/token",
            "token.php",
            "token.aspx",
            "token.do",
            "token.json",
            "oauth/login.acme.example",
            "a:b/token",
            "",
        ] {
            assert_eq!(without_scheme(text), None, "{text}");
        }
        for text in ["v1/oauth2/token", "/oauth.v2/token", "oauth.v2.access"] {
            assert!(token_url(text, "https://a.example").is_ok(), "{text}");
        }
    }

    #[test]
    fn the_hint_about_a_scheme_shows_no_user_password_or_query() {
        for text in [
            "canary:canary@login.acme.example/token",
            "canary@login.acme.example/token",
            "login.acme.example/token?key=canary",
        ] {
            for error in [
                absolute(text).err(),
                token_url(text, "https://a.example").err(),
            ] {
                let error = error.unwrap_or_default();
                assert!(!error.contains("canary"), "{error}");
            }
        }
    }
}
