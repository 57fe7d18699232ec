//! Both layers together, in both orders, against the sandbox: real sockets, real time, no waiting.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // Tests may wait, and panic.

mod common;

use std::sync::{Arc, Mutex};

use common::{API, Events, Stub, Terminal, acme, answer, millis, noon, seconds};
use http::{Extensions, HeaderMap};
use reqwest::{Request, Response, StatusCode};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use reqwest_retry::{Jitter, RetryTransientMiddleware, policies::ExponentialBackoff};
use reqwest_tollgate::sandbox::{Fault, Sandbox};
use reqwest_tollgate::{
    Account, Error, ErrorKind, Event, PausedClock, RequestOptions, RetryStrategy, Window,
};

const PART: &str = "products/v4/search/LM358/productdetails";

#[derive(Clone, Copy, Debug)]
enum Order {
    /// First the turn, then the ticket.
    Canonical,
    AuthOutside,
}

const BOTH: [Order; 2] = [Order::Canonical, Order::AuthOutside];

fn client(account: &Account, order: Order) -> ClientWithMiddleware {
    let builder = ClientBuilder::new(reqwest::Client::new());
    match order {
        Order::Canonical => account.attach(builder).build(),
        Order::AuthOutside => builder
            .with(account.auth())
            .with(account.rate_limit())
            .build(),
    }
}

async fn sandbox() -> Sandbox {
    sandbox_with("1000/min").await
}

async fn sandbox_with(window: &str) -> Sandbox {
    Sandbox::builder()
        .window(window.parse().unwrap())
        .start()
        .await
        .unwrap()
}

/// With so many requests a minute.
fn metered(sandbox: &Sandbox, limit: u64) -> Account {
    let account = sandbox.account().window(Window::per_minute(limit));
    account.build().unwrap()
}

fn inject(sandbox: &Sandbox, fault: &str) {
    sandbox.inject(fault.parse::<Fault>().unwrap());
}

async fn get(
    client: &ClientWithMiddleware,
    sandbox: &Sandbox,
) -> reqwest_middleware::Result<Response> {
    client.get(sandbox.url().join(PART).unwrap()).send().await
}

fn left(account: &Account) -> u64 {
    account.quotas()[0].windows()[0].remaining
}

#[tokio::test]
async fn a_401_replay_takes_a_permit_in_both_orders() {
    for order in BOTH {
        let sandbox = sandbox().await;
        let account = metered(&sandbox, 10);
        let client = client(&account, order);
        inject(&sandbox, "unauthorized=1");
        let response = get(&client, &sandbox).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{order:?}");
        assert_eq!(left(&account), 8, "{order:?}");
        assert_eq!(sandbox.counters().token_requests, 2, "{order:?}");
    }
}

#[tokio::test]
async fn a_401_replay_does_not_hang_where_one_permit_is_all_there_is() {
    for order in BOTH {
        let sandbox = sandbox().await;
        let account = sandbox.account().max_in_flight(1).build().unwrap();
        let client = client(&account, order);
        inject(&sandbox, "unauthorized=1");
        let response = tokio::time::timeout(seconds(20), get(&client, &sandbox)).await;
        assert_eq!(
            response.expect("no hang").unwrap().status(),
            StatusCode::OK,
            "{order:?}"
        );
    }
}

#[tokio::test]
async fn a_401_replay_that_gets_no_permit_ends_in_an_error_with_the_401() {
    for order in BOTH {
        let sandbox = sandbox().await;
        let account = metered(&sandbox, 1);
        let client = client(
            &account.with_options(RequestOptions::new().max_wait(seconds(1))),
            order,
        );
        inject(&sandbox, "unauthorized=1");
        let error = get(&client, &sandbox).await.unwrap_err();
        let error = Error::find(&error).unwrap();
        assert_eq!(error.kind(), ErrorKind::QuotaExceeded, "{order:?}");
        assert_eq!(error.status(), Some(StatusCode::UNAUTHORIZED), "{order:?}");
    }
}

