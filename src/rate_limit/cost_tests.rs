//! The ledger with costs, against servers of each kind that count units.

use std::collections::VecDeque;
use std::time::Duration;

use http::StatusCode;
use proptest::prelude::*;

use super::state::{Admission, Ledger, Report, Settlement};
use super::ticket::Ticket;
use super::window::Window;
use crate::clock::Now;
use crate::cost::Costs;

const WINDOW: u64 = 1_000;
const LIMIT: u64 = 20;
const HANGING: Duration = Duration::from_secs(300);

fn at(milliseconds: u64) -> Now {
    Now::after_start(Duration::from_millis(milliseconds))
}

fn window() -> Window {
    Window::new(LIMIT, Duration::from_millis(WINDOW)).unit("lines")
}

fn lines(amount: u64) -> Costs {
    Costs::default().with("lines", amount)
}

fn answered() -> Settlement<'static> {
    Settlement::Answered(Report {
        status: StatusCode::OK,
        rejected: None,
        readings: &[],
        ..Report::default()
    })
}

/// A server that counts units; times in milliseconds.
#[derive(Clone, Debug)]
enum Server {
    Fixed {
        phase: u64,
        window: u64,
        used: u64,
    },
    Log(VecDeque<(u64, u64)>),
    /// In thousandths of a unit.
    Bucket {
        left: u64,
        since: u64,
    },
}

impl Server {
    fn accepts(&mut self, cost: u64, now: u64) -> bool {
        match self {
            Self::Fixed {
                phase,
                window,
                used,
            } => {
                let present = (now + *phase) / WINDOW;
                if present != *window {
                    (*window, *used) = (present, 0);
                }
                *used += cost;
                *used <= LIMIT
            }
            Self::Log(log) => {
                log.retain(|(counted, _)| counted + WINDOW > now);
                log.push_back((now, cost));
                log.iter().map(|(_, cost)| cost).sum::<u64>() <= LIMIT
            }
            Self::Bucket { left, since } => {
                let refill = (now - *since) * LIMIT * 1_000 / WINDOW;
                (*left, *since) = ((*left + refill).min(LIMIT * 1_000), now);
                let accepted = *left >= cost * 1_000;
                *left = left.saturating_sub(cost * 1_000);
                accepted
            }
        }
    }
}

fn server() -> impl Strategy<Value = Server> {
    let bucket = Server::Bucket {
        left: LIMIT * 1_000,
        since: 0,
    };
    prop_oneof![
        (0..WINDOW).prop_map(|phase| Server::Fixed {
            phase,
            window: 0,
            used: 0
        }),
        Just(Server::Log(VecDeque::new())),
        Just(bucket),
    ]
}

/// One request: its cost, its way there and back, what becomes of it, the pause before it.
#[derive(Clone, Debug)]
struct Call {
    cost: u64,
    there: u64,
    back: u64,
    fate: Fate,
    pause: u64,
}

#[derive(Clone, Debug)]
enum Fate {
    Answered,
    Lost,
    Unsent,
}

fn call() -> impl Strategy<Value = Call> {
    let fate = prop_oneof![
        8 => Just(Fate::Answered),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Unsent),
    ];
    let pause = prop_oneof![Just(0), 0..300_u64];
    (1..=LIMIT, 0..700_u64, 0..700_u64, fate, pause).prop_map(|(cost, there, back, fate, pause)| {
        Call {
            cost,
            there,
            back,
            fate,
            pause,
        }
    })
}

