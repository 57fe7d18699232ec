//! Limits above the configured ones, which the server tells and the account does not use.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use smallvec::SmallVec;

use crate::rate_limit::headers::Reading;
use crate::rate_limit::window::Window;

/// The highest limit that was told of each window.
pub(super) struct Offers(SmallVec<[AtomicU64; 3]>);

/// One that is news.
pub(crate) struct Offer<'a> {
    pub(crate) window: &'a Window,
    pub(crate) told: u64,
}

impl Offers {
    pub(super) fn none(windows: &[Window]) -> Self {
        Self(windows.iter().map(|window| window.limit.into()).collect())
    }

    /// What is higher than all that was configured and told before. Only of a window that names the
    /// header: under the usual names the limit may be another window's. And of one that follows
    /// raises nothing is left unused.
    pub(super) fn news<'a>(
        &self,
        windows: &'a [Window],
        readings: &[Reading],
    ) -> SmallVec<[Offer<'a>; 1]> {
        let mut news = SmallVec::new();
        for ((window, highest), reading) in windows.iter().zip(&self.0).zip(readings) {
            let is_theirs = window.headers.limit.is_some() && !window.follows_raises;
            let told = reading.limit.filter(|_| is_theirs);
            let told = told.filter(|told| highest.fetch_max(*told, Relaxed) < *told);
            news.extend(told.map(|told| Offer { window, told }));
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(limit: u64) -> Reading {
        Reading {
            limit: Some(limit),
            ..Reading::default()
        }
    }

    #[test]
    fn a_higher_limit_is_news_once_and_a_still_higher_one_again() {
        let named = Window::per_utc_day(1000).limit_header("x-limit");
        let windows = [Window::per_minute(120), named];
        let offers = Offers::none(&windows);
        let news = |limit: u64| {
            let news = offers.news(&windows, &[told(limit), told(limit)]);
            let news = news.iter().map(|offer| (offer.window.limit, offer.told));
            news.collect::<Vec<_>>()
        };
        assert_eq!(news(1000), []);
        assert_eq!(news(30), []);
        assert_eq!(news(5000), [(1000, 5000)], "not of the one without a name");
        assert_eq!(news(5000), []);
        assert_eq!(news(1000), []);
        assert_eq!(news(5000), []);
        assert_eq!(news(25_000), [(1000, 25_000)]);
    }

    #[test]
    fn what_is_followed_or_not_told_is_no_news() {
        let named = Window::per_utc_day(1000).limit_header("x-limit");
        let followed = [named.clone().follow_raises(true)];
        let offers = Offers::none(&followed);
        assert!(offers.news(&followed, &[told(5000)]).is_empty());
        let offers = Offers::none(std::slice::from_ref(&named));
        assert!(offers.news(&[named], &[Reading::default()]).is_empty());
    }
}
