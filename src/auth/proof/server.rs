//! The authorization server: it rotates refresh tokens, voids the family on reuse, and answers only
//! when it is told to and as badly as it is told to. It is also the witness of what was presented.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::shelf::Shelf;
use crate::auth::login::revoke::Revoked;
use crate::auth::oauth::endpoint::{Delivery, Presentation, TokenEndpoint};
use crate::auth::oauth::response::{Class, Refusal, Reply};
use crate::auth::testing::LIFETIMES;
use crate::clock::manual::HandClock;
use crate::clock::{BoxFuture, Clock, Moment, Now};

/// Of the [`LIFETIMES`].
pub(super) const TEN_MINUTES: usize = 5;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Token { lifetime: usize, rotated: bool },
    Salvage,
    Failing,
    Garbage,
    Throttled(u16),
    NotSent,
    Lost { seen: bool },
    InvalidGrant,
    InvalidClient,
}

/// What became of a refresh token once it was presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Rotated,
    Kept,
    Unspent,
    Void,
    Lost,
}

/// An access token as the server knows it.
#[derive(Clone)]
pub(super) struct Issued {
    pub(super) sent: Now,
    pub(super) lifetime: Option<Duration>,
    pub(super) successor: Option<String>,
    /// Not another process's.
    pub(super) ours: bool,
}

#[derive(Clone)]
pub(super) struct Server(Arc<Mutex<Serving>>, HandClock, Option<Shelf>);

#[derive(Default)]
pub(super) struct Serving {
    /// The refresh token that is good now.
    pub(super) current: Option<String>,
    /// The last one before it, whose repetition is forgiven.
    previous: Option<String>,
    /// Of former logins: refusing one voids nothing.
    former: HashSet<String>,
    pub(super) forgiving: bool,
    numbered: u32,
    fates: HashMap<String, Vec<Fate>>,
    /// When each token request came.
    pub(super) launches: Vec<Moment>,
    pub(super) issued: HashMap<String, Issued>,
    pending: Option<Pending>,
    /// The newest refresh token that reached the account.
    pub(super) delivered: Option<String>,
    /// The account has a reason to ask for a login.
    pub(super) doomed: bool,
    pub(super) violations: Vec<String>,
}

struct Pending {
    number: usize,
    sent: Now,
    presented: Option<String>,
    is_code: bool,
    /// Its refusal counts for nothing: what the store has seems new afterwards.
    is_forgotten: bool,
    reply: oneshot::Sender<Delivery>,
}

impl Server {
    pub(super) fn new(clock: HandClock, current: Option<&str>, forgiving: bool) -> Self {
        let serving = Serving {
            current: current.map(str::to_owned),
            forgiving,
            ..Serving::default()
        };
        Self(Arc::new(Mutex::new(serving)), clock, None)
    }

    /// Marks are looked for in that store.
    pub(super) fn beside(mut self, shelf: Option<&Shelf>) -> Self {
        self.2 = shelf.cloned();
        self
    }

    pub(super) fn serving(&self) -> MutexGuard<'_, Serving> {
        self.0.lock().expect("no panic")
    }

    pub(super) fn requests(&self) -> usize {
        self.serving().launches.len()
    }

    pub(super) fn is_asked(&self) -> bool {
        self.serving().pending.is_some()
    }

    /// Whether a code waits for its answer.
    pub(super) fn has_code(&self) -> bool {
        let serving = self.serving();
        serving
            .pending
            .as_ref()
            .is_some_and(|pending| pending.is_code)
    }

    fn ask(&self, presented: Option<String>, is_code: bool) -> BoxFuture<'static, Delivery> {
        let (reply, answer) = oneshot::channel();
        let sent = self.1.now();
        if let (Some(shelf), Some(presented), false) = (&self.2, &presented, is_code) {
            let violation = shelf.check_presented(presented);
            self.serving().violations.extend(violation);
        }
        let number = self.serving().accept(sent, presented, is_code, reply);
        let waiting = Waiting(self.clone(), number);
        Box::pin(async move {
            let _waiting = waiting;
            answer.await.expect("an answer")
        })
    }

    /// Answers the request that waits; false if none does.
    pub(super) fn answer(&self, answer: &Answer) -> bool {
        let mut serving = self.serving();
        let Some(pending) = serving.pending.take() else {
            return false;
        };
        let delivery = serving.deliver(answer, &pending);
        drop(serving);
        let _ = pending.reply.send(delivery);
        true
    }

    /// Another process renews with the refresh token it has: gives the new pair.
    pub(super) fn renew_for_other(&self, refresh_token: Option<&str>) -> Option<(String, String)> {
        let mut serving = self.serving();
        if refresh_token.is_some() && serving.current.as_deref() != refresh_token {
            return None;
        }
        let refresh_token = serving.rotate();
        // Another process's success shows that nothing was lost.
        serving.doomed = false;
        Some((serving.issue_to_other(self.1.now()), refresh_token))
    }

    /// Another process died before its answer came; the server may have acted.
    pub(super) fn lose_for_other(&self, acted: bool) {
        let mut serving = self.serving();
        if acted && serving.current.is_some() {
            serving.rotate();
            serving.doomed = true;
        }
    }

    /// A person logs in, by another process: gives the new pair.
    pub(super) fn log_in_for_other(&self) -> (String, String) {
        let mut serving = self.serving();
        serving.begin_family();
        let refresh_token = serving.rotate();
        serving.doomed = false;
        (serving.issue_to_other(self.1.now()), refresh_token)
    }
}

