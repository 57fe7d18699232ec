//! What reports make of later requests, by a clock that is turned by hand.

use super::*;
use crate::cost::Costs;
use crate::rate_limit::headers::report::{FamilyName, Prefix};
use crate::rate_limit::in_flight::{InFlight, Slot};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// How long an answer is on its way.
const WAY: Duration = Duration::from_millis(1);

fn at(seconds: u64) -> Moment {
    Moment::after_start(Duration::from_secs(seconds))
}

/// What remains, of which limit, until so many seconds from now.
fn told(remaining: u64, limit: u64, reset: u64) -> Report {
    Report {
        family: FamilyName::Usual(Prefix::Rate),
        limit: Some(limit),
        remaining: Some(remaining),
        reset: Some(Duration::from_secs(reset)),
        reset_is_bare: false,
        length: None,
    }
}

fn without_reset(remaining: u64, limit: u64) -> Report {
    let reset = None;
    Report {
        reset,
        ..told(remaining, limit, 0)
    }
}

fn of_burst(report: Report) -> Report {
    let family = FamilyName::Usual(Prefix::Burst);
    Report { family, ..report }
}

/// A request on its way.
#[derive(Clone, Copy)]
struct Sent {
    permit: PermitId,
    at: Moment,
}

struct Quota {
    evidence: Evidence,
    permits: InFlight,
    in_flight: u64,
    believed: Duration,
    now: Moment,
}

impl Quota {
    fn new() -> Self {
        Self {
            evidence: Evidence::default(),
            permits: InFlight::default(),
            in_flight: 0,
            believed: HOUR,
            now: at(1_000),
        }
    }

    /// Of a series that three answers told at once: so much remains.
    fn corroborated(remaining: u64, limit: u64, reset: u64) -> Self {
        let mut quota = Self::new();
        let sent = [(); 3].map(|()| quota.send());
        for (sent, more) in sent.into_iter().zip([2, 1, 0]) {
            quota.answer(sent, &[told(remaining + more, limit, reset)]);
        }
        quota
    }

    fn chance(&self) -> Chance {
        let Self {
            in_flight,
            believed,
            now,
            ..
        } = *self;
        self.evidence.chance(in_flight, |_| 0, believed, now)
    }

    fn send(&mut self) -> Sent {
        let permit = self.permits.add(Slot {
            granted: self.now,
            costs: Costs::default(),
        });
        let at = self.now;
        self.evidence.grant(permit, self.in_flight, |_| 0, at);
        self.in_flight += 1;
        Sent { permit, at }
    }

    fn answer(&mut self, sent: Sent, reports: &[Report]) {
        self.answer_with(sent, reports, true);
    }

    fn reject(&mut self, sent: Sent, reports: &[Report]) {
        self.answer_with(sent, reports, false);
    }

    fn answer_with(&mut self, sent: Sent, reports: &[Report], is_success: bool) {
        self.in_flight -= 1;
        let reports = reports.iter().cloned();
        let reports: Vec<_> = reports.map(|report| (report, Owner::Learned)).collect();
        let answer = Answer {
            permit: sent.permit,
            sent: sent.at,
            now: self.now,
            in_flight: self.in_flight,
            is_rejected: !is_success,
            is_success,
            pause: None,
        };
        let news = self.evidence.answered(&reports, answer, |_| 0, |_| None);
        assert!(!news.iter().any(|news| matches!(news, News::Limit { .. })));
    }

    /// One request alone, and its answer.
    fn hear(&mut self, reports: &[Report]) {
        let sent = self.send();
        self.now = self.now + WAY;
        self.answer(sent, reports);
    }

    /// All that may go now.
    fn herd(&mut self) -> Vec<Sent> {
        let mut herd = Vec::new();
        while herd.len() < 1_000 && self.chance() == Chance::Now {
            herd.push(self.send());
        }
        herd
    }

