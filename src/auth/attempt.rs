//! One request on its way through the auth layer.
//!
//! Out: put a usable credential on it, or fail. Back: a refused token may be cured, once per
//! request. The order there is *settle, renew, acquire, read the token again, send*
//! ([`layers`](crate::layers) says why), and none of it waits while holding a permit.

use std::sync::Arc;

use http::Extensions;
use http::header::AUTHORIZATION;
use reqwest::{Request, Response};
use reqwest_middleware::Next;

use super::cache::Cache;
use super::cache::state::Need;
use super::challenge::{self, Suspicion};
use super::credentials::Worn;
use super::middleware::Authenticator;
use super::pass::Pass;
use super::replay::Refused;
use super::reread;
use super::token::{Evidence, Token};
use crate::buffered_body::buffer;
use crate::clock::{BoxFuture, Moment, Now};
use crate::error::Error;
use crate::layers::{Chain, Handle, Layer, Outcome, Spare};
use crate::options::{BodyFactory, Patience};
use crate::origin::Whose;

/// How often a token that expired while the request waited for its permit is waited for again.
const MOST_ROUNDS: usize = 3;

/// The token that a request carries.
pub(super) struct Carried<'a> {
    pub(super) cache: &'a Cache,
    pub(super) token: Arc<Token>,
    pub(super) since: Moment,
}

/// One request on its way through.
pub(super) struct Passing<'a> {
    pub(super) authenticator: &'a Arc<Authenticator>,
    pub(super) chain: Chain,
    pub(super) patience: Patience,
    pub(super) body_factory: Option<BodyFactory>,
    /// When it came. Clocks cost more than the rest of a request with a fresh token, so this
    /// reading serves as long as nothing was waited for.
    pub(super) now: Now,
}

