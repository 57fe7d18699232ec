//! Keys that were refused are read again where they are kept: who renews a key in its file or
//! secret store need not restart anything.

use std::sync::Arc;

use http::Extensions;
use reqwest::Response;
use reqwest_middleware::Next;
use tokio::runtime::Handle;

use super::cure::{Answer, with_refusal};
use super::keys::Keys;
use super::middleware::Authenticator;
use super::pass::Pass;
use super::passing::{Passing, run};
use super::rejection::{self, Suspicion};
use crate::event::{Event, ReplayReason};
use crate::passage::Spare;
use crate::response::buffer;

/// A request whose keys were refused.
pub(super) struct Refused<'a> {
    pub(super) passing: &'a Passing<'a>,
    pub(super) worn: &'a Keys,
}

impl Refused<'_> {
    /// Sends the request once more if there are other keys by now; else gives its answer back.
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
        let (response, body) = buffer(response, &*settings.clock).await;
        let (status, headers) = (response.status(), response.headers());
        let table = &settings.rejection;
        let suspicion = rejection::classify(table, status, headers, body.as_deref());
        let Some(spare) = spare.filter(|_| suspicion != Suspicion::None) else {
            return Ok(response);
        };
        // Before the file is read: nothing waits while it holds a permit.
        self.passing.settle_refusal(&response);
        let newer = self.has_newer().await;
        let Some(mut request) = newer.then(|| spare.copy()).flatten() else {
            return Ok(response);
        };
        let answer = Answer::of(&response, self.passing);
        drop(response);
        let refuse = |error| authenticator.refuse(answer.annotate(error));
        self.passing.chain.acquire().await.map_err(refuse)?;
        let worn = authenticator.put(&mut request, None).map_err(refuse)?;
        settings.events.emit(|| Event::Replayed {
            reason: ReplayReason::Unauthorized,
            attempt: 1,
        });
        let result = run(pass, request, extensions, next).await;
        let result = authenticator.receive(result, &worn);
        result.map_err(|error| with_refusal(error, &answer))
    }

    /// Whether others came since, or are there now.
    async fn has_newer(&self) -> bool {
        let authenticator = self.passing.authenticator;
        let credentials = &authenticator.settings.credentials;
        if !credentials.are_newer_than(self.worn) {
            read_again(authenticator.clone()).await;
        }
        credentials.are_newer_than(self.worn)
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
