//! Stories about the line, with time made by hand.

use super::*;
use crate::options::Patience;
use crate::rate_limit::Pacing;
use crate::rate_limit::state::Report;
use http::StatusCode;
use proptest::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::Wake;
use std::time::Duration;

const PATIENT: &Terms = &Terms {
    patience: Patience {
        deadline: None,
        max_wait: Duration::MAX,
    },
    costs: Costs::ONE,
};

fn at(seconds: u64) -> Now {
    Now::after_start(Duration::from_secs(seconds))
}

fn answered(status: StatusCode, rejected: Option<Option<Duration>>) -> Settlement<'static> {
    Settlement::Answered(Report {
        status,
        rejected,
        readings: &[],
        is_by_rule: true,
        ..Report::default()
    })
}

fn granted(standing: Standing) -> PermitId {
    match standing {
        Standing::Granted(permit) => permit,
        other => panic!("{other:?}"),
    }
}

fn settle(
    line: &mut Line,
    permit: PermitId,
    ticket: Ticket,
    settlement: &Settlement<'_>,
    now: Now,
) {
    line.settle(permit, ticket, settlement, || None, now, &mut Wakers::new());
}

const NOBODY: Looker<'_> = Looker {
    waker: Waker::noop(),
    runtime: None,
};

fn look(line: &mut Line, ticket: Ticket, now: Now) -> Standing {
    line.look(ticket, NOBODY, now, &mut Wakers::new()).standing
}

#[test]
fn the_replay_of_a_probe_passes_those_of_a_higher_priority() {
    let ledger = Ledger::new(&[], None, Duration::from_secs(300), at(0)).in_contact();
    let mut line = Line::new(ledger, None);
    let probe = line.ticket(Priority::Low, at(0));
    let permit = granted(line.enter(probe, PATIENT, at(0)));
    let pause = Some(Some(Duration::from_secs(3)));
    let rejection = answered(StatusCode::TOO_MANY_REQUESTS, pause);
    settle(&mut line, permit, probe, &rejection, at(0));
    let permit = granted(line.enter(probe, PATIENT, at(3)));
    let urgent = line.ticket(Priority::High, at(3));
    let standing = line.enter(urgent, PATIENT, at(3));
    assert!(matches!(standing, Standing::Waiting(_)), "{standing:?}");
    let unauthorized = answered(StatusCode::UNAUTHORIZED, None);
    settle(&mut line, permit, probe, &unauthorized, at(4));
    let standing = look(&mut line, urgent, at(4));
    assert!(matches!(standing, Standing::Waiting(_)), "{standing:?}");
    granted(line.enter(probe, PATIENT, at(4)));
}

/// All enter at once; every answer comes at once. When each left, in the order of entry, and before
/// when it could not, by what the line said when it entered.
fn run(windows: &[Window], costs: &[Costs]) -> Vec<(Moment, Moment)> {
    let ledger = Ledger::new(windows, None, Duration::from_secs(300), at(0)).in_contact();
    let mut line = Line::new(ledger, None);
    let mut waiting = Vec::new();
    let mut times = Vec::new();
    let mut now = at(0);
    for (number, costs) in costs.iter().enumerate() {
        let ticket = line.ticket(Priority::Normal, now);
        let not_before = line.not_before(ticket, costs, now);
        let terms = Terms {
            costs: costs.clone(),
            ..PATIENT.clone()
        };
        times.push((Moment::NEVER, not_before));
        match line.enter(ticket, &terms, now) {
            Standing::Granted(permit) => {
                times[number].0 = now.moment;
                settle(
                    &mut line,
                    permit,
                    ticket,
                    &answered(StatusCode::OK, None),
                    now,
                );
            }
            Standing::Waiting(_) => waiting.push((number, ticket)),
            Standing::Refused(refusal) => panic!("{refusal:?}"),
        }
    }
    while !waiting.is_empty() {
        let mut next = Moment::NEVER;
        let mut left = Vec::new();
        for (number, ticket) in std::mem::take(&mut waiting) {
            match look(&mut line, ticket, now) {
                Standing::Granted(permit) => {
                    times[number].0 = now.moment;
                    let ok = answered(StatusCode::OK, None);
                    settle(&mut line, permit, ticket, &ok, now);
                    next = now.moment;
                }
                Standing::Waiting(moment) => {
                    next = next.min(moment);
                    left.push((number, ticket));
                }
                Standing::Refused(refusal) => panic!("{refusal:?}"),
            }
        }
        waiting = left;
        now = Now {
            moment: next.max(now.moment),
            wall: now.wall_at(next.max(now.moment)),
        };
    }
    assert_eq!((line.queue.len(), line.decided.len()), (0, 0));
    times
}

