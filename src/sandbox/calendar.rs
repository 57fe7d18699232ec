//! Dates, as far as a distributor writes them.

use std::time::{Duration, SystemTime};

use time::OffsetDateTime;

/// The time in whole seconds, rounded up, as ISO 8601 writes it: `2026-01-31T23:59:59Z`.
pub(super) fn iso8601(time: SystemTime) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(unix_seconds(time));
    let time = OffsetDateTime::from(time);
    let (date, (hour, minute, second)) = (time.date(), time.to_hms());
    format!("{date}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The clock is read more than once on the way to a moment, so midnight may come out as some
/// microseconds past it, which is not the next second.
const GRAIN: Duration = Duration::from_millis(1);

/// Whole seconds since 1970, rounded up.
pub(super) fn unix_seconds(time: SystemTime) -> u64 {
    whole_seconds(since_1970(time).saturating_sub(GRAIN))
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
        let later = |span| iso8601(at(784_111_777) + span);
        assert_eq!(later(Duration::from_millis(2)), "1994-11-06T08:49:38Z");
        let two_readings_of_the_clock_apart = Duration::from_micros(20);
        assert_eq!(
            later(two_readings_of_the_clock_apart),
            "1994-11-06T08:49:37Z"
        );
    }
}
