//! Ten thousand callers come at once while there is no token: first for the token alone, then each
//! with a request.
//!
//! A request is of another size in each crate: ours has a whole one of reqwest with its replay, the
//! policy of azure_core a small one of its own, aws and google none at all but its header.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::tokens::{Api, Aws, Azure, Endpoint, Google, Ours, Peer, runtime};

const HERD: usize = 10_000;
const FLIGHT: Duration = Duration::from_millis(50);
const ROUNDS: usize = 9;

struct Outcome {
    name: &'static str,
    /// The most in a round.
    requests: u64,
    token: Duration,
    request: Duration,
}

pub(crate) fn run() {
    println!("{HERD} callers at once, an endpoint that answers after {FLIGHT:?}");
    println!("the middle of {ROUNDS} rounds; of the token requests the most in a round");
    println!(
        "{:26} {:>15} {:>15} {:>6} {:>16} {:>6}",
        "", "token requests", "all have it", "ratio", "all are answered", "ratio"
    );
    let outcomes = [
        measure::<Ours>(),
        measure::<Azure>(),
        measure::<Aws>(),
        measure::<Google>(),
    ];
    let millis = |span: Duration| span.as_secs_f64() * 1e3;
    for outcome in &outcomes {
        println!(
            "{:26} {:>15} {:>12.1} ms {:>6.2} {:>13.1} ms {:>6.2}",
            outcome.name,
            outcome.requests,
            millis(outcome.token),
            millis(outcome.token) / millis(outcomes[0].token),
            millis(outcome.request),
            millis(outcome.request) / millis(outcomes[0].request),
        );
    }
}

fn measure<P: Peer>() -> Outcome {
    let mut tokens: Vec<_> = (0..ROUNDS)
        .map(|_| round(|peer: Arc<P>| async move { peer.token().await }))
        .collect();
    let mut requests: Vec<_> = (0..ROUNDS)
        .map(|_| round(|peer: Arc<P>| async move { peer.send().await == 200 }))
        .collect();
    let asked = tokens.iter().chain(&requests).map(|(_, asked)| *asked);
    let asked = asked.max().expect("a round");
    tokens.sort();
    requests.sort();
    Outcome {
        name: P::NAME,
        requests: asked,
        token: tokens[ROUNDS / 2].0,
        request: requests[ROUNDS / 2].0,
    }
}

fn round<P, F>(call: impl Fn(Arc<P>) -> F) -> (Duration, u64)
where
    P: Peer,
    F: Future<Output = bool> + Send + 'static,
{
    let endpoint = Endpoint::start(FLIGHT);
    runtime().block_on(async {
        let peer = Arc::new(P::new(&endpoint, Arc::new(Api::default())));
        let begun = Instant::now();
        let herd: Vec<_> = (0..HERD)
            .map(|_| tokio::spawn(call(peer.clone())))
            .collect();
        for one in herd {
            assert!(one.await.expect("no panic"), "{}", P::NAME);
        }
        (begun.elapsed(), endpoint.requests())
    })
}
