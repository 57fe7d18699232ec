//! A clock that stands still until a test or a scenario of the model checker turns its hands.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::{BoxFuture, Clock, Moment, Now};

#[derive(Clone)]
pub(crate) struct HandClock(Arc<Mutex<Hands>>);

struct Hands {
    now: Now,
    sleepers: BTreeMap<(Moment, u64), Waker>,
    numbered: u64,
}

impl HandClock {
    pub(crate) fn new() -> Self {
        let now = Now::after_start(Duration::from_secs(1 << 30));
        Self(Arc::new(Mutex::new(Hands {
            now,
            sleepers: BTreeMap::new(),
            numbered: 0,
        })))
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.0.lock().expect("no panic")
    }

    /// When the next sleeper wakes.
    pub(crate) fn next_turn(&self) -> Option<Moment> {
        let hands = self.hands();
        hands.sleepers.keys().next().map(|(moment, _)| *moment)
    }

    /// Both hands go on, and those who slept until then wake.
    pub(crate) fn turn_to(&self, moment: Moment) {
        let mut hands = self.hands();
        let span = moment - hands.now.moment;
        hands.now.moment = hands.now.moment + span;
        hands.now.wall += span;
        let later = hands.sleepers.split_off(&(moment, u64::MAX));
        let awake = std::mem::replace(&mut hands.sleepers, later);
        drop(hands);
        awake.into_values().for_each(Waker::wake);
    }

    /// Somebody sets the wall clock.
    pub(crate) fn set_wall(&self, seconds: i64) {
        let mut hands = self.hands();
        let span = Duration::from_secs(seconds.unsigned_abs());
        match seconds < 0 {
            true => hands.now.wall -= span,
            false => hands.now.wall += span,
        }
    }
}

impl Clock for HandClock {
    fn now(&self) -> Now {
        self.hands().now
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        let mut hands = self.hands();
        hands.numbered += 1;
        let key = (hands.now.moment + span, hands.numbered);
        let clock = self.clone();
        Box::pin(Sleep { clock, key })
    }
}

struct Sleep {
    clock: HandClock,
    key: (Moment, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut hands = self.clock.hands();
        if hands.now.moment >= self.key.0 {
            return Poll::Ready(());
        }
        hands.sleepers.insert(self.key, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        // Its waker may be the last hold on a task whose sleeps end with it: not under the lock.
        let waker = self.clock.hands().sleepers.remove(&self.key);
        drop(waker);
    }
}
