//! The published limits of token endpoints: one tally for all accounts of the process that ask the
//! same origin.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use url::{Origin, Url};

use super::check::problems::Problems;
use crate::auth::cache::budget::TokenLimit;
use crate::clock::{Moment, Now};
use crate::rate_limit::{Tally, Window};

/// The tally of one origin.
#[derive(Default)]
struct TokenWindows {
    tally: Mutex<Tally>,
    /// When there is room, by the last look, in nanoseconds of the clock.
    room: AtomicU64,
}

static LIVING: Mutex<Vec<(Origin, Weak<TokenWindows>)>> = Mutex::new(Vec::new());

/// The tally of the token URL's origin, for as long as somebody has it; none without windows. It
/// keeps to these windows too from now on.
pub(crate) fn enter(token_url: &Url, windows: &[Window], now: Now) -> Option<Arc<dyn TokenLimit>> {
    if windows.is_empty() {
        return None;
    }
    let shared = of_origin(&token_url.origin());
    let mut tally = shared.tally();
    for window in windows {
        tally.add(window, now);
    }
    shared.publish(tally, now);
    Some(shared)
}

/// What the responses of a token endpoint, or the order of requests, would be needed for.
pub(super) fn check(windows: &[Window], problems: &mut Problems) {
    for (index, window) in windows.iter().enumerate() {
        let field = format!("token_windows[{index}]");
        for problem in &window.problems {
            problems.add(field.clone(), problem.clone());
        }
        if !window.is_plain() {
            let text = "has a unit, pacing, a reserve, headers or raises to follow; only limit and \
                        length count here";
            problems.add(field, text);
        }
    }
}

fn of_origin(origin: &Origin) -> Arc<TokenWindows> {
    let mut living = LIVING.lock().unwrap_or_else(PoisonError::into_inner);
    living.retain(|(_, windows)| windows.strong_count() > 0);
    let known = living.iter().find(|(other, _)| other == origin);
    if let Some(windows) = known.and_then(|(_, windows)| windows.upgrade()) {
        return windows;
    }
    let windows = Arc::default();
    living.push((origin.clone(), Arc::downgrade(&windows)));
    windows
}

impl TokenWindows {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Under the lock, so that nothing older is told last.
    fn publish(&self, mut tally: MutexGuard<'_, Tally>, now: Now) {
        let room = tally.room(now) - Moment::ZERO;
        let nanos = u64::try_from(room.as_nanos()).unwrap_or(u64::MAX);
        self.room.store(nanos, Ordering::Relaxed);
    }
}

impl TokenLimit for TokenWindows {
    fn room(&self) -> Moment {
        Moment::after_start(Duration::from_nanos(self.room.load(Ordering::Relaxed)))
    }

    fn look(&self, now: Now) {
        self.publish(self.tally(), now);
    }

    fn take(&self, now: Now) -> bool {
        let mut tally = self.tally();
        let taken = tally.take(now);
        self.publish(tally, now);
        taken
    }

    fn end(&self, sent: bool, now: Now) {
        let mut tally = self.tally();
        tally.end(sent, now);
        self.publish(tally, now);
    }
}