    /// Turns the clock to when one may go.
    #[track_caller]
    fn wait(&mut self) -> Moment {
        match self.chance() {
            Chance::At(at) | Chance::Try(at) => {
                assert!(at > self.now, "it may go now");
                self.now = at;
                assert_eq!(self.chance(), Chance::Now);
                at
            }
            chance => panic!("it is {chance:?}"),
        }
    }

    /// Of the series that was heard first.
    fn first(&self) -> &Series {
        self.evidence.learned().next().expect("a series")
    }

    fn left(&self) -> Option<u64> {
        self.first().left(0)
    }
}

const FOR_AN_ANSWER: Chance = Chance::WhenAnswered(Moment::NEVER);

#[test]
fn before_the_first_answer_two_go_and_one_more_where_none_comes() {
    let mut quota = Quota::new();
    assert_eq!(quota.herd().len(), 2);
    let Chance::WhenAnswered(later) = quota.chance() else {
        panic!("a third may go")
    };
    assert!(later > quota.now && later <= quota.now + MINUTE);
    quota.now = later;
    assert_eq!(quota.herd().len(), 1);
}

#[test]
fn the_first_report_ends_first_contact_and_one_that_was_reopened_is_none_again() {
    let mut quota = Quota::new();
    quota.hear(&[told(500, 1_000, 60)]);
    assert!(quota.herd().len() > 100);
    quota.evidence.reopen();
    assert_eq!(quota.evidence.learned().count(), 0);
    assert_eq!(quota.chance(), Chance::Now);
}

#[test]
fn what_is_in_flight_counts_against_what_is_left() {
    let mut quota = Quota::new();
    quota.hear(&[told(10, 20, 60)]);
    let herd = quota.herd();
    assert!((1..=10).contains(&herd.len()), "{}", herd.len());
    assert_eq!(quota.chance(), FOR_AN_ANSWER);
}

#[test]
fn of_several_answers_the_least_holds_until_a_later_request_tells_more() {
    let mut quota = Quota::new();
    let sent = [(); 4].map(|()| quota.send());
    quota.now = quota.now + WAY;
    for (sent, remaining, left) in [
        (sent[0], 9, 9),
        (sent[1], 7, 7),
        // It was counted before.
        (sent[2], 8, 7),
        (sent[3], 6, 6),
    ] {
        quota.answer(sent, &[told(remaining, 20, 60)]);
        assert_eq!(quota.left(), Some(left));
    }
    quota.hear(&[told(12, 20, 60)]);
    assert_eq!(quota.left(), Some(12));
}

#[test]
fn what_an_answer_of_a_former_period_tells_is_not_heard() {
    let mut quota = Quota::new();
    let early = quota.send();
    quota.now = quota.now + SECOND;
    quota.hear(&[told(15, 20, 60)]);
    quota.answer(early, &[told(0, 20, 2)]);
    assert_eq!(quota.left(), Some(15));
    assert_eq!(quota.first().resets_at(), Some(quota.now + MINUTE));
}

#[test]
fn before_the_end_one_looks_and_at_the_end_one_goes_first() {
    let mut quota = Quota::corroborated(1, 6, 60);
    let end = quota.now + MINUTE;
    assert!(quota.wait() < end);
    let look = quota.send();
    assert_eq!(quota.chance(), FOR_AN_ANSWER);
    let rest = (end - quota.now).as_secs();
    quota.answer(look, &[told(0, 6, rest)]);
    assert_eq!(quota.wait(), end);
    let scout = quota.send();
    assert_eq!(quota.chance(), FOR_AN_ANSWER);
    quota.now = quota.now + WAY;
    quota.answer(scout, &[told(5, 6, 60)]);
    assert_eq!(quota.first().resets_at(), Some(quota.now + MINUTE));
    assert!(!quota.herd().is_empty());
}

/// To the told end of a window of 6, of which one is left then.
fn at_the_end() -> (Quota, Sent) {
    let mut quota = Quota::corroborated(2, 6, 60);
    let end = quota.now + MINUTE;
    quota.wait();
    let rest = (end - quota.now).as_secs();
    quota.hear(&[told(1, 6, rest)]);
    assert_eq!(quota.wait(), end);
    let scout = quota.send();
    (quota, scout)
}

