//! What a run is about, as a command line.

use std::time::Duration;

use clap::{Parser, ValueEnum};
use reqwest_tollgate::Pacing;
use serde_json::json;

use super::server::Kind;
use super::{Make, Outcome, simulate, tollgate};

/// In seconds.
pub const DAY: f64 = 24.0 * 60.0 * 60.0;

/// Simulates a crawl against one server, without sockets and without waiting.
///
/// Each seed gives one JSON line: the parameters, named as the options, and what came of them.
/// `utilisation` is the share of the limit that was used, from the first request after the warm-up
/// (n = ⌊(N − 1)/L⌋ whole limits among N accepted requests, n windows divided by the time from
/// request 1 to request 1 + n·L; where not one whole limit was accepted, N divided by L and by the
/// windows that passed); `rejections` and `late_rejections` are those of the whole run and those
/// after the warm-up; `p99_wait` is the wait for a permit in seconds; `fairness` is the most that a
/// worker got divided by the fewest, `null` if one got nothing; `outside_rejected` is the share of
/// somebody else's requests that the server rejected.
///
/// `ideal` is W/(W + mean round trip): what a client has in the long run that takes a request for
/// counted until a window after its answer, the only thing that is safe whatever the round trips.
/// Who counts from the departure goes beyond, and is rejected where round trips differ by more than
/// its margin. In a short run a burst's first request, at which the measure begins and ends, is
/// ahead of the rest by the quickest round trips: 0.1 % of 30 windows at a round trip of 2.5 s,
/// nothing of 3000.
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
    /// The window is a UTC day, whatever --window says: the client keeps to the calendar, and a
    /// server's periods begin at 00:00
    #[arg(long)]
    pub calendar: bool,
    /// With --calendar, how many seconds before midnight it starts [default: at random]
    #[arg(long, value_parser = |text: &str| within(text, 0.0, DAY))]
    pub to_midnight: Option<f64>,
    /// With --calendar, by how many seconds the server's clock is ahead of the client's
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true, value_parser = |text: &str| within(text, -DAY, DAY))]
    pub clock_off: f64,
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
    /// When answers carry X-RateLimit-* headers; a rejection tells Retry-After too, but for `bare`
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
    /// Nor Retry-After with a rejection, as nginx and HAProxy reject.
    Bare,
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

    /// One line for a run of it, with all that repeats it.
    pub fn line(&self, seed: u64, outcome: &Outcome) -> String {
        let rounded = |value: f64| (value * 10_000.0).round() / 10_000.0;
        let parameters = json!({
            "server": name(self.server), "limit": self.limit, "configured": self.configured(),
            "window": self.seconds(), "calendar": self.calendar, "to_midnight": self.to_midnight,
            "clock_off": self.clock_off, "pacing": name(self.pacing), "workers": self.workers,
            "processes": self.processes, "round_trip": self.round_trip, "jitter": self.jitter,
            "tail": self.tail, "outside": self.outside, "bursty": self.bursty,
            "changed_limit": self.changed_limit, "changed_from": self.changed_from,
            "changed_until": self.changed_until, "headers": name(self.headers),
            "floored": self.floored, "counts_rejected": self.counts_rejected,
            "windows": self.windows, "warm_up": self.warm_up, "seed": seed,
        });
        let found = json!({
            "utilisation": rounded(outcome.utilisation), "ideal": rounded(outcome.ideal),
            "rejections": outcome.rejections, "late_rejections": outcome.late_rejections,
            "p99_wait": rounded(outcome.p99_wait), "fairness": rounded(outcome.fairness),
            "outside_rejected": rounded(outcome.outside_rejected),
        });
        let (parameters, found) = (parameters.to_string(), found.to_string());
        format!(
            "{},{}",
            parameters.trim_end_matches('}'),
            found.trim_start_matches('{')
        )
    }

    /// The server's limit at a time after the start.
    pub fn limit_at(&self, at: Duration) -> u64 {
        let window = at.as_secs_f64() / self.seconds();
        let is_changed =
            window >= f64::from(self.changed_from) && window < f64::from(self.changed_until);
        self.changed_limit
            .filter(|_| is_changed)
            .unwrap_or(self.limit)
    }

    pub fn configured(&self) -> u64 {
        self.configured.unwrap_or(self.limit)
    }

    /// The window's length.
    pub fn seconds(&self) -> f64 {
        if self.calendar { DAY } else { self.window }
    }

    pub fn length(&self) -> Duration {
        Duration::from_secs_f64(self.seconds())
    }

    /// How many seconds of the client's first period had gone at the start.
    pub fn gone(&self, random: &mut fastrand::Rng) -> f64 {
        let at_random = random.f64() * self.seconds();
        match self.to_midnight {
            Some(left) if self.calendar => DAY - left,
            _ => at_random,
        }
    }

    pub fn warm_up(&self) -> Duration {
        self.length() * self.warm_up
    }

    /// How long it is measured: one more than asked for, since the first request may come late.
    pub fn measured(&self) -> Duration {
        self.length() * (self.windows + 1)
    }

    /// Whether it may be expected to use nearly its ideal: half of the workers could use the limit
    /// that the client knows, and none of it is left out (`Spread` leaves out one in each window).
    pub fn nears_its_ideal(&self) -> bool {
        // In the mean a tail is half as long, one time in a hundred, and so is a late answer, one
        // time in four.
        let late = match self.headers {
            Headers::Reordered => self.round_trip * 10.0 / 8.0,
            _ => 0.0,
        };
        let round_trip = self.round_trip + self.tail / 200.0 + late;
        let requests = self.workers as f64 * (self.seconds() + round_trip) / round_trip;
        self.pacing() != Pacing::Spread && requests >= 2.0 * self.configured() as f64
    }

    pub fn pacing(&self) -> Pacing {
        match self.pacing {
            PacingName::Auto => Pacing::Auto,
            PacingName::Burst => Pacing::Burst,
            PacingName::Spread => Pacing::Spread,
        }
    }
}

/// As on the command line.
fn name(value: impl ValueEnum) -> String {
    let value = value.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
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
