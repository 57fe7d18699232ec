use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::rate_limit::headers::Reading;

fn at(seconds: u64) -> Now {
    Now::after_start(Duration::from_secs(seconds))
}

fn live(window: &str) -> Live {
    Live::new(&window.parse().expect("a window"), at(0))
}

fn remaining(remaining: u64, reset: Option<u64>) -> Reading {
    let reset = reset.map(Duration::from_secs);
    Reading {
        limit: None,
        remaining: Some(remaining),
        reset,
    }
}

fn limit(limit: u64) -> Reading {
    Reading {
        limit: Some(limit),
        ..Reading::default()
    }
}

#[test]
fn a_request_counts_until_its_answer_plus_the_window() {
    let mut live = live("1/10s");
    live.count(1, at(3));
    live.forget(at(12));
    assert_eq!(live.room(0, at(12)), Room::At(at(13).moment));
    live.forget(at(13));
    assert_eq!(live.room(0, at(13)), Room::Now);
}

#[test]
fn a_full_flight_waits_for_an_answer() {
    assert_eq!(live("3/10s").room(3, at(0)), Room::WhenAnswered);
}

#[test]
fn a_day_ends_at_midnight_and_a_margin() {
    const DAY: u64 = 24 * 60 * 60;
    let mut live = live("1/utc-day");
    live.count(1, at(5));
    live.forget(at(DAY));
    assert_eq!(live.room(0, at(DAY)), Room::At(at(DAY + 2).moment));
    assert!(
        live.forget(at(DAY + 2)),
        "a day that was spent asks for a probe"
    );
    assert_eq!(live.room(0, at(DAY + 2)), Room::Now);
}

#[test]
fn a_lone_client_is_not_held_back_by_the_servers_count() {
    let mut live = live("10/10s");
    live.count(1, at(1));
    live.learn(remaining(9, Some(9)), 1, at(1).moment, at(1));
    assert_eq!(live.room(8, at(1)), Room::Now);
}

#[test]
fn what_others_took_counts_until_the_reset() {
    let mut live = live("10/10s");
    live.count(1, at(1));
    live.learn(remaining(3, Some(5)), 1, at(1).moment, at(1));
    assert_eq!(live.room(2, at(1)), Room::Now);
    assert_eq!(live.room(3, at(1)), Room::At(at(6).moment));
    live.forget(at(6));
    assert_eq!(live.room(3, at(6)), Room::Now);
}

#[test]
fn a_late_answer_can_only_lower_what_is_left() {
    let mut live = live("10/10s");
    live.learn(remaining(3, Some(5)), 1, at(1).moment, at(1));
    live.learn(remaining(8, Some(5)), 1, at(1).moment, at(1));
    assert_eq!(live.left(0), 4);
}

#[test]
fn a_day_that_others_spent_is_closed_until_its_reset() {
    let mut live = live("1000/utc-day");
    live.learn(remaining(0, Some(500)), 1, at(10).moment, at(10));
    assert_eq!(live.room(0, at(10)), Room::At(at(510).moment));
}

#[test]
fn a_lower_limit_is_taken_and_a_higher_one_only_up_to_the_configured() {
    let mut live = live("10/10s");
    live.learn(limit(4), 0, at(0).moment, at(0));
    assert_eq!(live.limit(), 4);
    live.learn(limit(1_000), 0, at(0).moment, at(0));
    assert_eq!(live.limit(), 10);
    assert_eq!(live.resets_at(at(0)), None);
}

#[test]
fn a_lower_limit_that_an_overtaken_answer_tells_is_not_taken() {
    let mut live = live("100/10s");
    let mut hear = |limit, sent, now| {
        let reading = Reading {
            limit: Some(limit),
            ..remaining(limit - 2, Some(10))
        };
        live.learn(reading, 2, at(sent).moment, at(now));
        (live.limit(), live.left(0))
    };
    assert_eq!(hear(80, 2, 3), (80, 78));
    assert_eq!(hear(50, 1, 4).0, 80, "it was told before the other");
    assert_eq!(hear(90, 1, 5).0, 90, "more is taken at once");
    assert_eq!(hear(40, 2, 6).0, 40);
}

