//! A tally of requests whose responses tell nothing of a quota: their own windows are all that is
//! known of it. Token endpoints are of that kind.
//!
//! Pure: `now` is an argument.

use super::live::{Live, Room};
use super::window::Window;
use crate::clock::{Moment, Now};

/// Several windows, all of which every request has to keep to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    windows: Vec<(Window, Live)>,
    in_flight: u64,
}

impl Tally {
    /// Adds a window unless it is there already. It counts what is in flight, and what is answered
    /// from now on.
    pub(crate) fn add(&mut self, window: &Window, now: Now) {
        let window = window.by_another_clock();
        if self.windows.iter().all(|(known, _)| *known != window) {
            let live = Live::new(&window, now);
            self.windows.push((window, live));
        }
    }

    /// The earliest moment at which one more may leave; [`Moment::ZERO`] if that is now. While a
    /// window is full of requests in flight, none can leave before they would cease to count if
    /// they were answered now.
    pub(crate) fn room(&mut self, now: Now) -> Moment {
        let in_flight = self.in_flight;
        let room = |(_, live): &mut (Window, Live)| {
            live.forget(now);
            match live.room(in_flight, now) {
                Room::Now => Moment::ZERO,
                Room::At(moment) => moment,
                Room::WhenAnswered => live.counts_until(now),
            }
        };
        let rooms = self.windows.iter_mut().map(room);
        rooms.max().unwrap_or(Moment::ZERO)
    }

    /// Lets one leave, if there is room. Each that left has to [`end`](Self::end).
    pub(crate) fn take(&mut self, now: Now) -> bool {
        let has_room = self.room(now) <= now.moment;
        self.in_flight += u64::from(has_room);
        has_room
    }

    /// One that left was answered or lost; or it was not `sent` after all, and does not count.
    pub(crate) fn end(&mut self, sent: bool, now: Now) {
        self.in_flight = self.in_flight.saturating_sub(1);
        for (_, live) in self.windows.iter_mut().filter(|_| sent) {
            live.count(1, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Now {
        Now::after_start(Duration::from_secs(1_000) + Duration::from_millis(millis))
    }

    fn tally(windows: &[&str]) -> Tally {
        let mut tally = Tally::default();
        for window in windows {
            tally.add(&window.parse().expect("a window"), at(0));
        }
        tally
    }

    #[test]
    fn the_fullest_window_decides() {
        let mut tally = tally(&["2/s", "3/min"]);
        for millis in [0, 0, 2_000] {
            assert!(tally.take(at(millis)), "{millis}");
            tally.end(true, at(millis));
        }
        assert!(!tally.take(at(4_000)));
        let minute = Window::per_minute(3).by_another_clock();
        assert_eq!(tally.room(at(4_000)), at(0).moment + minute.length());
    }

    #[test]
    fn one_that_was_not_sent_does_not_count() {
        let mut tally = tally(&["1/min"]);
        assert!(tally.take(at(0)) && !tally.take(at(1)));
        tally.end(false, at(2));
        assert!(tally.take(at(2)));
    }

    #[test]
    fn those_in_flight_make_room_only_after_their_answer_and_the_window() {
        let mut tally = tally(&["1/10s"]);
        assert!(tally.take(at(0)));
        let span = Window::new(1, Duration::from_secs(10)).by_another_clock();
        assert_eq!(tally.room(at(300)), at(300).moment + span.length());
        tally.end(true, at(5_000));
        assert_eq!(tally.room(at(6_000)), at(5_000).moment + span.length());
    }

    #[test]
    fn a_window_that_is_there_already_is_not_counted_twice() {
        let mut tally = tally(&["1/min", "1/min"]);
        assert_eq!(tally.windows.len(), 1);
        tally.add(&Window::per_minute(2), at(0));
        assert_eq!(tally.windows.len(), 2);
    }

    proptest! {
        /// However many are under way at once: beside each that leaves there are never more that
        /// the server may still count than each window allows. And whoever comes at the moment
        /// told finds room, if nobody is under way.
        #[test]
        fn no_window_is_ever_exceeded_and_the_moment_told_is_kept(
            steps in prop::collection::vec((0..700_u64, 0..3_000_u64, any::<bool>()), 1..80),
        ) {
            const WINDOWS: [(usize, u64); 3] = [(2, 1_000), (5, 4_000), (9, 20_000)];
            let mut tally = tally(&["2/s", "5/4s", "9/20s"]);
            let (mut now, mut under_way, mut past) = (0, Vec::new(), Vec::new());
            for (pause, travel, sent) in steps {
                now += pause;
                end_until(now, &mut under_way, &mut tally);
                if !tally.take(at(now)) {
                    let room = tally.room(at(now));
                    prop_assert!(room > at(now).moment);
                    let wait = u64::try_from((room - at(now).moment).as_millis()).unwrap() + 1;
                    let alone = under_way.is_empty();
                    now += wait;
                    end_until(now, &mut under_way, &mut tally);
                    let taken = tally.take(at(now));
                    prop_assert!(taken || !alone, "told {wait} ms");
                    if !taken {
                        continue;
                    }
                }
                under_way.push((now + travel, sent));
                past.extend(Some((now, now + travel)).filter(|_| sent));
            }
            for (limit, span) in WINDOWS {
                for (index, (left, _)) in past.iter().enumerate() {
                    let counts = past[..index].iter().filter(|(_, end)| end + span > *left);
                    prop_assert!(counts.count() < limit, "{limit}/{span} ms: {past:?}");
                }
            }
        }
    }

    /// Ends those whose answers have come, each in its turn.
    fn end_until(now: u64, under_way: &mut Vec<(u64, bool)>, tally: &mut Tally) {
        under_way.sort_unstable();
        let due = under_way.partition_point(|(end, _)| *end <= now);
        for (end, sent) in under_way.drain(..due) {
            tally.end(sent, at(end));
        }
    }
}
