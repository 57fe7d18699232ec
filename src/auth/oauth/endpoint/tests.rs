use super::*;
use crate::auth::Grant;
use crate::auth::testing::oauth;
use crate::clock::{Now, SystemClock};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::ACCEPT;
use httpmock::prelude::*;

const REQUEST: Presentation<'_> = Presentation::ClientCredentials;
const FORM: &str = "application/x-www-form-urlencoded";

fn endpoint(server: &MockServer) -> HttpEndpoint {
    let mut settings = oauth(Grant::client_credentials());
    settings.token_url = Url::parse(&server.url("/token")).expect("a URL");
    settings.client_id = Some("my id".into());
    settings.client_secret = Some(Secret::from("p:w +ü"));
    HttpEndpoint::new(&settings, Arc::new(SystemClock))
}

async fn status(endpoint: &HttpEndpoint, refresh_token: Option<&str>) -> u16 {
    match endpoint
        .request(refresh_token.map_or(Presentation::ClientCredentials, Presentation::RefreshToken))
        .await
    {
        Delivery::Answered { reply, .. } => reply.status.as_u16(),
        Delivery::NotSent(refusal) | Delivery::Lost { refusal, .. } => {
            panic!("{}", refusal.message)
        }
    }
}

#[tokio::test]
async fn basic_percent_encodes_id_and_secret() {
    let server = MockServer::start();
    let expected = STANDARD.encode("my%20id:p%3Aw%20%2B%C3%BC");
    let mock = server.mock(|when, then| {
        when.method(POST)
            .path("/token")
            .header("authorization", format!("Basic {expected}"))
            .header("accept", "application/json")
            .header("content-type", FORM)
            .body("grant_type=client_credentials");
        then.status(200);
    });
    assert_eq!(status(&endpoint(&server), None).await, 200);
    mock.assert_calls(1);
}

#[tokio::test]
async fn raw_basic_encodes_nothing() {
    let server = MockServer::start();
    let expected = STANDARD.encode("my id:p:w +ü");
    let mock = server.mock(|when, then| {
        when.header("authorization", format!("Basic {expected}"));
        then.status(200);
    });
    let mut endpoint = endpoint(&server);
    endpoint.client_auth = ClientAuth::BasicRaw;
    assert_eq!(status(&endpoint, None).await, 200);
    mock.assert_calls(1);
}

#[tokio::test]
async fn body_authentication_extra_fields_and_headers_ride_along() {
    let server = MockServer::start();
    let mock = server.mock(|when, then| {
        when.header("x-extra", "1")
            .header("accept", "text/plain")
            .header_missing("authorization")
            .form_urlencoded_tuple("grant_type", "client_credentials")
            .form_urlencoded_tuple("client_id", "my id")
            .form_urlencoded_tuple("client_secret", "p:w +ü")
            .form_urlencoded_tuple("scope", "a b")
            .form_urlencoded_tuple("audience", "api");
        then.status(200);
    });
    let mut endpoint = endpoint(&server);
    endpoint.client_auth = ClientAuth::Body;
    endpoint.scope = Some("a b".into());
    endpoint.fields = vec![("audience".into(), Secret::from("api"))];
    endpoint
        .headers
        .insert("x-extra", HeaderValue::from_static("1"));
    endpoint
        .headers
        .insert(ACCEPT, HeaderValue::from_static("text/plain"));
    assert_eq!(status(&endpoint, None).await, 200);
    mock.assert_calls(1);
}

#[tokio::test]
async fn a_public_client_names_itself_in_the_body() {
    let server = MockServer::start();
    let mock = server.mock(|when, then| {
        when.header_missing("authorization")
            .body("grant_type=refresh_token&refresh_token=r+1&client_id=my+id");
        then.status(200);
    });
    let mut endpoint = endpoint(&server);
    endpoint.client_secret = None;
    assert_eq!(status(&endpoint, Some("r 1")).await, 200);
    mock.assert_calls(1);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = MockServer::start();
    let elsewhere = server.mock(|when, then| {
        when.path("/elsewhere");
        then.status(200);
    });
    server.mock(|when, then| {
        when.path("/token");
        then.status(307).header("location", "/elsewhere");
    });
    assert_eq!(status(&endpoint(&server), None).await, 307);
    elsewhere.assert_calls(0);
}

