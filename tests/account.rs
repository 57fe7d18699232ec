//! What `AccountBuilder::build` takes and what it refuses.

#![allow(clippy::expect_used)] // The lint spares tests, but not what they share.

use std::time::Duration;

use reqwest_tollgate::{
    Account, AccountBuilder, Environment, Error, ErrorKind, Event, Grant, MemoryStore, Quota,
    Recovery, RequestOptions, Rule, Secret, Verdict, Window,
};

const CANARY: &str = "canary-4711";

fn acme() -> AccountBuilder {
    Account::builder("acme", "https://api.acme.example")
}

fn with_token() -> AccountBuilder {
    acme()
        .token_url("https://login.acme.example/token")
        .client_id("id")
        .client_secret(CANARY)
}

fn refused(builder: AccountBuilder) -> String {
    let error: Error = builder.build().expect_err("it should not build");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(error.recovery(), Recovery::Reconfigure);
    let text = format!("{error}\n{error:?}");
    assert!(!text.contains(CANARY), "{text}");
    error.to_string()
}

#[test]
fn an_account_without_a_token_endpoint_is_ready_and_one_with_has_to_be_asked_first() {
    let health = acme().build().expect("an account").health();
    assert!(health.is_ready && health.expires_at.is_none());
    assert_eq!(health.to_string(), "account acme: ready");
    let health = with_token().build().expect("an account").health();
    assert!(!health.is_ready && !health.needs_login && health.last_error.is_none());
}

#[test]
fn an_account_needs_no_more_than_a_name_and_a_url() {
    let account = acme().build().expect("builds");
    assert_eq!(account.name(), "acme");
    assert_eq!(account.base_url().as_str(), "https://api.acme.example/");
}

#[test]
fn every_problem_is_listed_on_its_own_line_with_its_field() {
    let error = refused(
        with_token()
            .name(" ")
            .base_url("api.acme.example")
            .origin("https://cdn.acme.example/files")
            .header("two words", CANARY)
            .header("X-Key", Secret::env("TOLLGATE_NO_SUCH_VARIABLE"))
            .token_header("X-Line", format!("{CANARY}\n"))
            .client_id("")
            .request_id_header("¿")
            .window(Window::new(0, Duration::ZERO))
            .quota(Quota::new("").path("search"))
            .max_in_flight(0)
            .unanswered_after(Duration::ZERO)
            .fallback_lifetime(Duration::ZERO)
            .token_window(Window::per_second(1).reserve(1))
            .not_the_token(" ")
            .grant(Grant::authorization_code("nonsense")),
    );
    for expected in [
        "\nname: is empty",
        "\nbase_url: found \"api.acme.example\", which has no scheme; did you mean",
        "\norigins: found \"https://cdn.acme.example/files\"; expected scheme, host and port only",
        "\nheaders.two words: \"two words\" is not a header name",
        "\nheaders.X-Key: environment variable TOLLGATE_NO_SUCH_VARIABLE is not set",
        "\ntoken_headers.X-Line: found a line break within; expected one line",
        "\nclient_id: is missing",
        "\nrequest_id_header: \"¿\" is not a header name",
        "\nwindows: 0/0day: a window's limit must be at least 1",
        "\nquotas: found a quota without a name",
        "\nquotas..paths: found \"search\"; expected the beginning of a path",
        "\nmax_in_flight: found 0; expected at least 1",
        "\nunanswered_after: found 0; expected more",
        "\nfallback_lifetime: found 0; expected more",
        "\ntoken_windows[0]: a reserve of 1 leaves nothing of a limit of 1",
        "\ntoken_windows[0]: has a unit, pacing, a reserve, headers or raises to follow",
        "\nnot_the_token: found an empty phrase",
        "\nredirect_uri: found \"nonsense\"; expected the absolute URL",
        "\ntoken_store: is missing;",
    ] {
        assert!(error.contains(expected), "{expected:?} is not in:\n{error}");
    }
    // A title, these, and the length of the window.
    assert_eq!(error.lines().count(), 1 + 19 + 1, "{error}");
}

#[test]
fn a_name_that_breaks_or_turns_a_line_is_refused_in_one_that_does_not() {
    for name in [
        "a\nlogin: fine",
        "a\r\nb",
        "a\u{202e}b",
        "a\u{2028}b",
        "\u{1b}[2J",
    ] {
        let error = refused(acme().name(name));
        assert!(
            error.contains("name: found a line break or another"),
            "{error}"
        );
        assert!(!error.contains(name) && error.lines().count() == 1);
        // Its name is the place of what is wrong in it.
        let error = refused(acme().quota(Quota::new(name).path("search")));
        assert!(error.contains("in the name of a quota"), "{error}");
        assert!(
            error.contains("expected the beginning of a path"),
            "{error}"
        );
        assert!(!error.contains(name) && error.lines().count() == 3);
    }
}

