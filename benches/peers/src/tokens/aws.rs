//! aws-smithy-runtime: its lazy identity cache, asked as its orchestrator asks it. Nothing tells the
//! cache that an API has refused a token.

use std::sync::Arc;
use std::time::SystemTime;

use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime_api::client::identity::{
    Identity, IdentityFuture, ResolveCachedIdentity as _, ResolveIdentity, SharedIdentityCache,
    SharedIdentityResolver,
};
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use aws_smithy_types::config_bag::ConfigBag;

use super::{Api, Endpoint, Login, Peer};

pub(crate) struct Aws {
    cache: SharedIdentityCache,
    resolver: SharedIdentityResolver,
    components: RuntimeComponents,
    config: ConfigBag,
    api: Arc<Api>,
}

#[derive(Debug)]
struct Resolver(Login);

impl ResolveIdentity for Resolver {
    fn resolve_identity<'a>(
        &'a self,
        _: &'a RuntimeComponents,
        _: &'a ConfigBag,
    ) -> IdentityFuture<'a> {
        IdentityFuture::new(async move {
            let (token, lifetime) = self.0.token().await?;
            Ok(Identity::new(token, Some(SystemTime::now() + lifetime)))
        })
    }
}

impl Peer for Aws {
    const NAME: &'static str = "aws-smithy-runtime 1.16";

    fn new(endpoint: &Endpoint, api: Arc<Api>) -> Self {
        // Nothing of it is used but the clock.
        let components = RuntimeComponentsBuilder::for_tests()
            .with_sleep_impl(Some(TokioSleep::new()))
            .with_time_source(Some(SystemTimeSource::new()));
        Self {
            cache: IdentityCache::lazy().build(),
            resolver: SharedIdentityResolver::new(Resolver(Login::new(endpoint))),
            components: components.build().expect("components"),
            config: ConfigBag::base(),
            api,
        }
    }

    async fn token(&self) -> bool {
        self.identity().await.is_some()
    }

    async fn send(&self) -> u16 {
        let Some(identity) = self.identity().await else {
            return 0;
        };
        let token = identity.data::<String>().expect("a token");
        self.api.answer(Some(&format!("Bearer {token}"))).await
    }
}

impl Aws {
    async fn identity(&self) -> Option<Identity> {
        let resolver = self.resolver.clone();
        self.cache
            .resolve_cached_identity(resolver, &self.components, &self.config)
            .await
            .ok()
    }
}