/// A request that is given up before its answer.
struct Waiting(Server, usize);

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut serving = self.0.serving();
        let given_up = serving.pending.take_if(|pending| pending.number == self.1);
        if let Some(Pending {
            presented: Some(presented),
            is_code: false,
            ..
        }) = given_up
        {
            serving.fate(&presented, Fate::Lost);
        }
    }
}

impl TokenEndpoint for Server {
    fn request<'a>(&'a self, presentation: Presentation<'a>) -> BoxFuture<'a, Delivery> {
        match presentation {
            Presentation::RefreshToken(token) => self.ask(Some(token.to_owned()), false),
            Presentation::AuthorizationCode { code, .. } => self.ask(Some(code.to_owned()), true),
            _ => self.ask(None, false),
        }
    }

    fn revoke<'a>(&'a self, _: Revoked<'a>) -> BoxFuture<'a, Delivery> {
        unreachable!("no test of these revokes")
    }
}

impl Serving {
    fn accept(
        &mut self,
        sent: Now,
        presented: Option<String>,
        is_code: bool,
        reply: oneshot::Sender<Delivery>,
    ) -> usize {
        if self.pending.is_some() {
            self.violations
                .push("A1: two token requests at once".into());
        }
        if let Some(presented) = &presented {
            self.check_presented(presented);
        }
        self.launches.push(sent.moment);
        let number = self.launches.len();
        self.pending = Some(Pending {
            number,
            sent,
            presented,
            is_code,
            is_forgotten: false,
            reply,
        });
        number
    }

    fn check_presented(&mut self, presented: &str) {
        let fates = self.fates.get(presented).map_or(&[][..], Vec::as_slice);
        let spent = fates.contains(&Fate::Rotated) || fates.contains(&Fate::Void);
        if spent {
            let text = format!("A4: {presented} presented once more after {fates:?}");
            self.violations.push(text);
        }
    }

    fn fate(&mut self, presented: &str, fate: Fate) {
        let fates = self.fates.entry(presented.to_owned()).or_default();
        if fate == Fate::Kept {
            fates.clear();
        }
        fates.push(fate);
    }

    /// What was issued before is another login's.
    fn begin_family(&mut self) {
        self.former.extend(self.current.take());
        self.former.extend(self.previous.take());
    }

    /// An account whose flight is torn down between a refusal and its landing has not heard of it;
    /// to present a void token once more does no harm.
    pub(super) fn forget_refusals(&mut self) {
        for fates in self.fates.values_mut() {
            fates.retain(|fate| *fate != Fate::Void);
        }
        if let Some(pending) = &mut self.pending {
            pending.is_forgotten = true;
        }
    }

    fn rotate(&mut self) -> String {
        self.numbered += 1;
        let next = format!("r{}", self.numbered);
        self.previous = self.current.replace(next.clone());
        next
    }

    fn issue(&mut self, sent: Now, lifetime: usize, successor: Option<String>) -> String {
        self.numbered += 1;
        let token = format!("a{}", self.numbered);
        let lifetime = LIFETIMES[lifetime].1;
        let issued = Issued {
            sent,
            lifetime,
            successor,
            ours: true,
        };
        self.issued.insert(token.clone(), issued);
        token
    }