#[test]
fn no_patience_with_another_process_is_refused_and_no_grace_of_the_server_is_a_setting() {
    let rotating = || {
        with_token()
            .grant(Grant::refresh_token("r0"))
            .token_store(MemoryStore::new())
    };
    let error = refused(rotating().orphan_patience(Duration::ZERO));
    let expected = "orphan_patience: found 0; expected more";
    assert!(error.contains(expected), "{error}");
    let built = rotating().refresh_token_grace(Duration::ZERO).build();
    assert!(built.is_ok(), "{:?}", built.err());
}

#[test]
fn plain_http_is_refused_but_within_the_machine() {
    for builder in [
        Account::builder("acme", "http://api.acme.example"),
        acme().origin("http://cdn.acme.example"),
        with_token().token_url("http://login.acme.example/token"),
    ] {
        let error = refused(builder);
        assert!(error.contains("over plain http; expected https"), "{error}");
    }
    assert!(
        Account::builder("acme", "http://127.0.0.1:1")
            .build()
            .is_ok()
    );
    assert!(acme().origin("http://localhost:1").build().is_ok());
    let error = refused(Account::builder("acme", "ftp://api.acme.example"));
    assert!(
        error.contains("expected an absolute URL such as https://"),
        "{error}"
    );
}

#[test]
fn a_url_shows_neither_password_nor_query() {
    let url = format!("https://user:{CANARY}@api.acme.example/?key={CANARY}");
    let error = refused(Account::builder("acme", &url).token_url(format!("http://x/?{CANARY}")));
    assert!(error.contains("***@api.acme.example/"), "{error}");
}

#[test]
fn a_grant_with_a_refresh_token_asks_for_a_store() {
    for grant in [
        Grant::refresh_token(CANARY),
        Grant::authorization_code("https://localhost:8139/callback"),
    ] {
        let error = refused(with_token().grant(grant.clone()));
        assert!(error.contains("token_store: is missing"), "{error}");
        assert!(error.contains("MemoryStore::new()"), "{error}");
        assert!(
            with_token()
                .grant(grant)
                .token_store(MemoryStore::new())
                .build()
                .is_ok()
        );
    }
}

/// Where the store has its successors, the first refresh token may be gone.
#[test]
fn a_refresh_token_kept_elsewhere_is_no_matter_of_build_where_there_is_a_store() {
    let gone = Secret::env("TOLLGATE_NO_SUCH_VARIABLE");
    let with = |initial: Secret| with_token().grant(Grant::refresh_token(initial));
    let built = with(gone.clone()).token_store(MemoryStore::new()).build();
    assert!(built.is_ok(), "{:?}", built.err());
    let error = refused(with(gone));
    let named = "refresh_token: environment variable TOLLGATE_NO_SUCH_VARIABLE is not set";
    assert!(error.contains(named), "{error}");
    for (literal, flaw) in [(" ", "is empty"), ("a\nb", "a line break within")] {
        let error = refused(with(Secret::from(literal)).token_store(MemoryStore::new()));
        assert!(
            error.contains("refresh_token: ") && error.contains(flaw),
            "{error}"
        );
    }
}

#[test]
fn what_nothing_uses_without_a_token_url_is_named() {
    let builder = acme()
        .client_secret(CANARY)
        .scope("all")
        .scope_on_refresh(true)
        .token_rule(Rule::new(403, Verdict::Unavailable))
        .grant(Grant::client_credentials());
    let error = refused(builder);
    let fields = [
        "client_secret",
        "scope",
        "scope_on_refresh",
        "token_rules",
        "grant",
    ];
    for field in fields {
        assert!(
            error.contains(&format!("\n{field}: is set, but nothing uses it")),
            "{error}"
        );
    }
}

#[test]
fn a_scope_on_refresh_without_a_scope_or_a_refresh_token_is_an_error() {
    let builder = || {
        acme()
            .token_url("token")
            .client_id("id")
            .token_store(MemoryStore::new())
            .scope_on_refresh(true)
    };
    let refreshing = || builder().grant(Grant::refresh_token("r1"));
    assert!(refreshing().scope("all").build().is_ok());
    let error = refused(refreshing());
    assert!(
        error.contains("scope_on_refresh: is set, but there is no scope"),
        "{error}"
    );
    let error = refused(builder().scope("all"));
    assert!(
        error.contains("scope_on_refresh: is set, but nothing uses it with this grant"),
        "{error}"
    );
}

#[test]
fn a_rule_for_the_wrong_server_is_named_with_those_that_fit() {
    let builder = || acme().token_url("token").client_id("id");
    let error = refused(builder().token_rule(Rule::new(401, Verdict::TokenRejected)));
    assert!(
        error.contains("token_rules[0]: found TokenRejected"),
        "{error}"
    );
    assert!(error.contains("GrantRejected"), "{error}");
    let error = refused(builder().rule(Rule::new(403, Verdict::GrantRejected)));
    assert!(error.contains("rules[0]: found GrantRejected"), "{error}");
    assert!(error.contains("TokenRejected"), "{error}");
}

