use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use ::metrics::with_local_recorder;
use metrics_util::MetricKind;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use super::*;
use crate::error::{Error, ErrorKind, Recovery};
use crate::observe::event::{RejectionVerdict, RenewalReason, ReplayReason};

const SPAN: Duration = Duration::from_millis(1_500);

/// One of each kind. A response's request id is in some.
fn events() -> Vec<Event> {
    let quota: Arc<str> = "search".into();
    let request_id = Some("id-4711".to_owned());
    let status = StatusCode::TOO_MANY_REQUESTS;
    let error = Error::new(ErrorKind::TokenEndpoint, Recovery::Retry, "canary-message");
    let reason = RenewalReason::Manual;
    vec![
        Event::TokenRequested { reason },
        Event::TokenRenewed {
            reason,
            generation: 1,
            expires_at: None,
            elapsed: SPAN,
            rotated: true,
        },
        Event::TokenAdopted {
            reason,
            generation: 2,
        },
        Event::TokenFailed {
            error: error.clone(),
            retry_at: None,
        },
        Event::TokenSaved,
        Event::TokenSaveFailed {
            error: error.clone(),
        },
        Event::UnusualTokenType {
            token_type: "JWT".into(),
        },
        Event::RefreshTokenExpiring {
            at: std::time::SystemTime::UNIX_EPOCH,
        },
        Event::LoginReplaced,
        Event::TokenSuperseded,
        Event::RefreshAbandoned { sent: true },
        Event::TokenRejected {
            generation: 1,
            status: StatusCode::UNAUTHORIZED,
            verdict: RejectionVerdict::Storm,
            request_id: request_id.clone(),
        },
        Event::TokenAwaited { span: SPAN },
        Event::Waited {
            quota: quota.clone(),
            span: SPAN,
        },
        Event::Answered {
            quota: quota.clone(),
            status,
            elapsed: SPAN,
            request_id: request_id.clone(),
        },
        Event::Lost {
            quota: quota.clone(),
            elapsed: SPAN,
        },
        Event::Replayed {
            reason: ReplayReason::RateLimited,
            status,
            attempt: 1,
        },
        Event::QuotaRejected {
            quota: quota.clone(),
            status,
            until: SystemTime::UNIX_EPOCH,
            request_id,
        },
        Event::HigherLimitOffered {
            quota: quota.clone(),
            length: SPAN,
            configured: 1000,
            told: 5000,
        },
        Event::LimitDiffers {
            quota: quota.clone(),
            length: SPAN,
            configured: 1000,
            told: 20,
            adopted: false,
        },
        Event::WindowLearned {
            quota: quota.clone(),
            limit: Some(20),
            length: None,
            names: "X-RateLimit-*".to_owned(),
        },
        Event::WindowForgotten {
            quota: quota.clone(),
            limit: Some(20),
            length: None,
            names: "X-RateLimit-*".to_owned(),
        },
        Event::HeadersDisbelieved {
            quota: quota.clone(),
            names: "X-RateLimit-*".to_owned(),
        },
        Event::PauseCapped {
            quota: quota.clone(),
            told: SystemTime::UNIX_EPOCH,
            until: SystemTime::UNIX_EPOCH,
        },
        Event::QuotaReopened {
            quota: quota.clone(),
        },
        Event::EvidenceForgotten {
            quota: quota.clone(),
        },
        Event::HeaderUnreadable {
            quota,
            name: http::HeaderName::from_static("x-left"),
            example: "38/40".to_owned(),
        },
        Event::QuotaStoreFailed {
            error: error.clone(),
        },
        Event::SecondLedger,
        Event::LiteralSecret {
            key: "bearer".to_owned(),
        },
        Event::CredentialsRedirected {
            host: "elsewhere.example".to_owned(),
        },
        Event::Refused { error },
    ]
}

/// What a recorder has, as `name{label=value,…}` and its value.
fn recorded(events: &[Event]) -> BTreeMap<String, String> {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let account: Arc<str> = "acme".into();
    with_local_recorder(&recorder, || {
        events.iter().for_each(|event| record(&account, event));
    });
    let shown = |value: DebugValue| match value {
        DebugValue::Counter(count) => count.to_string(),
        DebugValue::Histogram(values) => format!("{values:?}"),
        DebugValue::Gauge(value) => format!("gauge {value}"),
    };
    let entries = snapshotter.snapshot().into_vec().into_iter();
    entries
        .map(|(key, _, _, value)| {
            let (name, labels) = key.key().clone().into_parts();
            let labels: Vec<_> = labels
                .iter()
                .map(|label| format!("{}={}", label.key(), label.value()))
                .collect();
            let name = format!("{}{{{}}}", name.as_str(), labels.join(","));
            (name, shown(value))
        })
        .collect()
}

