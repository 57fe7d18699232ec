use std::future::{pending, ready};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;

use super::*;
use crate::error::{ErrorKind, Recovery};

/// What the second limiter does when it is asked for another permit.
#[derive(Clone, Copy, Debug)]
enum Way {
    Grants,
    Fails,
    Hangs,
    Panics,
}

/// A limiter that knows how many of its permits are out.
struct Limiter {
    way: Way,
    held: AtomicUsize,
    outer: Option<Handle>,
}

impl Passage for Limiter {
    fn account(&self) -> AccountId {
        AccountId(1)
    }

    fn layer(&self) -> Layer {
        Layer::RateLimit
    }

    fn has_credentials(&self) -> bool {
        false
    }

    fn settle(&self, outcome: Outcome<'_>) {
        assert!(matches!(outcome, Outcome::Unsent), "nothing was sent");
        self.held.store(0, Ordering::Relaxed);
    }

    fn acquire(&self) -> BoxFuture<'_, Result<(), Error>> {
        match self.way {
            Way::Grants => {
                self.held.store(1, Ordering::Relaxed);
                Box::pin(ready(Ok(())))
            }
            Way::Fails => {
                let error = Error::new(ErrorKind::QuotaExceeded, Recovery::Retry, "none");
                Box::pin(ready(Err(error)))
            }
            Way::Hangs => Box::pin(pending()),
            Way::Panics => Box::pin(async { panic!("as it was told") }),
        }
    }

    fn spare(&self) -> Option<&Spare> {
        None
    }

    fn deadline(&self) -> Option<Moment> {
        None
    }

    fn outer(&self) -> Option<&Handle> {
        self.outer.as_ref()
    }
}

#[test]
fn a_permit_goes_back_unsent_when_the_next_limiter_fails_hangs_or_panics() {
    for way in [Way::Grants, Way::Fails, Way::Hangs, Way::Panics] {
        let limiter = |way, outer| {
            let held = AtomicUsize::new(0);
            Arc::new(Limiter { way, held, outer })
        };
        let outer = limiter(Way::Grants, None);
        let mut extensions = Extensions::new();
        let mut left = Handle::leave(&outer, &mut extensions);
        let inner = limiter(way, Handle::present(left.extensions()));
        let mut left = Handle::leave(&inner, left.extensions());
        let chain = Chain::pick_up(left.extensions());
        // Polled once, then dropped, as by a caller who gives up.
        let acquired = AssertUnwindSafe(chain.acquire()).catch_unwind();
        let acquired = acquired.now_or_never();
        let is_granted = matches!(acquired, Some(Ok(Ok(()))));
        assert_eq!(is_granted, matches!(way, Way::Grants), "{way:?}");
        let held = outer.held.load(Ordering::Relaxed);
        assert_eq!(held, usize::from(is_granted), "{way:?}");
    }
}