/// What happens on the wire, by its time.
enum Wire {
    Counted(u64),
    Ended(super::in_flight::PermitId, u64, Settlement<'static>),
}

/// Runs the calls one after the other through the ledger; false if the server rejected one.
fn runs(mut server: Server, calls: Vec<Call>) -> bool {
    let mut ledger = Ledger::new(&[window()], None, HANGING, at(0)).in_contact();
    let mut wire: Vec<(u64, Wire)> = Vec::new();
    let mut now = 0;
    for (ticket, call) in (0..).zip(calls) {
        let mut due = now + call.pause;
        loop {
            // A request is counted before its own answer arrives: the sort is stable.
            wire.sort_by_key(|(time, _)| *time);
            let next = wire.first().map(|(time, _)| *time);
            if next.is_some_and(|time| time <= due) {
                let (time, event) = wire.remove(0);
                now = now.max(time);
                match event {
                    Wire::Counted(cost) if !server.accepts(cost, time) => return false,
                    Wire::Counted(_) => {}
                    Wire::Ended(permit, ticket, settlement) => {
                        ledger.settle(permit, Ticket::numbered(ticket), &settlement, at(time));
                    }
                }
                continue;
            }
            now = now.max(due);
            match ledger.when(Ticket::numbered(ticket), &lines(call.cost), at(now)) {
                Admission::Now => break,
                Admission::At(moment) => {
                    let wait = moment - at(now).moment;
                    due = now + u64::try_from(wait.as_micros().div_ceil(1_000)).unwrap();
                }
                Admission::WhenAnswered(_) => due = next.expect("somebody is in flight"),
                Admission::Never(excess) => panic!("{excess:?}"),
            }
        }
        let permit = ledger.grant(Ticket::numbered(ticket), &lines(call.cost), at(now));
        let (counted, ended) = (now + call.there, now + call.there + call.back);
        let settlement = match call.fate {
            Fate::Answered => answered(),
            Fate::Lost => Settlement::Lost,
            Fate::Unsent => Settlement::Unsent,
        };
        if !matches!(call.fate, Fate::Unsent) {
            wire.push((counted, Wire::Counted(call.cost)));
        }
        wire.push((ended, Wire::Ended(permit, ticket, settlement)));
    }
    wire.sort_by_key(|(time, _)| *time);
    let mut counted = wire.into_iter().filter_map(|(time, event)| match event {
        Wire::Counted(cost) => Some((time, cost)),
        Wire::Ended(..) => None,
    });
    counted.all(|(time, cost)| server.accepts(cost, time))
}

proptest! {
    #[test]
    fn no_kind_of_server_rejects_what_the_ledger_lets_go_whatever_it_costs(
        server in server(),
        calls in prop::collection::vec(call(), 1..60),
    ) {
        prop_assert!(runs(server, calls));
    }
}

#[test]
fn a_cost_beyond_the_limit_can_never_leave() {
    let mut ledger = Ledger::new(&[window().reserve(5)], None, HANGING, at(0)).in_contact();
    let Admission::Never(excess) = ledger.when(Ticket::numbered(1), &lines(16), at(0)) else {
        panic!("five are for others");
    };
    assert_eq!(
        (&*excess.unit, excess.cost, excess.limit),
        ("lines", 16, 15)
    );
    let admission = ledger.when(Ticket::numbered(1), &lines(15), at(0));
    assert_eq!(admission, Admission::Now);
}

#[test]
fn a_charge_beyond_the_limit_is_made_up_for_before_the_next_leaves() {
    let mut ledger = Ledger::new(&[window()], None, HANGING, at(0)).in_contact();
    let unknown = lines(0);
    let permit = ledger.grant(Ticket::numbered(1), &unknown, at(0));
    ledger.settle(permit, Ticket::numbered(1), &answered(), at(0));
    ledger.charge("lines", LIMIT - 1, at(100));
    assert_eq!(
        ledger.when(Ticket::numbered(2), &unknown, at(100)),
        Admission::Now
    );
    ledger.charge("lines", 2 * LIMIT, at(200));
    let freed = |milliseconds| Admission::At(at(milliseconds).moment);
    assert_eq!(
        ledger.when(Ticket::numbered(2), &unknown, at(200)),
        freed(1_200)
    );
    assert_eq!(
        ledger.when(Ticket::numbered(2), &Costs::default(), at(200)),
        Admission::Now
    );
    ledger.charge("parts", u64::MAX, at(1_200));
    assert_eq!(
        ledger.when(Ticket::numbered(2), &lines(LIMIT), at(1_200)),
        Admission::Now
    );
}

#[test]
fn a_cost_that_the_server_told_before_it_was_charged_counts_once() {
    let month = Window::per_utc_month(2_000).unit("parts");
    let mut ledger = Ledger::new(&[month], None, HANGING, at(0)).in_contact();
    let unknown = Costs::default().with("parts", 0);
    let permit = ledger.grant(Ticket::numbered(1), &unknown, at(0));
    let reading = super::headers::Reading {
        remaining: Some(1_100),
        ..Default::default()
    };
    let report = Report {
        status: StatusCode::OK,
        rejected: None,
        readings: &[reading],
        ..Report::default()
    };
    let settlement = Settlement::Answered(report);
    ledger.settle(permit, Ticket::numbered(1), &settlement, at(5));
    ledger.charge("parts", 900, at(6));
    let most = Costs::default().with("parts", 1_100);
    assert_eq!(
        ledger.when(Ticket::numbered(2), &most, at(7)),
        Admission::Now
    );
    let more = Costs::default().with("parts", 1_101);
    assert_ne!(
        ledger.when(Ticket::numbered(2), &more, at(7)),
        Admission::Now
    );
}

#[test]
fn a_request_is_a_request_whatever_somebody_says() {
    let mut ledger = Ledger::new(&[Window::per_second(1)], None, HANGING, at(0)).in_contact();
    let nothing = Costs::default().with("requests", 0);
    ledger.grant(Ticket::numbered(1), &nothing, at(0));
    let admission = ledger.when(Ticket::numbered(2), &nothing, at(0));
    assert!(
        matches!(admission, Admission::WhenAnswered(_)),
        "{admission:?}"
    );
}

#[test]
fn a_server_that_counts_units_shows_no_others_to_a_lone_client() {
    let mut ledger = Ledger::new(&[window()], None, HANGING, at(0)).in_contact();
    let first = ledger.grant(Ticket::numbered(1), &lines(5), at(0));
    ledger.grant(Ticket::numbered(2), &lines(3), at(0));
    // Both are counted before the first answer leaves, and eleven were charged.
    ledger.charge("lines", 11, at(5));
    let reading = super::headers::Reading {
        limit: None,
        remaining: Some(1),
        reset: Some(Duration::from_millis(900)),
    };
    let report = Report {
        status: StatusCode::OK,
        rejected: None,
        readings: &[reading],
        ..Report::default()
    };
    ledger.settle(
        first,
        Ticket::numbered(1),
        &Settlement::Answered(report),
        at(10),
    );
    let (window, meter) = ledger.windows().next().unwrap();
    assert_eq!(window.left(meter.in_flight()), 1);
    // What is on the wire may be more than what is left: its answer is waited for, for two round
    // trips.
    let admission = ledger.when(Ticket::numbered(3), &lines(1), at(10));
    assert!(matches!(admission, Admission::WhenAnswered(until) if until < at(30).moment));
    assert_eq!(
        ledger.when(Ticket::numbered(3), &lines(1), at(30)),
        Admission::Now
    );
}

/// What somebody does to a quota.
#[derive(Clone, Debug)]
enum Act {
    /// A request of this cost, answered so much later.
    Send(u64, u64),
    Pass(u64),
    /// Another limit and length, and whether it has another window beside it.
    Change(u64, u64, bool),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (1..4_u64, 0..900_u64).prop_map(|(cost, after)| Act::Send(cost, after)),
        3 => (0..700_u64).prop_map(Act::Pass),
        1 => (4..12_u64, prop_oneof![Just(1_000), 300..2_000_u64], any::<bool>())
            .prop_map(|(limit, length, beside)| Act::Change(limit, length, beside)),
    ]
}

