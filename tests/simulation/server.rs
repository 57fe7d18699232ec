//! The servers: four ways to count, and what they tell.

use std::collections::VecDeque;
use std::time::Duration;

use clap::ValueEnum;

use super::scenario::{Headers, Scenario};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    FixedWindow,
    SlidingLog,
    TokenBucket,
    SlidingCounter,
}

/// All times in seconds since the start.
pub struct Server {
    kind: Kind,
    limit: f64,
    window: f64,
    /// How far the first period had gone at the start.
    phase: f64,
    counts_rejected: bool,
    floored: bool,
    headers: Headers,
    period: f64,
    previous: f64,
    current: f64,
    times: VecDeque<f64>,
    tokens: f64,
    refilled: f64,
}

impl Server {
    /// Of the client's first period so many seconds had gone.
    pub fn new(scenario: &Scenario, gone: f64) -> Self {
        Self {
            kind: scenario.server,
            limit: scenario.limit as f64,
            window: scenario.seconds(),
            phase: (gone + scenario.clock_off).rem_euclid(scenario.seconds()),
            counts_rejected: scenario.counts_rejected,
            floored: scenario.floored,
            headers: scenario.headers,
            period: 0.0,
            previous: 0.0,
            current: 0.0,
            times: VecDeque::new(),
            tokens: scenario.limit as f64,
            refilled: 0.0,
        }
    }

    /// Decides on a request that arrives at `at`, which never goes back.
    pub fn accept(&mut self, at: Duration) -> bool {
        let at = at.as_secs_f64();
        self.advance(at);
        let accepted = self.left(at) >= 1.0 - 1e-9;
        if accepted || self.counts_rejected {
            self.current += 1.0;
            self.times.push_back(at);
            self.tokens = (self.tokens - 1.0).max(0.0);
        }
        accepted
    }

    /// From now on so many are allowed.
    pub fn change_limit(&mut self, limit: u64, at: Duration) {
        if self.limit as u64 != limit {
            self.advance(at.as_secs_f64());
            self.limit = limit as f64;
            self.tokens = self.tokens.min(self.limit);
        }
    }

    fn advance(&mut self, at: f64) {
        let period = ((at + self.phase) / self.window).floor();
        if period > self.period {
            let is_next = period < self.period + 1.5;
            self.previous = if is_next { self.current } else { 0.0 };
            self.current = 0.0;
            self.period = period;
        }
        while self
            .times
            .front()
            .is_some_and(|time| time + self.window <= at)
        {
            self.times.pop_front();
        }
        let rate = self.limit / self.window;
        self.tokens = (self.tokens + (at - self.refilled) * rate).min(self.limit);
        self.refilled = at;
    }

    fn left(&self, at: f64) -> f64 {
        match self.kind {
            Kind::FixedWindow => self.limit - self.current,
            Kind::SlidingLog => self.limit - self.times.len() as f64,
            Kind::TokenBucket => self.tokens,
            Kind::SlidingCounter => {
                let weight = self.period_ends(at) / self.window;
                self.limit - self.previous * weight - self.current
            }
        }
    }

    fn period_ends(&self, at: f64) -> f64 {
        (self.period + 1.0) * self.window - self.phase - at
    }

    /// How long until one more fits, if nothing else comes.
    fn wait(&self, at: f64) -> f64 {
        match self.kind {
            Kind::FixedWindow => self.period_ends(at),
            Kind::SlidingLog => {
                let over = self.times.len().saturating_sub(self.limit as usize);
                self.times
                    .get(over)
                    .map_or(0.0, |time| time + self.window - at)
            }
            Kind::TokenBucket => (1.0 - self.tokens).max(0.0) * self.window / self.limit,
            Kind::SlidingCounter => self.wait_for_the_counter(at),
        }
    }

    fn wait_for_the_counter(&self, at: f64) -> f64 {
        let ends = self.period_ends(at);
        // The share of a window that may be left, for one more to fit.
        let fits = |previous: f64, current: f64| {
            let room = (self.limit - 1.0 - current).max(0.0);
            if previous > 0.0 {
                (room / previous).min(1.0)
            } else {
                1.0
            }
        };
        if self.current + 1.0 <= self.limit {
            return (ends - fits(self.previous, self.current) * self.window).max(0.0);
        }
        ends + self.window - fits(self.current, 0.0) * self.window
    }

    /// What the answer says.
    pub fn headers(&self, accepted: bool, at: Duration) -> Vec<(&'static str, String)> {
        let at = at.as_secs_f64();
        let mut headers = Vec::new();
        if !accepted && self.headers != Headers::Bare {
            headers.push(("retry-after", self.rounded(self.wait(at))));
        }
        let tells = match self.headers {
            Headers::Always | Headers::Reordered => true,
            Headers::OnRejection => !accepted,
            Headers::Never | Headers::Bare => false,
        };
        if tells {
            let left = self.left(at).max(0.0).floor();
            headers.push(("x-ratelimit-limit", self.limit.to_string()));
            headers.push(("x-ratelimit-remaining", left.to_string()));
            headers.push(("x-ratelimit-reset", self.rounded(self.reset(at))));
        }
        headers
    }

    /// How long until all is forgotten.
    fn reset(&self, at: f64) -> f64 {
        match self.kind {
            Kind::FixedWindow => self.period_ends(at),
            Kind::SlidingLog => self
                .times
                .back()
                .map_or(0.0, |time| time + self.window - at),
            Kind::TokenBucket => (self.limit - self.tokens) * self.window / self.limit,
            Kind::SlidingCounter => self.period_ends(at) + self.window,
        }
    }

    fn rounded(&self, seconds: f64) -> String {
        let whole = if self.floored {
            seconds.floor()
        } else {
            seconds.ceil()
        };
        whole.to_string()
    }
}
