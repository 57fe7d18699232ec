//! What an outer layer leaves for an inner one, in the request's extensions.
//!
//! The two layers do not know each other; both know this module. The outer one puts a [`Handle`]
//! into the extensions for as long as the request is below it ([`Handle::leave`]); the inner one
//! picks up the chain of them ([`Chain::pick_up`]). Three things pass:
//!
//! * **The permit.** Auth may have to wait for a token, or to send a request a second time. It
//!   never waits while it holds a permit: it *settles* first (`Unsent`, or `Answered` with the 401)
//!   and *acquires* again after. The reverse hangs for ever where one permit is all there is.
//! * **The spare.** A request that may be sent again is cloned once, by the outer layer; the inner
//!   one takes its copy from there.
//! * **Who acts.** A layer that finds its own account in the chain is attached twice and lets the
//!   request pass; likewise one that finds that another account with credentials acts already.
//!
//! Limiters can be stacked, so handles chain: all are settled, then acquired outermost first.
//! The extension holds a weak handle, since the caller may own the extensions and keep them: the
//! permit lives and dies with the limiter's future. The guard removes the handle even if the
//! request is dropped half way, and restores the one that was there before.

use std::sync::{Arc, Mutex, Weak};

use http::{Extensions, HeaderMap, StatusCode};
use reqwest::Request;
use smallvec::SmallVec;

use crate::clock::{BoxFuture, Moment};
use crate::error::Error;
use crate::options::BodyFactory;
use crate::response_rules::Verdict;

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome<'a> {
    /// Nothing left: the permit goes back.
    Unsent,
    /// The server answered.
    Answered {
        status: StatusCode,
        headers: &'a HeaderMap,
        /// What the distributor's rules say, where one matches.
        verdict: Option<Verdict>,
        /// Where it was read.
        body: Option<&'a [u8]>,
    },
    /// It left, and no answer came back.
    Lost,
}

/// Tells accounts apart, within the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AccountId(pub(crate) u64);

/// Which of the two layers left a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    RateLimit,
    Auth,
}

/// The side of the outer layer.
pub(crate) trait Passage: Send + Sync {
    fn account(&self) -> AccountId;

    fn layer(&self) -> Layer;

    /// Whether its account has credentials; one without is only a limit, and limits stack.
    fn has_credentials(&self) -> bool;

    /// Ends the attempt. A second call without an `acquire` between them does nothing.
    fn settle(&self, outcome: Outcome<'_>);

    /// Waits for the permit of another attempt; at once if the current one is not settled.
    fn acquire(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// The clone kept for a replay, if there is one.
    fn spare(&self) -> Option<&Spare>;

    /// A copy of the request with credentials for another attempt, where those of one attempt are
    /// good for that one alone; none where the spare does.
    fn signed_anew(&self) -> Option<Result<Request, Error>> {
        None
    }

    /// When permit and token must be there.
    fn deadline(&self) -> Option<Moment>;

    /// The handle that was there before.
    fn outer(&self) -> Option<&Handle>;
}

/// A clone of a request, kept in case it has to be sent again.
///
/// Behind a lock because a body is `Send` but need not be `Sync`; nobody ever contends for it.
pub(crate) struct Spare {
    request: Mutex<Request>,
    /// Makes the body of each copy, where the body is a stream.
    factory: Option<BodyFactory>,
}

impl Spare {
    /// A clone, unless the body is a stream and nothing makes another.
    pub(crate) fn of(request: &Request, factory: Option<&BodyFactory>) -> Option<Self> {
        let (request, factory) = match request.try_clone() {
            Some(clone) => (clone, None),
            None => (without_body(request), Some(factory?.clone())),
        };
        Some(Self {
            request: Mutex::new(request),
            factory,
        })
    }

    /// Another clone, to be sent.
    pub(crate) fn copy(&self) -> Option<Request> {
        let mut copy = self.lock().try_clone()?;
        if let Some(factory) = &self.factory {
            *copy.body_mut() = Some(factory.body());
        }
        Some(copy)
    }

    /// Whether `request` is still what was cloned: a middleware between the layers may have changed
    /// it, and its change must not get lost on the replay.
    pub(crate) fn matches(&self, request: &Request) -> bool {
        let spare = self.lock();
        let body = match self.factory {
            Some(_) => request.body().is_some_and(|body| body.as_bytes().is_none()),
            None => same_body(&spare, request),
        };
        body && spare.url() == request.url()
            && spare.method() == request.method()
            && spare.headers() == request.headers()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Request> {
        self.request
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn without_body(request: &Request) -> Request {
    let mut copy = Request::new(request.method().clone(), request.url().clone());
    copy.headers_mut().clone_from(request.headers());
    *copy.timeout_mut() = request.timeout().copied();
    *copy.version_mut() = request.version();
    copy
}

/// Clones share their bytes, so the address tells; contents need no comparison.
fn same_body(one: &Request, other: &Request) -> bool {
    let bytes = |request: &Request| {
        request
            .body()
            .map(|body| body.as_bytes().map(|bytes| (bytes.as_ptr(), bytes.len())))
    };
    bytes(one) == bytes(other)
}

/// What lies in the extensions.
#[derive(Clone)]
pub(crate) struct Handle(Weak<dyn Passage>);

impl Handle {
    /// What lies there now, to become the new one's [`Passage::outer`].
    pub(crate) fn present(extensions: &Extensions) -> Option<Self> {
        extensions.get::<Self>().cloned()
    }

    /// Puts the handle in until the guard is dropped.
    pub(crate) fn leave<'a, P: Passage + 'static>(
        passage: &Arc<P>,
        extensions: &'a mut Extensions,
    ) -> Left<'a> {
        let weak: Weak<P> = Arc::downgrade(passage);
        let previous = extensions.insert(Self(weak));
        Left {
            extensions,
            previous,
        }
    }
}

/// A handle left in the extensions, for as long as this lives.
#[must_use]
pub(crate) struct Left<'a> {
    extensions: &'a mut Extensions,
    previous: Option<Handle>,
}

impl Left<'_> {
    /// The extensions, for the layers beneath.
    pub(crate) fn extensions(&mut self) -> &mut Extensions {
        self.extensions
    }
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        match self.previous.take() {
            Some(previous) => self.extensions.insert(previous),
            None => self.extensions.remove::<Handle>(),
        };
    }
}

/// Gives back the permits got so far, should another one fail, or the wait for it be dropped or
/// panic.
struct SettlesUnsent<'a>(&'a Chain);

