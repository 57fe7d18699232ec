//! The parsers of this half for a fuzzer: see [`crate::fuzzing`].

#![allow(missing_docs, unreachable_pub)] // Nobody but fuzzers sees them.
#![allow(clippy::expect_used, clippy::unwrap_used)] // To panic is their task.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};

use super::headers::{self, Fields, Told};
use super::quota_line::rejection;
use super::saved::Saved;
use super::state::{Admission, Ledger, Report, Settlement};
use super::ticket::Ticket;
use super::window::Window;
use crate::clock::{Moment, Now};
use crate::cost::Costs;
use crate::fuzzing::{first_line, header_lines};

const HANGING: Duration = Duration::from_secs(300);
/// A month, and a day more: what `headers::LONGEST_PAUSE` must not exceed.
const LONGEST_PAUSE: Duration = Duration::from_secs(32 * 86_400);
/// Roundings, the calendar's margin, the back-off without a time, a slot's round trip.
const GRACE: Duration = Duration::from_secs(70);
/// Windows beyond it are read, but nobody waits for their end.
const LONGEST_WINDOW: Duration = Duration::from_secs(366 * 86_400);
/// More looks than this before a request may leave are a loop.
const MOST_LOOKS: usize = 40;

/// 2026-11-21 12:00:00 UTC.
fn noon() -> Now {
    Now {
        moment: Moment::after_start(Duration::from_secs(1_000_000)),
        wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_262_400),
    }
}

fn later(now: Now, moment: Moment) -> Now {
    Now {
        moment,
        wall: now.wall_at(moment),
    }
}

/// The text of a window.
pub fn window(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(window) = text.parse::<Window>() else {
        return;
    };
    assert!(window.problems.is_empty() && window.limit > 0 && !window.length().is_zero());
    assert_eq!(
        window.to_string().parse::<Window>().expect("as written"),
        window
    );
    let windows = [window.by_another_clock()];
    let mut ledger = Ledger::new(&windows, None, HANGING, noon());
    assert_eq!(
        ledger.when(Ticket::numbered(1), &Costs::default(), noon()),
        Admission::Now
    );
}

/// The windows, apart by commas; the status; header lines. These are what one answer says: whatever
/// it is, the next request may leave in finite time, without a loop.
pub fn headers(data: &[u8]) {
    let (windows, rest) = first_line(data);
    let windows = windows_of(&String::from_utf8_lossy(windows));
    let (status, rest) = first_line(rest);
    let status = StatusCode::from_bytes(status).unwrap_or(StatusCode::OK);
    let (headers, _) = header_lines(rest);

    let now = noon();
    let heard = told(&windows, &headers, now);
    let rejected = rejection(status, &headers, &now);
    let told = rejected.flatten();
    assert!(told.is_none_or(|span| !span.is_zero() && span <= LONGEST_PAUSE));
    assert!(!status.is_success() || rejected.is_none());

    let longest = windows.iter().map(Window::length).max().unwrap_or_default();
    let pause = match (rejected, told) {
        (None, _) => Duration::ZERO,
        // It pauses until the reset, at most a window and its roundings; or backs off.
        (Some(_), told) => told.unwrap_or(longest),
    };
    if longest <= LONGEST_WINDOW {
        let report = Report {
            status,
            rejected,
            readings: &heard.readings,
            reports: &heard.reports,
            is_by_rule: false,
        };
        leave_after(&windows, &report, now, pause + longest * 2 + GRACE);
    }
}

fn windows_of(text: &str) -> Vec<Window> {
    let windows = text.split(',').filter_map(|window| window.parse().ok());
    let mut windows: Vec<Window> = windows.take(4).collect();
    if windows.is_empty() {
        windows.push(Window::per_minute(120));
    }
    windows.sort_by_key(Window::length);
    windows
}

fn told(windows: &[Window], headers: &HeaderMap, now: Now) -> Told {
    let fields: Vec<_> = windows.iter().map(Fields::of).collect();
    for report in headers::report::reports(&fields, headers, now) {
        assert!(report.limit != Some(0) && report.limit.is_none_or(|limit| limit <= 1 << 40));
        let left = report.limit.and(report.remaining);
        assert!(left <= report.limit, "{report:?}");
        assert!(report.length.is_none_or(|length| !length.is_zero()));
        assert!(!report.family.to_string().contains(char::is_control));
    }
    for (_, example) in headers::report::unreadable(&fields, headers) {
        assert!(!example.contains(char::is_control));
    }
    let told = headers::read(&fields, headers, now);
    for (window, reading) in windows.iter().zip(&told.readings) {
        let longest = window.length().saturating_add(Duration::from_secs(1));
        assert!(
            reading.reset.is_none_or(|span| span <= longest),
            "{reading:?}"
        );
        assert_ne!(reading.limit, Some(0));
    }
    told
}

/// Two requests leave; one is answered so at once, the other a second later as usual. The third may
/// leave in time.
fn leave_after(windows: &[Window], report: &Report<'_>, now: Now, longest: Duration) {
    let windows: Vec<_> = windows.iter().map(Window::by_another_clock).collect();
    let mut ledger = Ledger::new(&windows, None, HANGING, now);
    let mut wire = Vec::new();
    for number in 1..=2 {
        let ticket = Ticket::numbered(number);
        if ledger.when(ticket, &Costs::default(), now) == Admission::Now {
            wire.push((ledger.grant(ticket, &Costs::default(), now), ticket));
        }
    }
    let usual = Report {
        status: StatusCode::OK,
        rejected: None,
        readings: &[],
        ..Report::default()
    };
    let mut at = later(now, now.moment + Duration::from_millis(400));
    let answers = [*report, usual].map(Settlement::Answered);
    for ((permit, ticket), answer) in wire.into_iter().zip(answers) {
        ledger.settle(permit, ticket, &answer, at);
        at = later(at, at.moment + Duration::from_secs(1));
    }
    next_leaves(&mut ledger, at, longest);
}

/// One more may leave within `longest`; each look is later than the one before.
fn next_leaves(ledger: &mut Ledger, begin: Now, longest: Duration) {
    let mut now = begin;
    for _ in 0..MOST_LOOKS {
        let next = match ledger.when(Ticket::numbered(3), &Costs::default(), now) {
            Admission::Now => return,
            Admission::At(moment) | Admission::WhenAnswered(moment) => moment,
            Admission::Never(excess) => panic!("never: {excess:?}"),
        };
        assert!(next > now.moment, "a wait of nothing");
        let waited = next - begin.moment;
        assert!(waited <= longest, "{waited:?} is more than {longest:?}");
        now = later(now, next);
    }
    panic!("it looks again and again");
}

/// What a store gave of the quotas.
pub fn saved(data: &[u8]) {
    let now = noon();
    let Ok(saved) = Saved::parse(data) else {
        return;
    };
    let windows = ["20/10s", "1000/utc-day", "10000/utc-month", "9/h"];
    let windows = windows.map(|text| text.parse::<Window>().unwrap().by_another_clock());
    let longest = LONGEST_PAUSE + Duration::from_secs(2 * 31 * 86_400) + GRACE;
    for quota in saved.quotas.values() {
        let ledger = Ledger::new(&windows, None, HANGING, now);
        let mut ledger = ledger.restored(quota, &windows, saved.dial(now));
        let again = Saved::new([("q".to_owned(), ledger.save(now))].into(), now);
        Saved::parse(&again.to_bytes()).expect("what was written");
        next_leaves(&mut ledger, now, longest);
    }
}
