use super::*;
use crate::cost::Costs;
use crate::rate_limit::share::{Heard, Own};
use crate::rate_limit::state::{Admission, Ledger, Report, Settlement};
use crate::rate_limit::ticket::Ticket;
use http::StatusCode;
use proptest::prelude::*;
use std::collections::VecDeque;

const LIMIT: u64 = 11;

fn at(milliseconds: u64) -> Moment {
    Moment::after_start(Duration::from_millis(milliseconds))
}

fn hours(hours: u64) -> Moment {
    at(hours * 3_600_000)
}

/// Eleven in ten seconds, a hundredth of a second of which is for those that come late: a slot each
/// second.
fn pace(pacing: Pacing) -> Pace {
    Pace::new(&Window::new(LIMIT, Duration::from_millis(9_990)).pacing(pacing))
}

#[test]
fn a_spread_window_has_one_slot_after_the_other() {
    let mut pace = pace(Pacing::Spread);
    assert_eq!(
        pace.opens(1, LIMIT, Duration::ZERO, at(5_000)),
        None,
        "the first leaves at once"
    );
    pace.grant(1, LIMIT, Duration::ZERO, at(5_000));
    assert_eq!(
        pace.opens(1, LIMIT, Duration::ZERO, at(5_999)),
        Some(at(6_000))
    );
    assert_eq!(pace.opens(1, LIMIT, Duration::ZERO, at(6_000)), None);
}

#[test]
fn slots_leave_room_for_what_the_way_may_shift() {
    let mut pace = pace(Pacing::Spread);
    pace.grant(1, LIMIT, Duration::from_secs(2), at(5_000));
    assert_eq!(
        pace.opens(1, LIMIT, Duration::ZERO, at(5_000)),
        Some(at(6_199))
    );
}

#[test]
fn what_costs_more_takes_the_slots_of_its_cost() {
    let mut pace = pace(Pacing::Spread);
    pace.grant(5, LIMIT, Duration::ZERO, at(1_000));
    let slot = at(1_000) + Duration::from_secs(10) * 5 / 6;
    assert_eq!(pace.opens(1, LIMIT, Duration::ZERO, at(1_000)), Some(slot));
    let whole = pace.interval(LIMIT, LIMIT, Duration::ZERO);
    assert_eq!(whole, Duration::from_secs(20), "forgotten by any server");
}

#[test]
fn a_late_timer_does_not_shift_the_slots_and_missed_slots_are_lost() {
    let mut pace = pace(Pacing::Spread);
    pace.grant(1, LIMIT, Duration::ZERO, at(1_000));
    // On a busy machine, nearly all slots of a millisecond were lost.
    pace.grant(1, LIMIT, Duration::ZERO, at(2_010));
    assert_eq!(
        pace.opens(1, LIMIT, Duration::ZERO, at(2_010)),
        Some(at(3_000))
    );
    pace.grant(1, LIMIT, Duration::ZERO, at(8_000));
    assert_eq!(
        pace.opens(1, LIMIT, Duration::ZERO, at(8_000)),
        Some(at(9_000))
    );
}

#[test]
fn a_burst_window_has_no_slots_whatever_happens() {
    let mut paces = [pace(Pacing::Burst)];
    slow_down(
        paces.iter_mut().map(|pace| (pace, LIMIT)),
        None,
        at(0),
        at(1),
    );
    paces[0].grant(1, LIMIT, Duration::ZERO, at(2));
    assert_eq!(paces[0].opens(1, LIMIT, Duration::ZERO, at(2)), None);
}

#[test]
fn auto_bursts_until_a_rejection_and_again_an_hour_later() {
    let mut pace = pace(Pacing::Auto);
    pace.grant(1, LIMIT, Duration::ZERO, at(0));
    assert_eq!(pace.opens(1, LIMIT, Duration::ZERO, at(0)), None);
    pace.rejected(at(0), at(100));
    pace.grant(1, LIMIT, Duration::ZERO, at(1_100));
    assert_eq!(
        pace.opens(1, LIMIT, Duration::ZERO, at(1_100)),
        Some(at(2_100))
    );
    pace.grant(1, LIMIT, Duration::ZERO, hours(1));
    assert_eq!(
        pace.opens(1, LIMIT, Duration::ZERO, hours(1)),
        Some(hours(1) + Duration::from_secs(1))
    );
    pace.grant(1, LIMIT, Duration::ZERO, hours(1) + Duration::from_secs(1));
    assert_eq!(
        pace.opens(1, LIMIT, Duration::ZERO, hours(1) + Duration::from_secs(1)),
        None
    );
}