impl Drop for SettlesUnsent<'_> {
    fn drop(&mut self) {
        self.0.settle(Outcome::Unsent);
    }
}

/// All handles above a layer, the nearest first.
///
/// It keeps them alive while the inner layer works; that layer's future lies within theirs.
pub(crate) struct Chain(SmallVec<[Arc<dyn Passage>; 2]>);

impl Chain {
    pub(crate) fn pick_up(extensions: &Extensions) -> Self {
        let mut chain = SmallVec::new();
        let mut next = extensions
            .get::<Handle>()
            .and_then(|handle| handle.0.upgrade());
        while let Some(passage) = next {
            next = passage.outer().and_then(|handle| handle.0.upgrade());
            chain.push(passage);
        }
        Self(chain)
    }

    /// Whether this layer of this account acts further out already: it is attached twice.
    pub(crate) fn holds(&self, account: AccountId, layer: Layer) -> bool {
        self.0
            .iter()
            .any(|passage| passage.account() == account && passage.layer() == layer)
    }

    /// Whether another account with credentials acts on the request already.
    pub(crate) fn is_taken_by_other(&self, account: AccountId) -> bool {
        self.0
            .iter()
            .any(|passage| passage.has_credentials() && passage.account() != account)
    }

    /// Ends the attempt for every limiter above.
    pub(crate) fn settle(&self, outcome: Outcome<'_>) {
        for passage in &self.0 {
            passage.settle(outcome);
        }
    }

    /// Waits for a permit of every limiter above, outermost first.
    ///
    /// # Errors
    /// The first limiter's that fails; permits got by then go back.
    pub(crate) async fn acquire(&self) -> Result<(), Error> {
        let unsent = SettlesUnsent(self);
        for passage in self.0.iter().rev() {
            passage.acquire().await?;
        }
        std::mem::forget(unsent);
        Ok(())
    }

    /// The nearest clone, should it still be what `request` is.
    pub(crate) fn spare(&self, request: &Request) -> Option<&Spare> {
        self.nearest_spare().filter(|spare| spare.matches(request))
    }

    /// The nearest clone, for whoever compared it while the request was there.
    pub(crate) fn nearest_spare(&self) -> Option<&Spare> {
        self.0.iter().find_map(|passage| passage.spare())
    }

    /// The request for another attempt, where a layer above signs each of them.
    pub(crate) fn signed_anew(&self) -> Option<Result<Request, Error>> {
        self.0.iter().find_map(|passage| passage.signed_anew())
    }

    /// The earliest deadline above.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.0.iter().filter_map(|passage| passage.deadline()).min()
    }

    /// Whether nothing is above.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests;