fn cost() -> impl Strategy<Value = Costs> {
    prop_oneof![
        2 => Just(Costs::default()),
        1 => (0..=4_u64).prop_map(|amount| Costs::default().with("lines", amount)),
    ]
}

fn window() -> impl Strategy<Value = Window> {
    let pacing = prop_oneof![3 => Just(Pacing::Burst), 1 => Just(Pacing::Spread)];
    let window = (4..9_u64, 1..20_u64, pacing, any::<bool>());
    window.prop_map(|(limit, length, pacing, counts_lines)| {
        let unit = if counts_lines { "lines" } else { "requests" };
        Window::new(limit, Duration::from_secs(length))
            .pacing(pacing)
            .unit(unit)
    })
}

proptest! {
    #[test]
    fn nobody_leaves_before_the_moment_that_the_line_foretold(
        windows in prop::collection::vec(window(), 1..3),
        costs in prop::collection::vec(cost(), 1..40),
    ) {
        for (left, not_before) in run(&windows, &costs) {
            prop_assert!(not_before <= left, "{not_before:?} {left:?}");
        }
    }

    #[test]
    fn where_all_cost_the_same_and_answers_are_quick_the_line_foretells_the_very_moment(
        limit in 1..9_u64,
        length in 1..20_u64,
        count in 1..40_usize,
    ) {
        let windows = [Window::new(limit, Duration::from_secs(length))];
        for (left, not_before) in run(&windows, &vec![Costs::default(); count]) {
            prop_assert_eq!(not_before, left);
        }
    }
}

#[test]
fn a_line_that_ends_after_the_deadline_is_not_entered() {
    let window = Window::new(10, Duration::from_secs(10));
    let ledger = Ledger::new(&[window], None, Duration::from_secs(300), at(0)).in_contact();
    let mut line = Line::new(ledger, None);
    for _ in 0..35 {
        let ticket = line.ticket(Priority::Normal, at(0));
        if let Standing::Granted(permit) = line.enter(ticket, PATIENT, at(0)) {
            settle(
                &mut line,
                permit,
                ticket,
                &answered(StatusCode::OK, None),
                at(0),
            );
        }
    }
    let mut enter = |second: u64, priority| {
        let mut terms = PATIENT.clone();
        terms.patience.deadline = Some(at(second).moment);
        let ticket = line.ticket(priority, at(1));
        let standing = line.enter(ticket, &terms, at(1));
        line.leave(ticket, at(1), &mut Wakers::new());
        standing
    };
    // Ten at 10 s, ten at 20 s, five of those at 30 s: it is the sixth of these.
    let refused = Standing::Refused(Refusal::TooLate(Some(at(30).moment)));
    assert_eq!(enter(29, Priority::Normal), refused);
    assert!(matches!(enter(30, Priority::Normal), Standing::Waiting(_)));
    let urgent = enter(10, Priority::High);
    assert!(
        matches!(urgent, Standing::Waiting(_)),
        "it passes them all: {urgent:?}"
    );
}

