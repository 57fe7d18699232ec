//! The layer as a whole, over an API by script and without a socket.

#[cfg(test)]
pub(super) mod events;
#[cfg(test)]
pub(super) mod foreign_responses;
#[cfg(test)]
pub(super) mod lifetimes;
#[cfg(test)]
#[cfg(feature = "tracing")]
pub(super) mod spans;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest::{Body, Request, Response, ResponseBuilderExt};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};

use super::cache::state::Need;
use super::credentials::Credentials;
use super::credentials::keys::{HeaderPlace, KeyPlaces, Keys};
use super::testing::*;
use super::{AuthMiddleware, AuthSettings, Authenticator, Grant, RejectionTable};
use crate::clock::{BoxFuture, Moment};
use crate::error::{Error, ErrorKind, Recovery};
use crate::layers::{AccountId, Chain, Handle, Layer, Outcome, Passage, Spare};
use crate::options::RequestOptions;

/// The API: knows which tokens it refuses, remembers what it saw.
#[derive(Clone, Default)]
struct Api(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    refused: Vec<String>,
    refusal: Option<(u16, HeaderMap, String)>,
    refused_path: Option<String>,
    /// Whether the request of this number, from 1, is refused whatever it carries.
    spurious: Option<Box<dyn FnMut(usize) -> bool + Send>>,
    redirect: Option<String>,
    requests: Vec<(String, HeaderMap, Option<Vec<u8>>)>,
}

impl Api {
    fn refusing(tokens: &[&str]) -> Self {
        let api = Self::default();
        api.seen().refused = tokens
            .iter()
            .map(|token| format!("Bearer {token}"))
            .collect();
        api
    }

    fn refusing_with(tokens: &[&str], status: u16, challenge: &str, body: &str) -> Self {
        let api = Self::refusing(tokens);
        let mut headers = HeaderMap::new();
        headers.insert("x-request", HeaderValue::from_static("id-7"));
        if !challenge.is_empty() {
            headers.insert(
                WWW_AUTHENTICATE,
                HeaderValue::from_str(challenge).expect("a value"),
            );
        }
        api.seen().refusal = Some((status, headers, body.to_owned()));
        api
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().expect("no panic")
    }

    fn authorizations(&self) -> Vec<String> {
        let text = |headers: &HeaderMap| match headers.get(AUTHORIZATION) {
            Some(value) => value.to_str().expect("text").to_owned(),
            None => "none".to_owned(),
        };
        let seen = self.seen();
        seen.requests
            .iter()
            .map(|(_, headers, _)| text(headers))
            .collect()
    }
}

#[async_trait]
impl Middleware for Api {
    async fn handle(
        &self,
        request: Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let authorization = request.headers().get(AUTHORIZATION).cloned();
        let (url, path) = (request.url().clone(), request.url().path().to_owned());
        let body = request.body().and_then(Body::as_bytes).map(<[u8]>::to_vec);
        let answer = {
            let mut seen = self.seen();
            seen.requests
                .push((url.to_string(), request.headers().clone(), body));
            let number = seen.requests.len();
            let spurious = seen
                .spurious
                .as_mut()
                .is_some_and(|refused| refused(number));
            let bad = |value: HeaderValue| seen.refused.iter().any(|token| value == token.as_str());
            let refused = spurious
                || authorization.is_some_and(bad)
                || seen
                    .refused_path
                    .as_ref()
                    .is_some_and(|refused| *refused == path);
            let refusal = (401, HeaderMap::new(), String::new());
            let answer = refused.then(|| seen.refusal.clone().unwrap_or(refusal));
            let url = seen
                .redirect
                .as_ref()
                .map_or(url, |to| to.parse().expect("a URL"));
            (answer, url)
        };
        // All requests of a burst are there before the first is answered.
        clock().sleep(SECOND / 10).await;
        let (answer, url) = answer;
        let (status, headers, body) =
            answer.unwrap_or_else(|| (200, HeaderMap::new(), "fine".to_owned()));
        let mut response = http::Response::builder().status(status).url(url).body(body);
        if let Ok(response) = &mut response {
            response.headers_mut().extend(headers);
        }
        Ok(response.expect("a response").into())
    }
}

fn with_header(name: HeaderName, value: &'static str) -> Credentials {
    let keys = Keys {
        headers: vec![(name, HeaderValue::from_static(value))],
        ..Keys::default()
    };
    Credentials::new(keys, KeyPlaces::default(), None)
}