#[test]
fn where_a_window_was_seen_to_be_full_to_the_moment_nothing_is_kept_back() {
    let (mut quota, scout) = at_the_end();
    quota.now = quota.now + WAY;
    quota.answer(scout, &[told(5, 6, 60)]);
    assert_eq!(quota.herd().len(), 5);
}

#[test]
fn an_end_at_which_nothing_has_come_back_is_a_second_later_from_then_on() {
    let (mut quota, scout) = at_the_end();
    quota.answer(scout, &[told(0, 6, 1)]);
    let told_end = quota.now + SECOND;
    assert!(quota.wait() >= told_end + SECOND);
}

#[test]
fn one_that_is_rejected_at_the_end_makes_the_next_later_than_told() {
    let (mut quota, scout) = at_the_end();
    quota.reject(scout, &[told(0, 6, 5)]);
    let told_end = quota.now + 5 * SECOND;
    assert!(quota.wait() > told_end);
    assert!(quota.now <= told_end + 5 * SECOND);
}

#[test]
fn what_comes_back_bit_by_bit_is_not_waited_for_until_the_end() {
    let mut quota = Quota::corroborated(2, 20, 60);
    let end = quota.now + MINUTE;
    assert!(quota.wait() < end);
    let rest = |quota: &Quota| (end - quota.now).as_secs() + 1;
    let reset = rest(&quota);
    quota.hear(&[told(8, 20, reset)]);
    // All that may go is taken, and the rest waits for what comes back.
    let herd = quota.herd();
    assert!(!herd.is_empty());
    let mut remaining = 8;
    for sent in herd {
        remaining -= 1;
        let reset = rest(&quota);
        quota.answer(sent, &[told(remaining, 20, reset)]);
    }
    assert!(quota.wait() < end);
}

#[test]
fn a_window_that_says_three_times_that_nothing_is_left_and_accepts_is_void() {
    let mut quota = Quota::new();
    quota.hear(&[told(0, 20, 3_600)]);
    let mut tries = 0;
    while quota.chance() != Chance::Now {
        quota.wait();
        quota.hear(&[told(0, 20, 3_600)]);
        tries += 1;
        assert!(tries < 10);
    }
    let herd = quota.herd();
    assert_eq!(herd.len(), 1_000);
    // Until it says otherwise.
    quota.now = quota.now + WAY;
    let mut herd = herd.into_iter();
    let last = herd.next_back().expect("one");
    for sent in herd {
        quota.answer(sent, &[told(0, 20, 3_600)]);
    }
    quota.answer(last, &[told(0, 20, 3_600)]);
    quota.hear(&[told(3, 20, 3_600)]);
    assert!(quota.herd().len() <= 3);
}

#[test]
fn what_was_never_told_before_is_tried_at_once_until_it_is_told_again() {
    let mut quota = Quota::new();
    for remaining in [18, 17, 16] {
        quota.hear(&[told(remaining, 20, 60)]);
    }
    quota.hear(&[told(0, 7, 3_600)]);
    assert_eq!(quota.chance(), Chance::Now);
    let scout = quota.send();
    assert_eq!(quota.chance(), FOR_AN_ANSWER);
    quota.answer(scout, &[told(0, 7, 3_600)]);
    assert_ne!(quota.chance(), Chance::Now);
}

#[test]
fn what_the_first_answer_tells_is_not_odd() {
    let mut quota = Quota::new();
    quota.hear(&[told(18, 20, 60), of_burst(told(0, 7, 3_600))]);
    assert_ne!(quota.chance(), Chance::Now);
}

#[test]
fn one_answer_alone_is_believed_for_a_while_and_two_that_agree_until_their_end() {
    let mut quota = Quota::new();
    quota.believed = MINUTE;
    let sent = quota.send();
    quota.reject(sent, &[told(0, 10, 1_000_000)]);
    let end = quota.now + Duration::from_secs(1_000_000);
    assert_eq!(quota.chance(), Chance::Try(quota.now + MINUTE));
    quota.wait();
    let sent = quota.send();
    quota.reject(sent, &[told(0, 10, 1_000_000 - 60)]);
    let Chance::At(firm) = quota.chance() else {
        panic!("{:?}", quota.chance())
    };
    assert!(firm >= end);
    assert!(quota.evidence.corroborates(end, MINUTE));
    assert!(!quota.evidence.corroborates(end + HOUR, MINUTE));
}

