use super::*;

const ALL: [Enforcement; 4] = [
    Enforcement::FixedWindow,
    Enforcement::SlidingLog,
    Enforcement::SlidingCounter,
    Enforcement::TokenBucket,
];

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn quota(windows: &[&str], enforcement: Enforcement, count_rejected: bool) -> Quota {
    let windows: Vec<Window> = windows
        .iter()
        .map(|text| text.parse().expect(text))
        .collect();
    let mut random = fastrand::Rng::with_seed(7);
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 - 10);
    Quota::new(&windows, enforcement, count_rejected, start, &mut random)
}

fn accepts(quota: &mut Quota, at: Duration) -> bool {
    quota.decide(at).refusal.is_none()
}

/// Two thousand requests at random times; `check` gets each refusal's time and wait, and time
/// goes on from the wait's end.
fn at_refusals(quota: &mut Quota, check: impl Fn(&mut Quota, Duration, Duration)) {
    let mut random = fastrand::Rng::with_seed(3);
    let mut now = Duration::ZERO;
    let mut refusals = 0;
    for _ in 0..2_000 {
        now += millis(random.u64(0..700));
        if let Some(refusal) = quota.decide(now).refusal {
            check(quota, now, refusal.retry_after);
            now += refusal.retry_after;
            refusals += 1;
        }
    }
    assert!(refusals > 100);
}

#[test]
fn every_enforcement_accepts_the_limit_and_refuses_one_more() {
    for enforcement in ALL {
        let mut quota = quota(&["5/h"], enforcement, false);
        let accepted: Vec<_> = (0..6).map(|_| accepts(&mut quota, millis(1))).collect();
        assert_eq!(
            accepted,
            [true, true, true, true, true, false],
            "{enforcement}"
        );
    }
}

#[test]
fn the_wait_that_is_told_is_enough_and_not_a_nanosecond_too_long() {
    for enforcement in ALL {
        let mut quota = quota(&["3/2s", "7/9s"], enforcement, false);
        at_refusals(&mut quota, |quota, now, wait| {
            let just_before = now + wait - Duration::from_nanos(1);
            assert!(!accepts(quota, just_before), "{enforcement} {now:?}");
            assert!(accepts(quota, now + wait), "{enforcement} {now:?}");
        });
    }
}

#[test]
fn the_wait_that_is_told_is_enough_where_refusals_count_too() {
    for enforcement in ALL {
        let mut quota = quota(&["3/2s", "7/9s"], enforcement, true);
        at_refusals(&mut quota, |quota, now, wait| {
            assert!(accepts(quota, now + wait), "{enforcement} {now:?}");
        });
    }
}

#[test]
fn a_client_that_keeps_the_limit_in_any_span_is_refused_by_the_sliding_counter_alone() {
    for enforcement in ALL {
        let mut quota = quota(&["10/s"], enforcement, false);
        let refused =
            (0..50).filter(|round| (0..10).any(|_| !accepts(&mut quota, millis(round * 1_000))));
        let is_exact = enforcement != Enforcement::SlidingCounter;
        assert_eq!(refused.count() == 0, is_exact, "{enforcement}");
    }
}

#[test]
fn the_sliding_log_never_accepts_more_than_the_limit_in_any_span() {
    let mut quota = quota(&["4/1s"], Enforcement::SlidingLog, false);
    let mut random = fastrand::Rng::with_seed(1);
    let mut accepted: Vec<Duration> = Vec::new();
    let mut now = Duration::ZERO;
    for _ in 0..5_000 {
        now += millis(random.u64(0..120));
        if accepts(&mut quota, now) {
            accepted.push(now);
        }
    }
    assert!(accepted.len() > 500);
    assert!(
        accepted
            .windows(5)
            .all(|five| five[4] - five[0] >= millis(1_000))
    );
}

#[test]
fn around_a_fixed_boundary_twice_the_limit_passes() {
    let mut quota = quota(&["10/s"], Enforcement::FixedWindow, false);
    let boundary = quota.decide(Duration::ZERO).windows[0].reset;
    let before = (0..20).filter(|_| accepts(&mut quota, boundary - millis(1)));
    assert_eq!(before.count(), 9);
    let after = (0..20).filter(|_| accepts(&mut quota, boundary));
    assert_eq!(after.count(), 10);
}

