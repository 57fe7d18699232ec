use super::*;
use crate::auth::cache::Cache;
use crate::auth::cache::state::Need;
use crate::auth::store::TokenStore;
use crate::auth::testing::*;
use crate::auth::{Grant, Health, OAuthSettings, testing};
use crate::stores::MemoryStore;
use std::time::Duration;

const CALLBACK: &str = "http://127.0.0.1:8139/callback";

fn settings_of_login() -> OAuthSettings {
    let mut settings = with_store(Grant::authorization_code(CALLBACK), MemoryStore::new());
    settings.authorization_url = Url::parse("https://login.example/authorize?tenant=7").ok();
    settings
}

fn cache(script: &Script, log: &Log) -> Arc<Cache> {
    let settings = settings(None, log);
    let endpoint = Box::new(script.clone());
    Arc::new(Cache::new(
        &settings,
        Arc::new(settings_of_login()),
        endpoint,
    ))
}

fn request(cache: &Cache) -> AuthorizationRequest {
    cache.authorization_request().expect("a request")
}

fn answer_to(request: &AuthorizationRequest) -> String {
    format!("{CALLBACK}?code=c0de&state={}", request.state())
}

async fn log_in(cache: &Cache) -> Result<(), Error> {
    let request = request(cache);
    request.exchange(&answer_to(&request)).await
}

async fn token(cache: &Cache) -> Result<String, Error> {
    match cache.ready(clock().now()) {
        Some(token) => Ok(token.secret().to_owned()),
        None => {
            let token = cache.token(Need::Usable, IMPATIENT).await?;
            Ok(token.secret().to_owned())
        }
    }
}

fn pairs(url: &Url) -> Vec<(String, String)> {
    url.query_pairs().into_owned().collect()
}

#[test]
fn the_address_keeps_its_query_and_holds_what_pkce_and_the_grant_ask_for() {
    let mut settings = settings_of_login();
    settings.scope = Some("orders offline".into());
    let account = super::super::testing::settings(None, &Log::default());
    let cache = Cache::new(&account, Arc::new(settings), Box::new(Script::default()));
    let request = request(&cache);
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(request.verifier.as_bytes()));
    let expected = [
        ("tenant", "7"),
        ("response_type", "code"),
        ("client_id", "my id"),
        ("redirect_uri", CALLBACK),
        ("scope", "orders offline"),
        ("state", request.state()),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(pairs(request.url()), expected);
    assert_eq!(request.verifier.len(), 43);
    assert!(!request.url().as_str().contains(request.verifier.as_str()));
}

