use super::*;
use crate::cost::Costs;
use crate::rate_limit::in_flight::{InFlight, Slot};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// One quota's tests, by a clock that is turned by hand.
struct Quota {
    tests: LimitTests,
    windows: Vec<(u64, Duration)>,
    permits: InFlight,
    now: Moment,
    /// All of ours count.
    own: u64,
}

#[derive(Clone, Copy)]
enum Said {
    Accepted,
    /// Until so long from now.
    Rejected(Duration),
    /// An error that a gateway may have given.
    Failed,
}

impl Quota {
    fn of(windows: &[(u64, Duration)]) -> Self {
        Self {
            tests: LimitTests::default(),
            windows: windows.to_vec(),
            permits: InFlight::default(),
            now: Moment::after_start(DAY),
            own: 0,
        }
    }

    fn chance(&self, in_flight: u64) -> Chance {
        self.tests.chance(in_flight, |_| self.own)
    }

    fn permit(&mut self) -> PermitId {
        self.permits.add(Slot {
            granted: self.now,
            costs: Costs::default(),
        })
    }

    fn answer(&mut self, permit: PermitId, limits: &[u64], said: Said) -> Vec<Verdict> {
        let answer = Answer {
            permit,
            sent: self.now,
            now: self.now,
            in_flight: 0,
            is_rejected: matches!(said, Said::Rejected(_)),
            is_success: matches!(said, Said::Accepted),
            pause: match said {
                Said::Rejected(pause) => Some(pause),
                _ => None,
            },
        };
        let windows = &self.windows;
        let window = |index: usize| windows.get(index).copied();
        self.tests.heard(limits.iter().copied(), window, answer)
    }

    /// One goes alone, and its answer tells these limits.
    fn try_one(&mut self, limits: &[u64], said: Said) -> Vec<Verdict> {
        let permit = self.permit();
        self.tests.grant(permit, |_| self.own);
        self.own += 1;
        self.answer(permit, limits, said)
    }

    /// So many are accepted, one each `pace`.
    fn accept(&mut self, count: u64, limits: &[u64], pace: Duration) {
        for _ in 0..count {
            assert_eq!(self.try_one(limits, Said::Accepted), []);
            self.now = self.now + pace;
        }
    }
}

fn adopted(window: usize, limit: u64) -> Verdict {
    Verdict::Adopted { window, limit }
}

fn refuted(window: usize, limit: u64) -> Verdict {
    Verdict::Refuted { window, limit }
}

#[test]
fn a_limit_is_not_tested_before_as_many_of_ours_count() {
    let mut quota = Quota::of(&[(10_000, DAY)]);
    quota.accept(19, &[20], Duration::ZERO);
    assert_eq!(quota.chance(5), Chance::Now);
    quota.accept(1, &[20], Duration::ZERO);
    assert_eq!(quota.chance(1), Chance::WhenAnswered(Moment::NEVER));
    assert_eq!(quota.chance(0), Chance::Now);
}

#[test]
fn a_limit_that_a_test_exceeds_is_refuted_for_good() {
    let mut quota = Quota::of(&[(10_000, DAY)]);
    quota.accept(20, &[20], Duration::ZERO);
    assert_eq!(quota.try_one(&[20], Said::Accepted), [refuted(0, 20)]);
    assert_eq!(quota.chance(5), Chance::Now);
    quota.accept(50, &[20], Duration::ZERO);
    assert_eq!(quota.chance(5), Chance::Now);
    // Another limit is another question.
    quota.accept(1, &[30], Duration::ZERO);
    assert_eq!(quota.chance(5), Chance::WhenAnswered(Moment::NEVER));
}

#[test]
fn a_rejected_test_whose_requests_reach_back_over_half_of_the_window_proves_the_limit() {
    let mut quota = Quota::of(&[(100, MINUTE)]);
    quota.accept(20, &[20], Duration::from_millis(10));
    let minute = Said::Rejected(MINUTE);
    assert_eq!(quota.try_one(&[20], minute), [adopted(0, 20)]);
    assert_eq!(quota.chance(5), Chance::Now);
}

