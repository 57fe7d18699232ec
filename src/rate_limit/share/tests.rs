use super::*;

const LENGTH: Duration = Duration::from_secs(60);
const TERMS: Terms = Terms {
    limit: 120,
    length: LENGTH,
    round_trip: Duration::ZERO,
};

fn at(seconds: u64) -> Moment {
    Moment::after_start(Duration::from_secs(seconds))
}

/// An answer at once: what remains, when it resets, and how many are ours.
fn heard(sent: u64, remaining: u64, reset: u64, ours: u64) -> Heard {
    Heard {
        remaining,
        reset: at(reset),
        total: 120,
        own: Own {
            cost: 1,
            most: ours,
            since: 0,
        },
        sent: at(sent),
    }
}

fn told(share: &mut Share, sent: u64, remaining: u64, reset: u64, ours: u64) {
    share.grant(1, Duration::ZERO, at(sent));
    let heard = heard(sent, remaining, reset, ours);
    share.learn(heard, LENGTH, Duration::ZERO, at(sent));
}

#[test]
fn a_lone_client_shares_with_nobody() {
    let mut share = Share::default();
    for second in 1..60 {
        told(&mut share, second, 120 - second, 60, second);
        assert!(!share.is_shared(at(second)));
    }
}

#[test]
fn what_the_server_counts_beyond_ours_begins_sharing_for_two_windows() {
    let mut share = Share::default();
    told(&mut share, 1, 118, 60, 1);
    assert!(share.is_shared(at(1)));
    assert!(share.is_shared(at(120)));
    assert!(!share.is_shared(at(121)));
}

#[test]
fn until_the_reset_what_remains_is_spread_less_what_others_take() {
    let mut share = Share::default();
    told(&mut share, 30, 60, 60, 60);
    let alone = share.interval(1, TERMS, at(30));
    assert_eq!(alone, Duration::from_millis(500), "60 in 30 s");
    told(&mut share, 30, 60, 60, 30);
    assert!(share.interval(1, TERMS, at(30)) > alone);
}

#[test]
fn near_the_end_nothing_leaves_that_others_may_take() {
    let mut share = Share::default();
    told(&mut share, 50, 2, 60, 60);
    assert_eq!(
        share.holds(1, TERMS, at(50)),
        Some(at(56)),
        "one goes to see"
    );
    told(&mut share, 56, 0, 60, 61);
    assert_eq!(share.holds(1, TERMS, at(56)), Some(at(60)), "none is left");
    assert_eq!(share.holds(1, TERMS, at(60)), None);
}

#[test]
fn a_server_that_forgets_before_the_reset_is_looked_at_before_it() {
    let mut share = Share::default();
    for second in [10, 12, 14, 16] {
        told(&mut share, second, 20 + second, 60 + second, 60);
    }
    assert!(share.bit_by_bit);
    told(&mut share, 18, 0, 78, 60);
    let until = share.holds(1, TERMS, at(18)).unwrap();
    let others = share.others;
    assert!(until > at(20) && until < at(30), "{until:?}: not the reset");
    share.others = 4.0 * others;
    assert!(
        share.holds(1, TERMS, at(18)).unwrap() > until,
        "more is missing"
    );
}

#[test]
fn of_what_is_left_over_each_claims_a_part_as_large_as_that_of_what_is_used() {
    let mut share = Share {
        bit_by_bit: true,
        ..Share::default()
    };
    let mut interval = |ours| {
        told(&mut share, 1, 60, 60, ours);
        share.others = 60.0 - ours as f64;
        share.interval(1, TERMS, at(1)).as_secs_f64()
    };
    let (all, half) = (interval(60), interval(30));
    assert!((all - 0.5).abs() < 1e-9, "alone: 120 in a minute");
    // Half of what is used is ours: 30, and half of the 60 that are left over.
    assert!((0.9..1.1).contains(&half), "{half}");
}

#[test]
fn what_is_kept_for_others_until_the_reset_is_not_kept_twice() {
    let mut share = Share::default();
    told(&mut share, 1, 119, 60, 1);
    told(&mut share, 30, 60, 60, 30);
    let ours = 60.0 - 30.0 / 2.0;
    let interval = share.interval(1, TERMS, at(30)).as_secs_f64();
    assert!(interval < 30.0 / ours, "{interval}: a bit before the reset");
    assert!(interval > 0.85 * 30.0 / ours, "{interval}");
}

#[test]
fn a_reset_is_no_sign_of_a_server_that_forgets_bit_by_bit() {
    let mut share = Share::default();
    for period in 0..10 {
        told(&mut share, period * 60 + 30, 40, period * 60 + 60, 60);
        told(&mut share, period * 60 + 58, 10, period * 60 + 60, 70);
    }
    assert!(!share.bit_by_bit);
}

#[test]
fn a_late_answer_changes_nothing() {
    let mut share = Share::default();
    told(&mut share, 20, 50, 60, 30);
    let before = share.interval(1, TERMS, at(21));
    share.learn(heard(10, 100, 60, 5), LENGTH, Duration::ZERO, at(21));
    assert_eq!(share.interval(1, TERMS, at(21)), before);
}

/// A second there and back.
const FAR: Terms = Terms {
    round_trip: Duration::from_secs(1),
    ..TERMS
};

#[test]
fn those_on_their_way_take_what_is_left_until_their_answers_tell() {
    let mut share = Share::default();
    told(&mut share, 1, 118, 60, 1);
    told(&mut share, 201, 2, 260, 118);
    assert_eq!(share.needs_answer(0, FAR, at(201)), None);
    share.grant(1, Duration::ZERO, at(201));
    share.grant(1, Duration::ZERO, at(201));
    assert_eq!(share.needs_answer(2, FAR, at(202)), Some(at(203)));
    let too_old = share.needs_answer(2, FAR, at(203));
    assert_eq!(too_old, None);
}

