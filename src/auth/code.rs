//! Turning the code of a login into tokens (RFC 6749 section 4.1.3): send it once, keep what came.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::answer::{Answer, Class, Refusal};
use super::endpoint::{Delivery, Presentation};
use super::launch::Launch;
use super::present::LONGEST_REQUEST;
use super::record::Tokens;
use super::source::{LEASE_POLL, LEASE_POLLS, Source};
use super::state::{Plan, Presents};
use super::token::Token;
use crate::error::{Error, Recovery};
use crate::event::Event;

/// A code and what has to be sent with it. No `Debug`: it is secret.
pub(super) struct Code {
    pub(super) code: Zeroizing<String>,
    pub(super) redirect_uri: String,
    pub(super) verifier: Zeroizing<String>,
}

/// What became of a code.
pub(super) enum Redeemed {
    /// It was good for a refresh token at least.
    Tokens {
        token: Option<Arc<Token>>,
        event: Option<Event>,
        saved: bool,
    },
    /// The server has not seen it.
    Unsent(Error),
    /// It is used up, or may be.
    Refused(Error),
}

impl Source {
    /// Sends the code, once, and stores what it brings.
    pub(super) async fn redeem(&self, plan: Plan, launch: Launch, code: &Code) -> Redeemed {
        let leased = self.lease_for_login().await;
        // For the record's version; what it holds ends with this login.
        let _ = self.vault.look().await;
        let redeemed = self.present_code(plan, launch, code).await;
        if leased {
            self.vault.release().await;
        }
        redeemed
    }

    /// Another process that renews meanwhile would save a token of the former login over those of
    /// this one. But a code does not keep, so in the end it is sent in any case.
    async fn lease_for_login(&self) -> bool {
        for _ in 0..LEASE_POLLS {
            if self.vault.lease().await {
                return true;
            }
            self.clock.sleep(LEASE_POLL).await;
        }
        false
    }

    async fn present_code(&self, plan: Plan, mut launch: Launch, code: &Code) -> Redeemed {
        let reason = plan.reason;
        self.events.emit(|| Event::TokenRequested { reason });
        let start = self.clock.now();
        let presentation = Presentation::AuthorizationCode {
            code: &code.code,
            redirect_uri: &code.redirect_uri,
            verifier: &code.verifier,
        };
        launch.leave(Presents::TheSame);
        let delivery = self.send(presentation, LONGEST_REQUEST).await;
        let not_sent = matches!(delivery, Delivery::NotSent(_));
        launch.set_sent(!not_sent);
        drop(launch);
        let answer = match self.parse(delivery, true) {
            Ok(answer) => answer,
            Err(refusal) if not_sent => return Redeemed::Unsent(unsent(&refusal)),
            Err(refusal) => return Redeemed::Refused(refused(refusal)),
        };
        let issued = answer.outcome.as_ref().ok();
        let token = issued.and_then(|issued| self.token(plan.generation, issued, start));
        if token.is_none() && answer.refresh_token.is_none() {
            return Redeemed::Refused(refused(of(answer)));
        }
        let saved = self.keep_login(&answer, token.as_ref()).await;
        let event = token
            .as_ref()
            .map(|token| self.renewal(reason, token, start, true));
        let token = token.map(Arc::new);
        Redeemed::Tokens {
            token,
            event,
            saved,
        }
    }

    async fn keep_login(&self, answer: &Answer, token: Option<&Token>) -> bool {
        self.vault.log_in(answer.refresh_token.clone());
        let refresh_token = answer.refresh_token.as_ref().map(|token| token.as_str());
        let number = self.vault.save(Tokens::new(token, refresh_token));
        self.vault.saved(number).await;
        !self.vault.has_unsaved()
    }
}

fn of(answer: Answer) -> Refusal {
    answer.outcome.err().unwrap_or_else(|| {
        let message = "the token endpoint gave an access token that no header can hold";
        Refusal::new(Class::Transient, message)
    })
}

fn unsent(refusal: &Refusal) -> Error {
    refusal.error(match refusal.class {
        class if class.needs_reconfiguration() => Recovery::Reconfigure,
        _ => Recovery::Retry,
    })
}

/// A second attempt with the same code could void the tokens of the first (RFC 6749 section 4.1.2).
fn refused(mut refusal: Refusal) -> Error {
    let class = refusal.class;
    if class.needs_reconfiguration() {
        return refusal.error(Recovery::Reconfigure);
    }
    let why = match class.needs_login() {
        true => "the code came too late or was used before",
        false => "the code may be used up, and its answer is lost",
    };
    refusal.message = format!("log in again: {why} ({})", refusal.message);
    refusal.class = Class::GrantRejected;
    refusal.error(Recovery::LogIn)
}
