//! A crawl through a world, with the crate's own permits, judged by the server's record.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest_tollgate::{Account, BoxFuture, Clock, Moment, Now, RequestOptions, Window};
use tokio::time::{Instant, sleep};

use super::server::{Meter, most};
use super::world::{Variant, World};

/// What came of a run.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    /// Of what a client gets that knows all.
    pub(crate) used: f64,
}

impl Outcome {
    pub(crate) fn is_good(&self) -> bool {
        self.used >= 0.9 && self.rejected <= 1
    }
}

struct Server {
    world: World,
    meters: Vec<Meter>,
    random: fastrand::Rng,
    accepted: u64,
    rejected: u64,
    answers: u64,
    verbose: u64,
}

impl Server {
    fn answer(&mut self, endpoint: usize, at: f64) -> (StatusCode, HeaderMap) {
        let two = self.world.variant == Variant::TwoEndpoints;
        let all = if two {
            endpoint..endpoint + 1
        } else {
            0..self.meters.len()
        };
        let meters = &mut self.meters[all];
        meters.iter_mut().for_each(|meter| meter.advance(at));
        let accepted = meters.iter().all(|meter| meter.has_room(at));
        let wait = meters
            .iter()
            .map(|meter| meter.rounded(meter.wait(at)))
            .max();
        for meter in meters.iter_mut() {
            if accepted || meter.rule.counts_rejected {
                meter.count(at);
            }
        }
        self.answers += 1;
        self.accepted += u64::from(accepted);
        self.rejected += u64::from(!accepted);
        let mut headers = HeaderMap::new();
        let mut add = |name: &str, value: String| {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::try_from(value).unwrap());
        };
        if !accepted {
            add("retry-after", wait.unwrap_or(0).to_string());
        }
        let nonsense = self.world.variant == Variant::Nonsense && self.random.f64() < 0.01;
        let is_told = self.random.u64(..self.world.told_every) == 0 || !accepted;
        if nonsense {
            let random = &mut self.random;
            let of = |random: &mut fastrand::Rng, all: &[&str]| {
                all[random.usize(..all.len())].to_owned()
            };
            let limits = ["1", "0", "-1", "7", "100", "18446744073709551616", "banana"];
            add("x-ratelimit-limit", of(random, &limits));
            add(
                "x-ratelimit-remaining",
                of(random, &["0", "1", "3", "-5", "99999999"]),
            );
            let resets = [
                "0",
                "1",
                "60",
                "86400",
                "99999999",
                "1700000000",
                "253402300799",
            ];
            add("x-ratelimit-reset", of(random, &resets));
        } else if is_told {
            tell(&self.world, meters, at, &mut add);
        }
        let status = if accepted {
            StatusCode::OK
        } else {
            StatusCode::TOO_MANY_REQUESTS
        };
        if self.answers <= self.verbose {
            eprintln!("{at:12.3} {} {headers:?}", status.as_u16());
        }
        (status, headers)
    }
}

fn tell(world: &World, meters: &[Meter], at: f64, add: &mut impl FnMut(&str, String)) {
    let left = |meter: &&Meter| meter.remaining(at);
    let told: Vec<&Meter> = match world.one_name {
        true => meters.iter().min_by_key(left).into_iter().collect(),
        false => meters.iter().collect(),
    };
    for (index, meter) in told.into_iter().enumerate() {
        let (limit, reset) = (meter.rule.limit, meter.told_reset(at));
        let left = meter.remaining(at);
        if meter.rule.tells_length {
            let name = if index == 0 { "first" } else { "second" };
            add("ratelimit", format!("{name:?};r={left};t={reset}"));
            add(
                "ratelimit-policy",
                format!("{name:?};q={limit};w={}", meter.rule.length as u64),
            );
            continue;
        }
        let prefix = if index == 0 {
            "x-ratelimit"
        } else {
            "x-burstlimit"
        };
        add(&format!("{prefix}-limit"), limit.to_string());
        add(&format!("{prefix}-remaining"), left.to_string());
        add(&format!("{prefix}-reset"), reset.to_string());
    }
}

/// The run's own time.
struct RunClock(Instant);

