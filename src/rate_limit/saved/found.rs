//! What was saved of a quota that the account does not have, or not yet: for how long it is kept.
//!
//! It is kept while any of it could hold somebody back: requests that count, what others took, a
//! pause, the time of spread requests. A lower limit or rate that was learned keeps nothing by
//! itself, or one that the server told of a day would be kept for good; where it still holds, the
//! first answers tell it again.
//!
//! Pure: `now` is an argument.

use super::{Dial, SavedLive, SavedQuota, SavedWindow, millis, saved};
use crate::clock::Now;
use crate::rate_limit::answered::ends_of_those_that_count;
use crate::rate_limit::live::Live;
use crate::rate_limit::window::{Span, Window};

impl SavedQuota {
    /// What was in flight counts as answered now. Else it would be in flight for ever: every save
    /// of a process that does not have this quota would pass it on to the next.
    pub(in crate::rate_limit) fn land(&mut self, dial: Dial) {
        for window in &mut self.windows {
            window.live = window.landed(dial);
            window.in_flight = 0;
        }
    }

    /// Whether any of it still counts, after what was in flight has [landed](Self::land).
    pub(in crate::rate_limit) fn counts(&self, dial: Dial, now: Now) -> bool {
        let is_to_come = |end: Option<u64>| end.is_some_and(|end| dial.until(end) > now.moment);
        let counts = |window: &SavedWindow| {
            let pace = &window.pace;
            is_to_come(pace.spread_until)
                || is_to_come(pace.slot)
                || !Live::restored(&window.window(), &window.live, dial).is_idle(now)
        };
        is_to_come(self.closed_until) || self.windows.iter().any(counts)
    }
}

impl SavedWindow {
    /// The window as it was configured.
    pub(in crate::rate_limit) fn window(&self) -> Window {
        let window = Window::with_span(self.live.configured, self.span.into());
        window.unit(&self.unit)
    }

    /// With what was in flight as answered when it was found, which it was no later than.
    pub(in crate::rate_limit) fn landed(&self, dial: Dial) -> SavedLive {
        let mut live = self.live.clone();
        if self.in_flight > 0 {
            let mut times = match Span::from(self.span) {
                Span::Rolling(_) => vec![saved(dial.now.moment, dial.now)],
                Span::Calendar(period) => {
                    let ends = ends_of_those_that_count(period, dial.now);
                    ends.map(millis).to_vec()
                }
            };
            times.dedup();
            let landed = times.into_iter().map(|time| (time, self.in_flight));
            live.answered.extend(landed);
        }
        live
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::*;
    use crate::clock::Moment;
    use crate::rate_limit::saved::{Saved, SavedPace};

    /// 2026-11-21 12:00:00 UTC, and so many seconds.
    const NOON: u64 = 1_795_262_400;
    const TO_MIDNIGHT: u64 = 12 * 60 * 60;

    fn at(seconds: u64) -> Now {
        Now {
            moment: Moment::after_start(Duration::from_secs(1_000_000 + seconds)),
            wall: UNIX_EPOCH + Duration::from_secs(NOON + seconds),
        }
    }

    fn saved_at(seconds: u64) -> u64 {
        millis(SystemTime::UNIX_EPOCH + Duration::from_secs(NOON + seconds))
    }

    fn idle(window: &str) -> SavedWindow {
        let window: Window = window.parse().expect("a window");
        SavedWindow {
            span: window.span.into(),
            unit: "requests".to_owned(),
            in_flight: 0,
            live: Live::new(&window, at(0)).save(None, at(0)),
            pace: SavedPace {
                factor: 1.0,
                spread_until: None,
                relapses: 0,
                slot: None,
            },
        }
    }

    /// Until how many seconds after it was found this counts, at most `longest`.
    fn counts_for(longest: u64, change: impl Fn(&mut SavedQuota)) -> u64 {
        let mut quota = SavedQuota {
            windows: vec![idle("9/min"), idle("90/utc-day")],
            ..SavedQuota::default()
        };
        change(&mut quota);
        let dial = Saved::new([].into(), at(0)).dial(at(10));
        quota.land(dial);
        let counts = |seconds: &u64| quota.counts(dial, at(*seconds));
        (10..longest).take_while(counts).count() as u64 + 10
    }

    #[test]
    fn what_nobody_used_or_learned_counts_no_longer() {
        assert_eq!(counts_for(1_000, |_| ()), 10);
    }

    #[test]
    fn it_counts_as_long_as_the_last_that_holds_anybody_back() {
        let for_ = |change: fn(&mut SavedQuota)| counts_for(1_000, change);
        assert_eq!(for_(|quota| quota.closed_until = Some(saved_at(600))), 600);
        let minute = |change: fn(&mut SavedWindow)| {
            counts_for(1_000, move |quota| change(&mut quota.windows[0]))
        };
        assert_eq!(
            minute(|window| window.live.answered = vec![(saved_at(5), 3)]),
            65
        );
        assert_eq!(
            minute(|window| window.in_flight = 1),
            70,
            "answered when it was found"
        );
        assert_eq!(
            minute(|window| window.live.others = Some((4, saved_at(30)))),
            30
        );
        assert_eq!(
            minute(|window| window.live.spent_until = Some(saved_at(40))),
            40
        );
        assert_eq!(minute(|window| window.live.reset = Some(saved_at(50))), 50);
        assert_eq!(
            minute(|window| window.pace.spread_until = Some(saved_at(900))),
            900
        );
        assert_eq!(minute(|window| window.pace.slot = Some(saved_at(20))), 20);
    }

    /// Or it would count from the last restart, however often there is one.
    #[test]
    fn what_was_in_flight_lands_once() {
        let mut quota = SavedQuota {
            windows: vec![idle("9/min")],
            ..SavedQuota::default()
        };
        quota.windows[0].in_flight = 2;
        for seconds in [10, 60] {
            quota.land(Saved::new([].into(), at(0)).dial(at(seconds)));
        }
        assert_eq!(quota.windows[0].live.answered, [(saved_at(10), 2)]);
    }

    #[test]
    fn a_day_counts_to_its_end_and_the_margin_of_the_servers_clock() {
        let used = (saved_at(TO_MIDNIGHT), 7);
        let day = |change: &dyn Fn(&mut SavedWindow)| {
            counts_for(TO_MIDNIGHT + 100, |quota| change(&mut quota.windows[1]))
        };
        assert_eq!(
            day(&|window| window.live.answered = vec![used]),
            TO_MIDNIGHT + 2
        );
        assert_eq!(day(&|window| window.in_flight = 1), TO_MIDNIGHT + 2);
    }

    #[test]
    fn a_lower_limit_that_was_learned_keeps_nothing() {
        assert_eq!(
            counts_for(1_000, |quota| quota.windows[1].live.limit = 40),
            10
        );
    }
}