#[tokio::test]
async fn a_server_that_is_not_there_has_not_seen_the_request() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let server = MockServer::start();
    let mut endpoint = endpoint(&server);
    endpoint.url = Url::parse(&format!("http://{address}/t?key=abc")).expect("a URL");
    match endpoint.request(REQUEST).await {
        Delivery::NotSent(refusal) => assert!(!refusal.message.contains("abc")),
        _ => panic!("it cannot have been sent"),
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_lost_and_one_that_is_refused_is_not() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    let answers = [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"access",
        "",
        "HTTP/1.1 400 Bad Request\r\ncontent-length: 100\r\n\r\n{\"error",
    ];
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let mut settings = oauth(Grant::client_credentials());
    settings.token_url = Url::parse(&format!("http://{address}/token")).expect("a URL");
    let endpoint = HttpEndpoint::new(&settings, Arc::new(SystemClock));
    assert!(
        matches!(
            endpoint.request(Presentation::ClientCredentials).await,
            Delivery::Lost { .. }
        ),
        "torn"
    );
    assert!(
        matches!(
            endpoint.request(Presentation::ClientCredentials).await,
            Delivery::Lost { .. }
        ),
        "closed"
    );
    assert_eq!(status(&endpoint, None).await, 400);
}

/// A failing server's page says nothing, but its status does.
#[tokio::test]
async fn a_body_without_end_is_cut_off_and_its_status_kept() {
    for expected in [200, 400, 500, 503] {
        let server = MockServer::start();
        server.mock(|when, then| {
            when.path("/token");
            then.status(expected).body("x".repeat(2 * LONGEST_BODY));
        });
        let delivery = endpoint(&server).request(REQUEST).await;
        let Delivery::Answered { reply, .. } = delivery else {
            panic!("{expected} was not kept")
        };
        assert_eq!(reply.status.as_u16(), expected);
        assert_eq!(reply.body.len(), LONGEST_BODY + 1);
    }
}

#[tokio::test]
async fn a_missing_secret_is_a_sentence_that_names_its_place() {
    let server = MockServer::start();
    let mut endpoint = endpoint(&server);
    endpoint.client_secret = Some(Secret::env("TOLLGATE_NO_SUCH_SECRET"));
    match endpoint.request(Presentation::ClientCredentials).await {
        Delivery::NotSent(refusal) => {
            assert_eq!(refusal.class, Class::Misconfigured);
            assert!(refusal.message.contains("TOLLGATE_NO_SUCH_SECRET"));
        }
        _ => panic!("there was nothing to send"),
    }
}

#[tokio::test]
async fn a_code_is_presented_with_its_redirect_uri_and_verifier() {
    let server = MockServer::start();
    let mock = server.mock(|when, then| {
        when.header_exists("authorization")
            .form_urlencoded_tuple("grant_type", "authorization_code")
            .form_urlencoded_tuple("code", "c 1")
            .form_urlencoded_tuple("redirect_uri", "https://localhost/cb")
            .form_urlencoded_tuple("code_verifier", "v-1");
        then.status(400).body("c+1");
    });
    let code = Presentation::AuthorizationCode {
        code: "c 1",
        redirect_uri: "https://localhost/cb",
        verifier: Some("v-1"),
    };
    match endpoint(&server).request(code).await {
        Delivery::Answered { secrets, .. } => {
            for secret in ["c 1", "c+1", "v-1"] {
                assert!(secrets.iter().any(|known| **known == secret), "{secret}");
            }
        }
        _ => panic!("it was answered"),
    }
    mock.assert_calls(1);
}

#[tokio::test]
async fn a_secret_kept_elsewhere_is_read_again_for_every_request() {
    let server = MockServer::start();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    let mut settings = oauth(Grant::client_credentials());
    settings.token_url = Url::parse(&server.url("/token")).expect("a URL");
    settings.client_auth = ClientAuth::Body;
    settings.client_secret = Some(Secret::file(&file));
    let endpoint = HttpEndpoint::new(&settings, Arc::new(SystemClock));
    for secret in ["first", "second"] {
        std::fs::write(&file, secret).expect("written");
        let mock = server.mock(|when, then| {
            when.form_urlencoded_tuple("client_secret", secret);
            then.status(200);
        });
        assert_eq!(status(&endpoint, None).await, 200);
        mock.assert_calls(1);
    }
}

/// A server for one connection at a time: what it answers to each request, one connection each.
/// Nothing more is read once an answer is written.
async fn raw_server(answers: &'static [&'static [u8]]) -> Url {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(answer).await;
        }
    });
    Url::parse(&format!("http://{address}/token")).expect("a URL")
}

