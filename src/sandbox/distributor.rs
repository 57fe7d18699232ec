//! The distributor in the box: its books, and what it decides about one request at one moment.
//!
//! Nothing here waits or touches a socket. The lock is held for one decision at a time, and never
//! while the user's closure runs.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderValue};
use http::{HeaderMap, Request, StatusCode};

use super::answer::{self, Answer, error_answer};
use super::builder::Settings;
use super::counters::Counters;
use super::dialect::Role;
use super::fault::Fault;
use super::issuer::{Issuer, Rules, Worth};
use super::manners::{Gap, Manners, Moment as Numbers, Occasion};
use super::mishaps::{BackendMishap, GateMishap, Mishaps, TokenMishap};
use super::quota::{Quota, Standing, Verdict};
use super::token_endpoint::{self, TokenEndpoint};
use crate::clock::{Clock, Moment, Now, SystemClock};

/// The header with the client's id, which DigiKey wants on every API request.
pub(super) const CLIENT_ID_HEADER: &str = "x-digikey-client-id";

/// What an injected refusal tells to wait for.
const INJECTED_WAIT: Duration = Duration::from_secs(1);
/// What it says is allowed, where no window is: a limit of 0 would be learned.
const INJECTED_LIMIT: u64 = 1000;
/// What an injected refusal of the day tells to wait for.
const INJECTED_DAY: Duration = Duration::from_secs(60 * 60);

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
                client_id: settings.client_id.clone(),
                client_secret: settings.client_secret.clone(),
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

    /// The credential first, then the quota, then the resource: as a gateway does it.
    pub(super) fn decide_api_request(
        &self,
        request: &Request<Bytes>,
        id: &str,
        now: Now,
    ) -> Outcome {
        let mut books = self.books();
        let books = &mut *books;
        if let Some(refused) = self.refusal(request, books, id, now) {
            return Outcome::Refuse(refused);
        }
        if let Some(mishap) = books.mishaps.at_gate(&mut books.random) {
            books.counters.injected += 1;
            let answer = match self.settings.manners {
                Some(manners) => injected(manners, mishap, books, id, now),
                None => gate_answer(mishap, id),
            };
            return Outcome::Refuse(answer);
        }
        self.metered(books, id, now)
    }

    /// What is wrong with the request itself: its path, its credential.
    fn refusal(
        &self,
        request: &Request<Bytes>,
        books: &mut Books,
        id: &str,
        now: Now,
    ) -> Option<Answer> {
        let Some(manners) = self.settings.manners else {
            let refused = self.credential_refused(request, books, id, now)?;
            let is_missing = !request.headers().contains_key(AUTHORIZATION);
            books.counters.refused_credential(is_missing);
            return Some(refused);
        };
        if !manners.has(request.uri().path()) {
            books.counters.wrong_paths += 1;
            return Some(answer::nowhere());
        }
        let (issuer, since_start) = (&books.issuer, now.moment - self.started);
        let is_good = |token: &str| issuer.worth(token, since_start) == Worth::Good;
        let known = self.token_endpoint.known();
        let gap = manners.gap(request, &known, &mut books.nonces, &is_good, now.wall)?;
        books.counters.refused_credential(gap == Gap::Missing);
        let occasion = match gap {
            Gap::Missing | Gap::Token => Occasion::Refused,
            Gap::Other => Occasion::Other,
        };
        Some(say(manners, occasion, books, &without_numbers(id, now)))
    }

    fn credential_refused(
        &self,
        request: &Request<Bytes>,
        books: &Books,
        id: &str,
        now: Now,
    ) -> Option<Answer> {
        let token = request.headers().get(AUTHORIZATION).and_then(bearer);
        let since_start = now.moment - self.started;
        match token.map_or(Worth::Unknown, |it| books.issuer.worth(it, since_start)) {
            Worth::Unknown => return Some(answer::invalid(id)),
            Worth::Expired => return Some(answer::expired(id)),
            Worth::Good => {}
        }
        let client = request.headers().get(CLIENT_ID_HEADER);
        let is_another = |client: &HeaderValue| *client != self.settings.client_id;
        client
            .is_some_and(is_another)
            .then(|| answer::not_subscribed(id))
    }

    fn metered(&self, books: &mut Books, id: &str, now: Now) -> Outcome {
        let since_start = now.moment - self.started;
        let verdict = books.quota.decide(since_start);
        if let Some(refusal) = verdict.refusal {
            books.counters.rejected_429 += 1;
            let is_day = Role::of(refusal.window, verdict.windows.len()) == Role::Day;
            books.counters.rejected_for_the_day += u64::from(is_day);
        }
        if let Some(manners) = self.settings.manners {
            return self.metered_as(manners, &verdict, books, id, now);
        }
        let mut headers = HeaderMap::new();
        if verdict.refusal.is_some() || self.settings.header_on_success {
            headers = self.settings.dialect.headers(&verdict, now.wall);
        }
        if let Some(refusal) = verdict.refusal {
            let role = Role::of(refusal.window, verdict.windows.len());
            let mut refused = answer::spent(role == Role::Day, id);
            answer::add_headers(&mut refused, headers);
            return Outcome::Refuse(refused);
        }
        books.accepted.push(since_start);
        self.backend(books, headers, id)
    }

    /// The quota's verdict in a vendor's words.
    fn metered_as(
        &self,
        manners: Manners,
        verdict: &Verdict,
        books: &mut Books,
        id: &str,
        now: Now,
    ) -> Outcome {
        let mut numbers = without_numbers(id, now);
        let last = verdict.windows.len().saturating_sub(1);
        let told = verdict.refusal.map_or(last, |refusal| refusal.window);
        if let Some(standing) = verdict.windows.get(told) {
            numbers.standing = *standing;
        }
        let Some(refusal) = verdict.refusal else {
            books.accepted.push(now.moment - self.started);
            let headers = match self.settings.header_on_success && !verdict.windows.is_empty() {
                true => manners.headers(&numbers),
                false => HeaderMap::new(),
            };
            return self.backend(books, headers, id);
        };
        numbers.wait = refusal.retry_after;
        let occasion = match Role::of(refusal.window, verdict.windows.len()) {
            Role::Day => Occasion::Spent,
            Role::Burst | Role::Between => Occasion::Rate,
        };
        Outcome::Refuse(say(manners, occasion, books, &numbers))
    }

    fn backend(&self, books: &mut Books, headers: HeaderMap, id: &str) -> Outcome {
        let mishap = books.mishaps.at_backend(&mut books.random);
        books.counters.injected += u64::from(mishap.is_some());
        match mishap {
            Some(BackendMishap::Reset) => Outcome::Drop,
            Some(BackendMishap::ServerError) => {
                let mut failed = server_error(id);
                answer::add_headers(&mut failed, headers);
                Outcome::Refuse(failed)
            }
            Some(BackendMishap::Hang(delay)) => Outcome::Serve { headers, delay },
            None => Outcome::Serve {
                headers,
                delay: Duration::ZERO,
            },
        }
    }

    pub(super) fn api_request_answered(&self, status: StatusCode) {
        self.books().counters.answered += u64::from(status.is_success());
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // No panic leaves the books half written in a way that matters to a test.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bearer(header: &HeaderValue) -> Option<&str> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The next of the vendor's words for it.
fn say(manners: Manners, occasion: Occasion, books: &mut Books, numbers: &Numbers) -> Answer {
    let said = books.said.entry(occasion).or_default();
    let answer = manners.answer(occasion, *said, numbers);
    *said += 1;
    answer
}

fn injected(manners: Manners, mishap: GateMishap, books: &mut Books, id: &str, now: Now) -> Answer {
    let mut numbers = without_numbers(id, now);
    let (occasion, wait) = match mishap {
        GateMishap::Unauthorized => (Occasion::Refused, Duration::ZERO),
        GateMishap::NotSubscribed => (Occasion::Other, Duration::ZERO),
        GateMishap::RateLimited => (Occasion::Rate, INJECTED_WAIT),
        GateMishap::QuotaSpent => (Occasion::Spent, INJECTED_DAY),
    };
    numbers.wait = wait;
    numbers.standing.reset = wait;
    numbers.standing.limit = INJECTED_LIMIT;
    say(manners, occasion, books, &numbers)
}

fn without_numbers(id: &str, now: Now) -> Numbers {
    Numbers {
        standing: Standing {
            limit: 0,
            remaining: 0,
            reset: Duration::ZERO,
        },
        wait: Duration::ZERO,
        now: now.wall,
        id: id.to_owned(),
    }
}

fn gate_answer(mishap: GateMishap, id: &str) -> Answer {
    match mishap {
        GateMishap::Unauthorized => answer::expired(id),
        GateMishap::NotSubscribed => answer::not_subscribed(id),
        GateMishap::RateLimited => told(answer::spent(false, id), INJECTED_WAIT),
        GateMishap::QuotaSpent => told(answer::spent(true, id), INJECTED_DAY),
    }
}

fn told(mut refused: Answer, wait: Duration) -> Answer {
    let headers = refused.headers_mut();
    headers.insert(http::header::RETRY_AFTER, wait.as_secs().into());
    refused
}

fn server_error(id: &str) -> Answer {
    error_answer(
        StatusCode::INTERNAL_SERVER_ERROR,
        "Internal Server Error",
        "Execution of ServiceCallout failed",
        id,
    )
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

    #[test]
    fn the_scheme_is_read_in_any_case_and_another_scheme_is_no_token() {
        let read = |text| bearer(&HeaderValue::from_static(text)).map(str::to_owned);
        assert_eq!(read("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(read("bearer abc").as_deref(), Some("abc"));
        assert_eq!(read("Basic abc"), None);
        assert_eq!(read("abc"), None);
    }
}
