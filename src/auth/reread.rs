//! Keys that were refused are read again where they are kept: a key that is renewed in its file or
//! secret store needs no restart. Where they are the same as before, and have just worked for
//! another request, the request is sent once more with them, as with a [token](super::replay).

use std::sync::Arc;

use http::Extensions;
use reqwest::Response;
use reqwest_middleware::Next;
use tokio::runtime::Handle;

use super::attempt::{Passing, run};
use super::challenge::{self, Course, Suspicion};
use super::credentials::keys::Keys;
use super::middleware::Authenticator;
use super::pass::Pass;
use super::replay::{Answer, with_refusal};
use crate::buffered_body::buffer;
use crate::clock::Moment;
use crate::layers::Spare;
use crate::observe::event::{Event, ReplayReason};

/// A request whose keys were refused, or may have been.
pub(super) struct Refused<'a> {
    pub(super) passing: &'a Passing<'a>,
    /// Those that can change.
    pub(super) worn: Option<&'a Keys>,
    /// Whether the request may be sent once more with the same keys.
    pub(super) may_retry: bool,
}

/// Why the request is sent once more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    OtherKeys,
    SameKeys,
}

impl Refused<'_> {
    /// Sends the request once more if there are other keys by now, or if the same ones work for
    /// others; else gives its answer back.
    ///
    /// # Errors
    /// No permit for the replay, or no signature; with the status of the refusal.
    pub(super) async fn cure(
        &self,
        response: Response,
        spare: Option<&Spare>,
        pass: Option<&Arc<Pass>>,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let authenticator = self.passing.authenticator;
        let settings = &authenticator.settings;
        // Nothing could be done about it, so its body need not be known.
        let Some(spare) = spare else {
            return Ok(response);
        };
        let (response, is_refusal) = self.passing.look(response).await;
        if !is_refusal {
            if self.may_retry {
                let evidence = settings.credentials.evidence();
                self.passing
                    .note_success(evidence, self.passing.now.moment, &response);
            }
            return Ok(response);
        }
        let (response, body) = buffer(response, &*settings.clock).await;
        let (status, headers) = (response.status(), response.headers());
        let table = &settings.rejection;
        let suspicion = challenge::classify(table, status, headers, body.as_deref());
        let again = self.again(suspicion, &response, body.as_deref()).await;
        let Some((again, mut request)) = again.zip(spare.copy()) else {
            return Ok(response);
        };
        self.passing.settle_refusal(&response, body.as_deref());
        let answer = Answer::of(&response, body.as_deref(), self.passing);
        drop(response);
        let refuse = |error| authenticator.refuse(answer.annotate(error));
        self.passing.chain.acquire().await.map_err(refuse)?;
        let since = settings.clock.now().moment;
        let worn = authenticator.put(&mut request, None).map_err(refuse)?;
        settings.events.emit(|| Event::Replayed {
            reason: ReplayReason::Unauthorized,
            status: answer.status,
            attempt: 1,
        });
        let result = run(pass, request, extensions, next).await;
        let response = authenticator
            .receive(result, &worn)
            .map_err(|error| with_refusal(error, &answer))?;
        let (response, is_refusal) = self.passing.look(response).await;
        self.note(again, &response, is_refusal, since);
        Ok(response)
    }

    async fn again(
        &self,
        suspicion: Suspicion,
        response: &Response,
        body: Option<&[u8]>,
    ) -> Option<Again> {
        if suspicion == Suspicion::None {
            return None;
        }
        if let Some(worn) = self.worn {
            // Before the file is read: nothing waits while it holds a permit.
            self.passing.settle_refusal(response, body);
            if self.has_newer_than(worn).await {
                return Some(Again::OtherKeys);
            }
        }
        let settings = &self.passing.authenticator.settings;
        let (credentials, now) = (&settings.credentials, settings.clock.now().moment);
        let retry = || self.may_retry && credentials.take_retry(now);
        match challenge::course(suspicion, credentials.standing(now), retry) {
            Course::RetrySameToken => Some(Again::SameKeys),
            Course::Renew | Course::Return => None,
        }
    }

    /// What the replay has found out about the keys.
    fn note(&self, again: Again, response: &Response, is_refusal: bool, since: Moment) {
        let settings = &self.passing.authenticator.settings;
        let credentials = &settings.credentials;
        if is_refusal {
            let now = settings.clock.now().moment;
            credentials.evidence().note_refused_replay(now);
            return;
        }
        self.passing
            .note_success(credentials.evidence(), since, response);
        if again == Again::SameKeys {
            credentials.return_retry();
        }
    }

    /// Whether others came since, or are there now.
    async fn has_newer_than(&self, worn: &Keys) -> bool {
        let authenticator = self.passing.authenticator;
        let credentials = &authenticator.settings.credentials;
        if !credentials.are_newer_than(worn) {
            read_again(authenticator.clone()).await;
        }
        credentials.are_newer_than(worn)
    }
}

/// Off the runtime's own threads: a file may lie far away.
async fn read_again(authenticator: Arc<Authenticator>) {
    let read = move || {
        let settings = &authenticator.settings;
        settings.credentials.read_again(settings.clock.now().moment);
    };
    if let Ok(runtime) = Handle::try_current() {
        // A panic in there would leave the keys as they were.
        drop(runtime.spawn_blocking(read).await);
    }
}
