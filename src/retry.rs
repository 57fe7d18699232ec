//! What `reqwest-retry` should think of our errors, and of a 429 that was replayed already.
//!
//! Its default strategy takes every error of a middleware for fatal and every 429 for transient.
//! With our layers beneath it both are not quite right: a token endpoint that is down for a moment
//! is worth another attempt, and a 429 that came through the limiter's own replays is not.

use std::fmt;

use reqwest::Response;
use reqwest_middleware::Error as StackError;
use reqwest_retry::{DefaultRetryableStrategy, Retryable, RetryableStrategy};

use crate::error::{Error, ErrorKind, Recovery};
use crate::rate_limit::FinalRejection;

/// A strategy for `RetryTransientMiddleware` that knows this crate's errors.
///
/// | outcome                                                         | retried          |
/// |-----------------------------------------------------------------|------------------|
/// | the token endpoint failed, the queue was full                   | yes              |
/// | the token endpoint's certificate is not trusted                 | no               |
/// | any other error of ours: quota spent, deadline, login, config … | no               |
/// | a 429 or 503 that the limiter returned after its last replay    | no               |
/// | anything else                                                   | as `inner` says  |
///
/// Beside another strategy, which sends such a 429 again, the limiter replays the request in the
/// first of its attempts alone.
///
/// ```
/// use reqwest_retry::{RetryTransientMiddleware, policies::ExponentialBackoff};
/// use reqwest_tollgate::RetryStrategy;
///
/// let policy = ExponentialBackoff::builder().build_with_max_retries(3);
/// let strategy = RetryStrategy::default();
/// let retry = RetryTransientMiddleware::new_with_policy_and_strategy(policy, strategy);
/// # let _ = retry;
/// ```
pub struct RetryStrategy {
    inner: Box<dyn RetryableStrategy + Send + Sync>,
}

impl RetryStrategy {
    /// Asks `inner` about everything that is not ours.
    pub fn over(inner: impl RetryableStrategy + Send + Sync + 'static) -> Self {
        Self {
            inner: Box::new(inner),
        }
    }
}

/// Over reqwest-retry's own default.
impl Default for RetryStrategy {
    fn default() -> Self {
        Self::over(DefaultRetryableStrategy)
    }
}

impl RetryableStrategy for RetryStrategy {
    fn handle(&self, result: &Result<Response, StackError>) -> Option<Retryable> {
        match result {
            Ok(response) if FinalRejection::marks(response) => Some(Retryable::Fatal),
            Err(error) => match Error::find(error) {
                Some(ours) => Some(judge(ours)),
                None => self.inner.handle(result),
            },
            Ok(_) => self.inner.handle(result),
        }
    }
}

fn judge(error: &Error) -> Retryable {
    match (error.kind(), error.recovery()) {
        // Whoever set a deadline does not want it to begin again.
        (ErrorKind::DeadlineExceeded, _) => Retryable::Fatal,
        // A certificate that is not trusted, say.
        (_, Recovery::Reconfigure | Recovery::LogIn) => Retryable::Fatal,
        (ErrorKind::TokenEndpoint, _) | (_, Recovery::Retry) => Retryable::Transient,
        _ => Retryable::Fatal,
    }
}

impl fmt::Debug for RetryStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryStrategy").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn judged(kind: ErrorKind, recovery: Recovery) -> bool {
        let error = StackError::from(Error::new(kind, recovery, "it failed"));
        let verdict = RetryStrategy::default().handle(&Err(error));
        matches!(verdict, Some(Retryable::Transient))
    }

    #[test]
    fn a_failing_token_endpoint_is_worth_another_attempt() {
        let later = SystemTime::UNIX_EPOCH;
        assert!(judged(ErrorKind::TokenEndpoint, Recovery::WaitUntil(later)));
        assert!(judged(ErrorKind::TokenEndpoint, Recovery::Retry));
        assert!(judged(ErrorKind::QueueFull, Recovery::Retry));
    }

    #[test]
    fn everything_else_of_ours_is_final() {
        let later = SystemTime::UNIX_EPOCH;
        assert!(!judged(
            ErrorKind::QuotaExceeded,
            Recovery::WaitUntil(later)
        ));
        assert!(!judged(ErrorKind::DeadlineExceeded, Recovery::Retry));
        assert!(!judged(ErrorKind::LoginRequired, Recovery::LogIn));
        assert!(!judged(ErrorKind::ClientRejected, Recovery::Reconfigure));
        assert!(!judged(ErrorKind::TokenEndpoint, Recovery::Reconfigure));
    }

    #[test]
    fn a_replayed_429_is_final_and_another_one_is_not() {
        let answer = || {
            http::Response::builder()
                .status(429)
                .body("")
                .map(Response::from)
        };
        let fresh = answer().expect("a response");
        let mut replayed = answer().expect("a response");
        replayed.extensions_mut().insert(FinalRejection);
        let strategy = RetryStrategy::default();
        assert!(matches!(
            strategy.handle(&Ok(fresh)),
            Some(Retryable::Transient)
        ));
        assert!(matches!(
            strategy.handle(&Ok(replayed)),
            Some(Retryable::Fatal)
        ));
    }
}