fn windows(limit: u64, length: u64, beside: bool) -> Vec<Window> {
    let lines = Window::new(limit, Duration::from_millis(length)).unit("lines");
    match beside {
        true => vec![Window::new(1_000, Duration::from_millis(50)), lines],
        false => vec![lines],
    }
}

proptest! {
    /// Counted apart from the ledger: what is on the wire, and what was answered less than a window
    /// ago, is never more than the limit, however often that and the window change. What an
    /// earlier, shorter window has forgotten nobody can know.
    #[test]
    fn no_change_of_the_windows_lets_too_many_leave(
        acts in prop::collection::vec(act(), 1..120),
    ) {
        let (mut limit, mut length, mut horizon, mut now) = (8, 1_000, 0, 0);
        let mut ledger = Ledger::new(&windows(limit, length, false), None, HANGING, at(0)).in_contact();
        // Permit, ticket, cost, and when the answer comes.
        let mut wire = Vec::new();
        let mut answers: Vec<(u64, u64)> = Vec::new();
        for (ticket, act) in (0..).zip(acts) {
            match act {
                Act::Pass(span) => now += span,
                Act::Change(new_limit, new_length, beside) => {
                    // What was answered a whole window ago is forgotten.
                    horizon = horizon.max((now + 1).saturating_sub(length));
                    (limit, length) = (new_limit, new_length);
                    ledger.change(&windows(limit, length, beside), at(now));
                }
                Act::Send(cost, after) => {
                    let own = Ticket::numbered(ticket);
                    if ledger.when(own, &lines(cost), at(now)) == Admission::Now {
                        let permit = ledger.grant(own, &lines(cost), at(now));
                        wire.push((permit, own, cost, now + after));
                        let flying: u64 = wire.iter().map(|(_, _, cost, _)| cost).sum();
                        let live = answers.iter().filter(|(answered, _)| {
                            answered + length > now && *answered >= horizon
                        });
                        let live: u64 = live.map(|(_, cost)| cost).sum();
                        prop_assert!(flying + live <= limit, "{flying} + {live} of {limit}");
                    }
                }
            }
            wire.sort_by_key(|(_, _, _, answered)| *answered);
            while let Some((permit, own, cost, answered)) = wire.first().copied() {
                if answered > now {
                    break;
                }
                wire.remove(0);
                // The answer is taken in late, now; the ledger counts from then.
                ledger.settle(permit, own, &self::answered(), at(now));
                answers.push((now, cost));
            }
        }
    }
}

