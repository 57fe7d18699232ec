//! The pages that a person sees when they come back from the login. They hold no secret, load
//! nothing and run no script.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use reqwest_tollgate::{Error, ErrorKind, Recovery};
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("page.css");

/// What colour a page has, and which sign.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Good,
    Bad,
    /// The login goes on.
    Open,
}

/// A page, before it is HTML.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    status: StatusCode,
    mood: Mood,
    title: &'static str,
    text: &'static str,
    /// In the words of the error.
    why: Option<String>,
    next: &'static str,
}

impl Page {
    /// How the login ended.
    pub(crate) fn of(ended: &Result<(), Error>) -> Self {
        match ended {
            Ok(()) => Self::logged_in(),
            Err(error) if error.kind() == ErrorKind::Store => Self::not_stored(error),
            Err(error) => Self::failed(error),
        }
    }

    fn logged_in() -> Self {
        Self {
            status: StatusCode::OK,
            mood: Mood::Good,
            title: "You are logged in",
            text: "The tokens are kept and renewed for you. Programs with the same configuration \
                   use them from now on.",
            why: None,
            next: "You can close this page.",
        }
    }

    fn not_stored(error: &Error) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            mood: Mood::Open,
            title: "Nothing is stored yet",
            text: "The place where the tokens of a login are kept could not be written.",
            why: Some(error.to_string()),
            next: "The terminal says how it ends.",
        }
    }

    fn failed(error: &Error) -> Self {
        let (status, next) = match error.recovery() {
            Recovery::LogIn => (
                StatusCode::BAD_REQUEST,
                "To try again, start the login in the terminal once more.",
            ),
            Recovery::Reconfigure => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "The configuration has to change before another attempt.",
            ),
            _ => (
                StatusCode::BAD_GATEWAY,
                "Start the login in the terminal once more in a while.",
            ),
        };
        Self {
            status,
            mood: Mood::Bad,
            title: "You are not logged in",
            text: "Nothing was stored. An earlier login, if there is one, stays in use.",
            why: Some(error.to_string()),
            next,
        }
    }

    /// For somebody who comes with an address of another login.
    pub(crate) fn refusal(error: &Error) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            mood: Mood::Bad,
            title: "Not the login that is awaited",
            text: "This address was refused, and what is in it was sent nowhere.",
            why: Some(error.to_string()),
            next: "The login still waits: go on in the page that the terminal opened.",
        }
    }

    pub(crate) fn nothing_here() -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            mood: Mood::Open,
            title: "Nothing here",
            text: "A login is awaited on this port, at another address.",
            why: None,
            next: "Begin at the address that the terminal shows.",
        }
    }

    pub(crate) fn another_method() -> Self {
        Self {
            status: StatusCode::METHOD_NOT_ALLOWED,
            title: "Not like this",
            ..Self::nothing_here()
        }
    }

    /// For whoever does not follow the redirect.
    pub(crate) fn elsewhere() -> Self {
        Self {
            title: "One moment",
            text: "The answer is on another page.",
            next: "",
            ..Self::nothing_here()
        }
    }

    pub(crate) fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(self.html()));
        *response.status_mut() = self.status;
        let mut set = |name: HeaderName, value: &'static str| {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        };
        set(CONTENT_TYPE, "text/html; charset=utf-8");
        set(CACHE_CONTROL, "no-store");
        // The address that led here holds the code of the login: it goes nowhere from here.
        set(REFERRER_POLICY, "no-referrer");
        set(X_CONTENT_TYPE_OPTIONS, "nosniff");
        if let Ok(policy) = HeaderValue::from_str(&policy()) {
            response
                .headers_mut()
                .insert(CONTENT_SECURITY_POLICY, policy);
        }
        response
    }

    fn html(&self) -> String {
        let Self {
            title, text, next, ..
        } = self;
        let (class, sign) = self.mood.look();
        let why = self.why.as_deref().map(escaped).unwrap_or_default();
        format!(
            r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<main class="{class}">
<svg viewBox="0 0 48 48" aria-hidden="true"><circle cx="24" cy="24" r="24"/><path d="{sign}"/></svg>
<h1>{title}</h1>
<p>{text}</p>
<p class="why">{why}</p>
<p class="next">{next}</p>
</main>
<footer>reqwest-tollgate, on this machine</footer>
</body>
</html>
"#
        )
    }
}

impl Mood {
    /// The class, and the path of the sign.
    fn look(self) -> (&'static str, &'static str) {
        match self {
            Self::Good => ("good", "M14 25l7 7 14-15"),
            Self::Bad => ("bad", "M16 16l16 16M32 16L16 32"),
            Self::Open => ("open", "M24 13v14M24 34v.5"),
        }
    }
}

/// Only this style, by its hash; no script, no picture, no frame, and nowhere to send a form.
fn policy() -> String {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
}

/// An error may quote what a server said, and an address what anybody wrote.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_text_and_nothing_else() {
        let why = Some("<script>alert(\"&\")</script>".to_owned());
        let html = Page {
            why,
            ..Page::logged_in()
        }
        .html();
        assert!(
            html.contains("&lt;script&gt;alert(&quot;&amp;&quot;)&lt;/script&gt;"),
            "{html}"
        );
        assert!(!html.contains("<script"), "{html}");
    }

    #[test]
    fn no_page_is_kept_framed_or_told_to_others() {
        let response = Page::logged_in().response();
        let header = |name: &str| response.headers()[name].to_str().expect(name);
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("referrer-policy"), "no-referrer");
        let policy = header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; style-src 'sha256-"),
            "{policy}"
        );
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    }
}
