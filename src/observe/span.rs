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
//!
//! A subscriber that panics loses a span, and nothing else: a permit or a token hangs on what runs
//! in it.

use std::future::Future;

use super::event::RenewalReason;
#[cfg(feature = "tracing")]
use crate::contain::contained;
use crate::options::Priority;

#[cfg(feature = "tracing")]
const TARGET: &str = "reqwest_tollgate";

/// A span, or nothing.
#[cfg_attr(not(feature = "tracing"), derive(Clone))]
pub(crate) struct Span {
    /// None where the subscriber panicked.
    #[cfg(feature = "tracing")]
    span: Option<tracing::Span>,
}

#[cfg(feature = "tracing")]
impl Span {
    fn new(make: impl FnOnce() -> tracing::Span) -> Self {
        Self {
            span: contained(make),
        }
    }

    /// A flight, which outlives who began it.
    pub(crate) fn renewal(account: &str, reason: RenewalReason, generation: u64) -> Self {
        Self::new(|| {
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
            span
        })
    }

    /// The exchange of a code.
    pub(crate) fn login(account: &str) -> Self {
        let outcome = tracing::field::Empty;
        Self::new(|| tracing::info_span!(target: TARGET, "tollgate.login", account, outcome))
    }

    /// A wait for a permit.
    pub(crate) fn wait(account: &str, quota: &str, priority: Priority) -> Self {
        Self::new(|| {
            tracing::debug_span!(
                target: TARGET,
                "tollgate.wait",
                account,
                quota,
                ?priority,
                waited = tracing::field::Empty,
                outcome = tracing::field::Empty,
            )
        })
    }

    /// How it ended, in a word.
    pub(crate) fn ended(&self, outcome: &'static str) {
        self.record("outcome", outcome);
    }

    pub(crate) fn waited(&self, span: std::time::Duration) {
        self.record("waited", span.as_secs_f64());
    }

    fn record(&self, field: &'static str, value: impl tracing::Value) {
        let _ = contained(|| {
            if let Some(span) = &self.span {
                span.record(field, value);
            }
        });
    }

    /// The future, in the span.
    pub(crate) fn around<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        let span = self.clone();
        async move {
            let mut future = std::pin::pin!(future);
            let poll = std::future::poll_fn(|context| {
                let _entered = span.enter();
                future.as_mut().poll(context)
            });
            poll.await
        }
    }

    fn enter(&self) -> Entered<'_> {
        let enter = || self.span.as_ref().map(tracing::Span::enter);
        Entered(contained(enter).flatten())
    }
}

#[cfg(feature = "tracing")]
impl Clone for Span {
    fn clone(&self) -> Self {
        Self {
            span: contained(|| self.span.clone()).flatten(),
        }
    }
}

#[cfg(feature = "tracing")]
impl Drop for Span {
    fn drop(&mut self) {
        let span = self.span.take();
        let _ = contained(|| drop(span));
    }
}

/// Leaves the span when dropped, should what ran in it have panicked too.
#[cfg(feature = "tracing")]
struct Entered<'a>(Option<tracing::span::Entered<'a>>);

#[cfg(feature = "tracing")]
impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let entered = self.0.take();
        let _ = contained(|| drop(entered));
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
