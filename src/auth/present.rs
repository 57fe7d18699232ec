//! Presenting a grant to the token endpoint, and knowing whether its answer may be lost.

use std::time::Duration;

use futures_util::future::{Either, select};
use zeroize::Zeroizing;

use super::answer::{self, Answer, Class, Refusal};
use super::endpoint::{Delivery, Presentation};
use super::launch::Launch;
use super::source::{Flight, Source};
use crate::clock::{BoxFuture, Now};
use crate::event::Event;

/// A client supplied by the user may have no timeout.
pub(super) const LONGEST_REQUEST: Duration = Duration::from_secs(60);
/// Servers that forgive the repetition of a refresh token do so for some ten seconds.
const LONGEST_REPETITION: Duration = Duration::from_secs(10);

/// What came of presenting a grant.
pub(super) struct Presented {
    pub(super) delivery: Result<Answer, Refusal>,
    pub(super) start: Now,
    /// The server may have acted on it, and its answer did not arrive.
    pub(super) lost: bool,
}

impl Source {
    /// Once more at once if the answer is lost: a server that forgives a repetition does so for
    /// some ten seconds, and what a kept connection lost on its end was never acted on.
    pub(super) async fn present_twice(
        &self,
        flight: &Flight<'_>,
        launch: Launch,
        refresh_token: Option<&Zeroizing<String>>,
    ) -> Presented {
        let first = self
            .present(flight, launch, refresh_token, LONGEST_REQUEST)
            .await;
        let span = self.clock.now().moment - first.start.moment;
        if !first.lost || span > LONGEST_REPETITION {
            return first;
        }
        let Some(launch) = (flight.launch_another)() else {
            return first;
        };
        let mut second = self
            .present(flight, launch, refresh_token, LONGEST_REPETITION)
            .await;
        second.lost |= !brought_token(&second);
        second
    }

    pub(super) async fn present(
        &self,
        flight: &Flight<'_>,
        mut launch: Launch,
        refresh_token: Option<&Zeroizing<String>>,
        longest: Duration,
    ) -> Presented {
        let reason = flight.plan.reason;
        self.events.emit(|| Event::TokenRequested { reason });
        let start = self.clock.now();
        if refresh_token.is_some() {
            self.persistence.chain(|chain| chain.sent(start.moment));
        }
        launch.leave();
        let delivery = match refresh_token {
            Some(token) => {
                let presentation = Presentation::RefreshToken(token);
                self.send(presentation, longest).await
            }
            None => self.send_own(start.wall, longest).await,
        };
        launch.set_sent(!matches!(delivery, Delivery::NotSent(_)));
        let lost = matches!(delivery, Delivery::Lost(_));
        let delivery = self.parse(delivery, refresh_token.is_some());
        Presented {
            delivery,
            start,
            lost,
        }
    }

    /// One request, which is given up after so long.
    pub(super) async fn send(&self, presentation: Presentation<'_>, longest: Duration) -> Delivery {
        self.within(longest, self.endpoint.request(presentation))
            .await
    }

    pub(super) async fn within(
        &self,
        longest: Duration,
        request: BoxFuture<'_, Delivery>,
    ) -> Delivery {
        match select(request, self.clock.sleep(longest)).await {
            Either::Left((delivery, _)) => delivery,
            Either::Right(_) => Delivery::Lost(Refusal::new(
                Class::Transient,
                "the token endpoint did not answer: timed out",
            )),
        }
    }

    pub(super) fn parse(&self, delivery: Delivery, presented: bool) -> Result<Answer, Refusal> {
        match delivery {
            Delivery::Answered { reply, secrets } => {
                let secrets: Vec<&str> = secrets.iter().map(|secret| secret.as_str()).collect();
                let wall = self.clock.now().wall;
                Ok(answer::read(&reply, presented, &secrets, wall))
            }
            Delivery::NotSent(refusal) | Delivery::Lost(refusal) => Err(refusal),
        }
    }
}

fn brought_token(presented: &Presented) -> bool {
    matches!(&presented.delivery, Ok(answer)
        if answer.outcome.is_ok() || answer.refresh_token.is_some())
}
