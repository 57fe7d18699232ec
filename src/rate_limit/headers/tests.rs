use std::time::SystemTime;

use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::clock::Moment;
use crate::rate_limit::window::{ResetUnit, Window};

/// Seconds since 1970 at 2026-07-15T10:36:17Z; the answers arrive 30 s before it.
const EXAMPLE: u64 = 1_784_111_777;

fn now() -> Now {
    Now {
        moment: Moment::after_start(Duration::from_secs(1_000)),
        wall: SystemTime::UNIX_EPOCH + Duration::from_secs(EXAMPLE - 30),
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

/// What the lines say about the only window.
fn told(window: &Window, lines: &[&str]) -> Reading {
    let fields = fields(std::slice::from_ref(window));
    let told = read(&fields, &headers(lines), now());
    told.readings.first().copied().unwrap_or_default()
}

fn window(text: &str) -> Window {
    text.parse().expect("a window")
}

/// With header names of its own.
fn named(text: &str) -> Window {
    window(text)
        .limit_header("X-Own-Limit")
        .remaining_header("X-Own-Remaining")
        .reset_header("X-Own-Reset")
        .reset_time_header("X-Own-ResetTime")
}

/// The same of a window with names of its own, and of one whose limit is told under a usual name.
#[track_caller]
fn reset(text: &str, value: &str) -> Option<Duration> {
    let own = format!("X-Own-Reset: {value}");
    let usual = format!("X-RateLimit-Reset: {value}");
    let window = window(text);
    let limit = format!("X-RateLimit-Limit: {}", window.limit());
    let of_own = told(&named(text), &[&own]).reset;
    assert_eq!(told(&window, &[&limit, &usual]).reset, of_own, "{value}");
    of_own
}

#[test]
fn what_cannot_be_read_is_absent() {
    for value in [
        "-5", "NaN", "inf", "1e300", "+5", "²", "٣٠", "", ".", "1.2.3", "soon", "0x10", "1,000",
    ] {
        let lines = ["Limit", "Remaining", "Reset", "ResetTime"]
            .map(|field| format!("X-Own-{field}: {value}"));
        let lines = lines.each_ref().map(String::as_str);
        assert_eq!(told(&named("9/min"), &lines), Reading::default(), "{value}");
    }
}

/// Each row: who sends it, the window, the value, the seconds it means.
#[test]
fn a_reset_is_read_by_its_size_and_its_window() {
    let rows = [
        (
            "DigiKey, official: seconds to go",
            "1000/utc-day",
            "28416",
            28_416.0,
        ),
        (
            "DigiKey, source document 003: Unix time",
            "1000/utc-day",
            "1784111777",
            30.0,
        ),
        ("Sourcengine: Unix time", "10/min", "1784111760", 13.0),
        (
            "JavaScript servers: Unix milliseconds",
            "10/min",
            "1784111777000",
            30.0,
        ),
        (
            "slowapi: Unix time with a fraction",
            "10/min",
            "1784111777.5",
            30.5,
        ),
        (
            "TE: milliseconds to go",
            "1000/utc-day",
            "86382593",
            86_382.593,
        ),
        (
            "TE: milliseconds to go in any 24 hours",
            "5000/day",
            "86382593",
            86_382.593,
        ),
        ("express-rate-limit, rounded up", "20/2s", "3", 3.0),
        ("rounded up, and one added", "10/min", "61", 61.0),
        (
            "a sliding counter: all is forgotten after two windows",
            "10/min",
            "119",
            61.0,
        ),
        ("beyond that it is milliseconds", "10/min", "3000", 3.0),
        ("and beyond a day", "1000/utc-day", "90000", 90.0),
        (
            "no counter of a day is known that slides",
            "1000/day",
            "90000",
            90.0,
        ),
        ("a second's window told in milliseconds", "10/s", "500", 0.5),
        ("an ISO date", "10/min", "2026-07-15T10:36:17Z", 30.0),
        (
            "an ISO date without offset",
            "10/min",
            "2026-07-15T10:36:17",
            30.0,
        ),
        (
            "RFC 9110, a date",
            "10/min",
            "Wed, 15 Jul 2026 10:36:17 GMT",
            30.0,
        ),
    ];
    for (who, window, value, expected) in rows {
        let read = reset(window, value).unwrap_or_else(|| panic!("{who}: nothing read"));
        assert!(
            (read.as_secs_f64() - expected).abs() < 1e-3,
            "{who}: {read:?}"
        );
    }
}

#[test]
fn a_reset_is_clamped_to_the_window_and_beyond_two_of_them_it_is_another_windows() {
    let minute = Some(Duration::from_secs(61));
    assert_eq!(reset("10/min", "121.5s"), minute);
    assert_eq!(reset("10/min", "122s"), None);
    assert_eq!(reset("10/min", "2026-07-15T10:37:47Z"), minute);
    assert_eq!(reset("10/min", "2094-01-01T00:00:00Z"), None);
    assert_eq!(reset("10/min", "99999999999999999999"), None);
    let day = Some(Duration::from_secs(86_401));
    for text in ["10/day", "10/utc-day"] {
        assert_eq!(reset(text, "86401s"), day, "{text}");
        assert_eq!(reset(text, "86402s"), None, "{text}");
    }
}

#[test]
fn the_unit_of_a_reset_is_the_windows_whatever_its_size() {
    let reset = |unit, value: &str| {
        let window = named("10/min").reset_unit(unit);
        let reset = told(&window, &[&format!("X-Own-Reset: {value}")]).reset;
        reset.map(|span| span.as_secs_f64())
    };
    assert_eq!(reset(ResetUnit::Seconds, "42"), Some(42.0));
    assert_eq!(reset(ResetUnit::Milliseconds, "42"), Some(0.042));
    assert_eq!(reset(ResetUnit::UnixSeconds, "1784111777"), Some(30.0));
    assert_eq!(
        reset(ResetUnit::UnixMilliseconds, "1784111777000"),
        Some(30.0)
    );
    assert_eq!(reset(ResetUnit::Date, "42"), None);
    assert_eq!(reset(ResetUnit::Date, "2026-07-15T10:36:17Z"), Some(30.0));
}

#[test]
fn a_date_goes_before_a_number() {
    let lines = ["X-Own-ResetTime: 2026-07-15T10:35:52Z", "X-Own-Reset: 44"];
    let reset = told(&named("120/min"), &lines).reset;
    assert_eq!(reset, Some(Duration::from_secs(5)));
}

#[test]
fn the_limit_of_draft_06_is_its_leading_integer() {
    let window = window("100/min").limit_header("RateLimit-Limit");
    let lines = ["RateLimit-Limit: 100, 100;w=60"];
    assert_eq!(told(&window, &lines).limit, Some(100));
}

/// Each row: who sends it, the lines, and the limit, what remains and the seconds until the reset
/// of a window of 100 a minute.
#[test]
fn of_all_that_is_told_of_a_window_the_least_left_counts_and_the_later_reset() {
    let rows = [
        (
            "a policy, and the gateway's fields in front of it",
            &[
                "RateLimit-Policy: 100;w=60",
                "RateLimit: limit=100, remaining=50, reset=30",
                "X-RateLimit-Limit: 100",
                "X-RateLimit-Remaining: 51",
                "X-RateLimit-Reset: 40",
            ][..],
            (100, 50, 30),
        ),
        (
            "the same, and the gateway has less left",
            &[
                "RateLimit-Policy: 100;w=60",
                "RateLimit: limit=100, remaining=50, reset=30",
                "X-RateLimit-Limit: 100",
                "X-RateLimit-Remaining: 49",
                "X-RateLimit-Reset: 40",
            ],
            (100, 49, 40),
        ),
        (
            "draft 10: two partitions of one policy, and neither is said to be ours",
            &[
                r#"RateLimit-Policy: "peruser";q=100;w=60"#,
                r#"RateLimit: "peruser";r=50;t=30;pk=:QQ==:, "peruser";r=90;t=7;pk=:Qg==:"#,
            ],
            (100, 50, 30),
        ),
        (
            "the same, with as much left of each: until the later reset",
            &[
                r#"RateLimit-Policy: "peruser";q=100;w=60"#,
                r#"RateLimit: "peruser";r=50;t=7;pk=:Qg==:, "peruser";r=50;t=30;pk=:QQ==:"#,
            ],
            (100, 50, 30),
        ),
        (
            "the same, the other way round",
            &[
                r#"RateLimit-Policy: "peruser";q=100;w=60"#,
                r#"RateLimit: "peruser";r=50;t=30;pk=:QQ==:, "peruser";r=50;t=7;pk=:Qg==:"#,
            ],
            (100, 50, 30),
        ),
        (
            "the same, with a policy for each, and what is left of one",
            &[
                r#"RateLimit-Policy: "user";q=100;w=60;pk=:Qg==:, "user";q=100;w=60;pk=:QQ==:"#,
                r#"RateLimit: "user";r=50;t=30;pk=:QQ==:"#,
            ],
            (100, 50, 30),
        ),
        (
            "the same, and one is lower: both count every request",
            &[
                r#"RateLimit-Policy: "user";q=9;w=60;pk=:Qg==:, "user";q=100;w=60;pk=:QQ==:"#,
                r#"RateLimit: "user";r=50;t=30;pk=:QQ==:, "user";r=2;t=7;pk=:Qg==:"#,
            ],
            (9, 2, 7),
        ),
    ];
    for (who, lines, (limit, remaining, seconds)) in rows {
        let expected = Reading {
            limit: Some(limit),
            remaining: Some(remaining),
            reset: Some(Duration::from_secs(seconds)),
        };
        assert_eq!(told(&window("100/min"), lines), expected, "{who}");
    }
}

#[test]
fn a_window_that_never_ends_is_read_too() {
    let endless = Window::new(9, Duration::MAX);
    let lines = [
        "X-RateLimit-Limit: 9",
        "X-RateLimit-Remaining: 5",
        "X-RateLimit-Reset: 99999999999999999999",
    ];
    assert_eq!(told(&endless, &lines).remaining, Some(5));
    // Found by the property below.
    let policy = [r#"RateLimit-Policy: "b";t=0;w=0"#];
    assert_eq!(told(&endless, &policy), Reading::default());
}

/// Every field that is read, without names of one's own.
const READ: [&str; 23] = [
    "retry-after",
    "date",
    "ratelimit",
    "ratelimit-policy",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-resettime",
    "x-rate-limit-limit",
    "x-rate-limit-remaining",
    "x-rate-limit-reset",
    "x-rate-limit-resettime",
    "x-burstlimit-limit",
    "x-burstlimit-remaining",
    "x-burstlimit-reset",
    "x-burstlimit-resettime",
    "x-own-limit",
    "x-own-remaining",
    "x-own-reset",
    "x-own-resettime",
];

/// Bytes, and texts that come close to what servers send.
fn values() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(32_u8..=255, 0..40),
        "[\"a-z0-9=;:,. rtqwk-]{0,40}".prop_map(String::into_bytes),
        "(limit=|name=[a-z]{0,3},|\"b\";[rtqw]=|)-?[0-9]{0,22}(;[rtqw]=-?[0-9]{0,17}|, )*"
            .prop_map(String::into_bytes),
    ]
}

fn quotas() -> impl Strategy<Value = Vec<Window>> {
    prop::sample::select(vec![
        vec![Window::per_minute(9)],
        vec![named("9/min")],
        vec![Window::new(u64::MAX, Duration::MAX)],
        vec![
            Window::per_second(1),
            Window::per_minute(9),
            Window::per_utc_month(99),
        ],
    ])
}

proptest! {
    #[test]
    fn no_header_value_makes_it_panic_or_sleep_for_years(
        fields_and_values in prop::collection::vec((0..READ.len(), values()), 0..12),
        windows in quotas(),
    ) {
        let mut headers = HeaderMap::new();
        for (field, value) in fields_and_values {
            let not_a_value = |_| TestCaseError::reject("not a value");
            let value = HeaderValue::from_bytes(&value).map_err(not_a_value)?;
            headers.append(READ[field], value);
        }
        let told = read(&fields(&windows), &headers, now());
        for (window, reading) in windows.iter().zip(told.readings) {
            let longest = window.length().saturating_add(Duration::from_secs(1));
            prop_assert!(reading.reset.is_none_or(|span| span <= longest));
            prop_assert_ne!(reading.limit, Some(0));
        }
    }
}