/// The first of the requests that count, 20 before the test, left so long before the told end.
#[test]
fn a_rejected_test_refutes_the_limit_of_a_window_of_more_than_twice_that_span() {
    for (pause, verdict) in [(29_999, refuted(0, 20)), (30_000, adopted(0, 20))] {
        let mut quota = Quota::of(&[(100, MINUTE)]);
        quota.accept(20, &[20], Duration::ZERO);
        let rejected = Said::Rejected(Duration::from_millis(pause));
        assert_eq!(quota.try_one(&[20], rejected), [verdict], "{pause}");
    }
    // One rejection of a limit of 2 s does not become a day's limit (R23).
    let mut quota = Quota::of(&[(10_000, DAY)]);
    quota.accept(20, &[20], Duration::from_millis(50));
    let two_seconds = Said::Rejected(Duration::from_secs(2));
    assert_eq!(quota.try_one(&[20], two_seconds), [refuted(0, 20)]);
}

#[test]
fn one_test_decides_for_each_window_that_the_limit_may_be_of() {
    let mut quota = Quota::of(&[(10, MINUTE), (100, MINUTE), (10_000, DAY)]);
    quota.accept(20, &[20], Duration::ZERO);
    let verdicts = quota.try_one(&[20], Said::Rejected(MINUTE));
    // It is higher than the first window's, where there is nothing to test.
    assert_eq!(verdicts, [adopted(1, 20), refuted(2, 20)]);
}

#[test]
fn a_limit_that_is_no_lower_than_any_windows_is_not_tested() {
    for windows in [&[][..], &[(20, MINUTE)], &[(10, MINUTE), (20, DAY)]] {
        let mut quota = Quota::of(windows);
        quota.accept(50, &[20], Duration::ZERO);
        assert_eq!(quota.chance(5), Chance::Now, "{windows:?}");
    }
}

#[test]
fn only_the_request_that_went_alone_decides() {
    let mut quota = Quota::of(&[(10_000, DAY)]);
    let early = quota.permit();
    quota.accept(20, &[20], Duration::ZERO);
    assert_eq!(quota.answer(early, &[20], Said::Rejected(MINUTE)), []);
    assert_eq!(quota.chance(5), Chance::WhenAnswered(Moment::NEVER));
    assert_eq!(quota.try_one(&[20], Said::Accepted), [refuted(0, 20)]);
}

#[test]
fn a_test_that_failed_or_never_left_is_made_again() {
    let mut quota = Quota::of(&[(10_000, DAY)]);
    quota.accept(20, &[20], Duration::ZERO);
    assert_eq!(quota.try_one(&[], Said::Failed), []);
    assert_eq!(quota.chance(5), Chance::WhenAnswered(Moment::NEVER));
    let permit = quota.permit();
    quota.tests.grant(permit, |_| 21);
    quota.tests.withdraw(permit);
    assert_eq!(quota.answer(permit, &[], Said::Accepted), []);
    assert_eq!(quota.try_one(&[], Said::Accepted), [refuted(0, 20)]);
}

/// Where the limit is told on rejections only, the answers before the first are not known.
#[test]
fn a_span_is_never_overstated_where_fewer_answers_are_known() {
    let mut quota = Quota::of(&[(10_000, DAY)]);
    quota.own = 500;
    let first = quota.permit();
    assert_eq!(quota.answer(first, &[20], Said::Rejected(MINUTE)), []);
    let half_a_day = Duration::from_secs(43_200 - 1);
    assert_eq!(
        quota.try_one(&[20], Said::Rejected(half_a_day)),
        [refuted(0, 20)]
    );
}

#[test]
fn of_many_answers_the_span_is_not_overstated_either() {
    let count = 4 * MOST_TIMES as u64;
    let pace = Duration::from_millis(10);
    for (pause, is_adopted) in [(9.0, false), (11.0, true)] {
        let mut quota = Quota::of(&[(10_000, MINUTE)]);
        quota.accept(count, &[count], pace);
        // They reach back over 20.48 s.
        let pause = Duration::from_secs_f64(pause);
        let verdicts = quota.try_one(&[count], Said::Rejected(pause));
        let expected = match is_adopted {
            true => adopted(0, count),
            false => refuted(0, count),
        };
        assert_eq!(verdicts, [expected], "{pause:?}");
        assert!(quota.tests.times.len() <= MOST_TIMES);
    }
}

#[test]
fn limits_without_end_are_not_all_remembered() {
    let mut quota = Quota::of(&[(10_000, DAY), (20_000, 2 * DAY)]);
    quota.own = 9_999;
    for limit in 1..2_000 {
        let _ = quota.try_one(&[limit, limit + 1, limit + 2], Said::Accepted);
    }
    assert!(quota.tests.pending.len() <= MOST);
    assert!(quota.tests.refuted.len() <= MOST);
}