impl Clock for RunClock {
    fn now(&self) -> Now {
        let ran = self.0.elapsed();
        Now {
            moment: Moment::after_start(Duration::from_secs(1_000) + ran),
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_547_200) + ran,
        }
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        Box::pin(sleep(span))
    }
}

/// Runs a world; the first `verbose` answers are shown.
pub(crate) fn run(world: &World, verbose: u64) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(crawl(world, verbose))
}

async fn crawl(world: &World, verbose: u64) -> Outcome {
    let start = Instant::now();
    let mut account = Account::builder("acme", "https://api.acme.example")
        .clock(RunClock(start))
        .max_queue(10_000);
    for (limit, length) in &world.configured {
        account = account.window(Window::new(*limit, Duration::from_secs_f64(*length)));
    }
    let account = account.build().unwrap();
    let server = Arc::new(Mutex::new(Server {
        world: world.clone(),
        meters: world.rules.iter().cloned().map(Meter::new).collect(),
        random: fastrand::Rng::with_seed(world.seed),
        accepted: 0,
        rejected: 0,
        answers: 0,
        verbose,
    }));
    let mut workers = tokio::task::JoinSet::new();
    for number in 0..world.workers {
        let (world, account, server) = (world.clone(), account.clone(), server.clone());
        let random = fastrand::Rng::with_seed(world.seed ^ (number as u64) << 32);
        workers.spawn(work(world, account, server, random, start));
    }
    sleep(Duration::from_secs_f64(world.until)).await;
    workers.abort_all();
    let server = server.lock().unwrap();
    // One answer in four is five round trips late, in the mean.
    let way = if world.late { 2.25 } else { 1.0 };
    let busy = world.until / (way * world.round_trip);
    let capacity = (world.workers as f64 * busy) as u64;
    let best: u64 = match world.variant {
        Variant::TwoEndpoints => {
            // Each worker asks one or the other by chance: what the tighter lets pass, of both.
            let rules = world.rules.iter();
            let each = rules.map(|rule| most(std::slice::from_ref(rule), world.until, capacity));
            2 * each.min().unwrap_or(0)
        }
        _ => most(&world.rules, world.until, capacity),
    };
    let shortest = world
        .rules
        .iter()
        .map(|rule| rule.length)
        .fold(f64::MAX, f64::min);
    // A run of eight periods may hold nine bursts, and those are luck.
    let rates = world
        .rules
        .iter()
        .map(|rule| rule.limit as f64 / rule.length);
    let endpoints = if world.variant == Variant::TwoEndpoints {
        2.0
    } else {
        1.0
    };
    let steady = rates.fold(f64::MAX, f64::min) * world.until * endpoints;
    let ideal =
        (best.min(capacity) as f64).min(steady) * shortest / (shortest + way * world.round_trip);
    Outcome {
        accepted: server.accepted,
        rejected: server.rejected,
        used: server.accepted as f64 / ideal,
    }
}

async fn work(
    world: World,
    account: Account,
    server: Arc<Mutex<Server>>,
    mut random: fastrand::Rng,
    start: Instant,
) {
    let options = RequestOptions::new().max_wait(Duration::from_secs(40 * 86_400));
    loop {
        let endpoint = random.usize(..2);
        let path = if endpoint == 0 {
            "/search/v1"
        } else {
            "/core/v1"
        };
        let Ok(mut permit) = account.permit(path, &options).await else {
            sleep(Duration::from_secs(1)).await;
            continue;
        };
        loop {
            let way = |random: &mut fastrand::Rng| world.round_trip / 2.0 * (0.5 + random.f64());
            sleep(Duration::from_secs_f64(way(&mut random))).await;
            let at = start.elapsed().as_secs_f64();
            let (status, headers) = server.lock().unwrap().answer(endpoint, at);
            let mut back = way(&mut random);
            if world.late && random.f64() < 0.25 {
                back += world.round_trip * 10.0 * random.f64();
            }
            sleep(Duration::from_secs_f64(back)).await;
            let Some(rejected) = permit.answered(status, &headers) else {
                break;
            };
            match rejected.again().await {
                Ok(again) => permit = again,
                Err(_) => break,
            }
        }
    }
}
