//! The authorization server, and its own book of what it issued and what came back.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::agenda::{Common, Event, Facts, Life};
use super::faults::{ServerFault, ServerKind};
use super::judge::Haste;
use crate::auth::login::revoke::Revoked;
use crate::auth::oauth::endpoint::{Delivery, Presentation, TokenEndpoint};
use crate::auth::oauth::response::{Class, Refusal, Reply};
use crate::clock::BoxFuture;

/// For so long a forgiving server takes a spent refresh token again.
const GRACE: Duration = Duration::from_secs(10);

pub(super) struct Server {
    kind: ServerKind,
    lifetime: Duration,
    numbered: u64,
    families: Vec<Family>,
    refresh_tokens: HashMap<String, RefreshToken>,
    /// Until when each access token is good.
    access_tokens: HashMap<String, Duration>,
    requests: BTreeMap<u64, Request>,
    /// Of the requests: those whose sender waits for the answer.
    waiting: BTreeSet<u64>,
}

#[derive(Default)]
struct Family {
    revoked: bool,
    /// The refresh tokens that are good now, the newest last.
    good: Vec<String>,
}

struct RefreshToken {
    family: usize,
    spent: Option<Spent>,
}

#[derive(Clone)]
struct Spent {
    at: Duration,
    /// The request that has spent it.
    by: u64,
    successor: String,
}

pub(super) struct Request {
    pub(super) life: Life,
    pub(super) token: String,
    pub(super) sent_at: Duration,
    /// Why it should not have been sent.
    pub(super) haste: Option<Haste>,
    fault: Option<ServerFault>,
    answer: Answer,
    reply: Option<oneshot::Sender<Delivery>>,
}

/// What the server says.
enum Answer {
    Nothing,
    Granted {
        access_token: String,
        refresh_token: Option<String>,
    },
    InvalidGrant,
}

/// What the server did with a presentation.
pub(super) enum Acted {
    Granted,
    /// The token was spent before, or its family is gone: no harm done.
    Repeated,
    Refused,
    /// It revoked the family for it. Both requests that presented the token.
    Revoked {
        first: u64,
        second: u64,
    },
}

impl Server {
    pub(super) fn new(kind: ServerKind, lifetime: Duration) -> Self {
        Self {
            kind,
            lifetime,
            numbered: 0,
            families: Vec::new(),
            refresh_tokens: HashMap::new(),
            access_tokens: HashMap::new(),
            requests: BTreeMap::new(),
            waiting: BTreeSet::new(),
        }
    }

    /// A person logs in: a new family begins.
    pub(super) fn log_in(&mut self, now: Duration) -> (String, String) {
        self.families.push(Family::default());
        let refresh_token = self.issue_refresh_token(self.families.len() - 1);
        (self.issue_access_token(now), refresh_token)
    }

    /// The refresh tokens of the newest login that are good now.
    pub(super) fn good(&self) -> &[String] {
        self.families.last().map_or(&[], |family| &family.good)
    }

    /// How many people have logged in.
    pub(super) fn logins(&self) -> usize {
        self.families.len()
    }

    pub(super) fn expiry(&self, access_token: &str) -> Option<Duration> {
        self.access_tokens.get(access_token).copied()
    }

    pub(super) fn request(&self, number: u64) -> &Request {
        &self.requests[&number]
    }

