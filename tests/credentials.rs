//! Credentials without a token endpoint: keys, signatures, and what a vendor's answers mean.

// Tests may panic.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::disallowed_methods)]

mod common;

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use common::{API, Stub, acme, answer, auth_outside, client, millis, seconds};
use http::Extensions;
use http::header::{AUTHORIZATION, HeaderValue};
use httpmock::MockServer;
use reqwest::{Request, Response, ResponseBuilderExt as _};
use reqwest_middleware::{ClientBuilder, Error as StackError, Middleware, Next};
use reqwest_retry::{RetryError, RetryTransientMiddleware, policies::ExponentialBackoff};
use reqwest_tollgate::{
    Account, Attempt, BoxError, Error, ErrorKind, Event, Recovery, Rule, Secret, Signer, Verdict,
    Window, http_client_builder,
};

const CANARY: &str = "canary-4711";

/// Numbers the attempts, in the query and in a header.
#[derive(Default)]
struct Numbering(AtomicU32);

impl Signer for Numbering {
    fn sign(&self, attempt: &mut Attempt<'_>) -> Result<(), BoxError> {
        let length = attempt.body()?.len();
        let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        let mut query = attempt.request.url_mut().query_pairs_mut();
        query.append_pair("signature", &format!("{CANARY}-{number}"));
        drop(query);
        let headers = attempt.request.headers_mut();
        headers.insert("x-attempt", HeaderValue::from(number));
        headers.insert("x-length", HeaderValue::from(length));
        Ok(())
    }
}

struct Broken;

impl Signer for Broken {
    fn sign(&self, _: &mut Attempt<'_>) -> Result<(), BoxError> {
        Err("the key is gone".into())
    }
}

fn attempts(stub: &Stub) -> Vec<String> {
    let seen = stub.seen();
    let attempt = |seen: &common::Seen| seen.headers["x-attempt"].to_str().unwrap().to_owned();
    seen.iter().map(attempt).collect()
}

