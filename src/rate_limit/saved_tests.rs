//! What a restored ledger allows, beside the one that was saved.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use proptest::prelude::*;

use super::headers::Reading;
use super::in_flight::PermitId;
use super::pacing::Pacing;
use super::saved::Saved;
use super::state::{Admission, Ledger, Report, Settlement};
use super::ticket::Ticket;
use super::window::Window;
use crate::clock::{Moment, Now};
use crate::cost::Costs;
use crate::header_value::LONGEST_PAUSE;

const HANGING: Duration = Duration::from_secs(300);
/// 2026-11-21 12:00:00 UTC.
const NOON: u64 = 1_795_262_400_000;

fn at(milliseconds: u64) -> Now {
    let span = Duration::from_millis(milliseconds);
    Now {
        moment: Moment::after_start(Duration::from_secs(1_000_000) + span),
        wall: SystemTime::UNIX_EPOCH + Duration::from_millis(NOON) + span,
    }
}

fn new(windows: &[Window], now: Now) -> Ledger {
    Ledger::new(windows, None, HANGING, now).in_contact()
}

/// They burst, since how a window is shared with others is not saved but found out anew.
fn windows() -> Vec<Window> {
    let windows = [
        Window::new(20, Duration::from_secs(10)),
        Window::per_utc_day(60),
        Window::new(40, Duration::from_secs(20)).unit("lines"),
    ];
    let burst = |window: Window| window.pacing(Pacing::Burst);
    windows.into_iter().map(burst).collect()
}

fn restart(ledger: &mut Ledger, windows: &[Window], saved: Now, now: Now) -> Ledger {
    let quotas = [("q".to_owned(), ledger.save(saved))].into();
    let bytes = Saved::new(quotas, saved).to_bytes();
    let saved = Saved::parse(&bytes).unwrap();
    new(windows, now).restored(&saved.quotas["q"], windows, saved.dial(now))
}

fn left(ledger: &mut Ledger) -> Vec<u64> {
    let windows = ledger.windows();
    windows
        .map(|(live, meter)| live.left(meter.in_flight()))
        .collect()
}

#[derive(Clone, Debug)]
struct Call {
    pause: u64,
    lines: u64,
    fate: u8,
    told: Option<(u64, u64)>,
}

fn call() -> impl Strategy<Value = Call> {
    let told = prop::option::weighted(0.2, (0..20_u64, 1..9_u64));
    (0..3_000_u64, 1..9_u64, 0..10_u8, told).prop_map(|(pause, lines, fate, told)| Call {
        pause,
        lines,
        fate,
        told,
    })
}

/// A ledger with some past, the time, and what is on the wire.
fn lived(calls: Vec<Call>) -> (Ledger, u64, Vec<(PermitId, Ticket)>) {
    let mut wire = Vec::new();
    let mut ledger = new(&windows(), at(0));
    let mut now = 0;
    for (number, call) in (0..).zip(calls) {
        now += call.pause;
        let ticket = Ticket::numbered(number);
        let costs = Costs::default().with("lines", call.lines);
        if ledger.when(ticket, &costs, at(now)) != Admission::Now {
            continue;
        }
        let permit = ledger.grant(ticket, &costs, at(now));
        let reading = call.told.map(|(remaining, reset)| Reading {
            limit: None,
            remaining: Some(remaining),
            reset: Some(Duration::from_secs(reset)),
        });
        let rejected = (call.fate == 1).then_some(Some(Duration::from_secs(2)));
        let settlement = match call.fate {
            0 => {
                wire.push((permit, ticket));
                continue;
            }
            2 => Settlement::Lost,
            _ => Settlement::Answered(Report {
                status: StatusCode::OK,
                rejected,
                readings: reading.as_slice(),
                ..Report::default()
            }),
        };
        ledger.settle(permit, ticket, &settlement, at(now));
    }
    (ledger, now, wire)
}

