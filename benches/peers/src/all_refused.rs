//! The API refuses tokens, and the endpoint gives a new one to whoever asks.
//!
//! First every token is refused, for 128 000 requests: an outage of the API, or a wrong
//! subscription. How many tokens are asked for? Then, since a cache that never asks looks good in
//! that, a single token is refused: how many requests come back with 401 before there is another?

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::tokens::{Api, Aws, Azure, Endpoint, Google, Ours, Peer, runtime};

const REQUESTS: usize = 128_000;
const AFTER_ONE: usize = 1_000;
/// How many at once, and how long the API takes for each: one after another they would take minutes.
const AT_ONCE: [(usize, Duration); 2] = [(1, Duration::ZERO), (64, API_TAKES)];
const API_TAKES: Duration = Duration::from_millis(1);

pub(crate) fn run() {
    for (at_once, takes) in AT_ONCE {
        println!("{REQUESTS} requests, {at_once} at a time, all answered 401 after {takes:?}");
        println!(
            "{:26} {:>15} {:>8} {:>9} {:>9}",
            "", "token requests", "ratio", "time", "not sent"
        );
        let outcomes = [
            refuse_all::<Ours>(at_once, takes),
            refuse_all::<Azure>(at_once, takes),
            refuse_all::<Aws>(at_once, takes),
            refuse_all::<Google>(at_once, takes),
        ];
        for (name, requests, elapsed, unsent) in outcomes {
            let ratio = requests as f64 / outcomes[0].1 as f64;
            println!(
                "{name:26} {requests:>15} {ratio:>8.1} {:>7.1} s {unsent:>9}",
                elapsed.as_secs_f64()
            );
        }
        println!();
    }
    println!("{AFTER_ONE} requests, 64 at a time, once the present token has been revoked");
    println!("{:26} {:>15} {:>15}", "", "answered 401", "token requests");
    for (name, refused, requests) in [
        refuse_one::<Ours>(),
        refuse_one::<Azure>(),
        refuse_one::<Aws>(),
        refuse_one::<Google>(),
    ] {
        println!("{name:26} {refused:>15} {requests:>15}");
    }
    println!("azure_core gets a new token after a 401, but returns the 401 and does not replay.");
    println!("aws and google have no way to say that a token was refused: it stays until it ends.");
}

fn refuse_all<P: Peer>(at_once: usize, takes: Duration) -> (&'static str, u64, Duration, usize) {
    let endpoint = Endpoint::start(Duration::ZERO);
    runtime().block_on(async {
        let api = Arc::new(Api::that_takes(takes));
        api.revoke(u64::MAX);
        let peer = Arc::new(P::new(&endpoint, api));
        let begun = Instant::now();
        let refused = send(&peer, REQUESTS, at_once).await;
        let elapsed = begun.elapsed();
        (P::NAME, endpoint.requests(), elapsed, REQUESTS - refused)
    })
}

fn refuse_one<P: Peer>() -> (&'static str, usize, u64) {
    let endpoint = Endpoint::start(Duration::from_millis(5));
    runtime().block_on(async {
        let api = Arc::new(Api::that_takes(API_TAKES));
        let peer = Arc::new(P::new(&endpoint, api.clone()));
        assert!(peer.token().await, "{}", P::NAME);
        let before = endpoint.requests();
        api.revoke(before);
        let refused = send(&peer, AFTER_ONE, 64).await;
        (P::NAME, refused, endpoint.requests() - before)
    })
}

/// How many of so many requests are answered 401.
async fn send<P: Peer>(peer: &Arc<P>, requests: usize, at_once: usize) -> usize {
    let left = Arc::new(AtomicUsize::new(requests));
    let refused = Arc::new(AtomicUsize::new(0));
    let senders: Vec<_> = (0..at_once)
        .map(|_| {
            let (peer, left, refused) = (peer.clone(), left.clone(), refused.clone());
            tokio::spawn(async move {
                let take = |left: usize| left.checked_sub(1);
                let taken = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
                while taken().is_ok() {
                    let status = peer.send().await;
                    refused.fetch_add(usize::from(status == 401), Ordering::Relaxed);
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.expect("no panic");
    }
    refused.load(Ordering::Relaxed)
}