#[tokio::test]
async fn a_429_replay_carries_a_valid_token_and_the_body_in_both_orders() {
    for order in BOTH {
        let sandbox = sandbox().await;
        let account = sandbox.account().build().unwrap();
        let client = client(&account, order);
        inject(&sandbox, "rate-limited=1");
        let url = sandbox.url().join("products/v4/search/keyword").unwrap();
        let body = r#"{"Keywords":"LM358"}"#;
        let request = client
            .post(url)
            .header("content-type", "application/json")
            .body(body);
        assert_eq!(
            request.send().await.unwrap().status(),
            StatusCode::OK,
            "{order:?}"
        );
        assert_eq!(sandbox.counters().requests, 2, "{order:?}");
    }
}

#[tokio::test]
async fn a_cold_token_does_not_cost_a_permit() {
    let sandbox = sandbox().await;
    let account = metered(&sandbox, 1);
    let response = get(&client(&account, Order::Canonical), &sandbox)
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(left(&account), 0);
}

#[tokio::test]
async fn a_failed_renewal_gives_the_permit_back() {
    let sandbox = sandbox().await;
    let account = sandbox
        .account()
        .client_secret("wrong")
        .window(Window::per_minute(1))
        .build();
    let account = account.unwrap();
    for order in BOTH {
        let error = get(&client(&account, order), &sandbox).await.unwrap_err();
        assert_eq!(
            Error::find(&error).unwrap().kind(),
            ErrorKind::ClientRejected,
            "{order:?}"
        );
        assert_eq!(left(&account), 1, "{order:?}");
    }
    assert_eq!(sandbox.counters().requests, 0);
}

#[tokio::test]
async fn an_account_attached_twice_sends_once_meters_once_and_renews_once() {
    let sandbox = sandbox().await;
    let account = metered(&sandbox, 10);
    let twice = account
        .attach(account.attach(ClientBuilder::new(reqwest::Client::new())))
        .build();
    inject(&sandbox, "unauthorized=1");
    assert_eq!(
        get(&twice, &sandbox).await.unwrap().status(),
        StatusCode::OK
    );
    assert_eq!(left(&account), 8);
    assert_eq!(sandbox.counters().requests, 2);
    assert_eq!(sandbox.counters().token_requests, 2);
}

/// Keeps the headers that reach it.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<HeaderMap>>>);

#[async_trait::async_trait]
impl Middleware for Seen {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        self.0.lock().unwrap().push(request.headers().clone());
        next.run(request, extensions).await
    }
}

#[tokio::test]
async fn no_credential_goes_to_another_origin() {
    let (ours, foreign) = (sandbox().await, sandbox().await);
    let account = ours.account().build().unwrap();
    let seen = Seen::default();
    let builder = account.attach(ClientBuilder::new(reqwest::Client::new()));
    let client = builder.with(seen.clone()).build();
    get(&client, &ours).await.unwrap();
    let response = get(&client, &foreign).await.unwrap();
    assert_eq!(
        response.status(),
        StatusCode::UNAUTHORIZED,
        "passed through as it was"
    );
    let seen = seen.0.lock().unwrap();
    assert!(seen[0].contains_key("authorization") && seen[0].contains_key("x-digikey-client-id"));
    assert!(seen[0]["authorization"].is_sensitive());
    assert!(!seen[1].contains_key("authorization") && !seen[1].contains_key("x-digikey-client-id"));
    assert_eq!(foreign.counters().token_requests, 0);
}

#[tokio::test]
async fn our_own_host_over_plain_http_is_refused() {
    let account = Account::builder("acme", "https://api.acme.example")
        .header("x-key", "secret")
        .build()
        .unwrap();
    for order in BOTH {
        let error = client(&account, order)
            .get("http://api.acme.example/")
            .send()
            .await;
        let error = error.unwrap_err();
        assert_eq!(
            Error::find(&error).unwrap().kind(),
            ErrorKind::Insecure,
            "{order:?}"
        );
    }
}

