use http::HeaderName;
use proptest::prelude::*;

use super::*;

/// Thu, 01 Jan 2026 00:00:00 GMT; the answers arrive 30 s before it.
const NEW_YEAR: u64 = 1_767_225_600;

fn wall() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NEW_YEAR - 30)
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name: HeaderName = name.parse().expect("a name");
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value");
        headers.append(name, value);
    }
    headers
}

/// In seconds.
fn pause(lines: &[&str]) -> Option<f64> {
    let lines: Vec<_> = lines.iter().map(|line| ("retry-after", *line)).collect();
    retry_after(&headers(&lines), wall()).map(|span| span.as_secs_f64())
}

#[test]
fn retry_after_is_read_in_each_form_that_servers_send() {
    let rows = [
        ("120", 120.0),
        ("1.5", 1.5),
        ("0.25", 0.25),
        ("1767225600", 30.0),
        ("1767225600.5", 30.5),
        ("1767225600000", 30.0),
        ("1767225600000000", 30.0),
        ("Thu, 01 Jan 2026 00:00:00 GMT", 30.0),
        ("Thursday, 01-Jan-26 00:00:00 GMT", 30.0),
        ("Thu Jan  1 00:00:00 2026", 30.0),
        ("Thu, 01 Jan 2026 00:00:00 -0000", 30.0),
        ("2026-01-01T00:00:00Z", 30.0),
        ("2026-01-01T00:00:00.500Z", 30.5),
        ("2026-01-01T01:00:00+01:00", 30.0),
        ("2026-01-01T00:00:00", 30.0),
        ("2026-01-01 00:00:00", 30.0),
        ("2026-01-01 00:00:00+00:00", 30.0),
        ("3s", 3.0),
        ("6m0s", 360.0),
        ("3000ms", 3.0),
        ("1h2m", 3_720.0),
        ("1h2m3s", 3_723.0),
        ("2m59.56s", 179.56),
        ("250ms", 0.25),
        ("1d", 86_400.0),
        ("30 seconds", 30.0),
        ("1 minute 5 s", 65.0),
        ("1 Hour", 3_600.0),
        ("PT3S", 3.0),
        ("PT1H2M3.5S", 3_723.5),
        ("P1D", 86_400.0),
        ("P1DT12H", 129_600.0),
        (" 7 ", 7.0),
    ];
    for (text, expected) in rows {
        let read = pause(&[text]).unwrap_or_else(|| panic!("{text}: nothing read"));
        assert!((read - expected).abs() < 1e-6, "{text}: {read}");
    }
}

#[test]
fn a_retry_after_that_says_nothing_is_absent() {
    for text in [
        "0",
        "0.0",
        "0s",
        "PT0S",
        "",
        " ",
        "-5",
        "+5",
        "²",
        "NaN",
        "inf",
        "1e300",
        ".",
        "1.2.3",
        "soon",
        "0x10",
        "38/40",
        "3 apples",
        "s",
        "3s4",
        "1,000",
        "1,000.5",
        "P",
        "PT",
        "P1M",
        "P1Y",
        "PT1D",
        "1767225500",
        "Wed, 31 Dec 2025 23:59:00 GMT",
        "2025-12-31T23:59:00Z",
    ] {
        assert_eq!(pause(&[text]), None, "{text}");
    }
    assert_eq!(pause(&[&"9".repeat(400)]), None);
}

#[test]
fn of_several_retry_afters_the_longest_counts() {
    assert_eq!(pause(&["5", "120", "60"]), Some(120.0));
    assert_eq!(pause(&["5, 120, 60"]), Some(120.0));
    assert_eq!(pause(&["5", "soon", "0"]), Some(5.0));
    let date = "Thu, 01 Jan 2026 00:00:00 GMT";
    assert_eq!(pause(&["5", date]), Some(30.0));
    assert_eq!(pause(&["PT45S", date]), Some(45.0));
}

#[test]
fn a_date_is_measured_from_the_answers_own_date() {
    let skewed = [
        ("date", "Wed, 31 Dec 2025 23:59:50 GMT"),
        ("retry-after", "1767225600"),
    ];
    let told = retry_after(&headers(&skewed), wall());
    assert_eq!(told, Some(Duration::from_secs(10)));
}

