//! Callers, refusals, invalidations and landings at one cache.

use std::sync::Arc;
use std::time::Duration;

use shuttle::future::{JoinHandle, block_on, spawn};
use shuttle::sync::atomic::{AtomicBool, Ordering};

use super::explore;
use super::stub::{Endpoint, cache, cache_with, oauth};
use crate::auth::Grant;
use crate::auth::cache::Cache;
use crate::auth::cache::state::Need;
use crate::auth::testing::IMPATIENT;
use crate::auth::token::Token;
use crate::clock::Clock;
use crate::clock::manual::HandClock;
use crate::error::{Error, ErrorKind};
use crate::observe::event::RejectionVerdict;
use crate::sync::tear_down;

async fn token(cache: &Arc<Cache>) -> Result<Arc<Token>, Error> {
    let now = cache.shared.clock.now();
    match cache.ready(now) {
        Some(token) => Ok(token),
        None => cache.token(Need::Usable, IMPATIENT).await,
    }
}

fn caller(cache: &Arc<Cache>) -> JoinHandle<Result<Arc<Token>, Error>> {
    let cache = cache.clone();
    spawn(async move { token(&cache).await })
}

/// Looks again and again until told to stop: nothing goes back.
fn observer(cache: &Arc<Cache>) -> (Arc<AtomicBool>, JoinHandle<()>) {
    let stop = Arc::new(AtomicBool::new(false));
    let (cache, stopped) = (cache.clone(), stop.clone());
    let task = spawn(async move {
        let mut before = (0, 0, 0);
        while !stopped.load(Ordering::SeqCst) {
            let state = cache.shared.board.read().state.clone();
            let now = (state.generation(), state.watermark, state.issued);
            assert!(
                now.0 >= before.0,
                "a generation was lost: {before:?} {now:?}"
            );
            assert!(
                now.1 >= before.1,
                "the watermark went back: {before:?} {now:?}"
            );
            assert!(now.2 >= before.2, "a generation is given out twice");
            assert!(now.0 <= now.2, "a generation that was never given out");
            before = now;
            shuttle::future::yield_now().await;
        }
    });
    (stop, task)
}

fn all<T>(tasks: Vec<JoinHandle<T>>) -> Vec<T> {
    let tasks = tasks.into_iter();
    tasks
        .map(|task| block_on(task).expect("not aborted"))
        .collect()
}

/// Whatever started is at its end, and what was taken was given back.
fn at_rest(cache: &Arc<Cache>, endpoint: &Endpoint) {
    let posting = cache.shared.board.read();
    assert!(posting.waiter.is_none(), "a place is still taken");
    endpoint.with(|seen| {
        assert_eq!(seen.under_way, 0);
        assert_eq!(seen.taken, seen.ended, "leave that never ends");
    });
}

pub fn waiters_of_one_flight_all_get_its_token() {
    explore(|| {
        let (endpoint, clock) = (Endpoint::default(), HandClock::new());
        let cache = cache(&endpoint, &clock);
        let tokens = all((0..4).map(|_| caller(&cache)).collect());
        for token in tokens {
            assert_eq!(token.expect("a token").generation(), 1);
        }
        assert_eq!(endpoint.requests(), 1);
        at_rest(&cache, &endpoint);
    });
}

pub fn waiters_of_a_failed_flight_all_get_its_error() {
    explore(|| {
        let (endpoint, clock) = (Endpoint::of(&[503]), HandClock::new());
        let cache = cache(&endpoint, &clock);
        let results = all((0..4).map(|_| caller(&cache)).collect());
        for result in results {
            let error = result.expect_err("the endpoint failed");
            assert_eq!(error.status().map(|status| status.as_u16()), Some(503));
        }
        assert_eq!(endpoint.requests(), 1, "who came late finds back-off");
        at_rest(&cache, &endpoint);
    });
}

pub fn many_refusals_of_one_token_cost_one_request_and_never_hurt_its_successor() {
    explore(|| {
        let (endpoint, clock) = (Endpoint::default(), HandClock::new());
        let cache = cache(&endpoint, &clock);
        let first = block_on(token(&cache)).expect("a token");
        let (stop, observer) = observer(&cache);
        let refused = (0..3).map(|_| {
            let (cache, first) = (cache.clone(), first.clone());
            spawn(async move {
                let verdict = cache.refused(&first, true);
                let renew = matches!(
                    verdict,
                    RejectionVerdict::Renew | RejectionVerdict::Superseded
                );
                assert!(renew, "{verdict:?}");
                let need = Need::NewerThan(first.generation());
                let next = cache.token(need, IMPATIENT).await.expect("a token");
                assert_eq!(next.generation(), 2);
            })
        });
        all(refused.collect());
        stop.store(true, Ordering::SeqCst);
        block_on(observer).expect("not aborted");
        assert_eq!(
            endpoint.requests(),
            2,
            "the first, and one for all refusals"
        );
        let state = cache.shared.board.read().state.clone();
        assert_eq!((state.generation(), state.watermark), (2, 1));
        assert!(state.is_usable(clock.now()));
        at_rest(&cache, &endpoint);
    });
}

