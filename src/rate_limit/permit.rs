//! A permit for code that speaks to the distributor without the layers.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, StatusCode};

use super::limiter::{Granted, Limiter};
use super::place::Entry;
use super::seat::{Ended, Seat};
use crate::error::Error;
use crate::options::RequestOptions;
use crate::passage::Outcome;

/// The right to send one request, from [`Account::permit`](crate::Account::permit).
///
/// Tell it how the request ended; dropped, it counts as sent and never answered. What the client
/// sent beside that one request, because it followed a redirect, is for
/// [`Account::charge`](crate::Account::charge).
#[must_use = "a permit that is dropped counts as a request that was sent"]
pub struct Permit {
    seat: Seat,
    state: State,
    /// Whether an earlier attempt of the request was rejected.
    is_replay: bool,
}

#[derive(Clone, Copy)]
enum State {
    Held(Granted),
    Ended(Ended),
}

/// The quota rejected a request; from [`Permit::answered`].
///
/// Dropped, the request is given up.
#[derive(Debug)]
pub struct Rejected {
    permit: Permit,
    until: SystemTime,
}

impl Limiter {
    /// Waits for a permit.
    pub(crate) async fn permit(
        self: &Arc<Self>,
        path: &str,
        options: &RequestOptions,
    ) -> Result<Permit, Error> {
        let asked = self.ask(options, path, None);
        let (asked, entry) = asked.map_err(|error| self.told(error))?;
        let (ticket, granted) = match entry {
            Entry::Granted(ticket, granted) => (ticket, granted),
            Entry::Waiting(place) => place.wait().await.map_err(|error| self.told(error))?,
        };
        let seat = Seat::new(self.clone(), asked, ticket);
        Ok(Permit::new(seat, granted))
    }

    /// A permit, if there is one now. That there is none yet is no refusal, and nobody is told.
    pub(crate) fn try_permit(
        self: &Arc<Self>,
        path: &str,
        options: &RequestOptions,
    ) -> Result<Option<Permit>, Error> {
        let permit = self.permit_now(path, options);
        permit.map_err(|error| self.told(error))
    }

    fn permit_now(
        self: &Arc<Self>,
        path: &str,
        options: &RequestOptions,
    ) -> Result<Option<Permit>, Error> {
        let now = self.settings.clock.now();
        self.check_units(&options.costs)?;
        let quota = self.quota(options, path)?;
        let priority = options.priority.unwrap_or_default();
        let line = self.line(&quota);
        let granted = line.try_enter(priority, &options.costs, now);
        let granted = granted.map_err(|refusal| self.refused(line, refusal, now))?;
        Ok(granted.map(|(ticket, id)| {
            self.touch();
            let seat = Seat::new(self.clone(), (quota, options.terms(&now)), ticket);
            Permit::new(seat, Granted { id, at: now })
        }))
    }
}

impl Permit {
    fn new(seat: Seat, granted: Granted) -> Self {
        let state = State::Held(granted);
        Self {
            seat,
            state,
            is_replay: false,
        }
    }

    /// The request was answered: the quota learns what the status and the headers say of it. Some
    /// if that was a rejection by the quota, now closed for everybody; send again with the permit
    /// of [`Rejected::again`].
    ///
    /// Of the account's rules ([`Rule`](crate::Rule)) those count that need no body;
    /// [`answered_with`](Self::answered_with) takes one.
    pub fn answered(self, status: StatusCode, headers: &HeaderMap) -> Option<Rejected> {
        self.learn(status, headers, None)
    }

    /// The same, for rules that look into the answer's body.
    pub fn answered_with(
        self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Option<Rejected> {
        self.learn(status, headers, Some(body))
    }

    /// Nothing was sent, as when the connection was never made: the permit goes back.
    pub fn unsent(mut self) {
        self.end(Outcome::Unsent);
    }

    /// The name of its quota, as [`Account::charge`](crate::Account::charge) takes it.
    pub fn quota(&self) -> &str {
        &self.seat.quota().name
    }

    fn learn(
        mut self,
        status: StatusCode,
        headers: &HeaderMap,
        body: Option<&[u8]>,
    ) -> Option<Rejected> {
        let settings = &self.seat.limiter.settings;
        let verdict = settings.rules.verdict(status, headers, body);
        let verdict = verdict.map(|verdict| verdict.on_attempt(self.is_replay));
        let ended = self.end(Outcome::Answered {
            status,
            headers,
            verdict,
            body,
        })?;
        let until = ended.now.wall_at(ended.rejected?);
        let permit = self;
        Some(Rejected { permit, until })
    }

    fn end(&mut self, outcome: Outcome<'_>) -> Option<Ended> {
        let State::Held(granted) = self.state else {
            return None;
        };
        let ended = self.seat.end(granted, outcome);
        self.state = State::Ended(ended);
        Some(ended)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        match self.state {
            State::Held(granted) => drop(self.seat.end(granted, Outcome::Lost)),
            // Answered 401: whoever takes no other permit must not keep the probe.
            State::Ended(ended) if ended.may_hold_probe => self.seat.abandon(ended.now),
            State::Ended(_) => {}
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("account", &self.seat.limiter.settings.account)
            .field("quota", &self.seat.quota().name)
            .finish_non_exhaustive()
    }
}

impl Rejected {
    /// The end of the pause, as far as it is known now.
    pub fn until(&self) -> SystemTime {
        self.until
    }

    /// Waits for another permit for the same request, on the terms of the first: its place in line
    /// is that of its arrival, and the deadline stays.
    ///
    /// # Errors
    /// As [`Account::permit`](crate::Account::permit).
    ///
    /// # Cancel safety
    /// Dropping it leaves the line.
    pub async fn again(mut self) -> Result<Permit, Error> {
        let seat = &self.permit.seat;
        let granted = seat.acquire().await;
        let granted = granted.map_err(|error| seat.limiter.told(error))?;
        self.permit.state = State::Held(granted);
        self.permit.is_replay = true;
        Ok(self.permit)
    }
}
