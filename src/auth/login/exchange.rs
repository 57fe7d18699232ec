//! Turning the code of a login into tokens (RFC 6749 section 4.1.3): send it once, keep what came.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::auth::cache::budget::Launch;
use crate::auth::cache::refresher::{POLL, Source, tokens};
use crate::auth::cache::renewal::recovery_of;
use crate::auth::cache::requester::LONGEST_REQUEST;
use crate::auth::cache::state::Plan;
use crate::auth::oauth::endpoint::{Delivery, Presentation};
use crate::auth::oauth::response::{Answer, Class, Refusal};
use crate::auth::persistence::Taken;
use crate::auth::token::Token;
use crate::clock::Now;
use crate::error::{Error, Recovery};
use crate::observe::event::Event;

/// How long a login waits for another process that renews.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// A code and what has to be sent with it. No `Debug`: it is secret.
pub(in crate::auth) struct Code {
    pub(in crate::auth) code: Zeroizing<String>,
    pub(in crate::auth) redirect_uri: String,
    pub(in crate::auth) verifier: Option<Zeroizing<String>>,
}

/// What became of a code.
pub(in crate::auth) enum Redeemed {
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
    /// Sends the code, once, and stores what it brings. The store is proved first: a code is spent
    /// by sending it.
    pub(super) async fn redeem(&self, plan: Plan, launch: Launch, code: &Code) -> Redeemed {
        let _hold = self.persistence.hold();
        let redeemed = async {
            self.wait_for_right_to_log_in().await;
            if let Err(refusal) = self.prove_store().await {
                return Redeemed::Unsent(unsent(&refusal));
            }
            self.present_code(plan, launch, code).await
        };
        self.persistence.while_right_is_kept(redeemed).await
    }

    /// Proves that the store can be written.
    ///
    /// # Errors
    /// It cannot, or cannot be read.
    pub(in crate::auth) async fn prove_store(&self) -> Result<(), Refusal> {
        // For the record's version; what it holds ends with a login.
        self.persistence.load().await?;
        self.persistence.prove().await
    }

    /// Another process that renews meanwhile is waited for, but not for ever: a code does not keep,
    /// and in a conflict the login stays.
    async fn wait_for_right_to_log_in(&self) {
        let until = self.clock.now().moment + LONGEST_WAIT;
        while let Taken::Held = self.persistence.take_right().await {
            if self.clock.now().moment >= until {
                return;
            }
            self.clock.sleep(POLL).await;
        }
    }

    async fn present_code(&self, plan: Plan, mut launch: Launch, code: &Code) -> Redeemed {
        let reason = plan.reason;
        self.events.emit(|| Event::TokenRequested { reason });
        let start = self.clock.now();
        let presentation = Presentation::AuthorizationCode {
            code: &code.code,
            redirect_uri: &code.redirect_uri,
            verifier: code.verifier.as_ref().map(|verifier| verifier.as_str()),
        };
        launch.leave();
        let delivery = self.send(presentation, LONGEST_REQUEST).await;
        let not_sent = matches!(delivery, Delivery::NotSent(_));
        launch.set_sent(!not_sent);
        drop(launch);
        let answer = match self.parse(delivery, true, false) {
            Ok(answer) => answer,
            Err(refusal) if not_sent => return Redeemed::Unsent(unsent(&refusal)),
            Err(refusal) => return Redeemed::Refused(refused(refusal)),
        };
        let token = self.token(plan.generation, &answer, start);
        let token = match token {
            Ok(token) => Some(token),
            Err(refusal) if answer.refresh_token.is_none() => {
                return Redeemed::Refused(refused(refusal));
            }
            Err(_) => None,
        };
        let saved = self.keep_login(&answer, token.as_ref(), start).await;
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

    async fn keep_login(&self, answer: &Answer, token: Option<&Token>, start: Now) -> bool {
        let replaces = self.persistence.chain(|chain| chain.has_living_login());
        let number = self.persistence.log_in(tokens(answer, token, start));
        if replaces {
            self.events.emit(|| Event::LoginReplaced);
        }
        self.persistence.saved(number).await;
        !self.persistence.has_unsaved()
    }
}

fn unsent(refusal: &Refusal) -> Error {
    refusal.error(recovery_of(refusal))
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
