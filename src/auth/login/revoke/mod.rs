//! Giving tokens back (RFC 7009).

use std::sync::Arc;

use super::exclusive::Place;
use crate::auth::cache::budget::Launch;
use crate::auth::cache::refresh_task::Shared;
use crate::auth::cache::refresher::Source;
use crate::auth::cache::requester::LONGEST_REQUEST;
use crate::auth::oauth::endpoint::Delivery;
use crate::auth::oauth::response::{self, Asked, Class, Refusal};
use crate::auth::persistence::record::Tokens;
use crate::error::{Error, Recovery};
use crate::response_rules::Rules;

/// What is revoked. No `Debug`: it is secret.
#[derive(Clone, Copy)]
pub(crate) enum Revoked<'a> {
    RefreshToken(&'a str),
    AccessToken(&'a str),
}

impl Revoked<'_> {
    /// The token, and its `token_type_hint`.
    pub(in crate::auth) fn parts(&self) -> (&str, &'static str) {
        match self {
            Self::RefreshToken(token) => (token, "refresh_token"),
            Self::AccessToken(token) => (token, "access_token"),
        }
    }
}

/// Revokes what the account has, and forgets it. If that fails, nothing changes.
pub(in crate::auth) async fn revoke(shared: Arc<Shared>) -> Result<(), Error> {
    let (place, launch) = Place::take(shared).await?;
    let present = place.shared.board.read().state.token().cloned();
    let access_token = present.as_ref().map(|token| token.secret());
    let revoked = place.shared.source.revoke(launch, access_token).await;
    match revoked {
        Ok(()) => {
            place.clear();
            Ok(())
        }
        Err(error) => Err(error.with_account(&place.shared.account)),
    }
}

impl Source {
    /// The refresh token, with which the server ends the whole grant (section 2.1); without one,
    /// the access token.
    async fn revoke(&self, mut launch: Launch, access_token: Option<&str>) -> Result<(), Error> {
        // Another process may have rotated it.
        let _ = self.persistence.load().await;
        let refresh_token = self.persistence.chain(|chain| chain.current());
        let revoked = match (&refresh_token, access_token) {
            (Some(token), _) => Revoked::RefreshToken(token),
            (None, Some(token)) => Revoked::AccessToken(token),
            (None, None) => return Ok(()),
        };
        let request = self.endpoint.revoke(revoked);
        launch.leave();
        let delivery = self.within(LONGEST_REQUEST, request).await;
        launch.set_sent(!matches!(delivery, Delivery::NotSent(_)));
        drop(launch);
        self.confirmed(delivery)?;
        let number = self.persistence.log_in(Tokens::new(None, None));
        self.persistence.saved(number).await;
        Ok(())
    }

    /// Section 2.2: 200 also for a token that was no good any more.
    fn confirmed(&self, delivery: Delivery) -> Result<(), Error> {
        let refusal = match delivery {
            Delivery::NotSent(refusal) | Delivery::Lost { refusal, .. } => refusal,
            Delivery::Answered { reply, .. } if reply.status.is_success() => return Ok(()),
            Delivery::Answered { reply, secrets } => {
                let secrets: Vec<&str> = secrets.iter().map(|secret| secret.as_str()).collect();
                let wall = self.clock.now().wall;
                let asked = self.settings.asked(&secrets, wall);
                let (url, rules) = (self.settings.revocation_url.as_ref(), Rules::default());
                let asked = Asked {
                    endpoint: "revocation",
                    url: url.unwrap_or(asked.url),
                    rules: &rules,
                    ..asked
                };
                let answer = response::read(&reply, &asked);
                answer.outcome.err().unwrap_or_else(|| {
                    Refusal::new(Class::Transient, "the tokens were not revoked")
                })
            }
        };
        Err(refusal.error(match refusal.class {
            class if class.needs_reconfiguration() => Recovery::Reconfigure,
            _ => Recovery::Retry,
        }))
    }
}

#[cfg(test)]
mod tests;
