//! What is asked about one part, and what comes of it.

use std::time::Duration;

use anyhow::Result;
use http::StatusCode;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use reqwest_middleware::{ClientWithMiddleware, RequestBuilder};
use reqwest_tollgate::{Clock as _, Error, ErrorKind, SystemClock};
use tokio::sync::watch;

use crate::course::Seen;
use crate::stop::{Ending, Stop};
use crate::template::Template;
use crate::text;
use crate::wire::OnWire;

/// An answer may tear after its status came, where no retry layer sees it any more.
const READS: usize = 3;
/// The account's layers may look into an answer that has come.
const LOOK: Duration = Duration::from_millis(200);

/// What all parts share.
pub(crate) struct Question {
    pub(crate) client: ClientWithMiddleware,
    /// Tries nothing twice.
    pub(crate) probe: ClientWithMiddleware,
    pub(crate) method: Method,
    pub(crate) template: Template,
}

/// What came of a part.
pub(crate) enum Found {
    Answer(Answer),
    Error(anyhow::Error),
    /// The crawl ended while the request waited for its turn.
    Dropped,
}

/// What the server said about a part in the end.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Why a part failed.
pub(crate) struct Failure {
    /// The name that the summary counts it by.
    pub(crate) kind: String,
    pub(crate) text: String,
}

impl Question {
    /// Asks about a part. Once the crawl ends, a request that is not on the wire is dropped.
    pub(crate) async fn ask(&self, part: &str, is_probe: bool, stop: &Stop) -> Found {
        let mut reads = 1;
        loop {
            let response = match self.response(part, is_probe, stop).await {
                Ok(Some(response)) => response,
                Ok(None) => return Found::Dropped,
                Err(error) => return Found::Error(error),
            };
            let status = response.status().as_u16();
            match response.text().await {
                Ok(body) => return Found::Answer(Answer { status, body }),
                Err(error) if reads == READS => return Found::Error(error.into()),
                Err(_) if stop.ending().is_some() => return Found::Dropped,
                Err(_) => reads += 1,
            }
        }
    }

    async fn response(
        &self,
        part: &str,
        is_probe: bool,
        stop: &Stop,
    ) -> Result<Option<reqwest::Response>> {
        let (on_wire, mut state) = OnWire::new();
        let request = self.request(part, is_probe)?.with_extension(on_wire);
        let mut sending = Box::pin(request.send());
        tokio::select! {
            biased;
            response = &mut sending => return Ok(Some(response?)),
            () = stop.ended() => {}
        }
        tokio::select! {
            biased;
            response = &mut sending => Ok(Some(response?)),
            () = has_landed(&mut state) => Ok(None),
        }
    }

    fn request(&self, part: &str, is_probe: bool) -> Result<RequestBuilder> {
        let url = self.template.url(part)?;
        let client = match is_probe {
            true => &self.probe,
            false => &self.client,
        };
        let request = client.request(self.method.clone(), url);
        Ok(match self.template.body(part) {
            Some((media_type, body)) => request.header(CONTENT_TYPE, media_type).body(body),
            None => request,
        })
    }
}

/// Returns once the request is no longer on the wire, and what came of it has been looked at.
async fn has_landed(state: &mut watch::Receiver<bool>) {
    if !*state.borrow_and_update() {
        return;
    }
    // It fails once the request is gone.
    let _ = state.wait_for(|is_on| !is_on).await;
    SystemClock.sleep(LOOK).await;
}

impl Found {
    /// Why the part failed, if it did.
    pub(crate) fn failure(&self) -> Option<Failure> {
        match self {
            Self::Answer(answer) => answer.failure(),
            Self::Error(error) => Some(Failure {
                kind: kind(error),
                text: text::of_error(error),
            }),
            Self::Dropped => None,
        }
    }

    /// Whether all other parts would fail with it too.
    pub(crate) fn ending(&self) -> Option<Ending> {
        match self {
            Self::Error(error) => Error::find(error.as_ref()).and_then(Ending::of),
            _ => None,
        }
    }

    /// What it says of the server.
    pub(crate) fn seen(&self) -> Seen {
        match self {
            Self::Answer(answer) => answer.seen(),
            Self::Error(error) => match Error::find(error.as_ref()).map(Error::kind) {
                None | Some(ErrorKind::TokenEndpoint | ErrorKind::Store) => {
                    Seen::Unreachable(text::of_error(error))
                }
                Some(_) => Seen::Other,
            },
            Self::Dropped => Seen::Other,
        }
    }
}

impl Answer {
    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    fn failure(&self) -> Option<Failure> {
        (!self.is_success()).then(|| Failure {
            kind: format!("status_{}", self.status),
            text: self.shown(),
        })
    }

    fn seen(&self) -> Seen {
        match self.status {
            _ if self.is_success() => Seen::Success,
            // A gateway without its server, or one that asks to come back.
            502..=504 => Seen::Unreachable(self.shown()),
            status => Seen::Status(status),
        }
    }

    /// `404 Not Found: {"detail":…}`.
    fn shown(&self) -> String {
        let reason = StatusCode::from_u16(self.status).ok();
        let reason = reason.and_then(|status| status.canonical_reason());
        let status = match reason {
            Some(reason) => format!("{} {reason}", self.status),
            None => self.status.to_string(),
        };
        match text::one_line(&self.body) {
            body if body.is_empty() => status,
            body => format!("{status}: {body}"),
        }
    }
}

fn kind(error: &anyhow::Error) -> String {
    match Error::find(error.as_ref()) {
        Some(error) => error.kind().to_string(),
        None => "transport".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let body = body.to_owned();
        Answer { status, body }
    }

    #[test]
    fn a_failure_says_what_the_server_said() {
        let failure = answer(404, "{\n  \"detail\": \"no such part\"\n}").failure();
        let failure = failure.unwrap();
        assert_eq!(failure.kind, "status_404");
        assert_eq!(
            failure.text,
            "404 Not Found: { \"detail\": \"no such part\" }"
        );
        assert_eq!(answer(599, "").failure().unwrap().text, "599");
        assert!(answer(204, "").failure().is_none());
    }

    #[test]
    fn a_gateway_without_a_server_counts_as_unreachable_and_an_error_of_the_server_does_not() {
        assert_eq!(answer(500, "").seen(), Seen::Status(500));
        assert!(matches!(answer(503, "").seen(), Seen::Unreachable(_)));
        assert_eq!(answer(200, "").seen(), Seen::Success);
    }
}
