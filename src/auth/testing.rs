//! A token endpoint by script, settings and a clock, for tests and for the model checker.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};
use url::Url;
use zeroize::Zeroizing;

use super::credentials::Credentials;
use super::credentials::keys::{KeyPlaces, Keys};
use super::login::revoke::Revoked;
use super::oauth::endpoint::{Delivery, Presentation, TokenEndpoint, default_client};
use super::oauth::response::{Class, Refusal, Reply};
use super::store::TokenStore;
use super::{AuthSettings, ClientAuth, Grant, OAuthSettings, RejectionTable};
use crate::clock::{BoxFuture, Clock, Moment, PausedClock, SystemClock};
use crate::layers::AccountId;
use crate::observe::event::{Event, Events, Observer};
use crate::options::Patience;
use crate::origin::Origins;
use crate::response_rules::Rules;
use crate::secret::Secret;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const YEAR: Duration = Duration::from_secs(365 * 86_400);
pub(crate) const API: &str = "https://api.example";

/// As written in an answer, and how long such a token lives; none: nobody can tell.
pub(crate) const LIFETIMES: [(&str, Option<Duration>); 11] = [
    ("", None),
    (r#","expires_in":0"#, None),
    (r#","expires_in":-1"#, None),
    (r#","expires_in":0.05"#, Some(Duration::from_millis(50))),
    (r#","expires_in":1"#, Some(SECOND)),
    (r#","expires_in":"599""#, Some(Duration::from_secs(599))),
    (r#","expires_in":599.0"#, Some(Duration::from_secs(599))),
    (r#","expires_in":1e18"#, Some(YEAR)),
    (r#","expires_in":null"#, None),
    (r#","expires_in":300"#, Some(Duration::from_secs(300))),
    (r#","expires_in":86400"#, Some(Duration::from_secs(86_400))),
];

pub(crate) const PATIENT: Patience = Patience {
    deadline: None,
    max_wait: Duration::from_secs(300),
};

pub(crate) const IMPATIENT: Patience = Patience {
    deadline: None,
    max_wait: Duration::ZERO,
};

/// What the endpoint does with a request.
pub(crate) enum Act {
    Answer(u16, String),
    /// With a `Date` so many seconds ahead.
    AnswerAhead(u16, String, i64),
    NotSent,
    Lost,
    Panic,
}

pub(crate) fn issue(access_token: &str) -> Act {
    let body = format!(r#"{{"access_token":"{access_token}","expires_in":600}}"#);
    Act::Answer(200, body)
}

pub(crate) fn rotate(access_token: &str, refresh_token: &str) -> Act {
    let body = format!(
        r#"{{"access_token":"{access_token}","refresh_token":"{refresh_token}","expires_in":600}}"#
    );
    Act::Answer(200, body)
}

pub(crate) fn refuse(status: u16, error: &str) -> Act {
    Act::Answer(status, format!(r#"{{"error":"{error}"}}"#))
}

/// Does what the script says, then issues `t1`, `t2` … for ever. Each request takes a second.
#[derive(Clone, Default)]
pub(crate) struct Script(Arc<Mutex<Scripted>>);

#[derive(Default)]
struct Scripted {
    acts: VecDeque<Act>,
    presented: Vec<Option<String>>,
    moments: Vec<Moment>,
}

impl Script {
    pub(crate) fn of(acts: impl IntoIterator<Item = Act>) -> Self {
        let script = Self::default();
        script.0.lock().expect("no panic").acts.extend(acts);
        script
    }

    pub(crate) fn requests(&self) -> usize {
        self.0.lock().expect("no panic").presented.len()
    }

    /// When each request left.
    pub(crate) fn moments(&self) -> Vec<Moment> {
        self.0.lock().expect("no panic").moments.clone()
    }

    /// The refresh tokens and codes presented.
    pub(crate) fn presented(&self) -> Vec<String> {
        let scripted = self.0.lock().expect("no panic");
        let tokens = scripted.presented.iter();
        tokens
            .map(|token| token.clone().unwrap_or_default())
            .collect()
    }

    fn next(&self, refresh_token: Option<&str>) -> Act {
        let mut scripted = self.0.lock().expect("no panic");
        scripted.presented.push(refresh_token.map(str::to_owned));
        scripted.moments.push(clock().now().moment);
        let number = scripted.presented.len();
        let act = scripted.acts.pop_front();
        act.unwrap_or_else(|| issue(&format!("t{number}")))
    }
}

impl TokenEndpoint for Script {
    fn request<'a>(&'a self, presentation: Presentation<'a>) -> BoxFuture<'a, Delivery> {
        let act = self.next(match presentation {
            Presentation::ClientCredentials => None,
            Presentation::RefreshToken(secret)
            | Presentation::AuthorizationCode { code: secret, .. }
            | Presentation::Password {
                password: secret, ..
            }
            | Presentation::Assertion(secret) => Some(secret),
        });
        play(act)
    }

    fn revoke<'a>(&'a self, revoked: Revoked<'a>) -> BoxFuture<'a, Delivery> {
        play(self.next(Some(revoked.parts().0)))
    }
}

fn play(act: Act) -> BoxFuture<'static, Delivery> {
    Box::pin(async move {
        clock().sleep(SECOND).await;
        match act {
            Act::Answer(status, body) => answered(status, body, HeaderMap::new()),
            Act::AnswerAhead(status, body, seconds) => answered(status, body, ahead(seconds)),
            Act::NotSent => Delivery::NotSent(Refusal::new(Class::Transient, "no route")),
            Act::Lost => Delivery::Lost {
                refusal: Refusal::new(Class::Transient, "reset"),
                is_closed: true,
            },
            Act::Panic => panic!("by script"),
        }
    })
}

fn answered(status: u16, body: String, headers: HeaderMap) -> Delivery {
    Delivery::Answered {
        reply: Reply {
            status: StatusCode::from_u16(status).expect("a status"),
            headers,
            body: Zeroizing::new(body.into_bytes()),
        },
        secrets: vec![Zeroizing::new("s3cr3t".to_owned())],
    }
}

fn ahead(seconds: i64) -> HeaderMap {
    let wall = clock().now().wall;
    let span = Duration::from_secs(seconds.unsigned_abs());
    let date = if seconds < 0 {
        wall - span
    } else {
        wall + span
    };
    let date = httpdate::fmt_http_date(date).parse().expect("a value");
    HeaderMap::from_iter([(http::header::DATE, date)])
}

/// For tests that end a runtime, or that proptest calls.
#[cfg(test)]
pub(crate) fn paused_runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let builder = builder.enable_time().start_paused(true);
    builder.build().expect("a runtime")
}

/// Tokio's time; in a test with paused time, the test's. All of them show the same.
pub(crate) fn clock() -> Arc<dyn Clock> {
    let passed = SystemClock.now().moment - Moment::ZERO;
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30) + passed;
    Arc::new(PausedClock::starting_at(wall))
}

/// Every event of an account, as text.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }

    pub(crate) fn count(&self, beginning: &str) -> usize {
        let lines = self.lines();
        lines
            .iter()
            .filter(|line| line.starts_with(beginning))
            .count()
    }
}

impl Observer for Log {
    fn on_event(&self, _: &str, event: &Event) {
        self.0.lock().expect("no panic").push(format!("{event:?}"));
    }
}

pub(crate) fn oauth(grant: Grant) -> OAuthSettings {
    let token_url = Url::parse("https://login.example/token").expect("a URL");
    OAuthSettings {
        client_id: Some("my id".into()),
        client_secret: Some(Secret::from("s3cr3t")),
        client_auth: ClientAuth::Basic,
        grant,
        scope: None,
        scope_on_refresh: false,
        pkce: true,
        token_headers: HeaderMap::new(),
        token_fields: Vec::new(),
        token_client: default_client(&token_url).expect("a client"),
        token_url,
        token_rules: Rules::default(),
        request_id_headers: Vec::new(),
        store: None,
        terms: Default::default(),
        limit: None,
        keep_warm: false,
        refresh_lead: Duration::from_secs(300),
        fallback_lifetime: None,
        authorization_url: None,
        issuer: None,
        revocation_url: Url::parse("https://login.example/revoke").ok(),
    }
}

pub(crate) fn with_store(grant: Grant, store: impl TokenStore) -> OAuthSettings {
    OAuthSettings {
        store: Some(Arc::new(store)),
        ..oauth(grant)
    }
}

pub(crate) fn settings(oauth: Option<OAuthSettings>, log: &Log) -> AuthSettings {
    let account: Arc<str> = "test".into();
    AuthSettings {
        account: account.clone(),
        id: AccountId(1),
        origins: Arc::new(Origins::new(vec![Url::parse(API).expect("a URL")])),
        events: Events::new(account, vec![Arc::new(log.clone())]),
        clock: clock(),
        credentials: Credentials::new(Keys::default(), KeyPlaces::default(), None),
        oauth,
        rejection: RejectionTable::default(),
        replay_unauthorized: true,
        request_id_headers: Vec::new(),
    }
}
