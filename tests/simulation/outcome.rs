//! What a run comes to.

use std::time::Duration;

use super::scenario::Scenario;
use super::{Decision, World};

/// What a run was like.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    pub utilisation: f64,
    pub ideal: f64,
    pub rejections: usize,
    pub late_rejections: usize,
    pub p99_wait: f64,
    /// Infinite if a worker got nothing.
    pub fairness: f64,
    /// The share of somebody else's requests that the server rejected, in the whole run.
    pub outside_rejected: f64,
}

impl World {
    pub(super) fn outcome(&self) -> Outcome {
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
        let outside = self.outside.lock().unwrap();
        Outcome {
            utilisation: utilisation(&accepted, scenario),
            ideal: scenario.seconds() / (scenario.seconds() + round_trip),
            rejections: decisions.iter().filter(rejected).count(),
            late_rejections: late().filter(rejected).count(),
            p99_wait: p99(self.waits.lock().unwrap().clone()),
            fairness: fairness(&self.served.lock().unwrap()),
            outside_rejected: outside.rejected as f64 / outside.sent.max(1) as f64,
        }
    }
}

fn utilisation(accepted: &[Duration], scenario: &Scenario) -> f64 {
    let limit = usize::try_from(scenario.limit).unwrap();
    let whole = accepted.len().saturating_sub(1) / limit;
    if whole == 0 {
        let possible = limit as f64 * scenario.measured().div_duration_f64(scenario.length());
        return accepted.len() as f64 / possible;
    }
    let span = accepted[whole * limit] - accepted[0];
    whole as f64 * scenario.seconds() / span.as_secs_f64()
}

fn p99(mut waits: Vec<Duration>) -> f64 {
    waits.sort_unstable();
    let index = waits.len() * 99 / 100;
    waits.get(index).map_or(0.0, Duration::as_secs_f64)
}

fn fairness(served: &[u64]) -> f64 {
    match (served.iter().max(), served.iter().min()) {
        (Some(most), Some(fewest)) if *fewest > 0 => *most as f64 / *fewest as f64,
        _ => f64::INFINITY,
    }
}
