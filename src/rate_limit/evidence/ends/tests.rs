use super::*;

fn at(seconds: u64) -> Moment {
    Moment::after_start(Duration::from_secs(seconds))
}

/// Of a period of 100 s, of which two are one end.
fn ends(told: &[u64]) -> Vec<Moment> {
    let mut ends = Ends::default();
    for seconds in told {
        ends.add(at(*seconds), Duration::from_secs(100));
    }
    ends.iter().collect()
}

#[test]
fn ends_are_kept_in_order_and_of_those_near_to_each_other_the_earliest() {
    assert_eq!(ends(&[50, 10, 90]), [at(10), at(50), at(90)]);
    assert_eq!(ends(&[10, 12]), [at(10)]);
    assert_eq!(ends(&[12, 10]), [at(10)]);
    assert_eq!(ends(&[10, 13]), [at(10), at(13)]);
    assert_eq!(ends(&[10, 10]), [at(10)]);
    // From both sides: it is the same as the one before.
    assert_eq!(ends(&[10, 14, 12]), [at(10), at(14)]);
}

#[test]
fn of_too_many_ends_the_last_are_forgotten() {
    let told: Vec<_> = (1..=100).map(|end| end * 10).collect();
    let kept = ends(&told);
    assert_eq!(kept.len(), MOST);
    assert_eq!((kept[0], kept[MOST - 1]), (at(10), at(640)));
    let told: Vec<_> = told.into_iter().rev().collect();
    assert_eq!(ends(&told)[..], kept[..]);
}

#[test]
fn an_end_passes_at_its_moment() {
    let mut ends = Ends::default();
    for seconds in [10, 50, 90] {
        ends.add(at(seconds), Duration::from_secs(100));
    }
    ends.pass(at(49));
    assert_eq!((ends.first(), ends.last()), (Some(at(50)), Some(at(90))));
    ends.pass(at(50));
    assert_eq!(ends.first(), Some(at(90)));
    ends.clear();
    assert_eq!((ends.first(), ends.last()), (None, None));
}

#[test]
fn two_ends_agree_within_two_seconds_and_a_hundredth_of_the_time_until_then() {
    let minute = Duration::from_secs(60);
    let near = at(1_000) + Duration::from_millis(2_600);
    let far = at(1_000) + Duration::from_millis(2_601);
    assert!(agree(at(1_000), near, minute) && agree(near, at(1_000), minute));
    assert!(!agree(at(1_000), far, minute) && !agree(far, at(1_000), minute));
}
