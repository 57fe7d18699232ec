//! Spans of what takes long, with the feature `tracing`; without it there is nothing here.
//!
//! | span | level | fields | parent |
//! |---|---|---|---|
//! | `tollgate.renew` | info | `account`, `reason`, `generation`, `outcome` | none; it follows from the span of the request that began it |
//! | `tollgate.login` | info | `account`, `outcome` | the caller of `exchange` |
//! | `tollgate.wait` | debug | `account`, `quota`, `priority`, `waited` (seconds), `outcome` | the request that waits |
//!
//! `outcome` is `renewed`, `adopted`, `broken_off` or a kind of error; `logged_in` or a kind of
//! error; `granted` or `refused`, and none where the request went away.
//!
//! A request with a fresh token and a free permit makes none of them. No field is a secret.

use std::future::Future;

use crate::event::RenewalReason;
use crate::options::Priority;

#[cfg(feature = "tracing")]
const TARGET: &str = "reqwest_tollgate";

/// A span, or nothing.
#[derive(Clone)]
pub(crate) struct Span {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

#[cfg(feature = "tracing")]
impl Span {
    /// A flight, which outlives who began it.
    pub(crate) fn renewal(account: &str, reason: RenewalReason, generation: u64) -> Self {
        let span = tracing::info_span!(
            target: TARGET,
            parent: None,
            "tollgate.renew",
            account,
            reason = reason.as_str(),
            generation,
            outcome = tracing::field::Empty,
        );
        span.follows_from(tracing::Span::current());
        Self { span }
    }

    /// The exchange of a code.
    pub(crate) fn login(account: &str) -> Self {
        let outcome = tracing::field::Empty;
        let span = tracing::info_span!(target: TARGET, "tollgate.login", account, outcome);
        Self { span }
    }

    /// A wait for a permit.
    pub(crate) fn wait(account: &str, quota: &str, priority: Priority) -> Self {
        let span = tracing::debug_span!(
            target: TARGET,
            "tollgate.wait",
            account,
            quota,
            ?priority,
            waited = tracing::field::Empty,
            outcome = tracing::field::Empty,
        );
        Self { span }
    }

    /// How it ended, in a word.
    pub(crate) fn ended(&self, outcome: &'static str) {
        self.span.record("outcome", outcome);
    }

    pub(crate) fn waited(&self, span: std::time::Duration) {
        self.span.record("waited", span.as_secs_f64());
    }

    /// The future, in the span.
    pub(crate) fn around<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        tracing::Instrument::instrument(future, self.span.clone())
    }
}

#[cfg(not(feature = "tracing"))]
impl Span {
    pub(crate) fn renewal(_: &str, _: RenewalReason, _: u64) -> Self {
        Self {}
    }

    pub(crate) fn login(_: &str) -> Self {
        Self {}
    }

    pub(crate) fn wait(_: &str, _: &str, _: Priority) -> Self {
        Self {}
    }

    pub(crate) fn ended(&self, _: &'static str) {}

    pub(crate) fn waited(&self, _: std::time::Duration) {}

    pub(crate) fn around<F: Future>(&self, future: F) -> F {
        future
    }
}
