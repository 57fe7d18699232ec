//! The parsers of this half for a fuzzer: see [`crate::fuzzing`].

#![allow(missing_docs, unreachable_pub)] // Nobody but fuzzers sees them.
#![allow(clippy::expect_used, clippy::unwrap_used)] // To panic is their task.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};
use url::Url;
use zeroize::Zeroizing;

use super::login::callback::Expected;
use super::oauth::endpoint;
use super::oauth::response::{self, Asked, Class, Reply};
use super::persistence::record::Tokens;
use super::token::{Lifetime, Times};
use super::{ClientAuth, Grant, OAuthSettings};
use crate::clock::{Moment, Now};
use crate::error::ErrorKind;
use crate::fuzzing::{first_line, header_lines};
use crate::response_rules::Rules;

const YEAR: Duration = Duration::from_secs(365 * 86_400);
const HOUR: Duration = Duration::from_secs(3600);
/// The URL, the code, the words and what the answer looks like, each cut short.
const LONGEST_MESSAGE: usize = 900;
const SECRET: &str = "canary-4711";
const REDIRECT_URI: &str = "https://localhost:8139/callback?tenant=7";

/// 2026-11-21 12:00:00 UTC.
fn noon() -> Now {
    Now {
        moment: Moment::after_start(Duration::from_secs(1_000_000)),
        wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_262_400),
    }
}

fn token_url() -> Url {
    Url::parse("https://api.example/token").unwrap()
}

static SETTINGS: LazyLock<OAuthSettings> = LazyLock::new(|| OAuthSettings {
    terms: Default::default(),
    token_url: token_url(),
    client_id: None,
    client_secret: None,
    client_auth: ClientAuth::Basic,
    grant: Grant::client_credentials(),
    scope: None,
    scope_on_refresh: false,
    pkce: true,
    token_headers: HeaderMap::new(),
    token_fields: Vec::new(),
    token_client: endpoint::default_client(&token_url()).unwrap(),
    token_rules: Rules::default(),
    request_id_headers: Vec::new(),
    store: None,
    limit: None,
    keep_warm: false,
    refresh_lead: Duration::from_secs(60),
    fallback_lifetime: None,
    authorization_url: None,
    revocation_url: None,
    issuer: None,
});

/// The status, whether a refresh token was presented (`refresh`, or `known` of a client that has
/// worked before), header lines, an empty line, the body.
pub fn token_answer(data: &[u8]) {
    let (line, rest) = first_line(data);
    let line = String::from_utf8_lossy(line);
    let (status, presented) = line.split_once(' ').unwrap_or((&line, ""));
    let (headers, body) = header_lines(rest);
    let reply = Reply {
        status: status.parse().unwrap_or(StatusCode::OK),
        headers,
        body: Zeroizing::new(body.to_vec()),
    };
    let has_worked = presented == "known";
    let presented = presented == "refresh" || has_worked;
    let asked = Asked {
        presented,
        has_worked,
        ..SETTINGS.asked(&[SECRET], noon().wall)
    };
    let answer = response::read(&reply, &asked);
    match answer.outcome {
        Ok(issued) => {
            assert!(reply.status.is_success());
            let text = issued.access_token.as_bytes();
            assert!(!text.is_empty() && text.iter().all(u8::is_ascii_graphic));
            check_times(issued.lifetime);
        }
        Err(refusal) => {
            assert!(refusal.message.chars().count() < LONGEST_MESSAGE);
            assert!(!refusal.message.contains(SECRET), "{}", refusal.message);
            assert!(!refusal.message.contains(char::is_control));
            assert!(presented || !refusal.class.needs_login());
            assert!(has_worked || refusal.class != Class::GrantProbablyRejected || presented);
            let id = refusal.request_id.unwrap_or_default();
            assert!(id.chars().count() <= 128 && !id.contains(SECRET), "{id}");
            if let Class::Throttled { retry_after } = refusal.class {
                assert!(retry_after.is_none_or(|span| !span.is_zero() && span <= HOUR));
            }
        }
    }
}

fn check_times(stated: Option<Duration>) {
    let now = noon();
    let lifetime = Lifetime::new(stated, None, None);
    assert!(lifetime.span() <= YEAR);
    for draw in [0.0, 1.0] {
        let times = Times::new(now, lifetime, SETTINGS.refresh_lead, draw);
        assert!(times.fresh_for(now) <= YEAR && times.left(now) <= YEAR);
    }
}

/// The issuer to expect, if any; then the address.
pub fn callback(data: &[u8]) {
    let (issuer, address) = first_line(data);
    let issuer = String::from_utf8_lossy(issuer);
    let redirect_uri = Url::parse(REDIRECT_URI).unwrap();
    let expected = Expected {
        redirect_uri: &redirect_uri,
        state: "s1",
        issuer: (!issuer.is_empty()).then_some(&*issuer),
    };
    let address = String::from_utf8_lossy(address);
    match expected.code(&address) {
        Ok(code) => {
            let url = redirect_uri.join(address.trim()).unwrap();
            let pairs = |name: &str| url.query_pairs().filter(|pair| pair.0 == name).count();
            assert!(!code.is_empty() && url.origin() == redirect_uri.origin());
            assert_eq!((pairs("state"), pairs("code")), (1, 1));
            assert!(
                url.query_pairs()
                    .any(|pair| pair == ("state".into(), "s1".into()))
            );
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.chars().count() < LONGEST_MESSAGE, "{text}");
            assert!(!text.contains(char::is_control), "{text:?}");
            assert_ne!(error.kind(), ErrorKind::Config);
        }
    }
}

/// What a token store gave.
pub fn record(data: &[u8]) {
    let Ok(tokens) = Tokens::from_bytes(data) else {
        return;
    };
    assert!(
        tokens
            .refresh_token()
            .is_none_or(|text| !text.trim().is_empty())
    );
    let now = noon();
    for draw in [0.0, 1.0] {
        let Some(token) = tokens.fresh_token(1, &SETTINGS, None, draw, None, now) else {
            continue;
        };
        let times = token.times();
        assert!(!times.is_stale(now) && !times.is_expired(now));
        assert!(times.fresh_for(now) <= YEAR && times.left(now) <= YEAR);
    }
    let read = Tokens::from_bytes(&tokens.to_bytes()).expect("what was written");
    assert_eq!(read.access_token, tokens.access_token);
}
