//! The end of a crawl in numbers, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use serde_json::{Value, json};

use crate::stop::Ending;
use crate::tally::Counts;
use crate::text;

/// How the parts fared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcomes {
    pub(crate) succeeded: u64,
    /// By kind.
    pub(crate) errors: BTreeMap<String, u64>,
    /// The first text of each kind.
    pub(crate) texts: BTreeMap<String, String>,
    /// Parts that are still to be asked about, because the crawl ended early.
    pub(crate) left: usize,
}

impl Outcomes {
    /// A part failed; whether it is the first of its kind.
    pub(crate) fn fail(&mut self, kind: &str, text: &str) -> bool {
        *self.errors.entry(kind.to_owned()).or_default() += 1;
        let is_first = !self.texts.contains_key(kind);
        if is_first {
            self.texts.insert(kind.to_owned(), text.to_owned());
        }
        is_first
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
    pub(crate) account: String,
    /// When the crawl began.
    pub(crate) began: SystemTime,
    /// Why it ended early, if it did.
    pub(crate) ending: Option<Ending>,
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

    /// The code that the program ends with; `--help` has the list.
    pub(crate) fn code(&self) -> u8 {
        let is_whole = self.outcomes.failed() == 0 && self.outcomes.left == 0;
        match &self.ending {
            Some(ending) => ending.code(),
            None if is_whole => 0,
            None => 1,
        }
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
            "texts": self.outcomes.texts,
            "left": self.outcomes.left,
            "stopped": self.ending.as_ref().map(ToString::to_string),
            "until": self.ending.as_ref().and_then(Ending::until).map(text::rfc_3339),
            "exit_code": self.code(),
            "account": self.account,
            "began": text::rfc_3339(self.began),
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
        if self.outcomes.left > 0 {
            row("not asked about", self.outcomes.left.to_string())?;
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

    fn summary() -> Summary {
        let mut outcomes = Outcomes {
            succeeded: 1,
            ..Outcomes::default()
        };
        outcomes.fail("status_404", "404 Not Found");
        Summary {
            account: "acme".to_owned(),
            began: SystemTime::UNIX_EPOCH,
            ending: None,
            skipped: 3,
            outcomes,
            counts: Counts::default(),
            elapsed: Duration::from_micros(1_234_567),
            verdict: None,
        }
    }

    #[test]
    fn the_json_has_the_keys_that_scripts_know() {
        let mut summary = summary();
        summary.counts.statuses = BTreeMap::from([(200, 1), (404, 1)]);
        let json = summary.to_json();
        assert_eq!(json["requested"], 2);
        assert_eq!(json["errors"]["status_404"], 1);
        assert_eq!(json["texts"]["status_404"], "404 Not Found");
        assert_eq!(json["statuses"]["200"], 1);
        assert_eq!(json["elapsed_seconds"], 1.235);
        assert_eq!(json["began"], "1970-01-01T00:00:00Z");
        assert_eq!((&json["left"], &json["stopped"]), (&0.into(), &Value::Null));
        assert!(json.get("utilisation").is_none());

        summary.verdict = Some(Verdict {
            rejected_429: 0,
            utilisation: None,
        });
        let json = summary.to_json();
        assert_eq!(json.get("utilisation"), Some(&Value::Null));
        assert_eq!(json["rejected_429"], 0);
    }

    #[test]
    fn the_first_text_of_each_kind_is_kept() {
        let mut outcomes = Outcomes::default();
        assert!(outcomes.fail("transport", "refused"));
        assert!(!outcomes.fail("transport", "reset"));
        assert!(outcomes.fail("status_500", "oops"));
        assert_eq!(outcomes.texts["transport"], "refused");
        assert_eq!(outcomes.failed(), 3);
    }

    #[test]
    fn the_code_says_how_it_ended() {
        let mut summary = summary();
        assert_eq!(summary.code(), 1);
        summary.outcomes.errors.clear();
        assert_eq!(summary.code(), 0);
        summary.outcomes.left = 1;
        assert_eq!(summary.code(), 1);
        summary.ending = Some(Ending::QuotaSpent(SystemTime::UNIX_EPOCH));
        assert_eq!(summary.code(), 3);
        let json = summary.to_json();
        let text = "the quota is spent until 1970-01-01T00:00:00Z";
        assert_eq!(json["stopped"], text);
        assert_eq!(json["until"], "1970-01-01T00:00:00Z");
    }
}