#[test]
fn a_lower_limit_that_is_never_told_again_is_forgotten_after_ten_windows() {
    let mut live = live("10/10s");
    let reading = limit(4);
    live.learn(reading, 0, at(5).moment, at(5));
    live.forget(at(104));
    assert_eq!(live.limit(), 4);
    live.forget(at(105));
    assert_eq!(live.limit(), 10);
    live.learn(reading, 0, at(106).moment, at(106));
    assert_eq!(live.limit(), 4, "it is told again");
}

fn following(window: &str) -> Window {
    let window: Window = window.parse().expect(window);
    window.follow_raises(true)
}

#[test]
fn a_higher_limit_is_taken_where_raises_are_followed_and_a_lower_one_too() {
    let mut live = Live::new(&following("10/10s"), at(0));
    let mut hear = |told, now| {
        live.learn(limit(told), 0, at(now).moment, at(now));
        live.limit()
    };
    assert_eq!(hear(40, 0), 40);
    assert_eq!(hear(4, 1), 4);
    assert_eq!(hear(20, 2), 20);
    assert_eq!(live.room(19, at(2)), Room::Now);
    assert_eq!(live.room(20, at(2)), Room::WhenAnswered);
}

#[test]
fn a_higher_limit_that_is_never_told_again_is_forgotten_after_ten_windows() {
    const DAY: u64 = 24 * 60 * 60;
    for (window, end) in [("10/10s", 105), ("10/utc-day", 5 + 10 * DAY)] {
        let mut live = Live::new(&following(window), at(0));
        live.learn(limit(40), 0, at(5).moment, at(5));
        live.forget(at(end - 1));
        assert_eq!(live.limit(), 40, "{window}");
        live.forget(at(end));
        assert_eq!(live.limit(), 10, "{window}");
        live.count(10, at(end));
        assert_ne!(live.room(0, at(end)), Room::Now, "{window}");
    }
}

#[test]
fn a_lower_limit_of_a_day_is_kept() {
    let mut live = live("10/utc-day");
    live.learn(limit(4), 0, at(5).moment, at(5));
    live.forget(at(100 * 24 * 60 * 60));
    assert_eq!(live.limit(), 4);
}

#[test]
fn a_raise_beyond_all_reason_overflows_nothing_and_does_not_last() {
    let window = following("10/10s");
    let mut live = Live::new(&window, at(0));
    let reading = Reading {
        limit: Some(u64::MAX),
        ..remaining(u64::MAX, Some(9))
    };
    live.learn(reading, 0, at(0).moment, at(0));
    assert_eq!(live.limit(), LARGEST_LIMIT);
    live.count(u64::MAX, at(0));
    assert_ne!(live.room(u64::MAX, at(0)), Room::Now);
    assert_eq!(live.left(u64::MAX), 0);
    live.forget(at(100));
    assert_eq!(live.limit(), 10);
}

#[test]
fn a_window_that_no_longer_follows_raises_falls_back_at_once() {
    let mut live = Live::new(&following("10/10s"), at(0));
    live.learn(limit(40), 0, at(0).moment, at(0));
    let live = live.changed(&following("10/10s"));
    assert_eq!(live.limit(), 40);
    let live = live.changed(&"10/10s".parse().expect("a window"));
    assert_eq!(live.limit(), 10);
}

#[test]
fn machines_that_divide_a_limit_do_not_starve_each_other() {
    let mut live = live("5/10s");
    live.count(1, at(1));
    let reading = Reading {
        limit: Some(10),
        ..remaining(4, Some(9))
    };
    live.learn(reading, 1, at(1).moment, at(1));
    assert_eq!(
        live.room(3, at(1)),
        Room::Now,
        "five of ten by the other machine"
    );
    assert_eq!(live.room(4, at(1)), Room::At(at(11).moment), "our own half");
    live.learn(
        Reading {
            limit: Some(10),
            ..remaining(1, Some(9))
        },
        1,
        at(1).moment,
        at(1),
    );
    assert_eq!(
        live.room(1, at(1)),
        Room::At(at(10).moment),
        "it took more than its half"
    );
}

#[test]
fn two_full_shares_do_not_wait_for_an_answer_that_never_comes() {
    let mut live = live("2/10s");
    live.count(1, at(1));
    live.count(1, at(1));
    live.learn(remaining(1, None), 0, at(1).moment, at(1));
    assert_eq!(live.room(0, at(1)), Room::At(at(11).moment));
}