#[test]
fn a_new_window_knows_what_the_others_know() {
    let minute = || Window::per_minute(10);
    let mut ledger = Ledger::new(&[minute()], None, HANGING, at(0)).in_contact();
    for (ticket, time) in [(1, 0), (2, 10_000), (3, 20_000)] {
        let permit = ledger.grant(Ticket::numbered(ticket), &Costs::ONE, at(time));
        ledger.settle(permit, Ticket::numbered(ticket), &answered(), at(time));
    }
    let flying = ledger.grant(Ticket::numbered(4), &Costs::ONE, at(25_000));
    let windows = [
        Window::new(4, Duration::from_secs(12)),
        Window::per_utc_day(5),
        Window::per_minute(9).unit("lines"),
    ];
    ledger.change(&windows, at(26_000));
    let left = |ledger: &Ledger| -> Vec<u64> {
        let windows = ledger.windows();
        windows
            .map(|(live, meter)| live.left(meter.in_flight()))
            .collect()
    };
    assert_eq!(
        left(&ledger),
        [2, 1, 9],
        "one answered 6 s ago, one in flight; four of the day"
    );
    ledger.settle(flying, Ticket::numbered(4), &answered(), at(30_000));
    assert_eq!(left(&ledger), [2, 1, 9]);
    ledger.change(&[minute()], at(33_000));
    assert_eq!(left(&ledger), [6], "the day does not know when");
    let reading = super::headers::Reading {
        remaining: Some(6),
        ..Default::default()
    };
    let permit = ledger.grant(Ticket::numbered(5), &Costs::ONE, at(34_000));
    let report = Report {
        status: StatusCode::OK,
        rejected: None,
        readings: &[reading],
        ..Report::default()
    };
    ledger.settle(
        permit,
        Ticket::numbered(5),
        &Settlement::Answered(report),
        at(34_000),
    );
    assert_eq!(left(&ledger), [5]);
}
