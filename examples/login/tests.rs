//! Visitors that are no browser, or none that knows what it does.

use std::future::pending;
use std::sync::Arc;

use anyhow::Result;
use reqwest::{Client, StatusCode};
use reqwest_tollgate::{Account, AuthorizationRequest, Grant, MemoryStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::listener::Listener;

const ISSUER: &str = "https://api.acme.example";

fn request(scheme: &str, port: u16) -> Result<Arc<AuthorizationRequest>> {
    let account = Account::builder("acme", "https://api.acme.example")
        .authorization_url("authorize")
        .token_url("token")
        .issuer(ISSUER)
        .client_id("my-client-id")
        .grant(Grant::authorization_code(format!(
            "{scheme}://localhost:{port}/cb"
        )))
        .token_store(MemoryStore::new())
        .build()?;
    Ok(Arc::new(account.authorization_request()?))
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port())
}

async fn listen(request: &Arc<AuthorizationRequest>) -> Result<JoinHandle<Result<()>>> {
    let listener = Listener::bind(request).await?.expect("it is this machine");
    Ok(tokio::spawn(listener.log_in(request.clone(), pending())))
}

/// The end of a login that needs no server.
fn denial(request: &AuthorizationRequest) -> String {
    let state = request.state();
    format!(
        "{}?error=access_denied&state={state}&iss={ISSUER}",
        request.redirect_uri()
    )
}

/// As somebody who has looked at the certificate.
fn browser() -> Result<Client> {
    Ok(Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .build()?)
}

async fn sent(port: u16, bytes: &[u8]) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(bytes).await?;
    Ok(stream)
}

async fn visitors_do_not_break_it(scheme: &str) -> Result<()> {
    let port = free_port()?;
    let request = request(scheme, port)?;
    let login = listen(&request).await?;
    let long = vec![b'a'; 1 << 20];
    let mut strangers = Vec::new();
    for bytes in [
        &b""[..],
        b"GET /cb?sta",
        b"\x16\x03\x01\x02\x00\x01",
        b"\r\n\r\nnonsense\r\n\r\n",
    ] {
        strangers.push(sent(port, bytes).await?); // Held open: they stay.
    }
    let _ = sent(port, &long).await; // It may be cut off in the middle.
    let (browser, uri) = (browser()?, request.redirect_uri());
    let icon = browser.get(uri.join("/favicon.ico")?).send().await?;
    assert_eq!(icon.status(), StatusCode::NOT_FOUND);
    let posted = browser.post(denial(&request)).body("x").send().await?;
    assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
    let forged = format!("{uri}?error=access_denied&state=guessed");
    let forged = browser.get(forged).send().await?;
    assert_eq!(forged.status(), StatusCode::BAD_REQUEST);
    assert!(
        !forged.url().as_str().contains("guessed"),
        "{}",
        forged.url()
    );
    assert!(!login.is_finished());

    let denied = browser.get(denial(&request)).send().await?;
    assert_eq!(denied.status(), StatusCode::BAD_REQUEST);
    let address = denied.url().to_string();
    assert!(!address.contains(request.state()), "{address}");
    assert!(denied.text().await?.contains("the login was denied"));
    let error = login.await?.expect_err("denied");
    assert!(
        error.to_string().contains("the login was denied"),
        "{error}"
    );
    Ok(())
}

#[tokio::test]
async fn strangers_slow_and_loud_do_not_keep_the_browser_out() -> Result<()> {
    visitors_do_not_break_it("http").await
}

#[tokio::test]
async fn strangers_who_speak_no_tls_do_not_keep_the_browser_out() -> Result<()> {
    visitors_do_not_break_it("https").await
}

#[tokio::test]
async fn both_addresses_of_localhost_answer_and_requests_in_a_row_are_answered_in_order()
-> Result<()> {
    let port = free_port()?;
    let request = request("http", port)?;
    let login = listen(&request).await?;
    let state = request.state();
    let pipelined = format!(
        "GET /favicon.ico HTTP/1.1\r\nhost: localhost\r\n\r\n\
         GET /cb?error=access_denied&state={state} HTTP/1.1\r\nhost: localhost\r\n\r\n\
         GET /cb?error=access_denied&state={state} HTTP/1.1\r\nhost: localhost\r\n\r\n\
         GET /cb?login-page=end HTTP/1.1\r\nhost: localhost\r\n\r\n"
    );
    let mut stream = match TcpStream::connect(("::1", port)).await {
        Ok(stream) => stream,
        Err(_) => TcpStream::connect(("127.0.0.1", port)).await?, // No IPv6 here.
    };
    stream.write_all(pipelined.as_bytes()).await?;
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await?;
    let statuses: Vec<_> = answers
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| &answer[..3])
        .collect();
    assert_eq!(statuses, ["404", "303", "303", "400"], "{answers}");
    assert!(login.await?.is_err());
    Ok(())
}

#[tokio::test]
async fn an_answer_in_the_name_of_another_issuer_ends_the_login_and_says_so() -> Result<()> {
    let request = request("https", free_port()?)?;
    let login = listen(&request).await?;
    let (uri, state) = (request.redirect_uri(), request.state());
    let mixed_up = format!("{uri}?code=c0de&state={state}&iss=https://evil.example");
    let page = browser()?.get(mixed_up).send().await?;
    assert_eq!(page.status(), StatusCode::BAD_REQUEST);
    let text = page.text().await?;
    assert!(
        text.contains("another issuer") && !text.contains("c0de"),
        "{text}"
    );
    let error = login.await?.expect_err("a mix-up").to_string();
    assert!(error.contains("another issuer"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_port_in_use_is_said_by_its_number() -> Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    let request = request("https", port)?;
    let Err(error) = Listener::bind(&request).await else {
        panic!("two cannot listen at one port");
    };
    let text = error.to_string();
    assert!(
        text.contains(&format!("port {port} of 127.0.0.1 is in use")),
        "{text}"
    );
    Ok(())
}

#[tokio::test]
async fn a_login_that_nobody_finishes_ends_with_what_was_refused() -> Result<()> {
    let request = request("http", free_port()?)?;
    let listener = Listener::bind(&request).await?.expect("it is this machine");
    let (say_late, late) = tokio::sync::oneshot::channel();
    let late = async { late.await.expect("it is told") };
    let login = tokio::spawn(listener.log_in(request.clone(), late));
    let forged = format!("{}?code=c&state=guessed", request.redirect_uri());
    browser()?.get(forged).send().await?;
    say_late.send(()).expect("it listens");
    let error = login.await?.expect_err("not finished").to_string();
    assert!(error.contains("another login"), "{error}");
    Ok(())
}
