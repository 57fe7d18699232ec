//! Time, as a port: the only place of the crate that reads a clock or sleeps.
//!
//! Decisions take `now` as an argument. A shell reads the clock once per step, hands the [`Now`] to
//! the pure core, and sleeps by the same clock, so that a test can turn the hands itself.
//!
//! Two clocks are read, since each of them fails in its own way: the monotonic one stands still
//! while a laptop sleeps, the wall clock jumps when somebody sets it. A token counts as expired as
//! soon as *either* says so.

#[cfg(any(test, tollgate_model))]
#[allow(clippy::expect_used)] // The lint spares what is for tests alone.
pub(crate) mod manual;

use std::cell::Cell;
use std::future::Future;
use std::ops::{Add, Sub};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

/// A boxed future, as the ports of this crate return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Tells the time and lets it pass.
///
/// Only tests replace it ([`AccountBuilder::clock`](crate::AccountBuilder::clock)). What must never
/// happen: [`Now::moment`] going backwards. What is always fine: the wall clock jumping either way,
/// and a sleep that ends late.
pub trait Clock: Send + Sync + 'static {
    /// Both clocks, read together.
    fn now(&self) -> Now;

    /// Ends when `span` has passed on the monotonic clock.
    ///
    /// As any future, it wakes whom it was polled for last. That may be another task than the one
    /// which made it: a request that leaves a line, or was answered, makes the timer of the next
    /// one, polls it once with that one's waker, and never again; it is kept until it has rung or
    /// is needed no longer, and dropped by any thread, in a runtime or outside. Both requests are
    /// in the same tokio runtime, as [`Handle::id`](tokio::runtime::Handle::id) tells; outside of
    /// any, each makes its own.
    ///
    /// # Cancel safety
    /// Dropping the future only ends the wait.
    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()>;
}

/// A sleep this late was not kept by a running process.
const LATE: Duration = Duration::from_secs(1);
const PARTS: u32 = 4;

/// Ends a wait for something from outside when `span` has passed.
///
/// A process that was stopped (SIGSTOP, a suspended machine) finds its time over and the answer in
/// its socket. The answer counts: it may hold the only refresh token that is good. So the time is
/// slept in parts, and a part that ended late is slept once more. Looking at the whole alone misses
/// a stop that ends shortly after the time does (`a_save_that_takes_30_s_costs_no_login`, stopped
/// for 60.1 of 60 s). With a clock that is always late it takes twice the time.
///
/// # Cancel safety
/// As of [`Clock::sleep`].
pub(crate) fn time_limit(clock: &Arc<dyn Clock>, span: Duration) -> BoxFuture<'static, ()> {
    let clock = clock.clone();
    let part = span / PARTS;
    Box::pin(async move {
        let mut kept = 0;
        for _ in 0..2 * PARTS {
            let end = clock.now().moment + part;
            clock.sleep(part).await;
            kept += u32::from(clock.now().moment - end <= LATE);
            if kept == PARTS {
                return;
            }
        }
    })
}

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock.
    pub moment: Moment,
    /// The wall clock.
    pub wall: SystemTime,
}

impl Now {
    /// The wall time at which the monotonic clock will show `moment`; the past stays the past.
    pub fn wall_at(&self, moment: Moment) -> SystemTime {
        if moment >= self.moment {
            self.wall
                .checked_add(moment - self.moment)
                .unwrap_or(self.wall)
        } else {
            self.wall
                .checked_sub(self.moment - moment)
                .unwrap_or(self.wall)
        }
    }

    /// The moment at which the wall clock will show `time`, should nobody set it.
    pub fn moment_at(&self, time: SystemTime) -> Moment {
        match time.duration_since(self.wall) {
            Ok(ahead) => self.moment + ahead,
            Err(behind) => self.moment.earlier(behind.duration()),
        }
    }
}

#[cfg(any(test, tollgate_model))]
impl Now {
    /// Both clocks so long after their start.
    pub(crate) fn after_start(span: Duration) -> Self {
        Self {
            moment: Moment::after_start(span),
            wall: SystemTime::UNIX_EPOCH + span,
        }
    }
}

/// A point on the monotonic clock, in nanoseconds since the clock's own start.
///
/// Its arithmetic saturates: no header, however hostile, makes it panic (`Instant` would).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The start of the clock.
    pub const ZERO: Self = Self(0);
    /// Later than everything that will happen.
    pub const NEVER: Self = Self(u64::MAX);

    /// The moment so long after the clock's start.
    pub fn after_start(span: Duration) -> Self {
        Self::ZERO + span
    }

    /// So much earlier, but not before the clock's start.
    #[must_use]
    pub fn earlier(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }
}

/// How long after the other moment; zero if it is the earlier one.
impl Sub for Moment {
    type Output = Duration;

    fn sub(self, other: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(other.0))
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// The clock of the machine: tokio's timer (so tokio's paused time works in tests) and the system's
/// wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[allow(clippy::disallowed_methods)] // The one place that is allowed to read time.
impl Clock for SystemClock {
    fn now(&self) -> Now {
        let moment = monotonic();
        let wall = wall_at(moment);
        Now { moment, wall }
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(span))
    }
}

