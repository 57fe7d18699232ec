//! Dates, as far as a distributor writes them.

use std::time::{Duration, SystemTime};

use crate::rate_limit::window::Period;

const DAY: u64 = 24 * 60 * 60;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// How long from `wall` to the period's next boundary; more than zero.
pub(super) fn until_boundary(period: Period, wall: SystemTime) -> Duration {
    let into_the_day = since_1970(wall).as_nanos() % u128::from(DAY * 1_000_000_000);
    let to_midnight =
        Duration::from_secs(DAY) - Duration::from_nanos(u64::try_from(into_the_day).unwrap_or(0));
    match period {
        Period::UtcDay => to_midnight,
        Period::UtcMonth => (0..31)
            .map(|days| to_midnight + Duration::from_secs(days * DAY))
            .find(|ahead| iso8601(wall + *ahead).get(8..10) == Some("01"))
            .unwrap_or(to_midnight),
    }
}

/// The time in whole seconds, rounded up, as ISO 8601 writes it: `2026-01-31T23:59:59Z`.
pub(super) fn iso8601(time: SystemTime) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(unix_seconds(time));
    // "Sun, 06 Nov 1994 08:49:37 GMT"
    let text = httpdate::fmt_http_date(time);
    let part = |range| text.get(range).unwrap_or_default();
    let month = MONTHS.iter().position(|name| *name == part(8..11));
    format!(
        "{}-{:02}-{}T{}Z",
        part(12..16),
        month.map_or(0, |index| index + 1),
        part(5..7),
        part(17..25)
    )
}

/// Whole seconds since 1970, rounded up.
pub(super) fn unix_seconds(time: SystemTime) -> u64 {
    whole_seconds(since_1970(time))
}

/// Rounded up, so that whoever waits so long has waited long enough.
pub(super) fn whole_seconds(span: Duration) -> u64 {
    span.as_secs()
        .saturating_add((span.subsec_nanos() > 0).into())
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_date_is_written_in_utc_with_its_second_rounded_up() {
        assert_eq!(iso8601(at(784_111_777)), "1994-11-06T08:49:37Z");
        let a_little_later = at(784_111_777) + Duration::from_nanos(1);
        assert_eq!(iso8601(a_little_later), "1994-11-06T08:49:38Z");
    }

    #[test]
    fn the_boundary_of_a_day_is_the_next_midnight() {
        let just_after = until_boundary(Period::UtcDay, at(3 * DAY + 1));
        assert_eq!(just_after, Duration::from_secs(DAY - 1));
        let midnight = until_boundary(Period::UtcDay, at(3 * DAY));
        assert_eq!(midnight, Duration::from_secs(DAY));
    }

    #[test]
    fn the_boundary_of_a_month_is_its_first_whatever_its_length() {
        // 1972-02-27 12:00, a leap year.
        let february = at(787 * DAY + DAY / 2);
        assert_eq!(iso8601(february), "1972-02-27T12:00:00Z");
        let ahead = until_boundary(Period::UtcMonth, february);
        assert_eq!(iso8601(february + ahead), "1972-03-01T00:00:00Z");
        // 1970-01-01 00:00 begins a month of 31 days.
        let ahead = until_boundary(Period::UtcMonth, at(0));
        assert_eq!(ahead, Duration::from_secs(31 * DAY));
    }
}