#[test]
fn a_claim_that_nothing_is_left_is_doubted_where_few_of_ours_were_answered() {
    let mut quota = Quota::new();
    quota.hear(&[told(0, 20, 3_600)]);
    let Chance::Try(soon) = quota.chance() else {
        panic!("{:?}", quota.chance())
    };
    assert!(soon >= quota.now + SECOND && soon <= quota.now + MINUTE);
}

#[test]
fn a_claim_that_a_rejection_confirms_is_not_doubted() {
    let mut quota = Quota::new();
    let sent = quota.send();
    quota.reject(sent, &[told(0, 20, 600)]);
    assert_eq!(quota.chance(), Chance::At(quota.now + 10 * MINUTE));
}

#[test]
fn where_no_end_was_told_one_goes_within_a_minute() {
    let mut quota = Quota::new();
    quota.hear(&[without_reset(0, 20)]);
    let Chance::Try(soon) = quota.chance() else {
        panic!("{:?}", quota.chance())
    };
    assert!(soon >= quota.now + SECOND && soon <= quota.now + MINUTE);
}

#[test]
fn a_reset_of_zero_with_something_left_is_no_end() {
    let mut quota = Quota::new();
    quota.hear(&[told(5, 20, 0)]);
    assert_eq!(quota.first().resets_at(), None);
    quota.hear(&[told(0, 20, 0)]);
    assert_eq!(quota.first().resets_at(), Some(quota.now));
}

#[test]
fn a_number_that_falls_by_a_thousand_a_second_is_in_milliseconds() {
    let mut quota = Quota::new();
    let bare = |remaining, reset| Report {
        reset_is_bare: true,
        ..told(remaining, 20, reset)
    };
    quota.hear(&[bare(2, 42_000)]);
    quota.now = quota.now + (10 * SECOND - WAY);
    for _ in 0..3 {
        quota.hear(&[bare(1, 32_000)]);
    }
    // Of the end that was misread nothing is waited for.
    let end = quota.now + 32 * SECOND;
    assert!(quota.evidence.corroborates(end, SECOND));
    assert!(quota.wait() <= end);
}

#[test]
fn another_limit_under_the_same_name_frees_this_one_as_far_as_it_is_free_itself() {
    let mut quota = Quota::new();
    quota.hear(&[told(0, 10, 60)]);
    quota.wait();
    quota.hear(&[told(50, 100, 60)]);
    assert_eq!(quota.evidence.learned().count(), 2);
    assert_eq!(quota.left(), Some(5));
    assert_eq!(quota.first().resets_at(), None);
    assert!((1..=5).contains(&quota.herd().len()));
}

#[test]
fn another_limit_told_to_an_earlier_request_frees_nothing() {
    let mut quota = Quota::new();
    let early = quota.send();
    quota.now = quota.now + WAY;
    quota.hear(&[told(0, 10, 60)]);
    quota.answer(early, &[told(50, 100, 60)]);
    assert_eq!(quota.left(), Some(0));
    assert!(quota.first().resets_at().is_some());
}

#[test]
fn answers_that_tell_nothing_and_lost_requests_count_until_a_later_report() {
    let mut quota = Quota::new();
    quota.hear(&[told(10, 20, 60)]);
    for left in [9, 8] {
        quota.hear(&[]);
        assert_eq!(quota.left(), Some(left));
    }
    let lost = quota.send();
    quota.in_flight -= 1;
    quota.evidence.lost(lost.permit, quota.now);
    assert_eq!(quota.left(), Some(7));
    quota.hear(&[of_burst(told(90, 100, 60))]);
    assert_eq!(quota.left(), Some(6), "another family tells nothing of it");
    quota.now = quota.now + WAY;
    quota.hear(&[told(5, 20, 60)]);
    assert_eq!(quota.left(), Some(5));
}

