//! Random worlds: a server, what it tells, and how the client is configured.

use super::server::{KINDS, Rule};

pub(crate) const DAY: f64 = 86_400.0;

/// What is different in some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    Plain,
    /// One answer in a hundred reports nonsense.
    Nonsense,
    /// Only every few answers report anything.
    EveryFew,
    /// Two endpoints with limits of their own, told under one name.
    TwoEndpoints,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) variant: Variant,
    /// With two endpoints, one for each; else all of them count all requests.
    pub(crate) rules: Vec<Rule>,
    /// Several rules under one name, which tells the tightest.
    pub(crate) one_name: bool,
    pub(crate) told_every: u64,
    pub(crate) workers: usize,
    /// In seconds.
    pub(crate) round_trip: f64,
    pub(crate) late: bool,
    /// Limit and length of each.
    pub(crate) configured: Vec<(u64, f64)>,
    pub(crate) until: f64,
}

/// The most requests of a run.
const MOST: f64 = 12_000.0;

fn log_uniform(random: &mut fastrand::Rng, least: f64, most: f64) -> f64 {
    (least.ln() + random.f64() * (most / least).ln()).exp()
}

fn length(random: &mut fastrand::Rng) -> f64 {
    let nice = [
        1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 300.0, 600.0, 900.0, 3_600.0, DAY,
    ];
    if random.bool() {
        return nice[random.usize(..nice.len())];
    }
    log_uniform(random, 1.0, DAY).round()
}

fn rule(random: &mut fastrand::Rng) -> Rule {
    let length = length(random);
    Rule {
        kind: KINDS[random.usize(..KINDS.len())],
        limit: log_uniform(random, 3.0, 20_000.0).round() as u64,
        length,
        phase: random.f64() * length,
        counts_rejected: random.f64() < 0.3,
        floored: random.f64() < 0.25,
        next_free: random.f64() < 0.35,
        tells_length: random.f64() < 0.35,
    }
}

impl World {
    pub(crate) fn new(seed: u64, variant: Variant, is_configured: bool) -> Self {
        let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut rules = vec![rule(&mut random)];
        let two = random.f64() < 1.0 / 3.0;
        let one_name = random.bool();
        let mut second = rule(&mut random);
        if variant == Variant::TwoEndpoints {
            rules[0].tells_length = false;
            second.tells_length = false;
            rules.push(second);
        } else if two {
            second.floored = rules[0].floored;
            if one_name {
                second.tells_length = rules[0].tells_length;
            }
            rules.push(second);
        }
        let one_name = one_name || variant == Variant::TwoEndpoints;
        let shortest = rules
            .iter()
            .map(|rule| rule.length)
            .fold(f64::MAX, f64::min);
        let longest = rules.iter().map(|rule| rule.length).fold(0.0, f64::max);
        let round_trip = log_uniform(&mut random, 0.02, 2.0).min(shortest / 20.0);
        let workers = log_uniform(&mut random, 2.0, 512.0).round() as usize;
        let late = random.f64() < 0.15;
        let count = random.usize(0..=3);
        let configured = (0..count).map(|_| looser(&rules, &mut random)).collect();
        let told_every = match variant {
            Variant::EveryFew => random.u64(2..=8),
            _ => 1,
        };
        let rate = rules.iter().map(|rule| rule.limit as f64 / rule.length);
        let rate = rate.fold(f64::MAX, f64::min);
        let until = (8.0 * longest).min((MOST / rate).max(6.0 * shortest));
        Self {
            seed,
            variant,
            rules,
            one_name,
            told_every,
            workers,
            round_trip,
            late,
            configured: if is_configured {
                configured
            } else {
                Vec::new()
            },
            until,
        }
    }
}

/// A window that is not tighter than one of the server's.
fn looser(rules: &[Rule], random: &mut fastrand::Rng) -> (u64, f64) {
    let rule = &rules[random.usize(..rules.len())];
    if random.f64() < 0.3 {
        return (rule.limit, rule.length);
    }
    let longer = log_uniform(random, 1.0, 1_000.0);
    let length = (rule.length * longer).min(DAY).max(rule.length).round();
    let factor = log_uniform(random, 1.0, 30.0);
    let limit = rule.limit as f64 * length / rule.length * factor;
    (limit.ceil() as u64, length)
}
