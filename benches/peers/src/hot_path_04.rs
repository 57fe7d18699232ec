//! The peers that stayed with reqwest-middleware 0.4 and reqwest 0.12.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use http::Extensions;
use reqwest_012::{Client, Request, Response, ResponseBuilderExt};
use reqwest_auth::AuthorizationHeaderMiddleware;
use reqwest_middleware_04::{ClientBuilder, ClientWithMiddleware, Middleware, Next, Result};
use token_source::{TokenSource, TokenSourceProvider};

use crate::hot_path::Contestant;

struct NoOp;

#[async_trait]
impl Middleware for NoOp {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        next.run(request, extensions).await
    }
}

struct Stub;

#[async_trait]
impl Middleware for Stub {
    async fn handle(&self, request: Request, _: &mut Extensions, _: Next<'_>) -> Result<Response> {
        let response = http::Response::builder()
            .url(request.url().clone())
            .body("");
        Ok(response.expect("a response").into())
    }
}

/// The cheapest source there can be: a token that never changes.
#[derive(Debug)]
struct Constant;

#[async_trait]
impl TokenSource for Constant {
    async fn token(&self) -> std::result::Result<String, Box<dyn std::error::Error + Send + Sync>> {
        Ok("Bearer 0123456789abcdef0123456789abcdef".to_owned())
    }
}

impl TokenSourceProvider for Constant {
    fn token_source(&self) -> Arc<dyn TokenSource> {
        Arc::new(Self)
    }
}

pub fn contestants(runtime: &Arc<tokio::runtime::Runtime>, url: &str) -> Vec<Contestant> {
    let builder = || ClientBuilder::new(Client::new());
    let auth = AuthorizationHeaderMiddleware::from(Constant.token_source());
    let stacks = [
        (
            "two no-op layers (middleware 0.4)",
            builder().with(NoOp).with(NoOp),
        ),
        (
            "reqwest-auth, no-op (middleware 0.4)",
            builder().with(auth).with(NoOp),
        ),
    ];
    stacks
        .into_iter()
        .map(|(name, stack)| contestant(name, runtime, stack.with(Stub).build(), url))
        .collect()
}

fn contestant(
    name: &'static str,
    runtime: &Arc<tokio::runtime::Runtime>,
    client: ClientWithMiddleware,
    url: &str,
) -> Contestant {
    let url: reqwest_012::Url = url.parse().expect("a URL");
    let runtime = runtime.clone();
    let send = move |count| {
        runtime.block_on(async {
            let mut spent = Duration::ZERO;
            for _ in 0..count {
                let request = request(&url);
                let begun = Instant::now();
                let response = client.execute(request).await;
                spent += begun.elapsed();
                response.expect("an answer");
            }
            spent
        })
    };
    Contestant::measured(name, Box::new(send))
}

fn request(url: &reqwest_012::Url) -> Request {
    let mut request = Request::new(http::Method::GET, url.clone());
    for (name, value) in [
        ("accept", "application/json"),
        ("accept-language", "en"),
        ("x-locale", "US"),
    ] {
        request
            .headers_mut()
            .insert(name, http::HeaderValue::from_static(value));
    }
    request
}
