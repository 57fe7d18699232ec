//! Scenarios on the line for permits: a permit granted to a request that leaves at the same moment
//! goes to those behind it, and the timer that one sets for the next always rings.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use shuttle::future::{block_on, spawn, yield_now};

use super::limiter::{Granted, Limiter};
use super::place::{Claim, Entry, Place};
use super::quota::Quota;
use super::quotas::Chosen;
use super::state::Settlement;
use super::{LimiterSettings, ticket::Ticket};
use super::{Pacing, Window};
use crate::auth::model::explore;
use crate::clock::Clock;
use crate::clock::manual::HandClock;
use crate::cost::Costs;
use crate::event::Events;
use crate::options::{Patience, Priority, RequestOptions, Terms};
use crate::origin::Origins;
use crate::passage::AccountId;
use crate::verdict::Rules;

/// One request at a time, and no other quota.
fn limiter(clock: &HandClock) -> (Arc<Limiter>, Chosen) {
    limiter_of(Quota::new(Quota::DEFAULT), Some(1), clock)
}

fn limiter_of(
    quota: Quota,
    max_in_flight: Option<usize>,
    clock: &HandClock,
) -> (Arc<Limiter>, Chosen) {
    let account: Arc<str> = "model".into();
    let settings = LimiterSettings {
        account: account.clone(),
        id: AccountId(1),
        origins: Arc::new(Origins::new(Vec::new())),
        events: Events::new(account, Vec::new()),
        clock: Arc::new(clock.clone()),
        quotas: vec![quota],
        max_replays: 0,
        max_in_flight,
        max_queue: None,
        unanswered_after: Duration::from_secs(60),
        has_credentials: false,
        rules: Arc::new(Rules::default()),
        request_id_headers: Vec::new(),
        keeper: None,
        snapshots: false,
    };
    let limiter = Arc::new(Limiter::new(settings));
    let quota = limiter.quota(&RequestOptions::new(), "/");
    (limiter, quota.expect("the default"))
}

fn enter(limiter: &Arc<Limiter>, quota: &Chosen, clock: &HandClock) -> Entry {
    enter_as(Priority::default(), limiter, quota, clock)
}

fn enter_as(
    priority: Priority,
    limiter: &Arc<Limiter>,
    quota: &Chosen,
    clock: &HandClock,
) -> Entry {
    let patience = Patience {
        deadline: None,
        max_wait: Duration::from_secs(3_600),
    };
    let terms = Terms {
        patience,
        costs: Costs::default(),
    };
    let claim = Claim::New(priority);
    limiter
        .enter(quota, claim, &terms, &clock.now())
        .expect("a place")
}

fn give_back(
    limiter: &Limiter,
    quota: &Chosen,
    (ticket, permit): (Ticket, Granted),
    clock: &HandClock,
) {
    let line = limiter.line(quota);
    line.settle(permit.id, ticket, &Settlement::Unsent, &clock.now());
}

fn waiting(entry: Entry) -> Place {
    match entry {
        Entry::Waiting(place) => place,
        Entry::Granted(..) => panic!("the only permit is taken"),
    }
}

/// Polls the wait a few times, then leaves the line, granted or not.
async fn leave_after(polls: usize, place: Place) -> Option<(Ticket, Granted)> {
    let mut wait = Box::pin(place.wait());
    for _ in 0..polls {
        let look = std::future::poll_fn(|context| Poll::Ready(wait.as_mut().poll(context)));
        if let Poll::Ready(granted) = look.await {
            return Some(granted.expect("a permit"));
        }
        yield_now().await;
    }
    None
}

pub fn a_permit_granted_to_one_that_leaves_goes_to_the_next() {
    explore(|| {
        let clock = HandClock::new();
        let (limiter, quota) = limiter(&clock);
        let Entry::Granted(ticket, permit) = enter(&limiter, &quota, &clock) else {
            panic!("the first finds a permit");
        };
        let leaving = waiting(enter(&limiter, &quota, &clock));
        let staying = waiting(enter(&limiter, &quota, &clock));
        let (own, one, hands) = (limiter.clone(), quota.clone(), clock.clone());
        let first = spawn(async move { give_back(&own, &one, (ticket, permit), &hands) });
        let (own, one, hands) = (limiter.clone(), quota.clone(), clock.clone());
        let second = spawn(async move {
            if let Some(granted) = leave_after(2, leaving).await {
                give_back(&own, &one, granted, &hands);
            }
        });
        // Time stands still: a permit that went with the one that left is never found.
        let third = spawn(async move { staying.wait().await.expect("a permit") });
        block_on(first).expect("not aborted");
        block_on(second).expect("not aborted");
        let granted = block_on(third).expect("not aborted");
        give_back(&limiter, &quota, granted, &clock);
        assert!(matches!(
            enter(&limiter, &quota, &clock),
            Entry::Granted(..)
        ));
    });
}

pub fn of_those_who_leave_one_by_one_nobody_sleeps_for_ever() {
    // One a second, whether answered or not.
    explore(|| one_by_one(Window::new(11, Duration::from_secs(10)).pacing(Pacing::Spread)));
}

pub fn of_those_who_await_the_answer_before_nobody_sleeps_for_ever() {
    explore(|| one_by_one(Window::per_second(1)));
}

/// How often time may find nobody asleep: those who run come to their turn before.
const IN_VAIN: usize = 300;

/// Each sets the timer of the next. One gives up meanwhile, and one comes with a higher priority,
/// but leaves before it looks.
fn one_by_one(window: Window) {
    let clock = HandClock::new();
    let quota = Quota::new(Quota::DEFAULT).window(window);
    let (limiter, quota) = limiter_of(quota, None, &clock);
    let Entry::Granted(ticket, permit) = enter(&limiter, &quota, &clock) else {
        panic!("the first finds a permit");
    };
    let lost = Settlement::Lost;
    let line = limiter.line(&quota);
    line.settle(permit.id, ticket, &lost, &clock.now());
    let gone = Arc::new(AtomicUsize::new(0));
    let places = [None, Some(2), None, None].map(|polls| {
        let place = waiting(enter(&limiter, &quota, &clock));
        (polls, place)
    });
    let waiters = places.len();
    let mut tasks: Vec<_> = places
        .into_iter()
        .map(|(polls, place)| {
            let (own, one) = (limiter.clone(), quota.clone());
            let (hands, gone) = (clock.clone(), gone.clone());
            spawn(async move {
                let granted = match polls {
                    Some(polls) => leave_after(polls, place).await,
                    None => Some(place.wait().await.expect("a permit")),
                };
                if let Some((ticket, permit)) = granted {
                    let lost = Settlement::Lost;
                    own.line(&one)
                        .settle(permit.id, ticket, &lost, &hands.now());
                }
                gone.fetch_add(1, Ordering::Relaxed);
            })
        })
        .collect();
    let hands = clock.clone();
    tasks.push(spawn(async move {
        yield_now().await;
        drop(enter_as(Priority::High, &limiter, &quota, &hands));
    }));
    let mut in_vain = 0;
    block_on(async move {
        while gone.load(Ordering::Relaxed) < waiters {
            match clock.next_turn() {
                Some(turn) => clock.turn_to(turn),
                None => in_vain += 1,
            }
            assert!(in_vain < IN_VAIN, "nobody sleeps, and not all have left");
            yield_now().await;
        }
    });
    tasks
        .into_iter()
        .for_each(|task| block_on(task).expect("not aborted"));
}
