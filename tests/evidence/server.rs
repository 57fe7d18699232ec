//! Strict servers: five ways to count, and what they tell of it.

use std::collections::VecDeque;

/// How a server counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Periods by the server's clock.
    Fixed,
    /// A period begins with its first request.
    FromFirst,
    Log,
    Bucket,
    /// Two fixed windows, the earlier one weighted by how much of it still counts.
    Counter,
}

pub(crate) const KINDS: [Kind; 5] = [
    Kind::Fixed,
    Kind::FromFirst,
    Kind::Log,
    Kind::Bucket,
    Kind::Counter,
];

/// One limit of a server. All times in seconds since the start.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) kind: Kind,
    pub(crate) limit: u64,
    pub(crate) length: f64,
    /// How much of the first period had gone at the start.
    pub(crate) phase: f64,
    pub(crate) counts_rejected: bool,
    pub(crate) floored: bool,
    /// The reset tells when the next unit is free, not all of them.
    pub(crate) next_free: bool,
    pub(crate) tells_length: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Meter {
    pub(crate) rule: Rule,
    period: f64,
    began: f64,
    previous: f64,
    current: f64,
    times: VecDeque<f64>,
    tokens: f64,
    refilled: f64,
}

const GRAIN: f64 = 1e-9;

impl Meter {
    pub(crate) fn new(rule: Rule) -> Self {
        Self {
            period: 0.0,
            began: f64::NEG_INFINITY,
            previous: 0.0,
            current: 0.0,
            times: VecDeque::new(),
            tokens: rule.limit as f64,
            refilled: 0.0,
            rule,
        }
    }

    pub(crate) fn advance(&mut self, at: f64) {
        let length = self.rule.length;
        match self.rule.kind {
            Kind::FromFirst if at >= self.began + length => self.current = 0.0,
            Kind::Fixed | Kind::Counter => {
                let period = ((at + self.rule.phase) / length).floor();
                if period > self.period {
                    let is_next = period < self.period + 1.5;
                    self.previous = if is_next { self.current } else { 0.0 };
                    self.current = 0.0;
                    self.period = period;
                }
            }
            _ => {}
        }
        while self.times.front().is_some_and(|time| time + length <= at) {
            self.times.pop_front();
        }
        let limit = self.rule.limit as f64;
        self.tokens = (self.tokens + (at - self.refilled) * limit / length).min(limit);
        self.refilled = at;
    }

    pub(crate) fn has_room(&self, at: f64) -> bool {
        self.left(at) >= 1.0 - GRAIN
    }

    pub(crate) fn count(&mut self, at: f64) {
        if self.rule.kind == Kind::FromFirst && self.current == 0.0 {
            self.began = at;
        }
        self.current += 1.0;
        if self.rule.kind == Kind::Log {
            self.times.push_back(at);
        }
        self.tokens = (self.tokens - 1.0).max(0.0);
    }

    fn left(&self, at: f64) -> f64 {
        let limit = self.rule.limit as f64;
        match self.rule.kind {
            Kind::Fixed | Kind::FromFirst => limit - self.current,
            Kind::Log => limit - self.times.len() as f64,
            Kind::Bucket => self.tokens,
            Kind::Counter => {
                limit - self.previous * self.period_ends(at) / self.rule.length - self.current
            }
        }
    }

    pub(crate) fn remaining(&self, at: f64) -> u64 {
        (self.left(at) + GRAIN).max(0.0).floor() as u64
    }

    fn period_ends(&self, at: f64) -> f64 {
        (self.period + 1.0) * self.rule.length - self.rule.phase - at
    }

    /// How long until one more fits, if nothing else comes.
    pub(crate) fn wait(&self, at: f64) -> f64 {
        let (limit, length) = (self.rule.limit as f64, self.rule.length);
        if self.has_room(at) {
            return 0.0;
        }
        match self.rule.kind {
            Kind::Fixed => self.period_ends(at),
            Kind::FromFirst => self.began + length - at,
            Kind::Log => {
                let over = self.times.len().saturating_sub(self.rule.limit as usize);
                self.times.get(over).map_or(0.0, |time| time + length - at)
            }
            Kind::Bucket => (1.0 - self.tokens) * length / limit,
            Kind::Counter => {
                let ends = self.period_ends(at);
                let fits = |previous: f64, current: f64| {
                    let room = (limit - 1.0 - current).max(0.0);
                    if previous > 0.0 {
                        (room / previous).min(1.0)
                    } else {
                        1.0
                    }
                };
                if self.current + 1.0 <= limit {
                    return (ends - fits(self.previous, self.current) * length).max(0.0);
                }
                ends + length - fits(self.current, 0.0) * length
            }
        }
    }

    fn reset(&self, at: f64) -> f64 {
        let (limit, length) = (self.rule.limit as f64, self.rule.length);
        let next = self.rule.next_free;
        match self.rule.kind {
            Kind::Fixed => self.period_ends(at),
            Kind::FromFirst if self.current == 0.0 => 0.0,
            Kind::FromFirst => self.began + length - at,
            Kind::Log if next => self.times.front().map_or(0.0, |time| time + length - at),
            Kind::Log => self.times.back().map_or(0.0, |time| time + length - at),
            Kind::Bucket if next => (1.0 - self.tokens.fract()) * length / limit,
            Kind::Bucket => (limit - self.tokens) * length / limit,
            Kind::Counter if next => self.period_ends(at),
            Kind::Counter => self.period_ends(at) + length,
        }
    }

    pub(crate) fn rounded(&self, seconds: f64) -> u64 {
        let seconds = seconds.max(0.0);
        let whole = if self.rule.floored {
            seconds.floor()
        } else {
            (seconds - GRAIN).ceil()
        };
        whole.max(0.0) as u64
    }

    pub(crate) fn told_reset(&self, at: f64) -> u64 {
        self.rounded(self.reset(at))
    }
}

/// Requests that a client gets accepted that knows all: each as soon as it fits.
pub(crate) fn most(rules: &[Rule], until: f64, most: u64) -> u64 {
    let mut meters: Vec<Meter> = rules.iter().cloned().map(Meter::new).collect();
    let (mut at, mut accepted) = (0.0, 0);
    while at < until && accepted < most {
        meters.iter_mut().for_each(|meter| meter.advance(at));
        let wait = meters
            .iter()
            .map(|meter| meter.wait(at))
            .fold(0.0, f64::max);
        if wait > 0.0 {
            at += wait + 1e-6;
            continue;
        }
        meters.iter_mut().for_each(|meter| meter.count(at));
        accepted += 1;
    }
    accepted
}