#[test]
fn after_a_relapse_auto_spreads_for_twice_as_long() {
    let mut pace = pace(Pacing::Auto);
    pace.rejected(at(0), at(1));
    pace.rejected(hours(5), hours(5));
    assert!(pace.is_spread(hours(6)));
    assert!(!pace.is_spread(hours(7)));
    pace.rejected(hours(7), hours(7));
    assert!(pace.is_spread(hours(10)));
    assert!(!pace.is_spread(hours(11)));
}

#[test]
fn the_late_rejections_of_one_burst_cut_once() {
    let mut pace = pace(Pacing::Spread);
    let full = pace.interval(1, LIMIT, Duration::ZERO);
    for _ in 0..31 {
        pace.rejected(at(0), at(100));
    }
    let once = pace.interval(1, LIMIT, Duration::ZERO);
    assert_eq!(once, full.div_f64(0.7));
    pace.accepted(1, LIMIT, at(50));
    let left_before = pace.interval(1, LIMIT, Duration::ZERO);
    assert_eq!(left_before, once);
    pace.rejected(at(101), at(200));
    assert!(pace.interval(1, LIMIT, Duration::ZERO) > once);
}

#[test]
fn successes_restore_the_rate() {
    let mut pace = pace(Pacing::Spread);
    let full = pace.interval(1, LIMIT, Duration::ZERO);
    pace.rejected(at(0), at(0));
    for _ in 0..12 * LIMIT {
        pace.accepted(1, LIMIT, at(1));
    }
    assert_eq!(pace.interval(1, LIMIT, Duration::ZERO), full);
}

#[test]
fn windows_worth_of_successes_restore_the_rate_whatever_each_costs() {
    let regained = |cost: u64| {
        let mut pace = pace(Pacing::Spread);
        pace.rejected(at(0), at(0));
        for _ in 0..2 * LIMIT / cost {
            pace.accepted(cost, LIMIT, at(1));
        }
        pace.factor.get()
    };
    assert!(regained(1) > 0.85);
    assert!((regained(1) - regained(LIMIT)).abs() < 1e-9);
}

#[test]
fn endless_rejections_slow_down_to_a_twentieth_and_no_further() {
    let mut pace = pace(Pacing::Spread);
    for second in 1..100 {
        pace.rejected(at(second * 1_000), at(second * 1_000));
    }
    assert_eq!(
        pace.interval(1, LIMIT, Duration::ZERO),
        Duration::from_secs(20)
    );
}

#[test]
fn a_rejection_slows_the_window_that_explains_it() {
    let windows = ["120/min", "1000/utc-day"].map(|text| text.parse::<Window>().expect(text));
    let spread_after = |told| {
        let mut paces: Vec<_> = windows.iter().map(Pace::new).collect();
        let told = Some(Duration::from_secs(told));
        slow_down(paces.iter_mut().map(|pace| (pace, 120)), told, at(0), at(1));
        [paces[0].is_spread(at(2)), paces[1].is_spread(at(2))]
    };
    assert_eq!(spread_after(30), [true, false]);
    assert_eq!(spread_after(110), [true, false], "a sliding counter's");
    assert_eq!(spread_after(28_416), [false, false], "the day is spent");
}

fn by_another_clock(window: &Window) -> Pace {
    Pace::new(&window.by_another_clock())
}

#[test]
fn an_hour_is_an_hour_though_the_servers_may_be_longer() {
    for window in [Window::per_hour(600), "600/h".parse().expect("an hour")] {
        let mut paces = [by_another_clock(&window)];
        let told = Some(Duration::from_secs(1));
        slow_down(paces.iter_mut().map(|pace| (pace, 600)), told, at(0), at(1));
        assert!(paces[0].is_spread(at(2)), "{window}");
    }
}

/// A day's pace, and when a rejection of it closes the quota for.
struct Day {
    pace: Pace,
    now: Moment,
    told: u64,
}

const DAILY: u64 = 1_000;

impl Day {
    fn told(told: u64) -> Self {
        let pace = by_another_clock(&Window::per_day(DAILY));
        let now = at(0);
        Self { pace, now, told }
    }

