//! The scenarios, each a test.

use tollgate_model::model;

#[test]
fn waiters_of_one_flight_all_get_its_token() {
    model::waiters_of_one_flight_all_get_its_token();
}

#[test]
fn waiters_of_a_failed_flight_all_get_its_error() {
    model::waiters_of_a_failed_flight_all_get_its_error();
}

#[test]
fn many_refusals_of_one_token_cost_one_request_and_never_hurt_its_successor() {
    model::many_refusals_of_one_token_cost_one_request_and_never_hurt_its_successor();
}

#[test]
fn callers_refusals_and_invalidations_never_make_two_flights_at_once() {
    model::callers_refusals_and_invalidations_never_make_two_flights_at_once();
}

#[test]
fn a_flight_torn_down_frees_its_place_and_its_waiters_go_again() {
    model::a_flight_torn_down_frees_its_place_and_its_waiters_go_again();
}

#[test]
fn a_revocation_and_renewals_take_turns() {
    model::a_revocation_and_renewals_take_turns();
}

#[test]
fn of_two_refusals_the_later_counts_whichever_is_told_first() {
    model::of_two_refusals_the_later_counts_whichever_is_told_first();
}

#[test]
fn of_two_successes_the_later_counts_whichever_is_told_first() {
    model::of_two_successes_the_later_counts_whichever_is_told_first();
}

#[test]
fn a_success_from_before_the_refusal_never_exonerates() {
    model::a_success_from_before_the_refusal_never_exonerates();
}

#[test]
fn after_a_flush_nothing_is_unsaved_and_no_two_saves_overlap() {
    model::after_a_flush_nothing_is_unsaved_and_no_two_saves_overlap();
}

#[test]
fn a_flush_hurries_a_save_that_failed() {
    model::a_flush_hurries_a_save_that_failed();
}

#[test]
fn a_record_handed_over_as_the_saver_ends_is_saved_too() {
    model::a_record_handed_over_as_the_saver_ends_is_saved_too();
}

#[test]
fn one_task_keeps_warm_whoever_comes_first_and_ends_with_the_account() {
    model::one_task_keeps_warm_whoever_comes_first_and_ends_with_the_account();
}

#[test]
fn keep_warm_misses_no_news_however_it_comes() {
    model::keep_warm_misses_no_news_however_it_comes();
}

#[test]
fn a_late_refusal_of_an_old_token_takes_nothing_back_of_what_a_newer_one_has_got() {
    model::a_late_refusal_of_an_old_token_takes_nothing_back_of_what_a_newer_one_has_got();
}

#[test]
fn a_mark_of_its_own_is_in_the_store_before_a_request_leaves() {
    model::a_mark_of_its_own_is_in_the_store_before_a_request_leaves();
}

#[test]
fn a_mark_or_a_save_whose_answer_is_lost_is_found_in_the_store() {
    model::a_mark_or_a_save_whose_answer_is_lost_is_found_in_the_store();
}

#[test]
fn two_processes_never_present_the_same_refresh_token() {
    model::two_processes_never_present_the_same_refresh_token();
}

#[test]
fn two_processes_never_present_the_same_refresh_token_although_both_are_granted_the_right() {
    model::two_processes_never_present_the_same_refresh_token_although_both_are_granted_the_right();
}

#[test]
fn a_right_is_given_back_once_when_neither_flight_nor_saver_needs_it() {
    model::a_right_is_given_back_once_when_neither_flight_nor_saver_needs_it();
}

#[test]
fn a_right_is_kept_until_a_save_that_fails_at_first_is_done() {
    model::a_right_is_kept_until_a_save_that_fails_at_first_is_done();
}

#[test]
fn a_flight_torn_down_while_it_holds_the_right_gives_it_up() {
    model::a_flight_torn_down_while_it_holds_the_right_gives_it_up();
}

#[test]
fn a_flight_whose_runtime_is_gone_abandons_the_right() {
    model::a_flight_whose_runtime_is_gone_abandons_the_right();
}

#[test]
fn a_save_that_hangs_and_lands_late_undoes_nothing() {
    model::a_save_that_hangs_and_lands_late_undoes_nothing();
}

#[test]
fn a_login_beside_a_renewal_stays() {
    model::a_login_beside_a_renewal_stays();
}

#[test]
fn a_login_beside_a_renewal_of_another_process_stays() {
    model::a_login_beside_a_renewal_of_another_process_stays();
}