#[test]
fn those_who_wait_for_a_probe_are_let_go_two_then_four_then_eight() {
    let ledger = Ledger::new(&[], None, Duration::from_secs(300), at(0)).in_contact();
    let mut line = Line::new(ledger, None);
    let mut tickets = Vec::new();
    let first = line.ticket(Priority::Normal, at(0));
    let permit = granted(line.enter(first, PATIENT, at(0)));
    let rejection = answered(
        StatusCode::TOO_MANY_REQUESTS,
        Some(Some(Duration::from_secs(5))),
    );
    settle(&mut line, permit, first, &rejection, at(0));
    for _ in 0..15 {
        let ticket = line.ticket(Priority::Normal, at(1));
        line.enter(ticket, PATIENT, at(1));
        tickets.push(ticket);
    }
    let mut sizes = Vec::new();
    for second in 5.. {
        let mut permits = Vec::new();
        tickets.retain(|ticket| {
            match look(&mut line, *ticket, at(second)) {
                Standing::Granted(permit) => permits.push((*ticket, permit)),
                _ => return true,
            }
            false
        });
        if permits.is_empty() {
            break;
        }
        sizes.push(permits.len());
        for (ticket, permit) in permits {
            let ok = answered(StatusCode::OK, None);
            settle(&mut line, permit, ticket, &ok, at(second + 1));
        }
    }
    assert_eq!(sizes, [1, 2, 4, 8]);
}

#[test]
fn a_hundred_thousand_requests_leave_no_trace_but_what_counts() {
    let windows = [
        Window::new(50, Duration::from_secs(1)),
        Window::new(100_000, Duration::from_secs(1_000)).unit("lines"),
        Window::per_utc_day(10_000_000),
    ];
    let ledger = Ledger::new(&windows, Some(64), Duration::from_secs(300), at(0)).in_contact();
    let mut line = Line::new(ledger, None);
    let mut now = at(0);
    for number in 0..100_000_u64 {
        let costs = Costs::default().with("lines", number % 3);
        let terms = Terms {
            costs,
            ..PATIENT.clone()
        };
        let ticket = line.ticket(Priority::Low, now);
        let permit = loop {
            match line.enter(ticket, &terms, now) {
                Standing::Granted(permit) => break permit,
                Standing::Waiting(moment) => {
                    // Every other one gives up, and comes again later.
                    line.leave(ticket, now, &mut Wakers::new());
                    now = Now {
                        moment,
                        wall: now.wall_at(moment),
                    };
                }
                Standing::Refused(refusal) => panic!("{refusal:?}"),
            }
        };
        let settlement = match number % 7 {
            0 => Settlement::Lost,
            1 => Settlement::Unsent,
            _ => answered(StatusCode::OK, None),
        };
        settle(&mut line, permit, ticket, &settlement, now);
        line.charge("lines", 1, now, &mut Wakers::new());
    }
    assert!(now.moment > at(1_500).moment, "many windows: {now:?}");
    assert_eq!((line.queue.len(), line.decided.len()), (0, 0));
    let size = line.ledger.size();
    assert!(size < 10_000, "{size}");
}

#[test]
fn a_place_behind_three_days_of_requests_is_foretold_by_the_calendar() {
    const DAY: u64 = 24 * 60 * 60;
    let windows = [Window::per_utc_day(2), Window::per_utc_month(u64::MAX)];
    let times = run(&windows, &vec![Costs::default(); 6]);
    let foretold: Vec<_> = times.iter().map(|(_, not_before)| *not_before).collect();
    let day = |number: u64| at(number * DAY + 2).moment;
    let now = at(0).moment;
    assert_eq!(foretold, [now, now, day(1), day(1), day(2), day(2)]);
    assert!(times.iter().all(|(left, not_before)| not_before <= left));
}

/// A timer that tells whether it was dropped.
fn timer() -> (Timer, Weak<()>) {
    let kept = Arc::new(());
    let told = Arc::downgrade(&kept);
    let timer = async move {
        std::future::pending::<()>().await;
        drop(kept);
    };
    (Box::pin(timer), told)
}

fn runtime() -> RuntimeId {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.build().unwrap().handle().id()
}

fn looker(runtime: RuntimeId) -> Looker<'static> {
    let runtime = Some(runtime);
    Looker { runtime, ..NOBODY }
}

/// One a second, the first has left, and so many wait who looked from there.
fn waiting_in(runtimes: &[RuntimeId], wakers: &mut Wakers) -> (Line, Vec<Ticket>) {
    // A hundredth of a second is for those that come late.
    let window = Window::new(11, Duration::from_millis(9_990)).pacing(Pacing::Spread);
    let ledger = Ledger::new(&[window], None, Duration::from_secs(300), at(0)).in_contact();
    let mut line = Line::new(ledger, None);
    let first = line.ticket(Priority::Normal, at(0));
    granted(line.enter(first, PATIENT, at(0)));
    let mut tickets = Vec::new();
    for runtime in runtimes {
        let ticket = line.ticket(Priority::Normal, at(0));
        line.enter(ticket, PATIENT, at(0));
        line.look(ticket, looker(*runtime), at(0), wakers);
        tickets.push(ticket);
    }
    (line, tickets)
}

