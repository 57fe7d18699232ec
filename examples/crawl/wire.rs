//! Whether a request is on the wire: one that is may be dropped only with its answer.

use async_trait::async_trait;
use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next, Result};
use tokio::sync::watch;

/// The innermost layer, beneath those of the account.
pub(crate) struct Wire;

/// An extension of the request, which the layer keeps up to date.
#[derive(Clone)]
pub(crate) struct OnWire(watch::Sender<bool>);

impl OnWire {
    /// Of a request that has not left yet.
    pub(crate) fn new() -> (Self, watch::Receiver<bool>) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), receiver)
    }
}

#[async_trait]
impl Middleware for Wire {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let state = extensions.get::<OnWire>().cloned();
        let set = |is_on| {
            if let Some(OnWire(state)) = &state {
                state.send_replace(is_on);
            }
        };
        set(true);
        let answer = next.run(request, extensions).await;
        set(false);
        answer
    }
}
