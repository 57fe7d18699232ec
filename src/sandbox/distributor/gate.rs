//! An API request at the gate: the credential first, then the quota, then the resource.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderValue};
use http::{HeaderMap, Request, StatusCode};

use super::{Books, CLIENT_ID_HEADER, Distributor, Outcome};
use crate::clock::Now;
use crate::sandbox::answer::{self, Answer, error_answer};
use crate::sandbox::dialect::Role;
use crate::sandbox::issuer::Worth;
use crate::sandbox::manners::{Gap, Manners, Moment as Numbers, Occasion};
use crate::sandbox::mishaps::{BackendMishap, GateMishap};
use crate::sandbox::quota::{Standing, Verdict};

/// What an injected refusal tells to wait for.
const INJECTED_WAIT: Duration = Duration::from_secs(1);
/// What it says is allowed, where no window is: a limit of 0 would be learned.
const INJECTED_LIMIT: u64 = 1000;
/// What an injected refusal of the day tells to wait for.
const INJECTED_DAY: Duration = Duration::from_secs(60 * 60);

impl Distributor {
    /// The credential first, then the quota, then the resource: as a gateway does it.
    pub(in crate::sandbox) fn decide_api_request(
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
        let known = &self.token_endpoint.known;
        let gap = manners.gap(request, known, &mut books.nonces, &is_good, now.wall)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_read_in_any_case_and_another_scheme_is_no_token() {
        let read = |text| bearer(&HeaderValue::from_static(text)).map(str::to_owned);
        assert_eq!(read("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(read("bearer abc").as_deref(), Some("abc"));
        assert_eq!(read("Basic abc"), None);
        assert_eq!(read("abc"), None);
    }
}
