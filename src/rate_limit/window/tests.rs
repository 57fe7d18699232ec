use std::time::SystemTime;

use proptest::prelude::*;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::*;
use crate::clock::Moment;
use crate::cost::Costs;
use crate::rate_limit::state::{Admission, Ledger, Settlement};
use crate::rate_limit::ticket::Ticket;

#[test]
fn a_window_reads_as_it_is_written() {
    for text in [
        "120/min",
        "10/s",
        "20/500ms",
        "3000/12h",
        "5000/day",
        "1000/utc-day",
        "7/2s",
        "1000/day+05:30",
        "1000/day-06:00",
        "5000/month+01:00",
        "1/month-00:15",
        "1/day+14:00",
        "1/day-14:00",
    ] {
        let window: Window = text.parse().expect(text);
        assert_eq!(window.to_string(), text);
    }
}

#[test]
fn nonsense_is_refused_with_the_text_and_what_was_expected() {
    for text in [
        "",
        "120",
        "120/",
        "/min",
        "0/min",
        "-1/s",
        "+1/s",
        "1/0s",
        "1/fortnight",
        "²/s",
        "1/month",
        "1/day+14:01",
        "1/day-15:00",
        "1/day+05:60",
        "1/day+5:30",
        "1/day+0530",
        "1/day+05",
        "1/day05:30",
        "1/day+ 5:30",
        "1/day++5:30",
        "1/day+٠٥:٣٠",
        "1/2day+05:30",
        "1/utc-day+05:30",
        "1/h+05:30",
    ] {
        let error = text.parse::<Window>().expect_err(text).to_string();
        assert!(error.contains("expected LIMIT/LENGTH"), "{error}");
    }
}

const DAY_UTC: Period = Period::Day(Offset::UTC);
const MONTH_UTC: Period = Period::Month(Offset::UTC);

#[test]
fn a_day_ends_at_midnight_and_a_month_on_the_first() {
    let end = |period: Period, text: &str| {
        let time = httpdate::parse_http_date(text).expect("a date");
        httpdate::fmt_http_date(period.ends_after(time))
    };
    let midnight = "Sun, 01 Feb 2026 00:00:00 GMT";
    assert_eq!(end(DAY_UTC, "Sat, 31 Jan 2026 12:00:00 GMT"), midnight);
    assert_eq!(end(MONTH_UTC, "Sat, 31 Jan 2026 12:00:00 GMT"), midnight);
    assert_eq!(end(DAY_UTC, midnight), "Mon, 02 Feb 2026 00:00:00 GMT");
    let new_year = "Fri, 01 Jan 2027 00:00:00 GMT";
    assert_eq!(end(MONTH_UTC, "Thu, 31 Dec 2026 23:59:59 GMT"), new_year);
    let leap_year = end(MONTH_UTC, "Sun, 27 Feb 1972 12:00:00 GMT");
    assert_eq!(leap_year, "Wed, 01 Mar 1972 00:00:00 GMT");
}

#[test]
fn a_local_day_ends_when_it_is_midnight_there() {
    let time = |text: &str| SystemTime::from(OffsetDateTime::parse(text, &Rfc3339).expect(text));
    for (window, now, end) in [
        (
            "9/day-06:00",
            "2026-01-01T05:59:59Z",
            "2026-01-01T06:00:00Z",
        ),
        (
            "9/day-06:00",
            "2026-01-01T06:00:00Z",
            "2026-01-02T06:00:00Z",
        ),
        (
            "9/day+05:30",
            "2026-01-01T18:29:59Z",
            "2026-01-01T18:30:00Z",
        ),
        (
            "9/day+05:30",
            "2026-01-01T18:30:00Z",
            "2026-01-02T18:30:00Z",
        ),
        // In a leap year, where it is the 29th already.
        (
            "9/day+14:00",
            "2028-02-28T11:00:00Z",
            "2028-02-29T10:00:00Z",
        ),
        // Already the next month there, and still the last one.
        (
            "9/month+01:00",
            "2026-01-31T23:30:00Z",
            "2026-02-28T23:00:00Z",
        ),
        (
            "9/month-06:00",
            "2027-01-01T05:00:00Z",
            "2027-01-01T06:00:00Z",
        ),
    ] {
        let Span::Calendar(period) = window.parse::<Window>().expect(window).span else {
            panic!("{window} rolls");
        };
        assert_eq!(period.ends_after(time(now)), time(end), "{window} at {now}");
    }
}

