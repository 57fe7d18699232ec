//! The start and the end of keep-warm.

use std::sync::Arc;

use shuttle::future::block_on;
use shuttle::thread;

use super::stub::{Endpoint, cache_with, oauth};
use super::{at_rest, explore};
use crate::auth::cache::Cache;
use crate::auth::cache::state::Need;
use crate::auth::testing::IMPATIENT;
use crate::auth::{Grant, OAuthSettings};
use crate::clock::Clock;
use crate::clock::manual::HandClock;
use crate::sync::{running, start_runtime, tear_down};

fn warm(endpoint: &Endpoint, clock: &HandClock) -> Arc<Cache> {
    let oauth = OAuthSettings {
        keep_warm: true,
        ..oauth(Grant::client_credentials(), endpoint)
    };
    cache_with(oauth, endpoint, clock)
}

pub fn one_task_keeps_warm_whoever_comes_first_and_ends_with_the_account() {
    explore(|| {
        let (endpoint, clock) = (Endpoint::default(), HandClock::new());
        let cache = warm(&endpoint, &clock);
        let come = || {
            let callers = (0..3).map(|_| {
                let (cache, clock) = (cache.clone(), clock.clone());
                thread::spawn(move || assert!(cache.ready(clock.now()).is_none()))
            });
            let callers: Vec<_> = callers.collect();
            callers
                .into_iter()
                .for_each(|caller| caller.join().expect("no panic"));
        };
        come();
        assert_eq!(running(), 1, "one task");
        tear_down();
        at_rest();
        come();
        assert_eq!(running(), 1, "another after the first has ended");
        drop(cache);
        at_rest();
        start_runtime();
    });
}

pub fn keep_warm_misses_no_news_however_it_comes() {
    explore(|| {
        let (endpoint, clock) = (Endpoint::default(), HandClock::new());
        let cache = warm(&endpoint, &clock);
        let first = block_on(cache.token(Need::Usable, IMPATIENT)).expect("a token");
        assert_eq!(first.generation(), 1);
        let other = cache.clone();
        let invalidate = thread::spawn(move || other.invalidate());
        let _ = cache.ready(clock.now());
        invalidate.join().expect("no panic");
        // Time stands still: no nap ends, only the news tell of it.
        while cache.present().is_none_or(|token| token.generation() < 2) {
            thread::yield_now();
        }
        assert_eq!(endpoint.requests(), 2);
        drop(cache);
        at_rest();
    });
}
