//! What the limiter reaches against simulated servers, three seeds each; the bench `simulator` runs
//! any other scenario.

#![allow(clippy::unwrap_used)] // Tests may panic.

mod simulation;

use simulation::{Outcome, Scenario};

const SERVERS: [&str; 4] = [
    "fixed-window",
    "sliding-log",
    "token-bucket",
    "sliding-counter",
];

fn outcomes(arguments: &str) -> Vec<Outcome> {
    let scenario = Scenario::of(&format!("{arguments} --seeds 3"));
    scenario.runs().map(|(_, outcome)| outcome).collect()
}

#[track_caller]
fn never_rejected(arguments: &str, least: impl Fn(&Outcome) -> f64) {
    for outcome in outcomes(arguments) {
        assert_eq!(outcome.rejections, 0, "{arguments}: {outcome:?}");
        let least = least(&outcome);
        assert!(
            outcome.utilisation >= least,
            "{arguments}: {outcome:?}, {least}"
        );
    }
}

/// The share of what is possible for a client that knows its own answers alone.
fn nearly_ideal(outcome: &Outcome) -> f64 {
    0.98 * outcome.ideal
}

#[test]
fn a_lone_client_is_never_rejected_and_uses_its_limit() {
    for server in ["fixed-window", "sliding-log", "token-bucket"] {
        never_rejected(&format!("--server {server}"), |_| 0.985);
    }
}

#[test]
fn nor_does_a_long_way_cost_more_than_itself() {
    for server in ["fixed-window", "sliding-log", "token-bucket"] {
        never_rejected(&format!("--server {server} --round-trip 2.5"), nearly_ideal);
    }
}

#[test]
fn nor_do_a_tail_a_small_limit_and_silent_or_coarse_headers() {
    never_rejected("--server sliding-log --tail 30", nearly_ideal);
    never_rejected("--limit 10 --floored", nearly_ideal);
    never_rejected("--server token-bucket --headers never", nearly_ideal);
    never_rejected("--headers reordered", nearly_ideal);
}

#[test]
fn a_sliding_counter_rejects_nothing_of_a_spread_window() {
    never_rejected("--server sliding-counter --pacing spread", |_| 0.97);
}

#[test]
fn auto_learns_a_sliding_counter_within_one_round_of_requests() {
    let arguments = "--server sliding-counter --workers 32 --warm-up 6 --headers never";
    for outcome in outcomes(arguments) {
        assert!(outcome.rejections <= 32, "{outcome:?}");
        assert_eq!(outcome.late_rejections, 0, "{outcome:?}");
        assert!(outcome.utilisation >= 0.97, "{outcome:?}");
    }
}

/// It let the second burst go before an answer had told of the first window's part that counts on,
/// and took the reset of a window to come for milliseconds.
#[test]
fn nor_does_that_cost_a_rejection_where_the_server_tells_what_is_left() {
    for more in ["", "--round-trip 2.5", "--limit 600 --workers 128"] {
        let arguments = format!("--server sliding-counter --warm-up 6 {more}");
        for outcome in outcomes(&arguments) {
            assert!(outcome.rejections <= 1, "{arguments}: {outcome:?}");
            let least = 0.97 * outcome.ideal;
            assert!(outcome.utilisation >= least, "{arguments}: {outcome:?}");
        }
    }
}

#[test]
fn a_limit_configured_too_high_is_learned_from_the_headers() {
    for (server, least) in SERVERS.iter().zip([0.98, 0.98, 0.98, 0.94]) {
        let arguments = format!("--server {server} --limit 100 --configured 120 --workers 64");
        for outcome in outcomes(&arguments) {
            assert!(outcome.rejections <= 1, "{arguments}: {outcome:?}");
            assert!(outcome.utilisation >= least, "{arguments}: {outcome:?}");
        }
    }
}

/// It cost one in each window, for ever.
#[test]
fn a_limit_that_is_too_high_for_good_costs_a_rejection_now_and_then_without_headers() {
    for (server, least) in SERVERS.iter().zip([0.94, 0.94, 0.98, 0.88]) {
        let arguments =
            format!("--server {server} --limit 100 --configured 120 --workers 64 --headers never");
        for outcome in outcomes(&arguments) {
            assert!(outcome.late_rejections <= 16, "{arguments}: {outcome:?}");
            assert!(outcome.utilisation >= least, "{arguments}: {outcome:?}");
        }
    }
}

/// Each server's most rejections and least utilisation; on a log what one releases is gone before
/// the others' answers tell.
#[test]
fn processes_that_do_not_know_of_each_other_share_by_what_the_server_says() {
    let most = [4, 12, 0, 2];
    let least = [0.98, 0.91, 0.98, 0.94];
    for ((server, most), least) in SERVERS.iter().zip(most).zip(least) {
        let arguments = format!("--server {server} --processes 4");
        for outcome in outcomes(&arguments) {
            assert!(outcome.rejections <= most, "{arguments}: {outcome:?}");
            assert!(outcome.utilisation >= least, "{arguments}: {outcome:?}");
            assert!(outcome.fairness <= 2.0, "{arguments}: {outcome:?}");
        }
    }
}

#[test]
fn somebody_elses_third_is_left_to_them() {
    let least = [0.67, 0.57, 0.64, 0.58];
    for (server, least) in SERVERS.iter().zip(least) {
        let arguments = format!("--server {server} --outside 0.3");
        for outcome in outcomes(&arguments) {
            assert!(outcome.rejections <= 10, "{arguments}: {outcome:?}");
            assert!(outcome.utilisation >= least, "{arguments}: {outcome:?}");
            assert!(outcome.outside_rejected <= 0.15, "{arguments}: {outcome:?}");
        }
    }
}

/// A reset that is told to the second says little of a window of one.
#[test]
fn a_window_of_a_second_is_shared_too() {
    for outcome in outcomes("--window 1 --limit 20 --round-trip 0.1 --outside 0.3") {
        assert!(outcome.rejections <= 10, "{outcome:?}");
        assert!(outcome.utilisation >= 0.25, "{outcome:?}");
    }
}

#[test]
fn a_window_of_a_day_is_simulated_too() {
    for outcome in outcomes("--window 86400 --limit 100 --windows 5") {
        assert_eq!(outcome.rejections, 0, "{outcome:?}");
        assert!(outcome.utilisation >= 0.99, "{outcome:?}");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let run = || format!("{:?}", outcomes("--server sliding-log --processes 4"));
    assert_eq!(run(), run());
}

#[test]
fn a_limit_that_falls_for_a_while_costs_no_more_than_that() {
    let arguments = "--changed-limit 60 --changed-from 5 --changed-until 10";
    for outcome in outcomes(arguments) {
        assert!(outcome.rejections <= 1, "{outcome:?}");
        // Five windows of 32 at half the limit.
        assert!(outcome.utilisation >= 0.88, "{outcome:?}");
    }
}

#[test]
fn a_scenario_that_makes_no_sense_is_refused_with_a_reason() {
    for (arguments, reason) in [
        ("--limit 0", "limit"),
        ("--window -1", "expected a number from 0.001"),
        ("--jitter 2", "expected a number from 0 to 1"),
        ("--outside none", "is not a number"),
        ("--workers 0", "expected a number from 1"),
    ] {
        let error = Scenario::parse_from_text(arguments).unwrap_err();
        assert!(error.contains(reason), "{arguments}: {error}");
    }
}

#[test]
fn workers_get_equal_shares() {
    for outcome in outcomes("") {
        assert!(outcome.fairness <= 1.1, "{outcome:?}");
    }
}