fn endpoint_at(url: Url) -> HttpEndpoint {
    let mut settings = oauth(Grant::client_credentials());
    settings.token_client = default_client(&url).expect("a client");
    settings.token_url = url;
    HttpEndpoint::new(&settings, Arc::new(SystemClock))
}

/// The rotated refresh token is there, and nowhere else.
#[tokio::test]
async fn an_answer_that_breaks_off_after_the_refresh_token_is_not_lost() {
    const TORN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n\
        {\"refresh_token\":\"r2\",\"access_tok";
    let endpoint = endpoint_at(raw_server(&[TORN]).await);
    let Delivery::Answered { reply, .. } = endpoint.request(REQUEST).await else {
        panic!("the refresh token is lost")
    };
    assert!(holds_refresh_token(&reply.body));
}

/// Whatever has to be waited for took too long already.
struct Impatient;

impl Clock for Impatient {
    fn now(&self) -> Now {
        SystemClock.now()
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test]
async fn the_status_of_an_answer_that_does_not_end_is_kept() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    for (code, is_kept) in [(400, true), (403, true), (503, true), (200, false)] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let head = format!("HTTP/1.1 {code} X\r\ncontent-length: 100\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).await;
            // Until the other side has gone.
            let _ = stream.read(&mut buffer).await;
        });
        let url = Url::parse(&format!("http://{address}/token")).expect("a URL");
        let mut endpoint = endpoint_at(url);
        endpoint.clock = Arc::new(Impatient);
        match endpoint.request(REQUEST).await {
            Delivery::Answered { reply, .. } => {
                assert!(is_kept && reply.status.as_u16() == code);
            }
            Delivery::Lost { refusal, .. } => {
                assert!(!is_kept, "{code}: {}", refusal.message);
                assert!(refusal.message.contains("timed out"), "{}", refusal.message);
            }
            Delivery::NotSent(refusal) => panic!("{}", refusal.message),
        }
        server.abort();
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_before_any_answer_is_told_from_other_losses() {
    const TORN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"acc";
    let endpoint = endpoint_at(raw_server(&[b"", TORN]).await);
    for expected in [true, false] {
        match endpoint.request(REQUEST).await {
            Delivery::Lost { is_closed, .. } => assert_eq!(is_closed, expected),
            _ => panic!("it is lost"),
        }
    }
    // It accepts, and says nothing.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let url = Url::parse(&format!("http://{address}/token")).expect("a URL");
    let mut hanging = endpoint_at(url);
    let client = Client::builder().timeout(Duration::from_millis(50));
    hanging.client = client.build().expect("a client");
    match hanging.request(REQUEST).await {
        Delivery::Lost { is_closed, .. } => assert!(!is_closed, "nothing was closed"),
        _ => panic!("it is lost"),
    }
}

/// A server that keeps the connection, and closes it while the second request is on its way.
#[tokio::test]
async fn a_kept_connection_that_the_server_closes_is_known_as_closed() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer).await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        let _ = stream.write_all(answer).await;
        let _ = stream.read(&mut buffer).await;
    });
    let url = Url::parse(&format!("http://{address}/token")).expect("a URL");
    let endpoint = endpoint_at(url);
    assert_eq!(status(&endpoint, None).await, 200);
    match endpoint.request(REQUEST).await {
        Delivery::Lost { is_closed, refusal } => {
            assert!(is_closed, "{}", refusal.message);
        }
        _ => panic!("it is lost"),
    }
}

