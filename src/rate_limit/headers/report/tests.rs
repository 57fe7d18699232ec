//! Every dialect of the header fields, by who sends it: the lines of an answer, and its reports.
//! The answers arrive 30 s before 2026 (1767225600), by both clocks.

use std::time::SystemTime;

use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::clock::Moment;
use crate::rate_limit::window::Window;

const NEW_YEAR: u64 = 1_767_225_600;

fn now() -> Now {
    Now {
        moment: Moment::after_start(Duration::from_secs(1_000)),
        wall: SystemTime::UNIX_EPOCH + Duration::from_secs(NEW_YEAR - 30),
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

fn fields(windows: &[Window]) -> Vec<Fields> {
    windows.iter().map(Fields::of).collect()
}

/// `family: remaining of limit per length until reset`, each where it was told; `~` where the reset
/// is a bare number.
fn shown(report: &Report) -> String {
    let mut text = format!("{}:", report.family);
    if let Some(remaining) = report.remaining {
        text += &format!(" {remaining}");
    }
    if let Some(limit) = report.limit {
        text += &format!(" of {limit}");
    }
    if let Some(length) = report.length {
        text += &format!(" per {}", length.as_secs_f64());
    }
    if let Some(reset) = report.reset {
        let bare = if report.reset_is_bare { "~" } else { "" };
        text += &format!(" until {bare}{}", reset.as_secs_f64());
    }
    text
}

fn reported(windows: &[Window], lines: &[&str]) -> Vec<String> {
    let reports = reports(&fields(windows), &headers(lines), now());
    reports.iter().map(shown).collect()
}

type Row<'r> = (&'r str, &'r [&'r str], &'r [&'r str]);

