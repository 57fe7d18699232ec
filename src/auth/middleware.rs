//! placeholder
use std::sync::Arc;

use async_trait::async_trait;
use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next};

use super::AuthSettings;
use crate::options::RequestOptions;

/// The auth half of one account, shared by all layers and clients made from it.
pub(crate) struct Authenticator {
    settings: AuthSettings,
}

impl Authenticator {
    pub(crate) fn new(settings: AuthSettings) -> Self {
        Self { settings }
    }
}

/// Puts valid credentials on every request to the account's origins.
#[derive(Clone)]
pub struct AuthMiddleware {
    authenticator: Arc<Authenticator>,
    defaults: RequestOptions,
}

impl AuthMiddleware {
    pub(crate) fn new(authenticator: Arc<Authenticator>, defaults: RequestOptions) -> Self {
        Self {
            authenticator,
            defaults,
        }
    }
}

#[async_trait]
impl Middleware for AuthMiddleware {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        next.run(request, extensions).await
    }
}
