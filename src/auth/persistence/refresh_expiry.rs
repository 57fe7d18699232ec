//! Whether the end of a refresh token is near, and nothing extends it. Pure.
//!
//! Many servers give a new lifetime with each renewal: the end of such a token moves away, and is
//! no news as long as renewals succeed. One that stays where it was ends the login.

use std::time::{Duration, SystemTime};

/// A person has this long to log in again.
const NEAR: Duration = Duration::from_secs(7 * 86_400);
/// Reports of the same end are this far apart.
const BETWEEN_REPORTS: Duration = Duration::from_secs(86_400);
/// Ends that differ by less are the same: they are told in whole seconds, from moments that differ.
const TOLERATED: Duration = Duration::from_secs(60);

/// What was seen of the end of an account's refresh token.
#[derive(Debug, Default)]
pub(in crate::auth) struct RefreshExpiry {
    seen: Option<SystemTime>,
    reported: Option<SystemTime>,
}

impl RefreshExpiry {
    /// A renewal left the refresh token with this end. Gives the end if it is worth a report.
    pub(in crate::auth) fn renewed(
        &mut self,
        end: Option<SystemTime>,
        now: SystemTime,
    ) -> Option<SystemTime> {
        let before = std::mem::replace(&mut self.seen, end);
        let (end, before) = (end?, before?);
        let is_same = apart(end, before) < TOLERATED;
        let is_near = end.duration_since(now).unwrap_or_default() < NEAR;
        let was_reported = self
            .reported
            .is_some_and(|then| apart(now, then) < BETWEEN_REPORTS);
        if !is_same || !is_near || was_reported {
            return None;
        }
        self.reported = Some(now);
        Some(end)
    }
}

fn apart(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other)
        .unwrap_or_else(|error| error.duration())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: f64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs_f64(day * 86_400.0)
    }

    #[test]
    fn an_end_that_moves_away_with_each_renewal_is_no_news() {
        let mut expiry = RefreshExpiry::default();
        for now in 0..100 {
            let now = f64::from(now) / 10.0;
            assert_eq!(expiry.renewed(Some(day(now + 1.0)), day(now)), None);
        }
    }

    #[test]
    fn an_end_that_stays_is_reported_once_a_day_in_its_last_week() {
        let mut expiry = RefreshExpiry::default();
        let reports = (0..900).filter(|now| {
            let now = day(f64::from(*now) / 10.0);
            expiry.renewed(Some(day(90.0)), now).is_some()
        });
        let reports: Vec<_> = reports.collect();
        assert_eq!(reports.len(), 7);
        assert!(reports[0] > 830, "{reports:?}");
    }

    #[test]
    fn an_unknown_end_is_never_reported() {
        let mut expiry = RefreshExpiry::default();
        assert_eq!(expiry.renewed(None, day(1.0)), None);
        assert_eq!(expiry.renewed(None, day(2.0)), None);
    }
}
