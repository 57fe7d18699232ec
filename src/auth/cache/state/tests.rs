use super::*;
use crate::auth::cache::outcome::{Failure, Landing};
use crate::auth::oauth::response::{Class, Refusal};
use crate::auth::token::{Lifetime, Times};

const SECOND: Duration = Duration::from_secs(1);
const HALF: f64 = 0.5;
/// The endpoint publishes no limits.
const OPEN: Moment = Moment::ZERO;

fn at(seconds: f64) -> Now {
    Now::after_start(Duration::from_secs_f64(10_000.0 + seconds))
}

fn moment(seconds: f64) -> Moment {
    at(seconds).moment
}

/// Lives 600 s from then: stale after 450 s at the latest, expired after 570 s.
fn token(generation: u64, issued: f64) -> Arc<Token> {
    let lifetime = Lifetime::Stated(600 * SECOND);
    let times = Times::new(at(issued), lifetime, 300 * SECOND, 0.0);
    Arc::new(Token::new(generation, "t", times).expect("a token"))
}

fn failure(class: Class) -> Landing {
    let refusal = Refusal::new(class, "no");
    Landing::Failed(Failure::new(refusal))
}

/// With a token issued at 0.
fn with_token() -> State {
    let mut state = State::new(false);
    let plan = state.take_off(Need::Usable, at(0.0));
    let token = token(plan.generation, 0.0);
    state
        .land(&Landing::Renewed(token), at(0.0), HALF)
        .expect("a token");
    state
}

fn failed(mut state: State, class: Class, when: f64) -> (State, Error) {
    state.take_off(Need::Usable, at(when));
    let error = state
        .land(&failure(class), at(when), HALF)
        .expect_err("a failure");
    (state, error)
}

fn transient(state: State, when: f64) -> State {
    failed(state, Class::Transient, when).0
}

#[test]
fn a_token_goes_through_the_rows_as_it_ages() {
    let state = with_token();
    let row = |seconds| state.row(Need::Usable, at(seconds));
    assert_eq!(row(0.0), Row::Fresh);
    assert_eq!(row(449.0), Row::Fresh);
    assert_eq!(row(450.0), Row::Stale);
    assert_eq!(row(569.0), Row::Stale);
    assert_eq!(row(570.0), Row::Spent);
    assert_eq!(State::new(false).row(Need::Usable, at(0.0)), Row::Spent);
}

#[test]
fn a_late_401_never_hurts_a_newer_token() {
    let mut state = with_token();
    state.take_off(Need::NewerThan(1), at(1.0));
    state.condemn(1);
    let newer = Landing::Renewed(token(2, 1.0));
    state.land(&newer, at(1.0), HALF).expect("a token");
    state.condemn(1);
    assert_eq!(state.row(Need::Usable, at(2.0)), Row::Fresh);
    assert_eq!(state.row(Need::NewerThan(1), at(2.0)), Row::Fresh);
    state.condemn(2);
    state.condemn(1);
    assert_eq!(state.row(Need::Usable, at(2.0)), Row::Rejected);
}

#[test]
fn an_error_never_displaces_a_usable_token() {
    for class in [
        Class::Transient,
        Class::Throttled { retry_after: None },
        Class::ClientRejected,
        Class::Misconfigured,
        Class::GrantRejected,
        Class::Store,
    ] {
        let (state, _) = failed(with_token(), class, 460.0);
        let decision = state.decide(Need::Usable, at(461.0), OPEN);
        assert_eq!(decision, Decision::Use, "{class:?}");
    }
}

