//! What a run is about, as a command line.

use std::time::Duration;

use clap::{Parser, ValueEnum};
use reqwest_tollgate::Pacing;
use serde_json::json;

use super::server::Kind;
use super::{Make, Outcome, simulate, tollgate};

/// Simulates a crawl against one server, without sockets and without waiting.
///
/// Each seed gives one JSON line: `utilisation` is the share of the limit that was used, from the
/// first request after the warm-up (n = ⌊(N − 1)/L⌋ whole limits among N accepted requests, n
/// windows divided by the time from request 1 to request 1 + n·L); `ideal` is W/(W + mean round
/// trip), which no client can exceed that knows no more than its own answers; `rejections` and
/// `late_rejections` are those of the whole run and those after the warm-up; `p99_wait` is the wait
/// for a permit in seconds; `fairness` is the most that a worker got divided by the fewest;
/// `outside_rejected` is the share of somebody else's requests that the server rejected.
#[derive(Clone, Debug, Parser)]
#[command(name = "simulator")]
pub struct Scenario {
    /// How the server counts
    #[arg(long, value_enum, default_value = "fixed-window")]
    pub server: Kind,
    /// The limit that the server enforces
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: u64,
    /// The limit that the client is configured with [default: the server's]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub configured: Option<u64>,
    /// The window's length in seconds
    #[arg(long, default_value_t = 60.0, allow_negative_numbers = true, value_parser = |text: &str| within(text, 0.001, 1e7))]
    pub window: f64,
    /// How the client uses its window
    #[arg(long, value_enum, default_value = "auto")]
    pub pacing: PacingName,
    /// Workers of all processes, each with one request at a time
    #[arg(long, default_value_t = 32, value_parser = at_least_one)]
    pub workers: usize,
    /// Processes that share the quota without knowing of each other
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    pub processes: usize,
    /// The mean round trip in seconds, without the tail
    #[arg(long, default_value_t = 0.4, value_parser = |text: &str| within(text, 0.0, 1e5))]
    pub round_trip: f64,
    /// How far each way differs from its mean, as a share of it
    #[arg(long, default_value_t = 0.5, value_parser = |text: &str| within(text, 0.0, 1.0))]
    pub jitter: f64,
    /// One answer in a hundred takes up to so many seconds longer
    #[arg(long, default_value_t = 0.0, value_parser = |text: &str| within(text, 0.0, 1e5))]
    pub tail: f64,
    /// The share of the limit that somebody else requests
    #[arg(long, default_value_t = 0.0, value_parser = |text: &str| within(text, 0.0, 1.0))]
    pub outside: f64,
    /// Somebody else comes with all of it at once, once in each window
    #[arg(long)]
    pub bursty: bool,
    /// The limit that the server enforces, and tells, for a time
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub changed_limit: Option<u64>,
    /// From this window on, counted from the start
    #[arg(long, default_value_t = 5)]
    pub changed_from: u32,
    /// Until this window
    #[arg(long, default_value_t = 15)]
    pub changed_until: u32,
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
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
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

impl Scenario {
    /// As from the command line.
    pub fn of(arguments: &str) -> Self {
        Self::parse_from_text(arguments).unwrap()
    }

    pub fn parse_from_text(arguments: &str) -> Result<Self, String> {
        let arguments = arguments.split_whitespace();
        Self::try_parse_from(std::iter::once("simulator").chain(arguments))
            .map_err(|error| error.to_string())
    }

    /// Runs it once for each seed, with the crate's own client.
    pub fn runs(&self) -> impl Iterator<Item = (u64, Outcome)> + '_ {
        self.runs_of(&tollgate::client)
    }

    /// Runs it once for each seed.
    pub fn runs_of<'a>(&'a self, make: &'a Make) -> impl Iterator<Item = (u64, Outcome)> + 'a {
        (self.seed..self.seed + self.seeds).map(|seed| (seed, self.run(make, seed)))
    }

    fn run(&self, make: &Make, seed: u64) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(simulate(self.clone(), make, seed))
    }

    /// One line for a run of it.
    pub fn line(&self, seed: u64, outcome: &Outcome) -> String {
        let name = |value: &dyn std::fmt::Debug| format!("{value:?}");
        let rounded = |value: f64| (value * 10_000.0).round() / 10_000.0;
        json!({
            "server": name(&self.server), "limit": self.limit, "window": self.window,
            "configured": self.configured(), "pacing": name(&self.pacing),
            "workers": self.workers, "processes": self.processes, "outside": self.outside, "bursty": self.bursty,
            "tail": self.tail, "floored": self.floored, "counts_rejected": self.counts_rejected,
            "changed_limit": self.changed_limit,
            "round_trip": self.round_trip, "headers": name(&self.headers), "seed": seed,
            "utilisation": rounded(outcome.utilisation), "ideal": rounded(outcome.ideal),
            "rejections": outcome.rejections, "late_rejections": outcome.late_rejections,
            "p99_wait": rounded(outcome.p99_wait), "fairness": rounded(outcome.fairness),
            "outside_rejected": rounded(outcome.outside_rejected),
        })
        .to_string()
    }

    /// The server's limit at a time after the start.
    pub fn limit_at(&self, at: Duration) -> u64 {
        let window = at.as_secs_f64() / self.window;
        let is_changed =
            window >= f64::from(self.changed_from) && window < f64::from(self.changed_until);
        self.changed_limit
            .filter(|_| is_changed)
            .unwrap_or(self.limit)
    }

    pub fn configured(&self) -> u64 {
        self.configured.unwrap_or(self.limit)
    }

    pub fn length(&self) -> Duration {
        Duration::from_secs_f64(self.window)
    }

    pub fn warm_up(&self) -> Duration {
        self.length() * self.warm_up
    }

    pub fn pacing(&self) -> Pacing {
        match self.pacing {
            PacingName::Auto => Pacing::Auto,
            PacingName::Burst => Pacing::Burst,
            PacingName::Spread => Pacing::Spread,
        }
    }
}

fn within(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number: f64 = text
        .parse()
        .map_err(|_| format!("{text:?} is not a number"))?;
    match (least..=most).contains(&number) {
        true => Ok(number),
        false => Err(format!("expected a number from {least} to {most}")),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "expected a number from 1".to_owned())
}
