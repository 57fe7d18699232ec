//! One request from its arrival to its answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;

use super::answer::{self, Answer, error_answer};
use super::distributor::{Arrival, Distributor, Outcome, TokenOutcome};
use crate::clock::{Clock, Now, SystemClock};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-digikey-request-id");
/// What a request's body may have at most, in bytes.
const MAX_BODY: usize = 1 << 20;

/// The connection closes without an answer.
#[derive(Debug)]
pub(super) struct Dropped;

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sandbox closes the connection without an answer")
    }
}

impl std::error::Error for Dropped {}

/// Answers one request; hyper adds `Date`.
pub(super) async fn answer(
    distributor: Arc<Distributor>,
    request: Request<Incoming>,
) -> Result<http::Response<Full<Bytes>>, Dropped> {
    let is_token = request.uri().path() == distributor.settings().token_path();
    let arrival = match is_token {
        true => distributor.token_request_arrives(),
        false => distributor.api_request_arrives(),
    };
    let mut answer = match read(request, &arrival.id).await? {
        Err(too_large) => too_large,
        Ok(request) if is_token => token(&distributor, &request, &arrival).await?,
        Ok(request) => api(&distributor, &request, &arrival).await?,
    };
    if !is_token {
        distributor.api_request_answered(answer.status());
    }
    let id = HeaderValue::from_str(&arrival.id).map_err(|_| Dropped)?;
    answer.headers_mut().entry(REQUEST_ID).or_insert(id);
    Ok(answer.map(Full::new))
}

/// The whole request, or the answer to one that is too large.
async fn read(
    request: Request<Incoming>,
    id: &str,
) -> Result<Result<Request<Bytes>, Answer>, Dropped> {
    let (parts, body) = request.into_parts();
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => Ok(Ok(Request::from_parts(parts, body.to_bytes()))),
        // The client is gone.
        Err(error) if error.is::<hyper::Error>() => Err(Dropped),
        Err(_) => {
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            let details = "The sandbox reads bodies of 1 MiB at most";
            Ok(Err(error_answer(status, "Payload Too Large", details, id)))
        }
    }
}

async fn token(
    distributor: &Distributor,
    request: &Request<Bytes>,
    arrival: &Arrival,
) -> Result<Answer, Dropped> {
    let decide = |now| distributor.decide_token_request(request, now);
    match halfway(arrival, decide).await {
        TokenOutcome::Answer(answer) => Ok(answer),
        TokenOutcome::Drop => Err(Dropped),
    }
}

async fn api(
    distributor: &Distributor,
    request: &Request<Bytes>,
    arrival: &Arrival,
) -> Result<Answer, Dropped> {
    let decide = |now| distributor.decide_api_request(request, &arrival.id, now);
    match halfway(arrival, decide).await {
        Outcome::Refuse(answer) => Ok(answer),
        Outcome::Drop => Err(Dropped),
        Outcome::Serve { headers, delay } => {
            pass(delay).await;
            let resource = &distributor.settings().resource;
            let mut answer = match distributor.settings().manners {
                Some(manners) => resource.answer_as(manners, request),
                None => resource.answer(request, &arrival.id),
            };
            answer::add_headers(&mut answer, headers);
            Ok(answer)
        }
    }
}

/// The decision falls in the middle of the latency: a client can know neither end of it.
async fn halfway<T>(arrival: &Arrival, decide: impl FnOnce(Now) -> T) -> T {
    let there = arrival.latency / 2;
    pass(there).await;
    let outcome = decide(SystemClock.now());
    pass(arrival.latency - there).await;
    outcome
}

async fn pass(span: Duration) {
    if !span.is_zero() {
        SystemClock.sleep(span).await;
    }
}