/// How many of one line leave, one each tenth of a second and answered at once, by when.
fn admitted(mut ledger: Ledger, from: u64) -> Vec<usize> {
    let mut count = 0;
    let mut counts = Vec::new();
    let costs = Costs::default().with("lines", 1);
    for step in 0..250 {
        let now = at(from + step * 100);
        let ticket = Ticket::numbered(1_000_000 + step);
        while ledger.when(ticket, &costs, now) == Admission::Now {
            let permit = ledger.grant(ticket, &costs, now);
            let report = Report {
                status: StatusCode::OK,
                rejected: None,
                readings: &[],
                ..Report::default()
            };
            ledger.settle(permit, ticket, &Settlement::Answered(report), now);
            count += 1;
        }
        counts.push(count);
    }
    counts
}

proptest! {
    #[test]
    fn a_restored_ledger_admits_no_more_than_the_one_that_was_saved(
        calls in prop::collection::vec(call(), 0..60),
        down in 0..5_000_u64,
        set_back in prop_oneof![Just(0), 0..100_000_u64],
    ) {
        let (mut ledger, saved, wire) = lived(calls);
        let now = saved + down;
        let mut wall = at(now);
        wall.wall -= Duration::from_millis(set_back);
        let mut restored = restart(&mut ledger, &windows(), at(saved), wall);
        // Both forget what is over.
        let _ = ledger.when(Ticket::numbered(0), &Costs::ONE, at(now));
        let _ = restored.when(Ticket::numbered(0), &Costs::ONE, wall);
        for (restored, true_left) in left(&mut restored).into_iter().zip(left(&mut ledger)) {
            prop_assert!(restored <= true_left, "{restored} of {true_left}");
        }
        // As if each had been answered at the restart, which none can have been later than.
        for (permit, ticket) in wire {
            ledger.settle(permit, ticket, &Settlement::Lost, at(now));
        }
        let mut truth = admitted(ledger, now).into_iter();
        for restored in admitted(restored, now) {
            let truth = truth.next().unwrap();
            prop_assert!(restored <= truth, "{restored} of {truth}");
        }
    }

    #[test]
    fn no_file_makes_it_panic_or_wait_for_years(
        calls in prop::collection::vec(call(), 0..20),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        digits in prop::collection::vec((any::<prop::sample::Index>(), b'0'..=b'9'), 0..6),
    ) {
        let (mut ledger, saved, _) = lived(calls);
        let quotas = [("q".to_owned(), ledger.save(at(saved)))].into();
        let mut bytes = Saved::new(quotas, at(saved)).to_bytes();
        // Numbers that are none of ours, and then anything.
        let digit_places: Vec<_> =
            (0..bytes.len()).filter(|at| bytes[*at].is_ascii_digit()).collect();
        for (index, digit) in digits {
            bytes[*index.get(&digit_places)] = digit;
        }
        for damaged in [false, true] {
            if damaged {
                for (index, byte) in &flips {
                    let at = index.index(bytes.len());
                    bytes[at] = *byte;
                }
            }
            let Ok(saved) = Saved::parse(&bytes) else { continue };
            let now = at(10_000);
            for quota in saved.quotas.values() {
                let mut ledger = new(&windows(), now).restored(quota, &windows(), saved.dial(now));
                let admission = ledger.when(Ticket::numbered(1), &Costs::ONE, now);
                let far = now.moment + Duration::from_secs(32 * 24 * 60 * 60);
                let is_near = !matches!(admission, Admission::At(moment) if moment > far);
                prop_assert!(is_near, "{admission:?}");
            }
        }
    }
}

#[test]
fn what_was_in_flight_counts_from_the_restart() {
    let windows = [Window::new(2, Duration::from_secs(10))];
    let mut ledger = new(&windows, at(0));
    ledger.grant(Ticket::numbered(1), &Costs::ONE, at(0));
    let mut restored = restart(&mut ledger, &windows, at(1_000), at(7_000));
    assert_eq!(left(&mut restored), [1]);
    let _ = restored.when(Ticket::numbered(2), &Costs::ONE, at(16_999));
    assert_eq!(left(&mut restored), [1]);
    let _ = restored.when(Ticket::numbered(2), &Costs::ONE, at(17_000));
    assert_eq!(left(&mut restored), [2]);
}

