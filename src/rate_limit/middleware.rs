//! The rate-limit layer: the skin between reqwest-middleware and the limiter.

use std::borrow::Cow;
use std::sync::Arc;

use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next};

use super::Limiter;
use super::destination::Destination;
use super::last_word::{FinalRejection, LastWord};
use super::limiter::{Asked, Granted};
use super::place::Entry;
use super::ticket::Ticket;
use super::turn::{Sent, Turn};
use crate::clock::BoxFuture;
use crate::error::Error;
use crate::event::{Event, ReplayReason};
use crate::options::RequestOptions;
use crate::origin::{Whose, insecure};
use crate::passage::{Chain, Handle, Layer, Outcome, Passage, Spare};
use crate::response;

/// Lets a request leave when its quota allows it, and sends it again after a 429.
///
/// It acts on the account's own origins alone; everything else passes untouched and unmetered. It
/// belongs outside the auth layer ("first the turn, then the ticket"), so that no token ages in the
/// queue; [`Account::attach`](crate::Account::attach) sees to that. The other order works too.
///
/// A client follows redirects beneath all layers. Where an answer comes from another path than the
/// request went to, one request more is counted, in the quota of that path; of two redirects in a
/// row the limiter sees one, and none of one that leads back to the same path. A layer beneath that
/// changes the path looks like a redirect. An answer from another origin teaches the limiter
/// nothing.
///
/// # Cancel safety
/// A request that is dropped while it waits leaves its place to those behind. One that is dropped
/// in flight counts as sent.
#[derive(Clone)]
pub struct RateLimitMiddleware {
    limiter: Arc<Limiter>,
    defaults: RequestOptions,
}

impl RateLimitMiddleware {
    pub(crate) fn new(limiter: Arc<Limiter>, defaults: RequestOptions) -> Self {
        Self { limiter, defaults }
    }

    /// Whether this layer acts on the request; with which options.
    fn acts_on(
        &self,
        request: &Request,
        extensions: &Extensions,
        chain: &Chain,
    ) -> Result<Option<Cow<'_, RequestOptions>>, Error> {
        let settings = &self.limiter.settings;
        let whose = settings.origins.whose(request.url());
        if whose == Whose::Foreign {
            return Ok(None);
        }
        let options = RequestOptions::of(extensions, &self.defaults);
        let other = options
            .account
            .as_deref()
            .is_some_and(|name| name != &*settings.account);
        let taken = settings.has_credentials && chain.is_taken_by_other(settings.id);
        if other || taken || chain.holds(settings.id, Layer::RateLimit) {
            return Ok(None);
        }
        if whose == Whose::OursInTheClear && settings.has_credentials {
            return Err(insecure(request.url()).with_account(&settings.account));
        }
        Ok((whose == Whose::Ours).then_some(options))
    }
}

/// Not an `async fn`: what needs no waiting is done before the future is made. A future holds all
/// that its body ever held, and moving two kilobytes about costs more than the decision.
impl Middleware for RateLimitMiddleware {
    fn handle<'layer, 'extensions, 'next, 'f>(
        &'layer self,
        request: Request,
        extensions: &'extensions mut Extensions,
        next: Next<'next>,
    ) -> BoxFuture<'f, reqwest_middleware::Result<Response>>
    where
        Self: 'f,
        'layer: 'f,
        'extensions: 'f,
        'next: 'f,
    {
        let chain = Chain::pick_up(extensions);
        let options = match self.acts_on(&request, extensions, &chain) {
            Ok(Some(options)) => options,
            Ok(None) => return next.run(request, extensions),
            Err(error) => return self.fail(error),
        };
        let path = request.url().path();
        match self.limiter.ask(&options, path, chain.deadline()) {
            Ok((asked, Entry::Granted(ticket, granted))) => {
                let granted = (ticket, granted);
                let turn = self.turn(&request, &chain, asked, granted, &options, extensions);
                self.pass(request, chain, turn, extensions, next)
            }
            Ok((asked, Entry::Waiting(line))) => Box::pin(async move {
                let granted = line.wait().await;
                let granted = granted.map_err(|error| self.limiter.told(error))?;
                let turn = self.turn(&request, &chain, asked, granted, &options, extensions);
                self.pass(request, chain, turn, extensions, next).await
            }),
            Err(error) => self.fail(error),
        }
    }
}

impl RateLimitMiddleware {
    fn fail<'f>(&self, error: Error) -> BoxFuture<'f, reqwest_middleware::Result<Response>> {
        Box::pin(std::future::ready(Err(self.limiter.told(error).into())))
    }

    /// The turn of a request that has its permit, and whether the clone for its replays is an outer
    /// layer's: one serves both.
    fn turn(
        &self,
        request: &Request,
        chain: &Chain,
        asked: Asked,
        granted: (Ticket, Granted),
        options: &RequestOptions,
        extensions: &Extensions,
    ) -> (Arc<Turn>, bool) {
        let is_shared = chain.spare(request).is_some();
        let clones = !is_shared && self.limiter.settings.max_replays > 0;
        let own = if clones {
            Spare::of(request, options.body_factory.as_ref())
        } else {
            None
        };
        let outer = Handle::present(extensions);
        let sent = Sent {
            destination: request.url().into(),
            names_quota: options.quota.is_some(),
        };
        let turn = Turn::new(&self.limiter, asked, granted, sent, own, outer);
        (turn, is_shared)
    }