#[test]
fn in_the_first_windows_all_on_their_way_may_not_be_counted_yet() {
    let mut share = Share::default();
    told(&mut share, 1, 32, 60, 118);
    assert_eq!(share.needs_answer(31, FAR, at(1)), None);
    assert_eq!(share.needs_answer(32, FAR, at(1)), Some(at(3)));
    // It left later, but was counted earlier.
    told(&mut share, 2, 40, 60, 118);
    assert_eq!(share.needs_answer(39, FAR, at(2)), None, "a moment ago");
    told(&mut share, 181, 32, 240, 118);
    assert_eq!(share.needs_answer(32, FAR, at(181)), None, "it is known");
}

#[test]
fn in_the_first_windows_one_goes_first_after_a_silence_and_the_others_wait_for_its_answer() {
    let mut share = Share::default();
    let round_trip = FAR.round_trip;
    share.grant(1, round_trip, at(1));
    share.learn(heard(1, 100, 60, 1), LENGTH, round_trip, at(2));
    share.grant(1, round_trip, at(3));
    assert_eq!(share.needs_answer(1, FAR, at(3)), None, "heard just now");
    share.learn(heard(3, 0, 60, 120), LENGTH, round_trip, at(4));
    // A sliding counter still counts half of them when our ledger has forgotten all.
    share.grant(1, round_trip, at(64));
    assert_eq!(share.needs_answer(1, FAR, at(64)), Some(at(66)));
    assert_eq!(
        share.needs_answer(1, FAR, at(66)),
        None,
        "it may never come"
    );
    share.learn(heard(64, 60, 120, 1), LENGTH, round_trip, at(65));
    assert_eq!(share.needs_answer(1, FAR, at(65)), None);
}

#[test]
fn answers_in_another_order_than_counted_tell_the_least() {
    let mut share = Share::default();
    let round_trip = FAR.round_trip;
    share.learn(heard(2, 20, 60, 118), LENGTH, round_trip, at(2));
    share.learn(heard(3, 30, 60, 118), LENGTH, round_trip, at(3));
    assert_eq!(share.needs_answer(20, FAR, at(3)), Some(at(4)));
    share.learn(heard(5, 110, 120, 118), LENGTH, round_trip, at(5));
    assert_eq!(share.needs_answer(20, FAR, at(5)), None, "it has reset");
}

#[test]
fn a_period_ends_at_the_earliest_moment_told_for_it() {
    let mut share = Share::default();
    told(&mut share, 50, 0, 60, 60);
    told(&mut share, 51, 0, 61, 60);
    assert_eq!(share.holds(1, TERMS, at(51)), Some(at(60)));
    // A second is too short for another reset to show; that it left later does.
    told(&mut share, 60, 100, 62, 1);
    assert!((share.others - 60.0).abs() < 1e-9, "the last one's");
    assert!((share.so_far - 19.0).abs() < 1e-9);
}

#[test]
fn those_who_were_told_the_same_come_back_apart() {
    let mut share = Share::default();
    told(&mut share, 1, 0, 60, 30);
    let nanos = |nanos| Moment::after_start(Duration::new(1, nanos));
    let shifts = [1, 2, 3].map(|each| share.shift(TERMS, nanos(each * 1_000_000)));
    assert_ne!(shifts[0], shifts[1]);
    assert_ne!(shifts[1], shifts[2]);
    assert!(shifts.iter().all(|shift| *shift <= LENGTH / 3));
}

#[test]
fn nonsense_neither_panics_nor_stops_for_ever() {
    let mut share = Share::default();
    for (remaining, total, ours) in [(u64::MAX, 0, 0), (0, u64::MAX, 0), (0, 0, u64::MAX)] {
        let mut nonsense = heard(1, remaining, 1, ours);
        nonsense.total = total;
        share.learn(nonsense, LENGTH, Duration::ZERO, at(1));
        let terms = Terms { limit: 0, ..TERMS };
        assert!(share.interval(1, terms, at(2)) <= LENGTH * 21);
        assert!(
            share
                .holds(1, terms, at(2))
                .is_none_or(|until| until <= at(61))
        );
        assert!(share.shift(terms, at(2)) <= LENGTH);
    }
}

#[test]
fn what_others_take_counts_against_the_servers_limit_and_not_against_a_lower_one_of_ours() {
    let mut share = Share {
        bit_by_bit: true,
        ..Share::default()
    };
    // Of 120 in a minute half is configured, for each of two machines; both use most of it.
    told(&mut share, 1, 10, 60, 55);
    share.others = 55.0;
    let ours = Terms { limit: 60, ..TERMS };
    let interval = share.interval(1, ours, at(1)).as_secs_f64();
    assert!((0.9..1.5).contains(&interval), "{interval}");
    assert!(share.gap(ours) < 1.1, "{}", share.gap(ours));
    share.others = 0.0;
    let alone = share.interval(1, ours, at(1));
    assert!(
        alone >= Duration::from_millis(999),
        "{alone:?}: our limit stays"
    );
}

#[test]
fn a_limit_that_was_raised_is_no_sign_of_a_server_that_forgets_bit_by_bit() {
    let mut share = Share::default();
    told(&mut share, 1, 10, 60, 110);
    let more = Heard {
        total: 1_200,
        ..heard(2, 1_089, 60, 111)
    };
    share.grant(1, Duration::ZERO, at(2));
    share.learn(more, LENGTH, Duration::ZERO, at(2));
    assert!(!share.bit_by_bit);
}
