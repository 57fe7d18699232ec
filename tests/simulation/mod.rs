//! The limiter against simulated servers: the real stack under paused time, without sockets.
//!
//! A scenario is a command line, in the tests as for the bench `simulator`, so that any run can be
//! repeated from either.

// Two programs use a part each; tests may read time, and panic.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::disallowed_methods,
    clippy::unwrap_used
)]

#[cfg(test)]
mod line_tests;
mod outcome;
mod random;
mod scenario;
mod server;
mod tollgate;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep, timeout_at};

pub use outcome::Outcome;
pub use scenario::{Headers, Scenario};
use server::Server;

/// 21 November 2026, 00:00 UTC.
const MIDNIGHT: Duration = Duration::from_secs(1_795_219_200);
const HALF_A_DAY: Duration = Duration::from_secs(12 * 60 * 60);

/// One request as the server decided on it.
struct Decision {
    at: Duration,
    accepted: bool,
    way: Duration,
}

pub struct World {
    pub scenario: Scenario,
    start: Instant,
    /// The client's wall clock at the start, since 1970.
    wall: Duration,
    server: Mutex<Server>,
    random: Mutex<fastrand::Rng>,
    decisions: Mutex<Vec<Decision>>,
    waits: Mutex<Vec<Duration>>,
    served: Mutex<Vec<u64>>,
    outside: Mutex<Outside>,
}

/// Somebody else's requests.
#[derive(Default)]
struct Outside {
    sent: u64,
    rejected: u64,
}

/// How one process asks.
#[async_trait]
pub trait Client: Send + Sync {
    /// A request, begun at this moment; whether it was answered well.
    async fn request(&self, begun: Instant) -> bool;
}

/// Makes the client of a process.
pub type Make = dyn Fn(&Arc<World>) -> Box<dyn Client>;

/// What comes back.
pub struct Answer {
    pub accepted: bool,
    pub headers: Vec<(&'static str, String)>,
}

async fn simulate(scenario: Scenario, make: &Make, seed: u64) -> Outcome {
    let mut random = fastrand::Rng::with_seed(seed);
    let gone = scenario.gone(&mut random);
    let server = Server::new(&scenario, gone);
    let of_day = match scenario.calendar {
        true => Duration::from_secs_f64(gone),
        false => HALF_A_DAY,
    };
    let world = Arc::new(World {
        start: Instant::now(),
        wall: MIDNIGHT + of_day,
        server: Mutex::new(server),
        random: Mutex::new(random),
        decisions: Mutex::default(),
        waits: Mutex::default(),
        served: Mutex::new(vec![0; scenario.workers]),
        outside: Mutex::default(),
        scenario,
    });
    let clients: Vec<_> = (0..world.scenario.processes)
        .map(|_| make(&world))
        .collect();
    let workers = (0..world.scenario.workers)
        .map(|worker| work(&world, &*clients[worker % clients.len()], worker));
    let everybody = futures_util::future::join_all(workers);
    let outside = consume(&world);
    let scenario = &world.scenario;
    let end = world.start + scenario.warm_up() + scenario.measured();
    let _ = timeout_at(end, futures_util::future::join(everybody, outside)).await;
    world.outcome()
}

async fn work(world: &World, client: &dyn Client, worker: usize) {
    loop {
        if client.request(Instant::now()).await {
            world.served.lock().unwrap()[worker] += 1;
        }
        // A rejection without a permit must not spin.
        tokio::task::yield_now().await;
    }
}

/// Somebody else's requests, at random, each sent once.
async fn consume(world: &World) {
    let window = world.scenario.seconds();
    let rate = world.scenario.outside * world.scenario.limit as f64 / window;
    if rate <= 0.0 {
        return;
    }
    if world.scenario.bursty {
        return consume_at_once(world, (rate * window).round() as u64).await;
    }
    loop {
        let share = world.random.lock().unwrap().f64();
        sleep(Duration::from_secs_f64(-(1.0 - share).ln() / rate)).await;
        world.arrives_outside();
    }
}

/// All in one moment of each window.
async fn consume_at_once(world: &World, count: u64) {
    loop {
        let part = world.random.lock().unwrap().f64();
        sleep(world.scenario.length().mul_f64(part)).await;
        for _ in 0..count {
            world.arrives_outside();
        }
        sleep(world.scenario.length().mul_f64(1.0 - part)).await;
    }
}

impl World {
    /// Sends a request that its worker began at `begun`, now that it may leave.
    pub async fn visit(&self, begun: Instant) -> Answer {
        self.waits.lock().unwrap().push(begun.elapsed());
        let (there, back) = (self.way(), self.way_back());
        sleep(there).await;
        let at = self.start.elapsed();
        let accepted = self.arrives();
        let headers = self.server.lock().unwrap().headers(accepted, at);
        let way = there + back;
        let decision = Decision { at, accepted, way };
        self.decisions.lock().unwrap().push(decision);
        sleep(back).await;
        Answer { accepted, headers }
    }

    fn arrives_outside(&self) {
        let accepted = self.arrives();
        let mut outside = self.outside.lock().unwrap();
        outside.sent += 1;
        outside.rejected += u64::from(!accepted);
    }

    fn arrives(&self) -> bool {
        let at = self.start.elapsed();
        let mut server = self.server.lock().unwrap();
        server.change_limit(self.scenario.limit_at(at), at);
        server.accept(at)
    }

    /// One way, without the tail.
    fn way(&self) -> Duration {
        let scenario = &self.scenario;
        let off = self.random.lock().unwrap().f64() * 2.0 - 1.0;
        Duration::from_secs_f64(scenario.round_trip / 2.0 * (1.0 + scenario.jitter * off))
    }

    fn way_back(&self) -> Duration {
        let scenario = &self.scenario;
        let mut way = self.way();
        let mut random = self.random.lock().unwrap();
        if scenario.tail > 0.0 && random.u32(0..100) == 0 {
            way += Duration::from_secs_f64(random.f64() * scenario.tail);
        }
        if scenario.headers == Headers::Reordered && random.u32(0..4) == 0 {
            way += Duration::from_secs_f64(random.f64() * scenario.round_trip * 10.0);
        }
        way
    }
}
