//! Each row: what is sent, the windows, the lines of an answer, and what each report speaks of.

use std::time::SystemTime;

use http::{HeaderMap, HeaderValue};

use super::*;
use crate::clock::{Moment, Now};
use crate::rate_limit::headers::{Told, read};
use crate::rate_limit::window::{ResetUnit, Window};

/// `30/min`; or `30/min as X-A`, which names its headers `X-A-Limit` and so on.
fn window(text: &str) -> Window {
    let (text, prefix) = match text.split_once(" as ") {
        Some((text, prefix)) => (text, Some(prefix)),
        None => (text, None),
    };
    let window: Window = text.parse().expect("a window");
    match prefix {
        None => window,
        Some(prefix) => window
            .limit_header(&format!("{prefix}-Limit"))
            .remaining_header(&format!("{prefix}-Remaining"))
            .reset_header(&format!("{prefix}-Reset")),
    }
}

fn headers(lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").expect("name: value");
        let name: HeaderName = name.parse().expect("a name");
        headers.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    headers
}

fn told(windows: &[Window], lines: &[&str]) -> Told {
    let now = Now {
        moment: Moment::after_start(Duration::from_secs(1_000)),
        wall: SystemTime::UNIX_EPOCH,
    };
    let fields: Vec<Fields> = windows.iter().map(Fields::of).collect();
    read(&fields, &headers(lines), now)
}

/// Of each report, the number of the window; `adopts` where its limit is proof. And the reset of
/// what is read of that window.
fn owners(windows: &[Window], lines: &[&str]) -> Vec<String> {
    let fields: Vec<Fields> = windows.iter().map(Fields::of).collect();
    let mut shown = Vec::new();
    for (report, owner) in &told(windows, lines).reports {
        let (_, reset) = attribute(report, &fields);
        let until = reset.map(|reset| format!(" until {}", reset.as_secs_f64()));
        let until = until.unwrap_or_default();
        shown.push(match owner {
            Owner::Window { index, adopts, .. } => {
                let adopts = if *adopts { " adopts" } else { "" };
                format!("{}{adopts}{until}", index + 1)
            }
            Owner::Learned => "learned".to_owned(),
            Owner::LimitAlone => "a limit alone".to_owned(),
            Owner::Nothing => "nothing".to_owned(),
        });
    }
    shown
}

type Row<'r> = (&'r str, &'r [&'r str], &'r [&'r str], &'r [&'r str]);

