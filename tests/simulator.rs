//! What the limiter reaches against simulated servers, six seeds each; the bench `simulator` runs
//! any other scenario. Where a bound follows from no rule, it is what 50 seeds kept.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // Tests panic; one prints.

mod simulation;

use simulation::{Outcome, Scenario};

const SERVERS: [&str; 4] = [
    "fixed-window",
    "sliding-log",
    "token-bucket",
    "sliding-counter",
];

fn outcomes(arguments: &str) -> Vec<Outcome> {
    let scenario = Scenario::of(&format!("{arguments} --seeds 6"));
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
/// and took the reset of a window to come for milliseconds. Of 250 seeds nine in ten have
/// none and the worst has 15: never more than one round of requests in flight.
#[test]
fn where_the_server_tells_what_is_left_that_is_seldom_a_rejection() {
    for more in [
        "",
        "--round-trip 2.5",
        "--limit 600 --workers 128 --windows 10",
    ] {
        let arguments = format!("--server sliding-counter --warm-up 6 {more}");
        let outcomes = outcomes(&arguments);
        for outcome in &outcomes {
            let workers = Scenario::of(&arguments).workers;
            assert!(outcome.rejections <= workers, "{arguments}: {outcome:?}");
            assert_eq!(outcome.late_rejections, 0, "{arguments}: {outcome:?}");
            let least = 0.97 * outcome.ideal;
            assert!(outcome.utilisation >= least, "{arguments}: {outcome:?}");
        }
        let without = outcomes.iter().filter(|outcome| outcome.rejections == 0);
        assert!(without.count() >= 4, "{arguments}: {outcomes:?}");
    }
}

/// A sliding counter is learned within six windows. What is told is obeyed beside the configured
/// limit, which unnamed headers do not change; that costs a log a scout for each part of it.
#[test]
fn a_limit_configured_too_high_is_learned_from_the_headers() {
    for server in SERVERS {
        let warm_up = if server == "sliding-counter" { 6 } else { 2 };
        let arguments = format!(
            "--server {server} --limit 100 --configured 120 --workers 64 --warm-up {warm_up}"
        );
        for outcome in outcomes(&arguments) {
            assert!(outcome.rejections <= 1, "{arguments}: {outcome:?}");
            let least = if server == "sliding-counter" {
                0.95
            } else {
                0.97
            };
            assert!(outcome.utilisation >= least, "{arguments}: {outcome:?}");
        }
    }
}

/// It cost one in each window, for ever.
#[test]
fn a_limit_that_is_too_high_for_good_costs_a_rejection_now_and_then_without_headers() {
    for (server, least) in SERVERS.iter().zip([0.94, 0.94, 0.98, 0.84]) {
        let arguments =
            format!("--server {server} --limit 100 --configured 120 --workers 64 --headers never");
        for outcome in outcomes(&arguments) {
            assert!(outcome.late_rejections <= 16, "{arguments}: {outcome:?}");
            assert!(outcome.utilisation >= least, "{arguments}: {outcome:?}");
        }
    }
}

/// Each server's most rejections, least utilisation and least equal parts. On a log what one
/// releases is gone before the others' answers tell. Where little is left at any moment, one of
/// them may hold a small part for a while: of 250 seeds nine in ten have less than 2 to 1, the
/// worst 4.9 (bucket) and 6.1 (counter).
#[test]
fn processes_that_do_not_know_of_each_other_share_by_what_the_server_says() {
    let most = [4, 12, 0, 2];
    let least = [0.98, 0.91, 0.98, 0.94];
    let parts = [1.5, 1.5, 8.0, 8.0];
    for (((server, most), least), parts) in SERVERS.iter().zip(most).zip(least).zip(parts) {
        let arguments = format!("--server {server} --processes 4");
        for outcome in outcomes(&arguments) {
            assert!(outcome.rejections <= most, "{arguments}: {outcome:?}");
            assert!(outcome.utilisation >= least, "{arguments}: {outcome:?}");
            assert!(outcome.fairness <= parts, "{arguments}: {outcome:?}");
        }
    }
}

/// A margin for the server's clock made an hour longer than the hour up to which windows are
/// learned: some 200 rejections in each.
#[test]
fn an_hour_is_learned_like_any_shorter_window() {
    let arguments = "--server sliding-counter --limit 120 --window 3600 --headers never";
    for outcome in outcomes(&format!("{arguments} --windows 12")) {
        assert!(outcome.rejections <= 60, "{outcome:?}");
        assert!(outcome.utilisation >= 0.92, "{outcome:?}");
    }
}

#[test]
fn so_is_an_hour_by_four_processes() {
    let arguments = "--server sliding-counter --limit 120 --window 3600 --headers never";
    for outcome in outcomes(&format!("{arguments} --windows 12 --processes 4")) {
        assert!(outcome.rejections <= 200, "{outcome:?}");
        assert!(outcome.utilisation >= 0.84, "{outcome:?}");
    }
}

#[test]
fn of_an_hour_too_somebody_elses_third_is_left_to_them() {
    let arguments = "--server sliding-counter --limit 300 --window 3600 --outside 0.3";
    for outcome in outcomes(&format!("{arguments} --windows 10")) {
        assert!(outcome.rejections <= 10, "{outcome:?}");
        assert!(outcome.utilisation >= 0.58, "{outcome:?}");
        assert!(outcome.outside_rejected <= 0.15, "{outcome:?}");
    }
}

/// Each came back as soon as it was told to and kept the count full: nothing was accepted any more.
#[test]
fn six_processes_are_not_locked_out_where_rejections_count() {
    let arguments = "--server sliding-counter --processes 6 --headers never --counts-rejected";
    for outcome in outcomes(&format!("{arguments} --windows 10")) {
        assert!(outcome.rejections <= 240, "{outcome:?}");
        assert!(outcome.utilisation >= 0.8, "{outcome:?}");
    }
}

/// It had some 300 rejections a day, for ever.
#[test]
fn a_day_learns_a_sliding_counter_too() {
    let arguments = "--server sliding-counter --limit 300 --window 86400 --windows 8";
    for outcome in outcomes(&format!("{arguments} --headers on-rejection")) {
        assert!(outcome.rejections <= 100, "{outcome:?}");
        assert!(outcome.utilisation >= 0.88, "{outcome:?}");
    }
}

/// It would lose 4 to 9 % if one rejection were enough for the spread of an hour.
#[test]
fn a_day_of_which_somebody_takes_a_tenth_at_once_loses_nothing_by_that() {
    for server in ["fixed-window", "sliding-log", "token-bucket"] {
        let arguments = "--limit 100 --window 86400 --windows 5 --outside 0.1 --bursty";
        let arguments = format!("--server {server} {arguments} --headers on-rejection");
        for outcome in outcomes(&arguments) {
            assert!(outcome.utilisation >= 0.99, "{arguments}: {outcome:?}");
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

/// What was answered around midnight was forgotten with the day before: 15 to 93 rejections in all
/// but the last.
#[test]
fn a_calendar_day_is_never_overdrawn_whatever_the_clocks_say() {
    for headers in ["never", "always"] {
        for more in [
            "",
            "--pacing burst",
            "--clock-off 1",
            "--clock-off -1",
            "--clock-off 2",
            "--clock-off -2 --round-trip 2",
        ] {
            let days = "--calendar --to-midnight 2 --limit 300 --warm-up 1 --windows 1";
            let arguments = format!("{days} --headers {headers} {more}");
            never_rejected(&arguments, |_| 0.999);
        }
    }
}

#[test]
fn nor_is_one_after_the_other_from_any_hour_on() {
    for headers in ["never", "always"] {
        let arguments = format!("--calendar --headers {headers} --tail 30");
        never_rejected(&arguments, |_| 0.999);
    }
}

/// Nginx and HAProxy reject without a word. The first burst of each process is rejected in part;
/// after that it sends one at a time, less and less often, and not all who wait at once.
#[test]
fn a_server_that_tells_nothing_at_all_is_no_reason_for_a_herd() {
    for (arguments, most, least) in [
        ("--limit 100 --configured 120 --workers 64", 16, 0.95),
        ("--limit 10 --configured 120", 4 * 30, 0.95),
        ("--processes 4", 4 * 2 * 30, 0.95),
        ("--outside 0.3", 2 * 30, 0.6),
    ] {
        for outcome in outcomes(&format!("{arguments} --headers bare")) {
            assert!(outcome.late_rejections <= most, "{arguments}: {outcome:?}");
            assert!(outcome.utilisation >= least, "{arguments}: {outcome:?}");
        }
    }
}

/// `TOLLGATE_SCENARIOS=1000` runs more of them, and `--nocapture` prints what they used
/// (`benches/README.md`).
#[test]
fn no_lone_client_is_rejected_whatever_the_scenario() {
    let count = std::env::var("TOLLGATE_SCENARIOS").ok();
    let count: u64 = count.map_or(60, |count| count.parse().unwrap());
    let mut shares = Vec::new();
    for seed in 1..=count {
        let arguments = Scenario::arguments_at_random(seed);
        let scenario = Scenario::of(&arguments);
        let (_, outcome) = scenario.runs().next().unwrap();
        assert_eq!(outcome.rejections, 0, "{arguments}: {outcome:?}");
        if scenario.nears_its_ideal() {
            let part = scenario.configured() as f64 / scenario.limit as f64;
            shares.push(outcome.utilisation / (part * outcome.ideal));
        }
    }
    let (near, all) = (
        shares.iter().filter(|share| **share >= 0.98).count(),
        shares.len(),
    );
    println!("{count} scenarios, no rejection; {near} of {all} used 98 % of the ideal and more");
    // A few windows of a few round trips each are measured coarsely.
    assert!(near * 10 >= all * 9, "{shares:?}");
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
fn workers_get_equal_shares() {
    for outcome in outcomes("") {
        assert!(outcome.fairness <= 1.1, "{outcome:?}");
    }
}
