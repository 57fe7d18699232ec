//! Every [`Event`] as a metric, through the facade of the crate
//! [`metrics`](https://docs.rs/metrics): install the exporter of your choice, and they are there.
//! With the feature `metrics`.
//!
//! | name | kind | labels | counts |
//! |---|---|---|---|
//! | `tollgate_token_requests_total` | counter | `account`, `reason` | token requests that left, or were to leave |
//! | `tollgate_token_renewals_total` | counter | `account`, `reason` | new tokens, by why they were asked for; `adopted`: taken over from another process |
//! | `tollgate_token_rotations_total` | counter | `account` | new refresh tokens |
//! | `tollgate_token_request_seconds` | histogram | `account` | from the token request to its parsed answer, where it brought a token |
//! | `tollgate_token_failures_total` | counter | `account`, `kind` | renewals that failed |
//! | `tollgate_token_saves_total` | counter | `account`, `outcome` | `saved`: the store has a token; `failed`: it failed; `superseded`: ours gave way to another process's |
//! | `tollgate_unusual_token_types_total` | counter | `account` | accounts whose tokens are of another type than Bearer |
//! | `tollgate_logins_replaced_total` | counter | `account` | logins that took the place of another |
//! | `tollgate_refresh_tokens_expiring_total` | counter | `account` | reports that a refresh token ends within a week |
//! | `tollgate_token_rejections_total` | counter | `account`, `verdict` | tokens that the API refused |
//! | `tollgate_token_wait_seconds` | histogram | `account` | how long requests waited for a token |
//! | `tollgate_requests_total` | counter | `account`, `quota`, `status` | attempts on the wire |
//! | `tollgate_request_seconds` | histogram | `account`, `quota` | from permit to answer |
//! | `tollgate_quota_wait_seconds` | histogram | `account`, `quota` | how long requests waited for a permit |
//! | `tollgate_quota_rejections_total` | counter | `account`, `quota` | pauses that the server asked for |
//! | `tollgate_quota_reopenings_total` | counter | `account`, `quota` | pauses that a probe ended |
//! | `tollgate_unreadable_headers_total` | counter | `account`, `quota` | headers that a window names and that cannot be read |
//! | `tollgate_evidence_forgotten_total` | counter | `account`, `quota` | quotas of which what was learned was forgotten |
//! | `tollgate_limits_differing_total` | counter | `account`, `quota` | limits that a server told instead of the configured ones |
//! | `tollgate_windows_learned_total` | counter | `account`, `quota` | windows learned from what responses tell |
//! | `tollgate_windows_forgotten_total` | counter | `account`, `quota` | learned windows that are told no longer |
//! | `tollgate_headers_disbelieved_total` | counter | `account`, `quota` | headers that said three times that nothing was left, in vain |
//! | `tollgate_pauses_capped_total` | counter | `account`, `quota` | pauses that nothing corroborates, cut short |
//! | `tollgate_replays_total` | counter | `account`, `reason` | requests sent again: `unauthorized`, `rate_limited` |
//! | `tollgate_refusals_total` | counter | `account`, `kind` | requests that failed without being sent, or sent again |
//! | `tollgate_quota_save_failures_total` | counter | `account` | attempts to keep what is used of the quotas that failed |
//! | `tollgate_higher_limits_total` | counter | `account` | limits above the configured ones that a server told |
//! | `tollgate_second_ledgers_total` | counter | `account` | accounts built twice |
//! | `tollgate_redirected_credentials_total` | counter | `account` | other hosts to which a redirect took the account's keys |
//! | `tollgate_literal_secrets_total` | counter | `account` | secrets that a configuration file holds itself |
//!
//! Labels have few values, and none comes from a response or a URL: `account` and `quota` are the
//! names that you gave; `reason` of a token is that of [`RenewalReason`](crate::RenewalReason),
//! `verdict` that of [`RejectionVerdict`](crate::RejectionVerdict), `kind` that of
//! [`ErrorKind`](crate::ErrorKind), each as its `Display` writes it; `status` is `1xx` to `5xx`, or
//! `lost` where no answer came. Histograms are in seconds.

