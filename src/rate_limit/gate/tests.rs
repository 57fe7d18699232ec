use super::*;

const FIRST: Ticket = Ticket::numbered(1);
const SECOND: Ticket = Ticket::numbered(2);
const MINUTE: Duration = Duration::from_secs(60);

fn at(seconds: u64) -> Moment {
    Moment::after_start(Duration::from_secs(seconds))
}

/// Told, and corroborated.
fn told(span: u64) -> Option<Told> {
    let span = seconds(span);
    let believed = span;
    Some(Told { span, believed })
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn closed_until(end: u64) -> Gate {
    let mut gate = Gate::default();
    gate.close(told(end), MINUTE, at(0));
    gate
}

#[test]
fn a_rejection_stops_everybody() {
    let mut gate = closed_until(10);
    assert_eq!(gate.opens(FIRST, at(9)), Opening::At(at(10)));
    assert_eq!(gate.opens(SECOND, at(9)), Opening::At(at(10)));
}

#[test]
fn a_pause_is_never_shortened() {
    let mut gate = closed_until(10);
    assert_eq!(gate.close(told(1), MINUTE, at(1)), at(10));
    assert_eq!(gate.close(told(20), MINUTE, at(2)), at(22));
}

#[test]
fn after_the_pause_one_probe_goes_first() {
    let mut gate = closed_until(10);
    assert_eq!(gate.opens(FIRST, at(10)), Opening::Now);
    gate.pass(FIRST, at(10));
    assert_eq!(gate.opens(SECOND, at(11)), Opening::WithProbe(at(15)));
    assert!(gate.answered(FIRST, at(10), 0, at(11)));
    assert_eq!(gate.opens(SECOND, at(11)), Opening::Now);
}

#[test]
fn after_the_probe_the_number_on_the_wire_doubles_each_round_trip() {
    let mut gate = closed_until(10);
    gate.opens(FIRST, at(10));
    gate.pass(FIRST, at(10));
    assert_eq!(
        gate.most_in_flight(at(10)),
        None,
        "the probe is alone anyway"
    );
    let mut most = 2;
    gate.answered(FIRST, at(10), 0, at(11));
    for second in 11..15 {
        assert_eq!(gate.most_in_flight(at(second)), Some(most));
        for others in (0..most).rev() {
            gate.answered(SECOND, at(second), others, at(second + 1));
        }
        most *= 2;
    }
    assert_eq!(gate.most_in_flight(at(70)), Some(32));
    assert_eq!(gate.most_in_flight(at(71)), None);
    gate.close(None, MINUTE, at(20));
    assert_eq!(gate.most_in_flight(at(20)), None);
}

#[test]
fn the_answer_to_a_request_that_left_before_does_not_open_the_gate() {
    let mut gate = closed_until(10);
    assert!(!gate.answered(SECOND, at(0), 0, at(1)));
    assert_eq!(gate.opens(SECOND, at(9)), Opening::At(at(10)));
}

#[test]
fn an_unanswered_probe_hands_over_to_the_next() {
    let mut gate = closed_until(10);
    gate.opens(FIRST, at(10));
    gate.pass(FIRST, at(10));
    assert_eq!(gate.opens(SECOND, at(15)), Opening::Now);
    gate.pass(SECOND, at(15));
    assert!(
        !gate.answered(FIRST, at(10), 1, at(16)),
        "it is no longer the probe"
    );
}

#[test]
fn a_dropped_probe_hands_over_at_once() {
    let mut gate = closed_until(10);
    gate.opens(FIRST, at(10));
    gate.pass(FIRST, at(10));
    gate.abandoned(FIRST);
    assert_eq!(gate.opens(SECOND, at(10)), Opening::Now);
}

#[test]
fn the_replay_of_a_401_inherits_the_probe() {
    let mut gate = closed_until(10);
    gate.opens(FIRST, at(10));
    gate.pass(FIRST, at(10));
    gate.unauthorized(FIRST, at(12));
    assert_eq!(gate.opens(SECOND, at(13)), Opening::WithProbe(at(17)));
    assert_eq!(gate.opens(FIRST, at(13)), Opening::Now);
}

#[test]
fn a_rejection_without_a_time_backs_off_longer_each_time() {
    let mut gate = Gate::default();
    assert_eq!(gate.close(None, MINUTE, at(0)), at(1));
    gate.opens(FIRST, at(1));
    gate.pass(FIRST, at(1));
    assert_eq!(gate.close(None, MINUTE, at(1)), at(3));
    gate.opens(FIRST, at(3));
    gate.pass(FIRST, at(3));
    assert_eq!(gate.close(None, MINUTE, at(3)), at(7));
}

#[test]
fn the_late_rejections_of_one_burst_count_once() {
    let mut gate = Gate::default();
    gate.close(None, MINUTE, at(0));
    for _ in 0..31 {
        gate.close(None, MINUTE, at(0));
    }
    assert_eq!(gate.closed_until(), Some(at(1)));
}

#[test]
fn a_long_row_of_rejections_backs_off_for_a_minute_at_most_and_of_a_day_for_an_hour() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let longest = |window| back_off::pause(None, u32::MAX, window);
    assert_eq!(longest(Duration::ZERO), MINUTE);
    assert_eq!(longest(MINUTE), MINUTE);
    assert_eq!(longest(DAY / 2), 30 * MINUTE);
    assert_eq!(longest(DAY), 60 * MINUTE);
    assert_eq!(longest(31 * DAY), 60 * MINUTE);
    // A minute that is spent has begun anew by then, whatever else there is.
    let first_six: Duration = (1..=6).map(|row| back_off::pause(None, row, DAY)).sum();
    assert_eq!(first_six, seconds(63));
}

/// Rejected, paused for as long as that says, and rejected again.
fn rejected_in_a_row(gate: &mut Gate, rejections: u64, mut now: Moment) -> Moment {
    for _ in 0..rejections {
        gate.opens(FIRST, now);
        gate.pass(FIRST, now);
        now = gate.close(told(2), MINUTE, now);
    }
    now
}

#[test]
fn from_the_third_rejection_in_a_row_the_pause_grows_beyond_what_was_told() {
    let mut gate = Gate::default();
    let second = rejected_in_a_row(&mut gate, 2, at(0));
    assert_eq!(second, at(4));
    assert_eq!(rejected_in_a_row(&mut gate, 3, second), at(4 + 4 + 8 + 16));
}

#[test]
fn a_success_ends_the_row() {
    let mut gate = Gate::default();
    let now = rejected_in_a_row(&mut gate, 5, at(0));
    gate.opens(FIRST, now);
    gate.pass(FIRST, now);
    assert!(gate.answered(FIRST, now, 0, now));
    let second = rejected_in_a_row(&mut gate, 2, now);
    assert_eq!(second, now + seconds(4));
    let third = rejected_in_a_row(&mut gate, 1, second);
    assert_eq!(third, second + seconds(4), "the third of a new row");
}

#[test]
fn a_late_success_of_before_a_rejection_does_not_end_the_row() {
    let mut gate = Gate::default();
    let now = rejected_in_a_row(&mut gate, 4, at(0));
    assert!(!gate.answered(SECOND, at(0), 0, now));
    assert_eq!(rejected_in_a_row(&mut gate, 1, now), now + seconds(16));
}