    /// After so many that were accepted, one in ten milliseconds, the next one is rejected.
    fn rejected_after(&mut self, accepted: u64) -> bool {
        for _ in 0..accepted {
            self.pace.accepted(1, DAILY, self.now);
            self.now = self.now + Duration::from_millis(10);
        }
        let told = Some(Duration::from_secs(self.told));
        let paces = std::iter::once((&mut self.pace, DAILY));
        slow_down(paces, told, self.now, self.now + Duration::from_millis(1));
        self.now = self.now + Duration::from_secs(self.told + 1);
        self.pace.is_spread(self.now)
    }
}

#[test]
fn a_day_is_spread_when_three_rejections_show_that_it_is_full() {
    let mut day = Day::told(60);
    assert!(!day.rejected_after(1_000));
    assert!(!day.rejected_after(1));
    assert!(day.rejected_after(1));
    assert!(day.pace.is_spread(day.now + Duration::from_secs(3_500)));
    assert!(!day.pace.is_spread(day.now + Duration::from_secs(3_600)));
}

/// A gateway's twenty in two seconds, or a bucket of two in a second.
#[test]
fn a_limit_that_is_not_the_days_does_not_spread_it() {
    for (told, accepted) in [(2, 20), (1, 3)] {
        let mut day = Day::told(told);
        for _ in 0..100 {
            assert!(!day.rejected_after(accepted), "{accepted} after {told} s");
        }
    }
}

#[test]
fn nor_does_somebody_who_takes_a_part_of_it_at_once_each_day() {
    let mut day = Day::told(20 * 60 * 60);
    for _ in 0..30 {
        assert!(!day.rejected_after(900));
    }
}

#[test]
fn nor_do_rejections_now_and_then_of_who_sends_little() {
    let mut day = Day::told(1);
    for _ in 0..30 {
        day.now = day.now + Duration::from_secs(5 * 60 * 60);
        assert!(!day.rejected_after(10));
    }
}

#[test]
fn those_that_left_with_the_rejected_one_are_no_further_proof() {
    let mut day = Day::told(60);
    for _ in 0..32 {
        let paces = std::iter::once((&mut day.pace, DAILY));
        slow_down(paces, Some(Duration::from_secs(60)), at(0), at(1));
    }
    assert!(!day.pace.is_spread(at(2)));
}

#[test]
fn after_a_rejection_few_of_a_day_are_in_flight_until_more_is_accepted_than_it_hands_out() {
    let mut day = Day::told(60);
    let most = |day: &Day| day.pace.most_on_trial(DAILY, Duration::ZERO, day.now);
    assert_eq!(most(&day), None);
    day.rejected_after(270);
    assert_eq!(most(&day), Some(4));
    let next_day = day.now + Duration::from_secs(25 * 60 * 60);
    assert_eq!(
        day.pace.most_on_trial(DAILY, Duration::ZERO, next_day),
        None
    );
    day.pace.accepted(2, DAILY, day.now);
    assert_eq!(most(&day), Some(4), "what a full one hands out in a minute");
    day.pace.accepted(1, DAILY, day.now);
    assert_eq!(most(&day), None);
}

/// Told in whole seconds, it lets ten leave at once.
#[test]
fn a_day_of_a_million_is_spread_too() {
    let mut pace = by_another_clock(&Window::per_day(864_000));
    let mut now = at(0);
    for _ in 0..3 {
        for _ in 0..12 {
            pace.accepted(1, 864_000, now);
        }
        let paces = std::iter::once((&mut pace, 864_000));
        slow_down(paces, Some(Duration::from_secs(1)), now, now);
        now = now + Duration::from_millis(1_001);
    }
    assert!(pace.is_spread(now));
}

fn spread_day() -> Day {
    let mut day = Day::told(60);
    while !day.rejected_after(1) {}
    day
}

#[test]
fn a_relapse_of_a_day_needs_no_proof_and_lasts_twice_as_long() {
    let mut day = spread_day();
    day.now = day.now + Duration::from_secs(2 * 60 * 60);
    assert!(!day.pace.is_spread(day.now));
    assert!(day.rejected_after(100));
    assert!(day.pace.is_spread(day.now + Duration::from_secs(7_000)));
    day.now = day.now + Duration::from_secs(3 * 24 * 60 * 60);
    assert!(!day.rejected_after(100), "too long ago to be one");
}

