use http::StatusCode;

use super::*;
use crate::rate_limit::headers::Reading;

const ONE: Costs = Costs::ONE;
const WINDOW: Duration = Duration::from_secs(10);
const HANGING: Duration = Duration::from_secs(300);

fn at(milliseconds: u64) -> Now {
    Now::after_start(Duration::from_millis(milliseconds))
}

fn ledger(limit: u64) -> Ledger {
    Ledger::new(&[Window::new(limit, WINDOW)], None, HANGING, at(0)).in_contact()
}

fn leave(ledger: &mut Ledger, ticket: u64, now: Now) -> PermitId {
    assert_eq!(
        ledger.when(Ticket::numbered(ticket), &ONE, now),
        Admission::Now,
        "ticket {ticket}"
    );
    ledger.grant(Ticket::numbered(ticket), &ONE, now)
}

fn answered(status: u16) -> Settlement<'static> {
    let status = StatusCode::from_u16(status).expect("a status");
    let rejected = (status == 429).then_some(None);
    Settlement::Answered(Report {
        status,
        rejected,
        readings: &[],
        ..Report::default()
    })
}

fn rejected(seconds: u64) -> Settlement<'static> {
    let rejected = Some(Some(Duration::from_secs(seconds)));
    let status = StatusCode::TOO_MANY_REQUESTS;
    Settlement::Answered(Report {
        status,
        rejected,
        readings: &[],
        ..Report::default()
    })
}

#[test]
fn in_flight_and_answered_requests_share_the_limit() {
    let mut ledger = ledger(2);
    let first = leave(&mut ledger, 1, at(0));
    let _second = leave(&mut ledger, 2, at(0));
    assert!(matches!(
        ledger.when(Ticket::numbered(3), &ONE, at(0)),
        Admission::WhenAnswered(_)
    ));
    ledger.settle(first, Ticket::numbered(1), &answered(200), at(400));
    assert_eq!(
        ledger.when(Ticket::numbered(3), &ONE, at(500)),
        Admission::At(at(10_400).moment)
    );
    assert_eq!(
        ledger.when(Ticket::numbered(3), &ONE, at(10_400)),
        Admission::Now
    );
}

#[test]
fn a_permit_never_sent_is_given_back() {
    let mut ledger = ledger(1);
    let permit = leave(&mut ledger, 1, at(0));
    ledger.settle(permit, Ticket::numbered(1), &Settlement::Unsent, at(1));
    assert_eq!(
        ledger.when(Ticket::numbered(2), &ONE, at(1)),
        Admission::Now
    );
}

#[test]
fn a_permit_dropped_in_flight_counts_until_its_drop_and_a_window() {
    let mut ledger = ledger(1);
    let permit = leave(&mut ledger, 1, at(0));
    ledger.settle(permit, Ticket::numbered(1), &Settlement::Lost, at(3_000));
    assert_eq!(
        ledger.when(Ticket::numbered(2), &ONE, at(3_000)),
        Admission::At(at(13_000).moment)
    );
}

#[test]
fn a_request_that_hangs_counts_as_answered_after_its_time() {
    let mut ledger = ledger(1);
    let permit = leave(&mut ledger, 1, at(0));
    assert_eq!(
        ledger.when(Ticket::numbered(2), &ONE, at(1)),
        Admission::WhenAnswered(at(300_000).moment)
    );
    assert_eq!(
        ledger.when(Ticket::numbered(2), &ONE, at(300_000)),
        Admission::At(at(310_000).moment)
    );
    ledger.settle(permit, Ticket::numbered(1), &answered(200), at(305_000));
    assert_eq!(
        ledger.when(Ticket::numbered(2), &ONE, at(310_000)),
        Admission::Now
    );
}

#[test]
fn every_window_has_to_have_room() {
    let windows = [
        Window::new(5, Duration::from_secs(1)),
        Window::new(6, WINDOW),
    ];
    let mut ledger = Ledger::new(&windows, None, HANGING, at(0)).in_contact();
    for ticket in 0..5 {
        let permit = leave(&mut ledger, ticket, at(0));
        ledger.settle(permit, Ticket::numbered(ticket), &answered(200), at(0));
    }
    assert_eq!(
        ledger.when(Ticket::numbered(5), &ONE, at(0)),
        Admission::At(at(1_000).moment)
    );
    let permit = leave(&mut ledger, 5, at(1_000));
    ledger.settle(permit, Ticket::numbered(5), &answered(200), at(1_000));
    assert_eq!(
        ledger.when(Ticket::numbered(6), &ONE, at(1_000)),
        Admission::At(at(10_000).moment)
    );
}

#[test]
fn max_in_flight_bounds_what_is_on_the_wire() {
    let mut ledger = Ledger::new(&[], Some(1), HANGING, at(0)).in_contact();
    let permit = leave(&mut ledger, 1, at(0));
    assert!(matches!(
        ledger.when(Ticket::numbered(2), &ONE, at(0)),
        Admission::WhenAnswered(_)
    ));
    ledger.settle(permit, Ticket::numbered(1), &answered(200), at(5));
    assert_eq!(
        ledger.when(Ticket::numbered(2), &ONE, at(5)),
        Admission::Now
    );
}

