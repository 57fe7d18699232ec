//! What the limiter reaches against simulated servers, three seeds each; the bench `simulator` runs
//! any other scenario.

mod simulation;

use simulation::{Outcome, Scenario};

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
    for outcome in outcomes("--server sliding-counter --workers 32") {
        assert!(outcome.rejections <= 32, "{outcome:?}");
        assert_eq!(outcome.late_rejections, 0, "{outcome:?}");
        assert!(outcome.utilisation >= 0.97, "{outcome:?}");
    }
}

#[test]
fn workers_get_equal_shares() {
    for outcome in outcomes("") {
        assert!(outcome.fairness <= 1.1, "{outcome:?}");
    }
}
