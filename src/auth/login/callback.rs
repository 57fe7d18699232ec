//! The address at which a person arrives after a login (RFC 6749 section 4.1.2). Pure.
//!
//! Whoever can make the person's browser open an address can send one here. So nothing of it is
//! believed before `state` proves that it belongs to this login, and all that is wrong with it is
//! found before the code is sent anywhere.

use url::Url;
use zeroize::Zeroizing;

use crate::auth::oauth::response::presentable;
use crate::error::{Error, ErrorKind, Recovery};

const LONGEST_CODE: usize = 64;
const LONGEST_DESCRIPTION: usize = 200;

/// What the address has to agree with.
pub(in crate::auth) struct Expected<'a> {
    pub(in crate::auth) redirect_uri: &'a Url,
    pub(in crate::auth) state: &'a str,
    pub(in crate::auth) issuer: Option<&'a str>,
}

impl Expected<'_> {
    /// The code in the address, which may be without scheme and host, as a web server sees it.
    pub(in crate::auth) fn code(&self, callback: &str) -> Result<Zeroizing<String>, Error> {
        let url = self.own(callback)?;
        self.check_issuer(&url)?;
        if let Some(error) = one(&url, "error")? {
            let description = one(&url, "error_description")?;
            return Err(refused(
                &error,
                description.as_ref().map(|text| text.as_str()),
            ));
        }
        one(&url, "code")?.ok_or_else(|| wrong("it has no code"))
    }

    /// The address, if it is one of this login, whatever else is wrong with it.
    pub(in crate::auth) fn own(&self, callback: &str) -> Result<Url, Error> {
        let url = self.redirect_uri.join(callback.trim());
        let url = url.map_err(|_| wrong("it is no URL"))?;
        if !self.is_the_place(&url) {
            return Err(wrong("it does not begin with the redirect URI"));
        }
        let state = one(&url, "state")?.ok_or_else(|| wrong("it has no state"))?;
        match *state == self.state {
            true => Ok(url),
            false => Err(wrong("its state is that of another login")),
        }
    }

    fn is_the_place(&self, url: &Url) -> bool {
        let own = self.redirect_uri;
        let same = url.origin() == own.origin() && url.scheme() == own.scheme();
        let mut fixed = own.query_pairs();
        same && url.path() == own.path() && fixed.all(|pair| url.query_pairs().any(|p| p == pair))
    }

    /// RFC 9207: a server that answers in another's name wants the code for itself.
    fn check_issuer(&self, url: &Url) -> Result<(), Error> {
        let Some(expected) = self.issuer else {
            return Ok(());
        };
        match one(url, "iss")? {
            Some(issuer) if *issuer == expected => Ok(()),
            Some(_) => Err(wrong("it names another issuer than the account's")),
            None => Err(wrong("it names no issuer, and the account expects one")),
        }
    }
}

/// A parameter that may be there once (RFC 6749 section 3.1); empty is absent.
fn one(url: &Url, name: &str) -> Result<Option<Zeroizing<String>>, Error> {
    let mut values = url.query_pairs().filter(|(key, _)| key == name);
    let value = values.next().map(|(_, value)| value.into_owned());
    if values.next().is_some() {
        return Err(wrong(&format!("it has more than one {name}")));
    }
    Ok(value.filter(|value| !value.is_empty()).map(Zeroizing::new))
}

fn wrong(why: &str) -> Error {
    let text = format!("this is not the address that the login ended at: {why}");
    Error::new(ErrorKind::LoginRequired, Recovery::LogIn, text)
}

