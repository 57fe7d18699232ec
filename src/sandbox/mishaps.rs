//! Which of the injected faults a request meets.
//!
//! Pure: the time and the dice are arguments. A fault's own time is the wall clock's, since it is
//! injected from a thread whose tokio clock may stand still.

use std::time::{Duration, SystemTime};

use super::fault::{Dose, Fault, Outage};

/// The active faults, in the order of their injection.
#[derive(Default)]
pub(super) struct Mishaps {
    active: Vec<Active>,
}

struct Active {
    fault: Fault,
    since: SystemTime,
    seen: u64,
}

/// What happens to a token request, beside its delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenMishap {
    Down,
    Html,
    Lost,
    Throttled(Duration),
}

/// What happens to an API request before the quota sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GateMishap {
    Unauthorized,
    NotSubscribed,
    RateLimited,
    QuotaSpent,
}

/// What happens to an API request that the quota accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BackendMishap {
    ServerError,
    Reset,
    Hang(Duration),
}

impl Mishaps {
    pub(super) fn inject(&mut self, fault: Fault, now: SystemTime) {
        self.active.push(Active {
            fault,
            since: now,
            seen: 0,
        });
    }

    pub(super) fn clear(&mut self) {
        self.active.clear();
    }

    /// How much longer the token endpoint takes.
    pub(super) fn token_delay(&self) -> Duration {
        let delay = |active: &Active| match active.fault {
            Fault::TokenSlow(span) => Some(span),
            _ => None,
        };
        let delays = self.active.iter().filter_map(delay);
        delays.fold(Duration::ZERO, Duration::saturating_add)
    }

    pub(super) fn at_token_endpoint(&mut self, now: SystemTime) -> Option<TokenMishap> {
        self.first(|active| {
            let (meets, mishap) = match active.fault {
                Fault::TokenDown(Outage::Requests(n)) => (active.next(n), TokenMishap::Down),
                Fault::TokenDown(Outage::Span(span)) => {
                    (active.lasts(span, now), TokenMishap::Down)
                }
                Fault::TokenHtml(n) => (active.next(n), TokenMishap::Html),
                Fault::TokenLost(n) => (active.next(n), TokenMishap::Lost),
                Fault::TokenThrottled {
                    requests,
                    retry_after,
                } => (active.next(requests), TokenMishap::Throttled(retry_after)),
                _ => return None,
            };
            meets.then_some(mishap)
        })
    }

    pub(super) fn at_gate(&mut self, random: &mut fastrand::Rng) -> Option<GateMishap> {
        self.first(|active| {
            let (meets, mishap) = match active.fault {
                Fault::Unauthorized(dose) => (active.dose(dose, random), GateMishap::Unauthorized),
                Fault::NotSubscribed(n) => (active.next(n), GateMishap::NotSubscribed),
                Fault::RateLimited(n) => (active.next(n), GateMishap::RateLimited),
                Fault::QuotaSpent(n) => (active.next(n), GateMishap::QuotaSpent),
                _ => return None,
            };
            meets.then_some(mishap)
        })
    }

    pub(super) fn at_backend(&mut self, random: &mut fastrand::Rng) -> Option<BackendMishap> {
        self.first(|active| {
            let (meets, mishap) = match active.fault {
                Fault::ServerError(dose) => (active.dose(dose, random), BackendMishap::ServerError),
                Fault::Reset(dose) => (active.dose(dose, random), BackendMishap::Reset),
                Fault::Hang { requests, span } => {
                    (active.next(requests), BackendMishap::Hang(span))
                }
                _ => return None,
            };
            meets.then_some(mishap)
        })
    }

    fn first<T>(&mut self, meets: impl FnMut(&mut Active) -> Option<T>) -> Option<T> {
        self.active.iter_mut().find_map(meets)
    }
}

impl Active {
    /// Whether this is one of the next `requests`.
    fn next(&mut self, requests: u64) -> bool {
        self.seen = self.seen.saturating_add(1);
        self.seen <= requests
    }

    /// A wall clock that was set back only makes it last longer.
    fn lasts(&self, span: Duration, now: SystemTime) -> bool {
        now.duration_since(self.since)
            .map_or(true, |elapsed| elapsed < span)
    }

    fn dose(&mut self, dose: Dose, random: &mut fastrand::Rng) -> bool {
        match dose {
            Dose::Next(requests) => self.next(requests),
            Dose::Ratio(ratio) => random.f64() < ratio,
            Dose::Every(every) => {
                self.seen = self.seen.saturating_add(1);
                self.seen.checked_rem(every) == Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    fn mishaps(texts: &[&str]) -> Mishaps {
        let mut mishaps = Mishaps::default();
        for text in texts {
            mishaps.inject(text.parse().expect(text), START);
        }
        mishaps
    }

    fn dice() -> fastrand::Rng {
        fastrand::Rng::with_seed(1)
    }

    #[test]
    fn a_counted_fault_meets_so_many_requests_and_then_the_next_fault_has_its_turn() {
        let mut mishaps = mishaps(&["token-html=2", "token-down=1"]);
        let met: Vec<_> = (0..4).map(|_| mishaps.at_token_endpoint(START)).collect();
        let expected = [
            Some(TokenMishap::Html),
            Some(TokenMishap::Html),
            Some(TokenMishap::Down),
            None,
        ];
        assert_eq!(met, expected);
    }

    #[test]
    fn an_outage_ends_by_itself() {
        let mut mishaps = mishaps(&["token-down=3s"]);
        let at = |millis| START + Duration::from_millis(millis);
        assert_eq!(
            mishaps.at_token_endpoint(at(2_999)),
            Some(TokenMishap::Down)
        );
        assert_eq!(mishaps.at_token_endpoint(at(3_000)), None);
    }

    #[test]
    fn every_third_means_the_third_the_sixth_and_so_on() {
        let mut mishaps = mishaps(&["unauthorized=every-3"]);
        let mut dice = dice();
        let met: Vec<_> = (1..=7)
            .filter(|_| mishaps.at_gate(&mut dice).is_some())
            .collect();
        assert_eq!(met, [3, 6]);
        assert_eq!(
            self::mishaps(&["reset=every-0"]).at_backend(&mut dice),
            None
        );
    }

    #[test]
    fn a_ratio_meets_about_its_share() {
        let mut mishaps = mishaps(&["server-error=20%"]);
        let mut dice = dice();
        let met = (0..10_000).filter(|_| mishaps.at_backend(&mut dice).is_some());
        assert!((1_800..2_200).contains(&met.count()));
    }

    #[test]
    fn faults_of_one_place_are_not_used_up_by_another() {
        let mut mishaps = mishaps(&["token-lost=1", "not-subscribed=1", "hang=1x5s"]);
        let mut dice = dice();
        let hang = BackendMishap::Hang(Duration::from_secs(5));
        assert_eq!(mishaps.at_backend(&mut dice), Some(hang));
        assert_eq!(mishaps.at_gate(&mut dice), Some(GateMishap::NotSubscribed));
        assert_eq!(mishaps.at_token_endpoint(START), Some(TokenMishap::Lost));
    }

    #[test]
    fn what_is_cleared_meets_nobody() {
        let mut mishaps = mishaps(&["token-slow=800ms", "token-down=5"]);
        assert_eq!(mishaps.token_delay(), Duration::from_millis(800));
        mishaps.clear();
        assert_eq!(mishaps.token_delay(), Duration::ZERO);
        assert_eq!(mishaps.at_token_endpoint(START), None);
    }
}