#[test]
fn a_window_that_differs_since_begins_with_what_is_known() {
    let (mut ledger, saved, _) = lived(vec![
        Call {
            pause: 0,
            lines: 3,
            fate: 9,
            told: None
        };
        7
    ]);
    let windows = [
        Window::new(9, Duration::from_secs(10)),
        Window::per_utc_month(50),
        Window::new(40, Duration::from_secs(10)).unit("lines"),
    ];
    let mut restored = restart(&mut ledger, &windows, at(saved), at(saved + 100));
    assert_eq!(left(&mut restored), [2, 43, 19]);
}

/// Found by mutations of the corpus: nobody would ever have left again.
#[test]
fn a_saved_limit_of_nothing_does_not_stop_the_account_for_good() {
    let windows = [Window::new(20, Duration::from_secs(10))];
    let quotas = [("q".to_owned(), new(&windows, at(0)).save(at(0)))].into();
    let text = String::from_utf8(Saved::new(quotas, at(0)).to_bytes()).unwrap();
    let damaged = text.replace("\"limit\":20", "\"limit\":0");
    assert_ne!(text, damaged);
    let saved = Saved::parse(damaged.as_bytes()).unwrap();
    let restored = new(&windows, at(1)).restored(&saved.quotas["q"], &windows, saved.dial(at(1)));
    let when = { restored }.when(Ticket::numbered(1), &Costs::ONE, at(1));
    assert_eq!(when, Admission::Now);
}

#[test]
fn a_day_that_is_over_is_forgotten() {
    let windows = [Window::per_utc_day(5)];
    let mut ledger = new(&windows, at(0));
    ledger.grant(Ticket::numbered(1), &Costs::ONE, at(0));
    let lost = ledger.grant(Ticket::numbered(2), &Costs::ONE, at(0));
    ledger.settle(lost, Ticket::numbered(2), &Settlement::Lost, at(0));
    let midnight = 12 * 60 * 60 * 1_000;
    let mut restored = restart(&mut ledger, &windows, at(0), at(midnight + 1_999));
    assert_eq!(left(&mut restored), [3], "a margin for the server's clock");
    let mut restored = restart(&mut ledger, &windows, at(0), at(midnight + 2_000));
    assert_eq!(
        left(&mut restored),
        [4],
        "the one in flight, at the latest now"
    );
}

