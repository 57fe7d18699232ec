use super::*;
use crate::auth::Grant;
use crate::auth::testing::oauth;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::ACCEPT;
use httpmock::prelude::*;

const FORM: &str = "application/x-www-form-urlencoded";

fn endpoint(server: &MockServer) -> HttpEndpoint {
    let mut settings = oauth(Grant::client_credentials());
    settings.token_url = Url::parse(&server.url("/token")).expect("a URL");
    settings.client_id = Some("my id".into());
    settings.client_secret = Some(Secret::from("p:w +ü"));
    HttpEndpoint::new(&settings)
}

async fn status(endpoint: &HttpEndpoint, refresh_token: Option<&str>) -> u16 {
    match endpoint
        .request(refresh_token.map_or(Presentation::ClientCredentials, Presentation::RefreshToken))
        .await
    {
        Delivery::Answered { reply, .. } => reply.status.as_u16(),
        Delivery::NotSent(refusal) | Delivery::Lost(refusal) => panic!("{}", refusal.message),
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
    match endpoint.request(Presentation::ClientCredentials).await {
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
    let endpoint = HttpEndpoint::new(&settings);
    assert!(
        matches!(
            endpoint.request(Presentation::ClientCredentials).await,
            Delivery::Lost(_)
        ),
        "torn"
    );
    assert!(
        matches!(
            endpoint.request(Presentation::ClientCredentials).await,
            Delivery::Lost(_)
        ),
        "closed"
    );
    assert_eq!(status(&endpoint, None).await, 400);
}

#[tokio::test]
async fn a_body_without_end_is_cut_off() {
    let server = MockServer::start();
    server.mock(|when, then| {
        when.path("/token");
        then.status(200).body("x".repeat(LONGEST_BODY + 1));
    });
    let delivery = endpoint(&server)
        .request(Presentation::ClientCredentials)
        .await;
    assert!(matches!(delivery, Delivery::Lost(_)));
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
        verifier: "v-1",
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
    let endpoint = HttpEndpoint::new(&settings);
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
