//! Waits at the redirect URI for the person's browser.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use reqwest::Url;
use reqwest_tollgate::{AuthorizationRequest, Clock as _, Error, Recovery, SystemClock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::page;

const LONGEST_HEAD: usize = 16 * 1024;
/// Browsers open connections in advance and send nothing on them.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// A port of this machine that is the redirect URI.
pub(crate) struct Listener {
    socket: TcpListener,
    path: String,
}

impl Listener {
    /// None if the redirect URI is not plain http on this machine.
    pub(crate) async fn bind(request: &AuthorizationRequest) -> Result<Option<Self>> {
        let uri = redirect_uri(request)?;
        let host = uri.host_str().unwrap_or_default();
        if uri.scheme() != "http" || !["127.0.0.1", "localhost", "[::1]"].contains(&host) {
            return Ok(None);
        }
        let port = uri.port_or_known_default().unwrap_or(80);
        let address = format!("{host}:{port}");
        let socket = TcpListener::bind(&address).await;
        let socket = socket.with_context(|| format!("cannot listen at {address}"))?;
        let path = uri.path().to_owned();
        Ok(Some(Self { socket, path }))
    }

    /// Ends with the login: a browser has come whose address belongs to it.
    pub(crate) async fn log_in(self, request: Arc<AuthorizationRequest>) -> Result<()> {
        let path: Arc<str> = self.path.into();
        let mut visits = JoinSet::new();
        loop {
            tokio::select! {
                visitor = self.socket.accept() => {
                    visits.spawn(visit(visitor?.0, path.clone(), request.clone()));
                }
                Some(visit) = visits.join_next() => match visit {
                    Ok(Some(Ok(()))) => return Ok(()),
                    Ok(Some(Err(error))) => return Err(error.into()),
                    Ok(None) | Err(_) => {}
                },
            }
        }
    }
}

/// Whether an address belongs to this login, whatever else is wrong with it.
pub(crate) fn is_of(request: &AuthorizationRequest, address: &str) -> bool {
    let Ok(url) = redirect_uri(request).and_then(|uri| Ok(uri.join(address.trim())?)) else {
        return false;
    };
    let mut pairs = url.query_pairs();
    pairs.any(|(name, value)| name == "state" && value == request.state())
}

fn redirect_uri(request: &AuthorizationRequest) -> Result<Url> {
    let mut pairs = request.url().query_pairs();
    let uri = pairs.find(|(name, _)| name == "redirect_uri");
    let (_, uri) = uri.context("the address has no redirect_uri")?;
    Ok(Url::parse(&uri)?)
}

/// One connection; how the login ended, if this was its end.
async fn visit(
    mut stream: TcpStream,
    path: Arc<str>,
    request: Arc<AuthorizationRequest>,
) -> Option<Result<(), Error>> {
    let target = tokio::select! {
        target = target(&mut stream) => target?,
        () = SystemClock.sleep(LONGEST_SILENCE) => return None,
    };
    let asked = target.split('?').next().unwrap_or_default();
    if asked != &*path {
        let page = page::response("404 Not Found", "Nothing here", "The login ends elsewhere.");
        answer(&mut stream, &page).await;
        return None;
    }
    let ended = request.exchange(&target).await;
    answer(&mut stream, &told(&ended)).await;
    match &ended {
        Err(error) if error.recovery() == Recovery::Retry => None,
        Err(_) if !is_of(&request, &target) => None,
        _ => Some(ended),
    }
}

fn told(ended: &Result<(), Error>) -> String {
    let Err(error) = ended else {
        let text = "The tokens are stored. You can close this page.";
        return page::response("200 OK", "You are logged in", text);
    };
    match error.recovery() {
        Recovery::Retry => {
            let text = format!("{error}. Reload this page to try again.");
            page::response("502 Bad Gateway", "Not yet", &text)
        }
        Recovery::LogIn => page::response(
            "400 Bad Request",
            "You are not logged in",
            &error.to_string(),
        ),
        _ => {
            let text = format!("{error}. The configuration has to change.");
            page::response("400 Bad Request", "You are not logged in", &text)
        }
    }
}

/// Path and query of a GET request.
async fn target(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > LONGEST_HEAD || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let head = String::from_utf8(head).ok()?;
    let target = head.strip_prefix("GET ")?.split(' ').next()?;
    Some(target.to_owned())
}

/// A browser that has gone away is none of our business.
async fn answer(stream: &mut TcpStream, page: &str) {
    let _ = stream.write_all(page.as_bytes()).await;
    let _ = stream.shutdown().await;
}
