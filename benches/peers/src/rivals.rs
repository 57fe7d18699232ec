//! The peers as clients of the simulation. All of them send a rejected request again through their
//! own limiter at once.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use governor::clock::{Clock, FakeRelativeClock};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::{Instant, sleep, sleep_until};
use tower::{Service, ServiceExt, limit::RateLimit};
use twilight_http_ratelimiting as twilight;

use crate::simulation::{Answer, Client, Scenario, World};

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rival {
    Tollgate,
    /// Burst 1 at a part of the limit; the second says what it does at a rejection.
    Governor(f64, At429),
    LeakyBucket,
    Tower,
    Twilight,
}

#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub enum At429 {
    Nothing,
    /// Nobody leaves before `Retry-After`.
    Gate,
    /// And the rate falls to 0.7 of what it was; a window's worth of successes restores so much of
    /// the full one.
    GateAndFactor(f64),
}

/// Four processes are rejected 62 to 91 times in a run by what is known of such a client: so this is
/// the one that is known.
const RESTORED: f64 = 0.2;

/// One that comes back faster takes more of what others leave, and is rejected twice as often.
const RESTORED_QUICKLY: f64 = 0.5;

impl Rival {
    pub const ALL: [Self; 12] = [
        Self::Tollgate,
        Self::Governor(1.0, At429::Nothing),
        Self::Governor(0.97, At429::Nothing),
        Self::Governor(0.95, At429::Nothing),
        Self::Governor(1.0, At429::Gate),
        Self::Governor(0.97, At429::Gate),
        Self::Governor(0.95, At429::Gate),
        Self::Governor(1.0, At429::GateAndFactor(RESTORED)),
        Self::Governor(1.0, At429::GateAndFactor(RESTORED_QUICKLY)),
        Self::LeakyBucket,
        Self::Tower,
        Self::Twilight,
    ];

    pub fn name(self) -> String {
        match self {
            Self::Tollgate => "reqwest-tollgate".to_owned(),
            Self::LeakyBucket => "leaky-bucket".to_owned(),
            Self::Tower => "tower RateLimit".to_owned(),
            Self::Twilight => "twilight".to_owned(),
            Self::Governor(part, at_429) => {
                let more = match at_429 {
                    At429::Nothing => "",
                    At429::Gate => " + gate",
                    At429::GateAndFactor(RESTORED) => " + gate + rate factor",
                    At429::GateAndFactor(_) => " + gate + quick rate factor",
                };
                format!("governor ×{part:.2}{more}")
            }
        }
    }
}

/// A peer's client of a process.
pub fn client(rival: Rival, world: &Arc<World>) -> Box<dyn Client> {
    let scenario = &world.scenario;
    let limit = scenario.configured();
    let world = world.clone();
    match rival {
        Rival::Tollgate => unreachable!("it is the simulation's own"),
        Rival::Governor(part, at_429) => Box::new(Governor::new(world, part, at_429)),
        Rival::LeakyBucket => Box::new(Leaky {
            bucket: leaky_bucket::RateLimiter::builder()
                .max(limit as usize)
                .initial(limit as usize)
                .interval(scenario.length().div_f64(limit as f64))
                .build(),
            world,
        }),
        Rival::Tower => {
            let rate = tower::limit::rate::Rate::new(limit, scenario.length());
            let limit = tokio::sync::Mutex::new(RateLimit::new(Ready, rate));
            Box::new(Tower { limit, world })
        }
        Rival::Twilight => Box::new(Twilight {
            limiter: twilight::RateLimiter::new(u16::MAX),
            world,
        }),
    }
}

fn number(answer: &Answer, name: &str) -> Option<u64> {
    let header = answer.headers.iter().find(|(header, _)| *header == name)?;
    header.1.parse().ok()
}

type Unobserved = NoOpMiddleware<Nanos>;

struct Governor {
    world: Arc<World>,
    limiter: RateLimiter<NotKeyed, InMemoryState, FakeRelativeClock, Unobserved>,
    clock: FakeRelativeClock,
    start: Instant,
    at_429: At429,
    pace: Mutex<Pace>,
}

struct Pace {
    /// How far the fake clock is.
    shown: Duration,
    gate: Instant,
    factor: f64,
    cut: Instant,
    slot: Instant,
}

impl Governor {
    fn new(world: Arc<World>, part: f64, at_429: At429) -> Self {
        let (clock, start) = (FakeRelativeClock::default(), Instant::now());
        let limit = world.scenario.configured() as f64 * part;
        let period = world.scenario.length().div_f64(limit);
        let quota = Quota::with_period(period).expect("not zero");
        let quota = quota.allow_burst(NonZeroU32::MIN);
        let pace = Pace {
            shown: Duration::ZERO,
            gate: start,
            factor: 1.0,
            cut: start,
            slot: start,
        };
        Self {
            limiter: RateLimiter::direct_with_clock(quota, clock.clone()),
            pace: Mutex::new(pace),
            world,
            clock,
            start,
            at_429,
        }
    }