#[track_caller]
fn check(rows: &[Row<'_>]) {
    for (what, windows, lines, expected) in rows {
        let windows: Vec<Window> = windows.iter().map(|text| window(text)).collect();
        assert_eq!(owners(&windows, lines), *expected, "{what}: {lines:?}");
    }
}

#[test]
fn headers_that_a_window_names_are_its_own_unless_they_tell_what_cannot_be() {
    let minute: &[&str] = &["120/min as X-A"];
    let siblings: &[&str] = &["120/min as X-A", "1000/utc-day as X-B"];
    check(&[
        (
            "its limit",
            minute,
            &["X-A-Limit: 120", "X-A-Remaining: 3", "X-A-Reset: 9"],
            &["1 adopts until 9"],
        ),
        (
            "a lower limit",
            minute,
            &["X-A-Limit: 100", "X-A-Remaining: 3"],
            &["1 adopts"],
        ),
        (
            "a higher limit",
            minute,
            &["X-A-Limit: 200", "X-A-Remaining: 150"],
            &["1 adopts"],
        ),
        ("a limit alone", minute, &["X-A-Limit: 100"], &["1 adopts"]),
        (
            "what remains alone",
            minute,
            &["X-A-Remaining: 3"],
            &["1 adopts"],
        ),
        (
            "a reset alone",
            minute,
            &["X-A-Reset: 9"],
            &["1 adopts until 9"],
        ),
        (
            "a sliding counter's reset",
            minute,
            &["X-A-Remaining: 3", "X-A-Reset: 121.5s"],
            &["1 adopts until 121.5"],
        ),
        (
            "a reset beyond two windows",
            minute,
            &["X-A-Limit: 120", "X-A-Remaining: 3", "X-A-Reset: 122s"],
            &["learned"],
        ),
        (
            "the same, and a limit alone",
            minute,
            &["X-A-Limit: 120", "X-A-Reset: 122s"],
            &["a limit alone"],
        ),
        (
            "the same, and nothing else",
            minute,
            &["X-A-Reset: 122s"],
            &["nothing"],
        ),
        (
            "two windows, each with its own",
            siblings,
            &[
                "X-A-Limit: 120",
                "X-A-Remaining: 3",
                "X-B-Limit: 900",
                "X-B-Remaining: 17",
            ],
            &["1 adopts", "2 adopts"],
        ),
        (
            "a raise to what is the other's limit, which has headers of its own",
            siblings,
            &["X-A-Limit: 1000", "X-A-Remaining: 999"],
            &["1 adopts"],
        ),
        (
            "what has the usual names is not theirs by place",
            siblings,
            &["X-RateLimit-Limit: 20", "X-RateLimit-Remaining: 3"],
            &["learned"],
        ),
        (
            "but by its limit",
            siblings,
            &["X-RateLimit-Limit: 120", "X-RateLimit-Remaining: 3"],
            &["1"],
        ),
    ]);
}

#[test]
fn under_the_names_of_one_window_the_limit_of_another_is_the_others() {
    let of_day: &[&str] = &["30/min", "5000/utc-day as X-RateLimit"];
    let of_minute: &[&str] = &["30/min as X-RateLimit", "5000/utc-day"];
    check(&[
        (
            "TE's 429 of the minute: milliseconds",
            of_day,
            &[
                "Retry-After: 42",
                "X-RateLimit-Limit: 30",
                "X-RateLimit-Remaining: 0",
                "X-RateLimit-Reset: 42000",
            ],
            &["1 until 42"],
        ),
        (
            "the same without Retry-After: they are too many for seconds of a minute",
            of_day,
            &[
                "X-RateLimit-Limit: 30",
                "X-RateLimit-Remaining: 0",
                "X-RateLimit-Reset: 42000",
            ],
            &["1 until 42"],
        ),
        (
            "TE's 200, of the day",
            of_day,
            &[
                "X-RateLimit-Limit: 5000",
                "X-RateLimit-Remaining: 4998",
                "X-RateLimit-Reset: 86382593",
            ],
            &["2 adopts until 86382.593"],
        ),
        (
            "the same under the minute's names",
            of_minute,
            &[
                "X-RateLimit-Limit: 5000",
                "X-RateLimit-Remaining: 4998",
                "X-RateLimit-Reset: 86382593",
            ],
            &["2 until 86382.593"],
        ),
        (
            "the minute's limit until beyond two minutes",
            of_day,
            &[
                "X-RateLimit-Limit: 30",
                "X-RateLimit-Remaining: 0",
                "X-RateLimit-Reset: 200s",
            ],
            &["learned"],
        ),
        (
            "a limit that neither has",
            of_day,
            &["X-RateLimit-Limit: 4000", "X-RateLimit-Remaining: 0"],
            &["2 adopts"],
        ),
    ]);
}

/// The windows of TE's preset.
#[test]
fn a_unit_that_is_set_holds_for_all_limits_under_the_usual_names() {
    let windows = [Window::per_minute(30), Window::per_day(5000)];
    let windows = windows.map(|window| window.reset_unit(ResetUnit::Milliseconds));
    let told = |limit: &str, reset: &str| {
        let limit = format!("X-RateLimit-Limit: {limit}");
        let reset = format!("X-RateLimit-Reset: {reset}");
        owners(&windows, &[&limit, "X-RateLimit-Remaining: 0", &reset])
    };
    assert_eq!(told("30", "42000"), ["1 until 42"]);
    assert_eq!(told("30", "42"), ["1 until 0.042"]);
    assert_eq!(told("5000", "86382593"), ["2 until 86382.593"]);
    assert_eq!(told("5000", "42000"), ["2 until 42"]);
    assert_eq!(told("30", "200000"), ["learned"]);
}

#[test]
fn headers_that_two_windows_name_are_proof_of_neither() {
    let both: &[&str] = &["30/min as X-A", "5000/utc-day as X-A"];
    check(&[
        (
            "the limit of one of them",
            both,
            &["X-A-Limit: 30", "X-A-Remaining: 0", "X-A-Reset: 7"],
            &["1 adopts until 7", "1 until 7"],
        ),
        (
            "of the other",
            both,
            &["X-A-Limit: 5000", "X-A-Remaining: 0", "X-A-Reset: 7000"],
            &["2 until 7000", "2 adopts until 7000"],
        ),
        (
            "of none: a limit of a second would stop the day",
            both,
            &["X-A-Limit: 25", "X-A-Remaining: 0", "X-A-Reset: 7"],
            &["learned", "learned"],
        ),
        (
            "what remains alone",
            both,
            &["X-A-Remaining: 0", "X-A-Reset: 7"],
            &["learned", "learned"],
        ),
    ]);
}

#[test]
fn named_headers_that_tell_another_length_are_of_that_length() {
    let envoy: &[&str] = &[
        r#"X-A-Limit: 10, 10;w=1;name="second", 1000;w=3600"#,
        "X-A-Remaining: 9",
        "X-A-Reset: 1",
    ];
    check(&[
        (
            "Envoy lists all of its policies, and tells of the tightest",
            &["1000/h as X-A"],
            envoy,
            &["learned", "1 adopts"],
        ),
        (
            "the same, and the second is configured",
            &["20/s", "1000/h as X-A"],
            envoy,
            &["1 adopts until 1", "2 adopts"],
        ),
        (
            "a lower limit of its length",
            &["1000/h as X-A"],
            &["X-A-Limit: 900, 900;w=3600", "X-A-Remaining: 9"],
            &["1 adopts"],
        ),
        (
            "its limit, whatever length",
            &["1000/h as X-A"],
            &["X-A-Limit: 1000, 1000;w=60", "X-A-Remaining: 9"],
            &["1 adopts"],
        ),
    ]);
}

#[test]
fn a_length_that_is_told_is_that_of_a_window() {
    let two: &[&str] = &["20/2s", "1000/day"];
    check(&[
        (
            "its limit",
            &["100/min"],
            &[
                "RateLimit-Policy: 100;w=60",
                "RateLimit: limit=100, remaining=3, reset=9",
            ],
            &["1 adopts until 9"],
        ),
        (
            "express-rate-limit 8, draft-6: a lower limit",
            &["40/2s"],
            &[
                "RateLimit-Policy: 20;w=2",
                "RateLimit-Limit: 20",
                "RateLimit-Remaining: 19",
                "RateLimit-Reset: 2",
            ],
            &["1 adopts until 2"],
        ),
        (
            "express-rate-limit 8, draft-8",
            &["40/2s"],
            &[
                r#"RateLimit: "burst"; r=19; t=2"#,
                r#"RateLimit-Policy: "burst"; q=20; w=2; pk=:MTI3LjAuMC4x:"#,
            ],
            &["1 adopts until 2"],
        ),
        (
            "a higher limit",
            &["10/2s"],
            &["RateLimit-Policy: 20;w=2", "RateLimit: remaining=19"],
            &["1 adopts"],
        ),
        (
            "draft 06 with two policies",
            &["100/min", "1000/h"],
            &[
                "RateLimit-Limit: 1000, 100;w=60, 1000;w=3600",
                "RateLimit-Remaining: 7",
                "RateLimit-Reset: 1800",
            ],
            &["2 adopts until 1800", "1 adopts"],
        ),
        (
            "draft 07, a quota of two windows: the one nearest to its end is told",
            two,
            &[
                "RateLimit-Policy: 20;w=2, 1000;w=86400",
                "RateLimit: limit=20, remaining=0, reset=1",
            ],
            &["1 adopts until 1", "2 adopts"],
        ),
        (
            "draft 08 of both",
            two,
            &[
                "RateLimit: day;r=998;t=86400, burst;r=19;t=2",
                "RateLimit-Policy: burst;q=20;w=2, day;q=1000;w=86400",
            ],
            &["2 adopts until 86400", "1 adopts until 2"],
        ),
        (
            "Kong: a name for each length",
            &["5/min", "100/h", "900/utc-day"],
            &[
                "RateLimit-Limit: 5",
                "RateLimit-Remaining: 4",
                "RateLimit-Reset: 54",
                "X-RateLimit-Limit-Minute: 5",
                "X-RateLimit-Remaining-Minute: 4",
                "X-RateLimit-Limit-Hour: 50",
                "X-RateLimit-Remaining-Hour: 48",
                "X-RateLimit-Limit-Day: 1000",
                "X-RateLimit-Remaining-Day: 998",
            ],
            &["1 until 54", "1 adopts", "2 adopts", "3 adopts"],
        ),
        (
            "Kong: of a length that is not configured",
            &["5/min"],
            &[
                "X-RateLimit-Limit-Second: 5",
                "X-RateLimit-Remaining-Second: 4",
            ],
            &["learned"],
        ),
        (
            "half a second is told as one",
            &["20/500ms"],
            &[
                r#"RateLimit: "b";r=3;t=1"#,
                r#"RateLimit-Policy: "b";q=10;w=1"#,
            ],
            &["1 adopts until 1"],
        ),
        (
            "the policy of a shorter time is not that of the minute, though of its limit",
            &["10/min"],
            &[
                r#"RateLimit: "s";r=3;t=1"#,
                r#"RateLimit-Policy: "s";q=10;w=1"#,
            ],
            &["learned"],
        ),
        (
            "nor is its limit in question",
            &["100/min"],
            &[r#"RateLimit-Policy: "s";q=10;w=1"#],
            &["nothing"],
        ),
        (
            "a reset that cannot be, of that length",
            &["100/min"],
            &[
                r#"RateLimit: "m";r=3;t=122"#,
                r#"RateLimit-Policy: "m";q=100;w=60"#,
            ],
            &["learned"],
        ),
    ]);
}

#[test]
fn a_month_may_be_told_as_30_days_and_one_and_a_half_seconds_as_two() {
    let told = |text: &str, length: u64| {
        let policy = format!("RateLimit-Policy: 2000;w={length}");
        owners(&[window(text)], &[&policy, "RateLimit: remaining=7"])
    };
    let day = 86_400;
    for days in 28..=31 {
        assert_eq!(told("2000/utc-month", days * day), ["1 adopts"], "{days}");
    }
    for days in [27, 32] {
        assert_eq!(told("2000/utc-month", days * day), ["learned"], "{days}");
    }
    assert_eq!(told("2000/day-06:00", day), ["1 adopts"]);
    assert_eq!(told("2000/day-06:00", day - 1), ["learned"]);
    assert_eq!(told("2000/1500ms", 2), ["1 adopts"]);
    assert_eq!(told("2000/1500ms", 1), ["learned"]);
}

#[test]
fn of_two_windows_of_a_length_the_one_of_the_limit_is_meant_or_the_one_of_requests() {
    let windows = [
        window("1000/min").unit("lines"),
        window("60/min"),
        window("60/day").unit("orders"),
        window("60/day"),
    ];
    let policy = |limit: u64| {
        let policy = format!("RateLimit-Policy: {limit};w=60");
        owners(&windows, &[&policy, "RateLimit: remaining=7"])
    };
    assert_eq!(policy(1000), ["1 adopts"]);
    assert_eq!(policy(60), ["2 adopts"]);
    assert_eq!(policy(900), ["2 adopts"]);
    let day = ["RateLimit-Policy: 60;w=86400", "RateLimit: remaining=7"];
    assert_eq!(owners(&windows, &day), ["4 adopts"]);
    let by_limit = ["RateLimit: limit=60, remaining=7, reset=5000"];
    assert_eq!(owners(&windows, &by_limit), ["4 until 5000"]);
}

#[test]
fn a_limit_that_is_told_is_that_of_a_window_of_which_the_reset_can_be() {
    let digikey: &[&str] = &["120/min", "1000/utc-day"];
    check(&[
        (
            "most servers",
            &["20/2s"],
            &[
                "X-RateLimit-Limit: 20",
                "X-RateLimit-Remaining: 19",
                "X-RateLimit-Reset: 2",
            ],
            &["1 until 2"],
        ),
        (
            "a limit alone",
            &["20/2s"],
            &["X-RateLimit-Limit: 20"],
            &["1"],
        ),
        (
            "DigiKey: the day on every answer",
            digikey,
            &["X-RateLimit-Limit: 1000", "X-RateLimit-Remaining: 17"],
            &["2"],
        ),
        (
            "DigiKey on a 429: both",
            digikey,
            &[
                "X-RateLimit-Limit: 1000",
                "X-RateLimit-Remaining: 17",
                "X-BurstLimit-Limit: 120",
                "X-BurstLimit-Remaining: 0",
                "X-BurstLimit-Reset: 44",
            ],
            &["2", "1 until 44"],
        ),
        (
            "one limiter before two windows: the day's names tell the limit of the burst",
            &["20/2s", "1000/day"],
            &[
                "X-RateLimit-Limit: 20",
                "X-RateLimit-Remaining: 3",
                "X-RateLimit-Reset: 1",
            ],
            &["1 until 1"],
        ),
        (
            "of two families the one that tells the limit of the only window",
            &["40/2s"],
            &[
                "X-RateLimit-Limit: 1000",
                "X-RateLimit-Remaining: 900",
                "X-BurstLimit-Limit: 40",
                "X-BurstLimit-Remaining: 39",
            ],
            &["learned", "1"],
        ),
        (
            "a gateway's two lines of each",
            &["5000/h"],
            &[
                "X-RateLimit-Limit: 5000, 20",
                "X-RateLimit-Remaining: 4990, 3",
                "X-RateLimit-Reset: 1800, 2",
            ],
            &["1 until 1800", "learned"],
        ),
        (
            "IBM API Connect with two limits",
            &["1000/day"],
            &[
                "X-RateLimit-Limit: name=hourly,100;name=daily,1000;",
                "X-RateLimit-Remaining: name=hourly,9; name=daily,909;",
            ],
            &["learned", "1"],
        ),
        (
            "IBM API Connect, and none of them is configured",
            &["7/day"],
            &[
                "X-RateLimit-Limit: name=hourly,100;name=daily,1000;",
                "X-RateLimit-Remaining: name=hourly,9; name=daily,909;",
            ],
            &["learned", "learned"],
        ),
        (
            "its limit, until beyond two windows",
            &["20/2s"],
            &[
                "X-RateLimit-Limit: 20",
                "X-RateLimit-Remaining: 3",
                "X-RateLimit-Reset: 6s",
            ],
            &["learned"],
        ),
        (
            "its limit, until beyond a day",
            &["1000/day"],
            &[
                "X-RateLimit-Limit: 1000",
                "X-RateLimit-Remaining: 3",
                "X-RateLimit-Reset: 86402s",
            ],
            &["learned"],
        ),
        (
            "its limit, until beyond a day by the calendar",
            &["1000/utc-day"],
            &[
                "X-RateLimit-Limit: 1000",
                "X-RateLimit-Remaining: 3",
                "X-RateLimit-Reset: 86402s",
            ],
            &["learned"],
        ),
    ]);
}

#[test]
fn what_remains_of_any_24_hours_is_weighed_beside_our_own_count_and_a_limit_alone_is_not() {
    let is_weighed = |text: &str, lines: &[&str]| {
        let told = told(&[window(text)], lines);
        told.reports.iter().any(|(_, owner)| owner.is_weighed())
    };
    let both = ["X-RateLimit-Limit: 100", "X-RateLimit-Remaining: 3"];
    assert!(is_weighed("100/day", &both));
    assert!(is_weighed("200/day", &both), "learned");
    for text in ["100/min", "100/h", "100/utc-day", "100/utc-month"] {
        assert!(!is_weighed(text, &both), "{text}");
    }
    for text in ["100/day", "200/day"] {
        assert!(!is_weighed(text, &both[..1]), "{text}");
        let policy = ["RateLimit-Policy: 100;w=86400"];
        assert!(!is_weighed(text, &policy), "{text}");
    }
    assert!(!is_weighed("100/day as X-A", &["X-A-Reset: 7"]));
}

/// Of three windows of one limit: which one, and how its reset is read.
#[test]
fn of_equal_limits_the_shortest_that_is_as_long_as_the_reset_is_meant() {
    let windows = ["100/min", "100/h", "100/day"].map(window);
    let told = |reset: &str| {
        let reset = format!("X-RateLimit-Reset: {reset}");
        let lines = ["X-RateLimit-Limit: 100", "X-RateLimit-Remaining: 3", &reset];
        owners(&windows, &lines)
    };
    assert_eq!(told("60"), ["1 until 60"]);
    assert_eq!(told("61"), ["2 until 61"]);
    assert_eq!(told("3600"), ["2 until 3600"]);
    assert_eq!(told("3601"), ["3 until 3601"]);
    assert_eq!(told("86401"), ["3 until 86401"]);
    // More than a day: milliseconds.
    assert_eq!(told("90000"), ["2 until 90"]);
    assert_eq!(told("90000s"), ["learned"]);
    let no_reset = ["X-RateLimit-Limit: 100", "X-RateLimit-Remaining: 3"];
    assert_eq!(owners(&windows, &no_reset), ["1"]);
}

#[test]
fn of_a_limit_that_no_window_has_what_remains_is_learned_and_nothing_adopted() {
    let gateway: &[&str] = &[
        "X-RateLimit-Limit: 20",
        "X-RateLimit-Remaining: 0",
        "X-RateLimit-Reset: 2",
    ];
    check(&[
        (
            "lower than the day's",
            &["10000/utc-day"],
            gateway,
            &["learned"],
        ),
        ("higher than the second's", &["10/s"], gateway, &["learned"]),
        (
            "of two windows neither's",
            &["10/s", "10000/day"],
            gateway,
            &["learned"],
        ),
        ("no window at all", &[], gateway, &["learned"]),
        (
            "no limit",
            &["10/s"],
            &["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 2"],
            &["learned"],
        ),
        (
            "no limit, in the names of a burst",
            &["10/s", "10000/day"],
            &["X-BurstLimit-Remaining: 0"],
            &["learned"],
        ),
        (
            "draft 08 without its policy",
            &["20/2s", "1000/day"],
            &[r#"RateLimit: "default";r=3;t=1"#],
            &["learned"],
        ),
    ]);
}

#[test]
fn a_limit_without_what_remains_is_tested_and_a_reset_alone_says_nothing() {
    let limit: &[&str] = &["X-RateLimit-Limit: 20", "X-RateLimit-Reset: 2"];
    check(&[
        (
            "lower than the day's",
            &["10000/utc-day"],
            limit,
            &["a limit alone"],
        ),
        (
            "higher than the second's",
            &["10/s"],
            limit,
            &["a limit alone"],
        ),
        ("no window at all", &[], limit, &["a limit alone"]),
        (
            "Strava's two",
            &["100/15min"],
            &["X-RateLimit-Limit: 200,2000"],
            &["a limit alone", "a limit alone"],
        ),
        (
            "a reset alone",
            &["10/s"],
            &["X-RateLimit-Reset: 2"],
            &["nothing"],
        ),
        (
            "a policy of a length that no window has",
            &["1000/day"],
            &["RateLimit-Policy: 20;w=2"],
            &["nothing"],
        ),
    ]);
}