fn digikey(log: &Log) -> AuthSettings {
    let mut settings = settings(Some(oauth(Grant::client_credentials())), log);
    let name = HeaderName::from_static("x-digikey-client-id");
    settings.credentials = with_header(name, "my id");
    settings.request_id_headers = vec![HeaderName::from_static("x-request")];
    settings.rejection = RejectionTable {
        not_the_token: vec!["invalidclientid".into()],
        ..RejectionTable::default()
    };
    settings
}

fn layer(settings: AuthSettings, script: &Script) -> AuthMiddleware {
    let authenticator = Authenticator::with_endpoint(settings, Box::new(script.clone()));
    AuthMiddleware::new(Arc::new(authenticator), RequestOptions::default())
}

fn client(layer: AuthMiddleware, api: &Api) -> ClientWithMiddleware {
    let bare = ClientBuilder::new(reqwest::Client::new());
    bare.with(layer).with(api.clone()).build()
}

fn simple(script: &Script, api: &Api, log: &Log) -> ClientWithMiddleware {
    client(layer(digikey(log), script), api)
}

fn url(path: &str) -> String {
    format!("{API}{path}")
}

async fn status(client: &ClientWithMiddleware, path: &str) -> u16 {
    let response = client.get(url(path)).send().await.expect("a response");
    response.status().as_u16()
}

fn ours(error: &reqwest_middleware::Error) -> &Error {
    Error::find(error).expect("an error of ours")
}

#[tokio::test(start_paused = true)]
async fn a_request_gets_a_token_and_the_extra_headers() {
    let (script, api, log) = (Script::default(), Api::default(), Log::default());
    let client = simple(&script, &api, &log);
    assert_eq!(status(&client, "/x").await, 200);
    assert_eq!(status(&client, "/y").await, 200);
    assert_eq!(script.requests(), 1);
    assert_eq!(api.authorizations(), ["Bearer t1", "Bearer t1"]);
    let seen = api.seen();
    let headers = &seen.requests[0].1;
    assert_eq!(headers["x-digikey-client-id"], "my id");
    assert!(headers[AUTHORIZATION].is_sensitive());
}