#[test]
fn a_day_is_spread_no_more_when_an_answer_tells_what_is_left_by_our_own_count() {
    let mut day = spread_day();
    day.pace.left_is_told(899, 900, day.now);
    assert!(day.pace.is_spread(day.now));
    day.pace.left_is_told(900, 900, day.now);
    assert!(!day.pace.is_spread(day.now));
    let mut hour = by_another_clock(&Window::per_hour(DAILY));
    hour.rejected(at(0), at(1));
    hour.left_is_told(900, 900, at(2));
    assert!(hour.is_spread(at(2)));
}

#[test]
fn for_a_window_after_a_long_one_was_spread_few_are_in_flight() {
    let after = |window: &Window, seconds: u64, way: Duration| {
        let mut pace = by_another_clock(window);
        pace.rejected(at(0), at(0));
        let now = at(3_600_000 + seconds * 1_000);
        pace.most_on_trial(window.limit(), way, now)
    };
    let hour = Window::per_hour(36_000);
    let way = Duration::from_millis(200);
    assert_eq!(after(&hour, 3_600, way), Some(4));
    assert_eq!(after(&hour, 3_602, way), None);
    let long = after(&hour, 0, Duration::from_secs(1));
    assert_eq!(long, Some(20), "twice ten in a second");
    assert_eq!(after(&Window::per_minute(600), 0, way), None);
    let mut spread = by_another_clock(&hour);
    spread.rejected(at(0), at(0));
    assert_eq!(spread.most_on_trial(1, way, at(1)), None, "it has slots");
}

#[test]
fn others_show_in_a_day_that_is_not_spread_and_it_bursts_on() {
    let own = Own {
        cost: 1,
        most: 1,
        since: 0,
    };
    let heard = |now| Heard {
        remaining: 700,
        reset: now + Duration::from_secs(80_000),
        total: DAILY,
        own,
        sent: now,
    };
    let mut day = Day::told(60);
    day.pace.heard(heard(day.now), Duration::ZERO, day.now);
    assert!(!day.pace.is_spread(day.now));
    let mut spread = spread_day();
    spread
        .pace
        .heard(heard(spread.now), Duration::ZERO, spread.now);
    assert!(spread.pace.is_shared(spread.now));
    let hour_later = spread.now + Duration::from_secs(3_600);
    assert!(!spread.pace.is_shared(hour_later));
}

#[test]
fn a_reserve_leaves_one_for_everybody_whatever_the_limit_becomes() {
    let pace = Pace::new(&Window::per_minute(10).reserve(4));
    assert_eq!([10, 4, 1, 0].map(|limit| pace.reserve(limit)), [4, 3, 0, 0]);
}

#[test]
fn a_limit_of_one_or_none_has_slots_too() {
    let pace = pace(Pacing::Spread);
    assert_eq!(pace.interval(1, 1, Duration::ZERO), Duration::from_secs(10));
    assert_eq!(pace.interval(1, 0, Duration::ZERO), Duration::from_secs(10));
}

#[test]
fn who_sends_nothing_for_a_quarter_of_an_hour_has_no_burst_of_a_day() {
    let mut pace = Pace::new(&Window::per_utc_day(1_000).pacing(Pacing::Spread));
    let way = Duration::from_millis(300);
    pace.grant(1, 1_000, way, at(1_000));
    let later = hours(1).earlier(Duration::from_secs(45 * 60));
    assert_eq!(pace.opens(1, 1_000, way, later), None);
    pace.grant(1, 1_000, way, later);
    assert!(pace.opens(1, 1_000, way, later) > Some(later + Duration::from_secs(80)));
}

#[test]
fn who_has_to_leave_before_a_slot_may_use_those_that_came_late() {
    let mut pace = Pace::new(&Window::per_minute(600).pacing(Pacing::Spread));
    let way = Duration::from_secs(1);
    pace.grant(1, 600, way, at(10_000));
    let now = at(11_000);
    let not_before = pace.not_before(8, 600, way, now);
    for _ in 0..8 {
        assert_eq!(pace.opens(1, 600, way, now), None);
        pace.grant(1, 600, way, now);
    }
    assert!(
        not_before <= now,
        "{not_before:?}: the ninth leaves at once"
    );
}

