use std::time::SystemTime;

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
    ] {
        let error = text.parse::<Window>().expect_err(text).to_string();
        assert!(error.contains("expected LIMIT/LENGTH"), "{error}");
    }
}

#[test]
fn a_day_ends_at_midnight_and_a_month_on_the_first() {
    let end = |period: Period, text: &str| {
        let time = httpdate::parse_http_date(text).expect("a date");
        httpdate::fmt_http_date(period.ends_after(time))
    };
    let midnight = "Sun, 01 Feb 2026 00:00:00 GMT";
    assert_eq!(
        end(Period::UtcDay, "Sat, 31 Jan 2026 12:00:00 GMT"),
        midnight
    );
    assert_eq!(
        end(Period::UtcMonth, "Sat, 31 Jan 2026 12:00:00 GMT"),
        midnight
    );
    assert_eq!(
        end(Period::UtcDay, midnight),
        "Mon, 02 Feb 2026 00:00:00 GMT"
    );
    let new_year = "Fri, 01 Jan 2027 00:00:00 GMT";
    assert_eq!(
        end(Period::UtcMonth, "Thu, 31 Dec 2026 23:59:59 GMT"),
        new_year
    );
    let leap_year = end(Period::UtcMonth, "Sun, 27 Feb 1972 12:00:00 GMT");
    assert_eq!(leap_year, "Wed, 01 Mar 1972 00:00:00 GMT");
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
        let mut ledger = Ledger::new(&[window.by_another_clock()], None, MINUTE, now);
        let ticket = Ticket::numbered(1);
        assert_eq!(ledger.when(ticket, &Costs::ONE, now), Admission::Now);
        let permit = ledger.grant(ticket, &Costs::ONE, now);
        ledger.settle(permit, ticket, &Settlement::Lost, now);
        ledger.when(ticket, &Costs::ONE, now);
    }
}
