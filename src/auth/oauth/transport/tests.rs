use super::*;
use crate::auth::Grant;
use crate::auth::oauth::endpoint::{HttpEndpoint, Presentation, TokenEndpoint as _};
use crate::auth::testing::oauth;
use crate::clock::{Clock as _, SystemClock};
use crate::{Account, Error, ErrorKind, Recovery};
use rcgen::{CertificateParams, KeyPair};
use reqwest::{Certificate, Client};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

const DAY: Duration = Duration::from_secs(86_400);
const NONE: [Zeroizing<String>; 0] = [];

/// A token endpoint with this certificate, and a client that trusts it.
async fn served(name: &str, days_left: i32) -> (Url, Client) {
    let key = KeyPair::generate().expect("a key");
    let mut parameters = CertificateParams::new([name.to_owned()]).expect("a name");
    let now = SystemClock.now().wall;
    parameters.not_before = (now - 9 * DAY).into();
    let span = DAY * days_left.unsigned_abs();
    parameters.not_after = match days_left < 0 {
        true => (now - span).into(),
        false => (now + span).into(),
    };
    let certificate = parameters.self_signed(&key).expect("a certificate");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        );
    let acceptor = TlsAcceptor::from(Arc::new(config.expect("a configuration")));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let body = r#"{"access_token":"a","expires_in":600}"#;
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let url = format!("https://localhost:{port}/token?key=canary");
    let url = Url::parse(&url).expect("a URL");
    let root = Certificate::from_der(certificate.der()).expect("a certificate");
    let client = Client::builder()
        .no_proxy()
        .tls_certs_only([root])
        .build()
        .expect("a client");
    (url, client)
}

fn stranger() -> Client {
    let client = Client::builder().no_proxy().build();
    client.expect("a client")
}

async fn error(url: &Url, client: Client) -> Result<(), Error> {
    let account = Account::builder("acme", "https://localhost")
        .token_url(url)
        .client_id("id")
        .token_client(client)
        .build()
        .expect("an account");
    account.warm_up().await
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_asks_for_another_configuration() {
    let (url, trusting) = served("localhost", 1).await;
    error(&url, trusting).await.expect("it is trusted");
    let (old_url, old) = served("localhost", -1).await;
    let (other_url, other) = served("login.example", 1).await;
    for (url, client, words) in [
        (url, stranger(), "UnknownIssuer"),
        (old_url, old, "expired"),
        (other_url, other, "not valid for name"),
    ] {
        let error = error(&url, client).await.expect_err(words);
        let text = error.to_string();
        assert_eq!(error.recovery(), Recovery::Reconfigure, "{text}");
        assert_eq!(error.kind(), ErrorKind::TokenEndpoint);
        assert!(
            text.contains(words) && text.contains("cannot be trusted"),
            "{text}"
        );
        assert!(
            text.contains("https://localhost") && !text.contains("canary"),
            "{text}"
        );
        #[cfg(feature = "retry")]
        {
            use reqwest_retry::{Retryable, RetryableStrategy as _};
            let strategy = crate::RetryStrategy::default();
            let verdict = strategy.handle(&Err(error.into()));
            assert!(matches!(verdict, Some(Retryable::Fatal)), "{words}");
        }
    }
}

#[tokio::test]
async fn a_request_to_a_server_that_is_not_trusted_was_not_sent() {
    let (url, _) = served("localhost", 1).await;
    let mut settings = oauth(Grant::refresh_token("r1"));
    settings.token_url = url;
    settings.token_client = stranger();
    let endpoint = HttpEndpoint::new(&settings, Arc::new(SystemClock));
    match endpoint.request(Presentation::RefreshToken("r1")).await {
        Delivery::NotSent(refusal) => assert_eq!(refusal.class, Class::Untrusted),
        _ => panic!("a stranger got the refresh token"),
    }
}

#[test]
fn every_tls_librarys_words_for_a_bad_certificate_are_known() {
    for (text, expected) in [
        ("invalid peer certificate: UnknownIssuer", true),
        ("received fatal alert: UnknownCA", true),
        ("received fatal alert: CertificateRequired", true),
        (
            "error:0A000086:SSL routines:tls_post_process_server_certificate:certificate verify \
             failed:ssl/statem/statem_clnt.c:1890: (self-signed certificate)",
            true,
        ),
        ("The certificate was not trusted.", true),
        ("self signed", true),
        ("connection refused", false),
        ("received fatal alert: HandshakeFailure", false),
        ("failed to lookup address information", false),
    ] {
        assert_eq!(is_about_certificate(text), expected, "{text}");
    }
}

#[test]
fn a_reason_is_cut_and_shows_no_secret_and_nothing_of_the_urls_query() {
    let url = Url::parse("https://me:pw@login.example/t?key=canary").expect("a URL");
    let secrets = [Zeroizing::new("hunter2".to_owned())];
    let text = reason("at key=canary\u{202e} by me:pw\n hunter2", &url, &secrets);
    assert_eq!(text, "at *** by ***:*** ***");
    assert_eq!(
        reason(&"x".repeat(9_000), &url, &NONE).len(),
        LONGEST_REASON
    );
}
