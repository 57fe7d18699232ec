//! What the sandbox saw, as numbers.

use serde::Serialize;

/// Counts of everything since the sandbox started. A copy: it does not go on counting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counters {
    /// Requests to the API, whatever became of them; token requests are not among them.
    pub requests: u64,
    /// API requests answered with a 2xx.
    pub answered: u64,
    /// API requests refused for their token or client id; injected refusals are not among them.
    pub rejected_401: u64,
    /// API requests refused by the quotas; injected refusals are not among them.
    pub rejected_429: u64,
    /// Requests that a [`Fault`](super::Fault) met, at the API or at the token endpoint.
    pub injected: u64,
    /// Requests to the token endpoint, whatever became of them.
    pub token_requests: u64,
    /// Access tokens that were issued.
    pub tokens_issued: u64,
    /// Token requests refused with an OAuth error (RFC 6749 section 5.2).
    pub token_refusals: u64,
    /// Refresh tokens that were replaced by a new one.
    pub rotations: u64,
    /// Chains of refresh tokens that ended because a spent one came back.
    pub families_revoked: u64,
    /// Connections accepted.
    pub connections: u64,
}