    /// Requests whose sender waits for the answer.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Request> {
        self.waiting.iter().map(|number| &self.requests[number])
    }

    /// Those that replace a spent token; none if it is not spent, or of no living login.
    pub(super) fn successors(&self, token: &str) -> &[String] {
        match self.refresh_tokens.get(token) {
            Some(RefreshToken {
                family,
                spent: Some(_),
            }) => &self.families[*family].good,
            _ => &[],
        }
    }

    fn issue_access_token(&mut self, now: Duration) -> String {
        self.numbered += 1;
        let token = format!("a{}", self.numbered);
        self.access_tokens
            .insert(token.clone(), now + self.lifetime);
        token
    }

    fn issue_refresh_token(&mut self, family: usize) -> String {
        self.numbered += 1;
        let token = format!("r{}.{}", family + 1, self.numbered);
        let spent = None;
        self.refresh_tokens
            .insert(token.clone(), RefreshToken { family, spent });
        self.families[family].good.push(token.clone());
        token
    }

    fn grant(&mut self, request: u64, refresh_token: Option<String>, now: Duration) {
        let access_token = self.issue_access_token(now);
        self.answer(
            request,
            Answer::Granted {
                access_token,
                refresh_token,
            },
        );
    }

    fn answer(&mut self, request: u64, answer: Answer) {
        if let Some(request) = self.requests.get_mut(&request) {
            request.answer = answer;
        }
    }

    fn act(&mut self, number: u64, rotates: bool, now: Duration) -> Acted {
        let token = self.requests[&number].token.clone();
        let Some(known) = self.refresh_tokens.get(&token) else {
            self.answer(number, Answer::InvalidGrant);
            return Acted::Refused;
        };
        let family = known.family;
        if self.families[family].revoked {
            self.answer(number, Answer::InvalidGrant);
            return Acted::Refused;
        }
        match known.spent.clone() {
            Some(spent) => self.act_on_spent(number, &token, family, &spent, now),
            None if rotates => {
                self.rotate(number, &token, family, now);
                Acted::Granted
            }
            None => {
                self.grant(number, None, now);
                Acted::Granted
            }
        }
    }

    fn rotate(&mut self, number: u64, token: &str, family: usize, now: Duration) {
        let successor = self.issue_refresh_token(family);
        self.spend(token, number, &successor, now);
        self.grant(number, Some(successor), now);
    }

    fn spend(&mut self, token: &str, by: u64, successor: &str, at: Duration) {
        let Some(known) = self.refresh_tokens.get_mut(token) else {
            return;
        };
        let successor = successor.to_owned();
        known.spent = Some(Spent { at, by, successor });
        let family = known.family;
        self.families[family].good.retain(|good| good != token);
    }

    fn act_on_spent(
        &mut self,
        number: u64,
        token: &str,
        family: usize,
        spent: &Spent,
        now: Duration,
    ) -> Acted {
        let forgiven = now - spent.at <= GRACE;
        let successor_is_good = self.families[family].good.contains(&spent.successor);
        match self.kind {
            ServerKind::SameAnswer if forgiven => {
                self.grant(number, Some(spent.successor.clone()), now);
            }
            ServerKind::ReplacedSibling if forgiven && successor_is_good => {
                let sibling = self.issue_refresh_token(family);
                self.spend(&spent.successor, number, &sibling, now);
                if let Some(known) = self.refresh_tokens.get_mut(token) {
                    let successor = sibling.clone();
                    known.spent = Some(Spent {
                        successor,
                        ..spent.clone()
                    });
                }
                self.grant(number, Some(sibling), now);
            }
            ServerKind::FreeSiblings if forgiven => {
                let sibling = self.issue_refresh_token(family);
                self.grant(number, Some(sibling), now);
            }
            _ => {
                self.families[family].revoked = true;
                self.families[family].good.clear();
                self.answer(number, Answer::InvalidGrant);
                let first = spent.by;
                return Acted::Revoked {
                    first,
                    second: number,
                };
            }
        }
        Acted::Repeated
    }

    /// What its sender gets of that request now; none if nobody waits for it any more.
    fn deliver(&mut self, number: u64) -> Option<(oneshot::Sender<Delivery>, Delivery)> {
        let lifetime = self.lifetime.as_secs();
        let request = self.requests.get_mut(&number)?;
        let reply = request.reply.take()?;
        let delivery = match request.fault {
            Some(fault) => fault.delivery(),
            None => request.answer.delivery(lifetime),
        };
        Some((reply, delivery))
    }
}

impl ServerFault {
    fn delivery(self) -> Delivery {
        let refusal = |what: &str| Refusal::new(Class::Transient, what);
        match self {
            Self::Refused => Delivery::NotSent(refusal("connection refused")),
            Self::Unavailable => answered(503, "out of order".into()),
            Self::GatewayTimeoutAfterActing => answered(504, "gateway time-out".into()),
            Self::ForbiddenPage => answered(403, "<html>Request blocked</html>".into()),
            Self::ClosedUnread | Self::LostAfterActing | Self::Slow => Delivery::Lost {
                refusal: refusal("connection reset"),
                is_closed: true,
            },
        }
    }
}

