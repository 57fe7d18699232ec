use std::time::SystemTime;

use http::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::clock::Moment;
use crate::header_value::{LONGEST_PAUSE, retry_after};

/// Sun, 06 Nov 1994 08:49:37 GMT, the moment of RFC 9110's examples.
const EXAMPLE: u64 = 784_111_777;

fn now() -> Now {
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(EXAMPLE - 30);
    Now {
        moment: Moment::after_start(Duration::from_secs(1_000)),
        wall,
    }
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_str(value).expect("a value"));
    }
    headers
}

fn fields(windows: &[Window]) -> Vec<Fields> {
    windows.iter().map(Fields::of).collect()
}

/// One for each window.
fn readings(fields: &[Fields], headers: &HeaderMap, now: Now) -> Vec<Reading> {
    let mut readings = read(fields, headers, now).readings.to_vec();
    readings.resize(fields.len(), Reading::default());
    readings
}

/// About the first window.
fn told(windows: &[Window], headers: &HeaderMap) -> Reading {
    readings(&fields(windows), headers, now())[0]
}

fn retry(value: &str) -> Option<u64> {
    retry_after(&headers(&[("retry-after", value)]), now().wall).map(|span| span.as_secs())
}

fn reset(window: &str, value: &str) -> Option<Duration> {
    let window: Window = window.parse().expect("a window");
    told(&[window], &headers(&[("x-ratelimit-reset", value)])).reset
}

#[test]
fn retry_after_reads_seconds_and_the_three_forms_of_a_date() {
    assert_eq!(retry("120"), Some(120));
    assert_eq!(retry("Sun, 06 Nov 1994 08:49:37 GMT"), Some(30));
    assert_eq!(retry("Sunday, 06-Nov-94 08:49:37 GMT"), Some(30));
    assert_eq!(retry("Sun Nov  6 08:49:37 1994"), Some(30));
    assert_eq!(retry("Sun, 06 Nov 1994 08:49:37 -0000"), Some(30));
}

#[test]
fn a_date_is_measured_from_the_responses_own_date() {
    let both = headers(&[
        ("date", "Sun, 06 Nov 1994 08:49:27 GMT"),
        ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ]);
    assert_eq!(
        retry_after(&both, now().wall),
        Some(Duration::from_secs(10))
    );
}

#[test]
fn a_retry_after_of_zero_or_in_the_past_is_absent() {
    for value in ["0", "0.0", "Sun, 06 Nov 1994 08:00:00 GMT"] {
        assert_eq!(retry(value), None, "{value}");
    }
}

#[test]
fn hostile_values_are_absent_or_clamped() {
    for value in [
        "-5", "NaN", "inf", "1e300", "+5", "²", "", ".", "1.2.3", "soon", "0x10",
    ] {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("bytes");
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", value.clone());
        headers.insert("x-ratelimit-reset", value.clone());
        headers.insert("x-ratelimit-remaining", value.clone());
        assert_eq!(retry_after(&headers, now().wall), None, "{value:?}");
        let reading = told(&[Window::per_minute(9)], &headers);
        assert_eq!(
            (reading.remaining, reading.reset),
            (None, None),
            "{value:?}"
        );
    }
    assert_eq!(retry("99999999"), Some(LONGEST_PAUSE.as_secs()));
    assert_eq!(retry("9".repeat(400).as_str()), None);
}

/// Each row: who sends it, the window, the value, the seconds it means.
#[test]
fn a_reset_is_read_by_its_size() {
    // Half a minute before 2026-07-15T10:36:17Z, which is 1784111777.
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_784_111_777 - 30);
    let now = Now { wall, ..now() };
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
        ("express-rate-limit, rounded up", "20/2s", "3", 3.0),
        (
            "a sliding counter: all is forgotten after two windows",
            "10/min",
            "119",
            61.0,
        ),
        ("beyond that it is milliseconds", "10/min", "3000", 3.0),
        ("and beyond a day", "1000/utc-day", "90000", 90.0),
        ("a second's window told in milliseconds", "10/s", "500", 0.5),
        ("an ISO date", "10/min", "2026-07-15T10:36:17Z", 30.0),
        (
            "an ISO date without offset",
            "10/min",
            "2026-07-15T10:36:17",
            30.0,
        ),
    ];
    for (who, window, value, expected) in rows {
        let window: Window = window.parse().expect("a window");
        // Sourcengine documents one name and shows the other.
        for name in ["x-ratelimit-reset", "ratelimit-reset", "x-rate-limit-reset"] {
            let headers = headers(&[(name, value)]);
            let read = readings(&fields(std::slice::from_ref(&window)), &headers, now)[0].reset;
            let read = read.unwrap_or_else(|| panic!("{who}: nothing read"));
            assert!(
                (read.as_secs_f64() - expected).abs() < 1e-3,
                "{who}: {read:?}"
            );
        }
    }
}