#[test]
fn a_request_that_one_window_refuses_does_not_count_in_the_other() {
    let mut quota = quota(&["2/s", "10/day"], Enforcement::SlidingLog, false);
    for _ in 0..2 {
        quota.decide(Duration::ZERO);
    }
    let refused = quota.decide(Duration::ZERO);
    assert_eq!(refused.refusal.expect("a refusal").window, 0);
    assert_eq!(refused.windows[1].remaining, 8);
}

#[test]
fn a_refused_request_counts_everywhere_where_refusals_count() {
    for enforcement in ALL {
        let mut quota = quota(&["2/s", "10/day"], enforcement, true);
        for _ in 0..2 {
            quota.decide(Duration::ZERO);
        }
        let refused = quota.decide(Duration::ZERO);
        assert!(refused.refusal.is_some());
        assert_eq!(refused.windows[1].remaining, 7, "{enforcement}");
    }
}

#[test]
fn knocking_on_a_log_that_counts_refusals_keeps_it_shut() {
    let mut quota = quota(&["1/s"], Enforcement::SlidingLog, true);
    assert!(accepts(&mut quota, Duration::ZERO));
    assert!((1..10).all(|knock| !accepts(&mut quota, millis(knock * 500))));
    assert!(accepts(&mut quota, millis(4_500 + 1_000)));
}

#[test]
fn a_token_bucket_gives_one_token_back_at_a_time() {
    let mut quota = quota(&["4/s"], Enforcement::TokenBucket, false);
    assert!((0..4).all(|_| accepts(&mut quota, Duration::ZERO)));
    assert!(!accepts(&mut quota, millis(249)));
    assert!(accepts(&mut quota, millis(250)));
    assert!(!accepts(&mut quota, millis(250)));
}

#[test]
fn a_spent_day_ends_at_midnight_utc_whatever_the_enforcement() {
    for enforcement in ALL {
        // The sandbox's time zero is 23:59:50.
        let mut quota = quota(&["100/s", "2/utc-day"], enforcement, false);
        assert!((0..2).all(|_| accepts(&mut quota, Duration::ZERO)));
        let refusal = quota.decide(millis(9_000)).refusal.expect("a refusal");
        assert_eq!((refusal.window, refusal.retry_after), (1, millis(1_000)));
        assert!(accepts(&mut quota, millis(10_000)));
    }
}

#[test]
fn the_longest_wait_is_the_one_that_is_told() {
    let mut quota = quota(&["1/s", "1/min"], Enforcement::SlidingLog, false);
    quota.decide(Duration::ZERO);
    let refusal = quota.decide(millis(500)).refusal.expect("a refusal");
    assert_eq!((refusal.window, refusal.retry_after), (1, millis(59_500)));
}

#[test]
fn remaining_and_reset_describe_the_window_after_the_request() {
    let mut quota = quota(&["10/min"], Enforcement::SlidingLog, false);
    quota.decide(Duration::ZERO);
    let verdict = quota.decide(millis(20_000));
    let expected = Standing {
        limit: 10,
        remaining: 8,
        reset: millis(60_000),
    };
    assert_eq!(verdict.windows[..], [expected]);
    // The first one is forgotten at the very moment, and not one later.
    let verdict = quota.decide(millis(60_000));
    assert_eq!(verdict.windows[0].remaining, 8);
}

#[test]
fn the_largest_window_that_the_sandbox_takes_does_not_overflow() {
    let years = Duration::from_secs(10 * 366 * 86_400);
    let window = Window::new(u64::MAX, years);
    for enforcement in ALL {
        let mut random = fastrand::Rng::with_seed(7);
        let start = SystemTime::UNIX_EPOCH;
        let windows = std::slice::from_ref(&window);
        let mut quota = Quota::new(windows, enforcement, false, start, &mut random);
        assert!(accepts(&mut quota, Duration::ZERO));
        assert!(accepts(&mut quota, years * 2));
    }
}