#[test]
fn in_another_runtime_the_next_is_woken_to_set_its_own_timer() {
    let (here, there) = (runtime(), runtime());
    assert_ne!(here, there);
    for (other, alarms, woken) in [(here, 1, 0), (there, 0, 1)] {
        let mut wakers = Wakers::new();
        let (mut line, tickets) = waiting_in(&[here, other], &mut wakers);
        let look = line.look(tickets[0], looker(here), at(1), &mut wakers);
        granted(look.standing);
        assert_eq!((look.alarm.iter().count(), wakers.len()), (alarms, woken));
    }
}

#[test]
fn one_that_leaves_before_it_looked_leaves_the_timer_of_the_others() {
    let here = runtime();
    let mut wakers = Wakers::new();
    let (mut line, tickets) = waiting_in(&[here, here], &mut wakers);
    let look = line.look(tickets[0], looker(here), at(1), &mut wakers);
    let (timer, kept) = timer();
    drop(line.keep(look.alarm.unwrap().number, timer));
    let urgent = line.ticket(Priority::High, at(1)).foremost();
    line.enter(urgent, PATIENT, at(1));
    drop(line.leave(urgent, at(1), &mut wakers));
    assert!(
        kept.strong_count() == 1 || !wakers.is_empty(),
        "nobody looks"
    );
    // One that looked took the place of the other, which has to be told.
    line.enter(urgent, PATIENT, at(1));
    drop(line.look(urgent, looker(here), at(1), &mut wakers).spent);
    assert_eq!((kept.strong_count(), wakers.len()), (0, 0));
    line.leave(urgent, at(1), &mut wakers);
    assert_eq!(wakers.len(), 1);
}

#[test]
fn a_timer_that_was_set_too_late_does_not_replace_that_of_the_next() {
    let here = runtime();
    let mut wakers = Wakers::new();
    let (mut line, tickets) = waiting_in(&[here; 3], &mut wakers);
    let late = line.look(tickets[0], looker(here), at(1), &mut wakers);
    let next = line.look(tickets[1], looker(here), at(2), &mut wakers);
    let (timer_of_next, kept) = timer();
    drop(line.keep(next.alarm.unwrap().number, timer_of_next));
    let (timer_set_late, refused) = timer();
    drop(line.keep(late.alarm.unwrap().number, timer_set_late));
    assert_eq!((kept.strong_count(), refused.strong_count()), (1, 0));
    // The last one leaves the line: no timer is needed any more.
    drop(line.leave(tickets[2], at(2), &mut wakers));
    assert_eq!((kept.strong_count(), wakers.len()), (0, 0));
}

/// One that counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// So many wait for a window that opens for all of them after ten seconds, each for at most its
/// `max_wait`; with what wakes it, and the permit of one before them that is not answered yet.
struct Crowd {
    line: Line,
    waiting: Vec<(Ticket, Arc<Woken>)>,
    unanswered: (Ticket, PermitId),
}

fn crowd(max_waits: &[Duration]) -> Crowd {
    let count = max_waits.len() as u64;
    let window = Window::new(count + 1, Duration::from_secs(10));
    let ledger = Ledger::new(&[window], None, Duration::from_secs(300), at(0)).in_contact();
    let mut line = Line::new(ledger, None);
    let mut last = None;
    for _ in 0..=count {
        if let Some((ticket, permit)) = last {
            let ok = answered(StatusCode::OK, None);
            settle(&mut line, permit, ticket, &ok, at(0));
        }
        let ticket = line.ticket(Priority::Normal, at(0));
        last = Some((ticket, granted(line.enter(ticket, PATIENT, at(0)))));
    }
    let enter = |max_wait: &Duration| {
        let mut terms = PATIENT.clone();
        terms.patience.max_wait = *max_wait;
        let ticket = line.ticket(Priority::Normal, at(0));
        let standing = line.enter(ticket, &terms, at(0));
        assert!(matches!(standing, Standing::Waiting(_)), "{standing:?}");
        let woken = Arc::new(Woken::default());
        look_by(&mut line, ticket, &woken, at(0));
        (ticket, woken)
    };
    let waiting = max_waits.iter().map(enter).collect();
    Crowd {
        line,
        waiting,
        unanswered: last.unwrap(),
    }
}