#[tokio::test(start_paused = true)]
async fn credentials_go_to_our_origins_alone() {
    let (script, api, log) = (Script::default(), Api::default(), Log::default());
    let client = simple(&script, &api, &log);
    for foreign in ["https://elsewhere.example/x", "https://api.example:444/x"] {
        client.get(foreign).send().await.expect("a response");
    }
    assert_eq!(api.authorizations(), ["none", "none"]);
    assert!(!api.seen().requests[0].1.contains_key("x-digikey-client-id"));
    assert_eq!(script.requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn our_host_over_plain_http_is_an_error_and_nothing_leaves() {
    let (script, api, log) = (Script::default(), Api::default(), Log::default());
    let client = simple(&script, &api, &log);
    let error = client
        .get("http://api.example/x")
        .send()
        .await
        .expect_err("refused");
    assert_eq!(ours(&error).kind(), ErrorKind::Insecure);
    assert!(api.authorizations().is_empty());
    assert_eq!(log.count("Refused"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_callers_own_authorization_is_never_touched() {
    let (script, api, log) = (Script::default(), Api::refusing(&["own"]), Log::default());
    let client = simple(&script, &api, &log);
    let request = client
        .get(url("/x"))
        .bearer_auth("own")
        .header("x-digikey-client-id", "mine");
    assert_eq!(request.send().await.expect("a response").status(), 401);
    assert_eq!(api.authorizations(), ["Bearer own"]);
    assert_eq!(api.seen().requests[0].1["x-digikey-client-id"], "mine");
    assert_eq!(script.requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn static_headers_are_put_on_and_a_401_is_returned_as_it_is() {
    let (api, log) = (Api::refusing(&["static"]), Log::default());
    let mut settings = settings(None, &log);
    settings.credentials = with_header(AUTHORIZATION, "Bearer static");
    let client = client(layer(settings, &Script::default()), &api);
    assert_eq!(status(&client, "/x").await, 401);
    assert_eq!(api.authorizations(), ["Bearer static"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_renewed_and_the_request_replayed_with_its_body() {
    let (script, api, log) = (Script::default(), Api::refusing(&["t1"]), Log::default());
    let client = simple(&script, &api, &log);
    let request = client.post(url("/x")).body("the body");
    assert_eq!(request.send().await.expect("a response").status(), 200);
    assert_eq!(api.authorizations(), ["Bearer t1", "Bearer t2"]);
    let seen = api.seen();
    assert_eq!(seen.requests[1].2.as_deref(), Some(&b"the body"[..]));
    assert_eq!(seen.requests[1].1["x-digikey-client-id"], "my id");
    assert_eq!(log.count("Replayed"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_401s_for_one_token_cause_one_refresh_and_one_replay_each() {
    let (script, api, log) = (Script::default(), Api::refusing(&["t1"]), Log::default());
    let client = simple(&script, &api, &log);
    let send = |number: usize| {
        let client = client.clone();
        tokio::spawn(async move { status(&client, &format!("/{number}")).await })
    };
    let tasks: Vec<_> = (0..1_000).map(send).collect();
    for task in tasks {
        assert_eq!(task.await.expect("no panic"), 200);
    }
    assert_eq!(script.requests(), 2);
    let mut counts = HashMap::new();
    for (url, _, _) in &api.seen().requests {
        *counts.entry(url.clone()).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 1_000);
    assert!(counts.values().all(|&count| count == 2));
}

#[tokio::test(start_paused = true)]
async fn a_request_is_replayed_at_most_once() {
    let (script, api) = (Script::default(), Api::refusing(&["t1", "t2", "t3", "t4"]));
    let client = simple(&script, &api, &Log::default());
    assert_eq!(status(&client, "/x").await, 401);
    assert_eq!(api.authorizations(), ["Bearer t1", "Bearer t2"]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_not_replayed_but_the_token_is_renewed_for_the_next_request() {
    let (script, api) = (Script::default(), Api::refusing(&["t1"]));
    let client = simple(&script, &api, &Log::default());
    let stream = futures_util::stream::iter([Ok::<_, std::io::Error>("chunk")]);
    let request = client.post(url("/x")).body(Body::wrap_stream(stream));
    assert_eq!(request.send().await.expect("a response").status(), 401);
    assert_eq!(status(&client, "/y").await, 200);
    assert_eq!(api.authorizations(), ["Bearer t1", "Bearer t2"]);
}

#[tokio::test(start_paused = true)]
async fn with_replays_off_the_401_is_returned_and_the_token_renewed() {
    let (script, api, log) = (Script::default(), Api::refusing(&["t1"]), Log::default());
    let mut settings = digikey(&log);
    settings.replay_unauthorized = false;
    let client = client(layer(settings, &script), &api);
    assert_eq!(status(&client, "/x").await, 401);
    assert_eq!(status(&client, "/x").await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_401_that_is_not_the_tokens_fault_is_returned_whole_and_nothing_renewed() {
    let scope = r#"Bearer error="insufficient_scope""#;
    let body = r#"{"ErrorMessage":"Invalid clientId"}"#;
    for (challenge, body) in [("", body), (scope, "scope")] {
        let api = Api::refusing_with(&["t1"], 401, challenge, body);
        let (script, log) = (Script::default(), Log::default());
        let client = simple(&script, &api, &log);
        let response = client.get(url("/x?y")).send().await.expect("a response");
        assert_eq!(response.status(), 401);
        assert_eq!(response.url().as_str(), url("/x?y"));
        assert_eq!(response.text().await.expect("a body"), body);
        assert_eq!((script.requests(), log.count("Replayed")), (1, 0));
        assert!(log.lines().iter().any(|line| line.contains("NotTheToken")));
    }
}

#[tokio::test(start_paused = true)]
async fn which_statuses_mean_a_refused_token_is_configured() {
    let log = Log::default();
    for (statuses, expected) in [(vec![401], 403), (vec![401, 403], 200)] {
        let api = Api::refusing_with(&["t1"], 403, "", "");
        let mut settings = digikey(&log);
        let statuses = statuses.into_iter().map(StatusCode::from_u16);
        settings.rejection.statuses = statuses.collect::<Result<_, _>>().expect("statuses");
        let client = client(layer(settings, &Script::default()), &api);
        assert_eq!(status(&client, "/x").await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_401_from_where_a_redirect_led_does_not_count() {
    let api = Api::refusing(&["t1"]);
    api.seen().redirect = Some("https://elsewhere.example/".into());
    let script = Script::default();
    let client = simple(&script, &api, &Log::default());
    assert_eq!(status(&client, "/x").await, 401);
    assert_eq!((script.requests(), api.authorizations().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_failed_refresh_is_an_error_with_the_401s_status_and_request_id() {
    let script = Script::of([issue("t1"), refuse(401, "invalid_client")]);
    let api = Api::refusing_with(&["t1"], 401, "", "");
    let client = simple(&script, &api, &Log::default());
    let error = client.get(url("/x")).send().await.expect_err("no token");
    let error = ours(&error);
    assert_eq!(error.kind(), ErrorKind::ClientRejected);
    assert_eq!(error.recovery(), Recovery::Reconfigure);
    assert_eq!(error.status(), Some(StatusCode::UNAUTHORIZED));
    assert_eq!(error.request_id(), Some("id-7"));
    assert_eq!(error.account(), Some("test"));
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_refused_tokens_ends_with_the_apis_own_401() {
    let tokens: Vec<String> = (0..50).map(|number| format!("t{number}")).collect();
    let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let (script, api, log) = (Script::default(), Api::refusing(&tokens), Log::default());
    let client = simple(&script, &api, &log);
    for _ in 0..20 {
        assert_eq!(status(&client, "/x").await, 401);
    }
    assert_eq!(script.requests(), 3, "one, and two forced");
    let rejected = |verdict: &str| {
        let lines = log.lines();
        let lines = lines
            .iter()
            .filter(|line| line.starts_with("TokenRejected"));
        lines.filter(|line| line.contains(verdict)).count()
    };
    // Two requests were replayed, with a token that was refused too; the others were not.
    assert_eq!((rejected("Renew"), rejected("NotTheToken")), (2, 2));
    assert_eq!(rejected("Storm"), 18, "once for each");
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_refuses_every_token_does_not_cost_one_per_request() {
    let (script, api) = (Script::default(), Api::default());
    api.seen().refused_path = Some("/secret".into());
    let log = Log::default();
    let client = simple(&script, &api, &log);
    assert_eq!(status(&client, "/secret").await, 401);
    for _ in 0..10 {
        clock().sleep(SECOND / 100).await;
        assert_eq!(status(&client, "/fine").await, 200);
        assert_eq!(status(&client, "/secret").await, 401);
    }
    assert_eq!(
        script.requests(),
        2,
        "the first refusal refreshes, the evidence stops the rest"
    );
}

/// A client whose token works, as one request has found out; the next requests of these numbers,
/// from 2, are refused whatever they carry.
async fn proved(
    script: &Script,
    api: &Api,
    log: &Log,
    spurious: impl FnMut(usize) -> bool + Send + 'static,
) -> ClientWithMiddleware {
    let client = simple(script, api, log);
    clock().sleep(SECOND).await;
    assert_eq!(status(&client, "/proof").await, 200);
    api.seen().spurious = Some(Box::new(spurious));
    client
}

#[tokio::test(start_paused = true)]
async fn a_spurious_401_of_a_token_that_works_is_retried_with_it_and_costs_no_token() {
    let (script, api, log) = (Script::default(), Api::default(), Log::default());
    let client = proved(&script, &api, &log, |number| number == 2).await;
    let request = client.post(url("/x")).body("the body");
    assert_eq!(request.send().await.expect("a response").status(), 200);
    assert_eq!(api.authorizations(), ["Bearer t1"; 3]);
    assert_eq!(api.seen().requests[2].2.as_deref(), Some(&b"the body"[..]));
    assert_eq!((script.requests(), log.count("Replayed")), (1, 1));
    let lines = log.lines();
    let told = lines.iter().find(|line| line.starts_with("TokenRejected"));
    assert!(
        told.is_some_and(|line| line.contains("RetrySameToken")),
        "{told:?}"
    );
}

/// 2 137 of 2 254 reached the caller.
#[tokio::test(start_paused = true)]
async fn of_a_crawl_with_one_spurious_401_in_a_hundred_none_reaches_the_caller() {
    for seed in 0..5 {
        let (script, api, log) = (Script::default(), Api::default(), Log::default());
        let mut random = fastrand::Rng::with_seed(seed);
        let client = proved(&script, &api, &log, move |_| random.u8(..100) == 0).await;
        let mut answers = Vec::new();
        for second in 0..100 {
            let paths: Vec<_> = (0..20).map(|n| format!("/{second}/{n}")).collect();
            let all = paths.iter().map(|path| status(&client, path));
            answers.extend(futures_util::future::join_all(all).await);
            clock().sleep(SECOND).await;
        }
        assert!(answers.iter().all(|status| *status == 200), "seed {seed}");
        let retried = log.lines();
        let retried = retried
            .iter()
            .filter(|line| line.contains("RetrySameToken"));
        assert!(
            retried.count() > 10,
            "seed {seed}: the test has lost its subject"
        );
        // Now and then the retry is refused too, and a new token shows that it was not the token.
        assert!(script.requests() <= 3, "seed {seed}: {}", script.requests());
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_refused_again_with_the_same_token_gets_a_new_one() {
    let (script, api, log) = (Script::default(), Api::default(), Log::default());
    let client = proved(&script, &api, &log, |_| false).await;
    api.seen().refused.push("Bearer t1".into());
    assert_eq!(status(&client, "/x").await, 200);
    assert_eq!(
        api.authorizations()[1..],
        ["Bearer t1", "Bearer t1", "Bearer t2"]
    );
    let lines = log.lines();
    let replays: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("Replayed"))
        .collect();
    assert!(
        replays[0].contains("attempt: 1") && replays[1].contains("attempt: 2"),
        "{replays:?}"
    );
    assert_eq!(script.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_revoked_under_load_costs_five_more_requests_and_one_renewal() {
    let (script, api, log) = (Script::default(), Api::default(), Log::default());
    let client = proved(&script, &api, &log, |_| false).await;
    api.seen().refused.push("Bearer t1".into());
    let paths: Vec<_> = (0..64).map(|number| format!("/{number}")).collect();
    let all = paths.iter().map(|path| status(&client, path));
    let answers = futures_util::future::join_all(all).await;
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    assert_eq!(script.requests(), 2);
    let with = |token: &str| {
        let all = api.authorizations();
        all.iter().filter(|value| value.as_str() == token).count()
    };
    assert_eq!((with("Bearer t1"), with("Bearer t2")), (1 + 64 + 5, 64));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_has_worked_long_ago_or_never_is_renewed_at_once() {
    for pause in [0, 11] {
        let (script, api) = (Script::default(), Api::default());
        let client = simple(&script, &api, &Log::default());
        clock().sleep(SECOND).await;
        if pause > 0 {
            assert_eq!(status(&client, "/x").await, 200);
            clock().sleep(pause * SECOND).await;
        }
        let before = api.authorizations().len();
        api.seen().refused.push("Bearer t1".into());
        assert_eq!(status(&client, "/x").await, 200);
        let sent = api.authorizations();
        assert_eq!(sent[before..], ["Bearer t1", "Bearer t2"], "{pause}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_the_server_calls_invalid_is_renewed_at_once_though_it_works_for_others() {
    let challenge = r#"Bearer error="invalid_token""#;
    let (script, api) = (
        Script::default(),
        Api::refusing_with(&[], 401, challenge, ""),
    );
    let client = proved(&script, &api, &Log::default(), |number| number == 2).await;
    assert_eq!(status(&client, "/x").await, 200);
    assert_eq!(api.authorizations()[1..], ["Bearer t1", "Bearer t2"]);
}

/// Each of them is a request that the quota counts.
#[tokio::test(start_paused = true)]
async fn requests_that_every_token_is_refused_for_are_retried_five_times_and_then_six_a_minute() {
    let (script, api, log) = (Script::default(), Api::default(), Log::default());
    let client = proved(&script, &api, &log, |_| false).await;
    api.seen().refused_path = Some("/secret".into());
    for _ in 0..600 {
        assert_eq!(status(&client, "/secret").await, 401);
        clock().sleep(SECOND / 20).await;
        assert_eq!(status(&client, "/fine").await, 200);
        clock().sleep(SECOND / 20).await;
    }
    let lines = log.lines();
    let retried = lines.iter().filter(|line| line.contains("RetrySameToken"));
    let minutes = 600.0 * 0.3 / 60.0;
    let most = 5 + (6.0 * minutes) as usize + 1;
    let retried = retried.count();
    assert!((most - 3..=most).contains(&retried), "{retried} of {most}");
    assert_eq!(script.requests(), 2, "the first refusal refreshes");
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_is_not_refused_costs_the_budget_nothing() {
    let (script, api, log) = (Script::default(), Api::default(), Log::default());
    let client = proved(&script, &api, &log, |number| number % 2 == 0).await;
    for _ in 0..100 {
        assert_eq!(status(&client, "/x").await, 200);
    }
    assert_eq!((script.requests(), log.count("Replayed")), (1, 100));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_twice_takes_no_retry_from_those_that_can() {
    let (script, api, log) = (Script::default(), Api::default(), Log::default());
    let client = proved(&script, &api, &log, |number| number == 2).await;
    let stream = futures_util::stream::iter([Ok::<_, std::io::Error>("chunk")]);
    let request = client.post(url("/x")).body(Body::wrap_stream(stream));
    assert_eq!(request.send().await.expect("a response").status(), 401);
    assert_eq!(log.count("Replayed"), 0);
    let lines = log.lines();
    assert!(
        !lines.iter().any(|line| line.contains("RetrySameToken")),
        "{lines:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_token_nothing_leaves() {
    let script = Script::of([refuse(401, "invalid_client")]);
    let api = Api::default();
    let client = simple(&script, &api, &Log::default());
    let error = client.get(url("/x")).send().await.expect_err("no token");
    assert_eq!(ours(&error).kind(), ErrorKind::ClientRejected);
    assert!(api.authorizations().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_account_attached_twice_acts_once_and_the_outer_of_two_accounts_acts() {
    let (script, api, log) = (Script::default(), Api::refusing(&["t1"]), Log::default());
    let twice = layer(digikey(&log), &script);
    let mut other = digikey(&log);
    (other.id, other.account) = (AccountId(2), "other".into());
    let others = Script::default();
    let other = layer(other, &others);
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(twice.clone())
        .with(twice)
        .with(other)
        .with(api.clone())
        .build();
    assert_eq!(status(&client, "/x").await, 200);
    assert_eq!((script.requests(), others.requests()), (2, 0));
    assert_eq!(api.authorizations().len(), 2);

    let chosen = RequestOptions::new().account("other");
    let request = client.get(url("/x")).with_extension(chosen);
    assert_eq!(request.send().await.expect("a response").status(), 200);
    assert_eq!(others.requests(), 2);
}

/// A limiter with one permit that writes down what is asked of it.
#[derive(Clone, Default)]
struct Permits(Arc<Mutex<Vec<String>>>);

struct Permit {
    notes: Permits,
    spare: Option<Spare>,
}

impl Permits {
    fn note(&self, text: impl Into<String>) {
        self.0.lock().expect("no panic").push(text.into());
    }

    fn notes(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }
}

impl Passage for Permit {
    fn account(&self) -> AccountId {
        AccountId(1)
    }

    fn layer(&self) -> Layer {
        Layer::RateLimit
    }

    fn has_credentials(&self) -> bool {
        true
    }

    fn settle(&self, outcome: Outcome<'_>) {
        self.notes.note(match outcome {
            Outcome::Unsent => "unsent".to_owned(),
            Outcome::Answered { status, .. } => status.as_u16().to_string(),
            Outcome::Lost => "lost".to_owned(),
        });
    }

    fn acquire(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.notes.note("acquire");
        Box::pin(async {
            clock().sleep(3 * SECOND).await;
            Ok(())
        })
    }

    fn spare(&self) -> Option<&Spare> {
        self.spare.as_ref()
    }

    fn deadline(&self) -> Option<Moment> {
        None
    }

    fn outer(&self) -> Option<&Handle> {
        None
    }
}

#[async_trait]
impl Middleware for Permits {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let permit = Arc::new(Permit {
            notes: self.clone(),
            spare: Spare::of(&request, None),
        });
        let mut left = Handle::leave(&permit, extensions);
        next.run(request, left.extensions()).await
    }
}

#[tokio::test(start_paused = true)]
async fn auth_settles_before_it_waits_and_acquires_again_after() {
    let (script, api, permits) = (
        Script::default(),
        Api::refusing(&["t1"]),
        Permits::default(),
    );
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(permits.clone())
        .with(layer(digikey(&Log::default()), &script))
        .with(api.clone())
        .build();
    assert_eq!(status(&client, "/x").await, 200);
    assert_eq!(permits.notes(), ["unsent", "acquire", "401", "acquire"]);
    assert_eq!(status(&client, "/x").await, 200);
    assert_eq!(
        permits.notes().len(),
        4,
        "with a fresh token nothing is asked of the limiter"
    );
    assert_eq!(api.seen().requests[1].1["x-digikey-client-id"], "my id");
}

#[tokio::test(start_paused = true)]
async fn a_retry_with_the_same_token_settles_and_acquires_too() {
    let (script, api, permits) = (Script::default(), Api::default(), Permits::default());
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(permits.clone())
        .with(layer(digikey(&Log::default()), &script))
        .with(api.clone())
        .build();
    assert_eq!(status(&client, "/x").await, 200);
    let before = permits.notes().len();
    api.seen().spurious = Some(Box::new(|number| number == 2));
    assert_eq!(status(&client, "/x").await, 200);
    // To settle what is settled does nothing.
    assert_eq!(permits.notes()[before..], ["401", "unsent", "acquire"]);
    assert_eq!(api.authorizations(), ["Bearer t1"; 3]);
}

/// While the replay waits for its permit, which takes three seconds, its token is replaced.
async fn token_of_a_replay_whose_token_changed(api: &Api, proved: bool) -> Vec<String> {
    let script = Script::default();
    let authenticator =
        Authenticator::with_endpoint(digikey(&Log::default()), Box::new(script.clone()));
    let authenticator = Arc::new(authenticator);
    let layer = AuthMiddleware::new(authenticator.clone(), RequestOptions::default());
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(Permits::default())
        .with(layer)
        .with(api.clone())
        .build();
    if proved {
        assert_eq!(status(&client, "/x").await, 200);
    }
    let number = api.authorizations().len() + 1;
    api.seen().spurious = Some(Box::new(move |sent| sent == number));
    let arrived = || api.authorizations().len() == number;
    let replaced = async {
        while !arrived() {
            clock().sleep(SECOND / 20).await;
        }
        // The answer takes a tenth of a second, and a renewal a second; then it waits for a permit.
        clock().sleep(3 * SECOND / 2).await;
        authenticator.cache().expect("a cache").invalidate();
        let patience = RequestOptions::default().patience(clock().now());
        let cache = authenticator.cache().expect("a cache");
        drop(cache.token(Need::Usable, patience).await.expect("a token"));
        assert!(
            api.authorizations().len() == number,
            "the replay left too early"
        );
    };
    let (answered, ()) = futures_util::join!(status(&client, "/x"), replaced);
    assert_eq!(answered, 200);
    api.authorizations()[number - 1..].to_vec()
}

#[tokio::test(start_paused = true)]
async fn after_the_permit_for_a_replay_the_token_is_read_again() {
    let renewed = token_of_a_replay_whose_token_changed(&Api::default(), false).await;
    assert_eq!(
        renewed,
        ["Bearer t1", "Bearer t3"],
        "t2 was replaced while it waited"
    );
    let retried = token_of_a_replay_whose_token_changed(&Api::default(), true).await;
    assert_eq!(retried, ["Bearer t1", "Bearer t2"], "so was t1");
}

#[tokio::test(start_paused = true)]
async fn a_401_that_stands_is_left_to_the_limiter_to_settle() {
    let api = Api::refusing_with(&["t1"], 401, "", "Invalid clientId");
    let permits = Permits::default();
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(permits.clone())
        .with(layer(digikey(&Log::default()), &Script::default()))
        .with(api)
        .build();
    assert_eq!(status(&client, "/x").await, 401);
    assert_eq!(permits.notes(), ["unsent", "acquire"]);
}

/// Else a file that lies far away would hold up everybody who waits for the permit.
#[tokio::test]
async fn a_refused_key_is_not_read_again_while_a_permit_is_held() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("key");
    std::fs::write(&file, "the same").expect("written");
    let places = KeyPlaces {
        headers: vec![(
            AUTHORIZATION,
            HeaderPlace::Bearer(crate::Secret::file(&file)),
        )],
        ..KeyPlaces::default()
    };
    let keys = places.read().expect("a key");
    let mut settings = settings(None, &Log::default());
    settings.credentials = Credentials::new(keys, places, None);
    let permits = Permits::default();
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(permits.clone())
        .with(layer(settings, &Script::default()))
        .with(Api::refusing(&["the same"]))
        .build();
    assert_eq!(status(&client, "/x").await, 401);
    assert_eq!(
        permits.notes(),
        ["401"],
        "given back before the file is read"
    );
}

/// Changes the request between the layers.
struct Change;

#[async_trait]
impl Middleware for Change {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        request
            .headers_mut()
            .insert("x-change", HeaderValue::from_static("kept"));
        next.run(request, extensions).await
    }
}

#[tokio::test(start_paused = true)]
async fn what_changed_between_the_layers_is_kept_on_the_replay() {
    let api = Api::refusing(&["t1"]);
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(Permits::default())
        .with(Change)
        .with(layer(digikey(&Log::default()), &Script::default()))
        .with(api.clone())
        .build();
    assert_eq!(status(&client, "/x").await, 200);
    assert_eq!(api.seen().requests[1].1["x-change"], "kept");
}

/// What an inner layer finds, and what is left after.
#[derive(Clone, Default)]
struct Inner(Arc<Mutex<Vec<bool>>>);

#[async_trait]
impl Middleware for Inner {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let finds = Chain::pick_up(extensions).spare(&request).is_some();
        self.0.lock().expect("no panic").push(finds);
        next.run(request, extensions).await
    }
}

#[tokio::test(start_paused = true)]
async fn as_the_outer_layer_auth_leaves_the_clone_it_sent_and_takes_it_away_again() {
    let inner = Inner::default();
    let api = Api::refusing(&["t1"]);
    let bare = ClientBuilder::new(reqwest::Client::new());
    let client = bare
        .with(layer(digikey(&Log::default()), &Script::default()))
        .with(inner.clone())
        .with(api)
        .build();
    let mut extensions = Extensions::new();
    let request = client.get(url("/x")).build().expect("a request");
    client
        .execute_with_extensions(request, &mut extensions)
        .await
        .expect("a response");
    let found = inner.0.lock().expect("no panic").clone();
    assert_eq!(
        found,
        [true, false],
        "the replay is not the clone: it has a newer token"
    );
    assert!(Handle::present(&extensions).is_none());
}

#[tokio::test(start_paused = true)]
async fn the_requests_own_patience_bounds_the_wait_for_a_token() {
    let script = Script::default();
    let client = simple(&script, &Api::default(), &Log::default());
    let hurried = RequestOptions::new().timeout(Duration::from_millis(300));
    let request = client.get(url("/x")).with_extension(hurried);
    let error = request.send().await.expect_err("too late");
    assert_eq!(ours(&error).kind(), ErrorKind::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_in_any_output_of_a_refused_request() {
    let log = Log::default();
    let script = Script::of([issue("acc3ss"), refuse(400, "s3cr3t acc3ss")]);
    let api = Api::refusing(&["acc3ss"]);
    let layer = layer(digikey(&log), &script);
    let debug = format!("{layer:?}");
    let client = client(layer, &api);
    // A refusal without an OAuth error is tried again; this caller does not wait for that.
    let hurried = RequestOptions::new().max_wait(Duration::ZERO);
    let request = client.get(url("/x")).with_extension(hurried);
    let error = request.send().await.expect_err("no token");
    let text = format!("{debug} {error} {error:?} {:?}", log.lines());
    assert!(!text.contains("s3cr3t"), "{text}");
}

#[tokio::test]
async fn over_real_connections_an_expired_token_is_replaced() {
    use httpmock::prelude::*;
    let server = MockServer::start();
    let token = server.mock(|when, then| {
        when.method(POST).path("/token");
        then.status(200)
            .body(r#"{"access_token":"t1","expires_in":"599"}"#);
    });
    let refused = server.mock(|when, then| {
        when.path("/x");
        then.status(401)
            .body(r#"{"ErrorMessage":"Bearer token  expired"}"#);
    });
    let log = Log::default();
    let mut settings = digikey(&log);
    let origin = server.base_url().parse().expect("a URL");
    settings.origins = Arc::new(crate::origin::Origins::new(vec![origin]));
    if let Some(oauth) = &mut settings.oauth {
        oauth.token_url = server.url("/token").parse().expect("a URL");
    }
    let layer = AuthMiddleware::new(
        Arc::new(Authenticator::new(settings)),
        RequestOptions::default(),
    );
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(layer)
        .build();
    let response = client
        .get(server.url("/x"))
        .send()
        .await
        .expect("a response");
    assert_eq!(response.status(), 401);
    assert_eq!(response.url().as_str(), server.url("/x"));
    assert!(response.text().await.expect("a body").contains("expired"));
    token.assert_calls(2);
    refused.assert_calls(2);
}
