//! A scenario's command line, and the line that comes of it.

use serde_json::{Map, Value};

use super::Scenario;

/// It left out half of them, and named servers as no option does.
#[test]
fn a_line_tells_all_that_repeats_its_run() {
    for arguments in [
        "--server token-bucket --jitter 0.2 --processes 2 --outside 0.2 --bursty --windows 3",
        "--limit 20 --changed-limit 10 --changed-from 1 --changed-until 2 --windows 3 --warm-up 0",
        "--calendar --to-midnight 30 --clock-off -1.5 --limit 50 --windows 2 --headers bare",
    ] {
        let line = only_line(arguments);
        assert_eq!(only_line(&options(&line)), line, "{arguments}");
    }
}

fn only_line(arguments: &str) -> String {
    let scenario = Scenario::of(arguments);
    let (seed, outcome) = scenario.runs().next().unwrap();
    scenario.line(seed, &outcome)
}

/// The command line of a JSON line.
fn options(line: &str) -> String {
    const FOUND: [&str; 7] = [
        "utilisation",
        "ideal",
        "rejections",
        "late_rejections",
        "p99_wait",
        "fairness",
        "outside_rejected",
    ];
    let line: Map<String, Value> = serde_json::from_str(line).unwrap();
    let parameters = line
        .iter()
        .filter(|(name, _)| !FOUND.contains(&name.as_str()));
    let options = parameters.map(|(name, value)| {
        let option = name.replace('_', "-");
        match value {
            Value::Null | Value::Bool(false) => String::new(),
            Value::Bool(true) => format!("--{option} "),
            Value::String(text) => format!("--{option} {text} "),
            number => format!("--{option} {number} "),
        }
    });
    options.collect()
}

/// It was 0 below one whole limit.
#[test]
fn a_part_of_one_limit_is_a_part_of_the_utilisation() {
    let few = "--limit 10000 --workers 1 --round-trip 6 --jitter 0 --windows 9";
    for (_, outcome) in Scenario::of(few).runs() {
        assert!(
            (0.0009..=0.0011).contains(&outcome.utilisation),
            "{outcome:?}"
        );
    }
}

/// Nothing was taken for one request.
#[test]
fn a_worker_that_got_nothing_makes_the_parts_unequal_beyond_number() {
    let line = only_line("--limit 1 --workers 100 --windows 3");
    assert!(line.contains(r#""fairness":null"#), "{line}");
}

#[test]
fn a_scenario_that_makes_no_sense_is_refused_with_a_reason() {
    for (arguments, reason) in [
        ("--limit 0", "limit"),
        ("--window -1", "expected a number from 0.001"),
        ("--jitter 2", "expected a number from 0 to 1"),
        ("--outside none", "is not a number"),
        (
            "--clock-off 100000",
            "expected a number from -86400 to 86400",
        ),
        ("--workers 0", "expected a number from 1"),
    ] {
        let error = Scenario::parse_from_text(arguments).unwrap_err();
        assert!(error.contains(reason), "{arguments}: {error}");
    }
}
