//! Scenarios by chance, for a lone client that knows its limit.

use fastrand::Rng;

use super::scenario::{DAY, Scenario};

/// About so many requests a scenario, if its limit is below that: a debug build takes a second for
/// some ten thousand.
const REQUESTS: u64 = 1_500;
const MOST_WINDOWS: u64 = 8;

/// How far the clocks may be apart: the crate allows for that much.
const CLOCK_OFF: f64 = 2.0;

const SERVERS: [&str; 4] = ["fixed-window", "sliding-log", "token-bucket", "calendar"];
const HEADERS: [&str; 5] = ["always", "on-rejection", "never", "bare", "reordered"];
const PACINGS: [&str; 3] = ["auto", "burst", "spread"];

impl Scenario {
    /// The command line of one. None is a sliding counter's, which a client has to learn.
    pub fn arguments_at_random(seed: u64) -> String {
        let mut random = Rng::with_seed(seed);
        let limit = between(&mut random, 1.0, 10_000.0).round() as u64;
        let mut line = server(&mut random);
        line += &format!(
            " --limit {limit} --workers {:.0}",
            between(&mut random, 1.0, 512.0)
        );
        if random.u32(0..3) == 0 {
            line += &format!(" --configured {}", random.u64(1..=limit));
        }
        let pacing = random.choice(PACINGS).unwrap_or_default();
        let headers = random.choice(HEADERS).unwrap_or_default();
        line += &format!(" --pacing {pacing} --headers {headers}");
        line += &way(&mut random);
        for flag in [" --floored", " --counts-rejected"] {
            line += if random.bool() { flag } else { "" };
        }
        let windows = (REQUESTS / limit).clamp(1, MOST_WINDOWS);
        line + &format!(" --warm-up 1 --windows {windows} --seed {seed}")
    }
}

fn server(random: &mut Rng) -> String {
    let server = random.choice(SERVERS).unwrap_or_default();
    if server != "calendar" {
        let window = between(random, 1.0, DAY);
        return format!("--server {server} --window {window:.3}");
    }
    let to_midnight = between(random, 1.0, DAY);
    let clock_off = CLOCK_OFF * (random.f64() * 2.0 - 1.0);
    format!("--calendar --to-midnight {to_midnight:.1} --clock-off {clock_off:.2}")
}

fn way(random: &mut Rng) -> String {
    let tail = if random.bool() {
        30.0 * random.f64()
    } else {
        0.0
    };
    let (round_trip, jitter) = (between(random, 0.01, 10.0), random.f64());
    format!(" --round-trip {round_trip:.3} --jitter {jitter:.2} --tail {tail:.1}")
}

/// As often between 1 and 10 as between 10 and 100.
fn between(random: &mut Rng, least: f64, most: f64) -> f64 {
    least * (most / least).powf(random.f64())
}
