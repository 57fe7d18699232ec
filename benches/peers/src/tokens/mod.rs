//! Token caches of four crates, each asked in the way of its own public API.
//!
//! All of them get their tokens from one endpoint of ours on the loopback interface, over HTTP, with
//! a client of reqwest: a POST of client credentials, for google-cloud-auth the GET of its metadata
//! server, which is the one of its sources that may be on the loopback interface. So a flight costs
//! everyone about the same.

mod aws;
mod azure;
mod endpoint;
mod google;
mod ours;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use tokio::runtime::{Builder, Runtime};

pub(crate) use aws::Aws;
pub(crate) use azure::Azure;
pub(crate) use endpoint::Endpoint;
pub(crate) use google::Google;
pub(crate) use ours::Ours;

/// A token cache that requests get their token from.
pub(crate) trait Peer: Sized + Send + Sync + 'static {
    const NAME: &'static str;

    /// A cold one. Called within the runtime.
    fn new(endpoint: &Endpoint, api: Arc<Api>) -> Self;

    /// Whether there is a token.
    fn token(&self) -> impl Future<Output = bool> + Send;

    /// One request to the API; its status, or 0 if it was not sent.
    fn send(&self) -> impl Future<Output = u16> + Send;
}

/// An API without sockets: it answers by the number of the token alone.
#[derive(Debug, Default)]
pub(crate) struct Api {
    revoked: AtomicU64,
    takes: Duration,
}

impl Api {
    /// It takes so long for each answer, so that requests overlap.
    pub(crate) fn that_takes(takes: Duration) -> Self {
        Self {
            takes,
            ..Self::default()
        }
    }

    /// Revokes all tokens up to this number.
    pub(crate) fn revoke(&self, number: u64) {
        self.revoked.store(number, Ordering::Relaxed);
    }

    /// 200 or 401.
    async fn answer(&self, authorization: Option<&str>) -> u16 {
        if !self.takes.is_zero() {
            tokio::time::sleep(self.takes).await;
        }
        let number = authorization.and_then(|text| text.strip_prefix("Bearer token-"));
        let number = number.and_then(|number| number.parse().ok());
        match number {
            Some(number) if self.revoked.load(Ordering::Relaxed) < number => 200,
            _ => 401,
        }
    }
}

/// What the endpoint's answer says (RFC 6749 section 5.1).
#[derive(Deserialize)]
struct Issued {
    access_token: String,
    expires_in: u64,
}

/// A token request as our account makes it, for crates that leave that to their user.
#[derive(Clone, Debug)]
struct Login {
    client: reqwest::Client,
    url: String,
}

impl Login {
    fn new(endpoint: &Endpoint) -> Self {
        Self {
            client: reqwest::Client::new(),
            url: endpoint.url().to_owned(),
        }
    }

    async fn token(&self) -> reqwest::Result<(String, Duration)> {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", "peer"),
            ("client_secret", "secret"),
        ];
        let response = self.client.post(&self.url).form(&form).send().await?;
        let issued: Issued = response.error_for_status()?.json().await?;
        Ok((issued.access_token, Duration::from_secs(issued.expires_in)))
    }
}

pub(crate) fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build();
    runtime.expect("a runtime")
}