#[test]
fn a_rejection_closes_the_gate_and_a_probe_opens_it() {
    let mut ledger = ledger(10);
    let permit = leave(&mut ledger, 1, at(0));
    let change = ledger.settle(permit, Ticket::numbered(1), &rejected(3), at(0));
    assert_eq!(change, Change::ClosedUntil(at(3_000).moment));
    assert_eq!(
        ledger.when(Ticket::numbered(2), &ONE, at(2_999)),
        Admission::At(at(3_000).moment)
    );
    let probe = leave(&mut ledger, 1, at(3_000));
    // The next slot of its pace is known; the probe's answer may come at any time.
    let mut later = ledger.clone();
    assert_eq!(
        later.when(Ticket::numbered(2), &ONE, at(5_000)),
        Admission::WhenAnswered(at(8_000).moment)
    );
    let slot = at(3_000).moment + (WINDOW + Duration::from_millis(10)).div_f64(9.0);
    assert_eq!(
        ledger.when(Ticket::numbered(2), &ONE, at(3_000)),
        Admission::At(slot)
    );
    let change = ledger.settle(probe, Ticket::numbered(1), &answered(200), at(3_100));
    assert_eq!(change, Change::Reopened);
    // Ten in ten seconds, evenly, since the server rejected what we had allowed.
    assert_eq!(
        ledger.when(Ticket::numbered(2), &ONE, at(3_100)),
        Admission::At(slot)
    );
    leave(&mut ledger, 2, at(4_123));
}

#[test]
fn settling_a_401_and_acquiring_again_does_not_hang_where_one_permit_is_all() {
    let windows = [Window::new(2, WINDOW)];
    let mut ledger = Ledger::new(&windows, Some(1), HANGING, at(0)).in_contact();
    let permit = leave(&mut ledger, 1, at(0));
    ledger.settle(permit, Ticket::numbered(1), &answered(401), at(1));
    assert_eq!(
        ledger.when(Ticket::numbered(1), &ONE, at(1)),
        Admission::Now
    );
}

#[test]
fn without_retry_after_the_spent_window_says_how_long() {
    let mut ledger = ledger(10);
    let permit = leave(&mut ledger, 1, at(0));
    let reading = Reading {
        limit: None,
        remaining: Some(0),
        reset: Some(Duration::from_secs(7)),
    };
    let report = Report {
        status: StatusCode::TOO_MANY_REQUESTS,
        rejected: Some(None),
        readings: &[reading],
        ..Report::default()
    };
    let change = ledger.settle(
        permit,
        Ticket::numbered(1),
        &Settlement::Answered(report),
        at(0),
    );
    assert_eq!(change, Change::ClosedUntil(at(7_000).moment));
}

#[test]
fn a_lone_client_with_many_in_flight_sees_no_others_in_the_servers_count() {
    let mut ledger = ledger(100);
    let permits: Vec<_> = (0..50)
        .map(|ticket| leave(&mut ledger, ticket, at(0)))
        .collect();
    // The last one was counted last, and its answer comes first.
    let reading = Reading {
        limit: None,
        remaining: Some(50),
        reset: None,
    };
    let report = Report {
        status: StatusCode::OK,
        rejected: None,
        readings: &[reading],
        ..Report::default()
    };
    ledger.settle(
        permits[49],
        Ticket::numbered(49),
        &Settlement::Answered(report),
        at(10),
    );
    ledger.settle(
        permits[0],
        Ticket::numbered(0),
        &Settlement::Answered(report),
        at(20),
    );
    let (window, meter) = ledger.windows().next().expect("a window");
    assert_eq!(window.left(meter.in_flight()), 50);
}

/// The wall clock was wrong when it began: it kept the window until it was that late indeed.
#[test]
fn a_wall_clock_that_is_set_back_does_not_keep_a_calendar_window_for_years() {
    for window in [Window::per_utc_day(3), Window::per_utc_month(3)] {
        let began = Now {
            moment: at(0).moment,
            wall: at(0).wall + Duration::from_secs(10 * 366 * 86_400),
        };
        let mut ledger =
            Ledger::new(std::slice::from_ref(&window), None, HANGING, began).in_contact();
        for ticket in 1..=2 {
            let permit = leave(&mut ledger, ticket, began);
            ledger.settle(permit, Ticket::numbered(ticket), &answered(200), began);
        }
        leave(&mut ledger, 3, at(1_000));
        let ends = window.length() + Duration::from_secs(2);
        assert_eq!(
            ledger.when(Ticket::numbered(4), &ONE, at(302_000)),
            Admission::At(Moment::after_start(ends)),
            "{window}: what was counted is kept to the end of the period that it is now"
        );
    }
}

#[test]
fn nor_does_one_that_is_set_back_by_less_than_a_period_shorten_it() {
    let today = |seconds| Now::after_start(Duration::from_secs(seconds));
    let mut ledger =
        Ledger::new(&[Window::per_utc_day(1)], None, HANGING, today(80_000)).in_contact();
    let permit = leave(&mut ledger, 1, today(80_000));
    ledger.settle(permit, Ticket::numbered(1), &answered(200), today(80_001));
    let set_back = Now {
        moment: today(80_002).moment,
        wall: today(10).wall,
    };
    let midnight = set_back.moment + Duration::from_secs(86_400 - 10 + 2);
    assert_eq!(
        ledger.when(Ticket::numbered(2), &ONE, set_back),
        Admission::At(midnight)
    );
}