/// Looks, and wakes whom that decided about; how many these were.
fn look_by(line: &mut Line, ticket: Ticket, woken: &Arc<Woken>, now: Now) -> (Standing, usize) {
    let mut wakers = Wakers::new();
    let waker = Waker::from(woken.clone());
    let looker = Looker {
        waker: &waker,
        runtime: None,
    };
    let standing = line.look(ticket, looker, now, &mut wakers).standing;
    let count = wakers.len();
    wakers.into_iter().for_each(Waker::wake);
    (standing, count)
}

impl Crowd {
    /// Each that is woken looks, the last one first, until nobody is: how often each looked and how
    /// it stood then, and the most that were woken by one look.
    fn stand(&mut self, now: Now) -> (Vec<(usize, Option<Standing>)>, usize) {
        let mut stood = vec![(0, None); self.waiting.len()];
        let mut most = 0;
        let is_woken = |(_, woken): &(Ticket, Arc<Woken>)| woken.0.swap(0, Ordering::Relaxed) > 0;
        while let Some(at) = self.waiting.iter().rposition(is_woken) {
            let (ticket, woken) = &self.waiting[at];
            let (standing, count) = look_by(&mut self.line, *ticket, woken, now);
            most = most.max(count);
            if let Standing::Waiting(moment) = standing {
                // Its timer rings.
                woken
                    .0
                    .store(usize::from(moment <= now.moment), Ordering::Relaxed);
            }
            stood[at] = (stood[at].0 + 1, Some(standing));
        }
        (stood, most)
    }
}

#[test]
fn a_crowd_is_granted_in_parts_with_one_look_each_and_nobody_is_left_behind() {
    let mut crowd = crowd(&[Duration::MAX; 2_000]);
    crowd.waiting[0].1.0.store(1, Ordering::Relaxed);
    let (stood, most) = crowd.stand(at(10));
    let is_granted = |(looks, standing): &(usize, Option<Standing>)| {
        *looks == 1 && matches!(standing, Some(Standing::Granted(_)))
    };
    assert!(stood.iter().all(is_granted), "{stood:?}");
    assert!((100..=300).contains(&most), "{most}");
    assert_eq!((crowd.line.queue.len(), crowd.line.decided.len()), (0, 0));
}

#[test]
fn a_crowd_is_refused_in_parts_whether_its_head_is_or_not() {
    let minute = Duration::from_secs(60);
    for head in [minute, Duration::MAX] {
        let mut max_waits = [minute; 2_000];
        max_waits[0] = head;
        let mut crowd = crowd(&max_waits);
        let pause = Some(Some(Duration::from_secs(3_600)));
        let rejection = answered(StatusCode::TOO_MANY_REQUESTS, pause);
        let (ticket, permit) = crowd.unanswered;
        let mut wakers = Wakers::new();
        let runtime = || None;
        (crowd.line).settle(permit, ticket, &rejection, runtime, at(1), &mut wakers);
        assert!((100..=300).contains(&wakers.len()), "{}", wakers.len());
        wakers.into_iter().for_each(Waker::wake);
        let (stood, most) = crowd.stand(at(1));
        assert!((100..=300).contains(&most), "{most}");
        let refused = Standing::Refused(Refusal::TooFarOff(at(3_601).moment));
        let is_refused = |(looks, standing): &(usize, Option<Standing>)| {
            *looks == 1 && *standing == Some(refused.clone())
        };
        assert!(stood[1..].iter().all(is_refused), "{stood:?}");
        let waits = usize::from(head > minute);
        assert_eq!(
            (crowd.line.queue.len(), crowd.line.decided.len()),
            (waits, 0)
        );
    }
}