use std::sync::Arc;
use std::time::Duration;

use ::metrics::{SharedString, Unit, counter, describe_counter, describe_histogram, histogram};
use http::StatusCode;

use super::event::Event;

const TOKEN_REQUESTS: &str = "tollgate_token_requests_total";
const TOKEN_RENEWALS: &str = "tollgate_token_renewals_total";
const TOKEN_ROTATIONS: &str = "tollgate_token_rotations_total";
const TOKEN_REQUEST_SECONDS: &str = "tollgate_token_request_seconds";
const TOKEN_FAILURES: &str = "tollgate_token_failures_total";
const UNUSUAL_TOKEN_TYPES: &str = "tollgate_unusual_token_types_total";
const LOGINS_REPLACED: &str = "tollgate_logins_replaced_total";
const REFRESH_TOKENS_EXPIRING: &str = "tollgate_refresh_tokens_expiring_total";
const TOKEN_SAVES: &str = "tollgate_token_saves_total";
const TOKEN_REJECTIONS: &str = "tollgate_token_rejections_total";
const TOKEN_WAIT_SECONDS: &str = "tollgate_token_wait_seconds";
const REQUESTS: &str = "tollgate_requests_total";
const REQUEST_SECONDS: &str = "tollgate_request_seconds";
const QUOTA_WAIT_SECONDS: &str = "tollgate_quota_wait_seconds";
const QUOTA_REJECTIONS: &str = "tollgate_quota_rejections_total";
const QUOTA_REOPENINGS: &str = "tollgate_quota_reopenings_total";
const EVIDENCE_FORGOTTEN: &str = "tollgate_evidence_forgotten_total";
const QUOTA_SAVE_FAILURES: &str = "tollgate_quota_save_failures_total";
const UNREADABLE_HEADERS: &str = "tollgate_unreadable_headers_total";
const REPLAYS: &str = "tollgate_replays_total";
const REFUSALS: &str = "tollgate_refusals_total";
const LIMITS_DIFFERING: &str = "tollgate_limits_differing_total";
const WINDOWS_LEARNED: &str = "tollgate_windows_learned_total";
const WINDOWS_FORGOTTEN: &str = "tollgate_windows_forgotten_total";
const HEADERS_DISBELIEVED: &str = "tollgate_headers_disbelieved_total";
const PAUSES_CAPPED: &str = "tollgate_pauses_capped_total";
const HIGHER_LIMITS: &str = "tollgate_higher_limits_total";
const SECOND_LEDGERS: &str = "tollgate_second_ledgers_total";
const REDIRECTED_CREDENTIALS: &str = "tollgate_redirected_credentials_total";
const LITERAL_SECRETS: &str = "tollgate_literal_secrets_total";

