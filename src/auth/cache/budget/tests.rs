use std::time::Duration;

use proptest::prelude::*;
use url::Url;

use super::*;
use crate::account::endpoint_limits::enter;
use crate::auth::cache::Cache;
use crate::auth::testing::*;
use crate::auth::token::Token;
use crate::auth::{Grant, OAuthSettings};
use crate::error::{Error, ErrorKind, Recovery};
use crate::options::Patience;
use crate::stores::MemoryStore;

/// An account whose token endpoint is there and publishes these windows. Each test has an origin
/// of its own, since the tallies are the process's.
fn at(origin: &str, windows: &[&str], oauth: OAuthSettings, script: &Script) -> Cache {
    let url = Url::parse(&format!("https://{origin}.example/token")).expect("a URL");
    let windows: Vec<_> = windows
        .iter()
        .map(|window| window.parse().expect("a window"))
        .collect();
    let limit = enter(&url, &windows, clock().now());
    let oauth = OAuthSettings { limit, ..oauth };
    let settings = settings(None, &Log::default());
    Cache::new(&settings, Arc::new(oauth), Box::new(script.clone()))
}

fn account(origin: &str, windows: &[&str], script: &Script) -> Cache {
    at(origin, windows, oauth(Grant::client_credentials()), script)
}

async fn token(cache: &Cache) -> Result<Arc<Token>, Error> {
    match cache.ready(clock().now()) {
        Some(token) => Ok(token),
        None => cache.token(Need::Usable, PATIENT).await,
    }
}

async fn now_or_never(cache: &Cache) -> Result<Arc<Token>, Error> {
    cache.token(Need::Usable, IMPATIENT).await
}

async fn pass(span: Duration) {
    clock().sleep(span).await;
}

/// How long it takes.
async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let start = clock().now().moment;
    let output = work.await;
    (output, clock().now().moment - start)
}

#[tokio::test(start_paused = true)]
async fn accounts_of_one_token_origin_share_its_windows() {
    let script = Script::default();
    let accounts: Vec<_> = (0..3)
        .map(|_| account("shared", &["2/10s"], &script))
        .collect();
    for first in &accounts[..2] {
        token(first).await.expect("a token");
    }
    let (third, span) = timed(token(&accounts[2])).await;
    third.expect("a token");
    assert_eq!(script.requests(), 3);
    // The first was answered a second before the second; its ten seconds end nine from now.
    assert!(span >= 9 * SECOND + SECOND, "{span:?}");
    assert!(span < 11 * SECOND, "{span:?}");
    let elsewhere = account("unshared", &["2/10s"], &script);
    assert_eq!(timed(token(&elsewhere)).await.1, SECOND);
}