#[test]
fn a_local_day_is_known_after_a_restart_until_it_is_over_there() {
    const HOUR: u64 = 60 * 60 * 1_000;
    // From noon of the 21st to 06:00 of the 22nd, and to 18:30 of the 30th.
    for (window, span, end) in [
        (
            Window::per_local_day(5, "-06:00"),
            r#"{"local-day":-360}"#,
            18 * HOUR,
        ),
        (
            Window::per_local_month(5, "+05:30"),
            r#"{"local-month":330}"#,
            9 * 24 * HOUR + 6 * HOUR + HOUR / 2,
        ),
    ] {
        let windows = [window];
        let mut ledger = new(&windows, at(0));
        ledger.grant(Ticket::numbered(1), &Costs::ONE, at(0));
        let saved = Saved::new([("q".to_owned(), ledger.save(at(0)))].into(), at(0));
        let text = String::from_utf8(saved.to_bytes()).unwrap();
        assert!(text.contains(&format!(r#""span":{span},"#)), "{text}");
        let lost = ledger.grant(Ticket::numbered(2), &Costs::ONE, at(0));
        ledger.settle(lost, Ticket::numbered(2), &Settlement::Lost, at(0));
        let mut restored = restart(&mut ledger, &windows, at(0), at(end + 1_999));
        assert_eq!(left(&mut restored), [3]);
        let mut restored = restart(&mut ledger, &windows, at(0), at(end + 2_000));
        assert_eq!(left(&mut restored), [4]);
    }
}

#[test]
fn a_day_that_moves_to_another_midnight_goes_on_with_what_was_counted() {
    let mut ledger = new(&[Window::per_utc_day(5)], at(0));
    ledger.grant(Ticket::numbered(1), &Costs::ONE, at(0));
    let windows = [Window::per_local_day(5, "-06:00")];
    let mut restored = restart(&mut ledger, &windows, at(0), at(1));
    assert_eq!(left(&mut restored), [4]);
}

/// As versions without offsets wrote it, and what no version writes.
#[test]
fn a_saved_day_without_an_offset_is_of_utc_and_no_offset_is_beyond_a_clock() {
    let windows = [Window::per_utc_day(5)];
    let mut ledger = new(&windows, at(0));
    ledger.grant(Ticket::numbered(1), &Costs::ONE, at(0));
    let quotas = [("q".to_owned(), ledger.save(at(0)))].into();
    let text = String::from_utf8(Saved::new(quotas, at(0)).to_bytes()).unwrap();
    assert!(text.contains(r#""span":"utc-day""#), "{text}");
    let strange = text.replace(r#""utc-day""#, r#"{"local-day":32767}"#);
    let furthest = [Window::per_local_day(5, "+14:00")];
    for (text, windows) in [(text, windows), (strange, furthest)] {
        let saved = Saved::parse(text.as_bytes()).unwrap();
        let mut restored =
            new(&windows, at(1)).restored(&saved.quotas["q"], &windows, saved.dial(at(1)));
        assert_eq!(left(&mut restored), [4]);
    }
}

#[test]
fn what_others_took_of_a_shared_window_is_known_after_a_restart() {
    let windows = [Window::new(20, Duration::from_secs(10))];
    let mut ledger = new(&windows, at(0));
    let permit = ledger.grant(Ticket::numbered(1), &Costs::ONE, at(0));
    let reading = Reading {
        limit: Some(20),
        remaining: Some(4),
        reset: Some(Duration::from_secs(9)),
    };
    let report = Report {
        status: StatusCode::OK,
        rejected: None,
        readings: &[reading],
        ..Report::default()
    };
    let answered = Settlement::Answered(report);
    ledger.settle(permit, Ticket::numbered(1), &answered, at(100));
    let mut restored = restart(&mut ledger, &windows, at(200), at(300));
    assert_eq!(left(&mut restored), [4]);
}

#[test]
fn a_raise_survives_a_restart_only_where_raises_are_followed_and_while_it_is_told() {
    let window = Window::new(20, Duration::from_secs(10));
    let following = [window.clone().follow_raises(true)];
    let mut ledger = new(&following, at(0));
    let permit = ledger.grant(Ticket::numbered(1), &Costs::ONE, at(0));
    let reading = Reading {
        limit: Some(50),
        ..Reading::default()
    };
    let report = Report {
        status: StatusCode::OK,
        rejected: None,
        readings: &[reading],
        ..Report::default()
    };
    ledger.settle(
        permit,
        Ticket::numbered(1),
        &Settlement::Answered(report),
        at(0),
    );
    let mut of = |windows: &[Window], now| left(&mut restart(&mut ledger, windows, at(0), at(now)));
    assert_eq!(of(&following, 9_000), [49]);
    assert_eq!(of(&[window], 9_000), [19]);
    assert_eq!(
        of(&[following[0].clone(), Window::per_hour(9)], 9_000),
        [49, 8]
    );
    let mut restored = restart(&mut ledger, &following, at(9_000), at(50_000));
    // The second restart does not begin the ten windows anew.
    let mut again = restart(&mut restored, &following, at(51_000), at(99_000));
    assert_eq!(left(&mut again), [50]);
    let mut again = restart(&mut restored, &following, at(51_000), at(101_000));
    assert_eq!(left(&mut again), [20]);
}

/// It was cut to 31 days.
#[test]
fn the_longest_pause_that_a_server_can_mean_survives_a_restart() {
    let windows = [Window::per_minute(5)];
    let mut ledger = new(&windows, at(0));
    let permit = ledger.grant(Ticket::numbered(1), &Costs::ONE, at(0));
    let report = Report {
        status: StatusCode::TOO_MANY_REQUESTS,
        rejected: Some(Some(LONGEST_PAUSE)),
        readings: &[],
        is_by_rule: true,
        ..Report::default()
    };
    let rejected = Settlement::Answered(report);
    ledger.settle(permit, Ticket::numbered(1), &rejected, at(0));
    let restored = restart(&mut ledger, &windows, at(0), at(0));
    let until = at(0).moment + LONGEST_PAUSE;
    assert_eq!(restored.closed_until(at(0)), Some(until));
}