/// With no window configured; and with two, which changes nothing.
#[track_caller]
fn check(rows: &[Row<'_>]) {
    let windows = [Window::per_minute(120), Window::per_utc_day(1000)];
    for (sent_by, lines, expected) in rows {
        assert_eq!(reported(&[], lines), *expected, "{sent_by}: {lines:?}");
        assert_eq!(reported(&windows, lines), *expected, "{sent_by}: {lines:?}");
    }
}

#[test]
fn each_family_of_three_fields_is_a_report() {
    check(&[
        ("nginx, Arrow: no headers at all", &[], &[]),
        (
            "any server",
            &["Content-Type: text/html", "X-Request-Id: 7"],
            &[],
        ),
        (
            "@fastify/rate-limit; express-rate-limit, legacy; most others",
            &[
                "X-RateLimit-Limit: 20",
                "X-RateLimit-Remaining: 19",
                "X-RateLimit-Reset: 2",
            ],
            &["X-RateLimit-*: 19 of 20 until ~2"],
        ),
        (
            "DigiKey on every answer: no reset",
            &["X-RateLimit-Limit: 1000", "X-RateLimit-Remaining: 17"],
            &["X-RateLimit-*: 17 of 1000"],
        ),
        (
            "DigiKey on a 429: both windows, and the date goes before the number",
            &[
                "X-RateLimit-Limit: 1000",
                "X-RateLimit-Remaining: 17",
                "X-BurstLimit-Limit: 120",
                "X-BurstLimit-Remaining: 0",
                "X-BurstLimit-Reset: 44",
                "X-BurstLimit-ResetTime: 2026-01-01T00:00:00Z",
            ],
            &[
                "X-RateLimit-*: 17 of 1000",
                "X-BurstLimit-*: 0 of 120 until 30",
            ],
        ),
        (
            "the same with a date that cannot be read",
            &["X-BurstLimit-Reset: 44", "X-BurstLimit-ResetTime: noon"],
            &["X-BurstLimit-*: until ~44"],
        ),
        (
            "X-Rate-Limit-*, with dashes; Sourcengine as it shows them",
            &[
                "X-Rate-Limit-Limit: 450",
                "X-Rate-Limit-Remaining: 449",
                "X-Rate-Limit-Reset: 1767225600",
            ],
            &["X-Rate-Limit-*: 449 of 450 until 30"],
        ),
        (
            "slowapi: counts and a time with a fraction",
            &[
                "X-RateLimit-Limit: 100.0",
                "X-RateLimit-Remaining: 50.0",
                "X-RateLimit-Reset: 1767225600.25",
            ],
            &["X-RateLimit-*: 50 of 100 until 30.25"],
        ),
        (
            "a limit alone",
            &["X-RateLimit-Limit: 20"],
            &["X-RateLimit-*: of 20"],
        ),
    ]);
}

#[test]
fn each_draft_of_the_ietf_is_a_report_with_its_length() {
    check(&[
        (
            "draft 06, section 6.1: the policy behind the limit",
            &[
                "RateLimit-Limit: 100, 100;w=60",
                "RateLimit-Remaining: 50",
                "RateLimit-Reset: 30",
            ],
            &["RateLimit-*: 50 of 100 per 60 until ~30"],
        ),
        (
            "the same without a space: the policy tells the limit",
            &["RateLimit-Limit: 100,100;w=60", "RateLimit-Remaining: 50"],
            &["RateLimit-*: 50 of 100 per 60"],
        ),
        (
            "draft 06 with two policies: the limit tells which of them is meant",
            &[
                "RateLimit-Limit: 1000, 100;w=60, 1000;w=3600",
                "RateLimit-Remaining: 7",
                "RateLimit-Reset: 1800",
            ],
            &[
                "RateLimit-*: 7 of 1000 per 3600 until ~1800",
                "RateLimit-*: of 100 per 60",
            ],
        ),
        (
            "Envoy: draft 03 under the older names, and names of its policies",
            &[
                r#"X-RateLimit-Limit: 10, 10;w=1;name="a, b", 1000;w=3600"#,
                "X-RateLimit-Remaining: 9",
                "X-RateLimit-Reset: 1",
            ],
            &[
                "X-RateLimit-*: 9 of 10 per 1 until ~1",
                "X-RateLimit-*: of 1000 per 3600",
            ],
        ),
        (
            "express-rate-limit 8, draft-6",
            &[
                "RateLimit-Policy: 20;w=2",
                "RateLimit-Limit: 20",
                "RateLimit-Remaining: 19",
                "RateLimit-Reset: 2",
            ],
            &["RateLimit-*: 19 of 20 per 2 until ~2"],
        ),
        (
            "express-rate-limit 8, draft-7",
            &[
                "RateLimit-Policy: 20;w=2",
                "RateLimit: limit=20, remaining=19, reset=2",
            ],
            &["RateLimit-*: 19 of 20 per 2 until 2"],
        ),
        (
            "the policy of a gateway is not that of the service behind it",
            &[
                "RateLimit-Policy: 5000;w=3600",
                "RateLimit: limit=20, remaining=19, reset=2",
            ],
            &[
                "RateLimit-*: 19 of 20 until 2",
                "RateLimit-*: of 5000 per 3600",
            ],
        ),
        (
            "draft 07 without a limit: that of its only policy",
            &[
                "RateLimit-Policy: 20;w=2",
                "RateLimit: remaining=19, reset=2",
            ],
            &["RateLimit-*: 19 of 20 per 2 until 2"],
        ),
        (
            "draft 07 without its policy, and not quite a dictionary",
            &["RateLimit: Limit=100;Remaining=50; Reset=5"],
            &["RateLimit-*: 50 of 100 until 5"],
        ),
        (
            "express-rate-limit 8, draft-8: the partition of the policy alone",
            &[
                r#"RateLimit: "burst"; r=19; t=2"#,
                r#"RateLimit-Policy: "burst"; q=20; w=2; pk=:MTI3LjAuMC4x:"#,
            ],
            &[r#"RateLimit "burst": 19 of 20 per 2 until 2"#],
        ),
        (
            "the same of two limiters: two lines of each",
            &[
                r#"RateLimit: "burst"; r=19; t=2"#,
                r#"RateLimit: "day"; r=998; t=86400"#,
                r#"RateLimit-Policy: "burst"; q=20; w=2; pk=:MTI3:"#,
                r#"RateLimit-Policy: "day"; q=1000; w=86400; pk=:MTI3:"#,
            ],
            &[
                r#"RateLimit "burst": 19 of 20 per 2 until 2"#,
                r#"RateLimit "day": 998 of 1000 per 86400 until 86400"#,
            ],
        ),
        (
            "both in one line, in another order, named by tokens",
            &[
                "RateLimit: day;r=998;t=86400, burst;r=19;t=2",
                "RateLimit-Policy: burst;q=20;w=2, day;q=1000;w=86400",
            ],
            &[
                r#"RateLimit "day": 998 of 1000 per 86400 until 86400"#,
                r#"RateLimit "burst": 19 of 20 per 2 until 2"#,
            ],
        ),
        (
            "numbers below zero and decimals are no counts",
            &[r#"RateLimit: "burst";r=-5;t=1.5"#],
            &[],
        ),
        (
            "draft 10: of two partitions nobody says which is ours: each is a family",
            &[
                r#"RateLimit-Policy: "peruser";q=100;w=60"#,
                r#"RateLimit: "peruser";r=50;t=30;pk=:QQ==:, "peruser";r=90;t=7;pk=:Qg==:"#,
            ],
            &[
                r#"RateLimit "peruser" of A: 50 of 100 per 60 until 30"#,
                r#"RateLimit "peruser" of B: 90 of 100 per 60 until 7"#,
            ],
        ),
        (
            "the same, with a policy for each, and what is left of one",
            &[
                r#"RateLimit-Policy: "peruser";q=9;w=60;pk=:Qg==:, "peruser";q=100;w=60;pk=:QQ==:"#,
                r#"RateLimit: "peruser";r=50;t=30;pk=:QQ==:"#,
            ],
            &[
                r#"RateLimit "peruser" of A: 50 of 100 per 60 until 30"#,
                r#"RateLimit "peruser" of B: of 9 per 60"#,
            ],
        ),
        (
            "the same partition twice: the least left, then the later reset",
            &[
                r#"RateLimit: "a";r=9;t=7, "a";r=5;t=3"#,
                r#"RateLimit: "b";r=5;t=7, "b";r=5;t=9"#,
            ],
            &[r#"RateLimit "a": 5 until 3"#, r#"RateLimit "b": 5 until 9"#],
        ),
        (
            "draft 10, quota units: bytes are no requests",
            &[
                r#"RateLimit: "bytes";r=5;t=9, "calls";r=7;t=9"#,
                r#"RateLimit-Policy: "bytes";q=99;w=60;qu="content-bytes", "calls";q=100;w=60"#,
            ],
            &[r#"RateLimit "calls": 7 of 100 per 60 until 9"#],
        ),
        (
            "a policy alone, and a line that is malformed",
            &[
                r#"RateLimit: "burst;r=50;t=5"#,
                r#"RateLimit-Policy: "burst";q=100;w=60"#,
            ],
            &[r#"RateLimit "burst": of 100 per 60"#],
        ),
        (
            "express-rate-limit, draft-7 and legacy at once",
            &[
                "RateLimit-Policy: 20;w=2",
                "RateLimit: limit=20, remaining=18, reset=1",
                "X-RateLimit-Limit: 20",
                "X-RateLimit-Remaining: 18",
                "X-RateLimit-Reset: 1767225600",
            ],
            &[
                "RateLimit-*: 18 of 20 per 2 until 1",
                "X-RateLimit-*: 18 of 20 until 30",
            ],
        ),
    ]);
}

#[test]
fn names_that_end_in_a_unit_tell_the_length() {
    check(&[
        (
            "Kong: a line for each of its windows, and the IETF's for the tightest",
            &[
                "RateLimit-Limit: 5",
                "RateLimit-Remaining: 4",
                "RateLimit-Reset: 54",
                "X-RateLimit-Limit-Minute: 5",
                "X-RateLimit-Remaining-Minute: 4",
                "X-RateLimit-Limit-Hour: 100",
                "X-RateLimit-Remaining-Hour: 98",
            ],
            &[
                "RateLimit-*: 4 of 5 until ~54",
                "X-RateLimit-*-Minute: 4 of 5 per 60",
                "X-RateLimit-*-Hour: 98 of 100 per 3600",
            ],
        ),
        (
            "every unit, under every prefix",
            &[
                "X-RateLimit-Remaining-Second: 1",
                "X-Rate-Limit-Remaining-Day: 2",
                "RateLimit-Remaining-Month: 3",
            ],
            &[
                "X-RateLimit-*-Second: 1 per 1",
                "X-Rate-Limit-*-Day: 2 per 86400",
                "RateLimit-*-Month: 3 per 2678400",
            ],
        ),
        (
            "tokens are no length, and no requests",
            &[
                "X-RateLimit-Remaining-Tokens: 3",
                "X-RateLimit-Remainings: 3",
            ],
            &[],
        ),
    ]);
}

#[test]
fn each_limit_of_a_list_with_names_is_a_family() {
    check(&[
        (
            "IBM API Connect",
            &[
                "X-RateLimit-Limit: name=rate-limit,100;",
                "X-RateLimit-Remaining: name=rate-limit,99;",
                "X-RateLimit-Reset: 30",
            ],
            &[r#"X-RateLimit-* "rate-limit": 99 of 100 until ~30"#],
        ),
        (
            "IBM API Connect with two limits: whose the reset is, nobody knows",
            &[
                "X-RateLimit-Limit: name=hourly,100;name=daily,1000;",
                "X-RateLimit-Remaining: name=hourly,9; name=daily,909;",
                "X-RateLimit-Reset: 30",
            ],
            &[
                r#"X-RateLimit-* "hourly": 9 of 100"#,
                r#"X-RateLimit-* "daily": 909 of 1000"#,
            ],
        ),
        (
            "a count in groups of digits",
            &[
                "X-RateLimit-Limit: name=hourly,1,000;",
                "X-RateLimit-Remaining: name=hourly,1,000;",
            ],
            &[],
        ),
    ]);
}

#[test]
fn several_lines_of_one_name_are_the_gateways_report_and_the_services() {
    check(&[
        (
            "a gateway in front of a service: by their places in the lines",
            &[
                "X-RateLimit-Limit: 5000",
                "X-RateLimit-Limit: 20",
                "X-RateLimit-Remaining: 4990",
                "X-RateLimit-Remaining: 3",
                "X-RateLimit-Reset: 1800",
                "X-RateLimit-Reset: 2",
            ],
            &[
                "X-RateLimit-*: 4990 of 5000 until ~1800",
                "X-RateLimit-*: 3 of 20 until ~2",
            ],
        ),
        (
            "the same, joined on the way (RFC 9110 section 5.3)",
            &[
                "X-RateLimit-Limit: 5000, 20",
                "X-RateLimit-Remaining: 4990, 3",
                "X-RateLimit-Reset: 1800, 2",
            ],
            &[
                "X-RateLimit-*: 4990 of 5000 until ~1800",
                "X-RateLimit-*: 3 of 20 until ~2",
            ],
        ),
        (
            "of the same limit, the least left",
            &[
                "X-RateLimit-Limit: 20",
                "X-RateLimit-Limit: 20",
                "X-RateLimit-Remaining: 19",
                "X-RateLimit-Remaining: 3",
            ],
            &["X-RateLimit-*: 3 of 20"],
        ),
        (
            "draft 07, of the same limit, the least left",
            &[
                "RateLimit: limit=20, remaining=3, reset=2",
                "RateLimit: limit=20, remaining=19, reset=1",
            ],
            &["RateLimit-*: 3 of 20 until 2"],
        ),
        (
            "what came twice is one",
            &[
                "X-RateLimit-Limit: 20",
                "X-RateLimit-Remaining: 19",
                "X-RateLimit-Remaining: 19",
            ],
            &["X-RateLimit-*: 19 of 20"],
        ),
        (
            "two limits and one remainder: whose it is, nobody knows",
            &[
                "X-RateLimit-Limit: 5000",
                "X-RateLimit-Limit: 20",
                "X-RateLimit-Remaining: 3",
                "X-RateLimit-Reset: 2",
            ],
            &[
                "X-RateLimit-*: 3 until ~2",
                "X-RateLimit-*: of 5000",
                "X-RateLimit-*: of 20",
            ],
        ),
        (
            "one reset and two remainders: whose it is, nobody knows",
            &[
                "X-RateLimit-Remaining: 3",
                "X-RateLimit-Remaining: 0",
                "X-RateLimit-Reset: 3600",
            ],
            &["X-RateLimit-*: 0"],
        ),
        (
            "Brave Search: the second and the month",
            &[
                "X-RateLimit-Limit: 1, 2000",
                "X-RateLimit-Policy: 1;w=1, 2000;w=2592000",
                "X-RateLimit-Remaining: 0, 1987",
                "X-RateLimit-Reset: 1, 1419704",
            ],
            &[
                "X-RateLimit-*: 0 of 1 per 1 until ~1",
                "X-RateLimit-*: 1987 of 2000 per 2592000 until ~1419704",
            ],
        ),
        (
            "Strava: the quarter of an hour, the day; no space",
            &["X-RateLimit-Limit: 200,2000"],
            &["X-RateLimit-*: of 200", "X-RateLimit-*: of 2000"],
        ),
        (
            "the same, if the day were short: it may be one number as well",
            &["X-RateLimit-Limit: 300,600"],
            &[],
        ),
        (
            "a number that a template writes for people, or two numbers",
            &["X-RateLimit-Limit: 1,000", "X-RateLimit-Remaining: 999"],
            &["X-RateLimit-*: 999"],
        ),
        (
            "the same of millions",
            &[
                "RateLimit-Limit: 4,000,000",
                "RateLimit-Remaining: 3,999,999",
                "RateLimit-Reset: 30",
            ],
            &["RateLimit-*: until ~30"],
        ),
    ]);
}

#[test]
fn a_limit_that_cannot_be_is_absent() {
    check(&[
        (
            "more remains than there is",
            &["X-RateLimit-Limit: 20", "X-RateLimit-Remaining: 21"],
            &["X-RateLimit-*: 21"],
        ),
        (
            "the first request is not counted yet",
            &["X-RateLimit-Limit: 20", "X-RateLimit-Remaining: 20"],
            &["X-RateLimit-*: 20 of 20"],
        ),
        ("nothing", &["X-RateLimit-Limit: 0"], &[]),
        (
            "nothing of nothing",
            &["X-RateLimit-Limit: 0", "X-RateLimit-Remaining: 0"],
            &["X-RateLimit-*: 0"],
        ),
        (
            "the highest",
            &["X-RateLimit-Limit: 1099511627776"],
            &["X-RateLimit-*: of 1099511627776"],
        ),
        (
            "higher",
            &[
                "X-RateLimit-Limit: 1099511627777",
                "X-RateLimit-Remaining: 1099511627777",
            ],
            &[],
        ),
        ("2⁶⁴", &["X-RateLimit-Limit: 18446744073709551616"], &[]),
        (
            "below zero",
            &["X-RateLimit-Limit: -1", "X-RateLimit-Remaining: -1"],
            &[],
        ),
        (
            "structured, and no window lasts nothing",
            &[r#"RateLimit: "b";r=5"#, r#"RateLimit-Policy: "b";q=0;w=0"#],
            &[r#"RateLimit "b": 5"#],
        ),
    ]);
}

#[test]
fn each_way_to_write_a_reset_is_understood() {
    let row = |value: &str, expected: &str| {
        let line = format!("X-RateLimit-Reset: {value}");
        let expected = format!("X-RateLimit-*: until {expected}");
        assert_eq!(reported(&[], &[&line]), [expected], "{value}");
    };
    // DigiKey, official documentation; its source document 003.
    row("28416", "~28416");
    row("1767225600", "30");
    // TE Connectivity: milliseconds, which only the window can tell.
    row("86382593", "~86382593");
    row("999999999", "~999999999");
    // Date.now() of JavaScript, time.time_ns() // 1000 of Python.
    row("1767225600000", "30");
    row("1767225600000000", "30");
    row("2026-01-01T01:00:00+01:00", "30");
    row("2026-01-01 00:00:00", "30");
    row("Thu, 01 Jan 2026 00:00:00 GMT", "30");
    // Go's durations; ISO 8601's.
    row("6m0s", "360");
    row("1.5s", "1.5");
    row("3000ms", "3");
    row("PT3S", "3");
    row("0", "~0");
    for nothing in [
        "soon",
        "-5",
        "²",
        "٣٠",
        "NaN",
        "1e300",
        "38/40",
        "1,000",
        "86,400",
        "99999999999999999999",
        "2094-01-01T00:00:00Z",
        "1000000000",
        "2025-12-31T23:59:00Z",
    ] {
        let line = format!("X-RateLimit-Reset: {nothing}");
        assert_eq!(reported(&[], &[&line]), [""; 0], "{nothing}");
    }
}

#[test]
fn a_reset_is_at_most_400_days_off() {
    let date = "Date: Wed, 31 Dec 2025 23:59:30 GMT";
    for value in ["99999999999999999999", "2094-01-01T00:00:00Z"] {
        let line = format!("X-RateLimit-Reset: {value}");
        let expected = "X-RateLimit-*: until 34560000";
        assert_eq!(reported(&[], &[date, &line]), [expected], "{value}");
    }
    let structured = r#"RateLimit: "b";r=3;t=999999999999999"#;
    let expected = r#"RateLimit "b": 3 until 34560000"#;
    assert_eq!(reported(&[], &[structured]), [expected]);
}

#[test]
fn a_reset_beside_a_retry_after_of_a_thousandth_is_in_milliseconds() {
    let row = |reset: &str, retry_after: &str, expected: &str| {
        let reset = format!("X-RateLimit-Reset: {reset}");
        let retry_after = format!("Retry-After: {retry_after}");
        let expected = format!("X-RateLimit-*: until {expected}");
        assert_eq!(reported(&[], &[&reset, &retry_after]), [expected]);
    };
    // TE Connectivity's 429 of the minute.
    row("42000", "42", "42");
    row("41250", "42", "41.25");
    row("42000", "41", "42");
    row("2000", "2", "2");
    row("86382593", "86383", "86382.593");
    // A bucket that is full after a while, and has its next token soon.
    row("2100", "2", "~2100");
    row("900", "1", "~900");
    row("5", "1", "~5");
    row("42", "42", "~42");
    row("42000", "42000", "~42000");
    row("42000", "7", "~42000");
    row("42000", "soon", "~42000");
}

#[test]
fn a_time_is_measured_by_the_answers_own_clock_or_is_near() {
    let day = format!("X-RateLimit-Reset: {}", NEW_YEAR + 86_400);
    let date = "Date: Wed, 31 Dec 2025 23:59:50 GMT";
    let two_hours = format!("X-RateLimit-Reset: {}", NEW_YEAR - 30 + 7_200);
    let over = "X-RateLimit-Reset: 1767225560";
    let until = |seconds: &str| vec![format!("X-RateLimit-*: until {seconds}")];
    assert_eq!(reported(&[], &[date, &day]), until("86410"));
    let windows = |text: &str| [text.parse::<Window>().expect("a window")];
    // Without a `Date` it may be an hour off, or twice a window that is longer than that.
    assert_eq!(reported(&[], &[&day]), [""; 0]);
    assert_eq!(
        reported(&[], &["X-RateLimit-Reset: 1767229170"]),
        until("3600")
    );
    assert_eq!(reported(&[], &["X-RateLimit-Reset: 1767229171"]), [""; 0]);
    assert_eq!(reported(&windows("10/s"), &[&day]), [""; 0]);
    assert_eq!(reported(&windows("10/s"), &[&two_hours]), until("7200"));
    assert_eq!(reported(&windows("10/utc-day"), &[&day]), until("86430"));
    // A window that names its headers knows how far.
    let named = |length| {
        let window = Window::new(10, Duration::from_secs(length));
        [window.reset_header("X-RateLimit-Reset")]
    };
    let told = ["the headers named for window 1: until 30"];
    let line = ["X-RateLimit-Reset: 1767225600"];
    assert_eq!(reported(&named(15), &line), told);
    assert_eq!(reported(&named(14), &line), [""; 0]);
    // Over, by either clock.
    assert_eq!(reported(&[], &[date, over]), [""; 0]);
    assert_eq!(reported(&[], &[over]), [""; 0]);
    assert_eq!(
        reported(&[], &[date, "X-RateLimit-Reset: 1767225590"]),
        until("0"),
    );
}

#[test]
fn a_window_that_names_its_headers_has_them_alone() {
    let named = Window::per_minute(30)
        .limit_header("X-RateLimit-Limit")
        .remaining_header("X-RateLimit-Remaining")
        .reset_header("X-Own-Reset")
        .reset_unit(ResetUnit::Milliseconds);
    let lines = [
        "X-RateLimit-Limit: 30",
        "X-RateLimit-Remaining: 3",
        "X-RateLimit-Reset: 7",
        "X-Own-Reset: 42000",
        "RateLimit-Remaining: 9",
    ];
    let expected = [
        "the headers named for window 1: 3 of 30 until 42",
        // What it does not name is for all.
        "X-RateLimit-*: until ~7",
        "RateLimit-*: 9",
    ];
    assert_eq!(reported(std::slice::from_ref(&named), &lines), expected);
    let windows = [named, Window::per_utc_day(1000)];
    assert_eq!(reported(&windows, &lines), expected);
}

#[test]
fn a_named_header_may_be_a_list_and_may_have_several_lines() {
    let window = |limit| {
        let window = Window::per_utc_day(limit).limit_header("X-Limit");
        [window.remaining_header("X-Left")]
    };
    let lists = [
        "X-Limit: name=hourly,100;name=daily,1000;",
        "X-Left: name=hourly,9; name=daily,909;",
    ];
    let named = "the headers named for window 1";
    assert_eq!(
        reported(&window(1000), &lists),
        [format!("{named}: 909 of 1000")]
    );
    assert_eq!(reported(&window(7), &lists), [""; 0]);
    let one = ["X-Limit: name=daily,1000;", "X-Left: name=daily,909;"];
    assert_eq!(
        reported(&window(7), &one),
        [format!("{named}: 909 of 1000")]
    );
    let two = ["X-Limit: 1000", "X-Limit: 20", "X-Left: 9", "X-Left: 3"];
    let both = [format!("{named}: 9 of 1000"), format!("{named}: 3 of 20")];
    assert_eq!(reported(&window(1000), &two), both);
    let policy = ["X-Limit: 100, 100;w=60", "X-Left: 50"];
    let with_length = format!("{named}: 50 of 100 per 60");
    assert_eq!(reported(&window(1000), &policy), [with_length]);
}

#[test]
fn a_unit_of_a_window_without_names_is_that_of_the_usual_ones() {
    let window = Window::per_minute(30).reset_unit(ResetUnit::Milliseconds);
    let told = reported(&[window], &["X-RateLimit-Reset: 7000"]);
    assert_eq!(told, ["X-RateLimit-*: until 7"]);
}

#[test]
fn an_answer_of_a_megabyte_says_what_its_first_4_kb_say() {
    let state = |index: usize| format!(r#""p{index}";r={index};t=9"#);
    let structured: Vec<_> = (0..60_000).map(state).collect();
    let rows = [
        ("RateLimit", structured.join(", ")),
        ("RateLimit-Policy", vec!["100;w=60"; 100_000].join(", ")),
        ("X-RateLimit-Limit", vec!["20"; 300_000].join(", ")),
        ("X-RateLimit-Limit", "name=a,7;".repeat(100_000)),
        (
            "X-RateLimit-Limit",
            format!("20,{}30", " ".repeat(1_000_000)),
        ),
        ("X-RateLimit-Reset", "7, ".repeat(400_000)),
        ("X-RateLimit-Remaining", "9".repeat(1_000_000)),
        ("RateLimit", "limit=7, remaining=5, ".repeat(50_000)),
    ];
    for (name, value) in rows {
        let whole = format!("{name}: {value}");
        let begin = format!("{name}: {}", &value[..4096]);
        let cut = match begin.rsplit_once(',') {
            Some((cut, _)) => cut,
            None => name,
        };
        let found = reported(&[], &[&whole]);
        assert!(found.len() <= MOST_MEMBERS, "{name}: {}", found.len());
        let of_cut = if cut == name {
            vec![]
        } else {
            reported(&[], &[cut])
        };
        assert_eq!(found, of_cut, "{name}");
    }
}

#[test]
fn the_rest_of_an_answer_is_not_looked_at() {
    let long = format!("RateLimit-Policy: {}", "100;w=60, ".repeat(500));
    let behind = "X-RateLimit-Remaining: 7";
    assert_eq!(
        reported(&[], &[&long, behind]),
        ["RateLimit-*: of 100 per 60"]
    );
    let many: Vec<_> = (0..40)
        .map(|index| format!(r#"RateLimit: "p{index}";r={index}"#))
        .collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let found = reported(&[], &many);
    assert_eq!(found.len(), MOST_MEMBERS);
    assert_eq!(found[0], r#"RateLimit "p0": 0"#);
    let mut empty = vec!["X-RateLimit-Remaining: "; 1_000];
    empty.push("X-RateLimit-Remaining: 7");
    assert_eq!(reported(&[], &empty), [""; 0]);
    // A window's own headers are looked at first.
    let window = Window::per_minute(9).remaining_header("X-Left");
    let named = "the headers named for window 1: 3";
    let found = reported(&[window], &[&long, "X-Left: 3"]);
    assert_eq!(found, [named, "RateLimit-*: of 100 per 60"]);
}

#[test]
fn a_family_is_shown_in_one_line() {
    let long = "x".repeat(100);
    let lines = [
        format!("X-RateLimit-Limit: name=a\u{202e}\u{2028}b{long},7;"),
        r#"RateLimit: "c";r=5;pk=:AQoK:"#.to_owned(),
    ];
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let found = reported(&[], &lines);
    let cut = "x".repeat(60);
    assert_eq!(found[0], format!("X-RateLimit-* \"ab{cut}\": of 7"));
    assert_eq!(found[1], r#"RateLimit "c" of \u{1}\n\n: 5"#);
}

fn unread(windows: &[Window], lines: &[&str]) -> Vec<String> {
    let (fields, headers) = (fields(windows), headers(lines));
    let unread = unreadable(&fields, &headers);
    unread
        .map(|(name, text)| format!("{name}: {text}"))
        .collect()
}

#[test]
fn a_named_header_that_cannot_be_read_is_known_with_an_example() {
    let window = || {
        Window::per_minute(9)
            .limit_header("X-Limit")
            .remaining_header("X-Left")
            .reset_header("X-Reset")
            .reset_time_header("X-Time")
    };
    let read = |line: &str| unread(&[window()], &[line]);
    for readable in [
        "X-Limit: 20",
        "X-Limit: 20.0",
        "X-Limit: 20, 5000",
        "X-Limit: 100, 100;w=60",
        "X-Limit: 100,100;w=60",
        "X-Limit: name=daily,1000;",
        "X-Limit: ",
        "X-Left: 0",
        "X-Reset: 6m0s",
        "X-Reset: PT3S",
        "X-Reset: 3000ms",
        "X-Reset: 1, 1419704",
        // Over, or too far: that is no matter of form.
        "X-Reset: 1000000000",
        "X-Time: 9999-12-31T23:59:59Z",
        // Of a window that does not name them.
        "X-RateLimit-Remaining: 38/40",
    ] {
        assert_eq!(read(readable), [""; 0], "{readable}");
    }
    for (line, expected) in [
        ("X-Left: 38/40", "x-left: 38/40"),
        ("X-Left: 6m0s", "x-left: 6m0s"),
        ("X-Limit: 1,000", "x-limit: 1,000"),
        ("X-Limit: 20 per minute", "x-limit: 20 per minute"),
        ("X-Limit: -1", "x-limit: -1"),
        ("X-Reset: P1M", "x-reset: P1M"),
        ("X-Reset: 7, soon", "x-reset: 7, soon"),
        ("X-Time: noon\tor so", "x-time: noon or so"),
    ] {
        assert_eq!(read(line), [expected], "{line}");
    }
    let both = ["X-Left: 3", "X-Left: 38/40", "X-Limit: many"];
    assert_eq!(
        unread(&[window()], &both),
        ["x-limit: many", "x-left: 38/40"]
    );
    let long = format!("X-Left: {}", "/".repeat(5_000));
    assert_eq!(read(&long), [""; 0], "beyond what is looked at");
    let long = format!("X-Left: {}", "/".repeat(3_000));
    assert_eq!(read(&long), [format!("x-left: {}", "/".repeat(64))]);
    let date = window().reset_unit(ResetUnit::Date);
    assert_eq!(unread(&[date], &["X-Reset: 42"]), ["x-reset: 42"]);
}

/// Every field that is read, and some that come close.
const READ: [&str; 30] = [
    "retry-after",
    "date",
    "ratelimit",
    "ratelimit-policy",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "ratelimit-remaining-minute",
    "x-ratelimit",
    "x-ratelimit-",
    "x-ratelimit-policy",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-resettime",
    "x-ratelimit-limit-day",
    "x-ratelimit-remaining-day",
    "x-ratelimit-reset-day",
    "x-ratelimit-limit-day-x",
    "x-rate-limit-limit",
    "x-rate-limit-remaining",
    "x-rate-limit-reset",
    "x-burstlimit-limit",
    "x-burstlimit-remaining",
    "x-burstlimit-reset",
    "x-burstlimit-resettime",
    "x-own-limit",
    "x-own-remaining",
    "x-own-reset",
    "x-own-resettime",
];

fn values() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(32_u8..=255, 0..40),
        "[\"a-z0-9=;:,. rtqwk-]{0,40}".prop_map(String::into_bytes),
        "(limit=|name=[a-z]{0,3},|\"b\";[rtqw]=|)-?[0-9]{0,22}(;[rtqw]=-?[0-9]{0,17}|, )*"
            .prop_map(String::into_bytes),
        "[0-9]{1,4}(, [0-9]{1,4}){0,20}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn whatever_an_answer_says_its_reports_are_possible_and_few(
        lines in prop::collection::vec((0..READ.len(), values()), 0..24),
        is_named in any::<bool>(),
        length in prop_oneof![1_u64..100_000, Just(u64::MAX)],
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let not_a_value = |_| TestCaseError::reject("not a value");
            let value = HeaderValue::from_bytes(&value).map_err(not_a_value)?;
            headers.append(READ[name], value);
        }
        let mut window = Window::new(9, Duration::from_secs(length));
        if is_named {
            window = window
                .limit_header("x-own-limit")
                .remaining_header("x-own-remaining")
                .reset_header("x-own-reset")
                .reset_time_header("x-own-resettime");
        }
        let fields = fields(&[window]);
        let year = Duration::from_secs(400 * 86_400);
        let reports = reports(&fields, &headers, now());
        prop_assert!(reports.len() <= MOST_MEMBERS);
        let mut keys = std::collections::HashSet::new();
        for report in &reports {
            let limit = report.limit.unwrap_or(1);
            prop_assert!(limit > 0 && limit <= HIGHEST_COUNT);
            let least = report.remaining.filter(|_| report.limit.is_some());
            prop_assert!(least.is_none_or(|remaining| remaining <= limit), "{:?}", report);
            let longest = if report.reset_is_bare { 32 * year } else { year };
            prop_assert!(report.reset.is_none_or(|span| span <= longest));
            prop_assert!(report.length.is_none_or(|span| span <= year && !span.is_zero()));
            let says = report.limit.is_some() || report.remaining.is_some();
            prop_assert!(says || report.reset.is_some());
            let is_named_one = matches!(report.family, FamilyName::Named(_));
            prop_assert!(is_named || !is_named_one);
            let key = (report.family.clone(), report.limit, report.length);
            prop_assert!(keys.insert(key), "twice: {:?}", report);
            prop_assert!(report.family.to_string().chars().count() < 500);
        }
        prop_assert!(unreadable(&fields, &headers).count() <= 4);
    }
}
