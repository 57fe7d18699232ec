//! A wire that ends in this process: a proxy that takes every request, by TLS too, for itself.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use url::Url;

use crate::certificate::Certificate;

/// What the token endpoint of this wire always gives.
const TOKEN: &str = r#"{"access_token":"ACCESS_TOKEN","token_type":"Bearer","expires_in":3600}"#;

/// One request, as it was on the wire.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) method: String,
    pub(crate) url: String,
    /// In the order of their names.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Sent {
    /// What a browser asks for when a person logs in.
    pub(crate) fn page(url: &Url) -> Self {
        Self {
            method: "GET".to_owned(),
            url: url.to_string(),
            ..Self::default()
        }
    }
}

pub(crate) struct Wire {
    address: SocketAddr,
    sent: Arc<Mutex<Vec<Sent>>>,
    accepting: AbortHandle,
}

/// What every connection needs.
#[derive(Clone)]
struct End {
    sent: Arc<Mutex<Vec<Sent>>>,
    acceptor: TlsAcceptor,
}

impl Wire {
    pub(crate) async fn open() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let sent = Arc::default();
        let end = End {
            sent: Arc::clone(&sent),
            acceptor: Certificate::new()?.acceptor,
        };
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(proxy(stream, end.clone()));
            }
        });
        Ok(Self {
            address,
            sent,
            accepting: accepting.abort_handle(),
        })
    }

    /// A client whose requests all end here, whatever their URL.
    pub(crate) fn client(&self) -> Result<reqwest::Client> {
        let proxy = reqwest::Proxy::all(format!("http://{}", self.address))?;
        let builder = reqwest_tollgate::http_client_builder().proxy(proxy);
        // The certificate is of nobody: the other end is this very process.
        Ok(builder.tls_danger_accept_invalid_certs(true).build()?)
    }

    /// All requests so far.
    pub(crate) fn sent(&self) -> Vec<Sent> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.clone()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn proxy(stream: TcpStream, end: End) {
    let service = service_fn(move |request: Request<Incoming>| {
        let end = end.clone();
        async move {
            if request.method() != Method::CONNECT {
                // Without TLS a proxy is told the whole URL.
                let url = request.uri().to_string();
                return end.answer(request, url).await;
            }
            let host = request.uri().host().unwrap_or_default().to_owned();
            tokio::spawn(async move {
                if let Ok(tunnel) = hyper::upgrade::on(request).await {
                    tunnelled(tunnel, host, end).await;
                }
            });
            Ok(Response::new(Full::default()))
        }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // It ends with its client.
    let _ = connection.with_upgrades().await;
}

async fn tunnelled(tunnel: hyper::upgrade::Upgraded, host: String, end: End) {
    let Ok(stream) = end.acceptor.accept(TokioIo::new(tunnel)).await else {
        return;
    };
    let service = service_fn(move |request: Request<Incoming>| {
        let (end, url) = (end.clone(), format!("https://{host}{}", request.uri()));
        async move { end.answer(request, url).await }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let _ = connection.await;
}

impl End {
    async fn answer(
        &self,
        request: Request<Incoming>,
        url: String,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes());
        let body = String::from_utf8_lossy(&body.unwrap_or_default()).into_owned();
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), value)
        };
        let mut headers: Vec<_> = parts.headers.iter().map(header).collect();
        headers.sort();
        let answer = match body.contains("grant_type=") {
            true => TOKEN,
            false => "{}",
        };
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.push(Sent {
            method: parts.method.to_string(),
            url,
            headers,
            body,
        });
        let mut response = Response::new(Full::from(answer));
        let media_type = http::HeaderValue::from_static("application/json");
        let name = http::header::CONTENT_TYPE;
        response.headers_mut().insert(name, media_type);
        Ok(response)
    }
}
