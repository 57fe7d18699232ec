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
    /// API requests refused for their credential, with whichever status; injected refusals are not
    /// among them.
    pub rejected_401: u64,
    /// API requests refused by the quotas, with whichever status; injected refusals are not among
    /// them.
    pub rejected_429: u64,
    /// Requests without any credential at all, of those that were refused for one.
    pub missing_credentials: u64,
    /// Requests whose credential was incomplete or not good, of those that were refused for one.
    pub wrong_credentials: u64,
    /// API requests to a path that the vendor does not have, with [`Manners`](super::Manners).
    pub wrong_paths: u64,
    /// Of [`rejected_429`](Self::rejected_429), those that the longest of several windows refused.
    pub rejected_for_the_day: u64,
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

impl Counters {
    pub(super) fn refused_credential(&mut self, is_missing: bool) {
        self.rejected_401 += 1;
        match is_missing {
            true => self.missing_credentials += 1,
            false => self.wrong_credentials += 1,
        }
    }
}