#[tokio::test]
async fn token_requests_say_who_they_are_from_and_a_header_replaces_it() {
    let server = MockServer::start();
    let ours = concat!("reqwest-tollgate/", env!("CARGO_PKG_VERSION"));
    for agent in [ours, "parts-crawler/7"] {
        let mock = server.mock(|when, then| {
            when.header("user-agent", agent);
            then.status(200).body(r#"{"access_token":"t"}"#);
        });
        let builder = crate::Account::builder("acme", server.base_url())
            .token_url("token")
            .client_id("id");
        let builder = match agent {
            _ if agent == ours => builder,
            _ => builder.token_header("User-Agent", agent),
        };
        let account = builder.build().expect("an account");
        let _ = account.warm_up().await;
        mock.assert_calls(1);
    }
}

#[tokio::test]
async fn the_users_own_token_client_keeps_its_user_agent() {
    let server = MockServer::start();
    let mock = server.mock(|when, then| {
        when.header("user-agent", "mine/1");
        then.status(200);
    });
    let mut endpoint = endpoint(&server);
    let client = Client::builder().user_agent("mine/1").build();
    endpoint.client = client.expect("a client");
    assert_eq!(status(&endpoint, None).await, 200);
    mock.assert_calls(1);
}

#[tokio::test]
async fn the_scope_is_sent_on_a_refresh_only_where_that_is_asked_for() {
    let server = MockServer::start();
    let without = server.mock(|when, then| {
        when.body("grant_type=refresh_token&refresh_token=r1&client_id=my+id");
        then.status(200);
    });
    let with = server.mock(|when, then| {
        when.body("grant_type=refresh_token&refresh_token=r1&scope=a+b&client_id=my+id");
        then.status(200);
    });
    for (on_refresh, calls) in [(false, (1, 0)), (true, (1, 1))] {
        let mut settings = oauth(Grant::refresh_token("r1"));
        settings.token_url = Url::parse(&server.url("/token")).expect("a URL");
        settings.client_secret = None;
        settings.scope = Some("a b".into());
        settings.scope_on_refresh = on_refresh;
        assert_eq!(
            status(
                &HttpEndpoint::new(&settings, Arc::new(SystemClock)),
                Some("r1")
            )
            .await,
            200
        );
        assert_eq!((without.calls(), with.calls()), calls);
    }
    let mut endpoint = endpoint(&server);
    endpoint.scope_on_refresh = true;
    endpoint.scope = Some("a b".into());
    let code = Presentation::AuthorizationCode {
        code: "c",
        redirect_uri: "https://localhost/cb",
        verifier: None,
    };
    let body = endpoint.form(code).expect("a form").body;
    assert!(
        !body.contains("scope"),
        "it was asked for at the authorization endpoint"
    );
    assert!(!body.contains("code_verifier"), "the login has none");
}

#[tokio::test]
async fn an_answer_from_another_origin_is_not_read() {
    let server = MockServer::start();
    let elsewhere = MockServer::start();
    let foreign = elsewhere.mock(|when, then| {
        when.path("/t");
        then.status(200)
            .body(r#"{"access_token":"theirs","refresh_token":"theirs"}"#);
    });
    server.mock(|when, then| {
        when.path("/token");
        then.status(307)
            .header("location", elsewhere.url("/t?key=canary"));
    });
    server.mock(|when, then| {
        when.path("/near");
        then.status(307).header("location", "/here");
    });
    server.mock(|when, then| {
        when.path("/here");
        then.status(200);
    });
    let mut endpoint = endpoint(&server);
    endpoint.client = Client::new();
    match endpoint.request(REQUEST).await {
        Delivery::Lost { refusal, is_closed } => {
            assert_eq!(refusal.class, Class::Misconfigured);
            let origin = elsewhere.base_url();
            assert!(refusal.message.contains(&origin), "{}", refusal.message);
            assert!(!refusal.message.contains("canary"), "{}", refusal.message);
            assert!(!is_closed);
        }
        _ => panic!("the answer of another server was taken"),
    }
    foreign.assert_calls(1);
    endpoint.url = Url::parse(&server.url("/near")).expect("a URL");
    assert_eq!(status(&endpoint, None).await, 200, "the same origin");
}

/// Set in the process that has the proxies.
const MARKER: &str = "TOLLGATE_LOOPBACK_TEST";

/// The environment is that of a process of its own: this very test, started once more.
#[tokio::test]
async fn a_token_endpoint_on_this_machine_is_reached_without_a_proxy() {
    if std::env::var_os(MARKER).is_some() {
        let server = MockServer::start();
        let mock = server.mock(|when, then| {
            when.path("/token");
            then.status(200).body(r#"{"access_token":"t"}"#);
        });
        let account = crate::Account::builder("acme", server.base_url())
            .token_url("token")
            .client_id("id")
            .build()
            .expect("an account");
        let _ = account.warm_up().await;
        return mock.assert_calls(1);
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let dead = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let test = "auth::oauth::endpoint::tests::\
        a_token_endpoint_on_this_machine_is_reached_without_a_proxy";
    let mut again = std::process::Command::new(std::env::current_exe().expect("a test"));
    again.args(["--exact", test]).env(MARKER, "1");
    for name in [
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "ALL_PROXY",
        "HTTP_PROXY",
    ] {
        again.env(name, &dead);
    }
    for name in ["no_proxy", "NO_PROXY", "REQUEST_METHOD"] {
        again.env_remove(name);
    }
    let output = tokio::task::spawn_blocking(move || again.output()).await;
    let output = output.expect("no panic").expect("a process");
    let shown = String::from_utf8_lossy(&output.stdout);
    let has_passed = output.status.success() && shown.contains("1 passed");
    assert!(has_passed, "{shown}");
}
