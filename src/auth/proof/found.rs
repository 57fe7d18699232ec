//! What the model has found, each as the shortest way there.

use super::model::run;
use super::server::Answer::{self, InvalidGrant, Lost, Salvage, Token};
use super::shelf::Mode;
use super::steps::Step::{
    self, Ask, Empty, LogIn, OtherLogsIn, Pass, Refuse, SetWall, Store, TearDown,
};
use super::world::Kind;

const KEPT: Step = Step::Answer(Token {
    lifetime: 0,
    rotated: false,
});
const ROTATED: Step = Step::Answer(Token {
    lifetime: 0,
    rotated: true,
});
const REFUSED: Step = Refuse {
    back: 0,
    certain: false,
};

#[test]
fn a_last_resort_that_is_torn_down_is_not_presented_again() {
    let steps = [Ask(None), Pass(70_403), Ask(None), TearDown];
    run(Kind::Refresh { stored: false }, false, &steps);
}

#[test]
fn that_an_answer_was_lost_is_known_although_the_flight_is_torn_down_later() {
    let steps = [
        Ask(None),
        Step::Answer(Lost { seen: false }),
        Store(Mode::Stuck),
        Step::Answer(Answer::Failing),
        TearDown,
        Pass(80_000),
    ];
    run(Kind::Refresh { stored: true }, false, &steps);
}

#[test]
fn a_rotated_refresh_token_is_offered_although_an_earlier_record_could_not_be_saved() {
    let steps = [
        Ask(None),
        Store(Mode::Failing),
        KEPT,
        Pass(3_500),
        REFUSED,
        ROTATED,
    ];
    run(Kind::Login, false, &steps);
}

#[test]
fn a_flight_that_waited_for_the_store_does_not_add_to_the_burst() {
    let slow = [
        Ask(None),
        LogIn,
        Step::Answer(Salvage),
        Store(Mode::Slow(1, true)),
        KEPT,
        Ask(None),
        Pass(2_000),
        REFUSED,
        Store(Mode::Healthy),
        Pass(1_000),
    ];
    let burst = [
        Step::Answer(Salvage),
        LogIn,
        Ask(None),
        KEPT,
        REFUSED,
        TearDown,
    ];
    run(Kind::Login, false, &[&slow[..], &burst[..]].concat());
}

#[test]
fn a_login_that_fails_keeps_nobody_from_the_login_of_another_process() {
    let steps = [
        Ask(None),
        Step::Answer(InvalidGrant),
        OtherLogsIn,
        LogIn,
        Step::Answer(Answer::Failing),
    ];
    run(Kind::Login, false, &steps);
}

#[test]
fn a_new_refresh_token_does_not_pay_for_the_lost_answer_of_the_old_one() {
    let steps = [
        Ask(None),
        TearDown,
        Step::Answer(Salvage),
        Ask(None),
        Pass(60_403),
    ];
    run(Kind::Refresh { stored: false }, false, &steps);
}

#[test]
fn a_record_found_by_a_look_that_was_broken_off_is_presented() {
    let lost = [Ask(None), Pass(70_000), Ask(None), Pass(65_465)];
    let found = [OtherLogsIn, SetWall(446), Ask(None), TearDown];
    run(Kind::Login, false, &[&lost[..], &found[..]].concat());
}

#[test]
fn a_login_goes_over_a_record_that_an_older_version_touched_meanwhile() {
    let steps = [LogIn, Store(Mode::Failing), Ask(None), Step::OtherTouches];
    run(Kind::Login, false, &steps);
}

#[test]
fn a_caller_that_waits_for_the_next_attempt_gets_the_token_of_a_login_meanwhile() {
    let steps = [Ask(None), Step::Answer(Salvage), LogIn, KEPT];
    run(Kind::Login, false, &steps);
}

#[test]
fn a_login_into_a_store_that_was_emptied_stays() {
    run(Kind::Login, false, &[Ask(None), Empty, OtherLogsIn]);
    let refused = [Ask(None), Step::Answer(InvalidGrant), Empty, OtherLogsIn];
    run(Kind::Login, false, &refused);
    let second = [OtherLogsIn, OtherLogsIn, Ask(None), Empty, OtherLogsIn];
    run(Kind::Login, false, &second);
}

#[test]
fn the_proof_of_a_login_covers_no_refresh_token_that_is_not_saved_yet() {
    let failing = Step::Answer(Answer::Failing);
    let steps = [
        Ask(None),
        Step::Empty,
        LogIn,
        failing.clone(),
        Store(Mode::Failing),
        failing,
        Step::OtherTouches,
    ];
    run(Kind::Login, false, &steps);
}

#[test]
fn a_late_conflict_with_an_earlier_record_displaces_nothing_that_was_saved_meanwhile() {
    let steps = [
        Ask(None),
        Store(Mode::Slow(2, false)),
        Step::OtherTouches,
        Step::Answer(Answer::Failing),
        SetWall(-2),
    ];
    run(Kind::Login, false, &steps);
}

#[test]
fn a_login_that_brings_a_refresh_token_alone_ends_the_wait_for_the_next_attempt() {
    let steps = [
        Ask(None),
        Step::Answer(Salvage),
        LogIn,
        Step::Answer(Salvage),
    ];
    run(Kind::Login, false, &steps);
}