/// RFC 6749 section 4.1.2.1.
fn refused(error: &str, description: Option<&str>) -> Error {
    let code = presentable(error, LONGEST_CODE, &[]);
    let description = description.map(|text| presentable(text, LONGEST_DESCRIPTION, &[]));
    let told = match description {
        Some(description) => format!("{code}: {description}"),
        None => code,
    };
    match error {
        "access_denied" => {
            let text = format!("the login was denied ({told}): log in again");
            Error::new(ErrorKind::LoginRequired, Recovery::LogIn, text)
        }
        "invalid_request"
        | "invalid_scope"
        | "unauthorized_client"
        | "unsupported_response_type" => {
            let text = format!("the authorization server refused the client ({told})");
            Error::new(ErrorKind::ClientRejected, Recovery::Reconfigure, text)
        }
        _ => {
            let text =
                format!("the login failed at the authorization server ({told}): log in again");
            Error::new(ErrorKind::LoginRequired, Recovery::LogIn, text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLBACK: &str = "https://localhost:8139/callback?tenant=7";

    fn code_with(issuer: Option<&str>, callback: &str) -> Result<String, Error> {
        let redirect_uri = Url::parse(CALLBACK).expect("a URL");
        let expected = Expected {
            redirect_uri: &redirect_uri,
            state: "s1",
            issuer,
        };
        expected.code(callback).map(|code| code.to_string())
    }

    fn code(callback: &str) -> Result<String, Error> {
        code_with(None, callback)
    }

    #[test]
    fn the_code_is_found_in_the_whole_address_and_in_what_a_web_server_sees_of_it() {
        for callback in [
            "https://localhost:8139/callback?tenant=7&code=c%201&state=s1",
            " https://LOCALHOST:8139/callback?state=s1&code=c+1&tenant=7&iss=x#_=_\n",
            "/callback?tenant=7&code=c%201&state=s1",
            "?tenant=7&code=c%201&state=s1",
        ] {
            assert_eq!(code(callback).expect(callback), "c 1");
        }
    }

    #[test]
    fn another_address_is_refused_with_the_reason() {
        for (callback, why) in [
            ("", "no state"),
            ("https://[", "no URL"),
            (
                "http://localhost:8139/callback?tenant=7&code=c&state=s1",
                "redirect URI",
            ),
            (
                "https://localhost/callback?tenant=7&code=c&state=s1",
                "redirect URI",
            ),
            (
                "https://evil.example:8139/callback?tenant=7&code=c&state=s1",
                "redirect URI",
            ),
            (
                "https://localhost:8139/other?tenant=7&code=c&state=s1",
                "redirect URI",
            ),
            ("/callback?tenant=8&code=c&state=s1", "redirect URI"),
            ("/callback?tenant=7&code=c", "no state"),
            ("/callback?tenant=7&code=c&state=s2", "another login"),
            ("/callback?tenant=7&state=s1", "no code"),
            ("/callback?tenant=7&code=&state=s1", "no code"),
            (
                "/callback?tenant=7&code=c&code=d&state=s1",
                "more than one code",
            ),
            (
                "/callback?tenant=7&code=c&state=s1&state=s1",
                "more than one state",
            ),
        ] {
            let error = code(callback).expect_err(callback);
            assert!(error.to_string().contains(why), "{callback}: {error}");
            assert_eq!(error.kind(), ErrorKind::LoginRequired);
        }
    }

    #[test]
    fn an_address_is_of_this_login_by_its_place_and_state_alone() {
        let redirect_uri = Url::parse(CALLBACK).expect("a URL");
        let expected = Expected {
            redirect_uri: &redirect_uri,
            state: "s1",
            issuer: Some("https://login.example"),
        };
        for (query, own) in [
            ("?tenant=7&state=s1&code=c&iss=https://login.example", true),
            ("?tenant=7&state=s1&code=c&iss=https://evil.example", true),
            ("?tenant=7&state=s1&error=access_denied", true),
            ("?tenant=7&state=s1", true),
            ("?tenant=7&state=s2&code=c", false),
            ("?tenant=7&state=s1&state=s2", false),
            ("/other?tenant=7&state=s1&code=c", false),
            ("?state=s1&code=c", false),
        ] {
            assert_eq!(expected.own(query).is_ok(), own, "{query}");
        }
    }

    #[test]
    fn a_denial_asks_for_a_login_and_an_unknown_client_for_another_configuration() {
        let denied = "?tenant=7&state=s1&error=access_denied&error_description=no%0Athanks";
        let error = code(denied).expect_err("denied");
        assert_eq!(error.recovery(), Recovery::LogIn);
        assert!(
            error
                .to_string()
                .contains("denied (access_denied: nothanks)"),
            "{error}"
        );

        let error = code("?tenant=7&state=s1&error=unauthorized_client").expect_err("refused");
        assert_eq!(error.recovery(), Recovery::Reconfigure);
        assert_eq!(error.kind(), ErrorKind::ClientRejected);

        let error = code("?tenant=7&state=s1&error=server_error&code=c").expect_err("failed");
        assert_eq!(error.recovery(), Recovery::LogIn);
    }

    #[test]
    fn a_denial_cannot_turn_the_line_that_it_is_shown_in() {
        let text = "%E2%80%AEfdp%E2%81%A6.%E2%80%A8x%E2%80%8B";
        let denied = format!("?tenant=7&state=s1&error=access_denied&error_description={text}");
        let error = code(&denied).expect_err("denied").to_string();
        assert!(error.contains("denied (access_denied: fdp.x)"), "{error:?}");
    }

    #[test]
    fn an_error_is_believed_only_with_the_state_of_this_login() {
        let error = code("?tenant=7&state=s2&error=access_denied").expect_err("another login");
        assert!(!error.to_string().contains("denied"), "{error}");
    }

    #[test]
    fn an_expected_issuer_has_to_be_named() {
        let issuer = Some("https://login.example");
        let with = |iss: &str| code_with(issuer, &format!("?tenant=7&state=s1&code=c{iss}"));
        assert!(with("&iss=https%3A%2F%2Flogin.example").is_ok());
        for (iss, why) in [
            ("&iss=https://evil.example", "another issuer"),
            ("", "no issuer"),
        ] {
            let error = with(iss).expect_err(why);
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
