//! Presenting a refresh token that several processes may have: the mark, the right, the save.

use std::sync::Arc;
use std::time::Duration;

use shuttle::future::{JoinHandle, block_on, spawn, yield_now};
use shuttle::sync::atomic::{AtomicBool, Ordering};

use super::shelf::{Act, Shelf};
use super::stub::{Endpoint, cache_with, oauth, with_store};
use super::{at_rest, explore_long};
use crate::auth::cache::Cache;
use crate::auth::cache::state::Need;
use crate::auth::persistence::record::Tokens;
use crate::auth::testing::PATIENT;
use crate::auth::{Grant, OAuthSettings};
use crate::clock::Clock;
use crate::clock::manual::HandClock;
use crate::error::ErrorKind;
use crate::sync::{end_runtime, tear_down};

const CALLBACK: &str = "http://127.0.0.1:8139/callback";
/// Time does not jump from before a mark to after its end.
const LONGEST_TURN: Duration = Duration::from_secs(2);

/// Time passes, while something waits for it, until told to stop.
struct Turning(Arc<AtomicBool>, JoinHandle<()>);

impl Turning {
    fn start(clock: &HandClock) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (clock, stopped) = (clock.clone(), stop.clone());
        let task = spawn(async move {
            while !stopped.load(Ordering::SeqCst) {
                if let Some(turn) = clock.next_turn() {
                    clock.turn_to(turn.min(clock.now().moment + LONGEST_TURN));
                }
                // The others are not stopped processes.
                for _ in 0..4 {
                    yield_now().await;
                }
            }
        });
        Self(stop, task)
    }

    /// Everything has come to its end.
    fn stop(self) {
        at_rest();
        self.0.store(true, Ordering::SeqCst);
        block_on(self.1).expect("not aborted");
    }
}

/// A token, and the next after the API has refused it.
fn two_tokens(cache: &Arc<Cache>) -> JoinHandle<()> {
    let cache = cache.clone();
    spawn(async move {
        let first = cache.token(Need::Usable, PATIENT).await.expect("a token");
        cache.refused(&first, true);
        let need = Need::NewerThan(first.generation());
        let next = cache.token(need, PATIENT).await.expect("another token");
        assert!(next.generation() > first.generation());
    })
}

fn all(tasks: Vec<JoinHandle<()>>) {
    let wait = |task: JoinHandle<()>| block_on(task).expect("not aborted");
    tasks.into_iter().for_each(wait);
}

fn account(shelf: &Shelf, endpoint: &Endpoint, clock: &HandClock) -> Arc<Cache> {
    cache_with(with_store(endpoint, shelf.clone()), endpoint, clock)
}

fn marking(acts: &[Act]) {
    let (endpoint, clock) = (Endpoint::default(), HandClock::new());
    let shelf = Shelf::of(acts);
    let witness = shelf.clone();
    endpoint.look_with(move |presented| witness.check_marked(presented));
    let cache = account(&shelf, &endpoint, &clock);
    let turning = Turning::start(&clock);
    all((0..2).map(|_| two_tokens(&cache)).collect());
    turning.stop();
    assert_eq!(shelf.refresh_token(), endpoint.newest());
}

pub fn a_mark_of_its_own_is_in_the_store_before_a_request_leaves() {
    explore_long(|| marking(&[]));
}

pub fn a_mark_or_a_save_whose_answer_is_lost_is_found_in_the_store() {
    explore_long(|| marking(&[Act::FailsLate, Act::FailsLate, Act::Fails, Act::FailsLate]));
}

fn sharing(grants_all: bool) {
    let (endpoint, clock) = (Endpoint::default(), HandClock::new());
    let shelf = Shelf::default();
    shelf.with(|shelved| shelved.grants_all = grants_all);
    let (witness, seen) = (shelf.clone(), endpoint.clone());
    endpoint.look_with(move |presented| {
        witness.check_marked(presented);
        let times = seen.with(|seen| {
            let times = seen
                .presented
                .iter()
                .filter(|(token, _)| token == presented);
            times.count()
        });
        assert_eq!(times, 1, "two processes presented {presented}");
    });
    let caches = [(); 2].map(|()| account(&shelf, &endpoint, &clock));
    let turning = Turning::start(&clock);
    all(caches.iter().map(two_tokens).collect());
    turning.stop();
    assert_eq!(shelf.refresh_token(), endpoint.newest());
}

pub fn two_processes_never_present_the_same_refresh_token() {
    explore_long(|| sharing(false));
}

pub fn two_processes_never_present_the_same_refresh_token_although_both_are_granted_the_right() {
    explore_long(|| sharing(true));
}

