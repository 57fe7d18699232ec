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
    slow_down(paces.iter_mut(), None, at(0), at(1));
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
        slow_down(paces.iter_mut(), told, at(0), at(1));
        [paces[0].is_spread(at(2)), paces[1].is_spread(at(2))]
    };
    assert_eq!(spread_after(30), [true, false]);
    assert_eq!(spread_after(110), [true, false], "a sliding counter's");
    assert_eq!(spread_after(28_416), [false, false], "the day is spent");
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
        let mut ledger = Ledger::new(&[window], None, hanging, now(0));
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