    fn issue_to_other(&mut self, sent: Now) -> String {
        let token = self.issue(sent, TEN_MINUTES, None);
        let issued = self.issued.get_mut(&token).expect("just issued");
        issued.ours = false;
        token
    }

    /// Whether the server grants it at all.
    fn is_good(&self, pending: &Pending) -> bool {
        let Some(presented) = &pending.presented else {
            return true;
        };
        let repeated = self.forgiving && self.previous.as_ref() == Some(presented);
        pending.is_code || self.current.as_ref() == Some(presented) || repeated
    }

    fn deliver(&mut self, answer: &Answer, pending: &Pending) -> Delivery {
        match answer {
            Answer::Failing => self.unspent(pending, 503, "gone for lunch", None),
            Answer::Garbage => self.unspent(pending, 200, "<html>welcome</html>", None),
            Answer::InvalidClient => {
                self.unspent(pending, 401, r#"{"error":"invalid_client"}"#, None)
            }
            Answer::Throttled(after) => self.unspent(pending, 429, "slower", Some(*after)),
            Answer::NotSent => {
                self.note(pending, Fate::Unspent);
                Delivery::NotSent(Refusal::new(Class::Transient, "no route"))
            }
            Answer::Lost { seen } => {
                if *seen && pending.presented.is_some() && self.is_good(pending) {
                    self.rotate();
                }
                self.note(pending, Fate::Lost);
                Delivery::Lost {
                    refusal: Refusal::new(Class::Transient, "reset"),
                    is_closed: true,
                }
            }
            Answer::InvalidGrant => self.invalid_grant(pending),
            Answer::Token { .. } | Answer::Salvage if !self.is_good(pending) => {
                self.invalid_grant(pending)
            }
            Answer::Salvage if pending.presented.is_none() => {
                self.unspent(pending, 200, "{}", None)
            }
            Answer::Salvage => {
                let next = self.hand_out(pending);
                reply(200, format!(r#"{{"refresh_token":"{next}"}}"#), None)
            }
            Answer::Token { lifetime, rotated } => self.grant(pending, *lifetime, *rotated),
        }
    }

    fn note(&mut self, pending: &Pending, fate: Fate) {
        if let (Some(presented), false) = (&pending.presented, pending.is_code) {
            self.fate(presented, fate);
        }
    }

    fn unspent(&mut self, of: &Pending, status: u16, body: &str, after: Option<u16>) -> Delivery {
        self.note(of, Fate::Unspent);
        reply(status, body.to_owned(), after)
    }

    fn invalid_grant(&mut self, pending: &Pending) -> Delivery {
        if !pending.is_code && pending.presented.is_some() {
            let fate = match pending.is_forgotten {
                true => Fate::Unspent,
                false => Fate::Void,
            };
            self.note(pending, fate);
            let presented = pending.presented.as_deref().unwrap_or_default();
            if !self.former.contains(presented) {
                self.current = None;
                self.previous = None;
                self.doomed = true;
            }
        }
        reply(400, r#"{"error":"invalid_grant"}"#.into(), None)
    }

    fn grant(&mut self, pending: &Pending, lifetime: usize, rotated: bool) -> Delivery {
        let current = self.current.clone();
        let keeps = !rotated && !pending.is_code && current == pending.presented;
        let next = match &pending.presented {
            None => None,
            Some(_) if keeps => {
                self.note(pending, Fate::Kept);
                None
            }
            Some(_) => Some(self.hand_out(pending)),
        };
        let token = self.issue(pending.sent, lifetime, next.clone());
        let next = next.map_or(String::new(), |next| {
            format!(r#","refresh_token":"{next}""#)
        });
        let lifetime = LIFETIMES[lifetime].0;
        let body = format!(r#"{{"access_token":"{token}"{lifetime}{next}}}"#);
        reply(200, body, None)
    }

    fn hand_out(&mut self, pending: &Pending) -> String {
        self.note(pending, Fate::Rotated);
        if pending.is_code {
            self.begin_family();
            self.doomed = false;
        }
        let next = self.rotate();
        self.delivered = Some(next.clone());
        next
    }
}

fn reply(status: u16, body: String, retry_after: Option<u16>) -> Delivery {
    let value = retry_after.map(HeaderValue::from);
    let header = value.map(|value| (http::header::RETRY_AFTER, value));
    Delivery::Answered {
        reply: Reply {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::from_iter(header),
            body: Zeroizing::new(body.into_bytes()),
        },
        secrets: Vec::new(),
    }
}
