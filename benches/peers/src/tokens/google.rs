//! google-cloud-auth: the cache of its credentials, filled by a task in the background. Nothing
//! tells it that an API has refused a token.

use std::sync::Arc;

use google_cloud_auth::credentials::{AccessTokenCredentials, mds};

use super::{Api, Endpoint, Peer};

pub(crate) struct Google {
    credentials: AccessTokenCredentials,
    api: Arc<Api>,
}

impl Peer for Google {
    const NAME: &'static str = "google-cloud-auth 1.18";

    fn new(endpoint: &Endpoint, api: Arc<Api>) -> Self {
        let builder = mds::Builder::default().with_endpoint(endpoint.url());
        let credentials = builder.build_access_token_credentials();
        Self {
            credentials: credentials.expect("credentials"),
            api,
        }
    }

    async fn token(&self) -> bool {
        self.credentials.access_token().await.is_ok()
    }

    async fn send(&self) -> u16 {
        match self.credentials.access_token().await {
            Ok(token) => {
                self.api
                    .answer(Some(&format!("Bearer {}", token.token)))
                    .await
            }
            Err(_) => 0,
        }
    }
}
