//! How much of what the server allowed was used.

use std::time::Duration;

use reqwest_tollgate::Window;

/// Fewer windows than this say nothing: the first one is free, and the rest is rounding.
const MIN_WINDOWS: usize = 3;

/// Of the windows that were filled at least three times, the tightest one's utilisation.
pub(crate) fn of_tightest(accepted_at: &[Duration], windows: &[Window]) -> Option<f64> {
    let rate = |window: &Window| window.limit() as f64 / window.length().as_secs_f64();
    let mut windows: Vec<&Window> = windows.iter().collect();
    windows.sort_by(|a, b| rate(a).total_cmp(&rate(b)));
    windows.into_iter().find_map(|window| {
        let limit = usize::try_from(window.limit()).ok()?;
        utilisation(accepted_at, limit, window.length())
    })
}

/// With the accepted requests numbered 1…N by the server's time, and n = ⌊(N−1)/L⌋ windows filled:
/// n·W, the least time that n·L requests after the first can take, by the time that they took.
///
/// It is 1 for a client that could not have been faster, under any enforcement of L in W.
fn utilisation(accepted_at: &[Duration], limit: usize, window: Duration) -> Option<f64> {
    let mut accepted_at = accepted_at.to_vec();
    accepted_at.sort_unstable();
    let filled = accepted_at.len().checked_sub(1)?.checked_div(limit)?;
    if filled < MIN_WINDOWS {
        return None;
    }
    let taken = accepted_at[filled * limit].saturating_sub(accepted_at[0]);
    Some((filled as f64 * window.as_secs_f64() / taken.as_secs_f64()).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// `count` requests in bursts of ten, one burst every `millis`.
    fn bursts(count: u64, millis: u64) -> Vec<Duration> {
        let at = |request| Duration::from_millis(5_000 + request / 10 * millis);
        (0..count).map(at).collect()
    }

    #[test]
    fn a_client_that_fills_every_window_reaches_one() {
        assert_eq!(utilisation(&bursts(31, 1_000), 10, SECOND), Some(1.0));
    }

    #[test]
    fn a_slower_client_reaches_its_share() {
        let share = utilisation(&bursts(41, 1_250), 10, SECOND).unwrap();
        assert!((share - 0.8).abs() < 1e-9, "{share}");
    }

    #[test]
    fn the_order_of_the_list_does_not_matter() {
        let mut accepted_at = bursts(41, 1_250);
        accepted_at.reverse();
        assert_eq!(
            utilisation(&accepted_at, 10, SECOND),
            utilisation(&bursts(41, 1_250), 10, SECOND)
        );
    }

    #[test]
    fn it_never_exceeds_one_and_says_nothing_about_fewer_than_three_windows() {
        assert_eq!(utilisation(&bursts(31, 100), 10, SECOND), Some(1.0));
        assert_eq!(utilisation(&bursts(30, 1_000), 10, SECOND), None);
        assert_eq!(utilisation(&[], 10, SECOND), None);
    }

    #[test]
    fn the_tightest_window_counts_among_those_that_were_filled() {
        let windows = [
            Window::per_day(100_000),
            Window::new(20, SECOND),
            Window::new(10, SECOND),
        ];
        let accepted_at = bursts(61, 1_000);
        assert_eq!(of_tightest(&accepted_at, &windows), Some(1.0));
        assert_eq!(of_tightest(&accepted_at, &windows[..2]), Some(0.5));
        assert_eq!(of_tightest(&accepted_at, &windows[..1]), None);
    }
}