#[test]
fn no_pause_is_longer_than_a_month() {
    for text in [
        "99999999",
        "999999999",
        "9999999999",
        "99999999999999999999",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "9999-12-31T23:59:59Z",
        "99999999999999h",
        "P99999999999999D",
    ] {
        assert_eq!(pause(&[text]), Some(LONGEST_PAUSE.as_secs_f64()), "{text}");
    }
    // More than any clock can tell.
    assert_eq!(pause(&["99999999999999999999999999999999d"]), None);
}

#[test]
fn what_lies_beyond_the_first_lines_and_the_first_bytes_is_not_looked_at() {
    let mut lines = ["1"; 17];
    lines[15] = "15";
    lines[16] = "16";
    assert_eq!(pause(&lines), Some(15.0));
    let long = "2, ".repeat(400_000);
    assert_eq!(pause(&[&long, "9"]), Some(2.0));
    let members = format!("{}9", "3, ".repeat(16));
    assert_eq!(pause(&[&members]), Some(3.0));
}

#[test]
fn a_budget_is_that_of_all_lines_together_and_cuts_between_members() {
    let value = |text: &str| HeaderValue::from_str(text).expect("a value");
    let (short, long) = (value(" a, b "), value(&"abc, ".repeat(1_000)));
    let mut budget = Budget::default();
    assert_eq!(budget.text(&short), Some("a, b"));
    let cut = budget.text(&long).expect("what fits");
    assert!(
        cut.len() < MOST_TEXT && cut.ends_with("abc"),
        "{}",
        cut.len()
    );
    assert_eq!(budget.text(&short), None);
}

/// Found by the property R3: a limit of `1.2.3` was one of 1.
#[test]
fn a_count_is_an_integer_or_a_decimal_and_nothing_else() {
    let rows = [
        ("100", Some(100)),
        ("100.0", Some(100)),
        ("100.", Some(100)),
        ("100, 100;w=60", Some(100)),
        ("1, 2", Some(1)),
        ("600,30000", Some(600)),
        ("1000,500", Some(1000)),
        ("1,000", None),
        ("1,000.0", None),
        ("1,000,000", None),
        ("12,340, 50", None),
        ("100.5;w=60", Some(100)),
        ("1.2.3", None),
        ("1.e9", None),
        ("7 apples", None),
        ("38/40", None),
        ("0x10", None),
        (".5", None),
        ("", None),
        ("18446744073709551616", None),
    ];
    for (text, expected) in rows {
        assert_eq!(integer(text), expected, "{text}");
    }
}

/// Bytes, and texts that come close to what servers send.
fn values() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(32_u8..=255, 0..70),
        "[0-9.,:TZPsmhd +-]{0,40}".prop_map(String::into_bytes),
        "(P|PT|)([0-9]{0,22}[.]?[0-9]{0,3} ?(ms|s|m|h|d|us|S|M|H|D|T)){0,5}"
            .prop_map(String::into_bytes),
        "(Thu, |)[0-9]{2}[ -](Jan|Feb)[ -][0-9]{2,6} [0-9]{2}:[0-9]{2}:[0-9]{2} (GMT|[+-][0-9]{4})"
            .prop_map(String::into_bytes),
        "[+-]?[0-9]{4,6}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2}|)"
            .prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn whatever_bytes_come_a_span_has_a_bound_and_nothing_panics(
        lines in prop::collection::vec((any::<bool>(), values()), 0..6),
        wall in 0_u64..u64::from(u32::MAX),
    ) {
        let mut headers = HeaderMap::new();
        for (is_date, value) in lines {
            let not_a_value = |_| TestCaseError::reject("not a value");
            let name = if is_date { DATE } else { RETRY_AFTER };
            headers.append(name, HeaderValue::from_bytes(&value).map_err(not_a_value)?);
        }
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(wall);
        if let Some(span) = retry_after(&headers, wall) {
            prop_assert!(!span.is_zero() && span <= LONGEST_PAUSE, "{:?}", span);
        }
    }
}