#[test]
fn a_login_without_pkce_names_no_challenge() {
    let mut settings = settings_of_login();
    settings.pkce = false;
    let account = super::super::testing::settings(None, &Log::default());
    let cache = Cache::new(&account, Arc::new(settings), Box::new(Script::default()));
    let request = request(&cache);
    let expected = [
        ("tenant", "7"),
        ("response_type", "code"),
        ("client_id", "my id"),
        ("redirect_uri", CALLBACK),
        ("state", request.state()),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(pairs(request.url()), expected);
}

#[test]
fn a_listener_learns_where_to_listen_and_what_to_wait_for() {
    let cache = cache(&Script::default(), &Log::default());
    let (one, two) = (request(&cache), request(&cache));
    assert_eq!(one.redirect_uri().as_str(), CALLBACK);
    assert!(one.is_answered_by(&answer_to(&one)));
    assert!(!one.is_answered_by(&answer_to(&two)));
    assert!(!one.is_answered_by("https://["));
}

/// The example of RFC 7636, appendix B.
#[test]
fn the_challenge_is_that_of_the_rfc() {
    assert_eq!(
        challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    );
}

#[test]
fn no_two_logins_are_alike_and_none_shows_its_secrets() {
    let cache = cache(&Script::default(), &Log::default());
    let (one, two) = (request(&cache), request(&cache));
    assert_ne!(one.state(), two.state());
    assert_ne!(*one.verifier, *two.verifier);
    let shown = format!("{one:?}");
    assert!(
        !shown.contains(one.verifier.as_str()) && !shown.contains(one.state()),
        "{shown}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_login_ends_the_latch_and_its_refresh_token_renews() {
    let script = Script::of([rotate("a1", "r1"), rotate("a2", "r2")]);
    let log = Log::default();
    let cache = cache(&script, &log);
    let error = token(&cache).await.expect_err("nobody has logged in");
    assert_eq!(error.recovery(), Recovery::LogIn);

    log_in(&cache).await.expect("a login");
    assert_eq!(token(&cache).await.expect("a token"), "a1");
    assert_eq!(log.count("TokenSaved"), 1, "{:?}", log.lines());

    clock().sleep(Duration::from_secs(590)).await;
    assert_eq!(token(&cache).await.expect("a token"), "a2");
    assert_eq!(script.presented(), ["c0de", "r1"]);
    assert_eq!(log.count("TokenRequested { reason: LoggedIn }"), 1);
}

#[tokio::test(start_paused = true)]
async fn the_tokens_are_stored_when_the_exchange_returns() {
    let store = MemoryStore::new();
    let mut settings = settings_of_login();
    settings.store = Some(Arc::new(store.clone()));
    let key = crate::auth::persistence::record::key("test", &settings);
    let account = super::super::testing::settings(None, &Log::default());
    let script = Script::of([rotate("a1", "r1")]);
    let cache = Cache::new(&account, Arc::new(settings), Box::new(script));
    log_in(&cache).await.expect("a login");
    let record = store.load(&key).await.expect("a store").expect("a record");
    let text = String::from_utf8(record.bytes).expect("text");
    assert!(text.contains("r1") && text.contains("a1"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_address_spends_nothing_and_the_right_one_may_follow() {
    let script = Script::of([rotate("a1", "r1")]);
    let cache = cache(&script, &Log::default());
    let request = request(&cache);
    for wrong in [
        "http://127.0.0.1:8139/callback?code=c0de&state=another",
        "http://127.0.0.1:8139/elsewhere",
    ] {
        let error = request.exchange(wrong).await.expect_err(wrong);
        assert_eq!(error.kind(), ErrorKind::LoginRequired);
        assert_eq!(error.account(), Some("test"));
    }
    assert_eq!(script.requests(), 0);
    request
        .exchange(&answer_to(&request))
        .await
        .expect("a login");
}

#[tokio::test(start_paused = true)]
async fn a_code_is_sent_once() {
    let script = Script::of([rotate("a1", "r1")]);
    let cache = cache(&script, &Log::default());
    let request = request(&cache);
    request
        .exchange(&answer_to(&request))
        .await
        .expect("a login");
    let error = request
        .exchange(&answer_to(&request))
        .await
        .expect_err("it was used");
    assert!(error.to_string().contains("sent already"), "{error}");
    assert_eq!(script.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_code_whose_answer_is_lost_is_not_sent_again() {
    for act in [Act::Lost, refuse(503, "x"), Act::Answer(200, "{}".into())] {
        let script = Script::of([act]);
        let cache = cache(&script, &Log::default());
        let error = log_in(&cache).await.expect_err("lost");
        assert_eq!(error.recovery(), Recovery::LogIn);
        assert!(error.to_string().contains("may be used up"), "{error}");
        assert_eq!(script.requests(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_code_that_never_left_may_be_sent_again() {
    let script = Script::of([Act::NotSent, rotate("a1", "r1")]);
    let cache = cache(&script, &Log::default());
    let request = request(&cache);
    let error = request
        .exchange(&answer_to(&request))
        .await
        .expect_err("no route");
    assert_eq!(error.recovery(), Recovery::Retry);
    request
        .exchange(&answer_to(&request))
        .await
        .expect("a login");
}

#[tokio::test(start_paused = true)]
async fn a_late_code_asks_for_a_new_login_and_an_unknown_client_for_another_configuration() {
    let script = Script::of([refuse(400, "invalid_grant"), refuse(401, "invalid_client")]);
    let cache = cache(&script, &Log::default());
    let late = log_in(&cache).await.expect_err("late");
    assert_eq!(
        (late.kind(), late.recovery()),
        (ErrorKind::LoginRequired, Recovery::LogIn)
    );
    assert!(late.to_string().contains("came too late"), "{late}");
    assert!(!late.to_string().contains("c0de"), "{late}");
    let unknown = log_in(&cache).await.expect_err("unknown");
    assert_eq!(unknown.recovery(), Recovery::Reconfigure);
}

#[tokio::test(start_paused = true)]
async fn a_failed_login_leaves_the_tokens_of_the_former_one_in_use() {
    let script = Script::of([
        rotate("a1", "r1"),
        refuse(400, "invalid_grant"),
        rotate("a2", "r2"),
    ]);
    let cache = cache(&script, &Log::default());
    log_in(&cache).await.expect("a login");
    log_in(&cache).await.expect_err("late");
    assert_eq!(token(&cache).await.expect("a token"), "a1");
    clock().sleep(Duration::from_secs(590)).await;
    assert_eq!(token(&cache).await.expect("a token"), "a2");
    assert_eq!(script.presented(), ["c0de", "c0de", "r1"]);
}

#[tokio::test(start_paused = true)]
async fn a_login_replaces_the_former_one_even_without_a_refresh_token() {
    let script = Script::of([rotate("a1", "r1"), issue("b1")]);
    let cache = cache(&script, &Log::default());
    log_in(&cache).await.expect("a login");
    log_in(&cache).await.expect("another");
    assert_eq!(token(&cache).await.expect("a token"), "b1");
    clock().sleep(Duration::from_secs(590)).await;
    let error = token(&cache).await.expect_err("r1 is another person's");
    assert_eq!(error.recovery(), Recovery::LogIn);
    assert_eq!(script.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_in_a_wreck_of_an_answer_is_a_login() {
    let wreck = Act::Answer(200, r#"{"refresh_token":"r1","access_token":"tor"#.into());
    let script = Script::of([wreck, rotate("a2", "r2")]);
    let cache = cache(&script, &Log::default());
    log_in(&cache).await.expect("a login");
    assert_eq!(token(&cache).await.expect("a token"), "a2");
    assert_eq!(script.presented(), ["c0de", "r1"]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_away_does_not_lose_the_login() {
    let script = Script::of([rotate("a1", "r1")]);
    let cache = cache(&script, &Log::default());
    let request = request(&cache);
    let address = answer_to(&request);
    {
        let exchange = std::pin::pin!(request.exchange(&address));
        let hurried = clock().sleep(Duration::from_millis(100));
        let ended = futures_util::future::select(exchange, hurried).await;
        assert!(matches!(ended, futures_util::future::Either::Right(_)));
    }
    clock().sleep(Duration::from_secs(2)).await;
    assert_eq!(token(&cache).await.expect("a token"), "a1");
}

#[tokio::test(start_paused = true)]
async fn a_login_waits_for_the_flight_under_way_and_for_the_launch_bucket() {
    let script = Script::of([
        rotate("a1", "r1"),
        rotate("a2", "r2"),
        rotate("a3", "r3"),
        rotate("a4", "r4"),
    ]);
    let cache = cache(&script, &Log::default());
    log_in(&cache).await.expect("a login");
    cache.invalidate();
    let renewal = cache.token(Need::Usable, IMPATIENT);
    let (renewed, login) = futures_util::future::join(renewal, log_in(&cache)).await;
    assert_eq!(renewed.expect("a token").secret(), "a2");
    login.expect("a login");
    assert_eq!(script.presented(), ["c0de", "r1", "c0de"]);
    assert_eq!(token(&cache).await.expect("a token"), "a3");
}

#[tokio::test(start_paused = true)]
async fn requests_without_a_token_wait_for_the_login_under_way() {
    let script = Script::of([rotate("a1", "r1")]);
    let cache = cache(&script, &Log::default());
    let waiting = async {
        clock().sleep(Duration::from_millis(100)).await;
        token(&cache).await
    };
    let (login, token) = futures_util::future::join(log_in(&cache), waiting).await;
    login.expect("a login");
    assert_eq!(token.expect("a token"), "a1");
    assert_eq!(script.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn requests_that_waited_for_a_failed_login_get_the_error_from_before() {
    let script = Script::of([refuse(400, "invalid_grant")]);
    let cache = cache(&script, &Log::default());
    token(&cache).await.expect_err("nobody has logged in");
    let waiting = async {
        clock().sleep(Duration::from_millis(100)).await;
        token(&cache).await
    };
    let (login, token) = futures_util::future::join(log_in(&cache), waiting).await;
    login.expect_err("late");
    let error = token.expect_err("no login");
    assert!(
        error
            .to_string()
            .contains("the token store has no refresh token"),
        "{error}"
    );
}

#[test]
fn an_account_without_an_authorization_url_or_with_another_grant_cannot_begin_a_login() {
    let account = super::super::testing::settings(None, &Log::default());
    let mut no_url = settings_of_login();
    no_url.authorization_url = None;
    let mut other = settings_of_login();
    other.grant = Grant::client_credentials();
    for (settings, field) in [(no_url, "authorization_url: "), (other, "grant: ")] {
        let cache = Cache::new(&account, Arc::new(settings), Box::new(Script::default()));
        let error = cache.authorization_request().expect_err(field);
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(field), "{error}");
    }
}

/// Latches on `invalid_grant` after a first login, then logs in again.
async fn latched_and_logged_in_again(cache: &Cache, log: &Log) {
    log_in(cache).await.expect("the first login");
    clock().sleep(3_600 * testing::SECOND).await;
    let error = token(cache).await.expect_err("latched");
    assert_eq!(error.recovery(), Recovery::LogIn);
    assert!(Health::of(&cache.shared).needs_login);
    clock().sleep(24 * 3_600 * testing::SECOND).await;
    token(cache).await.expect_err("for ever");
    log_in(cache).await.expect("a new login");
    assert_eq!(token(cache).await.expect("a token"), "second");
    let health = Health::of(&cache.shared);
    assert!(health.is_ready && !health.needs_login, "{health}");
    assert!(health.last_error.is_none(), "{health}");
    assert_eq!(log.count("TokenFailed"), 1);
}

fn two_logins() -> Script {
    Script::of([
        rotate("first", "r1"),
        refuse(400, "invalid_grant"),
        rotate("second", "r2"),
    ])
}

#[tokio::test(start_paused = true)]
async fn a_latch_ends_with_a_new_login_where_there_is_a_memory_store() {
    let log = Log::default();
    let cache = cache(&two_logins(), &log);
    latched_and_logged_in_again(&cache, &log).await;
}

#[tokio::test(start_paused = true)]
async fn a_latch_ends_with_a_new_login_where_there_is_no_store() {
    let (log, script) = (Log::default(), two_logins());
    let oauth = OAuthSettings {
        store: None,
        ..settings_of_login()
    };
    let cache = Cache::new(&settings(None, &log), Arc::new(oauth), Box::new(script));
    latched_and_logged_in_again(&cache, &log).await;
}

#[tokio::test(start_paused = true)]
async fn a_login_that_takes_the_place_of_a_living_one_is_reported() {
    let logins = [rotate("first", "r1"), rotate("second", "r2")];
    let (script, log) = (Script::of(logins), Log::default());
    let cache = cache(&script, &log);
    log_in(&cache).await.expect("a login");
    assert_eq!(log.count("LoginReplaced"), 0, "there was none before");
    log_in(&cache).await.expect("another login");
    assert_eq!(log.count("LoginReplaced"), 1);
}