#[tokio::test]
async fn of_two_accounts_at_one_origin_the_outermost_acts_unless_the_request_says_otherwise() {
    let sandbox = sandbox().await;
    let first = sandbox
        .account()
        .name("first")
        .window(Window::per_minute(10))
        .build()
        .unwrap();
    let second = sandbox
        .account()
        .name("second")
        .window(Window::per_minute(10))
        .build()
        .unwrap();
    let builder = second.attach(first.attach(ClientBuilder::new(reqwest::Client::new())));
    let client = builder.build();
    get(&client, &sandbox).await.unwrap();
    assert_eq!((left(&first), left(&second)), (9, 10));
    let options = RequestOptions::new().account("second");
    let url = sandbox.url().join(PART).unwrap();
    let response = client
        .get(url)
        .with_extension(options)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!((left(&first), left(&second)), (9, 9));
}

#[tokio::test]
async fn a_callers_own_authorization_is_never_touched() {
    let sandbox = sandbox().await;
    let account = sandbox.account().build().unwrap();
    for order in BOTH {
        let url = sandbox.url().join(PART).unwrap();
        let request = client(&account, order)
            .get(url)
            .header("authorization", "Bearer own");
        assert_eq!(
            request.send().await.unwrap().status(),
            StatusCode::UNAUTHORIZED,
            "{order:?}"
        );
    }
    assert_eq!(sandbox.counters().token_requests, 0);
}

#[tokio::test]
async fn nothing_stays_in_extensions_that_the_caller_owns() {
    let sandbox = sandbox().await;
    let account = sandbox.account().build().unwrap();
    for order in BOTH {
        inject(&sandbox, "unauthorized=1");
        let request = Request::new(http::Method::GET, sandbox.url().join(PART).unwrap());
        let mut extensions = Extensions::new();
        let client = client(&account, order);
        client
            .execute_with_extensions(request, &mut extensions)
            .await
            .unwrap();
        assert!(extensions.is_empty(), "{order:?}");
    }
}

#[tokio::test]
async fn a_change_by_a_layer_in_between_is_not_lost_on_the_replay() {
    #[derive(Clone)]
    struct Traced;

    #[async_trait::async_trait]
    impl Middleware for Traced {
        async fn handle(
            &self,
            mut request: Request,
            extensions: &mut Extensions,
            next: Next<'_>,
        ) -> reqwest_middleware::Result<Response> {
            request
                .headers_mut()
                .insert("traceparent", http::HeaderValue::from_static("00-1"));
            next.run(request, extensions).await
        }
    }

    let sandbox = sandbox().await;
    let account = sandbox.account().build().unwrap();
    let seen = Seen::default();
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(account.rate_limit())
        .with(Traced)
        .with(account.auth())
        .with(seen.clone())
        .build();
    inject(&sandbox, "unauthorized=1");
    assert_eq!(
        get(&client, &sandbox).await.unwrap().status(),
        StatusCode::OK
    );
    let seen = seen.0.lock().unwrap();
    assert_eq!(seen.len(), 2);
    assert!(
        seen.iter()
            .all(|headers| headers.contains_key("traceparent"))
    );
}

fn with_retry(account: &Account) -> ClientWithMiddleware {
    let policy = ExponentialBackoff::builder()
        .retry_bounds(
            std::time::Duration::from_millis(1),
            std::time::Duration::from_millis(5),
        )
        .build_with_max_retries(3);
    let strategy = RetryStrategy::default();
    let retry = RetryTransientMiddleware::new_with_policy_and_strategy(policy, strategy);
    account
        .attach(ClientBuilder::new(reqwest::Client::new()).with(retry))
        .build()
}

#[tokio::test]
async fn each_retry_takes_a_permit_of_its_own() {
    let sandbox = sandbox().await;
    let account = metered(&sandbox, 10);
    inject(&sandbox, "server-error=2");
    assert_eq!(
        get(&with_retry(&account), &sandbox).await.unwrap().status(),
        StatusCode::OK
    );
    assert_eq!(left(&account), 7);
}