#[test]
fn without_a_token_back_off_doubles_from_half_a_second_to_a_minute() {
    let mut state = State::new(false);
    let mut now = 0.0;
    let mut waits = Vec::new();
    for _ in 0..10 {
        state = transient(state, now);
        let Decision::WaitUntil(until) = state.decide(Need::Usable, at(now), OPEN) else {
            panic!("it backs off");
        };
        let wait = (until - moment(now)).as_secs_f64() / 0.875;
        waits.push((wait * 10.0).round() / 10.0);
        now += 100.0;
    }
    assert_eq!(
        waits,
        [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    );
}

#[test]
fn with_a_usable_token_back_off_is_a_share_of_what_it_has_left() {
    let state = transient(with_token(), 490.0);
    let wait = |seconds| state.decide(Need::Usable, at(seconds), OPEN);
    // 80 s are left: 10 s, jittered to 8.75.
    assert_eq!(wait(498.7), Decision::Use);
    assert_eq!(wait(498.8), Decision::UseAndRefresh);
}

#[test]
fn back_off_carries_its_end_as_wait_until() {
    let (_, error) = failed(State::new(false), Class::Transient, 0.0);
    let due = at(0.4375).wall;
    assert_eq!(error.recovery(), Recovery::WaitUntil(due));
    assert_eq!(error.kind(), ErrorKind::TokenEndpoint);
}

#[test]
fn a_throttled_renewal_waits_as_long_as_it_was_told() {
    let retry_after = Some(100 * SECOND);
    let class = Class::Throttled { retry_after };
    let (state, _) = failed(State::new(false), class, 0.0);
    let decision = state.decide(Need::Usable, at(1.0), OPEN);
    assert_eq!(decision, Decision::WaitUntil(moment(100.0)));
}

#[test]
fn a_rejected_client_is_latched_and_probed_after_one_to_fifteen_minutes() {
    let mut state = State::new(false);
    let mut now = 0.0;
    for minutes in [1.0, 2.0, 4.0, 8.0, 15.0, 15.0] {
        let (latched, error) = failed(state, Class::ClientRejected, now);
        assert_eq!(error.recovery(), Recovery::Reconfigure);
        let due = now + minutes * 60.0 * 0.875;
        assert_eq!(
            latched.decide(Need::Usable, at(due - 0.1), OPEN),
            Decision::Fail
        );
        assert_eq!(
            latched.decide(Need::Usable, at(due), OPEN),
            Decision::Refresh
        );
        (state, now) = (latched, due);
    }
}

#[test]
fn a_rejected_grant_without_a_store_is_latched_for_good() {
    let (state, error) = failed(State::new(false), Class::GrantRejected, 0.0);
    assert_eq!(error.recovery(), Recovery::LogIn);
    assert_eq!(state.decide(Need::Usable, at(1e9), OPEN), Decision::Fail);
}

#[test]
fn a_rejected_grant_with_a_store_looks_there_every_five_seconds_and_asks_nobody() {
    let (mut state, _) = failed(State::new(true), Class::GrantRejected, 0.0);
    let mut now = 0.0;
    for _ in 0..3 {
        assert_eq!(
            state.decide(Need::Usable, at(now + 4.9), OPEN),
            Decision::Fail
        );
        now += 5.0;
        assert_eq!(state.decide(Need::Usable, at(now), OPEN), Decision::Refresh);
        let plan = state.take_off(Need::Usable, at(now));
        assert!(plan.reread_only);
        let error = state
            .land(&Landing::NothingNew, at(now), HALF)
            .expect_err("a latch");
        assert_eq!(error.recovery(), Recovery::LogIn);
    }
    state.take_off(Need::Usable, at(now + 5.0));
    let adopted = Landing::Adopted(token(9, now));
    state.land(&adopted, at(now + 5.0), HALF).expect("a token");
    assert_eq!(
        state.decide(Need::Usable, at(now + 5.0), OPEN),
        Decision::Use
    );
}

#[test]
fn token_requests_are_at_most_three_and_one_per_second_whatever_happens() {
    let mut state = State::new(false);
    let mut launches = 0;
    for tenth in 0..600 {
        let now = at(f64::from(tenth) / 10.0);
        if state.decide(Need::Usable, now, OPEN) == Decision::Refresh {
            state.take_off(Need::Usable, now);
            state.abandon(now);
            launches += 1;
        }
        launches += usize::from(tenth % 7 == 0 && state.launch_another(now.moment));
    }
    assert!(launches <= 3 + 60, "{launches}");
    assert!(launches >= 60, "{launches}");
}

#[test]
fn forced_refreshes_are_two_and_one_per_minute() {
    let mut state = with_token();
    let mut forced = 0;
    for second in 0..300 {
        let now = at(f64::from(second));
        let present = state.generation();
        if state.decide(Need::NewerThan(present), now, OPEN) == Decision::Refresh {
            let plan = state.take_off(Need::NewerThan(present), now);
            assert_eq!(plan.reason, RenewalReason::Rejected);
            let newer = Landing::Renewed(token(plan.generation, f64::from(second)));
            state.land(&newer, now, HALF).expect("a token");
            forced += 1;
        }
    }
    assert_eq!(forced, 2 + 299 / 60);
}

#[test]
fn a_refused_token_that_another_process_has_replaced_costs_nothing_of_the_forced_bucket() {
    let mut state = with_token();
    for second in 0..30 {
        let now = at(f64::from(second));
        let need = Need::NewerThan(state.generation());
        assert_eq!(
            state.decide(need, now, Moment::ZERO),
            Decision::Refresh,
            "{second}"
        );
        let plan = state.take_off(need, now);
        let adopted = Landing::Adopted(token(plan.generation, f64::from(second)));
        state.land(&adopted, now, HALF).expect("a token");
    }
}

#[test]
fn a_forced_refresh_that_fails_costs_nothing_of_the_forced_bucket() {
    let mut state = with_token();
    for round in 0..5 {
        let now = f64::from(round) * 61.0;
        let decision = state.decide(Need::NewerThan(1), at(now), OPEN);
        assert_eq!(decision, Decision::Refresh, "round {round}");
        state.take_off(Need::NewerThan(1), at(now));
        state
            .land(&failure(Class::Transient), at(now), HALF)
            .expect_err("a failure");
        let mut left = state.forced;
        let both = left.take(moment(now)) && left.take(moment(now));
        assert!(both, "round {round}");
    }
}

#[test]
fn an_abandoned_flight_frees_its_place_and_its_forced_charge() {
    let mut state = with_token();
    for second in [1.0, 2.0, 3.0, 4.0] {
        let decision = state.decide(Need::NewerThan(1), at(second), OPEN);
        assert_eq!(decision, Decision::Refresh);
        state.take_off(Need::NewerThan(1), at(second));
        state.abandon(at(second));
    }
}

#[test]
fn a_look_into_the_store_that_is_broken_off_opens_no_latch() {
    let (mut state, _) = failed(State::new(true), Class::GrantRejected, 0.0);
    assert!(state.take_off(Need::Usable, at(5.0)).reread_only);
    state.abandon(at(6.0));
    assert_eq!(state.decide(Need::Usable, at(7.0), OPEN), Decision::Fail);
    assert!(state.take_off(Need::Usable, at(12.0)).reread_only);
}

#[test]
fn reasons_are_told_apart() {
    let reason = |mut state: State, need, seconds| state.take_off(need, at(seconds)).reason;
    assert_eq!(
        reason(State::new(false), Need::Usable, 0.0),
        RenewalReason::Cold
    );
    assert_eq!(
        reason(with_token(), Need::Usable, 460.0),
        RenewalReason::Stale
    );
    assert_eq!(
        reason(with_token(), Need::Usable, 580.0),
        RenewalReason::Expired
    );
    assert_eq!(
        reason(with_token(), Need::NewerThan(1), 1.0),
        RenewalReason::Rejected
    );
    let mut refused = with_token();
    refused.condemn(1);
    assert_eq!(reason(refused, Need::Usable, 1.0), RenewalReason::Rejected);
    let mut invalidated = with_token();
    invalidated.invalidate();
    assert_eq!(
        reason(invalidated.clone(), Need::Usable, 1.0),
        RenewalReason::Manual
    );
    assert_eq!(
        reason(invalidated.clone(), Need::NewerThan(1), 1.0),
        RenewalReason::Rejected,
        "the API said so too"
    );
    assert_eq!(
        reason(invalidated, Need::Usable, 580.0),
        RenewalReason::Expired
    );
}

#[test]
fn published_limits_without_room_are_treated_like_an_empty_launch_bucket() {
    let closed = moment(700.0);
    let state = with_token();
    let decide = |seconds| state.decide(Need::Usable, at(seconds), closed);
    assert_eq!(decide(1.0), Decision::Use);
    assert_eq!(decide(460.0), Decision::Use, "stale");
    assert_eq!(decide(580.0), Decision::WaitUntil(closed));
    assert_eq!(decide(700.0), Decision::Refresh);
    let refused = state.decide(Need::NewerThan(1), at(1.0), closed);
    assert_eq!(refused, Decision::WaitUntil(closed));
    let error = state.not_before(closed, at(600.0));
    assert_eq!(error.recovery(), Recovery::WaitUntil(at(700.0).wall));
}

#[test]
fn a_look_into_the_store_costs_nothing_of_either_bucket_and_keeps_the_error() {
    let mut state = with_token();
    state.has_store = true;
    let (mut state, first) = failed(state, Class::GrantRejected, 100.0);
    let refused = Need::NewerThan(1);
    for look in 0..3 {
        let now = at(110.0 + 5.0 * f64::from(look));
        assert_eq!(state.decide(refused, now, OPEN), Decision::Refresh);
        assert!(state.take_off(refused, now).reread_only);
        let nothing = state.land(&Landing::NothingNew, now, HALF);
        assert_eq!(
            nothing.expect_err("a latch").to_string(),
            first.to_string(),
            "the reason is still the endpoint's"
        );
    }
    let now = moment(120.0);
    assert!((0..FORCED_BURST).all(|_| state.forced.take(now)));
    assert!((0..LAUNCH_BURST).all(|_| state.launches.take(now)));
}

#[test]
fn a_login_begins_with_a_clean_slate() {
    let mut state = with_token();
    for when in [600.0, 700.0, 800.0] {
        state = transient(state, when);
    }
    state.start_over(None);
    state.take_off(Need::Usable, at(1_000.0));
    state
        .land(&failure(Class::Transient), at(1_000.0), 1.0)
        .expect_err("a failure");
    assert_eq!(state.backs_off_until(), Some(moment(1_000.5)));
}

#[test]
fn after_a_success_back_off_begins_anew() {
    let mut state = State::new(false);
    for when in [0.0, 100.0, 200.0] {
        state = transient(state, when);
    }
    let plan = state.take_off(Need::Usable, at(300.0));
    let renewed = Landing::Renewed(token(plan.generation, 300.0));
    state.land(&renewed, at(300.0), HALF).expect("a token");
    state.take_off(Need::Usable, at(900.0));
    state
        .land(&failure(Class::Transient), at(900.0), 1.0)
        .expect_err("a failure");
    assert_eq!(state.backs_off_until(), Some(moment(900.5)));
}

#[test]
fn an_attempt_that_is_due_and_held_up_by_limits_tells_when_they_leave_room() {
    let state = transient(State::new(false), 0.0);
    let error = state.not_before(moment(60.0), at(1.0));
    assert_eq!(error.recovery(), Recovery::WaitUntil(at(60.0).wall));
}

#[test]
fn a_refused_token_is_no_reason_to_back_off_for_long() {
    let mut state = with_token();
    let refused = Need::NewerThan(1);
    state.take_off(refused, at(10.0));
    state.condemn(1);
    let landed = state.land(&failure(Class::Transient), at(10.0), 1.0);
    landed.expect_err("a failure");
    assert_eq!(state.backs_off_until(), Some(moment(10.5)));
}

#[test]
fn two_flights_that_died_with_their_runtime_are_no_verdict() {
    let mut state = State::new(true);
    for second in [0.0, 2.0, 4.0, 6.0] {
        let decision = state.decide(Need::Usable, at(second), OPEN);
        assert_eq!(decision, Decision::Refresh);
        state.take_off(Need::Usable, at(second));
        state.abandon(at(second + 1.0));
        assert!(state.last_error().is_none());
    }
}

#[test]
fn back_off_lasts_at_least_as_long_as_the_chain_asks_for() {
    let mut state = State::new(true);
    state.take_off(Need::Usable, at(0.0));
    let refusal = Refusal::new(Class::Store, "another process renews");
    let failure = Failure::not_before(refusal, moment(75.0));
    let landed = state.land(&Landing::Failed(failure), at(1.0), HALF);
    let error = landed.expect_err("a failure");
    assert_eq!(error.recovery(), Recovery::WaitUntil(at(75.0).wall));
    let decision = state.decide(Need::Usable, at(74.0), OPEN);
    assert_eq!(decision, Decision::WaitUntil(moment(75.0)));
}

#[test]
fn a_latch_whose_store_cannot_be_read_is_no_verdict_and_looks_again() {
    let (mut state, _) = failed(State::new(true), Class::GrantRejected, 0.0);
    assert!(state.take_off(Need::Usable, at(5.0)).reread_only);
    let down = Landing::NoLook(Refusal::new(Class::Store, "down"));
    let error = state.land(&down, at(6.0), HALF).expect_err("no look");
    assert_eq!(error.kind(), ErrorKind::Store);
    let known = state.last_error().expect("a reason");
    assert_eq!(known.recovery(), Recovery::LogIn);
    let decision = state.decide(Need::Usable, at(7.0), OPEN);
    assert_eq!(decision, Decision::WaitUntil(moment(11.0)));
    assert_eq!(
        state.decide(Need::Usable, at(11.0), OPEN),
        Decision::Refresh
    );
    assert!(state.take_off(Need::Usable, at(11.0)).reread_only);
    let error = state.land(&Landing::NothingNew, at(12.0), HALF);
    assert_eq!(error.expect_err("read").recovery(), Recovery::LogIn);
}

#[test]
fn an_error_that_asks_for_a_login_begins_with_that_whatever_the_servers_words() {
    for class in [Class::GrantRejected, Class::GrantProbablyRejected] {
        let (_, error) = failed(State::new(false), class, 0.0);
        assert_eq!(error.recovery(), Recovery::LogIn);
        assert_eq!(error.to_string(), "log in again: no");
    }
}
