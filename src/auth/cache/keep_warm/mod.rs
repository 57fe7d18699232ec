//! Keep-warm: renews a token also while nobody asks for it, so that the first request after a pause
//! finds a fresh one.
//!
//! It is one more caller, no more: it asks the same table as a request with any token, so it renews
//! no more often than requests would, and follows back-off, latches and limits. Without a token it
//! waits until somebody else has brought the first one: what was never asked for, or was given
//! back, is not kept.
//!
//! There is one task for an account, which holds it weakly and ends with it. If its runtime ends
//! first, the next use of the account starts another.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::select;

use super::decision::Decision;
use super::refresh_task::Shared;
use super::state::Need;
use crate::clock::{Clock, Now};
use crate::sync::{AtomicBool, Handle, watch};

/// The wall clock may be set, and another account may have left room sooner than it seemed: so
/// often it looks in any case.
const LONGEST_NAP: Duration = Duration::from_secs(60);
/// A renewal that is due but does not begin (its runtime is ending) must not make a loop.
const SHORTEST_NAP: Duration = Duration::from_millis(100);

/// What an account has of its keep-warm.
pub(crate) struct Warmth {
    wanted: bool,
    running: Arc<AtomicBool>,
    /// Tells the task that a flight has landed, and by its end that the account is gone.
    news: watch::Sender<()>,
}

impl Warmth {
    pub(in crate::auth) fn new(wanted: bool) -> Self {
        Self {
            wanted,
            running: Arc::default(),
            news: watch::Sender::new(()),
        }
    }

    /// A flight has landed.
    pub(in crate::auth) fn tell(&self) {
        if self.wanted {
            self.news.send_replace(());
        }
    }
}

impl Shared {
    /// Starts the task where it is wanted, is not there yet, and there is a runtime. Two loads on
    /// the way of a request.
    pub(in crate::auth) fn keep_warm(self: &Arc<Self>) {
        let warmth = &self.warmth;
        if warmth.wanted && !warmth.running.load(Ordering::Relaxed) {
            self.start_keeping_warm();
        }
    }

    #[cold]
    fn start_keeping_warm(self: &Arc<Self>) {
        let warmth = &self.warmth;
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if warmth.running.swap(true, Ordering::Relaxed) {
            return;
        }
        let task = Task {
            account: Arc::downgrade(self),
            clock: self.clock.clone(),
            news: warmth.news.subscribe(),
            _running: Running(warmth.running.clone()),
        };
        runtime.spawn(task.run());
    }

    /// Renews what is due; gives how long nothing else will be.
    fn warm(self: &Arc<Self>) -> Duration {
        let now = self.clock.now();
        self.look_for_room(now);
        let decision = {
            let state = &self.board.read().state;
            let Some(token) = state.token() else {
                return LONGEST_NAP;
            };
            match state.decide(Need::Usable, now, self.room()) {
                Decision::Use if !token.times().is_stale(now) => {
                    return nap(token.times().fresh_for(now));
                }
                decision => decision,
            }
        };
        match decision {
            Decision::Refresh | Decision::UseAndRefresh => {
                self.start(Need::Usable);
                LONGEST_NAP
            }
            Decision::WaitUntil(at) => nap(at - now.moment),
            // Under way, backing off, latched, no room: looked at again before long.
            _ => self.next_attempt(now),
        }
    }

    /// For a token that is stale or rejected while no renewal is due.
    fn next_attempt(&self, now: Now) -> Duration {
        let room = self.room();
        let state = &self.board.read().state;
        let due = state.backs_off_until().unwrap_or_default().max(room);
        match due > now.moment {
            true => nap(due - now.moment),
            false => LONGEST_NAP,
        }
    }
}

fn nap(span: Duration) -> Duration {
    span.clamp(SHORTEST_NAP, LONGEST_NAP)
}

/// The task that keeps an account warm.
struct Task {
    account: Weak<Shared>,
    clock: Arc<dyn Clock>,
    news: watch::Receiver<()>,
    _running: Running,
}

impl Task {
    async fn run(mut self) {
        loop {
            self.news.mark_unchanged();
            let Some(span) = self.account.upgrade().map(|account| account.warm()) else {
                return;
            };
            let news = std::pin::pin!(self.news.changed());
            select(news, self.clock.sleep(span)).await;
        }
    }
}

/// However the task ends, another may begin.
struct Running(Arc<AtomicBool>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
