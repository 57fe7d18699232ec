//! A token that can be used is read without an allocation and without waiting, fresh or stale.
//! `allocation-counter` replaces the allocator, so this is a binary of its own.

#![allow(clippy::unwrap_used)] // Tests may panic.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allocation_counter::measure;
use reqwest_tollgate::sandbox::Sandbox;
use reqwest_tollgate::{AccessToken, Account, BoxFuture, Clock, Now, SystemClock};

/// By this thread alone: other tests and the server do not count here.
fn allocations_of<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let mut output = None;
    let counted = measure(|| output = Some(work()));
    (output.unwrap(), counted.count_total)
}

/// The machine's clock, put ahead by hand.
#[derive(Clone, Default)]
struct Ahead(Arc<AtomicU64>);

impl Clock for Ahead {
    fn now(&self) -> Now {
        let span = Duration::from_secs(self.0.load(Ordering::Relaxed));
        let now = SystemClock.now();
        Now {
            moment: now.moment + span,
            wall: now.wall + span,
        }
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(span)
    }
}

/// One poll and no more: a future that would have to wait is not ready.
fn at_once(account: &Account) -> Option<AccessToken> {
    let token = pin!(account.token());
    match token.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(token) => Some(token.unwrap()),
        Poll::Pending => None,
    }
}

#[test]
fn the_allocator_counts() {
    let (_, count) = allocations_of(|| std::hint::black_box(Box::new([0_u8; 64])));
    assert_eq!(count, 1);
}

#[tokio::test]
async fn a_usable_token_is_read_in_one_poll_and_without_an_allocation() {
    const READS: usize = 1_000;
    let sandbox = Sandbox::builder()
        .token_lifetime(Duration::from_secs(600))
        .start()
        .await
        .unwrap();
    let clock = Ahead::default();
    let account = sandbox.account().clock(clock.clone()).build().unwrap();
    account.warm_up().await.unwrap();
    let fresh = at_once(&account).unwrap();
    let reads = || (0..READS).all(|_| at_once(&account).is_some());
    assert_eq!(allocations_of(reads), (true, 0), "fresh");

    // Stale: the one read that starts the renewal may allocate. The renewal itself does not run
    // before this test awaits something, so all these reads find it under way.
    clock.0.store(500, Ordering::Relaxed);
    let (stale, starting) = allocations_of(|| at_once(&account).unwrap());
    assert!(starting > 0, "it starts the renewal");
    assert_eq!(allocations_of(reads), (true, 0), "stale, renewal under way");
    assert_eq!(stale.expose(), fresh.expose());

    // Backing off after a renewal that failed.
    sandbox.inject("token-down=1".parse().unwrap());
    account.flush().await.unwrap();
    assert!(account.health().last_error.is_some(), "it failed");
    assert_eq!(allocations_of(reads), (true, 0), "stale, backing off");
    assert_eq!(at_once(&account).unwrap().expose(), fresh.expose());
}