/// For so long the wall clock is not read again by the same thread: it goes on from the last time
/// by the monotonic one. A request reads the clock four times within microseconds, and each
/// reading of the wall clock takes some 30 ns. Who sets it is noticed so much later.
const WALL_LASTS: Duration = Duration::from_millis(1);

/// The wall clock when the monotonic one shows `moment`, which is now.
#[allow(clippy::disallowed_methods)]
fn wall_at(moment: Moment) -> SystemTime {
    thread_local! {
        static LAST: Cell<Option<Now>> = const { Cell::new(None) };
    }
    let last = LAST.with(Cell::get);
    // Under paused time a later test of this thread may stand before an earlier one.
    let is_fresh = |last: &Now| moment >= last.moment && moment - last.moment < WALL_LASTS;
    if let Some(last) = last.filter(is_fresh) {
        return last.wall_at(moment);
    }
    let wall = SystemTime::now();
    LAST.with(|last| last.set(Some(Now { moment, wall })));
    wall
}

#[allow(clippy::disallowed_methods)]
fn monotonic() -> Moment {
    // One anchor for the whole process, long past: tokio's paused clock of a later test may stand
    // years before that of an earlier one, and time must not stand still until it has caught up.
    static START: OnceLock<tokio::time::Instant> = OnceLock::new();
    let now = tokio::time::Instant::now();
    let start = START.get_or_init(|| {
        let ago = |years: u64| now.checked_sub(Duration::from_secs(years * 365 * 24 * 60 * 60));
        ago(30).or_else(|| ago(1)).unwrap_or(now)
    });
    Moment::ZERO + now.saturating_duration_since(*start)
}

/// A clock for tests under tokio's paused time: the wall clock goes with the monotonic one, and
/// both can be set apart.
#[derive(Clone, Debug)]
pub struct PausedClock {
    start: Now,
}

impl PausedClock {
    /// A clock whose wall shows `wall` now.
    pub fn starting_at(wall: SystemTime) -> Self {
        Self {
            start: Now {
                moment: monotonic(),
                wall,
            },
        }
    }
}

#[allow(clippy::disallowed_methods)] // A clock too.
impl Clock for PausedClock {
    fn now(&self) -> Now {
        let moment = monotonic();
        Now {
            moment,
            wall: self.start.wall_at(moment),
        }
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_was_turned_far_ahead_does_not_stop_the_others() {
        tokio::time::advance(Duration::from_secs(10 * 24 * 60 * 60)).await;
        let ahead = SystemClock.now().moment;
        let real = std::thread::spawn(|| SystemClock.now().moment)
            .join()
            .unwrap();
        assert!(real > Moment::ZERO && real < ahead);
    }

    #[test]
    fn the_time_in_which_a_process_was_stopped_is_given_once_more() {
        use std::task::{Context, Poll, Waker};
        let hands = manual::HandClock::new();
        let clock: Arc<dyn Clock> = Arc::new(hands.clone());
        let poll = |limit: &mut BoxFuture<'static, ()>| {
            limit.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        };
        let minute = Duration::from_secs(60);
        let turn = |span| hands.turn_to(hands.now().moment + span);

        let quarter = minute / PARTS;

        let mut running = time_limit(&clock, minute);
        for _ in 0..PARTS {
            assert_eq!(poll(&mut running), Poll::Pending);
            turn(quarter);
        }
        assert_eq!(poll(&mut running), Poll::Ready(()));

        // However shortly after the end it goes on, its answer has time to arrive.
        for late in [LATE / 10, LATE, minute] {
            let mut stopped = time_limit(&clock, minute);
            assert_eq!(poll(&mut stopped), Poll::Pending);
            turn(minute + late);
            for _ in 0..PARTS {
                assert_eq!(poll(&mut stopped), Poll::Pending, "{late:?} late");
                turn(quarter);
            }
            assert_eq!(poll(&mut stopped), Poll::Ready(()));
        }

        let mut always_late = time_limit(&clock, minute);
        for _ in 0..2 * PARTS {
            assert_eq!(poll(&mut always_late), Poll::Pending);
            turn(minute);
        }
        assert_eq!(poll(&mut always_late), Poll::Ready(()));
    }

    #[test]
    fn a_moment_plus_the_longest_duration_saturates() {
        assert_eq!(Moment::ZERO + Duration::MAX, Moment::NEVER);
        assert_eq!(Moment::ZERO.earlier(Duration::MAX), Moment::ZERO);
    }

    #[test]
    fn wall_and_moment_translate_into_each_other() {
        let now = Now {
            moment: Moment::after_start(Duration::from_secs(100)),
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000),
        };
        let later = now.moment + Duration::from_secs(5);
        assert_eq!(now.moment_at(now.wall_at(later)), later);
        let earlier = now.moment.earlier(Duration::from_secs(5));
        assert_eq!(now.moment_at(now.wall_at(earlier)), earlier);
    }
}