#[tokio::test]
async fn our_error_is_found_beneath_a_retry_error_and_is_not_retried() {
    let sandbox = sandbox().await;
    let account = sandbox.account().client_secret("wrong").build().unwrap();
    let error = get(&with_retry(&account), &sandbox).await.unwrap_err();
    assert_eq!(
        Error::find(&error).unwrap().kind(),
        ErrorKind::ClientRejected
    );
    assert_eq!(sandbox.counters().token_requests, 1);
}

#[tokio::test]
async fn a_429_after_its_last_replay_is_not_retried_once_more() {
    let sandbox = sandbox().await;
    let account = sandbox.account().max_replays(0).build().unwrap();
    inject(&sandbox, "rate-limited=5");
    let response = get(&with_retry(&account), &sandbox).await.unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(sandbox.counters().requests, 1);
}

/// As it comes, with a bound on how often it sends again.
fn with_default_retry(account: &Account, stub: &Arc<Stub>, retries: u32) -> ClientWithMiddleware {
    let policy = ExponentialBackoff::builder().jitter(Jitter::None);
    let policy = policy.build_with_max_retries(retries);
    let retry = RetryTransientMiddleware::new_with_policy(policy);
    account
        .attach(ClientBuilder::new(reqwest::Client::new()).with(retry))
        .with(Terminal(stub.clone()))
        .build()
}

#[tokio::test(start_paused = true)]
async fn beside_the_default_strategy_of_reqwest_retry_a_rejected_call_is_replayed_once_for_all() {
    let account = acme().build().unwrap();
    let stub = Stub::new(|_| answer(429).after(millis(1)));
    let client = with_default_retry(&account, &stub, 2);
    for call in 1..=2 {
        let response = client.get(API).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        // The limiter's four, and one for each of the two retries.
        assert_eq!(stub.count(), call * (4 + 2));
    }
}

#[tokio::test(start_paused = true)]
async fn of_stacked_limits_the_inner_ones_last_word_is_the_last() {
    let outer = Account::builder("company", API)
        .clock(PausedClock::starting_at(noon()))
        .build()
        .unwrap();
    let stub = Stub::new(|_| answer(429).after(millis(1)));
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(outer.rate_limit())
        .with(acme().build().unwrap().rate_limit())
        .with(Terminal(stub.clone()))
        .build();
    client.get(API).send().await.unwrap();
    assert_eq!(stub.count(), 4);
}

#[tokio::test(start_paused = true)]
async fn extensions_that_the_caller_uses_again_keep_no_other_request_from_its_replays() {
    let account = acme().build().unwrap();
    let path = |request: &Request| request.url().path().to_owned();
    let is_good = Arc::new(Mutex::new(false));
    let good = is_good.clone();
    let stub = Stub::new(
        move |request| match path(request) == "/good" || *good.lock().unwrap() {
            true => answer(200).after(millis(1)),
            false => answer(429).after(millis(1)),
        },
    );
    let client = common::client(&account, &stub);
    let mut extensions = Extensions::new();
    let mut sent = async |path: &str| {
        let before = stub.count();
        let url = format!("{API}{path}").parse().unwrap();
        let request = Request::new(http::Method::GET, url);
        let answer = client.execute_with_extensions(request, &mut extensions);
        answer.await.unwrap();
        stub.count() - before
    };
    assert_eq!(sent("/bad").await, 4);
    assert_eq!(sent("/bad").await, 1, "as a retry layer sends it");
    assert_eq!(sent("/worse").await, 4);
    assert_eq!(sent("/good").await, 1);
    assert_eq!(sent("/worse").await, 4, "another call");
    *is_good.lock().unwrap() = true;
    assert_eq!(sent("/worse").await, 1);
    assert!(extensions.is_empty());
}

