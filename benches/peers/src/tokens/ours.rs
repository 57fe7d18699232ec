//! This crate: `Account::token`, and its auth layer above a stub.

use std::sync::Arc;

use async_trait::async_trait;
use http::Extensions;
use reqwest::header::AUTHORIZATION;
use reqwest::{Request, Response, ResponseBuilderExt, Url};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next, Result};
use reqwest_tollgate::Account;

use super::{Api, Endpoint, Peer};

const API: &str = "https://api.acme.example";

pub(crate) struct Ours {
    account: Account,
    client: ClientWithMiddleware,
    /// The same with a layer that keeps nothing to send again.
    once: ClientWithMiddleware,
    /// The same without the layer.
    bare: ClientWithMiddleware,
    url: Url,
}

struct Stub(Arc<Api>);

#[async_trait]
impl Middleware for Stub {
    async fn handle(&self, request: Request, _: &mut Extensions, _: Next<'_>) -> Result<Response> {
        let authorization = request.headers().get(AUTHORIZATION);
        let status = self
            .0
            .answer(authorization.and_then(|value| value.to_str().ok()))
            .await;
        let response = http::Response::builder()
            .status(status)
            .url(request.url().clone())
            .body("");
        Ok(response.expect("a response").into())
    }
}

impl Peer for Ours {
    const NAME: &'static str = "reqwest-tollgate";

    fn new(endpoint: &Endpoint, api: Arc<Api>) -> Self {
        let account = |name: &str, replays| {
            let builder = Account::builder(name, API)
                .token_url(endpoint.url())
                .client_id("peer")
                .client_secret("secret")
                .replay_unauthorized(replays);
            builder.build().expect("an account")
        };
        let (account, once) = (account("peer", true), account("once", false));
        let stack = || ClientBuilder::new(reqwest::Client::new());
        let stub = || Stub(api.clone());
        Self {
            client: stack().with(account.auth()).with(stub()).build(),
            once: stack().with(once.auth()).with(stub()).build(),
            bare: stack().with(stub()).build(),
            account,
            url: API.parse().expect("a URL"),
        }
    }

    async fn token(&self) -> bool {
        self.account.token().await.is_ok()
    }

    async fn send(&self) -> u16 {
        self.execute(&self.client).await
    }
}

impl Ours {
    /// One request that would not be sent again.
    pub(crate) async fn send_once(&self) -> u16 {
        self.execute(&self.once).await
    }

    /// One request without the layer.
    pub(crate) async fn send_bare(&self) -> u16 {
        self.execute(&self.bare).await
    }

    async fn execute(&self, client: &ClientWithMiddleware) -> u16 {
        let request = Request::new(http::Method::GET, self.url.clone());
        let response = client.execute(request).await;
        response.map_or(0, |response| response.status().as_u16())
    }
}