fn giving_back(acts: &[Act]) {
    let (endpoint, clock) = (Endpoint::of(&[200, 503]), HandClock::new());
    let shelf = Shelf::of(acts).beside(&endpoint);
    let cache = account(&shelf, &endpoint, &clock);
    let turning = Turning::start(&clock);
    let other = cache.clone();
    let flush = spawn(async move { drop(other.flush().await) });
    all(vec![two_tokens(&cache), flush]);
    turning.stop();
    shelf.check_given_back_once();
    let persistence = &cache.shared.source.persistence;
    assert!(persistence.chain(|chain| chain.right_id().is_none()));
}

pub fn a_right_is_given_back_once_when_neither_flight_nor_saver_needs_it() {
    explore_long(|| giving_back(&[]));
}

pub fn a_right_is_kept_until_a_save_that_fails_at_first_is_done() {
    explore_long(|| giving_back(&[Act::Saves, Act::Fails, Act::FailsLate]));
}

fn tearing_down(end: fn()) {
    let (endpoint, clock) = (Endpoint::default(), HandClock::new());
    let shelf = Shelf::default();
    let cache = account(&shelf, &endpoint, &clock);
    let turning = Turning::start(&clock);
    let other = cache.clone();
    let caller = spawn(async move { drop(other.token(Need::Usable, PATIENT).await) });
    let end = spawn(async move { end() });
    all(vec![caller, end]);
    turning.stop();
    shelf.check_free();
    let persistence = &cache.shared.source.persistence;
    assert!(persistence.chain(|chain| chain.right_id().is_none()));
}

pub fn a_flight_torn_down_while_it_holds_the_right_gives_it_up() {
    explore_long(|| tearing_down(tear_down));
}

pub fn a_flight_whose_runtime_is_gone_abandons_the_right() {
    explore_long(|| {
        tearing_down(end_runtime);
        crate::sync::start_runtime();
    });
}

pub fn a_save_that_hangs_and_lands_late_undoes_nothing() {
    explore_long(|| {
        let (endpoint, clock) = (Endpoint::default(), HandClock::new());
        let shelf = Shelf::of(&[Act::Hangs]);
        let cache = account(&shelf, &endpoint, &clock);
        let persistence = cache.shared.source.persistence.clone();
        let turning = Turning::start(&clock);
        persistence.save(Tokens::new(None, Some("a")), true);
        let second = persistence.clone();
        let second = spawn(async move {
            yield_now().await;
            second.save(Tokens::new(None, Some("b")), true);
        });
        let (opened, hands) = (shelf.clone(), clock.clone());
        let open = spawn(async move {
            // Before another attempt begins beside it, or after.
            hands.sleep(Duration::from_secs(29)).await;
            yield_now().await;
            hands.sleep(Duration::from_secs(1)).await;
            opened.open();
        });
        all(vec![second, open]);
        turning.stop();
        assert!(!persistence.has_unsaved());
        assert_eq!(shelf.refresh_token().as_deref(), Some("b"));
        let saved = shelf.saved();
        assert!(saved == ["b"] || saved == ["a", "b"], "{saved:?}");
    });
}

fn logging_in(processes: usize) {
    let (endpoint, clock) = (Endpoint::default(), HandClock::new());
    endpoint.with(|seen| seen.many_processes = processes > 1);
    let shelf = Shelf::default();
    shelf.put("r0");
    let account = || {
        let mut oauth = OAuthSettings {
            store: Some(Arc::new(shelf.clone())),
            ..oauth(Grant::authorization_code(CALLBACK), &endpoint)
        };
        oauth.authorization_url = "https://login.example/authorize".parse().ok();
        cache_with(oauth, &endpoint, &clock)
    };
    let caches: Vec<_> = (0..processes).map(|_| account()).collect();
    let turning = Turning::start(&clock);
    let (renewing, login) = (caches[0].clone(), caches[processes - 1].clone());
    let renew = spawn(async move { drop(renewing.token(Need::Usable, PATIENT).await) });
    let login = spawn(async move {
        let request = login.authorization_request().expect("a request");
        let callback = format!("{CALLBACK}?code=c0de&state={}", request.state());
        if let Err(error) = request.exchange(&callback).await {
            // The save took longer than 2 s.
            assert_eq!(error.kind(), ErrorKind::Store, "{error}");
        }
    });
    all(vec![renew, login]);
    turning.stop();
    let stands = shelf.refresh_token().expect("a refresh token");
    assert!(endpoint.descends(&stands, "c0de"), "the login is lost");
    let next = caches[0].clone();
    let turning = Turning::start(&clock);
    let next = block_on(next.token(Need::Usable, PATIENT));
    turning.stop();
    next.expect("a token of the login");
}

pub fn a_login_beside_a_renewal_stays() {
    explore_long(|| logging_in(1));
}

pub fn a_login_beside_a_renewal_of_another_process_stays() {
    explore_long(|| logging_in(2));
}
