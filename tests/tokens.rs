//! Stories about tokens, against the sandbox: real sockets, real time, waits of a second at most.

#![allow(clippy::unwrap_used)] // Tests may panic.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Events, millis, seconds};
use reqwest::{Response, StatusCode};
use reqwest_middleware::ClientBuilder;
use reqwest_tollgate::sandbox::{Sandbox, SandboxBuilder};
use reqwest_tollgate::{
    Account, AccountBuilder, Error, ErrorKind, Event, Grant, MemoryStore, Recovery, RenewalReason,
    RequestOptions,
};

async fn get(account: &Account, sandbox: &Sandbox) -> reqwest_middleware::Result<Response> {
    let client = account
        .attach(ClientBuilder::new(reqwest::Client::new()))
        .build();
    let url = sandbox
        .url()
        .join("products/v4/search/LM358/productdetails")
        .unwrap();
    client.get(url).send().await
}

async fn ok(account: &Account, sandbox: &Sandbox) {
    assert_eq!(
        get(account, sandbox).await.unwrap().status(),
        StatusCode::OK
    );
}

async fn our_error(account: &Account, sandbox: &Sandbox) -> Error {
    let error = get(account, sandbox).await.unwrap_err();
    Error::find(&error).unwrap().clone()
}

fn rotating() -> SandboxBuilder {
    Sandbox::builder()
        .refresh_grant(true)
        .token_lifetime(seconds(60))
}

/// A person's login at a sandbox, and the store of the processes that share it.
struct Login {
    sandbox: Sandbox,
    first: String,
    store: Arc<MemoryStore>,
}

impl Login {
    async fn at(builder: SandboxBuilder) -> Self {
        let sandbox = builder.start().await.unwrap();
        let (first, store) = (sandbox.refresh_token(), Arc::default());
        Self {
            sandbox,
            first,
            store,
        }
    }

    /// A process whose configuration has this refresh token.
    fn process_of(&self, initial: &str) -> AccountBuilder {
        let account = self.sandbox.account();
        let account = account.grant(Grant::refresh_token(initial));
        account.token_store(self.store.clone())
    }

    fn process(&self) -> Account {
        self.process_of(&self.first).build().unwrap()
    }
}

#[tokio::test]
async fn a_rotated_refresh_token_outlives_the_process() {
    let login = Login::at(rotating()).await;
    let sandbox = &login.sandbox;
    for _ in 0..3 {
        let account = login.process();
        sandbox.revoke_tokens();
        ok(&account, sandbox).await;
    }
    let counters = sandbox.counters();
    assert_eq!(counters.families_revoked, 0, "{counters:?}");
    assert_eq!(counters.rotations, 3, "{counters:?}");
    assert_eq!(counters.token_requests, 3, "{counters:?}");
}

#[tokio::test]
async fn a_process_that_starts_later_takes_over_the_token_of_the_first() {
    let login = Login::at(rotating()).await;
    let sandbox = &login.sandbox;
    ok(&login.process(), sandbox).await;
    let events = Events::default();
    let second = login
        .process_of(&login.first)
        .observer(events.observer())
        .build()
        .unwrap();
    ok(&second, sandbox).await;
    assert_eq!(
        events.count(|event| matches!(event, Event::TokenAdopted { .. })),
        1
    );
    assert_eq!(sandbox.counters().token_requests, 1);
}

#[tokio::test]
async fn two_processes_whose_token_is_revoked_spend_one_refresh_token() {
    let login = Login::at(rotating()).await;
    let sandbox = &login.sandbox;
    let first = login.process();
    let second = login.process();
    ok(&first, sandbox).await;
    ok(&second, sandbox).await;
    sandbox.revoke_tokens();
    tokio::join!(ok(&first, sandbox), ok(&second, sandbox));
    let counters = sandbox.counters();
    assert_eq!(counters.families_revoked, 0, "{counters:?}");
    // The first token, and one for both.
    assert_eq!(counters.rotations, 2, "{counters:?}");
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_where_the_server_allows_it() {
    let login = Login::at(rotating().grace(seconds(10))).await;
    let sandbox = &login.sandbox;
    sandbox.inject("token-lost=1".parse().unwrap());
    ok(&login.process(), sandbox).await;
    let counters = sandbox.counters();
    assert_eq!(counters.families_revoked, 0, "{counters:?}");
    assert_eq!(counters.token_requests, 2, "{counters:?}");
}

#[tokio::test]
async fn a_lost_answer_that_cannot_be_saved_ends_in_log_in_again() {
    let login = Login::at(rotating()).await;
    let sandbox = &login.sandbox;
    let account = login.process();
    sandbox.inject("token-lost=1".parse().unwrap());
    let error = our_error(&account, sandbox).await;
    assert_eq!(error.kind(), ErrorKind::LoginRequired, "{error}");
    assert_eq!(error.recovery(), Recovery::LogIn);
    assert!(error.to_string().contains("lost"), "{error}");
    let requests = sandbox.counters().token_requests;
    assert_eq!(
        our_error(&account, sandbox).await.kind(),
        ErrorKind::LoginRequired
    );
    assert_eq!(
        sandbox.counters().token_requests,
        requests,
        "no probe of a dead login"
    );
}

#[tokio::test]
async fn a_new_login_in_the_configuration_ends_a_dead_one_in_the_store() {
    let login = Login::at(rotating()).await;
    let sandbox = &login.sandbox;
    ok(&login.process(), sandbox).await;
    sandbox.revoke_tokens();
    sandbox.revoke_refresh_tokens();
    let dead = login.process();
    assert_eq!(our_error(&dead, sandbox).await.recovery(), Recovery::LogIn);
    let anew = login.process_of(&sandbox.refresh_token()).build().unwrap();
    ok(&anew, sandbox).await;
}

#[tokio::test]
async fn a_request_that_cannot_wait_gets_the_failure_and_others_wait_for_the_next_attempt() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    for fault in ["token-down=1", "token-html=1"] {
        let account = sandbox.account().build().unwrap();
        sandbox.inject(fault.parse().unwrap());
        let hurried = RequestOptions::new().max_wait(Duration::ZERO);
        let error = our_error(&account.with_options(hurried), &sandbox).await;
        assert_eq!(error.kind(), ErrorKind::TokenEndpoint, "{error}");
        ok(&account, &sandbox).await;
    }
    assert_eq!(sandbox.counters().token_requests, 4);
    assert_eq!(sandbox.counters().rejected_401, 0);
}

