//! What the spans of an account show, and beneath which others.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, Once};

use async_trait::async_trait;
use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, Middleware, Next};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Instrument, Subscriber, info_span};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};
use url::Url;

use crate::auth::cache::Cache;
use crate::auth::cache::state::Need;
use crate::auth::testing::*;
use crate::auth::{Grant, OAuthSettings};
use crate::clock::PausedClock;
use crate::stores::MemoryStore;
use crate::{Account, Priority, RequestOptions, Window};

/// All spans of a test, in the order of their beginning.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Seen>>>);

#[derive(Clone, Debug, Default)]
struct Seen {
    id: u64,
    name: &'static str,
    parent: Option<&'static str>,
    follows: Option<&'static str>,
    fields: BTreeMap<&'static str, String>,
    closed: bool,
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

impl Spans {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let subscriber = Registry::default().with(self.clone());
        // A span that another test, without a subscriber, is the first to reach would be switched
        // off for all (`tracing` keeps that with the call site) unless there always is somebody.
        static SOMEBODY: Once = Once::new();
        SOMEBODY.call_once(|| {
            let somebody = tracing::subscriber::set_global_default(tracing_subscriber::registry());
            somebody.expect("no other");
        });
        tracing::subscriber::set_default(subscriber)
    }

    fn named(&self, name: &str) -> Vec<Seen> {
        let spans = self.0.lock().expect("no panic");
        spans
            .iter()
            .filter(|span| span.name == name)
            .cloned()
            .collect()
    }

    #[track_caller]
    fn one(&self, name: &str) -> Seen {
        let mut spans = self.named(name);
        assert_eq!(spans.len(), 1, "{spans:?}");
        spans.remove(0)
    }

    fn change(&self, id: &Id, change: impl FnOnce(&mut Seen)) {
        let mut spans = self.0.lock().expect("no panic");
        let span = spans.iter_mut().rev().find(|span| span.id == id.into_u64());
        change(span.expect("a span"));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).expect("a span");
        let mut seen = Seen {
            id: id.into_u64(),
            name: span.name(),
            parent: span.parent().map(|parent| parent.name()),
            ..Seen::default()
        };
        attributes.record(&mut seen);
        self.0.lock().expect("no panic").push(seen);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        self.change(id, |seen| values.record(seen));
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        let name = context.span(follows).map(|span| span.name());
        self.change(id, |seen| seen.follows = name);
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.change(&id, |seen| seen.closed = true);
    }
}

fn fields(span: &Seen) -> Vec<(&str, &str)> {
    let fields = span.fields.iter();
    fields
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}

fn cache(script: &Script, oauth: OAuthSettings) -> Cache {
    let settings = settings(None, &Log::default());
    Cache::new(&settings, Arc::new(oauth), Box::new(script.clone()))
}

#[tokio::test(start_paused = true)]
async fn a_renewal_is_a_span_of_its_own_that_follows_from_the_request_that_began_it() {
    let spans = Spans::default();
    let _listening = spans.listen();
    let script = Script::of([issue("s3cr3t-token"), refuse(503, "x")]);
    let cache = cache(&script, oauth(Grant::client_credentials()));
    let asked = cache.token(Need::Usable, PATIENT);
    asked
        .instrument(info_span!("request"))
        .await
        .expect("a token");
    let renewal = spans.one("tollgate.renew");
    assert_eq!((renewal.parent, renewal.follows), (None, Some("request")));
    assert!(renewal.closed);
    let told = [
        ("account", "test"),
        ("generation", "1"),
        ("outcome", "renewed"),
        ("reason", "cold"),
    ];
    assert_eq!(fields(&renewal), told);

    // A fresh token makes no span, a failure tells its kind.
    cache.ready(clock().now()).expect("a token");
    assert_eq!(spans.named("tollgate.renew").len(), 1);
    clock().sleep(3_600 * SECOND).await;
    cache
        .token(Need::Usable, IMPATIENT)
        .await
        .expect_err("down");
    let failed = &spans.named("tollgate.renew")[1];
    assert_eq!(failed.fields["reason"], "expired");
    assert_eq!(failed.fields["outcome"], "token_endpoint");
    assert!(!format!("{:?}", spans.0.lock()).contains("s3cr3t"));
}

#[test]
fn a_renewal_whose_runtime_ends_is_told_to_be_broken_off() {
    let spans = Spans::default();
    let _listening = spans.listen();
    let cache = cache(&Script::default(), oauth(Grant::client_credentials()));
    let runtime = paused_runtime();
    runtime.block_on(async {
        cache.shared.start(Need::Usable).expect("a flight");
        tokio::task::yield_now().await;
    });
    drop(runtime);
    let renewal = spans.one("tollgate.renew");
    assert_eq!(renewal.fields["outcome"], "broken_off");
    assert!(renewal.closed);
}

#[tokio::test(start_paused = true)]
async fn the_exchange_of_a_login_is_a_span_within_that_of_its_caller() {
    let spans = Spans::default();
    let _listening = spans.listen();
    let callback = "http://127.0.0.1:8139/callback";
    let mut oauth = with_store(Grant::authorization_code(callback), MemoryStore::new());
    oauth.authorization_url = Url::parse("https://login.example/authorize").ok();
    let script = Script::of([refuse(400, "invalid_grant"), rotate("a", "r1")]);
    let cache = cache(&script, oauth);
    for outcome in ["login_required", "logged_in"] {
        let request = cache.authorization_request().expect("a request");
        let answer = format!("{callback}?code=c0de-4711&state={}", request.state());
        let exchange = request.exchange(&answer);
        let exchanged = exchange.instrument(info_span!("page")).await;
        assert_eq!(exchanged.is_ok(), outcome == "logged_in");
        let logins = spans.named("tollgate.login");
        let login = logins.last().expect("a login");
        assert_eq!(fields(login), [("account", "test"), ("outcome", outcome)]);
        assert_eq!(login.parent, Some("page"));
        assert!(login.closed);
    }
    assert!(!format!("{:?}", spans.0.lock()).contains("c0de"));
}

/// An API that always says yes.
struct Yes;

#[async_trait]
impl Middleware for Yes {
    async fn handle(
        &self,
        _: Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        Ok(http::Response::new("yes").into())
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_permit_is_a_span_within_that_of_the_request() {
    let spans = Spans::default();
    let _listening = spans.listen();
    let account = Account::builder("acme", "https://api.acme.example")
        .window(Window::new(1, 10 * SECOND))
        .clock(PausedClock::starting_at(clock().now().wall))
        .build()
        .expect("an account");
    let client = account.attach(ClientBuilder::new(reqwest::Client::new()));
    let client = client.with(Yes).build();
    let get = || {
        let request = client.get("https://api.acme.example/?key=s3cr3t");
        let options = RequestOptions::new().priority(Priority::High);
        request.with_extension(options).send()
    };
    get().await.expect("a free permit");
    assert!(spans.named("tollgate.wait").is_empty(), "nobody waited");
    get()
        .instrument(info_span!("request"))
        .await
        .expect("in turn");
    let wait = spans.one("tollgate.wait");
    assert_eq!(wait.parent, Some("request"));
    let waited: f64 = wait.fields["waited"].parse().expect("seconds");
    assert!((10.0..10.1).contains(&waited), "{waited}");
    let told = [
        ("account", "acme"),
        ("outcome", "granted"),
        ("priority", "High"),
    ];
    let told = told
        .into_iter()
        .all(|(name, value)| wait.fields[name] == value);
    assert!(told && wait.fields["quota"] == "default", "{wait:?}");
    assert!(!format!("{:?}", spans.0.lock()).contains("s3cr3t"));
}