#[test]
fn a_secret_that_cannot_be_read_is_told_before_the_first_request() {
    let missing = || Secret::file("no/such/file");
    for (builder, field) in [
        (with_token().client_secret(missing()), "client_secret"),
        (
            with_token().token_field("audience", missing()),
            "token_fields.audience",
        ),
        (
            with_token().token_header("X-Key", missing()),
            "token_headers.X-Key",
        ),
        (acme().header("X-Key", missing()), "headers.X-Key"),
    ] {
        let error = refused(builder);
        assert!(
            error.contains(&format!("{field}: cannot read no/such/file")),
            "{error}"
        );
    }
}

#[test]
fn an_own_authorization_header_and_a_token_are_one_too_many() {
    let error = refused(with_token().header("Authorization", format!("Bearer {CANARY}")));
    assert!(
        error.contains("headers.authorization: is set, but the token"),
        "{error}"
    );
    assert!(
        acme()
            .header("Authorization", format!("Bearer {CANARY}"))
            .build()
            .is_ok()
    );
}

#[test]
fn a_path_belongs_to_one_quota() {
    let builder = acme()
        .quota(Quota::new("one").path("/a"))
        .quota(Quota::new("two").path("/a"));
    let error = refused(builder);
    assert!(
        error.contains("quotas.two.paths: \"/a\" is a path of the quota \"one\""),
        "{error}"
    );
}

#[test]
fn a_default_quota_option_must_name_a_quota() {
    let builder = || acme().quota(Quota::new("search").path("/search/"));
    let options = |quota| RequestOptions::new().quota(quota);
    let error = refused(builder().options(options("serch")));
    assert!(error.contains("there is no quota \"serch\""), "{error}");
    assert!(builder().options(options("search")).build().is_ok());
}

#[test]
fn an_unknown_sandbox_is_a_problem_unless_the_base_url_is_ones_own() {
    let builder = || acme().environment(Environment::Sandbox);
    let error = refused(builder());
    assert!(
        error.contains("environment: the sandbox of this distributor is not known"),
        "{error}"
    );
    assert!(
        builder()
            .base_url("https://sandbox.acme.example")
            .build()
            .is_ok()
    );
}

#[test]
fn a_second_account_with_the_same_credentials_is_told_and_a_clone_is_not() {
    let told = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let build = || {
        let told = told.clone();
        let count = move |_: &str, event: &Event| {
            if matches!(event, Event::SecondLedger) {
                told.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        };
        let account = Account::builder("twice", "https://api.twice.example").observer(count);
        account.build().unwrap()
    };
    let told = || told.load(std::sync::atomic::Ordering::Relaxed);
    let first = build();
    let _clone = first.clone();
    assert_eq!(told(), 0);
    let second = build();
    assert_eq!(told(), 1);
    drop((first, second, _clone));
    build();
    assert_eq!(told(), 1, "the others are gone");
}

/// Each pair differs in one of the things that make tokens different.
#[test]
fn accounts_whose_tokens_differ_are_no_second_ledgers_of_one_another() {
    use reqwest_tollgate::JwtBearer;

    type Change = fn(AccountBuilder) -> AccountBuilder;
    let changes: [(&str, Change); 12] = [
        ("as it is", |b| b),
        ("token URL", |b| b.token_url("other/token")),
        ("client id", |b| b.client_id("other")),
        ("scope", |b| b.scope("write")),
        ("token field", |b| b.token_field("resource", "one")),
        ("value of a token field", |b| {
            b.token_field("resource", "two")
        }),
        ("grant", |b| b.grant(Grant::password("alice", "p"))),
        ("user", |b| b.grant(Grant::password("bob", "p"))),
        ("subject", |b| {
            b.grant(Grant::jwt_bearer(
                JwtBearer::hs256("iss", "key").subject("alice"),
            ))
        }),
        ("claim", |b| {
            let assertion = JwtBearer::hs256("iss", "key").subject("alice");
            b.grant(Grant::jwt_bearer(assertion.claim("box", "eu")))
        }),
        ("token header", |b| b.token_header("X-Tenant", "one")),
        ("value of a token header", |b| {
            b.token_header("X-Tenant", "two")
        }),
    ];
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let build = |what: &str, change: Change| {
        let (told, what) = (told.clone(), what.to_owned());
        let count = move |_: &str, event: &Event| {
            if matches!(event, Event::SecondLedger) {
                told.lock().unwrap().push(what.clone());
            }
        };
        let builder = Account::builder("apart", "https://api.apart.example")
            .token_url("token")
            .client_id("id")
            .observer(count);
        change(builder).build().unwrap()
    };
    let _accounts = changes.map(|(what, change)| build(what, change));
    assert_eq!(*told.lock().unwrap(), [""; 0]);
    // And each is one of its like.
    let _again = changes.map(|(what, change)| build(what, change));
    assert_eq!(*told.lock().unwrap(), changes.map(|(what, _)| what));
}

#[test]
fn a_line_break_in_a_client_id_or_a_scope_is_refused_by_its_field() {
    let error = Account::builder("acme", "https://api.acme.example")
        .token_url("token")
        .client_id("my-client-id\n")
        .scope("read\r\n")
        .build()
        .unwrap_err();
    let text = error.to_string();
    for field in ["client_id", "scope"] {
        let expected = format!("{field}: found a line break or another control character");
        assert!(text.contains(&expected), "{text}");
    }
}
