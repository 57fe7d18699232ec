//! Twenty callers wait for the first token while the token endpoint is down.
//!
//! Waiters that share a flight but not its failure ask again one after another: each of them waits
//! for all that came before it, and an endpoint in trouble gets every request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::tokens::{Api, Aws, Azure, Endpoint, Google, Ours, Peer, runtime};

const WAITERS: usize = 20;
const FLIGHT: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(30);

struct Outcome {
    name: &'static str,
    requests: u64,
    failed: usize,
    elapsed: Duration,
}

pub(crate) fn run() {
    println!("{WAITERS} callers at once, an endpoint that answers 503 after {FLIGHT:?}");
    println!(
        "{:26} {:>15} {:>6} {:>17} {:>6} {:>9}",
        "", "token requests", "ratio", "until all have it", "ratio", "errors"
    );
    let outcomes = [
        measure::<Ours>(),
        measure::<Azure>(),
        measure::<Aws>(),
        measure::<Google>(),
    ];
    for outcome in &outcomes {
        let ours = &outcomes[0];
        println!(
            "{:26} {:>15} {:>6.1} {:>14.3} s {:>8.1} {:>6}/{WAITERS}",
            outcome.name,
            outcome.requests,
            outcome.requests as f64 / ours.requests as f64,
            outcome.elapsed.as_secs_f64(),
            outcome.elapsed.as_secs_f64() / ours.elapsed.as_secs_f64(),
            outcome.failed,
        );
    }
}

fn measure<P: Peer>() -> Outcome {
    let endpoint = Endpoint::start_down(FLIGHT);
    runtime().block_on(async {
        let begun = Instant::now();
        let peer = Arc::new(P::new(&endpoint, Arc::new(Api::default())));
        let waiters: Vec<_> = (0..WAITERS)
            .map(|_| {
                let peer = peer.clone();
                tokio::spawn(tokio::time::timeout(
                    LONGEST,
                    async move { peer.token().await },
                ))
            })
            .collect();
        let mut failed = 0;
        for waiter in waiters {
            let token = waiter.await.expect("no panic");
            failed += usize::from(token == Ok(false));
        }
        Outcome {
            name: P::NAME,
            requests: endpoint.requests(),
            failed,
            elapsed: begun.elapsed(),
        }
    })
}