impl Answer {
    fn delivery(&self, lifetime: u64) -> Delivery {
        match self {
            Self::Nothing => answered(500, String::new()),
            Self::InvalidGrant => answered(400, r#"{"error":"invalid_grant"}"#.into()),
            Self::Granted {
                access_token,
                refresh_token,
            } => {
                let refresh_token = match refresh_token {
                    Some(token) => format!(r#","refresh_token":"{token}""#),
                    None => String::new(),
                };
                let body = format!(
                    r#"{{"access_token":"{access_token}","expires_in":{lifetime}{refresh_token}}}"#
                );
                answered(200, body)
            }
        }
    }
}

fn answered(status: u16, body: String) -> Delivery {
    Delivery::Answered {
        reply: Reply {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::new(),
            body: Zeroizing::new(body.into_bytes()),
        },
        secrets: Vec::new(),
    }
}

impl Facts {
    /// A token request leaves.
    fn send(&mut self, life: Life, token: &str) -> (u64, oneshot::Receiver<Delivery>) {
        let (reply, delivery) = oneshot::channel();
        let number = self.number();
        let plan = self.faults.plan_request(self.now, &mut self.rng);
        let haste = self.haste(life, token);
        self.trace(life, || match haste {
            Some(haste) => format!("presents {token}, although {haste}: {plan:?}"),
            None => format!("presents {token}: {plan:?}"),
        });
        let request = Request {
            life,
            token: token.to_owned(),
            sent_at: self.now,
            haste,
            fault: plan.fault,
            answer: Answer::Nothing,
            reply: Some(reply),
        };
        self.server.requests.insert(number, request);
        self.server.waiting.insert(number);
        self.judge.tally.requests += 1;
        if let Some(at) = plan.acts_at {
            self.at(at, Event::ServerActs(number));
        }
        self.at(plan.replies_at, Event::ServerReplies(number));
        (number, delivery)
    }

    pub(super) fn server_acts(&mut self, number: u64) {
        let rotates = match self.server.kind {
            ServerKind::Reusable => false,
            ServerKind::RotatesSometimes => self.rng.bool(),
            _ => true,
        };
        let acted = self.server.act(number, rotates, self.now);
        self.trace("server", || {
            let request = self.server.request(number);
            let outcome = match &acted {
                Acted::Granted => "grants",
                Acted::Repeated => "forgives",
                Acted::Refused => "refuses",
                Acted::Revoked { .. } => "REVOKES the family for",
            };
            let token = &request.token;
            format!("{outcome} {token} to {}: {}", request.life, request.answer)
        });
        self.judge_act(&acted);
        self.token_issued();
    }

    pub(super) fn server_replies(
        &mut self,
        number: u64,
    ) -> Option<(Life, oneshot::Sender<Delivery>, Delivery)> {
        let life = self.server.request(number).life;
        let (reply, delivery) = self.server.deliver(number)?;
        self.is_alive(life).then_some((life, reply, delivery))
    }

    /// The sender has got the answer.
    fn received(&mut self, number: u64) {
        self.server.waiting.remove(&number);
        let request = self.server.request(number);
        let (life, sent_at) = (request.life, request.sent_at);
        let mut learned = None;
        if let (None, Answer::Granted { refresh_token, .. }) = (request.fault, &request.answer) {
            learned.clone_from(refresh_token);
            self.judge.tally.renewals += 1;
        }
        self.trace(life, || format!("is answered: {}", self.heard(number)));
        if let Some(token) = learned {
            self.standings[life.slot].learn(token, sent_at);
        }
    }

    fn heard(&self, number: u64) -> String {
        let request = self.server.request(number);
        match request.fault {
            Some(fault) => format!("{fault:?}"),
            None => request.answer.to_string(),
        }
    }

    /// The sender waits no longer, or lives no longer.
    fn given_up(&mut self, number: u64) {
        if self.server.waiting.remove(&number) {
            let life = self.server.request(number).life;
            self.trace(life, || "gives its token request up".into());
        }
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::InvalidGrant => f.write_str("invalid_grant"),
            Self::Granted {
                access_token,
                refresh_token,
            } => {
                let refresh_token = refresh_token.as_deref().unwrap_or("the same");
                write!(f, "{access_token}, {refresh_token}")
            }
        }
    }
}

/// The server as one process reaches it.
pub(super) struct ServerPort {
    pub(super) common: Common,
    pub(super) life: Life,
}

impl TokenEndpoint for ServerPort {
    fn request<'a>(&'a self, presentation: Presentation<'a>) -> BoxFuture<'a, Delivery> {
        let Presentation::RefreshToken(token) = presentation else {
            unreachable!("the account has a refresh token");
        };
        let mut facts = self.common.facts();
        facts.calls += 1;
        if !facts.is_alive(self.life) {
            return Box::pin(std::future::pending());
        }
        let (number, delivery) = facts.send(self.life, token);
        drop(facts);
        let waiting = Waiting(self.common.clone(), number);
        Box::pin(async move {
            let delivery = delivery.await.expect("an answer");
            waiting.0.facts().received(waiting.1);
            delivery
        })
    }

    fn revoke<'a>(&'a self, _: Revoked<'a>) -> BoxFuture<'a, Delivery> {
        unreachable!("no process revokes")
    }
}

/// A request that may be given up before its answer.
struct Waiting(Common, u64);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.facts().given_up(self.1);
    }
}