#[test]
fn a_reset_beyond_the_window_is_clamped_to_it() {
    assert_eq!(
        reset("10/min", "Sun, 06 Nov 2094 08:49:37 GMT"),
        Some(Duration::from_secs(61))
    );
}

#[test]
fn reset_time_goes_before_reset() {
    let windows = [Window::per_minute(120), Window::per_utc_day(1000)];
    let both = headers(&[
        ("x-burstlimit-resettime", "1994-11-06T08:49:12Z"),
        ("x-burstlimit-reset", "44"),
    ]);
    let reading = told(&windows, &both);
    assert_eq!(reading.reset, Some(Duration::from_secs(5)));
}

#[test]
fn of_two_windows_the_short_one_reads_burst_and_the_long_one_rate() {
    let windows = [Window::per_minute(120), Window::per_utc_day(1000)];
    let six = headers(&[
        ("x-ratelimit-limit", "1000"),
        ("x-ratelimit-remaining", "17"),
        ("x-burstlimit-limit", "120"),
        ("x-burstlimit-remaining", "3"),
    ]);
    let [minute, day] = readings(&fields(&windows), &six, now())[..] else {
        panic!("one for each window")
    };
    assert_eq!((minute.limit, minute.remaining), (Some(120), Some(3)));
    assert_eq!((day.limit, day.remaining), (Some(1000), Some(17)));
}

#[test]
fn the_only_window_reads_the_family_that_tells_its_limit() {
    let day_and_burst = headers(&[
        ("x-ratelimit-limit", "1000"),
        ("x-ratelimit-remaining", "900"),
        ("x-burstlimit-limit", "40"),
        ("x-burstlimit-remaining", "39"),
    ]);
    let window = Window::new(40, Duration::from_secs(2));
    let reading = told(&[window], &day_and_burst);
    assert_eq!((reading.limit, reading.remaining), (Some(40), Some(39)));
}

#[test]
fn the_limit_of_draft_06_is_its_leading_integer() {
    let window = Window::per_minute(100).limit_header("RateLimit-Limit");
    let policy = headers(&[("ratelimit-limit", "100, 100;w=60")]);
    assert_eq!(told(&[window], &policy).limit, Some(100));
}

/// A row: who sends it, the windows, the header lines, and what they say about each window.
type Row<'r> = (
    &'r str,
    &'r [&'r str],
    &'r [(&'static str, &'r str)],
    &'r [Said],
);
type Said = (Option<u64>, Option<u64>, Option<u64>);

const NOTHING: Said = (None, None, None);

fn said(limit: u64, remaining: u64, reset: u64) -> Said {
    (Some(limit), Some(remaining), Some(reset))
}

