//! The place of a flight, taken by something else that asks the token endpoint: the exchange of a
//! code, a revocation.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::exchange::Redeemed;
use crate::auth::cache::budget::Launch;
use crate::auth::cache::cell::Announcer;
use crate::auth::cache::refresh_task::Shared;
use crate::auth::cache::state::{Hold, Phase, Plan, no_room};
use crate::clock::Now;
use crate::error::{Error, ErrorKind, Recovery};
use crate::observe::event::Event;
use crate::sync::watch;

/// A code does not keep, and a person waits.
const LONGEST_WAIT_FOR_ROOM: Duration = Duration::from_secs(60);

/// The place of a flight. Dropped before its end, it leaves the account as it found it.
pub(in crate::auth) struct Place {
    pub(in crate::auth) shared: Arc<Shared>,
    pub(in crate::auth) plan: Plan,
    before: Option<Phase>,
    announcer: Announcer,
}

impl Place {
    /// Waits for a flight under way, for the launch bucket, and a little for room by the published
    /// limits. With leave for one token request.
    ///
    /// # Errors
    /// There is no room soon.
    pub(in crate::auth) async fn take(shared: Arc<Shared>) -> Result<(Self, Launch), Error> {
        let _waiting = Waiting::new(&shared);
        loop {
            let now = shared.clock.now();
            let Some(launch) = shared.launch(now) else {
                wait_for_room(&shared, now).await?;
                continue;
            };
            let (announcer, waiter) = watch::channel(None);
            let taken = shared.board.change(|posting| {
                let taken = posting.state.take_off_for_login(now.moment);
                let other = match &taken {
                    Ok(_) => posting.waiter.replace(waiter),
                    Err(_) => posting.waiter.clone(),
                };
                (taken, other)
            });
            match taken {
                (Ok((plan, before)), _) => {
                    let before = Some(before);
                    let place = Self {
                        shared,
                        plan,
                        before,
                        announcer,
                    };
                    return Ok((place, launch));
                }
                (Err(Hold::Until(at)), _) => {
                    drop(launch);
                    shared.clock.sleep(at - now.moment).await;
                }
                (Err(Hold::Flight), Some(mut flight)) => {
                    drop(launch);
                    let _ = flight.wait_for(Option::is_some).await;
                }
                (Err(Hold::Flight), None) => tokio::task::yield_now().await,
            }
        }
    }

    pub(in crate::auth) fn end(mut self, redeemed: Redeemed) -> Result<(), Error> {
        let (token, event, saved) = match redeemed {
            Redeemed::Tokens {
                token,
                event,
                saved,
            } => (token, event, saved),
            Redeemed::Unsent(error) | Redeemed::Refused(error) => return Err(self.fail(error)),
        };
        self.before = None;
        self.shared.board.change(|posting| {
            posting.state.start_over(token.clone());
            posting.waiter = None;
        });
        if let Some(event) = event {
            self.shared.events.emit(|| event);
        }
        self.shared.warmth.tell();
        // Also without a token: a back-off that callers wait for has ended with the former login.
        self.shared.arrivals.send_replace(());
        if let Some(token) = token {
            self.announcer.send_replace(Some(Ok(token)));
        }
        if saved { Ok(()) } else { Err(unsaved()) }
    }

    /// The tokens are revoked.
    pub(in crate::auth) fn clear(mut self) {
        self.before = None;
        self.shared.board.change(|posting| {
            posting.state.start_over(None);
            posting.waiter = None;
        });
        self.shared.arrivals.send_replace(());
    }

    fn fail(&self, error: Error) -> Error {
        let error = error.with_account(&self.shared.account);
        self.shared.events.emit(|| Event::TokenFailed {
            error: error.clone(),
            retry_at: None,
        });
        error
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(before) = self.before.take() else {
            return;
        };
        // Who waited here goes again, and finds what there was before the login.
        self.shared.board.change(|posting| {
            posting.state.phase = before;
            posting.waiter = None;
        });
    }
}

/// A flight that has presented nothing yet gives way meanwhile.
struct Waiting(Arc<Shared>);

impl Waiting {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.logins.fetch_add(1, Ordering::Relaxed);
        Self(shared.clone())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.logins.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn wait_for_room(shared: &Shared, now: Now) -> Result<(), Error> {
    let at = shared.room();
    if at - now.moment > LONGEST_WAIT_FOR_ROOM {
        return Err(no_room(at, now));
    }
    shared.clock.sleep(at - now.moment).await;
    Ok(())
}

fn unsaved() -> Error {
    let text = "the login worked, but the token store has not taken its tokens yet";
    Error::new(ErrorKind::Store, Recovery::Retry, text)
}
