//! Presenting a grant to the token endpoint, and knowing whether its answer may be lost.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{Either, select};
use zeroize::Zeroizing;

use super::answer::{self, Answer, Asked, Class, Refusal};
use super::endpoint::{Delivery, Presentation};
use super::grant::GrantKind;
use super::launch::Launch;
use super::record;
use super::source::{Flight, Source};
use super::state::Presents;
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
    pub(super) lost: bool,
    presents: Presents,
}

impl Source {
    /// The refresh token to present; none for a grant that is presented anew each time.
    pub(super) fn grant(&self) -> Result<Option<Zeroizing<String>>, Refusal> {
        match (&self.settings.grant.0, self.vault.refresh_token()) {
            (grant, _) if !grant.refreshes() => Ok(None),
            (_, Some(refresh_token)) => Ok(Some(refresh_token)),
            (GrantKind::RefreshToken { initial }, None) => match initial.read() {
                Ok(initial) => {
                    self.vault.begin(record::seed(&initial));
                    Ok(Some(initial))
                }
                Err(sentence) => Err(Refusal::new(Class::Misconfigured, sentence)),
            },
            (_, None) => Err(Refusal::new(
                Class::GrantRejected,
                "the token store has no refresh token",
            )),
        }
    }

    /// Once more at once if the answer to a refresh token is lost.
    pub(super) async fn present_twice(
        &self,
        flight: &Flight<'_>,
        launch: Launch,
        refresh_token: Option<&Zeroizing<String>>,
    ) -> Presented {
        let first = self
            .present(flight, launch, refresh_token, LONGEST_REQUEST)
            .await;
        let last = flight.plan.last_resort && first.presents == Presents::TheSame;
        // Its own fault, or that of a certificate, comes again.
        let is_in_vain = matches!(&first.delivery, Err(refusal)
            if refusal.class.needs_reconfiguration());
        if !first.lost || last || is_in_vain {
            return first;
        }
        let Some(launch) = (flight.launch_another)() else {
            return first;
        };
        let mut second = self
            .present(flight, launch, refresh_token, LONGEST_REPETITION)
            .await;
        second.lost = !brought_token(&second);
        self.presenting.store(second.lost, Ordering::Relaxed);
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
        let precious = refresh_token.is_some() && self.vault.is_single_use();
        self.presenting.store(precious, Ordering::Relaxed);
        let presents = match refresh_token {
            Some(token) => self.vault.note_presented(token),
            None => Presents::TheSame,
        };
        launch.leave(presents);
        let delivery = match refresh_token {
            Some(token) => {
                let presentation = Presentation::RefreshToken(token);
                self.send(presentation, longest).await
            }
            None => self.send_own(start.wall, longest).await,
        };
        launch.set_sent(!matches!(delivery, Delivery::NotSent(_)));
        let lost = matches!(delivery, Delivery::Lost { .. }) && precious;
        // Known until the flight has landed: it may be torn down before.
        self.presenting.store(lost, Ordering::Relaxed);
        let delivery = self.parse(delivery, refresh_token.is_some());
        Presented {
            delivery,
            start,
            lost,
            presents,
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
            Either::Right(_) => Delivery::Lost {
                refusal: Refusal::new(
                    Class::Transient,
                    "the token endpoint did not answer: timed out",
                ),
                is_closed: false,
            },
        }
    }

    pub(super) fn parse(&self, delivery: Delivery, presented: bool) -> Result<Answer, Refusal> {
        match delivery {
            Delivery::Answered { reply, secrets } => {
                let secrets: Vec<&str> = secrets.iter().map(|secret| secret.as_str()).collect();
                let wall = self.clock.now().wall;
                let asked = Asked {
                    presented,
                    ..self.settings.asked(&secrets, wall)
                };
                Ok(answer::read(&reply, &asked))
            }
            Delivery::NotSent(refusal) | Delivery::Lost { refusal, .. } => Err(refusal),
        }
    }
}

fn brought_token(presented: &Presented) -> bool {
    matches!(&presented.delivery, Ok(answer)
        if answer.outcome.is_ok() || answer.refresh_token.is_some())
}