#[test]
fn an_offset_of_nothing_is_utc() {
    for text in ["9/day+00:00", "9/day-00:00"] {
        assert_eq!(text.parse::<Window>().expect(text), Window::per_utc_day(9));
    }
    assert_eq!(
        Window::per_local_month(9, "+00:00"),
        Window::per_utc_month(9)
    );
    let text = Window::per_local_day(9, "-00:00").to_string();
    assert_eq!(text, "9/utc-day");
}

#[test]
fn no_offset_is_beyond_a_clock() {
    assert_eq!(Offset::of_minutes(i16::MAX).to_string(), "+14:00");
    assert_eq!(Offset::of_minutes(i16::MIN).to_string(), "-14:00");
}

#[test]
fn an_offset_that_is_none_is_told_with_what_was_expected() {
    for offset in ["", "Z", "+15:00", "-14:01", "CST", "-6", "-06:00 "] {
        for window in [
            Window::per_local_day(9, offset),
            Window::per_local_month(9, offset),
        ] {
            let account = crate::Account::builder("acme", "https://api.acme.example");
            let error = account.window(window).build().expect_err(offset);
            assert_eq!(error.kind(), crate::ErrorKind::Config);
            let expected = format!("found the offset {offset:?}; expected -14:00 to +14:00");
            assert!(error.to_string().contains(&expected), "{error}");
        }
    }
}

proptest! {
    #[test]
    fn a_calendar_period_ends_at_midnight_there_and_is_as_long_as_it_may_be(
        seconds in 0..=4_102_444_800_u64,
        minutes in -840..=840_i16,
    ) {
        let offset = Offset::of_minutes(minutes);
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        for period in [Period::Day(offset), Period::Month(offset)] {
            let end = period.ends_after(time);
            let left = end.duration_since(time).expect("an end to come");
            prop_assert!(!left.is_zero() && left <= period.longest());
            let there = OffsetDateTime::from(end).to_offset(offset.to_time());
            prop_assert_eq!(there.time(), time::Time::MIDNIGHT);
            if matches!(period, Period::Month(_)) {
                prop_assert_eq!(there.day(), 1);
            }
            let next = period.ends_after(end).duration_since(end).expect("later");
            prop_assert!(next >= period.shortest() && next <= period.longest());
            prop_assert_eq!(period.ends_after(end - SECOND.min(left)), end);
        }
    }

    #[test]
    fn every_offset_reads_as_it_is_written(minutes in -840..=840_i16) {
        let offset = Offset::of_minutes(minutes);
        prop_assert_eq!(Offset::parse(&offset.to_string()), Some(offset));
        prop_assert_eq!(offset.minutes(), minutes);
    }
}

#[test]
fn another_clock_may_take_a_little_longer() {
    let minute = Window::per_minute(9).by_another_clock();
    assert_eq!(minute.length(), Duration::from_millis(60_031));
    assert_eq!(
        Window::per_utc_day(9).by_another_clock(),
        Window::per_utc_day(9)
    );
}

#[test]
fn a_window_that_never_ends_overflows_nothing() {
    for pacing in [Pacing::Auto, Pacing::Burst, Pacing::Spread] {
        let window = Window::new(2, Duration::MAX).pacing(pacing);
        let now = Now {
            moment: Moment::after_start(SECOND),
            wall: SystemTime::UNIX_EPOCH + DAY,
        };
        let mut ledger = Ledger::new(&[window.by_another_clock()], None, MINUTE, now).in_contact();
        let ticket = Ticket::numbered(1);
        assert_eq!(ledger.when(ticket, &Costs::ONE, now), Admission::Now);
        let permit = ledger.grant(ticket, &Costs::ONE, now);
        ledger.settle(permit, ticket, &Settlement::Lost, now);
        ledger.when(ticket, &Costs::ONE, now);
    }
}