impl<'a> Passing<'a> {
    /// Where the request's token comes from; none if it gets none, or brings a credential of its
    /// own.
    pub(super) fn cache_for(&self, request: &Request) -> Option<&'a Cache> {
        let cache = self.authenticator.cache();
        cache.filter(|_| !request.headers().contains_key(AUTHORIZATION))
    }

    fn spare_above(&self, request: &Request) -> Option<&Spare> {
        let replays = self.authenticator.settings.replay_unauthorized;
        if replays {
            self.chain.spare(request)
        } else {
            None
        }
    }

    /// Puts the credentials on, and gives what is left for the layers beneath.
    ///
    /// # Errors
    /// It could not be signed.
    fn make_ready(
        &self,
        request: &mut Request,
        token: Option<&Token>,
        clone: bool,
        extensions: &Extensions,
    ) -> reqwest_middleware::Result<(Worn, Option<Arc<Pass>>)> {
        let unsigned = self.unsigned(request);
        let equipped = self.equip(request, token, clone);
        let (worn, own) = equipped.map_err(|error| self.authenticator.refuse(error))?;
        Ok((worn, self.pass(own, unsigned, extensions)))
    }

    /// Puts the credentials on, and gives a clone of the request if one is needed here.
    ///
    /// # Errors
    /// It could not be signed.
    fn equip(
        &self,
        request: &mut Request,
        token: Option<&Token>,
        clone: bool,
    ) -> Result<(Worn, Option<Spare>), Error> {
        let settings = &self.authenticator.settings;
        let clone = |request: &Request| {
            let wanted = clone && settings.replay_unauthorized;
            let factory = self.body_factory.as_ref();
            wanted.then(|| Spare::of(request, factory)).flatten()
        };
        // The clone has the credentials on, so that a limiter beneath finds it to be what it gets;
        // but not where the next attempt needs others.
        if settings.credentials.differ_by_attempt() {
            let spare = clone(request);
            return Ok((self.authenticator.put(request, token)?, spare));
        }
        let worn = self.authenticator.put(request, token)?;
        Ok((worn, clone(request)))
    }

    /// Sends a request of an account without tokens, or one that brings its own credential.
    pub(super) fn send_without_token<'f>(
        self,
        mut request: Request,
        extensions: &'f mut Extensions,
        next: Next<'f>,
    ) -> BoxFuture<'f, reqwest_middleware::Result<Response>>
    where
        'a: 'f,
    {
        let credentials = &self.authenticator.settings.credentials;
        let is_renewable = credentials.can_change();
        // With an `Authorization` of the caller's an answer says nothing about our keys.
        let ours = (!request.headers().contains_key(AUTHORIZATION)).then_some(credentials);
        let ours = ours.filter(|credentials| !credentials.are_none());
        let is_above = self.spare_above(&request).is_some();
        let clone = is_renewable && !is_above;
        let ready = self.make_ready(&mut request, None, clone, extensions);
        let (worn, pass) = match ready {
            Ok(ready) => ready,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        Box::pin(async move {
            let result = run(pass.as_ref(), request, extensions, next.clone()).await;
            let response = self.authenticator.receive(result, &worn)?;
            if !self.may_be_refusal(&response) {
                if let Some(ours) = ours {
                    self.note_success(ours.evidence(), self.now.moment, &response);
                }
                return Ok(response);
            }
            let spare = self.spare(pass.as_ref(), is_above);
            let refused = reread::Refused {
                passing: &self,
                worn: worn.keys.as_deref(),
                may_retry: ours.is_some(),
            };
            Box::pin(refused.cure(response, spare, pass.as_ref(), extensions, next)).await
        })
    }

    /// For a limiter beneath, where each attempt is signed by itself.
    fn unsigned(&self, request: &Request) -> Option<Spare> {
        let is_signed = self.authenticator.settings.credentials.is_signed();
        let factory = self.body_factory.as_ref();
        is_signed.then(|| Spare::of(request, factory)).flatten()
    }

    /// Sends a request with its token on it, and cures a refusal.
    pub(super) fn send<'f>(
        self,
        carried: Carried<'f>,
        mut request: Request,
        extensions: &'f mut Extensions,
        next: Next<'f>,
    ) -> BoxFuture<'f, reqwest_middleware::Result<Response>>
    where
        'a: 'f,
    {
        // The limiter above may have cloned the request already, before our headers were on it.
        let is_above = self.spare_above(&request).is_some();
        let ready = self.make_ready(&mut request, Some(&carried.token), !is_above, extensions);
        let (worn, pass) = match ready {
            Ok(ready) => ready,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        Box::pin(async move {
            let result = match &pass {
                None => next.clone().run(request, extensions).await,
                Some(pass) => {
                    let mut left = Handle::leave(pass, extensions);
                    next.clone().run(request, left.extensions()).await
                }
            };
            let response = self.authenticator.receive(result, &worn)?;
            if !self.may_be_refusal(&response) {
                self.note_success(carried.token.evidence(), carried.since, &response);
                return Ok(response);
            }
            let spare = self.spare(pass.as_ref(), is_above);
            let refused = Refused {
                passing: &self,
                cache: carried.cache,
                token: &carried.token,
                since: carried.since,
                at: self.authenticator.settings.clock.now().moment,
            };
            // Boxed, as all that is rare here: a future that is small is cheap to make.
            Box::pin(refused.cure(response, spare, pass.as_ref(), extensions, next)).await
        })
    }

    /// What a replay is made of: the clone of a layer above, or our own.
    fn spare<'s>(&'s self, pass: Option<&'s Arc<Pass>>, is_above: bool) -> Option<&'s Spare> {
        match is_above {
            true => self.chain.nearest_spare(),
            false => pass.and_then(|pass| pass.spare.as_ref()),
        }
    }

    /// Evidence for the credential, where it is news.
    pub(super) fn note_success(&self, evidence: &Evidence, started: Moment, response: &Response) {
        if response.status().is_success() && evidence.is_sought(started) {
            let now = self.authenticator.settings.clock.now().moment;
            evidence.note_success(started, now);
        }
    }

    /// What this layer leaves for those beneath; not needed while the account's own limiter, above,
    /// has left the same.
    fn pass(
        &self,
        spare: Option<Spare>,
        unsigned: Option<Spare>,
        extensions: &Extensions,
    ) -> Option<Arc<Pass>> {
        let account = self.authenticator.settings.id;
        if spare.is_none() && self.chain.holds(account, Layer::RateLimit) {
            return None;
        }
        Some(Arc::new(Pass {
            account,
            spare,
            deadline: self.patience.deadline,
            unsigned: unsigned.map(|spare| (self.authenticator.clone(), spare)),
            outer: Handle::present(extensions),
        }))
    }

    /// As [`token_and_permit`](Self::token_and_permit), for the request's first attempt.
    pub(super) async fn wait_for_token(
        &self,
        cache: &Cache,
    ) -> reqwest_middleware::Result<(Arc<Token>, Moment)> {
        let waited = self.token_and_permit(cache).await;
        waited.map_err(|error| self.authenticator.refuse(error))
    }

    /// A usable token, and since when the request has it, with the permits of the limiters above.
    ///
    /// # Errors
    /// No token, or no permit, in time.
    pub(super) async fn token_and_permit(
        &self,
        cache: &Cache,
    ) -> Result<(Arc<Token>, Moment), Error> {
        let clock = &self.authenticator.settings.clock;
        for _ in 0..MOST_ROUNDS {
            // A permit held while waiting would be one that nobody can use.
            self.chain.settle(Outcome::Unsent);
            let token = cache.token(Need::Usable, self.patience).await?;
            if self.chain.is_empty() {
                return Ok((token, clock.now().moment));
            }
            self.chain.acquire().await?;
            let now = clock.now();
            if let Some(token) = cache.ready(now) {
                return Ok((token, now.moment));
            }
        }
        // Tokens that live shorter than the wait for a permit: the newest will have to do.
        let token = match cache.present() {
            Some(token) => token,
            None => cache.token(Need::Usable, self.patience).await?,
        };
        Ok((token, clock.now().moment))
    }

    /// Ends the permits above with a refusal; no rule has another name for it.
    pub(super) fn settle_refusal(&self, response: &Response, body: Option<&[u8]>) {
        self.chain.settle(Outcome::Answered {
            status: response.status(),
            headers: response.headers(),
            verdict: None,
            body,
        });
    }

    /// The answer, and whether it refuses the credential. A status that means so by a rule alone
    /// (a 200 with an error inside) is most often an answer like any other: that rule decides.
    pub(super) async fn look(&self, response: Response) -> (Response, bool) {
        let settings = &self.authenticator.settings;
        let table = &settings.rejection;
        let may_be = self.may_be_refusal(&response);
        if !may_be || table.statuses.contains(&response.status()) {
            return (response, may_be);
        }
        let (response, body) = buffer(response, &*settings.clock).await;
        let (status, headers) = (response.status(), response.headers());
        let suspicion = challenge::classify(table, status, headers, body.as_deref());
        (response, suspicion != Suspicion::None)
    }

    /// A refusal counts only if it comes from our own origin: after a redirect the credential was
    /// not even there.
    pub(super) fn may_be_refusal(&self, response: &Response) -> bool {
        let settings = &self.authenticator.settings;
        challenge::concerns(&settings.rejection, response.status())
            && settings.origins.whose(response.url()) == Whose::Ours
    }
}

pub(super) async fn run(
    pass: Option<&Arc<Pass>>,
    request: Request,
    extensions: &mut Extensions,
    next: Next<'_>,
) -> reqwest_middleware::Result<Response> {
    match pass {
        None => next.run(request, extensions).await,
        Some(pass) => {
            let mut left = Handle::leave(pass, extensions);
            next.run(request, left.extensions()).await
        }
    }
}