#[track_caller]
fn check(rows: &[Row<'_>]) {
    for (who, windows, lines, expected) in rows {
        let windows = windows.iter().map(|text| text.parse().expect("a window"));
        let windows: Vec<Window> = windows.collect();
        let found: Vec<Said> = readings(&fields(&windows), &headers(lines), now())
            .iter()
            .map(|it| (it.limit, it.remaining, it.reset.map(|span| span.as_secs())))
            .collect();
        assert_eq!(found, *expected, "{who}");
    }
}

#[test]
fn each_draft_of_the_ietf_is_understood() {
    let drafts_06_and_07 = [
        (
            "draft 06, section 6.1: the policy behind the limit",
            &["100/min"][..],
            &[
                ("ratelimit-limit", "100, 100;w=60"),
                ("ratelimit-remaining", "50"),
                ("ratelimit-reset", "50"),
            ][..],
            &[said(100, 50, 50)][..],
        ),
        (
            "express-rate-limit 8, draft-6",
            &["40/2s"],
            &[
                ("ratelimit-policy", "20;w=2"),
                ("ratelimit-limit", "20"),
                ("ratelimit-remaining", "19"),
                ("ratelimit-reset", "2"),
            ],
            &[said(20, 19, 2)],
        ),
        (
            "draft 06 with two policies: the limit tells which of them is meant",
            &["100/min", "1000/h"],
            &[
                ("ratelimit-limit", "1000, 100;w=60, 1000;w=3600"),
                ("ratelimit-remaining", "7"),
                ("ratelimit-reset", "1800"),
            ],
            &[(Some(100), None, None), said(1000, 7, 1800)],
        ),
        (
            "express-rate-limit 8, draft-7",
            &["40/2s"],
            &[
                ("ratelimit-policy", "20;w=2"),
                ("ratelimit", "limit=20, remaining=19, reset=2"),
            ],
            &[said(20, 19, 2)],
        ),
        (
            "draft 07 without its policy, and not quite a dictionary",
            &["100/min"],
            &[("ratelimit", "Limit=100;Remaining=50; Reset=5")],
            &[said(100, 50, 5)],
        ),
        (
            "draft 07, a quota of two windows: the one nearest to its end is told",
            &["20/2s", "1000/day"],
            &[
                ("ratelimit-policy", "20;w=2, 1000;w=86400"),
                ("ratelimit", "limit=20, remaining=0, reset=1"),
            ],
            &[said(20, 0, 1), (Some(1000), None, None)],
        ),
    ];
    check(&drafts_06_and_07);
}

#[test]
fn the_structured_fields_of_drafts_08_to_10_are_understood() {
    check(&[
        (
            "express-rate-limit 8, draft-8",
            &["40/2s"],
            &[
                ("ratelimit", r#""burst"; r=19; t=2"#),
                (
                    "ratelimit-policy",
                    r#""burst"; q=20; w=2; pk=:MTI3LjAuMC4x:"#,
                ),
            ],
            &[said(20, 19, 2)],
        ),
        (
            "express-rate-limit 8, two limiters: two lines of each",
            &["20/2s", "1000/day"],
            &[
                ("ratelimit", r#""burst"; r=19; t=2"#),
                ("ratelimit", r#""day"; r=998; t=86400"#),
                ("ratelimit-policy", r#""burst"; q=20; w=2; pk=:MTI3:"#),
                ("ratelimit-policy", r#""day"; q=1000; w=86400; pk=:MTI3:"#),
            ],
            &[said(20, 19, 2), said(1000, 998, 86_400)],
        ),
        (
            "draft 08: both in one line, in another order, named by tokens",
            &["20/2s", "1000/day"],
            &[
                ("ratelimit", "day;r=998;t=86400, burst;r=19;t=2"),
                ("ratelimit-policy", "burst;q=20;w=2, day;q=1000;w=86400"),
            ],
            &[said(20, 19, 2), said(1000, 998, 86_400)],
        ),
        (
            "a window of half a second is a policy of one",
            &["20/500ms", "1000/day"],
            &[
                ("ratelimit", r#""burst";r=3;t=1"#),
                ("ratelimit-policy", r#""burst";q=10;w=1"#),
            ],
            &[said(10, 3, 1), NOTHING],
        ),
        (
            "no policy: the only one is that of the only window",
            &["20/2s"],
            &[("ratelimit", r#""default";r=3;t=1"#)],
            &[(None, Some(3), Some(1))],
        ),
        (
            "no policy, two windows: whose it is, nobody knows",
            &["20/2s", "1000/day"],
            &[("ratelimit", r#""default";r=3;t=1"#)],
            &[NOTHING, NOTHING],
        ),
        (
            "the policy of a shorter time is not that of the minute",
            &["100/min"],
            &[
                ("ratelimit", r#""second";r=3;t=1"#),
                ("ratelimit-policy", r#""second";q=10;w=1"#),
            ],
            &[NOTHING],
        ),
        (
            "draft 10, quota units: bytes are no requests",
            &["100/min"],
            &[
                ("ratelimit", r#""bytes";r=5;t=9, "calls";r=7;t=9"#),
                (
                    "ratelimit-policy",
                    r#""bytes";q=99;w=60;qu="content-bytes", "calls";q=100;w=60;qu="requests""#,
                ),
            ],
            &[said(100, 7, 9)],
        ),
        (
            "a malformed line is absent, the other is not",
            &["100/min"],
            &[
                ("ratelimit", r#""burst;r=50;t=5"#),
                ("ratelimit-policy", r#""burst";q=100;w=60"#),
            ],
            &[(Some(100), None, None)],
        ),
        (
            "numbers below zero and decimals are no counts",
            &["100/min"],
            &[("ratelimit", r#""burst";r=-5;t=1.5"#)],
            &[NOTHING],
        ),
    ]);
}

#[test]
fn each_family_of_three_fields_is_understood() {
    check(&[
        (
            "express-rate-limit, legacy headers",
            &["20/2s"],
            &[
                ("x-ratelimit-limit", "20"),
                ("x-ratelimit-remaining", "19"),
                ("x-ratelimit-reset", "2"),
            ],
            &[said(20, 19, 2)],
        ),
        (
            "X-Rate-Limit-*, with dashes (design 3.4)",
            &["450/15min"],
            &[
                ("x-rate-limit-limit", "450"),
                ("x-rate-limit-remaining", "449"),
                ("x-rate-limit-reset", "890"),
            ],
            &[said(450, 449, 890)],
        ),
        (
            "IBM API Connect: the name before the count",
            &["100/h"],
            &[
                ("x-ratelimit-limit", "name=rate-limit,100;"),
                ("x-ratelimit-remaining", "name=rate-limit,99;"),
            ],
            &[(Some(100), Some(99), None)],
        ),
        (
            "IBM API Connect with two limits",
            &["1000/day"],
            &[
                ("x-ratelimit-limit", "name=hourly,100;name=daily,1000;"),
                ("x-ratelimit-remaining", "name=hourly,9; name=daily,909;"),
            ],
            &[(Some(1000), Some(909), None)],
        ),
        (
            "IBM API Connect, none of them ours",
            &["7/day"],
            &[
                ("x-ratelimit-limit", "name=hourly,100;name=daily,1000;"),
                ("x-ratelimit-remaining", "name=hourly,9; name=daily,909;"),
            ],
            &[NOTHING],
        ),
        (
            "DigiKey: the day on every response",
            &["120/min", "1000/utc-day"],
            &[
                ("x-ratelimit-limit", "1000"),
                ("x-ratelimit-remaining", "17"),
            ],
            &[NOTHING, (Some(1000), Some(17), None)],
        ),
        (
            "one limiter before two windows: the day's names tell the limit of the burst",
            &["20/2s", "1000/day"],
            &[
                ("x-ratelimit-limit", "20"),
                ("x-ratelimit-remaining", "3"),
                ("x-ratelimit-reset", "1"),
            ],
            &[said(20, 3, 1), NOTHING],
        ),
        (
            "express-rate-limit, draft-7 and legacy: the policy has the finer reset",
            &["20/2s"],
            &[
                ("ratelimit-policy", "20;w=2"),
                ("ratelimit", "limit=20, remaining=18, reset=1"),
                ("x-ratelimit-limit", "20"),
                ("x-ratelimit-remaining", "18"),
                ("x-ratelimit-reset", "2"),
            ],
            &[said(20, 18, 1)],
        ),
    ]);
}

#[test]
fn a_window_that_never_ends_is_compared_with_a_policy() {
    let window = Window::new(9, Duration::MAX);
    let policy = headers(&[
        ("ratelimit-policy", r#""b";q=9;w=60"#),
        ("ratelimit", r#""b";r=5;t=9"#),
    ]);
    assert_eq!(told(&[window], &policy).remaining, Some(5));
}

#[test]
fn retry_after_may_be_seconds_since_1970_but_not_in_the_past() {
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_784_111_777 - 30);
    let now = Now { wall, ..now() };
    let retry = |value| retry_after(&headers(&[("retry-after", value)]), now.wall);
    let half_a_minute = Some(Duration::from_secs(30));
    assert_eq!(retry("1784111777"), half_a_minute);
    assert_eq!(retry("1784111777000"), half_a_minute);
    assert_eq!(retry("1784111700"), None);
    assert_eq!(retry("Wed, 15 Jul 2026 10:36:17 -0000"), half_a_minute);
}

/// Every field that is read, without names of one's own.
const READ: [&str; 24] = [
    "retry-after",
    "date",
    "age",
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

/// Found by the property below.
#[test]
fn the_longest_window_there_is_reads_policies_too() {
    let mut headers = HeaderMap::new();
    headers.insert(
        "ratelimit-policy",
        HeaderValue::from_static("\"b\";t=0;w=0"),
    );
    let windows = [Window::new(u64::MAX, Duration::MAX)];
    assert_eq!(readings(&fields(&windows), &headers, now()).len(), 1);
}

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
    let own = Window::per_minute(9)
        .limit_header("x-own-limit")
        .remaining_header("x-own-remaining")
        .reset_header("x-own-reset")
        .reset_time_header("x-own-resettime");
    prop::sample::select(vec![
        vec![Window::per_minute(9)],
        vec![own],
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
        prop_assert!(retry_after(&headers, now().wall).is_none_or(|span| span <= LONGEST_PAUSE));
    }
}
