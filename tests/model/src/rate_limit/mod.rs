//! Scenarios on the line for permits: a permit granted to a request that leaves at the same moment
//! goes to those behind it.

use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use shuttle::future::{block_on, spawn, yield_now};

use super::limiter::{Granted, Limiter};
use super::place::{Claim, Entry, Place};
use super::quota::Quota;
use super::quotas::Chosen;
use super::state::Settlement;
use super::{LimiterSettings, gate::Ticket};
use crate::auth::model::explore;
use crate::auth::model::stub::Hands;
use crate::clock::Clock;
use crate::cost::Costs;
use crate::event::Events;
use crate::options::{Patience, Priority, RequestOptions, Terms};
use crate::origin::Origins;
use crate::passage::AccountId;
use crate::verdict::Rules;

/// One request at a time, and no other quota.
fn limiter(clock: &Hands) -> (Arc<Limiter>, Chosen) {
    let account: Arc<str> = "model".into();
    let settings = LimiterSettings {
        account: account.clone(),
        id: AccountId(1),
        origins: Arc::new(Origins::new(Vec::new())),
        events: Events::new(account, Vec::new()),
        clock: Arc::new(clock.clone()),
        quotas: vec![Quota::new(Quota::DEFAULT)],
        max_replays: 0,
        max_in_flight: Some(1),
        max_queue: None,
        unanswered_after: Duration::from_secs(60),
        has_credentials: false,
        rules: Arc::new(Rules::default()),
        request_id_header: None,
        keeper: None,
        snapshots: false,
    };
    let limiter = Arc::new(Limiter::new(settings));
    let quota = limiter.quota(&RequestOptions::new(), "/");
    (limiter, quota.expect("the default"))
}

fn enter(limiter: &Arc<Limiter>, quota: &Chosen, clock: &Hands) -> Entry {
    let patience = Patience {
        deadline: None,
        max_wait: Duration::from_secs(3_600),
    };
    let terms = Terms {
        patience,
        costs: Costs::default(),
    };
    let claim = Claim::New(Priority::default());
    limiter
        .enter(quota, claim, &terms, &clock.now())
        .expect("a place")
}

fn give_back(
    limiter: &Limiter,
    quota: &Chosen,
    (ticket, permit): (Ticket, Granted),
    clock: &Hands,
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
        let clock = Hands::default();
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