#[tokio::test]
async fn who_cannot_wait_for_the_token_endpoint_is_told_when_to_come_again() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    sandbox.inject("token-throttled=60s".parse().unwrap());
    let options = RequestOptions::new().max_wait(seconds(5));
    let account = sandbox.account().options(options).build().unwrap();
    let error = our_error(&account, &sandbox).await;
    assert_eq!(error.kind(), ErrorKind::TokenEndpoint, "{error}");
    assert!(
        matches!(error.recovery(), Recovery::WaitUntil(_)),
        "{error:?}"
    );
    assert_eq!(sandbox.counters().token_requests, 1);
}

#[tokio::test]
async fn a_timeout_covers_the_wait_for_the_token() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    sandbox.inject("token-slow=600ms".parse().unwrap());
    let options = RequestOptions::new().timeout(millis(100));
    let account = sandbox.account().build().unwrap();
    let error = our_error(&account.with_options(options), &sandbox).await;
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error}");
    sandbox.clear_faults();
    ok(&account, &sandbox).await;
    assert_eq!(
        sandbox.counters().token_requests,
        1,
        "the flight went on without its caller"
    );
}

#[tokio::test]
async fn a_short_lived_token_is_renewed_before_it_expires_and_nobody_waits() {
    let sandbox = Sandbox::builder()
        .token_lifetime(seconds(3))
        .start()
        .await
        .unwrap();
    let events = Events::default();
    let account = sandbox
        .account()
        .observer(events.observer())
        .build()
        .unwrap();
    let asked = |wanted: RenewalReason| {
        events.count(|event| matches!(event, Event::TokenRequested { reason } if *reason == wanted))
    };
    while asked(RenewalReason::Stale) == 0 {
        ok(&account, &sandbox).await;
        assert_eq!(
            asked(RenewalReason::Expired) + asked(RenewalReason::Rejected),
            0
        );
        #[allow(clippy::disallowed_methods)] // The token's life is what is waited for.
        tokio::time::sleep(millis(25)).await;
    }
    ok(&account, &sandbox).await;
    assert_eq!(asked(RenewalReason::Cold), 1);
    assert_eq!(sandbox.counters().rejected_401, 0);
}

#[tokio::test]
async fn a_401_for_a_missing_subscription_asks_for_no_token() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let account = sandbox.account().build().unwrap();
    sandbox.inject("not-subscribed=1".parse().unwrap());
    assert_eq!(
        get(&account, &sandbox).await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(sandbox.counters().token_requests, 1);
    assert_eq!(sandbox.counters().requests, 1);
}

#[tokio::test]
async fn an_answer_without_a_lifetime_is_a_token_all_the_same() {
    let sandbox = Sandbox::builder()
        .omit_expires_in(true)
        .start()
        .await
        .unwrap();
    let account = sandbox
        .account()
        .fallback_lifetime(Duration::from_secs(600))
        .build()
        .unwrap();
    for _ in 0..5 {
        ok(&account, &sandbox).await;
    }
    assert_eq!(sandbox.counters().token_requests, 1);
}

#[tokio::test]
async fn accounts_of_one_token_endpoint_keep_to_its_published_limits_together() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let build = |window: &str| {
        let options = RequestOptions::new().max_wait(seconds(5));
        let account = sandbox.account().options(options);
        account
            .token_window(window.parse().unwrap())
            .build()
            .unwrap()
    };
    let (first, second) = (build("1/h"), build("100/h"));
    ok(&first, &sandbox).await;
    let error = our_error(&second, &sandbox).await;
    assert_eq!(error.kind(), ErrorKind::TokenEndpoint, "{error}");
    assert!(
        matches!(error.recovery(), Recovery::WaitUntil(_)),
        "{error}"
    );
    // Those without such windows do not know of them.
    ok(&sandbox.account().build().unwrap(), &sandbox).await;
    assert_eq!(sandbox.counters().token_requests, 2);
}

#[tokio::test]
async fn a_token_is_kept_warm_while_nobody_asks_and_no_longer_than_its_account() {
    let lifetime = seconds(1);
    let sandbox = Sandbox::builder()
        .token_lifetime(lifetime)
        .start()
        .await
        .unwrap();
    let account = sandbox.account().keep_warm(true).build().unwrap();
    account.warm_up().await.unwrap();
    while sandbox.counters().token_requests < 3 {
        #[allow(clippy::disallowed_methods)] // The tokens' lives are what is waited for.
        tokio::time::sleep(millis(25)).await;
    }
    drop(account);
    let requests = sandbox.counters().token_requests;
    #[allow(clippy::disallowed_methods)]
    tokio::time::sleep(2 * lifetime).await;
    // One may have been under way.
    assert!(sandbox.counters().token_requests <= requests + 1);
}
