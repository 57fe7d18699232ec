use std::time::SystemTime;

use super::*;
use crate::clock::Moment;

type Row<'r> = (
    &'r str,
    u16,
    &'r [(HeaderName, &'static str)],
    Option<Option<Duration>>,
);

/// By an answer that arrives 30 s before 2026.
fn told(status: u16, lines: &[(HeaderName, &'static str)]) -> Option<Option<Duration>> {
    let now = Now {
        moment: Moment::after_start(Duration::from_secs(1_000)),
        wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600 - 30),
    };
    let lines = lines.iter().cloned();
    let headers = lines.map(|(name, value)| (name, value.parse().expect(value)));
    let status = StatusCode::from_u16(status).expect("a status");
    rejection(status, &headers.collect(), &now)
}

/// How `Retry-After` is read is tested with it.
#[test]
fn a_429_is_a_rejection_and_a_503_that_says_when_and_nothing_else() {
    use http::header::{DATE, RETRY_AFTER};
    let seconds = |seconds| Some(Some(Duration::from_secs(seconds)));
    let rows: [Row<'_>; 10] = [
        ("DigiKey", 429, &[(RETRY_AFTER, "12397")], seconds(12_397)),
        (
            "a server with a clock of its own, as Python's formatdate() writes it",
            429,
            &[
                (DATE, "Wed, 31 Dec 2025 23:59:50 -0000"),
                (RETRY_AFTER, "Thu, 01 Jan 2026 00:00:00 -0000"),
            ],
            seconds(10),
        ),
        ("nginx: a bare 429", 429, &[], Some(None)),
        ("now", 429, &[(RETRY_AFTER, "0")], Some(None)),
        ("a broken server", 429, &[(RETRY_AFTER, "soon")], Some(None)),
        (
            "Binner's DigiKey; HAProxy: 503 that says when",
            503,
            &[(RETRY_AFTER, "5")],
            seconds(5),
        ),
        ("a server that is down", 503, &[], None),
        (
            "a server that is down and broken",
            503,
            &[(RETRY_AFTER, "0")],
            None,
        ),
        (
            "Flask-Limiter, slowapi: on every 200",
            200,
            &[(RETRY_AFTER, "60")],
            None,
        ),
        ("RFC 9110: on a redirect", 301, &[(RETRY_AFTER, "60")], None),
    ];
    for (who, status, lines, expected) in rows {
        assert_eq!(told(status, lines), expected, "{who}");
    }
}