pub fn callers_refusals_and_invalidations_never_make_two_flights_at_once() {
    explore(|| {
        let (endpoint, clock) = (Endpoint::of(&[200, 503]), HandClock::new());
        let cache = cache(&endpoint, &clock);
        let first = block_on(token(&cache)).expect("a token");
        let (stop, observer) = observer(&cache);
        let mut tasks = Vec::new();
        for _ in 0..2 {
            let (cache, first) = (cache.clone(), first.clone());
            tasks.push(spawn(async move {
                let _ = cache.refused(&first, true);
                let need = Need::NewerThan(first.generation());
                match cache.token(need, IMPATIENT).await {
                    Ok(next) => assert!(next.generation() > first.generation()),
                    Err(error) => is_of_the_failure(&error),
                }
            }));
        }
        let other = cache.clone();
        tasks.push(spawn(async move { other.invalidate() }));
        let (other, hands) = (cache.clone(), clock.clone());
        tasks.push(spawn(async move {
            hands.turn_to(hands.now().moment + Duration::from_secs(580));
            if let Err(error) = token(&other).await {
                is_of_the_failure(&error);
            }
        }));
        all(tasks);
        stop.store(true, Ordering::SeqCst);
        block_on(observer).expect("not aborted");
        assert!(endpoint.requests() <= 4);
        settled(&cache);
        at_rest(&cache, &endpoint);
        // Longer than the back-off after one failure.
        clock.turn_to(clock.now().moment + Duration::from_secs(60));
        let last = block_on(token(&cache)).expect("a token");
        assert!(last.generation() > first.generation());
    });
}

/// What it met itself, or when to come again.
fn is_of_the_failure(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::TokenEndpoint, "{error}");
}

/// A flight that nobody waits for may be under way at the end of a scenario.
fn settled(cache: &Arc<Cache>) {
    while cache.shared.board.read().waiter.is_some() {
        shuttle::thread::yield_now();
    }
}

pub fn a_flight_torn_down_frees_its_place_and_its_waiters_go_again() {
    explore(|| {
        let (endpoint, clock) = (Endpoint::default(), HandClock::new());
        let cache = cache(&endpoint, &clock);
        let (stop, observer) = observer(&cache);
        let callers = (0..3).map(|_| caller(&cache)).collect();
        let end = spawn(async { tear_down() });
        for result in all(callers) {
            assert!(result.is_ok(), "it was torn down once: {result:?}");
        }
        block_on(end).expect("not aborted");
        stop.store(true, Ordering::SeqCst);
        block_on(observer).expect("not aborted");
        settled(&cache);
        assert!(endpoint.requests() <= 2, "one torn down, one after it");
        at_rest(&cache, &endpoint);
    });
}

pub fn a_revocation_and_renewals_take_turns() {
    explore(|| {
        let (endpoint, clock) = (Endpoint::default(), HandClock::new());
        let oauth = oauth(Grant::client_credentials(), &endpoint);
        let cache = cache_with(oauth, &endpoint, &clock);
        block_on(token(&cache)).expect("a token");
        let (other, third) = (cache.clone(), cache.clone());
        let revoke = spawn(async move { other.revoke().await });
        let invalidate = spawn(async move { third.invalidate() });
        for result in all((0..2).map(|_| caller(&cache)).collect()) {
            assert!(result.is_ok(), "who waits for either goes on: {result:?}");
        }
        block_on(invalidate).expect("not aborted");
        block_on(revoke).expect("not aborted").expect("revoked");
        // The launch bucket may be empty.
        clock.turn_to(clock.now().moment + Duration::from_secs(1));
        let last = block_on(token(&cache)).expect("a token");
        endpoint.with(|seen| {
            let is_revoked = seen.revoked.iter().any(|token| token == last.secret());
            assert!(!is_revoked, "it went on with a revoked token");
        });
        settled(&cache);
        // The first token, the revocation, and one for each of the two that take a token away.
        assert!(endpoint.requests() <= 4, "{}", endpoint.requests());
        at_rest(&cache, &endpoint);
    });
}

pub fn a_late_refusal_of_an_old_token_takes_nothing_back_of_what_a_newer_one_has_got() {
    explore(|| {
        let (endpoint, clock) = (Endpoint::default(), HandClock::new());
        let cache = cache(&endpoint, &clock);
        let first = block_on(token(&cache)).expect("a token");
        cache.invalidate();
        let (stop, observer) = observer(&cache);
        let (other, late) = (cache.clone(), cache.clone());
        let renewed = spawn(async move {
            let next = token(&other).await.expect("a token");
            other.invalidate();
            assert!(next.generation() <= 2);
        });
        let late = spawn(async move { late.refused(&first, true) });
        block_on(renewed).expect("not aborted");
        block_on(late).expect("not aborted");
        settled(&cache);
        stop.store(true, Ordering::SeqCst);
        block_on(observer).expect("not aborted");
        assert!(cache.shared.board.read().state.watermark >= 2);
    });
}
