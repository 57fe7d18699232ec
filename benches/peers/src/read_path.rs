//! What it costs to use a token that is there and fresh.
//!
//! The crates offer that at two places: the cache itself, and the layer that puts the token on a
//! request; of the latter, what it adds to a request that goes to the stub directly. All run in
//! turn, many times; the middle of the rounds counts.

use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::tokens::{Api, Aws, Azure, Endpoint, Google, Ours, Peer, runtime};

const ROUNDS: usize = 101;
const TIMES: usize = 2_000;

type Round<'a> = Box<dyn Fn() -> Duration + 'a>;

pub(crate) fn run() {
    let (runtime, endpoint) = (runtime(), Endpoint::start(Duration::ZERO));
    let (ours, azure) = (
        warm::<Ours>(&runtime, &endpoint),
        warm::<Azure>(&runtime, &endpoint),
    );
    let (aws, google) = (
        warm::<Aws>(&runtime, &endpoint),
        warm::<Google>(&runtime, &endpoint),
    );

    let times = medians(&[
        round(&runtime, || ours.token()),
        round(&runtime, || aws.token()),
        round(&runtime, || google.token()),
        round(&runtime, || ours.send()),
        round(&runtime, || ours.send_once()),
        round(&runtime, || ours.send_bare()),
        round(&runtime, || azure.send()),
        round(&runtime, || azure.send_bare()),
    ]);

    println!("{ROUNDS} rounds of {TIMES}, the middle round, one thread");
    println!("{:44} {:>8} {:>6}", "reading the cache", "ns", "ratio");
    print("reqwest-tollgate, Account::token", times[0], times[0]);
    print(
        "aws-smithy-runtime, resolve_cached_identity",
        times[1],
        times[0],
    );
    print("google-cloud-auth, access_token", times[2], times[0]);
    println!(
        "{:44} {:>8} {:>6}",
        "what the layer adds to a request", "ns", "ratio"
    );
    let (layer, once) = (times[3] - times[5], times[4] - times[5]);
    let policy = times[6] - times[7];
    print("reqwest-tollgate, AuthMiddleware", layer, layer);
    print("the same without replay", once, layer);
    print("azure_core, BearerTokenAuthorizationPolicy", policy, layer);
    println!("The layer keeps a copy of each request to replay after a 401, unless told not to.");
}

fn print(name: &str, nanoseconds: f64, ours: f64) {
    println!("{name:44} {nanoseconds:>8.0} {:>6.2}", nanoseconds / ours);
}

/// One that has a token.
fn warm<P: Peer>(runtime: &Runtime, endpoint: &Endpoint) -> P {
    runtime.block_on(async {
        let peer = P::new(endpoint, Arc::new(Api::default()));
        assert!(
            peer.token().await && peer.send().await == 200,
            "{}",
            P::NAME
        );
        peer
    })
}

fn round<'a, F: Future>(runtime: &'a Runtime, once: impl Fn() -> F + 'a) -> Round<'a> {
    Box::new(move || {
        runtime.block_on(async {
            let begun = Instant::now();
            for _ in 0..TIMES {
                black_box(once().await);
            }
            begun.elapsed()
        })
    })
}

/// In nanoseconds for one time each.
fn medians(rounds: &[Round<'_>]) -> Vec<f64> {
    let mut times = vec![Vec::with_capacity(ROUNDS); rounds.len()];
    for _ in 0..ROUNDS {
        for (round, times) in rounds.iter().zip(&mut times) {
            times.push(round().as_nanos() as f64 / TIMES as f64);
        }
    }
    for times in &mut times {
        times.sort_by(f64::total_cmp);
    }
    times.iter().map(|times| times[ROUNDS / 2]).collect()
}