#[test]
fn every_event_is_counted_under_its_documented_name_and_labels() {
    let expected = [
        ("tollgate_literal_secrets_total{account=acme}", "1"),
        (
            "tollgate_unreadable_headers_total{account=acme,quota=search}",
            "1",
        ),
        (
            "tollgate_quota_rejections_total{account=acme,quota=search}",
            "1",
        ),
        (
            "tollgate_quota_reopenings_total{account=acme,quota=search}",
            "1",
        ),
        (
            "tollgate_limits_differing_total{account=acme,quota=search}",
            "1",
        ),
        (
            "tollgate_windows_learned_total{account=acme,quota=search}",
            "1",
        ),
        (
            "tollgate_windows_forgotten_total{account=acme,quota=search}",
            "1",
        ),
        (
            "tollgate_headers_disbelieved_total{account=acme,quota=search}",
            "1",
        ),
        (
            "tollgate_pauses_capped_total{account=acme,quota=search}",
            "1",
        ),
        (
            "tollgate_evidence_forgotten_total{account=acme,quota=search}",
            "1",
        ),
        ("tollgate_quota_save_failures_total{account=acme}", "1"),
        (
            "tollgate_quota_wait_seconds{account=acme,quota=search}",
            "[1.5]",
        ),
        ("tollgate_redirected_credentials_total{account=acme}", "1"),
        (
            "tollgate_refusals_total{account=acme,kind=token_endpoint}",
            "1",
        ),
        (
            "tollgate_replays_total{account=acme,reason=rate_limited}",
            "1",
        ),
        (
            "tollgate_request_seconds{account=acme,quota=search}",
            "[1.5]",
        ),
        (
            "tollgate_requests_total{account=acme,quota=search,status=4xx}",
            "1",
        ),
        (
            "tollgate_requests_total{account=acme,quota=search,status=lost}",
            "1",
        ),
        ("tollgate_higher_limits_total{account=acme}", "1"),
        ("tollgate_second_ledgers_total{account=acme}", "1"),
        ("tollgate_refresh_tokens_expiring_total{account=acme}", "1"),
        ("tollgate_unusual_token_types_total{account=acme}", "1"),
        ("tollgate_logins_replaced_total{account=acme}", "1"),
        (
            "tollgate_token_saves_total{account=acme,outcome=superseded}",
            "1",
        ),
        (
            "tollgate_token_failures_total{account=acme,kind=abandoned}",
            "1",
        ),
        (
            "tollgate_token_failures_total{account=acme,kind=token_endpoint}",
            "1",
        ),
        (
            "tollgate_token_rejections_total{account=acme,verdict=storm}",
            "1",
        ),
        (
            "tollgate_token_renewals_total{account=acme,reason=adopted}",
            "1",
        ),
        (
            "tollgate_token_renewals_total{account=acme,reason=manual}",
            "1",
        ),
        ("tollgate_token_request_seconds{account=acme}", "[1.5]"),
        (
            "tollgate_token_requests_total{account=acme,reason=manual}",
            "1",
        ),
        ("tollgate_token_rotations_total{account=acme}", "1"),
        (
            "tollgate_token_saves_total{account=acme,outcome=failed}",
            "1",
        ),
        (
            "tollgate_token_saves_total{account=acme,outcome=saved}",
            "1",
        ),
        ("tollgate_token_wait_seconds{account=acme}", "[1.5]"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(recorded(&events()), BTreeMap::from(expected));
}

#[test]
fn no_event_is_left_out() {
    for event in events() {
        let counted = recorded(std::slice::from_ref(&event));
        assert!(!counted.is_empty(), "{event:?}");
    }
}

/// The table in this module's documentation, the descriptions and what is recorded are the same.
#[test]
fn the_documented_metrics_are_those_there_are() {
    let name = |line: &str| {
        let row = line.strip_prefix("//! | `")?;
        Some(row.split_once('`')?.0.to_owned())
    };
    let documented: BTreeSet<_> = include_str!("mod.rs").lines().filter_map(name).collect();
    let bare = |name: String| name.split('{').next().unwrap_or_default().to_owned();
    let counted: BTreeSet<_> = recorded(&events()).into_keys().map(bare).collect();
    assert_eq!(documented, counted);

    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let account: Arc<str> = "acme".into();
    with_local_recorder(&recorder, || {
        describe();
        events().iter().for_each(|event| record(&account, event));
    });
    for (key, unit, text, _) in snapshotter.snapshot().into_vec() {
        let expected = match key.kind() {
            MetricKind::Histogram => Unit::Seconds,
            _ => Unit::Count,
        };
        assert_eq!(unit, Some(expected), "{key:?}");
        assert!(text.is_some(), "{key:?}");
    }
}