#[tokio::test(start_paused = true)]
async fn every_account_of_an_origin_keeps_to_the_windows_of_all() {
    let script = Script::default();
    let lax = account("sets", &["100/s"], &script);
    let strict = account("sets", &["1/min"], &script);
    token(&lax).await.expect("a token");
    lax.invalidate();
    let (strict, span) = timed(token(&strict)).await;
    strict.expect("a token");
    assert!(span > 60 * SECOND, "{span:?}");
    assert!(now_or_never(&lax).await.is_ok(), "it has a token still");
    assert_eq!(script.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn windows_end_with_the_last_account_that_has_them() {
    let script = Script::default();
    let first = account("ended", &["1/h"], &script);
    token(&first).await.expect("a token");
    drop(first);
    pass(SECOND).await;
    let second = account("ended", &["1/h"], &script);
    assert!(now_or_never(&second).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn full_windows_hold_up_nobody_who_has_a_usable_token() {
    let script = Script::default();
    let stale = account("usable", &["2/500s"], &script);
    token(&stale).await.expect("a token");
    let other = account("usable", &["2/500s"], &script);
    pass(470 * SECOND).await;
    token(&other).await.expect("a token");
    // Stale since 450 s, and the first request counts until 501.
    assert_eq!(
        stale.ready(clock().now()).expect("no waiting").secret(),
        "t1"
    );
    assert_eq!(script.requests(), 2, "no room");
    pass(35 * SECOND).await;
    stale.ready(clock().now()).expect("no waiting");
    pass(2 * SECOND).await;
    assert_eq!(script.requests(), 3, "there was room at the next use");
    assert_eq!(
        stale.ready(clock().now()).expect("no waiting").secret(),
        "t3"
    );
}

#[tokio::test(start_paused = true)]
async fn who_has_no_token_and_cannot_wait_for_room_is_told_when_at_once() {
    let script = Script::default();
    let gone = account("told", &["1/12h"], &script);
    token(&gone).await.expect("a token");
    drop(gone);
    let first = account("told", &["1/12h"], &script);
    let second = account("told", &["1/12h"], &script);
    token(&first)
        .await
        .expect("the tally ended with the account");
    let patience = Patience {
        max_wait: 60 * SECOND,
        ..PATIENT
    };
    let before = clock().now();
    let (result, span) = timed(second.token(Need::Usable, patience)).await;
    let error = result.expect_err("no room");
    assert_eq!(
        (error.kind(), span),
        (ErrorKind::TokenEndpoint, Duration::ZERO)
    );
    let Recovery::WaitUntil(time) = error.recovery() else {
        panic!("{error:?}")
    };
    let wait = time.duration_since(before.wall).expect("later");
    assert!(wait.abs_diff(12 * 3_600 * SECOND) < 60 * SECOND, "{wait:?}");
    assert_eq!(script.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_repetition_after_a_lost_answer_counts_too() {
    let script = Script::of([Act::Lost, rotate("a", "r2")]);
    let store = || MemoryStore::new();
    let rotating = |windows: &[&str]| {
        let oauth = with_store(Grant::refresh_token("r1"), store());
        at("repeated", windows, oauth, &script)
    };
    let first = rotating(&["2/h"]);
    token(&first).await.expect("at the second attempt");
    assert_eq!(script.requests(), 2);
    let error = now_or_never(&rotating(&["2/h"]))
        .await
        .expect_err("no room");
    assert!(
        matches!(error.recovery(), Recovery::WaitUntil(_)),
        "{error}"
    );

    // Without room for it there is no repetition.
    let script = Script::of([Act::Lost]);
    let oauth = with_store(Grant::refresh_token("r1"), store());
    let second = at("unrepeated", &["1/h"], oauth, &script);
    token(&second).await.expect_err("lost");
    assert_eq!(script.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_not_sent_does_not_count() {
    let script = Script::of([Act::NotSent]);
    let cache = account("unsent", &["1/h"], &script);
    now_or_never(&cache).await.expect_err("no route");
    token(&cache).await.expect("the second attempt has room");
    assert_eq!(script.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_waited_for_the_next_attempt_goes_on_waiting_for_room() {
    let script = Script::of([refuse(503, "x")]);
    let cache = account("both", &["1/20s"], &script);
    now_or_never(&cache).await.expect_err("down");
    let (token, span) = timed(token(&cache)).await;
    token.expect("not the former error again");
    assert!(span > 20 * SECOND, "{span:?}");
}

#[tokio::test(start_paused = true)]
async fn a_token_from_the_store_needs_no_room() {
    let script = Script::default();
    let store = Arc::new(MemoryStore::new());
    let shared = |origin, windows: &[&str]| {
        let oauth = with_store(Grant::client_credentials(), store.clone());
        at(origin, windows, oauth, &script)
    };
    let first = shared("adopted", &["2/h"]);
    token(&first).await.expect("a token");
    pass(SECOND).await;
    for _ in 0..3 {
        let next = shared("adopted", &["2/h"]);
        assert!(now_or_never(&next).await.is_ok(), "adopted");
    }
    assert_eq!(script.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_revocation_counts_and_waits_a_minute_for_room_but_not_an_hour() {
    let script = Script::of([issue("a"), Act::Answer(200, String::new())]);
    let cache = account("revoked", &["1/30s"], &script);
    token(&cache).await.expect("a token");
    let (revoked, span) = timed(cache.revoke()).await;
    revoked.expect("revoked");
    assert!(span > 30 * SECOND, "{span:?}");
    let error = now_or_never(&cache).await.expect_err("it counted");
    assert!(
        matches!(error.recovery(), Recovery::WaitUntil(_)),
        "{error}"
    );

    let cache = account("never", &["1/h"], &script);
    token(&cache).await.expect("a token");
    let (revoked, span) = timed(cache.revoke()).await;
    let error = revoked.expect_err("no room");
    assert!(
        matches!(error.recovery(), Recovery::WaitUntil(_)),
        "{error}"
    );
    assert_eq!(span, Duration::ZERO);
    assert!(cache.ready(clock().now()).is_some(), "nothing has changed");
}

/// It was told what the last renewal failed for, that a person must log in.
#[tokio::test(start_paused = true)]
async fn a_login_without_room_is_told_so_though_the_account_waits_for_a_login() {
    let script = Script::default();
    let callback = "http://127.0.0.1:8139/callback";
    let mut login = with_store(Grant::authorization_code(callback), MemoryStore::new());
    login.authorization_url = Url::parse("https://login.example/authorize").ok();
    let other = account("latched-login", &["1/h"], &script);
    let cache = at("latched-login", &["1/h"], login, &script);
    let latched = now_or_never(&cache).await.expect_err("nobody logged in");
    assert_eq!(latched.kind(), ErrorKind::LoginRequired);
    token(&other).await.expect("a token");
    let request = cache.authorization_request().expect("a request");
    let address = format!("{callback}?code=c0de&state={}", request.state());
    let error = request.exchange(&address).await.expect_err("no room");
    assert_eq!(error.kind(), ErrorKind::TokenEndpoint);
    assert!(matches!(error.recovery(), Recovery::WaitUntil(_)));
}

#[tokio::test(start_paused = true)]
async fn a_login_without_room_sends_nothing_and_its_code_stays_good() {
    let callback = "http://127.0.0.1:8139/callback";
    let mut login = with_store(Grant::authorization_code(callback), MemoryStore::new());
    login.authorization_url = Url::parse("https://login.example/authorize").ok();
    let script = Script::of([issue("other"), rotate("a", "r1")]);
    let other = account("login", &["1/h"], &script);
    let cache = at("login", &["1/h"], login, &script);
    token(&other).await.expect("a token");
    let request = cache.authorization_request().expect("a request");
    let address = format!("{callback}?code=c0de&state={}", request.state());
    let error = request.exchange(&address).await.expect_err("no room");
    assert!(
        matches!(error.recovery(), Recovery::WaitUntil(_)),
        "{error}"
    );
    assert_eq!(script.requests(), 1);
    pass(3_600 * SECOND).await;
    request.exchange(&address).await.expect("the same address");
    assert_eq!(script.presented()[1], "c0de");
    let error = other
        .token(Need::NewerThan(1), IMPATIENT)
        .await
        .expect_err("it counted");
    assert!(
        matches!(error.recovery(), Recovery::WaitUntil(_)),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the accounts of an origin do and whatever its endpoint answers: never more requests
    /// in any second, and none of them waits for ever.
    #[test]
    fn no_published_window_is_exceeded_by_any_number_of_accounts(
        accounts in 1..5_usize,
        steps in prop::collection::vec((0..5_usize, 0..4_u8, 0..1_500_u64), 1..25),
        acts in prop::collection::vec(0..4_u8, 0..20),
        origin in any::<u64>(),
    ) {
        let moments = paused_runtime().block_on(async {
            let script = Script::of(acts.iter().map(|act| match act {
                0 => Act::Lost,
                1 => refuse(503, "x"),
                2 => Act::NotSent,
                _ => issue("x"),
            }));
            let origin = format!("origin{origin}");
            let windows = ["2/4s", "5/30s"];
            let accounts: Vec<_> = (0..accounts)
                .map(|_| account(&origin, &windows, &script))
                .collect();
            for (which, what, millis) in steps {
                let cache = &accounts[which % accounts.len()];
                match what {
                    0 => cache.invalidate(),
                    1 => drop(cache.ready(clock().now())),
                    2 => drop(now_or_never(cache).await),
                    _ => drop(token(cache).await),
                }
                pass(Duration::from_millis(millis)).await;
            }
            script.moments()
        });
        let sent = moments.iter().enumerate();
        let sent = sent.filter(|(number, _)| acts.get(*number) != Some(&2));
        let sent: Vec<_> = sent.map(|(_, moment)| *moment).collect();
        for (limit, seconds) in [(2, 4), (5, 30)] {
            let window = Duration::from_secs(seconds);
            let exceeded = |run: &[Moment]| run[limit] - run[0] < window;
            prop_assert!(!sent.windows(limit + 1).any(exceeded), "{sent:?}");
        }
    }
}