/// Tells the installed recorder the unit of each metric and what it counts. To be called once,
/// after the recorder was installed; without it the metrics only lack their descriptions.
pub fn describe() {
    let counters = [
        (TOKEN_REQUESTS, "Token requests that left, by reason"),
        (TOKEN_RENEWALS, "New tokens, by reason"),
        (TOKEN_ROTATIONS, "New refresh tokens"),
        (TOKEN_FAILURES, "Renewals that failed, by kind"),
        (
            UNUSUAL_TOKEN_TYPES,
            "Accounts whose tokens are of another type than Bearer",
        ),
        (LOGINS_REPLACED, "Logins that took the place of another"),
        (
            REFRESH_TOKENS_EXPIRING,
            "Reports that a refresh token ends within a week",
        ),
        (TOKEN_SAVES, "Attempts to store tokens, by outcome"),
        (TOKEN_REJECTIONS, "Tokens that the API refused, by verdict"),
        (REQUESTS, "Attempts on the wire, by class of status"),
        (QUOTA_REJECTIONS, "Pauses that the server asked for"),
        (QUOTA_REOPENINGS, "Pauses that a probe ended"),
        (
            EVIDENCE_FORGOTTEN,
            "Quotas of which what was learned was forgotten",
        ),
        (
            QUOTA_SAVE_FAILURES,
            "Failures to keep what is used of the quotas",
        ),
        (
            UNREADABLE_HEADERS,
            "Headers that a window names and that cannot be read",
        ),
        (REPLAYS, "Requests sent again, by reason"),
        (REFUSALS, "Requests that failed without being sent, by kind"),
        (
            LIMITS_DIFFERING,
            "Limits that a server told instead of the configured ones",
        ),
        (WINDOWS_LEARNED, "Windows learned from what responses tell"),
        (WINDOWS_FORGOTTEN, "Learned windows that are told no longer"),
        (
            HEADERS_DISBELIEVED,
            "Headers that said three times that nothing was left, in vain",
        ),
        (PAUSES_CAPPED, "Pauses that nothing corroborates, cut short"),
        (
            HIGHER_LIMITS,
            "Limits above the configured ones that a server told",
        ),
        (SECOND_LEDGERS, "Accounts built twice"),
        (
            REDIRECTED_CREDENTIALS,
            "Other hosts to which a redirect took the account's keys",
        ),
        (
            LITERAL_SECRETS,
            "Secrets that a configuration file holds itself",
        ),
    ];
    for (name, text) in counters {
        describe_counter!(name, Unit::Count, text);
    }
    let seconds = [
        (TOKEN_REQUEST_SECONDS, "From a token request to its answer"),
        (TOKEN_WAIT_SECONDS, "Requests waiting for a token"),
        (REQUEST_SECONDS, "From permit to answer"),
        (QUOTA_WAIT_SECONDS, "Requests waiting for a permit"),
    ];
    for (name, text) in seconds {
        describe_histogram!(name, Unit::Seconds, text);
    }
}

/// Counts an event.
pub(crate) fn record(account: &Arc<str>, event: &Event) {
    let meter = Meter(account.clone().into());
    match event {
        Event::TokenRequested { .. }
        | Event::TokenRenewed { .. }
        | Event::TokenAdopted { .. }
        | Event::TokenFailed { .. }
        | Event::TokenSaved
        | Event::TokenSaveFailed { .. }
        | Event::UnusualTokenType { .. }
        | Event::RefreshTokenExpiring { .. }
        | Event::LoginReplaced
        | Event::TokenSuperseded
        | Event::RefreshAbandoned { .. }
        | Event::TokenRejected { .. }
        | Event::TokenAwaited { .. } => meter.token(event),
        Event::Waited { .. }
        | Event::Answered { .. }
        | Event::Lost { .. }
        | Event::QuotaRejected { .. }
        | Event::QuotaReopened { .. }
        | Event::HeaderUnreadable { .. }
        | Event::LimitDiffers { .. }
        | Event::WindowLearned { .. }
        | Event::WindowForgotten { .. }
        | Event::HeadersDisbelieved { .. }
        | Event::PauseCapped { .. }
        | Event::EvidenceForgotten { .. } => meter.quota(event),
        Event::Replayed { reason, .. } => meter.count(REPLAYS, "reason", reason.as_str()),
        Event::Refused { error } => meter.count(REFUSALS, "kind", error.kind().as_str()),
        Event::QuotaStoreFailed { .. } => meter.count_all(QUOTA_SAVE_FAILURES),
        Event::HigherLimitOffered { .. } => meter.count_all(HIGHER_LIMITS),
        Event::SecondLedger => meter.count_all(SECOND_LEDGERS),
        Event::CredentialsRedirected { .. } => meter.count_all(REDIRECTED_CREDENTIALS),
        Event::LiteralSecret { .. } => meter.count_all(LITERAL_SECRETS),
    }
}

/// The metrics of one account.
struct Meter(SharedString);

