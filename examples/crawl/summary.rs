//! The end of a crawl in numbers, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use crate::tally::Counts;

/// How the parts fared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcomes {
    pub(crate) succeeded: u64,
    /// By kind.
    pub(crate) errors: BTreeMap<String, u64>,
}

impl Outcomes {
    pub(crate) fn add(&mut self, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.succeeded += 1,
            Err(kind) => *self.errors.entry(kind).or_default() += 1,
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.succeeded += other.succeeded;
        for (kind, count) in other.errors {
            *self.errors.entry(kind).or_default() += count;
        }
    }

    pub(crate) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// What the sandbox says about the crawl.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    /// By its quotas; injected faults are not in it.
    pub(crate) rejected_429: u64,
    /// See [`utilisation`](crate::utilisation).
    pub(crate) utilisation: Option<f64>,
}

/// Everything.
pub(crate) struct Summary {
    /// Answered by an earlier run.
    pub(crate) skipped: usize,
    pub(crate) outcomes: Outcomes,
    pub(crate) counts: Counts,
    pub(crate) elapsed: Duration,
    pub(crate) verdict: Option<Verdict>,
}

impl Summary {
    pub(crate) fn requested(&self) -> u64 {
        self.outcomes.succeeded + self.outcomes.failed()
    }

    /// For programs; the keys are kept stable.
    pub(crate) fn to_json(&self) -> Value {
        let mut json = json!({
            "requested": self.requested(),
            "succeeded": self.outcomes.succeeded,
            "failed": self.outcomes.failed(),
            "attempts": self.counts.attempts(),
            "statuses": self.counts.statuses,
            "replayed_401": self.counts.replayed(StatusCode::UNAUTHORIZED),
            "replayed_429": self.counts.replayed(StatusCode::TOO_MANY_REQUESTS),
            "replayed": self.counts.replayed,
            "token_requests": self.counts.token_requests,
            "waited_seconds": seconds(self.counts.waited),
            "elapsed_seconds": seconds(self.elapsed),
            "errors": self.outcomes.errors,
        });
        if let Some(verdict) = &self.verdict {
            json["rejected_429"] = verdict.rejected_429.into();
            json["utilisation"] = verdict.utilisation.into();
        }
        json
    }
}

/// For people.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: String| writeln!(f, "  {name:<26} {value:>9}");
        let counts = &self.counts;
        row("requested", self.requested().to_string())?;
        if self.skipped > 0 {
            row("answered before", self.skipped.to_string())?;
        }
        row("answered", self.outcomes.succeeded.to_string())?;
        for (kind, count) in &self.outcomes.errors {
            row(&format!("failed: {kind}"), count.to_string())?;
        }
        row("attempts", counts.attempts().to_string())?;
        for (status, count) in &counts.statuses {
            row(&format!("  status {status}"), count.to_string())?;
        }
        if counts.lost > 0 {
            row("  no answer", counts.lost.to_string())?;
        }
        let mut replayed = BTreeMap::from([(401, 0), (429, 0)]);
        replayed.extend(&counts.replayed);
        for (status, count) in replayed {
            row(&format!("replayed {status}"), count.to_string())?;
        }
        row("token requests", counts.token_requests.to_string())?;
        row(
            "waited, in all",
            format!("{:.1} s", counts.waited.as_secs_f64()),
        )?;
        row("elapsed", format!("{:.1} s", self.elapsed.as_secs_f64()))?;
        row("requests/s", format!("{:.1}", self.rate()))?;
        if let Some(verdict) = &self.verdict {
            row("rejected 429", verdict.rejected_429.to_string())?;
            let utilisation = verdict.utilisation.map(|share| format!("{share:.3}"));
            row("utilisation", utilisation.unwrap_or_else(|| "-".to_owned()))?;
        }
        Ok(())
    }
}

impl Summary {
    fn rate(&self) -> f64 {
        self.counts.attempts() as f64 / self.elapsed.as_secs_f64().max(0.001)
    }
}

/// Seconds, to the millisecond.
fn seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_has_the_keys_that_scripts_know() {
        let mut outcomes = Outcomes::default();
        outcomes.add(Ok(()));
        outcomes.add(Err("status_404".to_owned()));
        let mut summary = Summary {
            skipped: 3,
            outcomes,
            counts: Counts::default(),
            elapsed: Duration::from_micros(1_234_567),
            verdict: None,
        };
        summary.counts.statuses = BTreeMap::from([(200, 1), (404, 1)]);
        let json = summary.to_json();
        assert_eq!(json["requested"], 2);
        assert_eq!(json["errors"]["status_404"], 1);
        assert_eq!(json["statuses"]["200"], 1);
        assert_eq!(json["elapsed_seconds"], 1.235);
        assert!(json.get("utilisation").is_none());

        summary.verdict = Some(Verdict {
            rejected_429: 0,
            utilisation: None,
        });
        let json = summary.to_json();
        assert_eq!(json.get("utilisation"), Some(&Value::Null));
        assert_eq!(json["rejected_429"], 0);
    }
}
