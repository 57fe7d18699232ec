//! No secret in any output: everything that can be printed is printed, and searched.

#![allow(clippy::unwrap_used)] // Tests may panic.

mod common;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use metrics_util::debugging::DebuggingRecorder;
use reqwest_middleware::ClientWithMiddleware;
use reqwest_tollgate::sandbox::Sandbox;
use reqwest_tollgate::{
    Account, BoxError, ClientAuth, Config, Error, Event, Grant, MemoryStore, Record, Secret, Swap,
    TokenStore,
};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

/// All that was printed, and all that must not be in it.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<(String, BTreeSet<String>)>>);

impl Paper {
    fn print(&self, thing: &(impl Debug + ?Sized)) {
        self.0
            .lock()
            .unwrap()
            .0
            .push_str(&format!("{thing:?}\n{thing:#?}\n"));
    }

    fn print_error(&self, error: &(dyn std::error::Error + 'static)) {
        let mut next = Some(error);
        while let Some(error) = next {
            self.0
                .lock()
                .unwrap()
                .0
                .push_str(&format!("{error}\n{error:?}\n"));
            next = error.source();
        }
    }

    fn keep_secret(&self, secret: &str) {
        assert!(secret.len() >= 8, "too short to be searched for: {secret}");
        self.0.lock().unwrap().1.insert(secret.to_owned());
    }

    #[track_caller]
    fn shows_no_secret(&self) {
        let (text, secrets) = &*self.0.lock().unwrap();
        assert!(
            text.len() > 2_000 && secrets.len() >= 5,
            "the test has lost its subject"
        );
        for secret in secrets {
            let before = text.split_once(secret.as_str()).map(|(before, _)| before);
            let line = before.and_then(|before| before.lines().last());
            assert!(line.is_none(), "a secret shows after: {line:?}");
        }
    }
}

impl io::Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap()
            .0
            .push_str(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Paper {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Every string in a saved record is a secret, or might be.
struct Watched(MemoryStore, Paper);

#[async_trait]
impl TokenStore for Watched {
    async fn load(&self, key: &str) -> Result<Option<Record>, BoxError> {
        self.0.load(key).await
    }

    async fn compare_and_swap(
        &self,
        key: &str,
        expected: Option<u64>,
        new: &Record,
    ) -> Result<Swap, BoxError> {
        let fields: serde_json::Value = serde_json::from_slice(&new.bytes)?;
        for name in ["refresh_token", "access_token"] {
            if let Some(secret) = fields[name].as_str() {
                self.1.keep_secret(secret);
            }
        }
        self.1.print(new);
        self.0.compare_and_swap(key, expected, new).await
    }
}

fn client(account: &Account) -> ClientWithMiddleware {
    account.client().unwrap()
}

async fn get(account: &Account, sandbox: &Sandbox, paper: &Paper) {
    let url = sandbox
        .url()
        .join("products/v4/search/LM358/productdetails")
        .unwrap();
    match client(account).get(url).send().await {
        Ok(response) => {
            paper.print(&response);
            if let Err(error) = response.error_for_status() {
                paper.print_error(&error);
            }
        }
        Err(error) => {
            paper.print_error(&error);
            paper.print(Error::find(&error).unwrap());
        }
    }
    paper.print(account);
    paper.print(&account.quotas());
}

#[tokio::test]
async fn no_secret_shows_in_any_error_event_log_metric_span_or_debug_output() {
    let paper = Paper::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_writer(paper.clone())
        .finish();
    let _logged = tracing::subscriber::set_default(subscriber);
    let recorder = DebuggingRecorder::new();
    let metrics = recorder.snapshotter();
    let _counted = metrics::set_default_local_recorder(&recorder);
    reqwest_tollgate::metrics::describe();

    let seen = paper.clone();
    let sandbox = Sandbox::builder()
        .client("canary-client", "canary-client-secret")
        .refresh_grant(true)
        .token_lifetime(Duration::from_secs(60))
        .resource(move |request| {
            let bearer = request.headers()["authorization"].to_str().unwrap();
            seen.keep_secret(bearer.strip_prefix("Bearer ").unwrap());
            http::Response::new("ok")
        })
        .start()
        .await
        .unwrap();
    let initial = sandbox.refresh_token();
    for secret in [
        "canary-client-secret",
        "canary-header-value",
        "canary-field-value",
        &initial,
    ] {
        paper.keep_secret(secret);
    }
    let observer = paper.clone();
    let build = |auth: ClientAuth| {
        let observer = observer.clone();
        let account = sandbox
            .account()
            .client_auth(auth)
            .grant(Grant::refresh_token(initial.as_str()))
            .token_store(Watched(MemoryStore::new(), observer.clone()))
            .header("x-api-key", "canary-header-value")
            .token_field("audience", "canary-field-value")
            .observer(move |_: &str, event: &Event| observer.print(event));
        account.build().unwrap()
    };

    let account = build(ClientAuth::Body);
    get(&account, &sandbox, &paper).await;
    for fault in [
        "unauthorized=1",
        "not-subscribed=1",
        "rate-limited=1",
        "token-html=1",
    ] {
        sandbox.inject(fault.parse().unwrap());
        sandbox.revoke_tokens();
        get(&account, &sandbox, &paper).await;
    }
    // A second account presents the same refresh token again: the family is revoked.
    let late = build(ClientAuth::Basic);
    get(&late, &sandbox, &paper).await;
    sandbox.revoke_tokens();
    sandbox.revoke_refresh_tokens();
    get(&account, &sandbox, &paper).await;

    paper.print(&Secret::from("canary-client-secret"));
    paper.print(&Grant::refresh_token(initial.as_str()));
    let config: Config = toml::from_str(
        r#"
        [accounts.one]
        base_url = "http://user:canary-field-value@api.one.example?key=canary-header-value"
        client_secret = "canary-client-secret"
        token_url = "http://login.one.example/?secret=canary-field-value"
        headers = { "x y" = "canary-header-value" }
        "#,
    )
    .unwrap();
    paper.print(&config);
    paper.print_error(&config.build().unwrap_err());
    let counted = metrics.snapshot().into_vec();
    assert!(counted.len() > 8, "the metrics have lost their subject");
    paper.print(&counted);
    for span in ["tollgate.renew", "tollgate_token_failures_total"] {
        assert!(paper.0.lock().unwrap().0.contains(span), "no {span}");
    }
    paper.shows_no_secret();
}