#[test]
fn who_has_to_leave_before_a_reset_does_not_wait_beyond_it_for_what_costs_much() {
    let mut pace = Pace::new(&Window::per_minute(120));
    pace.grant(1, 120, Duration::ZERO, at(55_000));
    let own = Own {
        cost: 1,
        most: 1,
        since: 0,
    };
    let heard = Heard {
        remaining: 110,
        reset: at(60_000),
        total: 120,
        own,
        sent: at(55_000),
    };
    pace.heard(heard, Duration::ZERO, at(55_000));
    assert!(pace.is_shared(at(55_000)));
    let not_before = pace.not_before(100, 120, Duration::ZERO, at(58_000));
    pace.grant(100, 120, Duration::ZERO, at(58_000));
    let slot = pace.opens(1, 120, Duration::ZERO, at(58_000)).unwrap();
    assert!(not_before <= slot, "{not_before:?} {slot:?}");
}

#[test]
fn few_workers_on_a_long_way_make_up_the_slots_that_came_meanwhile() {
    let mut pace = Pace::new(&Window::per_minute(600).pacing(Pacing::Spread));
    let way = Duration::from_secs(1);
    pace.grant(1, 600, way, at(10_000));
    pace.grant(1, 600, way, at(11_000));
    assert_eq!(pace.opens(1, 600, way, at(11_000)), None);
    assert_eq!(pace.grain(Duration::from_secs(9), at(0)), 6 * way / 5);
}

/// A server's sliding counter, in milliseconds. What it rejects it does not count.
struct Counter {
    length: f64,
    limit: f64,
    period: f64,
    previous: f64,
    current: f64,
}

impl Counter {
    fn accepts(&mut self, at: u64) -> bool {
        let periods = at as f64 / self.length;
        if periods.floor() > self.period {
            let is_next = periods.floor() < self.period + 1.5;
            self.previous = if is_next { self.current } else { 0.0 };
            self.current = 0.0;
            self.period = periods.floor();
        }
        let before = self.previous * (1.0 - periods.fract());
        let accepts = before + self.current + 1.0 <= self.limit + 1e-9;
        self.current += f64::from(u8::from(accepts));
        accepts
    }
}

const TICKET: Ticket = Ticket::numbered(1);
const ACCEPTED: Settlement<'_> = Settlement::Answered(Report {
    status: StatusCode::OK,
    rejected: None,
    readings: &[],
    reports: &[],
    is_by_rule: false,
});

fn now(milliseconds: u64) -> Now {
    Now::after_start(Duration::from_millis(milliseconds))
}

/// Requests that leave as soon as they may, but for a pause after every so many of them.
struct Stream {
    length: u64,
    limit: u64,
    way: u64,
    phase: u64,
    pauses: Vec<(u64, u64)>,
}

impl Stream {
    /// How many of a dozen windows' requests a sliding counter rejects.
    fn rejected(&self) -> u64 {
        let window = Window::new(self.limit, Duration::from_millis(self.length));
        let window = window.pacing(Pacing::Spread).by_another_clock();
        let hanging = Duration::from_secs(300);
        let mut ledger = Ledger::new(&[window], None, hanging, now(0)).in_contact();
        let mut server = Counter {
            length: self.length as f64,
            limit: self.limit as f64,
            period: 0.0,
            previous: 0.0,
            current: 0.0,
        };
        let mut pauses = self.pauses.iter().cycle().flat_map(|(many, pause)| {
            let last = many.saturating_sub(1) as usize;
            std::iter::repeat_n(0, last).chain([*pause])
        });
        let mut flying = VecDeque::new();
        let (mut idle_until, mut rejected) = (0, 0);
        for time in 1..self.length * 12 {
            while flying.front().is_some_and(|(end, _)| *end <= time) {
                let (_, permit) = flying.pop_front().unwrap();
                ledger.settle(permit, TICKET, &ACCEPTED, now(time));
            }
            while time >= idle_until
                && ledger.when(TICKET, &Costs::ONE, now(time)) == Admission::Now
            {
                let permit = ledger.grant(TICKET, &Costs::ONE, now(time));
                rejected += u64::from(!server.accepts(self.phase + time + self.way / 2));
                flying.push_back((time + self.way, permit));
                idle_until = time + pauses.next().unwrap_or(0);
            }
        }
        rejected
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_sliding_counter_rejects_nothing_of_a_spread_window_whoever_pauses(
        length in prop_oneof![Just(1_000_u64), Just(10_000), Just(60_000)],
        limit in 2..200_u64,
        way in 0..300_u64,
        phase in 0..60_000_u64,
        pauses in prop::collection::vec((1..100_u64, 0..3_000_u64), 1..8),
    ) {
        let stream = Stream { length, limit, way, phase, pauses };
        prop_assert_eq!(stream.rejected(), 0);
    }
}