impl Meter {
    fn token(&self, event: &Event) {
        match event {
            Event::TokenRequested { reason } => {
                self.count(TOKEN_REQUESTS, "reason", reason.as_str());
            }
            Event::TokenRenewed {
                reason,
                elapsed,
                rotated,
                ..
            } => {
                self.count(TOKEN_RENEWALS, "reason", reason.as_str());
                self.seconds(TOKEN_REQUEST_SECONDS, *elapsed);
                if *rotated {
                    self.count_all(TOKEN_ROTATIONS);
                }
            }
            Event::TokenAdopted { .. } => self.count(TOKEN_RENEWALS, "reason", "adopted"),
            Event::TokenFailed { error, .. } => {
                self.count(TOKEN_FAILURES, "kind", error.kind().as_str());
            }
            Event::TokenSaved => self.count(TOKEN_SAVES, "outcome", "saved"),
            Event::TokenSaveFailed { .. } => self.count(TOKEN_SAVES, "outcome", "failed"),
            Event::UnusualTokenType { .. } => self.count_all(UNUSUAL_TOKEN_TYPES),
            Event::RefreshTokenExpiring { .. } => self.count_all(REFRESH_TOKENS_EXPIRING),
            Event::LoginReplaced => self.count_all(LOGINS_REPLACED),
            Event::TokenSuperseded => self.count(TOKEN_SAVES, "outcome", "superseded"),
            Event::RefreshAbandoned { .. } => self.count(TOKEN_FAILURES, "kind", "abandoned"),
            Event::TokenRejected { verdict, .. } => {
                self.count(TOKEN_REJECTIONS, "verdict", verdict.as_str());
            }
            Event::TokenAwaited { span } => self.seconds(TOKEN_WAIT_SECONDS, *span),
            _ => {}
        }
    }

    fn quota(&self, event: &Event) {
        match event {
            Event::Waited { quota, span } => {
                self.of_quota(quota).seconds(QUOTA_WAIT_SECONDS, *span)
            }
            Event::Answered {
                quota,
                status,
                elapsed,
                ..
            } => {
                let quota = self.of_quota(quota);
                quota.request(class(*status));
                quota.seconds(REQUEST_SECONDS, *elapsed);
            }
            Event::Lost { quota, .. } => self.of_quota(quota).request("lost"),
            Event::QuotaRejected { quota, .. } => self.of_quota(quota).count(QUOTA_REJECTIONS),
            Event::QuotaReopened { quota } => self.of_quota(quota).count(QUOTA_REOPENINGS),
            Event::HeaderUnreadable { quota, .. } => self.of_quota(quota).count(UNREADABLE_HEADERS),
            Event::LimitDiffers { quota, .. } => self.of_quota(quota).count(LIMITS_DIFFERING),
            Event::WindowLearned { quota, .. } => self.of_quota(quota).count(WINDOWS_LEARNED),
            Event::WindowForgotten { quota, .. } => self.of_quota(quota).count(WINDOWS_FORGOTTEN),
            Event::HeadersDisbelieved { quota, .. } => {
                self.of_quota(quota).count(HEADERS_DISBELIEVED);
            }
            Event::PauseCapped { quota, .. } => self.of_quota(quota).count(PAUSES_CAPPED),
            Event::EvidenceForgotten { quota } => {
                self.of_quota(quota).count(EVIDENCE_FORGOTTEN);
            }
            _ => {}
        }
    }

    fn of_quota(&self, quota: &Arc<str>) -> QuotaMeter {
        QuotaMeter(self.0.clone(), quota.clone().into())
    }

    fn count(&self, name: &'static str, label: &'static str, value: &'static str) {
        counter!(name, "account" => self.0.clone(), label => value).increment(1);
    }

    fn count_all(&self, name: &'static str) {
        counter!(name, "account" => self.0.clone()).increment(1);
    }

    fn seconds(&self, name: &'static str, span: Duration) {
        histogram!(name, "account" => self.0.clone()).record(span);
    }
}

/// The metrics of one quota of an account.
struct QuotaMeter(SharedString, SharedString);

impl QuotaMeter {
    fn request(&self, status: &'static str) {
        let (account, quota) = (self.0.clone(), self.1.clone());
        counter!(REQUESTS, "account" => account, "quota" => quota, "status" => status).increment(1);
    }

    fn count(&self, name: &'static str) {
        counter!(name, "account" => self.0.clone(), "quota" => self.1.clone()).increment(1);
    }

    fn seconds(&self, name: &'static str, span: Duration) {
        histogram!(name, "account" => self.0.clone(), "quota" => self.1.clone()).record(span);
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests;