#[tokio::test]
async fn options_of_a_task_reach_the_layers_and_the_requests_own_go_before_them() {
    let sandbox = sandbox().await;
    let account = sandbox.account().name("acme").build().unwrap();
    let client = client(&account, Order::Canonical);
    let elsewhere = RequestOptions::new().account("somebody else");
    let passed = elsewhere
        .clone()
        .scope(get(&client, &sandbox))
        .await
        .unwrap();
    assert_eq!(passed.status(), StatusCode::UNAUTHORIZED, "no layer acted");
    let own = RequestOptions::new().account("acme");
    let url = sandbox.url().join(PART).unwrap();
    let acted = elsewhere
        .scope(client.get(url).with_extension(own).send())
        .await
        .unwrap();
    assert_eq!(acted.status(), StatusCode::OK);
}

#[tokio::test]
async fn every_attempt_on_the_wire_is_one_event_in_the_canonical_order() {
    let sandbox = sandbox().await;
    let events = Events::default();
    let account = sandbox
        .account()
        .observer(events.observer())
        .build()
        .unwrap();
    inject(&sandbox, "unauthorized=1");
    get(&client(&account, Order::Canonical), &sandbox)
        .await
        .unwrap();
    let statuses = |wanted: u16| {
        events.count(|event| {
            matches!(event, Event::Answered { status, request_id: Some(_), .. }
                if status.as_u16() == wanted)
        })
    };
    assert_eq!((statuses(401), statuses(200)), (1, 1));
    assert_eq!(
        events.count(|event| matches!(event, Event::TokenRequested { .. })),
        2
    );
}

#[tokio::test]
async fn ten_thousand_requests_without_a_token_ask_for_it_once() {
    let sandbox = sandbox_with("100000/min").await;
    let account = sandbox.account().max_in_flight(32).build().unwrap();
    let client = client(&account, Order::Canonical);
    let requests = (0..10_000).map(|_| get(&client, &sandbox));
    let responses = futures_util::future::join_all(requests).await;
    assert!(
        responses
            .iter()
            .all(|response| response.as_ref().unwrap().status() == StatusCode::OK)
    );
    assert_eq!(sandbox.counters().token_requests, 1);
    assert_eq!(sandbox.counters().requests, 10_000);
}

#[tokio::test]
async fn a_revoked_token_costs_one_renewal_and_one_replay_for_each_request_that_carried_it() {
    let sandbox = sandbox_with("100000/min").await;
    let account = sandbox.account().max_in_flight(100).build().unwrap();
    let client = client(&account, Order::Canonical);
    get(&client, &sandbox).await.unwrap();
    sandbox.revoke_tokens();
    let requests = (0..1_000).map(|_| get(&client, &sandbox));
    let responses = futures_util::future::join_all(requests).await;
    assert!(
        responses
            .iter()
            .all(|response| response.as_ref().unwrap().status() == StatusCode::OK)
    );
    let counters = sandbox.counters();
    assert_eq!(counters.token_requests, 2);
    // One hundred are on the wire; five are tried once more with the token, which worked before.
    let rejected = 1..=100 + 5;
    assert!(rejected.contains(&counters.rejected_401), "{counters:?}");
    assert_eq!(counters.requests, 1_001 + counters.rejected_401);
}

#[tokio::test]
async fn a_streamed_upload_is_replayed_whole_after_a_401_and_a_429_in_both_orders() {
    for order in BOTH {
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let seen = bodies.clone();
        let sandbox = Sandbox::builder().resource(move |request| {
            seen.lock().unwrap().push(request.body().clone());
            http::Response::new("ok")
        });
        let sandbox = sandbox.start().await.unwrap();
        let account = sandbox.account().build().unwrap();
        let stream = || {
            let chunks = ["first ", "second"].map(Ok::<_, std::io::Error>);
            reqwest::Body::wrap_stream(futures_util::stream::iter(chunks))
        };
        inject(&sandbox, "unauthorized=1");
        inject(&sandbox, "rate-limited=1");
        let request = client(&account, order).put(sandbox.url().join("upload").unwrap());
        let options = RequestOptions::new().body_factory(stream);
        let response = request
            .body(stream())
            .with_extension(options)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{order:?}");
        assert_eq!(*bodies.lock().unwrap(), ["first second"], "{order:?}");
        assert_eq!(sandbox.counters().requests, 3, "{order:?}");
    }
}
