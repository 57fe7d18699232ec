//! Grants that are presented anew for each token: the client's own credentials, a password, an
//! assertion.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use super::refresher::Source;
use super::requester::Presented;
use crate::auth::login::random;
use crate::auth::oauth::endpoint::{Delivery, Presentation};
use crate::auth::oauth::grant::GrantKind;
use crate::auth::oauth::response::{Class, Refusal};

const ID_BYTES: usize = 16;
/// Clocks that differ by less are not why an assertion was refused: servers allow for that much.
const TOLERATED: Duration = Duration::from_secs(60);
/// Servers and virtual machines are off by minutes, or by an hour of daylight saving; a `Date` that
/// is off by more is wrong itself, and would have us sign what is valid for years.
const LARGEST_OFFSET: Duration = Duration::from_secs(60 * 60);

/// How many seconds the server's clock is ahead of ours, once we had reason to ask.
#[derive(Default)]
pub(in crate::auth) struct Offset(AtomicI64);

impl Offset {
    fn server_time(&self, wall: SystemTime) -> SystemTime {
        let seconds = self.0.load(Ordering::Relaxed);
        let span = Duration::from_secs(seconds.unsigned_abs());
        let time = match seconds >= 0 {
            true => wall.checked_add(span),
            false => wall.checked_sub(span),
        };
        time.unwrap_or(wall)
    }

    /// An assertion was refused, by a server that says what time it is. Whether another one may
    /// fare better: by the server's clock, if that can be the reason; by our own again, if the
    /// refused one followed a clock that the server no longer has.
    fn note_refused(&self, server: Option<SystemTime>, wall: SystemTime) -> bool {
        let followed = self.server_time(wall);
        let is_off = server
            .is_some_and(|server| apart(server, followed).unsigned_abs() > TOLERATED.as_secs());
        // Whatever it was: with this offset it did not work.
        if self.0.swap(0, Ordering::Relaxed) != 0 {
            return is_off;
        }
        let offset = server.map_or(0, |server| apart(server, wall));
        if !is_off || offset.unsigned_abs() > LARGEST_OFFSET.as_secs() {
            return false;
        }
        self.0.store(offset, Ordering::Relaxed);
        true
    }
}

fn apart(later: SystemTime, earlier: SystemTime) -> i64 {
    let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    match later.duration_since(earlier) {
        Ok(span) => seconds(span),
        Err(error) => -seconds(error.duration()),
    }
}

impl Source {
    pub(super) async fn send_own(&self, wall: SystemTime, longest: Duration) -> Delivery {
        match &self.settings.grant.0 {
            GrantKind::Password { user, password } => {
                let password = match password.read() {
                    Ok(password) => password,
                    Err(sentence) => return misconfigured(sentence),
                };
                let password = password.as_str();
                self.send(Presentation::Password { user, password }, longest)
                    .await
            }
            GrantKind::JwtBearer(bearer) => {
                let id = match random::<ID_BYTES>() {
                    Ok(id) => id,
                    Err(error) => return misconfigured(error.to_string()),
                };
                let token_url = self.settings.token_url.as_str();
                let time = self.offset.server_time(wall);
                match bearer.assertion(token_url, &id, time, wall) {
                    Ok(assertion) => {
                        self.send(Presentation::Assertion(&assertion), longest)
                            .await
                    }
                    Err(sentence) => misconfigured(format!("assertion.key: {sentence}")),
                }
            }
            _ => self.send(Presentation::ClientCredentials, longest).await,
        }
    }

    /// Whether an assertion was refused by a server whose clock differs from what the assertion
    /// took it for, so that the next one may fare better.
    pub(super) fn clock_was_off(&self, presented: &Presented) -> bool {
        let GrantKind::JwtBearer(_) = &self.settings.grant.0 else {
            return false;
        };
        let refused = |refusal: &Refusal| refusal.class == Class::ClientRejected;
        match &presented.delivery {
            Ok(answer) if answer.outcome.as_ref().is_err_and(refused) => {
                let wall = self.clock.now().wall;
                self.offset.note_refused(answer.date, wall)
            }
            _ => false,
        }
    }
}

fn misconfigured(sentence: String) -> Delivery {
    Delivery::NotSent(Refusal::new(Class::Misconfigured, sentence))
}

#[cfg(test)]
mod tests;