    /// Sends a request on its turn.
    fn pass<'f>(
        &'f self,
        request: Request,
        chain: Chain,
        (turn, is_shared): (Arc<Turn>, bool),
        extensions: &'f mut Extensions,
        next: Next<'f>,
    ) -> BoxFuture<'f, reqwest_middleware::Result<Response>> {
        Box::pin(async move {
            let result = {
                let mut left = Handle::leave(&turn, extensions);
                next.clone().run(request, left.extensions()).await
            };
            let response = self.settled(result, &turn, turn.sent).await?;
            if turn.is_rejected() {
                let spare = if is_shared {
                    chain.nearest_spare()
                } else {
                    turn.spare()
                };
                let spare = (&chain, spare);
                return Box::pin(self.replay(response, &turn, spare, extensions, next)).await;
            }
            LastWord::take_back(extensions);
            Ok(self.with_what_is_left(response, &turn))
        })
    }

    /// Sends a rejected request again, as often as that is allowed; not at all where that was done
    /// in an attempt before of a layer outside, which sends it again by itself.
    async fn replay(
        &self,
        rejected: Response,
        turn: &Arc<Turn>,
        (chain, spare): (&Chain, Option<&Spare>),
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let settings = &self.limiter.settings;
        let mut response = rejected;
        let was_said = LastWord::was_said(extensions, turn.sent.destination);
        let most = if was_said { 0 } else { settings.max_replays };
        for attempt in 1..=most {
            let Some(copy) = spare.and_then(Spare::copy) else {
                break;
            };
            let status = response.status();
            self.wait_again(response, turn).await?;
            let unsent = SettlesUnsent(turn);
            // After the wait, so that no signature ages.
            let again = chain.signed_anew().unwrap_or(Ok(copy));
            let again = again.map_err(|error| self.limiter.told(error))?;
            let reason = ReplayReason::RateLimited;
            settings.events.emit(|| Event::Replayed {
                reason,
                status,
                attempt,
            });
            std::mem::forget(unsent);
            let sent = Sent {
                destination: Destination::from(again.url()),
                ..turn.sent
            };
            let result = {
                let mut left = Handle::leave(turn, extensions);
                next.clone().run(again, left.extensions()).await
            };
            response = self.settled(result, turn, sent).await?;
            if !turn.is_rejected() {
                return Ok(self.with_what_is_left(response, turn));
            }
        }
        LastWord::say(extensions, turn.sent.destination);
        FinalRejection::mark(&mut response);
        Ok(self.with_what_is_left(response, turn))
    }

    fn with_what_is_left(&self, mut response: Response, turn: &Turn) -> Response {
        if self.limiter.settings.snapshots {
            response.extensions_mut().insert(turn.snapshot());
        }
        response
    }

    /// Ends the permit, unless a layer beneath has done so.
    async fn settled(
        &self,
        result: reqwest_middleware::Result<Response>,
        turn: &Turn,
        sent: Sent,
    ) -> reqwest_middleware::Result<Response> {
        let settings = &self.limiter.settings;
        let mut response = result.inspect_err(|error| turn.settle(outcome_of_error(error)))?;
        // After a redirect to somebody else the status and the headers are not the account's.
        if settings.origins.whose(response.url()) != Whose::Ours {
            turn.settle(Outcome::Lost);
            return Ok(response);
        }
        let mut body = None;
        if settings.rules.need_body(response.status()) {
            (response, body) = Box::pin(response::buffer(response, &*settings.clock)).await;
        }
        let url = response.url();
        // Before what the answer tells, in which the server's count has it.
        if sent.destination.is_left_for(url) {
            turn.seat.charge_redirect(url, sent.names_quota);
        }
        // Before the permit ends, so that no other takes its place on the wire.
        let has_ended = body.is_some() || response.content_length() == Some(0);
        let open = if has_ended {
            None
        } else {
            turn.seat.open_body()
        };
        let (status, headers) = (response.status(), response.headers());
        let verdict = settings.rules.verdict(status, headers, body.as_deref());
        // Of the attempt before this one.
        let verdict = verdict.map(|verdict| verdict.on_attempt(turn.is_rejected()));
        turn.settle(Outcome::Answered {
            status,
            headers,
            verdict,
            body: body.as_deref(),
        });
        Ok(match open {
            Some(open) => response::holding(response, open),
            None => response,
        })
    }

    /// Waits for the permit of the replay; if that is too far off, the caller learns what the
    /// server had answered.
    async fn wait_again(&self, response: Response, turn: &Turn) -> Result<(), Error> {
        let status = response.status();
        // Where a rule looks at bodies it was read already.
        let clock = &*self.limiter.settings.clock;
        let (response, body) = match self.limiter.settings.rules.need_body(status) {
            true => response::buffer(response, clock).await,
            false => (response, None),
        };
        let headers = response.headers();
        let id = turn.seat.request_id(status, headers, body.as_deref());
        // So that the connection is free for others during the wait.
        response::discard(response, clock).await;
        let permit = turn.acquire().await;
        permit.map_err(|error| {
            self.limiter
                .told(error.with_status(status).with_request_id(id))
        })
    }
}

/// Gives a permit back that was not used: the signer of the attempt has failed, or panicked.
struct SettlesUnsent<'a>(&'a Turn);

impl Drop for SettlesUnsent<'_> {
    fn drop(&mut self) {
        self.0.settle(Outcome::Unsent);
    }
}

/// Nothing left if the connection was never made, or if a layer beneath refused to send; anything
/// else may have reached the server.
fn outcome_of_error(error: &reqwest_middleware::Error) -> Outcome<'static> {
    let unsent = match error {
        reqwest_middleware::Error::Reqwest(error) => error.is_connect() || error.is_builder(),
        reqwest_middleware::Error::Middleware(_) => Error::find(error).is_some(),
    };
    if unsent {
        Outcome::Unsent
    } else {
        Outcome::Lost
    }
}