#[test]
fn a_late_answer_of_an_earlier_window_says_nothing_about_this_one() {
    let mut live = live("10/10s");
    live.learn(remaining(9, Some(9)), 1, at(20).moment, at(21));
    let late = Reading {
        limit: Some(2),
        ..remaining(0, Some(1))
    };
    live.learn(late, 1, at(19).moment, at(22));
    assert_eq!(live.limit(), 10);
    assert_eq!(live.left(0), 9);
    assert_eq!(live.resets_at(at(22)), Some(at(30).wall));
    assert_eq!(live.room(9, at(22)), Room::Now);
}

#[test]
fn a_reset_rounded_the_other_way_is_not_stale() {
    let mut live = live("10/10s");
    live.learn(remaining(9, Some(9)), 1, at(20).moment, at(21));
    live.learn(remaining(3, Some(7)), 1, at(20).moment, at(22));
    assert_eq!(live.left(0), 3);
}

#[test]
fn an_earlier_reset_told_to_a_later_request_is_news() {
    let mut live = live("10/10s");
    live.learn(remaining(9, Some(9)), 1, at(20).moment, at(21));
    live.learn(remaining(2, Some(2)), 1, at(22).moment, at(23));
    assert_eq!(live.left(0), 2);
    assert_eq!(live.resets_at(at(23)), Some(at(25).wall));
}

#[test]
fn what_others_took_does_not_last_through_the_next_window() {
    let mut live = live("10/10s");
    live.learn(remaining(1, Some(5)), 1, at(1).moment, at(1));
    live.learn(remaining(8, Some(10)), 1, at(5).moment, at(5));
    assert_eq!(live.room(8, at(5)), Room::Now);
    assert_eq!(live.room(9, at(5)), Room::At(at(15).moment));
}

#[test]
fn an_unforeseen_zero_without_a_reset_is_probed_after_a_tenth_of_the_window() {
    for (window, pause) in [("10/5s", 1), ("10/50s", 5), ("10/min", 6), ("10/h", 60)] {
        let mut live = live(window);
        live.learn(remaining(0, None), 1, at(1).moment, at(1));
        assert_eq!(
            live.room(0, at(1)),
            Room::At(at(1 + pause).moment),
            "{window}"
        );
        assert!(!live.forget(at(pause)), "{window}");
        assert!(live.forget(at(1 + pause)), "{window}: one goes first");
        assert_eq!(live.room(0, at(1 + pause)), Room::Now, "{window}");
        assert!(!live.forget(at(2 + pause)), "{window}: one only");
    }
}

#[test]
fn those_in_flight_at_an_unforeseen_zero_do_not_prolong_the_pause() {
    let mut live = live("10/50s");
    live.learn(remaining(0, None), 1, at(1).moment, at(1));
    live.learn(remaining(0, None), 1, at(1).moment, at(3));
    live.learn(remaining(1, None), 1, at(1).moment, at(4));
    live.forget(at(6));
    assert_eq!(live.room(0, at(6)), Room::Now);
}

#[test]
fn a_spent_day_without_a_reset_ends_by_the_calendar() {
    let mut live = live("1000/utc-day");
    live.count(1, at(10));
    live.learn(remaining(0, None), 1, at(10).moment, at(10));
    assert_eq!(live.room(0, at(10)), Room::At(at(86_402).moment));
}

/// How much room there is beside each number of requests in flight.
fn room_after(readings: &[(u64, u64)]) -> Vec<Room> {
    let mut live = live("10/10s");
    for (left, reset) in readings {
        live.learn(remaining(*left, Some(*reset)), 1, at(10).moment, at(11));
    }
    (0..10).map(|others| live.room(others, at(11))).collect()
}

proptest! {
    #[test]
    fn no_order_of_the_answers_of_one_window_leaves_more_room_than_another(
        (sent, arrived) in prop::collection::vec((0..=10_u64, Just(9_u64)), 1..20)
            .prop_flat_map(|sent| (Just(sent.clone()), Just(sent).prop_shuffle())),
    ) {
        prop_assert_eq!(room_after(&sent), room_after(&arrived));
    }

    #[test]
    fn late_answers_of_the_window_before_change_nothing(
        answers in prop::collection::vec((0..=10_u64, Just(9_u64)), 1..20),
        late in prop::collection::vec((0..=10_u64, 0..=7_u64), 1..5),
    ) {
        let with_late: Vec<_> = answers.iter().chain(&late).copied().collect();
        prop_assert_eq!(room_after(&answers), room_after(&with_late));
    }
}
