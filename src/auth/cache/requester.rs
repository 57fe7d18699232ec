//! Presenting a grant to the token endpoint, and knowing whether its answer may be lost.

use std::time::Duration;

use futures_util::future::{Either, select};
use zeroize::Zeroizing;

use super::budget::Launch;
use super::refresher::{Flight, Source};
use crate::auth::oauth::endpoint::{Delivery, Presentation};
use crate::auth::oauth::response::{self, Answer, Asked, Class, Refusal};
use crate::clock::{BoxFuture, Now, time_limit};
use crate::observe::event::Event;

/// A client supplied by the user may have no timeout.
pub(in crate::auth) const LONGEST_REQUEST: Duration = Duration::from_secs(60);
/// Servers that forgive the repetition of a refresh token do so for some ten seconds.
const LONGEST_REPETITION: Duration = Duration::from_secs(10);

/// What came of presenting a grant.
pub(in crate::auth) struct Presented {
    pub(in crate::auth) delivery: Result<Answer, Refusal>,
    pub(in crate::auth) start: Now,
    /// The server may have acted on it, and its answer did not arrive.
    pub(in crate::auth) lost: bool,
    /// The connection was closed before any answer.
    is_closed: bool,
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
        // Its own fault, or that of a certificate, comes again.
        let is_in_vain = matches!(&first.delivery, Err(refusal)
            if refusal.class.needs_reconfiguration());
        // A grant that can be repeated needs no haste: back-off repeats it, but where a kept
        // connection was closed at its other end.
        let is_urgent = refresh_token.is_some() || first.is_closed;
        let span = self.clock.now().moment - first.start.moment;
        if !first.lost || !is_urgent || is_in_vain || span > LONGEST_REPETITION {
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

    pub(in crate::auth) async fn present(
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
        let lost = matches!(delivery, Delivery::Lost { .. });
        let is_closed = matches!(delivery, Delivery::Lost { is_closed, .. } if is_closed);
        let presented = refresh_token.is_some();
        let has_worked = presented && self.persistence.chain(|chain| chain.has_worked());
        let delivery = self.parse(delivery, presented, has_worked);
        Presented {
            delivery,
            start,
            lost,
            is_closed,
        }
    }

    /// One request, which is given up after so long.
    pub(in crate::auth) async fn send(
        &self,
        presentation: Presentation<'_>,
        longest: Duration,
    ) -> Delivery {
        self.within(longest, self.endpoint.request(presentation))
            .await
    }

    pub(in crate::auth) async fn within(
        &self,
        longest: Duration,
        request: BoxFuture<'_, Delivery>,
    ) -> Delivery {
        match select(request, time_limit(&self.clock, longest)).await {
            Either::Left((delivery, _)) => delivery,
            Either::Right(_) => Delivery::Lost {
                refusal: Refusal::new(
                    Class::Transient,
                    "the token endpoint did not answer: timed out",
                ),
                is_closed: false,
            },
        }
    }

    /// `presented`: a refresh token or a code was; `has_worked`: the client is known to be right.
    pub(in crate::auth) fn parse(
        &self,
        delivery: Delivery,
        presented: bool,
        has_worked: bool,
    ) -> Result<Answer, Refusal> {
        match delivery {
            Delivery::Answered { reply, secrets } => {
                let secrets: Vec<&str> = secrets.iter().map(|secret| secret.as_str()).collect();
                let wall = self.clock.now().wall;
                let asked = Asked {
                    presented,
                    has_worked,
                    ..self.settings.asked(&secrets, wall)
                };
                Ok(response::read(&reply, &asked))
            }
            Delivery::NotSent(refusal) | Delivery::Lost { refusal, .. } => Err(refusal),
        }
    }
}

fn brought_token(presented: &Presented) -> bool {
    matches!(&presented.delivery, Ok(answer)
        if answer.outcome.is_ok() || answer.refresh_token.is_some())
}
