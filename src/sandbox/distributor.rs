//! The distributor in the box: its books, and what it decides about one request at one moment.
//!
//! Nothing here waits or touches a socket. The lock is held for one decision at a time, and never
//! while the user's closure runs.

mod gate;

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};

use super::Sandbox;
use super::answer::Answer;
use super::builder::Settings;
use super::counters::Counters;
use super::fault::Fault;
use super::issuer::{Issuer, Rules};
use super::manners::{Known, Occasion};
use super::mishaps::{Mishaps, TokenMishap};
use super::quota::Quota;
use super::token_endpoint::{self, TokenEndpoint};
use crate::clock::{Clock, Moment, Now, SystemClock};

/// The header with the client's id, which DigiKey wants on every API request.
pub(super) const CLIENT_ID_HEADER: &str = "x-digikey-client-id";

pub(super) struct Distributor {
    settings: Settings,
    token_endpoint: TokenEndpoint,
    started: Moment,
    books: Mutex<Books>,
}

/// Everything that changes.
struct Books {
    quota: Quota,
    issuer: Issuer,
    mishaps: Mishaps,
    counters: Counters,
    accepted: Vec<Duration>,
    /// Of signatures.
    nonces: HashSet<String>,
    /// How often each of a vendor's words was needed.
    said: HashMap<Occasion, usize>,
    random: fastrand::Rng,
}

/// One request, as it arrived.
pub(super) struct Arrival {
    /// What the sandbox calls it.
    pub(super) id: String,
    /// How long the answer takes on its way here and back, in all.
    pub(super) latency: Duration,
}

/// What becomes of a token request.
pub(super) enum TokenOutcome {
    Answer(Answer),
    /// It acted, and closes the connection.
    Drop,
}

/// What becomes of an API request.
pub(super) enum Outcome {
    /// This answer, and the resource is not asked.
    Refuse(Answer),
    /// The resource's answer, later by `delay`, with these headers.
    Serve { headers: HeaderMap, delay: Duration },
    /// The connection closes.
    Drop,
}

impl Distributor {
    pub(super) fn new(settings: Settings, now: Now) -> Self {
        let mut random = fastrand::Rng::with_seed(settings.seed);
        let quota = Quota::new(
            &settings.windows,
            settings.enforcement,
            settings.count_rejected,
            now.wall,
            &mut random,
        );
        let issuer = Issuer::new(Rules {
            lifetime: settings.token_lifetime,
            rotation: settings.rotation,
            grace: settings.grace,
        });
        Self {
            token_endpoint: TokenEndpoint {
                known: Known {
                    id: settings.client_id.clone(),
                    secret: settings.client_secret.clone(),
                    key: Sandbox::KEY.to_owned(),
                },
                lifetime: settings.token_lifetime,
                omit_expires_in: settings.omit_expires_in,
                manners: settings.manners,
            },
            started: now.moment,
            books: Mutex::new(Books {
                quota,
                issuer,
                mishaps: Mishaps::default(),
                counters: Counters::default(),
                accepted: Vec::new(),
                nonces: HashSet::new(),
                said: HashMap::new(),
                random,
            }),
            settings,
        }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn counters(&self) -> Counters {
        self.books().counters.clone()
    }

    pub(super) fn accepted(&self) -> Vec<Duration> {
        self.books().accepted.clone()
    }

    pub(super) fn inject(&self, fault: Fault) {
        // May be called on a thread whose tokio clock is paused: only the wall clock is read.
        let now = SystemClock.now().wall;
        self.books().mishaps.inject(fault, now);
    }

    pub(super) fn clear_faults(&self) {
        self.books().mishaps.clear();
    }

    pub(super) fn log_in(&self) -> String {
        self.books().issuer.log_in()
    }

    pub(super) fn revoke_access_tokens(&self) {
        self.books().issuer.revoke_access_tokens();
    }

    pub(super) fn revoke_refresh_tokens(&self) {
        self.books().issuer.revoke_refresh_tokens();
    }

    pub(super) fn connection_opened(&self) {
        self.books().counters.connections += 1;
    }

    pub(super) fn token_request_arrives(&self) -> Arrival {
        let mut books = self.books();
        books.counters.token_requests += 1;
        let mut arrival = self.arrival(&mut books);
        let delay = books.mishaps.token_delay();
        books.counters.injected += u64::from(!delay.is_zero());
        arrival.latency = arrival.latency.saturating_add(delay);
        arrival
    }

    pub(super) fn api_request_arrives(&self) -> Arrival {
        let mut books = self.books();
        books.counters.requests += 1;
        self.arrival(&mut books)
    }

    fn arrival(&self, books: &mut Books) -> Arrival {
        let id = books.random.u128(..);
        let range = &self.settings.latency;
        let spread = range.end.saturating_sub(range.start);
        Arrival {
            id: request_id(id),
            latency: range.start + spread.mul_f64(books.random.f64()),
        }
    }

    pub(super) fn decide_token_request(&self, request: &Request<Bytes>, now: Now) -> TokenOutcome {
        let mut books = self.books();
        let books = &mut *books;
        let mishap = books.mishaps.at_token_endpoint(now.wall);
        books.counters.injected += u64::from(mishap.is_some());
        match mishap {
            Some(TokenMishap::Down) => TokenOutcome::Answer(token_endpoint::down()),
            Some(TokenMishap::Html) => TokenOutcome::Answer(token_endpoint::html()),
            Some(TokenMishap::Throttled(span)) => {
                TokenOutcome::Answer(token_endpoint::throttled(span))
            }
            Some(TokenMishap::Lost) => {
                self.token_answer(request, books, now);
                TokenOutcome::Drop
            }
            None => TokenOutcome::Answer(self.token_answer(request, books, now)),
        }
    }

    fn token_answer(&self, request: &Request<Bytes>, books: &mut Books, now: Now) -> Answer {
        let since_start = now.moment - self.started;
        self.token_endpoint.answer(
            request,
            &mut books.issuer,
            &mut books.counters,
            since_start,
            now.wall,
        )
    }

    pub(super) fn api_request_answered(&self, status: StatusCode) {
        self.books().counters.answered += u64::from(status.is_success());
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // No panic leaves the books half written in a way that matters to a test.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In the shape of a UUID, as DigiKey's are.
fn request_id(random: u128) -> String {
    let mut id = format!("{random:032x}");
    for position in [20, 16, 12, 8] {
        id.insert(position, '-');
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_has_the_shape_of_a_uuid() {
        assert_eq!(
            request_id(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
            "01234567-89ab-cdef-0123-456789abcdef"
        );
    }
}
