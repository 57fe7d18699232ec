//! What a request keeps from its first permit to its last answer: its quota, its terms and its
//! ticket.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use url::Url;

use super::evidence::{Learned, News};
use super::headers::Reading;
use super::limiter::{Asked, Granted, Limiter};
use super::open_body::OpenBody;
use super::place::{Claim, Entry};
use super::quota_line::{Offer, QuotaLine};
use super::quotas::Chosen;
use super::state::{Change, Settlement};
use super::ticket::Ticket;
use crate::clock::{Moment, Now};
use crate::cost::REQUESTS;
use crate::error::Error;
use crate::event::Event;
use crate::options::{RequestOptions, Terms};
use crate::passage::Outcome;
use crate::printable;

pub(super) struct Seat {
    pub(super) limiter: Arc<Limiter>,
    quota: Chosen,
    pub(super) terms: Terms,
    ticket: Ticket,
}

/// How a permit ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) now: Now,
    /// The quota rejected the request: nobody leaves before.
    pub(super) rejected: Option<Moment>,
    /// It was answered 401: its replay inherits the probe.
    pub(super) may_hold_probe: bool,
}

impl Seat {
    pub(super) fn new(limiter: Arc<Limiter>, (quota, terms): Asked, ticket: Ticket) -> Self {
        Self {
            limiter,
            quota,
            terms,
            ticket,
        }
    }

    pub(super) fn quota(&self) -> &QuotaLine {
        self.limiter.line(&self.quota)
    }

    /// Ends a permit of this seat, whatever a clock or an observer does.
    pub(super) fn end(&self, permit: Granted, outcome: Outcome<'_>) -> Ended {
        let now = self.limiter.now_after(permit.at);
        let quota = self.quota();
        let told;
        let settlement = match outcome {
            Outcome::Unsent => Settlement::Unsent,
            Outcome::Lost => Settlement::Lost,
            Outcome::Answered {
                status,
                headers,
                verdict,
                ..
            } => {
                told = quota.told(headers, &now);
                Settlement::Answered(quota.report(status, headers, verdict, &told, &now))
            }
        };
        let (change, alarm, news) = quota.settle(permit.id, self.ticket, &settlement, &now);
        if let Some(alarm) = alarm {
            quota.set(alarm, &*self.limiter.settings.clock, now);
        }
        self.limiter.touch();
        self.tell(permit, outcome, change, &now);
        for news in news {
            self.tell_news(news, now);
        }
        let mut ended = Ended {
            now,
            rejected: None,
            may_hold_probe: false,
        };
        if let Settlement::Answered(report) = &settlement {
            self.tell_offers(report.readings);
            ended.rejected = report.rejected.map(|_| match change {
                Change::ClosedUntil(moment) => moment,
                _ => now.moment,
            });
            ended.may_hold_probe = report.status == StatusCode::UNAUTHORIZED;
        }
        ended
    }

    /// Waits for the permit of another attempt. Its place in line is that of the first arrival.
    ///
    /// # Errors
    /// As [`Limiter::enter`].
    pub(super) async fn acquire(&self) -> Result<Granted, Error> {
        let now = self.limiter.settings.clock.now();
        let claim = Claim::Again(self.ticket);
        let entry = self.limiter.enter(&self.quota, claim, &self.terms, &now)?;
        match entry {
            Entry::Granted(_, permit) => Ok(permit),
            Entry::Waiting(place) => place.wait().await.map(|(_, permit)| permit),
        }
    }

    /// It will not come back for its replay; it was answered at `ended`.
    pub(super) fn abandon(&self, ended: Now) {
        let now = self.limiter.now_after(ended);
        self.quota().abandon(self.ticket, now);
    }

    /// The distributor's name for an exchange: in a header, or else in the body of an error.
    pub(super) fn request_id(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: Option<&[u8]>,
    ) -> Option<String> {
        let names = &self.limiter.settings.request_id_headers;
        let body = body.filter(|_| !status.is_success());
        printable::id_in(headers, names).or_else(|| printable::id_in_body(body?))
    }

    /// What changed the limiter's mind.
    fn tell_news(&self, news: News, now: Now) {
        let quota = self.quota().name.clone();
        let windows = &self.quota().quota().windows;
        let event = match news {
            News::Limit {
                window,
                told,
                adopted,
            } => {
                let Some(window) = windows.get(window) else {
                    return;
                };
                Event::LimitDiffers {
                    quota,
                    length: window.length(),
                    configured: window.limit,
                    told,
                    adopted,
                }
            }
            News::Learned(Learned {
                limit,
                length,
                names,
            }) => Event::WindowLearned {
                quota,
                limit,
                length,
                names,
            },
            News::Forgotten(Learned {
                limit,
                length,
                names,
            }) => Event::WindowForgotten {
                quota,
                limit,
                length,
                names,
            },
            News::Lies { names } => Event::HeadersDisbelieved { quota, names },
            News::PauseCapped { told, until } => Event::PauseCapped {
                quota,
                told: now.wall_at(told),
                until: now.wall_at(until),
            },
        };
        self.limiter.settings.events.emit(|| event);
    }

    /// A bigger plan than the configured one is not used by itself, and that would go unnoticed.
    fn tell_offers(&self, readings: &[Reading]) {
        let quota = self.quota();
        for Offer { window, told } in quota.offers(readings) {
            let event = || Event::HigherLimitOffered {
                quota: quota.name.clone(),
                length: window.length(),
                configured: window.limit,
                told,
            };
            self.limiter.settings.events.emit(event);
        }
    }

    /// The body of the last answer, while it counts.
    pub(super) fn open_body(&self) -> Option<OpenBody> {
        OpenBody::of(&self.limiter, &self.quota)
    }

    /// A redirect led to this URL: one request more, in the quota of its path, or where the caller
    /// named the quota in that.
    pub(super) fn charge_redirect(&self, url: &Url, is_named: bool) {
        let by_path = || self.limiter.quota(&RequestOptions::new(), url.path());
        let other = (!is_named).then(by_path).and_then(Result::ok);
        let quota = self.limiter.line(other.as_ref().unwrap_or(&self.quota));
        quota.charge(REQUESTS, 1, self.limiter.settings.clock.now());
    }

    fn tell(&self, permit: Granted, outcome: Outcome<'_>, change: Change, now: &Now) {
        let events = &self.limiter.settings.events;
        if !events.is_observed() {
            return;
        }
        let quota = || self.quota().name.clone();
        let elapsed = now.moment - permit.at.moment;
        match outcome {
            Outcome::Unsent => {}
            Outcome::Lost => events.emit(|| Event::Lost {
                quota: quota(),
                elapsed,
            }),
            Outcome::Answered {
                status,
                headers,
                body,
                ..
            } => {
                events.emit(|| Event::Answered {
                    quota: quota(),
                    status,
                    elapsed,
                    request_id: self.request_id(status, headers, body),
                });
                (self.limiter.unreadable).report(self.quota(), headers, events);
            }
        }
        match (change, outcome) {
            (
                Change::ClosedUntil(moment),
                Outcome::Answered {
                    status,
                    headers,
                    body,
                    ..
                },
            ) => {
                events.emit(|| Event::QuotaRejected {
                    quota: quota(),
                    status,
                    until: now.wall_at(moment),
                    request_id: self.request_id(status, headers, body),
                });
            }
            (Change::Reopened, _) => events.emit(|| Event::QuotaReopened { quota: quota() }),
            _ => {}
        }
    }
}