    async fn until_ready(&self) {
        loop {
            let gate = self.pace.lock().expect("no panic").gate;
            sleep_until(gate).await;
            let checked = {
                let mut pace = self.pace.lock().expect("no panic");
                let elapsed = self.start.elapsed();
                self.clock.advance(elapsed - pace.shown);
                pace.shown = elapsed;
                self.limiter.check()
            };
            match checked {
                Ok(()) => {
                    sleep_until(self.slot()).await;
                    if self.pace.lock().expect("no panic").gate <= Instant::now() {
                        return;
                    }
                }
                Err(not_until) => sleep(not_until.wait_time_from(self.clock.now())).await,
            }
        }
    }

    /// Slower than the limiter itself, while the factor is below one.
    fn slot(&self) -> Instant {
        let mut pace = self.pace.lock().expect("no panic");
        if pace.factor >= 1.0 {
            return Instant::now();
        }
        let slot = pace.slot.max(Instant::now());
        let scenario = &self.world.scenario;
        let even = scenario.length().div_f64(scenario.configured() as f64);
        pace.slot = slot + even.div_f64(pace.factor);
        slot
    }

    fn learn(&self, answer: &Answer, sent: Instant) {
        let mut pace = self.pace.lock().expect("no panic");
        let is_news = sent > pace.cut;
        if answer.accepted {
            if let (true, At429::GateAndFactor(restored)) = (is_news, self.at_429) {
                let limit = self.world.scenario.configured() as f64;
                pace.factor = (pace.factor + restored / limit).min(1.0);
            }
            return;
        }
        if self.at_429 >= At429::Gate {
            let told = number(answer, "retry-after").unwrap_or(1).max(1);
            pace.gate = pace.gate.max(Instant::now() + Duration::from_secs(told));
            // Those who took the slots before leave when the gate opens.
            pace.slot = pace.slot.max(pace.gate);
        }
        if is_news && matches!(self.at_429, At429::GateAndFactor(_)) {
            pace.factor = (pace.factor * 0.7).max(0.05);
            pace.cut = Instant::now();
        }
    }
}

#[async_trait]
impl Client for Governor {
    async fn request(&self, begun: Instant) -> bool {
        self.until_ready().await;
        let sent = Instant::now();
        let answer = self.world.visit(begun).await;
        self.learn(&answer, sent);
        answer.accepted
    }
}

struct Leaky {
    world: Arc<World>,
    bucket: leaky_bucket::RateLimiter,
}

#[async_trait]
impl Client for Leaky {
    async fn request(&self, begun: Instant) -> bool {
        self.bucket.acquire_one().await;
        self.world.visit(begun).await.accepted
    }
}

/// A service that is always ready.
struct Ready;

impl Service<()> for Ready {
    type Response = ();
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<(), Self::Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        std::future::ready(Ok(()))
    }
}

struct Tower {
    world: Arc<World>,
    limit: tokio::sync::Mutex<RateLimit<Ready>>,
}

#[async_trait]
impl Client for Tower {
    async fn request(&self, begun: Instant) -> bool {
        {
            let mut limit = self.limit.lock().await;
            let ready = limit.ready().await.expect("never fails");
            ready.call(()).await.expect("never fails");
        }
        self.world.visit(begun).await.accepted
    }
}

struct Twilight {
    world: Arc<World>,
    limiter: twilight::RateLimiter,
}

#[async_trait]
impl Client for Twilight {
    async fn request(&self, begun: Instant) -> bool {
        let endpoint = twilight::Endpoint {
            method: twilight::Method::Get,
            path: "parts".to_owned(),
        };
        let permit = self.limiter.acquire(endpoint).await;
        let answer = self.world.visit(begun).await;
        permit.complete(told(&answer, &self.world.scenario));
        answer.accepted
    }
}

/// Discord always tells; where the simulated server does not, twilight learns nothing.
fn told(answer: &Answer, scenario: &Scenario) -> Option<twilight::RateLimitHeaders> {
    let small = |name| number(answer, name).map(|told| u16::try_from(told).unwrap_or(u16::MAX));
    let reset = number(answer, "x-ratelimit-reset").or(number(answer, "retry-after"))?;
    Some(twilight::RateLimitHeaders {
        bucket: b"parts".to_vec(),
        limit: small("x-ratelimit-limit")
            .unwrap_or(u16::try_from(scenario.configured()).unwrap_or(u16::MAX)),
        remaining: small("x-ratelimit-remaining").unwrap_or(0),
        reset_at: (Instant::now() + Duration::from_secs(reset)).into_std(),
    })
}
