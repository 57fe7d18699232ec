//! A 429 that was replayed already, or cannot be, is not to be replayed anew by a retry layer
//! outside, or by a limiter there. The response says so to a strategy that knows this crate
//! ([`RetryStrategy`](crate::RetryStrategy)); any other sends the request again, with the
//! extensions of the attempt before.

use http::Extensions;
use reqwest::Response;

use super::destination::Destination;

/// Marks the response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FinalRejection;

impl FinalRejection {
    /// Whether the response carries the mark.
    #[cfg(feature = "retry")]
    pub(crate) fn marks(response: &Response) -> bool {
        response.extensions().get::<Self>().is_some()
    }

    pub(super) fn mark(response: &mut Response) {
        response.extensions_mut().insert(Self);
    }
}

/// Lies in the request's extensions. The caller may use them for other requests, too.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastWord(Destination);

impl LastWord {
    pub(super) fn was_said(extensions: &Extensions, destination: Destination) -> bool {
        let said = extensions.get::<Self>();
        said.is_some_and(|said| said.0 == destination)
    }

    pub(super) fn say(extensions: &mut Extensions, destination: Destination) {
        extensions.insert(Self(destination));
    }

    /// A request was answered.
    pub(super) fn take_back(extensions: &mut Extensions) {
        extensions.remove::<Self>();
    }
}
