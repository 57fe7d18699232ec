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

mod server;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use clap::{Parser, ValueEnum};
use http::Extensions;
use reqwest::{Request, Response, ResponseBuilderExt};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use reqwest_tollgate::{Account, Pacing, PausedClock, Window};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout_at};

use server::{Kind, Server};

const API: &str = "https://api.acme.example";

/// Simulates a crawl against one server, without sockets and without waiting.
///
/// Each seed gives one JSON line: `utilisation` is the share of the limit that was used, from the
/// first request after the warm-up (n = ⌊(N − 1)/L⌋ whole limits among N accepted requests, n
/// windows divided by the time from request 1 to request 1 + n·L); `ideal` is W/(W + mean round
/// trip), which no client can exceed that knows no more than its own answers; `rejections` and
/// `late_rejections` are those of the whole run and those after the warm-up; `p99_wait` is the wait
/// for a permit in seconds; `fairness` is the most that a worker got divided by the fewest.
#[derive(Clone, Debug, Parser)]
#[command(name = "simulator")]
pub struct Scenario {
    /// How the server counts
    #[arg(long, value_enum, default_value = "fixed-window")]
    pub server: Kind,
    /// The limit that the server enforces
    #[arg(long, default_value_t = 120)]
    pub limit: u64,
    /// The limit that the client is configured with [default: the server's]
    #[arg(long)]
    pub configured: Option<u64>,
    /// The window's length in seconds
    #[arg(long, default_value_t = 60.0)]
    pub window: f64,
    /// How the client uses its window
    #[arg(long, value_enum, default_value = "auto")]
    pub pacing: PacingName,
    /// Workers of all processes, each with one request at a time
    #[arg(long, default_value_t = 32)]
    pub workers: usize,
    /// Processes that share the quota without knowing of each other
    #[arg(long, default_value_t = 1)]
    pub processes: usize,
    /// The mean round trip in seconds, without the tail
    #[arg(long, default_value_t = 0.4)]
    pub round_trip: f64,
    /// How far each way differs from its mean, as a share of it
    #[arg(long, default_value_t = 0.5)]
    pub jitter: f64,
    /// One answer in a hundred takes up to so many seconds longer
    #[arg(long, default_value_t = 0.0)]
    pub tail: f64,
    /// The share of the limit that somebody else requests
    #[arg(long, default_value_t = 0.0)]
    pub outside: f64,
    /// When answers carry X-RateLimit-* headers
    #[arg(long, value_enum, default_value = "always")]
    pub headers: Headers,
    /// The server rounds its times down to whole seconds, not up
    #[arg(long)]
    pub floored: bool,
    /// The server counts what it rejects
    #[arg(long)]
    pub counts_rejected: bool,
    /// Windows to measure
    #[arg(long, default_value_t = 30)]
    pub windows: u32,
    /// Windows before that
    #[arg(long, default_value_t = 2)]
    pub warm_up: u32,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many seeds, each a run
    #[arg(long, default_value_t = 1)]
    pub seeds: u64,
    /// cargo bench says so
    #[arg(long, hide = true)]
    pub bench: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PacingName {
    Auto,
    Burst,
    Spread,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Headers {
    Always,
    OnRejection,
    Never,
    /// On all answers, of which one in four comes up to ten round trips late.
    Reordered,
}

/// What a run was like.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    pub utilisation: f64,
    pub ideal: f64,
    pub rejections: usize,
    pub late_rejections: usize,
    pub p99_wait: f64,
    pub fairness: f64,
}

/// One request as the server decided on it.
struct Decision {
    at: Duration,
    accepted: bool,
    way: Duration,
}

struct World {
    scenario: Scenario,
    start: Instant,
    server: Mutex<Server>,
    random: Mutex<fastrand::Rng>,
    decisions: Mutex<Vec<Decision>>,
    waits: Mutex<Vec<Duration>>,
    served: Mutex<Vec<u64>>,
}

/// When its worker began a request.
#[derive(Clone, Copy)]
struct Begun(Instant);

impl Scenario {
    /// As from the command line.
    pub fn of(arguments: &str) -> Self {
        let arguments = arguments.split_whitespace();
        Self::try_parse_from(std::iter::once("simulator").chain(arguments)).unwrap()
    }

    /// Runs it once for each seed.
    pub fn runs(&self) -> impl Iterator<Item = (u64, Outcome)> + '_ {
        (self.seed..self.seed + self.seeds).map(|seed| (seed, self.run(seed)))
    }

    fn run(&self, seed: u64) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(simulate(self.clone(), seed))
    }

    /// One line for a run of it.
    pub fn line(&self, seed: u64, outcome: &Outcome) -> String {
        let name = |value: &dyn std::fmt::Debug| format!("{value:?}");
        let rounded = |value: f64| (value * 10_000.0).round() / 10_000.0;
        json!({
            "server": name(&self.server), "limit": self.limit, "window": self.window,
            "configured": self.configured(), "pacing": name(&self.pacing),
            "workers": self.workers, "processes": self.processes, "outside": self.outside,
            "round_trip": self.round_trip, "headers": name(&self.headers), "seed": seed,
            "utilisation": rounded(outcome.utilisation), "ideal": rounded(outcome.ideal),
            "rejections": outcome.rejections, "late_rejections": outcome.late_rejections,
            "p99_wait": rounded(outcome.p99_wait), "fairness": rounded(outcome.fairness),
        })
        .to_string()
    }

    fn configured(&self) -> u64 {
        self.configured.unwrap_or(self.limit)
    }

    fn length(&self) -> Duration {
        Duration::from_secs_f64(self.window)
    }

    fn warm_up(&self) -> Duration {
        self.length() * self.warm_up
    }

    fn pacing(&self) -> Pacing {
        match self.pacing {
            PacingName::Auto => Pacing::Auto,
            PacingName::Burst => Pacing::Burst,
            PacingName::Spread => Pacing::Spread,
        }
    }
}

