//! placeholder
use std::sync::Arc;

use async_trait::async_trait;
use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next};

use super::Limiter;
use crate::options::RequestOptions;

/// Lets a request leave when its quota allows it.
#[derive(Clone)]
pub struct RateLimitMiddleware {
    limiter: Arc<Limiter>,
    defaults: RequestOptions,
}

impl RateLimitMiddleware {
    pub(crate) fn new(limiter: Arc<Limiter>, defaults: RequestOptions) -> Self {
        Self { limiter, defaults }
    }
}

#[async_trait]
impl Middleware for RateLimitMiddleware {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        next.run(request, extensions).await
    }
}
