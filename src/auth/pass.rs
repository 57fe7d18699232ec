//! What the auth layer leaves for the layers beneath it.

use std::sync::Arc;

use reqwest::Request;

use super::cache::Cache;
use super::middleware::Authenticator;
use crate::clock::{BoxFuture, Moment};
use crate::error::Error;
use crate::layers::{AccountId, Handle, Layer, Outcome, Passage, Spare};

/// What this layer leaves in the extensions: no permit, but who acts, and the spare.
pub(super) struct Pass {
    pub(super) account: AccountId,
    pub(super) spare: Option<Spare>,
    pub(super) deadline: Option<Moment>,
    /// Where each attempt needs a signature of its own: who signs, and the request without one.
    pub(super) unsigned: Option<(Arc<Authenticator>, Spare)>,
    pub(super) outer: Option<Handle>,
}

impl Passage for Pass {
    fn account(&self) -> AccountId {
        self.account
    }

    fn layer(&self) -> Layer {
        Layer::Auth
    }

    fn has_credentials(&self) -> bool {
        true
    }

    fn settle(&self, _: Outcome<'_>) {}

    fn acquire(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn spare(&self) -> Option<&Spare> {
        self.spare.as_ref()
    }

    fn deadline(&self) -> Option<Moment> {
        self.deadline
    }

    fn signed_anew(&self) -> Option<Result<Request, Error>> {
        let (authenticator, unsigned) = self.unsigned.as_ref()?;
        let mut request = unsigned.copy()?;
        let token = authenticator.cache().and_then(Cache::present);
        let put = authenticator.put(&mut request, token.as_deref());
        Some(put.map(|_| request))
    }

    fn outer(&self) -> Option<&Handle> {
        self.outer.as_ref()
    }
}
