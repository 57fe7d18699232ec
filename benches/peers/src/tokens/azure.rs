//! azure_core: its `BearerTokenAuthorizationPolicy` above a stub. The cache is part of the policy,
//! so there is no other way to it.

use std::sync::Arc;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::error::{Error, ErrorKind};
use azure_core::http::headers::{AUTHORIZATION, Headers};
use azure_core::http::policies::auth::BearerTokenAuthorizationPolicy;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{AsyncRawResponse, Context, Method, Request, StatusCode, Url};
use azure_core::time::OffsetDateTime;

use super::{Api, Endpoint, Login, Peer};

pub(crate) struct Azure {
    policy: BearerTokenAuthorizationPolicy,
    next: [Arc<dyn Policy>; 1],
    url: Url,
}

#[derive(Debug)]
struct Credential(Login);

#[async_trait]
impl TokenCredential for Credential {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let token = self.0.token().await;
        let (token, lifetime) = token.map_err(|error| Error::new(ErrorKind::Credential, error))?;
        let expires_on = OffsetDateTime::now_utc() + lifetime;
        Ok(AccessToken::new(Secret::new(token), expires_on))
    }
}

#[derive(Debug)]
struct Stub(Arc<Api>);

#[async_trait]
impl Policy for Stub {
    async fn send(
        &self,
        _: &Context,
        request: &mut Request,
        _: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        // Its own look-ups make an error of an absent header, with a backtrace if that is wanted.
        let mut headers = request.headers().iter();
        let authorization = headers.find(|(name, _)| **name == AUTHORIZATION);
        let authorization = authorization.map(|(_, value)| value.as_str());
        let status = self.0.answer(authorization).await;
        let status = StatusCode::from(status);
        Ok(AsyncRawResponse::from_bytes(status, Headers::new(), ""))
    }
}

impl Peer for Azure {
    const NAME: &'static str = "azure_core 1.1";

    fn new(endpoint: &Endpoint, api: Arc<Api>) -> Self {
        let credential = Arc::new(Credential(Login::new(endpoint)));
        Self {
            policy: BearerTokenAuthorizationPolicy::new(credential, ["scope"]),
            next: [Arc::new(Stub(api))],
            url: "https://api.acme.example".parse().expect("a URL"),
        }
    }

    async fn token(&self) -> bool {
        self.send().await != 0
    }

    async fn send(&self) -> u16 {
        let mut request = Request::new(self.url.clone(), Method::Get);
        let context = Context::new();
        let sent = self.policy.send(&context, &mut request, &self.next);
        sent.await.map_or(0, |response| response.status().into())
    }
}

impl Azure {
    /// One request without the policy.
    pub(crate) async fn send_bare(&self) -> u16 {
        let mut request = Request::new(self.url.clone(), Method::Get);
        let context = Context::new();
        let sent = self.next[0].send(&context, &mut request, &[]);
        sent.await.map_or(0, |response| response.status().into())
    }
}
