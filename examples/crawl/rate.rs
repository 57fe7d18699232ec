//! Windows as people write them, and how long a list takes with them.

use std::time::Duration;

use reqwest_tollgate::WindowSnapshot;

use crate::text;

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// As a snapshot has it.
pub(crate) const MONTH: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// `120/min`.
pub(crate) fn window(limit: u64, length: Duration) -> String {
    let name = match length.as_millis() {
        1_000 => "s".to_owned(),
        60_000 => "min".to_owned(),
        3_600_000 => "h".to_owned(),
        86_400_000 => "day".to_owned(),
        2_678_400_000 => "month".to_owned(),
        millis if millis % 60_000 == 0 => format!("{}min", millis / 60_000),
        millis if millis % 1_000 == 0 => format!("{}s", millis / 1_000),
        millis => format!("{millis}ms"),
    };
    format!("{limit}/{name}")
}

/// `about 7 min 28 s at 120/min, 1 day at 1000/day`: so many requests by each window.
pub(crate) fn estimate(requests: usize, windows: &[WindowSnapshot]) -> Option<String> {
    let counted = windows.iter().filter(|window| &*window.unit == "requests");
    let spans = counted.filter_map(|snapshot| {
        let share = requests as f64 / snapshot.limit.max(1) as f64;
        let (limit, length) = (snapshot.limit, snapshot.length?);
        let span = match length {
            DAY => text::count(share.ceil() as usize, "day"),
            MONTH => text::count(share.ceil() as usize, "month"),
            _ => text::span(length.mul_f64(share.min(1e9))),
        };
        Some(format!("{span} at {}", window(limit, length)))
    });
    let spans: Vec<String> = spans.collect();
    (!spans.is_empty()).then(|| format!("about {}", spans.join(", ")))
}

#[cfg(test)]
mod tests {
    use reqwest_tollgate::{Account, Window};

    use super::*;

    fn of(requests: usize, windows: &[Window]) -> Option<String> {
        let mut builder = Account::builder("acme", "https://api.acme.example");
        for window in windows {
            builder = builder.window(window.clone());
        }
        let account = builder.build().unwrap();
        estimate(requests, account.quotas()[0].windows())
    }

    #[test]
    fn the_estimate_has_a_span_for_each_window() {
        let windows = [Window::per_minute(120), Window::per_utc_day(1_000)];
        assert_eq!(
            of(896, &windows).unwrap(),
            "about 7 min 28 s at 120/min, 1 day at 1000/day"
        );
        assert_eq!(
            of(2_001, &windows[1..]).unwrap(),
            "about 3 days at 1000/day"
        );
        assert_eq!(of(896, &[]), None);
        let lines = Window::per_minute(1).unit("lines");
        assert_eq!(of(896, &[lines]), None);
    }

    #[test]
    fn windows_are_written_as_in_a_configuration() {
        for text in [
            "120/min",
            "1000/day",
            "120/2s",
            "20/500ms",
            "200/15min",
            "10/s",
        ] {
            let parsed: Window = text.parse().unwrap();
            assert_eq!(window(parsed.limit(), parsed.length()), text);
        }
    }
}
