//! The scenarios of the line, each a test.

use tollgate_model::line_model;

#[test]
fn a_permit_granted_to_one_that_leaves_goes_to_the_next() {
    line_model::a_permit_granted_to_one_that_leaves_goes_to_the_next();
}

#[test]
fn of_those_who_leave_one_by_one_nobody_sleeps_for_ever() {
    line_model::of_those_who_leave_one_by_one_nobody_sleeps_for_ever();
}

#[test]
fn of_those_who_await_the_answer_before_nobody_sleeps_for_ever() {
    line_model::of_those_who_await_the_answer_before_nobody_sleeps_for_ever();
}
