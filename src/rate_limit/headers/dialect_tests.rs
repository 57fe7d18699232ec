//! Every dialect of the header fields, by who sends it.
//!
//! A row: who sends it, the window that is configured, the status and the lines of an answer, and
//! what they say. The answers arrive 30 s before 2026 (1767225600), by both clocks.

use http::{HeaderName, HeaderValue, StatusCode};

use super::super::quota_line::rejection;
use super::*;
use crate::clock::Moment;
use std::time::SystemTime;

const NEW_YEAR: u64 = 1_767_225_600;
const MONTH: f64 = 32.0 * 86_400.0;

struct Row {
    sent_by: &'static str,
    window: &'static str,
    status: u16,
    lines: &'static [&'static str],
    limit: Option<u64>,
    remaining: Option<u64>,
    /// In seconds.
    reset: Option<f64>,
    /// How long everybody pauses, if it is a rejection that says so.
    pause: Option<f64>,
}

/// An answer that says nothing.
const SILENT: Row = Row {
    sent_by: "",
    window: "10/min",
    status: 200,
    lines: &[],
    limit: None,
    remaining: None,
    reset: None,
    pause: None,
};

const fn reset(sent_by: &'static str, lines: &'static [&'static str], reset: f64) -> Row {
    Row {
        sent_by,
        lines,
        reset: Some(reset),
        ..SILENT
    }
}

const fn silent(sent_by: &'static str, lines: &'static [&'static str]) -> Row {
    Row {
        sent_by,
        lines,
        ..SILENT
    }
}

const fn pause(sent_by: &'static str, lines: &'static [&'static str], pause: f64) -> Row {
    Row {
        sent_by,
        lines,
        status: 429,
        pause: Some(pause),
        ..SILENT
    }
}

/// A rejection that does not say how long.
const fn bare(sent_by: &'static str, lines: &'static [&'static str]) -> Row {
    Row {
        sent_by,
        lines,
        status: 429,
        ..SILENT
    }
}

#[track_caller]
fn check(rows: &[Row]) {
    let now = Now {
        moment: Moment::after_start(Duration::from_secs(1_000)),
        wall: SystemTime::UNIX_EPOCH + Duration::from_secs(NEW_YEAR - 30),
    };
    for row in rows {
        let window: Window = row.window.parse().expect(row.sent_by);
        let fields = Fields::of(&window);
        let headers = headers(row.lines);
        let told = read(&[fields], &headers, now);
        let said = told.readings.first().copied().unwrap_or_default();
        let status = StatusCode::from_u16(row.status).expect("a status");
        let pause = rejection(status, &headers, &now).flatten();
        let seconds = |span: Option<Duration>| span.map(|span| span.as_secs_f64());
        assert_eq!(
            (
                said.limit,
                said.remaining,
                seconds(said.reset),
                seconds(pause)
            ),
            (row.limit, row.remaining, row.reset, row.pause),
            "{}: {:?}",
            row.sent_by,
            row.lines
        );
    }
}

fn headers(lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").expect("name: value");
        let name: HeaderName = name.parse().expect("a name");
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect(line));
    }
    headers
}

#[test]
fn each_way_to_write_a_reset_is_understood() {
    check(&[
        Row {
            window: "1000/utc-day",
            ..reset(
                "DigiKey, official documentation: seconds to go",
                &["X-RateLimit-Reset: 28416"],
                28_416.0,
            )
        },
        Row {
            window: "1000/utc-day",
            ..reset(
                "DigiKey, source document 003: Unix time",
                &["X-RateLimit-Reset: 1767225600"],
                30.0,
            )
        },
        reset(
            "DigiKey on a 429: the date goes before the number",
            &[
                "X-BurstLimit-Reset: 44",
                "X-BurstLimit-ResetTime: 2026-01-01T00:00:00Z",
            ],
            30.0,
        ),
        Row {
            window: "1000/utc-day",
            ..reset(
                "TE Connectivity: milliseconds to go",
                &["X-RateLimit-Reset: 86382593"],
                86_382.593,
            )
        },
        reset(
            "Sourcengine: Unix time",
            &["X-Rate-Limit-Reset: 1767225600"],
            30.0,
        ),
        reset(
            "express-rate-limit, legacy: Unix time",
            &["X-RateLimit-Reset: 1767225585"],
            15.0,
        ),
        reset(
            "Date.now() of JavaScript servers",
            &["X-RateLimit-Reset: 1767225600000"],
            30.0,
        ),
        reset(
            "time.time_ns() // 1000 of Python",
            &["X-RateLimit-Reset: 1767225600000000"],
            30.0,
        ),
        reset(
            "slowapi: Unix time with a fraction",
            &["X-RateLimit-Reset: 1767225600.25"],
            30.25,
        ),
        reset(
            "@fastify/rate-limit: seconds to go",
            &["X-RateLimit-Reset: 59"],
            59.0,
        ),
        reset(
            "a server that rounds up and adds one",
            &["X-RateLimit-Reset: 61"],
            61.0,
        ),
        reset(
            "a server with a clock of its own: its Date is the base",
            &[
                "Date: Wed, 31 Dec 2025 23:59:50 GMT",
                "X-RateLimit-Reset: 1767225600",
            ],
            10.0,
        ),
        reset(
            "RFC 3339",
            &["X-RateLimit-Reset: 2026-01-01T01:00:00+01:00"],
            30.0,
        ),
        reset(
            "RFC 9110, a date",
            &["X-RateLimit-Reset: Thu, 01 Jan 2026 00:00:00 GMT"],
            30.0,
        ),
    ]);
}

#[test]
fn a_reset_that_is_none_is_absent_and_one_too_far_off_is_clamped() {
    check(&[
        silent("nginx, Arrow: no headers at all", &[]),
        silent("a broken server: garbage", &["X-RateLimit-Reset: soon"]),
        silent("a broken server: below zero", &["X-RateLimit-Reset: -5"]),
        silent(
            "an attacker: a digit that is none",
            &["X-RateLimit-Reset: ²"],
        ),
        silent(
            "an attacker: digits of another script",
            &["X-RateLimit-Reset: ٣٠"],
        ),
        silent("an attacker: no number", &["X-RateLimit-Reset: NaN"]),
        silent("an attacker: an exponent", &["X-RateLimit-Reset: 1e300"]),
        silent(
            "a late answer: over since 2001",
            &["X-RateLimit-Reset: 1000000000"],
        ),
        reset(
            "an attacker: huge",
            &["X-RateLimit-Reset: 99999999999999999999"],
            61.0,
        ),
        reset(
            "an attacker: years",
            &["X-RateLimit-Reset: 2094-01-01T00:00:00Z"],
            61.0,
        ),
        Row {
            remaining: Some(3),
            ..reset(
                "an attacker: years in structured fields",
                &[r#"RateLimit: "b";r=3;t=999999999999999"#],
                61.0,
            )
        },
    ]);
}

#[test]
fn each_family_and_each_draft_is_understood() {
    let three = Row {
        window: "100/min",
        limit: Some(100),
        remaining: Some(50),
        reset: Some(30.0),
        ..SILENT
    };
    check(&[
        Row {
            sent_by: "IETF draft 06, section 6.1",
            lines: &[
                "RateLimit-Limit: 100, 100;w=60",
                "RateLimit-Remaining: 50",
                "RateLimit-Reset: 30",
            ],
            ..three
        },
        Row {
            sent_by: "IETF draft 07; express-rate-limit, draft-7",
            lines: &[
                "RateLimit-Policy: 100;w=60",
                "RateLimit: limit=100, remaining=50, reset=30",
            ],
            ..three
        },
        Row {
            sent_by: "IETF drafts 08 and 09; express-rate-limit, draft-8, with its partition key",
            lines: &[
                r#"RateLimit-Policy: "100-in-1min"; q=100; w=60; pk=:YWJjZGVm:"#,
                r#"RateLimit: "100-in-1min"; r=50; t=30"#,
            ],
            ..three
        },
        Row {
            sent_by: "IETF draft 10: partition keys on both, and quota units",
            lines: &[
                r#"RateLimit-Policy: "peruser";q=100;w=60;qu="requests";pk=:cHsdsRa894==:"#,
                r#"RateLimit: "peruser";r=50;t=30;pk=:cHsdsRa894==:"#,
            ],
            ..three
        },
        Row {
            sent_by: "IETF draft 10: two partitions of one policy, and nobody says which is ours",
            lines: &[
                r#"RateLimit-Policy: "peruser";q=100;w=60"#,
                r#"RateLimit: "peruser";r=50;t=30;pk=:QQ==:, "peruser";r=90;t=7;pk=:Qg==:"#,
            ],
            ..three
        },
        Row {
            sent_by: "the same, the other way round, in two lines and without the policy",
            lines: &[
                r#"RateLimit: "peruser";r=90;t=7;pk=:Qg==:"#,
                r#"RateLimit: "peruser";r=50;t=30;pk=:QQ==:"#,
            ],
            limit: None,
            ..three
        },
        Row {
            sent_by: "the same, with as much left of each: until the later reset",
            lines: &[
                r#"RateLimit: "peruser";r=50;t=7;pk=:Qg==:, "peruser";r=50;t=30;pk=:QQ==:"#,
                r#"RateLimit-Policy: "peruser";q=100;w=60;pk=:Qg==:, "peruser";q=100;w=60;pk=:QQ==:"#,
            ],
            ..three
        },
        Row {
            sent_by: "the same, with a policy for each, and what is left of one",
            lines: &[
                r#"RateLimit-Policy: "peruser";q=100;w=60;pk=:Qg==:, "peruser";q=100;w=60;pk=:QQ==:"#,
                r#"RateLimit: "peruser";r=50;t=30;pk=:QQ==:"#,
            ],
            ..three
        },
        Row {
            sent_by: "the same, with a policy for each, and one is as it was configured",
            lines: &[
                r#"RateLimit-Policy: "peruser";q=9;w=60;pk=:Qg==:, "peruser";q=100;w=60;pk=:QQ==:"#,
                r#"RateLimit: "peruser";r=50;t=30;pk=:QQ==:, "peruser";r=2;t=7;pk=:Qg==:"#,
            ],
            ..three
        },
        Row {
            sent_by: "express-rate-limit, two limiters: two lines of each",
            lines: &[
                r#"RateLimit-Policy: "day"; q=1000; w=86400; pk=:MTI3:"#,
                r#"RateLimit-Policy: "minute"; q=100; w=60; pk=:MTI3:"#,
                r#"RateLimit: "day"; r=998; t=86400"#,
                r#"RateLimit: "minute"; r=50; t=30"#,
            ],
            ..three
        },
        Row {
            sent_by: "IBM API Connect",
            lines: &[
                "X-RateLimit-Limit: name=rate-limit,100;",
                "X-RateLimit-Remaining: name=rate-limit,50;",
            ],
            reset: None,
            ..three
        },
        Row {
            sent_by: "express-rate-limit, legacy; Kong; most others",
            lines: &[
                "X-RateLimit-Limit: 100",
                "X-RateLimit-Remaining: 50",
                "X-RateLimit-Reset: 30",
            ],
            ..three
        },
        Row {
            sent_by: "Sourcengine, as it shows them",
            lines: &[
                "X-Rate-Limit-Limit: 100",
                "X-Rate-Limit-Remaining: 50",
                "X-Rate-Limit-Reset: 1767225600",
            ],
            ..three
        },
        Row {
            sent_by: "DigiKey, the burst",
            lines: &[
                "X-BurstLimit-Limit: 100",
                "X-BurstLimit-Remaining: 50",
                "X-BurstLimit-ResetTime: Thu, 01 Jan 2026 00:00:00 GMT",
            ],
            ..three
        },
        Row {
            sent_by: "slowapi: counts with a fraction",
            lines: &[
                "X-RateLimit-Limit: 100.0",
                "X-RateLimit-Remaining: 50.0",
                "X-RateLimit-Reset: 1767225600.0",
            ],
            ..three
        },
    ]);
}

/// A limit of `1,000` was one of 1, to which the account slowed down.
#[test]
fn a_list_of_counts_is_its_first_and_a_count_in_groups_of_digits_is_none() {
    check(&[
        Row {
            window: "1/s",
            limit: Some(1),
            remaining: Some(0),
            ..silent(
                "Brave Search: the second, the month",
                &[
                    "X-RateLimit-Limit: 1, 2000",
                    "X-RateLimit-Remaining: 0, 1987",
                ],
            )
        },
        Row {
            window: "100/15min",
            limit: Some(200),
            ..silent(
                "Strava: the quarter of an hour, the day; no space",
                &["X-RateLimit-Limit: 200,2000"],
            )
        },
        silent(
            "Strava, if its day were short: as well the number that a template writes for people",
            &["X-RateLimit-Limit: 300,600"],
        ),
        Row {
            remaining: Some(999),
            ..silent(
                "number_format() of PHP, toLocaleString() of JavaScript; no server is known",
                &["X-RateLimit-Limit: 1,000", "X-RateLimit-Remaining: 999"],
            )
        },
        silent(
            "the same in a list of named limits",
            &[
                "X-RateLimit-Limit: name=hourly,1,000;",
                "X-RateLimit-Remaining: name=hourly,1,000;",
            ],
        ),
        reset(
            "the same of millions, in the IETF's names",
            &[
                "RateLimit-Limit: 4,000,000",
                "RateLimit-Remaining: 3,999,999",
                "RateLimit-Reset: 30",
            ],
            30.0,
        ),
        Row {
            limit: Some(100),
            remaining: Some(50),
            ..reset(
                "IETF draft 06 without a space: the policy tells the limit",
                &[
                    "RateLimit-Limit: 100,100;w=60",
                    "RateLimit-Remaining: 50",
                    "RateLimit-Reset: 30",
                ],
                30.0,
            )
        },
        silent("a reset in groups", &["X-RateLimit-Reset: 86,400"]),
        bare("a pause in groups", &["Retry-After: 1,000"]),
    ]);
}

#[test]
fn each_way_to_write_retry_after_is_understood_where_it_counts() {
    check(&[
        pause(
            "RFC 9110: seconds; DigiKey",
            &["Retry-After: 12397"],
            12_397.0,
        ),
        pause(
            "RFC 9110: a date",
            &["Retry-After: Thu, 01 Jan 2026 00:00:00 GMT"],
            30.0,
        ),
        pause(
            "RFC 9110, obsolete",
            &["Retry-After: Thursday, 01-Jan-26 00:00:00 GMT"],
            30.0,
        ),
        pause(
            "RFC 9110, obsolete",
            &["Retry-After: Thu Jan  1 00:00:00 2026"],
            30.0,
        ),
        pause(
            "Python's formatdate()",
            &["Retry-After: Thu, 01 Jan 2026 00:00:00 -0000"],
            30.0,
        ),
        pause(
            "a server with a clock of its own",
            &[
                "Date: Wed, 31 Dec 2025 23:59:50 -0000",
                "Retry-After: Thu, 01 Jan 2026 00:00:00 -0000",
            ],
            10.0,
        ),
        pause("Unix time by mistake", &["Retry-After: 1767225600"], 30.0),
        pause(
            "Unix milliseconds by mistake",
            &["Retry-After: 1767225600000"],
            30.0,
        ),
        pause("seconds with a fraction", &["Retry-After: 1.5"], 1.5),
        pause("an attacker: years", &["Retry-After: 99999999"], MONTH),
        Row {
            status: 503,
            ..pause(
                "Binner's DigiKey; HAProxy: 503 that says when",
                &["Retry-After: 5"],
                5.0,
            )
        },
        bare("nginx: a bare 429", &[]),
        bare("a server that says now", &["Retry-After: 0"]),
        bare(
            "a server whose clock is behind",
            &["Retry-After: Wed, 31 Dec 2025 23:59:00 GMT"],
        ),
        bare("Unix time that is over", &["Retry-After: 1767225500"]),
        bare("a broken server", &["Retry-After: soon"]),
        bare("an attacker: below zero", &["Retry-After: -5"]),
        bare("an attacker: a digit that is none", &["Retry-After: ²"]),
        bare("an attacker: no number", &["Retry-After: NaN"]),
        silent("Flask-Limiter, slowapi: on every 200", &["Retry-After: 60"]),
        Row {
            status: 301,
            ..silent("RFC 9110: on a redirect", &["Retry-After: 60"])
        },
    ]);
}