#[tokio::test(start_paused = true)]
async fn a_query_key_goes_to_the_server_and_shows_nowhere() {
    let stub = Stub::answering([answer(200), answer(403)]);
    let account = acme().query("apiKey", CANARY).build().unwrap();
    let client = client(&account, &stub);
    let url = format!("{API}/find?q=LM358%20N");
    let found = client.get(&url).send().await.unwrap();
    let sent = format!("q=LM358%20N&apiKey={CANARY}");
    assert_eq!(stub.seen()[0].query.as_deref(), Some(&*sent));
    assert_eq!(found.url().as_str(), url);
    assert!(!format!("{found:?}").contains(CANARY));
    let refused = client.get(&url).send().await.unwrap();
    let error = refused.error_for_status().unwrap_err();
    assert!(!format!("{error} {error:?}").contains(CANARY), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_the_caller_brings_stays() {
    let stub = Stub::answering([]);
    let account = acme()
        .query("apiKey", CANARY)
        .bearer(CANARY)
        .build()
        .unwrap();
    let client = client(&account, &stub);
    let request = client
        .get(format!("{API}/?apiKey=mine"))
        .bearer_auth("mine");
    request.send().await.unwrap();
    let seen = &stub.seen()[0];
    assert_eq!(seen.query.as_deref(), Some("apiKey=mine"));
    assert_eq!(seen.headers[AUTHORIZATION], "Bearer mine");
}

#[tokio::test(start_paused = true)]
async fn a_foreign_origin_gets_no_key_and_no_signature() {
    let stub = Stub::answering([]);
    let account = acme()
        .query("apiKey", CANARY)
        .basic("me", CANARY)
        .signer(Numbering::default())
        .build()
        .unwrap();
    let client = client(&account, &stub);
    client
        .get("https://elsewhere.example/a")
        .send()
        .await
        .unwrap();
    let seen = &stub.seen()[0];
    assert_eq!(seen.query, None);
    assert!(seen.headers.get(AUTHORIZATION).is_none() && seen.headers.get("x-attempt").is_none());
}

#[tokio::test(start_paused = true)]
async fn bearer_and_basic_are_spelled_as_their_rfcs_say() {
    let stub = Stub::answering([]);
    let bearer = acme().bearer("abc").build().unwrap();
    client(&bearer, &stub).get(API).send().await.unwrap();
    let basic = acme().basic("Aladdin", "open sesame").build().unwrap();
    client(&basic, &stub).get(API).send().await.unwrap();
    let sent: Vec<_> = stub
        .seen()
        .iter()
        .map(|seen| seen.headers[AUTHORIZATION].clone())
        .collect();
    // RFC 7617 section 2.
    assert_eq!(sent, ["Bearer abc", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]);
    assert!(sent.iter().all(HeaderValue::is_sensitive));
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_signed_anew_in_both_orders_of_the_layers() {
    for order in [client, auth_outside] {
        let late = answer(429).header("retry-after", 2);
        let stub = Stub::answering([late.clone(), late]);
        let account = acme().signer(Numbering::default()).build().unwrap();
        let request = order(&account, &stub)
            .post(format!("{API}/find?q=1"))
            .body("12345");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.url().as_str(), format!("{API}/find?q=1"));
        assert_eq!(attempts(&stub), ["1", "2", "3"]);
        let query = stub.seen()[2].query.clone();
        assert_eq!(query, Some(format!("q=1&signature={CANARY}-3")));
        assert!(
            stub.seen()
                .iter()
                .all(|seen| seen.headers["x-length"] == "5")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_signer_that_fails_is_a_typed_error_and_costs_no_permit() {
    let stub = Stub::answering([]);
    let account = acme()
        .signer(Broken)
        .window(Window::per_minute(1))
        .build()
        .unwrap();
    let error = client(&account, &stub).get(API).send().await.unwrap_err();
    let error = Error::find(&error).unwrap();
    assert_eq!(error.kind(), ErrorKind::Signature);
    assert_eq!(error.recovery(), Recovery::Reconfigure);
    let text = "account acme: the request could not be signed: the key is gone";
    assert_eq!(error.to_string(), text);
    assert_eq!(stub.count(), 0);
    assert_eq!(account.quotas()[0].windows()[0].remaining, 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_bytes_nobody_knows_is_not_signed_blindly() {
    let stub = Stub::answering([]);
    let account = acme().signer(Numbering::default()).build().unwrap();
    let stream = futures_util::stream::iter([Ok::<_, std::io::Error>("x")]);
    let body = reqwest::Body::wrap_stream(stream);
    let error = client(&account, &stub)
        .post(API)
        .body(body)
        .send()
        .await
        .unwrap_err();
    assert_eq!(Error::find(&error).unwrap().kind(), ErrorKind::Signature);
    assert_eq!(stub.count(), 0);
}

const QUOTA: &str =
    r#"{"Errors":[{"Code":"TooManyRequests","Message":"Maximum calls per minute"}]}"#;

fn with_rules() -> reqwest_tollgate::AccountBuilder {
    acme()
        .query("apiKey", CANARY)
        .window(Window::per_minute(30))
        .window(Window::per_utc_day(1_000))
        .rule(Rule::new(403, Verdict::RateExceeded).body("TooManyRequests"))
        .rule(
            Rule::new(403, Verdict::QuotaSpent)
                .body("TooManyRequests")
                .body("per day"),
        )
        .rule(Rule::new(200, Verdict::QuotaSpent).body("part limit"))
        .rule(Rule::new(429, Verdict::Fine).header("x-fine", "yes"))
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_is_called_forbidden_closes_the_gate_for_its_window() {
    let stub = Stub::answering([answer(403).body(QUOTA)]);
    let account = with_rules().build().unwrap();
    let response = client(&account, &stub).get(API).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(stub.arrivals(), [0, 60]);
}

#[tokio::test(start_paused = true)]
async fn a_spent_day_that_is_called_forbidden_fails_at_once_with_its_end() {
    let day = QUOTA.replace("minute", "day");
    let stub = Stub::answering([answer(403).body(&day)]);
    let account = with_rules().build().unwrap();
    let error = client(&account, &stub).get(API).send().await.unwrap_err();
    let error = Error::find(&error).unwrap();
    assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
    let midnight = common::noon() + seconds(12 * 3600);
    let Recovery::WaitUntil(until) = error.recovery() else {
        panic!("{error:?}")
    };
    assert!(
        until >= midnight && until < midnight + seconds(2),
        "{until:?}"
    );
    assert_eq!(error.status().unwrap(), 403);
}

/// It was sent again after a second, and after two more.
#[tokio::test(start_paused = true)]
async fn what_is_called_spent_is_left_alone_for_an_hour_though_no_window_is_known() {
    let stub = Stub::answering([answer(403)]);
    let rule = Rule::new(403, Verdict::QuotaSpent);
    let account = acme().query("apiKey", CANARY).rule(rule).build().unwrap();
    let error = client(&account, &stub).get(API).send().await.unwrap_err();
    let error = Error::find(&error).unwrap();
    assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
    let end = common::noon() + Verdict::LOOK_AGAIN;
    assert_eq!(error.recovery(), Recovery::WaitUntil(end));
    assert_eq!(stub.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_merely_forbidden_is_handed_on_untouched() {
    let stub = Stub::answering([answer(403).body("Access denied")]);
    let account = with_rules().build().unwrap();
    let response = client(&account, &stub).get(API).send().await.unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(response.text().await.unwrap(), "Access denied");
    assert_eq!(stub.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_inside_a_200_is_seen_and_a_long_200_is_handed_on_whole() {
    let long = "part ".repeat(40_000);
    let spent = r#"{"errors":[{"message":"You have exceeded your part limit of 1000."}]}"#;
    let stub = Stub::answering([answer(200).body(&long), answer(200).body(spent)]);
    let account = with_rules().build().unwrap();
    let client = client(&account, &stub);
    let response = client.get(API).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), long);
    let error = client.get(API).send().await.unwrap_err();
    assert_eq!(
        Error::find(&error).unwrap().kind(),
        ErrorKind::QuotaExceeded
    );
}

#[tokio::test(start_paused = true)]
async fn a_429_that_the_vendor_calls_fine_is_no_rejection() {
    let stub = Stub::answering([answer(429).header("x-fine", "yes").header("retry-after", 9)]);
    let account = with_rules().build().unwrap();
    let response = client(&account, &stub).get(API).send().await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(stub.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_is_read_again_where_it_is_kept_but_not_at_every_refusal() {
    for order in [client, auth_outside] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "old").unwrap();
        let stub = Stub::new(|request| match request.url().query() {
            Some("key=new") => answer(200),
            _ => answer(401),
        });
        let window = Window::per_minute(9);
        let key = Secret::file(&file);
        let account = acme().window(window).query("key", key).build().unwrap();
        let client = order(&account, &stub);
        assert_eq!(client.get(API).send().await.unwrap().status(), 401);
        assert_eq!(stub.count(), 1, "an unchanged key is not tried twice");
        std::fs::write(&file, "new").unwrap();
        assert_eq!(
            client.get(API).send().await.unwrap().status(),
            401,
            "just read"
        );
        assert_eq!(stub.count(), 2);
        tokio::time::sleep(seconds(5)).await;
        assert_eq!(client.get(API).send().await.unwrap().status(), 200);
        assert_eq!(stub.count(), 4, "with the old one, and with the new one");
    }
}

#[tokio::test]
async fn a_changed_key_is_used_at_the_first_refusal() {
    for order in [client, auth_outside] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "old").unwrap();
        let stub = Stub::new(|request| match request.headers().get("x-key") {
            Some(key) if key == "new" => answer(200),
            _ => answer(401),
        });
        let window = Window::per_minute(9);
        let key = Secret::file(&file);
        let account = acme().window(window).header("X-Key", key).build().unwrap();
        std::fs::write(&file, "new").unwrap();
        let response = order(&account, &stub).post(API).body("whole").send().await;
        assert_eq!(response.unwrap().status(), 200);
        assert_eq!(stub.count(), 2);
        assert_eq!(stub.seen()[1].body.as_deref(), Some(&b"whole"[..]));
        assert_eq!(
            account.quotas()[0].windows()[0].remaining,
            7,
            "the replay is metered"
        );
    }
}

/// A server that refuses some requests whatever they carry, by their number from 1.
fn refusing(numbers: &'static [u32]) -> std::sync::Arc<Stub> {
    let number = AtomicU32::new(0);
    Stub::new(move |_| {
        let number = number.fetch_add(1, Ordering::Relaxed) + 1;
        answer(if numbers.contains(&number) { 401 } else { 200 })
    })
}

#[tokio::test(start_paused = true)]
async fn a_spurious_401_of_a_key_that_works_is_retried_with_it_and_metered() {
    let stub = refusing(&[2, 4, 6]);
    let window = Window::per_minute(9);
    let account = acme().window(window).query("key", CANARY).build().unwrap();
    let client = client(&account, &stub);
    tokio::time::sleep(seconds(1)).await;
    for _ in 0..4 {
        let request = client.post(API).body("whole");
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    assert_eq!(stub.count(), 7);
    assert_eq!(account.quotas()[0].windows()[0].remaining, 2);
    let seen = stub.seen();
    let whole = |seen: &common::Seen| seen.body.as_deref() == Some(&b"whole"[..]);
    assert!(seen.iter().all(whole));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_no_request_has_worked_with_or_that_is_refused_again_gets_its_401() {
    let account = || acme().query("key", CANARY).build().unwrap();
    let get = async |account: &Account, stub: &std::sync::Arc<Stub>| {
        tokio::time::sleep(seconds(1)).await;
        let response = client(account, stub).get(API).send().await.unwrap();
        response.status().as_u16()
    };
    let (unproved, stub) = (account(), refusing(&[1]));
    assert_eq!((get(&unproved, &stub).await, stub.count()), (401, 1));
    let (proved, stub) = (account(), refusing(&[2, 3, 4]));
    assert_eq!((get(&proved, &stub).await, stub.count()), (200, 1));
    assert_eq!((get(&proved, &stub).await, stub.count()), (401, 3));
    assert_eq!(
        (get(&proved, &stub).await, stub.count()),
        (401, 4),
        "nothing worked since"
    );
    assert_eq!((get(&proved, &stub).await, stub.count()), (200, 5));
}

#[tokio::test(start_paused = true)]
async fn a_401_to_the_callers_own_credential_is_returned_at_once() {
    let stub = refusing(&[2]);
    let account = acme().bearer(CANARY).build().unwrap();
    let client = client(&account, &stub);
    tokio::time::sleep(seconds(1)).await;
    assert_eq!(client.get(API).send().await.unwrap().status(), 200);
    let own = client.get(API).bearer_auth("mine");
    assert_eq!(own.send().await.unwrap().status(), 401);
    assert_eq!(stub.count(), 2);
}

#[tokio::test]
async fn an_error_of_the_connection_does_not_show_the_key() {
    // A port that nobody listens on: it was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("http://127.0.0.1:{port}/find?q=1");
    let account = Account::builder("acme", &url)
        .query("apiKey", CANARY)
        .build()
        .unwrap();
    let client = account.client().unwrap();
    let error = client.get(&url).send().await.unwrap_err();
    let text = texts(&error);
    assert!(text.contains("q=1") && !text.contains(CANARY), "{text}");
    assert!(matches!(error, StackError::Reqwest(error) if error.is_connect()));
}

/// All that an error and its sources show.
fn texts(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let text = |error| format!("{error}\n{error:?}\n{error:#?}\n");
    chain.map(text).collect()
}

/// Wraps the error of the layers beneath it.
struct Wrapping(fn(StackError) -> StackError);

#[async_trait]
impl Middleware for Wrapping {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        next.run(request, extensions).await.map_err(self.0)
    }
}

/// An error of somebody else's making.
#[derive(Debug)]
struct Foreign(StackError);

impl std::fmt::Display for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it failed: {}", self.0)
    }
}

impl std::error::Error for Foreign {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// An error whose source alone shows what is in it.
struct Hidden(Foreign);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden")
    }
}

impl std::fmt::Display for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it failed")
    }
}

impl std::error::Error for Hidden {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

const WRAPPED: [fn(StackError) -> StackError; 8] = [
    |error| error,
    |error| StackError::Middleware(anyhow::Error::new(error).context("in a context")),
    |error| StackError::Middleware(anyhow::Error::new(error).context("one").context("two")),
    |error| StackError::Middleware(anyhow::anyhow!("as a text: {error:?}")),
    |error| StackError::middleware(std::io::Error::other(error)),
    |error| StackError::middleware(Foreign(error)),
    |error| StackError::middleware(Foreign(StackError::middleware(Foreign(error)))),
    |error| StackError::middleware(Hidden(Foreign(error))),
];

/// Puts the key into the path too.
struct InPath;

impl Signer for InPath {
    fn sign(&self, attempt: &mut Attempt<'_>) -> Result<(), BoxError> {
        let path = format!("{}/{PATH_CANARY}", attempt.request.url().path());
        attempt.request.url_mut().set_path(&path);
        Ok(())
    }
}

const PATH_CANARY: &str = "canary-0815";

/// What ends in an error with a URL: nothing listens there, a redirect that leads nowhere, and one
/// in a circle; each with the key in it.
async fn failing() -> (MockServer, [String; 3]) {
    let server = MockServer::start_async().await;
    let keys = format!("apiKey={CANARY}&next=%2F{PATH_CANARY}");
    for (path, location) in [
        (
            "/nowhere",
            format!("ftp://{CANARY}.example/{PATH_CANARY}?{keys}"),
        ),
        ("/circle", format!("/circle/{PATH_CANARY}?{keys}")),
    ] {
        let path = format!("^{path}.*");
        server
            .mock_async(move |when, then| {
                when.path_matches(path);
                then.status(307).header("location", location);
            })
            .await;
    }
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port();
    let urls = [
        format!("http://127.0.0.1:{port}/find?q=1"),
        server.url("/nowhere?q=1"),
        server.url("/circle?q=1"),
    ];
    (server, urls)
}

#[tokio::test]
async fn an_error_beneath_any_wrapping_layer_shows_no_key() {
    let pools = [
        reqwest::Client::new(),
        http_client_builder().build().unwrap(),
    ];
    let (_server, urls) = failing().await;
    let mut seen = 0;
    for (url, pool) in urls
        .iter()
        .flat_map(|url| pools.iter().map(move |pool| (url, pool)))
    {
        let account = Account::builder("acme", url).query("apiKey", CANARY);
        let account = account.signer(InPath).build().unwrap();
        for wrapping in WRAPPED {
            let wrap = || Wrapping(wrapping);
            let retry = || {
                let policy = ExponentialBackoff::builder()
                    .retry_bounds(millis(1), millis(2))
                    .build_with_max_retries(1);
                RetryTransientMiddleware::new_with_policy(policy)
            };
            let bare = || account.attach(ClientBuilder::new(pool.clone()));
            let outside =
                account.attach(ClientBuilder::new(pool.clone()).with(retry()).with(wrap()));
            let between = ClientBuilder::new(pool.clone()).with(account.rate_limit());
            let between = between.with(wrap()).with(account.auth()).with(retry());
            for builder in [
                bare().with(wrap()),
                bare().with(wrap()).with(retry()),
                bare().with(retry()).with(wrap()),
                bare().with(wrap()).with(wrap()),
                outside,
                between,
            ] {
                match builder.build().get(url).send().await {
                    Ok(response) => {
                        let text = format!("{response:?}");
                        assert!(!text.contains("canary-"), "{text}");
                    }
                    Err(error) => {
                        let text = texts(&error);
                        assert!(!text.contains("canary-"), "{text}");
                        seen += 1;
                    }
                }
            }
        }
    }
    assert!(seen > 150, "the test has lost its subject: {seen}");
}

#[tokio::test]
async fn a_wrapped_error_keeps_its_type_where_its_url_can_be_reached() {
    let (_server, urls) = failing().await;
    let account = Account::builder("acme", &urls[0]).query("apiKey", CANARY);
    let account = account.build().unwrap();
    let send = |layer: Box<dyn Fn(ClientBuilder) -> ClientBuilder>| {
        let pool = http_client_builder().build().unwrap();
        let client = layer(account.attach(ClientBuilder::new(pool))).build();
        let url = urls[0].clone();
        async move {
            match client.get(url).send().await.unwrap_err() {
                StackError::Middleware(error) => error,
                other => panic!("{other:?}"),
            }
        }
    };
    let policy = || {
        ExponentialBackoff::builder()
            .retry_bounds(millis(1), millis(2))
            .build_with_max_retries(1)
    };
    let retried = send(Box::new(move |builder| {
        builder.with(RetryTransientMiddleware::new_with_policy(policy()))
    }));
    let retried = retried.await;
    let Some(RetryError::WithRetries { err, retries: 1 }) = retried.downcast_ref() else {
        panic!("{retried:?}")
    };
    assert!(
        matches!(err, StackError::Reqwest(error) if error.is_connect()),
        "{err:?}"
    );
    let wrapped = send(Box::new(|builder| builder.with(Wrapping(WRAPPED[2])))).await;
    let inner = wrapped.downcast_ref::<StackError>().unwrap();
    assert_eq!(inner.url().unwrap().query(), Some("q=1"));
}

/// Fails with the whole URL in the text, after a rejection.
#[derive(Default)]
struct Telling(AtomicU32);

#[async_trait]
impl Middleware for Telling {
    async fn handle(
        &self,
        request: Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        if self.0.fetch_add(1, Ordering::Relaxed) == 0 {
            let late = http::Response::builder()
                .status(429)
                .header("retry-after", 1);
            let late = late.url(request.url().clone()).body("").unwrap();
            return Ok(late.into());
        }
        Err(StackError::Middleware(anyhow::anyhow!(
            "at {}",
            request.url()
        )))
    }
}

/// The limiter beneath has it signed anew, with other values than the auth layer has seen.
#[tokio::test(start_paused = true)]
async fn the_signature_of_a_later_attempt_shows_in_no_wrapped_error() {
    let account = acme().signer(Numbering::default()).build().unwrap();
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(account.auth())
        .with(account.rate_limit())
        .with(Telling::default())
        .build();
    let error = client
        .get(format!("{API}/find?q=1"))
        .send()
        .await
        .unwrap_err();
    let text = texts(&error);
    assert!(text.contains("/find?q=1&signature=[redacted]"), "{text}");
    assert!(!text.contains("canary-"), "{text}");
}

#[tokio::test]
async fn an_error_of_a_body_that_is_read_later_shows_no_key() {
    let server = MockServer::start_async().await;
    server
        .mock_async(|when, then| {
            when.any_request();
            then.status(200).header("x-asked", CANARY).body("not JSON");
        })
        .await;
    let account = Account::builder("acme", server.base_url()).query("apiKey", CANARY);
    let account = account.signer(InPath).build().unwrap();
    let client = account.client().unwrap();
    let answer = client.get(server.url("/x?q=1")).send().await.unwrap();
    assert!(!format!("{answer:?}").contains("canary-"), "{answer:?}");
    let error = answer.json::<Vec<u8>>().await.unwrap_err();
    let text = texts(&error);
    assert!(
        text.contains("/x?q=1") && !text.contains("canary-"),
        "{text}"
    );
}

/// Set in the process that has the environment.
const MARKER: &str = "TOLLGATE_CREDENTIALS_TEST";

/// The environment is that of a process of its own: this very test, started once more.
#[test]
fn a_variable_is_cut_at_its_ends_and_refused_by_name_where_it_is_blank_or_broken() {
    if std::env::var_os(MARKER).is_some() {
        return read_variables();
    }
    let test = "a_variable_is_cut_at_its_ends_and_refused_by_name_where_it_is_blank_or_broken";
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", test]).env(MARKER, "1");
    again.env("TOLLGATE_ENDS", "\u{feff} canary\u{a0}\r\n");
    again.env("TOLLGATE_BLANK", " \n");
    again.env("TOLLGATE_BROKEN", "can\nary");
    let output = again.output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && shown.contains("1 passed"),
        "{shown}"
    );
}

fn read_variables() {
    let with = |variable: &str| {
        let account = Account::builder("acme", "https://api.acme.example")
            .token_url("token")
            .client_id("id")
            .client_secret(Secret::env(variable));
        account.build().map_err(|error| error.to_string())
    };
    // A header could not have the line break at its end, nor the mark at its head.
    let account = Account::builder("acme", "https://api.acme.example");
    account
        .bearer(Secret::env("TOLLGATE_ENDS"))
        .build()
        .unwrap();
    with("TOLLGATE_ENDS").unwrap();
    assert_eq!(
        with("TOLLGATE_BLANK").unwrap_err(),
        "account acme: client_secret: environment variable TOLLGATE_BLANK is empty"
    );
    assert_eq!(
        with("TOLLGATE_BROKEN").unwrap_err(),
        "account acme: client_secret: environment variable TOLLGATE_BROKEN has a line break \
         within; expected one line, or a PEM key"
    );
}

/// Signs once; from then on it panics.
struct Once(AtomicU32);

impl Signer for Once {
    fn sign(&self, _: &mut Attempt<'_>) -> Result<(), BoxError> {
        let earlier = self.0.fetch_add(1, Ordering::Relaxed);
        assert_eq!(earlier, 0, "as it was told");
        Ok(())
    }
}

#[test]
fn a_signer_that_panics_at_a_replay_gives_the_permit_of_it_back() {
    common::under_paused_time(async {
        let account = acme().signer(Once(AtomicU32::new(0)));
        let account = account.window(Window::per_minute(10)).build().unwrap();
        let stub = Stub::answering([answer(429).header("retry-after", 1)]);
        let request = auth_outside(&account, &stub).get(API);
        let sent = tokio::spawn(async move { request.send().await.map(drop) }).await;
        assert!(sent.unwrap_err().is_panic());
        assert_eq!(stub.count(), 1);
        // The one that was rejected counts, and the one that was not sent does not.
        assert_eq!(account.quotas()[0].windows()[0].remaining, 9);
    });
}

#[test]
fn the_id_of_an_exchange_is_cut_at_128_characters_in_every_event_and_error() {
    let ids = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = ids.clone();
    let observer = move |_: &str, event: &Event| match event {
        Event::Answered { request_id, .. }
        | Event::QuotaRejected { request_id, .. }
        | Event::TokenRejected { request_id, .. } => seen.lock().unwrap().push(request_id.clone()),
        _ => {}
    };
    let error = common::under_paused_time(async {
        let account = acme().bearer("t").request_id_header("X-Id");
        let account = account.window(Window::per_utc_day(10)).observer(observer);
        let account = account.build().unwrap();
        let long = "x".repeat(4000);
        let stub = Stub::answering([answer(429).header("retry-after", 9999).header("X-Id", long)]);
        let sent = client(&account, &stub).get(API).send().await;
        Error::find(&sent.unwrap_err()).unwrap().clone()
    });
    let expected = "x".repeat(128);
    assert_eq!(error.request_id(), Some(&*expected));
    assert_eq!(
        *ids.lock().unwrap(),
        [Some(expected.clone()), Some(expected)]
    );
}