#[test]
fn a_scout_that_never_left_is_replaced_by_another() {
    let mut quota = Quota::new();
    quota.hear(&[told(0, 20, 3_600)]);
    quota.wait();
    let scout = quota.send();
    assert_eq!(quota.chance(), FOR_AN_ANSWER);
    quota.in_flight -= 1;
    quota.evidence.unsent(scout.permit);
    assert_eq!(quota.herd().len(), 1);
}

#[test]
fn an_end_without_a_report_is_followed_by_the_next_scout_at_once() {
    let (mut quota, scout) = at_the_end();
    quota.now = quota.now + SECOND;
    quota.answer(scout, &[]);
    // How the server gives back is not known yet: one more, and no herd.
    assert_eq!(quota.herd().len(), 1);
}

#[test]
fn a_series_ends_when_it_is_not_told_for_many_answers_and_two_periods() {
    let silent = |count: usize, pause: Duration| {
        let mut quota = Quota::new();
        quota.hear(&[told(15, 20, 60)]);
        quota.now = quota.now + pause;
        for _ in 0..count {
            quota.hear(&[]);
        }
        quota.evidence.learned().count()
    };
    assert_eq!(silent(100, Duration::ZERO), 1);
    assert_eq!(silent(1, 3 * MINUTE), 1);
    assert_eq!(silent(100, 3 * MINUTE), 0);
}

#[test]
fn of_too_many_series_the_one_that_was_told_longest_ago_gives_way() {
    let mut quota = Quota::new();
    for limit in 1..=20 {
        quota.hear(&[told(limit, limit * 100, 60)]);
    }
    let limits: Vec<_> = quota.evidence.learned().map(Series::limit).collect();
    assert_eq!(limits.len(), MOST_SERIES);
    assert!(limits.contains(&Some(2_000)) && !limits.contains(&Some(100)));
}

#[test]
fn of_several_series_all_must_agree_and_a_scout_is_a_scout_of_all() {
    let mut quota = Quota::new();
    let sent = quota.send();
    let both = [told(0, 20, 600), of_burst(told(0, 7, 60))];
    quota.reject(sent, &both);
    let end = quota.now + 10 * MINUTE;
    assert_eq!(quota.wait(), end);
    let scout = quota.send();
    assert_eq!(quota.chance(), FOR_AN_ANSWER);
    quota.now = quota.now + WAY;
    quota.answer(scout, &[told(19, 20, 600), of_burst(told(6, 7, 60))]);
    let herd = quota.herd();
    assert!((1..=6).contains(&herd.len()), "{}", herd.len());
}

#[test]
fn two_chances_are_the_later_one_and_doubtful_only_where_the_later_one_is() {
    use Chance::{At, Now, Try, WhenAnswered};
    let (soon, later) = (at(5), at(9));
    for (one, other, both) in [
        (Now, Now, Now),
        (Now, At(soon), At(soon)),
        (Now, Try(soon), Try(soon)),
        (Now, FOR_AN_ANSWER, FOR_AN_ANSWER),
        (At(soon), At(later), At(later)),
        (Try(soon), Try(later), Try(later)),
        (At(later), Try(soon), At(later)),
        (At(soon), Try(later), Try(later)),
        (At(soon), Try(soon), At(soon)),
        (At(later), FOR_AN_ANSWER, FOR_AN_ANSWER),
        (Try(later), WhenAnswered(soon), WhenAnswered(soon)),
    ] {
        assert_eq!(one.and(other), both, "{one:?}, {other:?}");
        assert_eq!(other.and(one), both, "{other:?}, {one:?}");
    }
}

#[test]
fn one_answer_is_believed_for_the_longest_window_or_an_hour() {
    assert_eq!(believed(None), HOUR);
    assert_eq!(believed(Some(MINUTE)), MINUTE);
    assert_eq!(believed(Some(24 * HOUR)), HOUR);
}