async fn simulate(scenario: Scenario, seed: u64) -> Outcome {
    let mut random = fastrand::Rng::with_seed(seed);
    let server = Server::new(&scenario, &mut random);
    let world = Arc::new(World {
        start: Instant::now(),
        server: Mutex::new(server),
        random: Mutex::new(random),
        decisions: Mutex::default(),
        waits: Mutex::default(),
        served: Mutex::new(vec![0; scenario.workers]),
        scenario,
    });
    let clients: Vec<_> = (0..world.scenario.processes)
        .map(|_| world.client())
        .collect();
    let workers = (0..world.scenario.workers)
        .map(|worker| work(&world, &clients[worker % clients.len()], worker));
    let everybody = futures_util::future::join_all(workers);
    let outside = consume(&world);
    let scenario = &world.scenario;
    let end = world.start + scenario.warm_up() + scenario.length() * (scenario.windows + 1);
    let _ = timeout_at(end, futures_util::future::join(everybody, outside)).await;
    world.outcome()
}

async fn work(world: &World, client: &ClientWithMiddleware, worker: usize) {
    loop {
        let request = client.get(API).with_extension(Begun(Instant::now()));
        if request
            .send()
            .await
            .is_ok_and(|response| response.status() == 200)
        {
            world.served.lock().unwrap()[worker] += 1;
        }
        // A rejection without a permit must not spin.
        tokio::task::yield_now().await;
    }
}

/// Somebody else's requests, at random, each sent once.
async fn consume(world: &World) {
    let rate = world.scenario.outside * world.scenario.limit as f64 / world.scenario.window;
    if rate <= 0.0 {
        return;
    }
    loop {
        let share = world.random.lock().unwrap().f64();
        sleep(Duration::from_secs_f64(-(1.0 - share).ln() / rate)).await;
        world.server.lock().unwrap().accept(world.start.elapsed());
    }
}

impl World {
    fn client(self: &Arc<Self>) -> ClientWithMiddleware {
        let scenario = &self.scenario;
        let window = Window::new(scenario.configured(), scenario.length());
        let account = Account::builder("acme", API)
            .clock(PausedClock::starting_at(
                SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_262_400),
            ))
            .window(window.pacing(scenario.pacing()))
            .build()
            .unwrap();
        account
            .attach(ClientBuilder::new(reqwest::Client::new()))
            .with(Terminal(self.clone()))
            .build()
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

    fn outcome(&self) -> Outcome {
        let scenario = &self.scenario;
        let decisions = self.decisions.lock().unwrap();
        let late = || decisions.iter().filter(|one| one.at >= scenario.warm_up());
        let accepted: Vec<_> = late()
            .filter(|one| one.accepted)
            .map(|one| one.at)
            .collect();
        let ways: f64 = decisions.iter().map(|one| one.way.as_secs_f64()).sum();
        let round_trip = ways / decisions.len().max(1) as f64;
        let rejected = |one: &&Decision| !one.accepted;
        let served = self.served.lock().unwrap();
        let fewest = served.iter().min().copied().unwrap_or(0).max(1);
        Outcome {
            utilisation: utilisation(&accepted, scenario),
            ideal: scenario.window / (scenario.window + round_trip),
            rejections: decisions.iter().filter(rejected).count(),
            late_rejections: late().filter(rejected).count(),
            p99_wait: p99(self.waits.lock().unwrap().clone()),
            fairness: served.iter().max().copied().unwrap_or(0) as f64 / fewest as f64,
        }
    }
}

fn utilisation(accepted: &[Duration], scenario: &Scenario) -> f64 {
    let limit = usize::try_from(scenario.limit).unwrap();
    let whole = accepted.len().saturating_sub(1) / limit;
    if whole == 0 {
        return 0.0;
    }
    let span = accepted[whole * limit] - accepted[0];
    whole as f64 * scenario.window / span.as_secs_f64()
}

fn p99(mut waits: Vec<Duration>) -> f64 {
    waits.sort_unstable();
    let index = waits.len() * 99 / 100;
    waits.get(index).map_or(0.0, Duration::as_secs_f64)
}

/// The simulated server as the last layer of a stack.
struct Terminal(Arc<World>);

#[async_trait]
impl Middleware for Terminal {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let world = &self.0;
        if let Some(Begun(begun)) = extensions.get::<Begun>() {
            world.waits.lock().unwrap().push(begun.elapsed());
        }
        let (there, back) = (world.way(), world.way_back());
        sleep(there).await;
        let at = world.start.elapsed();
        let (accepted, headers) = {
            let mut server = world.server.lock().unwrap();
            let accepted = server.accept(at);
            (accepted, server.headers(accepted, at))
        };
        let way = there + back;
        let decision = Decision { at, accepted, way };
        world.decisions.lock().unwrap().push(decision);
        sleep(back).await;
        let mut response = http::Response::builder()
            .status(if accepted { 200 } else { 429 })
            .url(request.url().clone());
        for (name, value) in headers {
            response = response.header(name, value);
        }
        Ok(response.body("").unwrap().into())
    }
}
