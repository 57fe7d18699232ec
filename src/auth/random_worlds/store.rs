//! The store that all processes share: a folder with a lock, or something with leases that run out.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::agenda::{Common, Event, Facts, Life};
use super::faults::StoreKind;
use crate::auth::persistence::record::Tokens;
use crate::auth::store::{Lease, Record, Swap, TokenStore};
use crate::error::BoxError;

pub(super) struct Store {
    kind: StoreKind,
    stored: Option<Stored>,
    held: Option<Held>,
    calls: BTreeMap<u64, Pending>,
    /// How many seconds its clock is ahead.
    ahead: i64,
}

struct Stored {
    record: Record,
    refresh_token: Option<String>,
    saved_at: Duration,
}

struct Held {
    by: Life,
    id: String,
    /// By the store's clock; a lock has no end.
    until: Option<Duration>,
}

#[derive(Debug)]
enum Call {
    Load,
    Swap { expected: Option<u64>, new: Record },
    Lease { id: String, lifetime: Duration },
    Release { id: String },
}

pub(super) enum Reply {
    Loaded(Option<Record>),
    Swapped(Swap),
    Leased(Lease),
    Released,
}

pub(super) type Sender = oneshot::Sender<Result<Reply, BoxError>>;

/// A call that is under way.
struct Pending {
    life: Life,
    call: Call,
    fails: bool,
    acted: bool,
    /// What it came to, once it has taken effect.
    reply: Option<Reply>,
    /// None once the caller has an answer; a call may take effect later.
    sender: Option<Sender>,
    /// It has taken the lock, which is free again if the caller does not get to know.
    took_lock: bool,
}

impl Pending {
    fn is_awaited(&self) -> bool {
        self.sender
            .as_ref()
            .is_some_and(|sender| !sender.is_closed())
    }
}

impl Store {
    pub(super) fn new(kind: StoreKind) -> Self {
        Self {
            kind,
            stored: None,
            held: None,
            calls: BTreeMap::new(),
            ahead: 0,
        }
    }

    pub(super) fn refresh_token(&self) -> Option<&str> {
        self.stored.as_ref()?.refresh_token.as_deref()
    }

    /// So late it is by the store's own clock.
    fn time(&self, now: Duration) -> Duration {
        // The world began a day after the clock did, so that it can be set back.
        let now = now + Duration::from_secs(86_400);
        let ahead = Duration::from_secs(self.ahead.unsigned_abs());
        match self.ahead < 0 {
            true => now.saturating_sub(ahead),
            false => now + ahead,
        }
    }

    pub(super) fn set_clock(&mut self, seconds: i64) {
        self.ahead += seconds;
    }

    pub(super) fn lease_vanishes(&mut self) {
        if self.kind == StoreKind::TimeOut {
            self.held = None;
        }
    }

    /// Whether somebody has the right to renew.
    pub(super) fn is_held(&self, now: Duration) -> bool {
        let time = self.time(now);
        let held = self.held.as_ref();
        held.is_some_and(|held| held.until.is_none_or(|until| until > time))
    }

    fn load(&self, now: Duration) -> Option<Record> {
        let stored = self.stored.as_ref()?;
        let age = self.time(now).saturating_sub(stored.saved_at);
        let record = stored.record.clone();
        // Files have no clock but the wall's, which each process sees for itself.
        Some(match self.kind {
            StoreKind::FileLock => record,
            StoreKind::TimeOut => record.with_age(age),
        })
    }

    fn swap(&mut self, expected: Option<u64>, new: &Record, now: Duration) -> Swap {
        let version = self.stored.as_ref().map(|stored| stored.record.version);
        if version != expected {
            return Swap::Conflict(self.load(now));
        }
        self.put(new.clone(), now);
        Swap::Saved
    }

    fn put(&mut self, record: Record, now: Duration) {
        self.stored = Some(Stored {
            refresh_token: refresh_token(&record),
            record,
            saved_at: self.time(now),
        });
    }

    /// Whether the right is new to the one who asks.
    fn lease(&mut self, by: Life, id: &str, lifetime: Duration, now: Duration) -> (Lease, bool) {
        let time = self.time(now);
        let previous_is_dead = self.kind == StoreKind::FileLock;
        let until = match self.kind {
            StoreKind::FileLock => None,
            StoreKind::TimeOut => Some(time + lifetime),
        };
        if let Some(held) = self.held.as_ref().filter(|_| self.is_held(now)) {
            if held.id != id {
                let left = held.until.map(|until| until.saturating_sub(time));
                return (Lease::Held { left }, false);
            }
        }
        let id = id.to_owned();
        let before = self.held.replace(Held { by, id, until });
        let is_new = before.is_none_or(|before| before.until.is_some_and(|until| until <= time));
        (Lease::Granted { previous_is_dead }, is_new)
    }

    fn release(&mut self, id: &str) {
        self.held.take_if(|held| held.id == id);
    }

    /// Nobody got to know that this call has taken the lock: its handle is closed.
    fn give_up_lock(&mut self, number: u64) {
        let Some(Pending {
            call: Call::Lease { id, .. },
            took_lock: true,
            ..
        }) = self.calls.get(&number)
        else {
            return;
        };
        if self.kind == StoreKind::FileLock {
            self.held.take_if(|held| held.id == *id);
        }
    }

    /// The process is gone: what the system held for it is free, what it did within itself ends.
    pub(super) fn ended(&mut self, life: Life) {
        if self.kind == StoreKind::FileLock {
            self.held.take_if(|held| held.by == life);
            self.calls.retain(|_, pending| pending.life != life);
        }
    }
}

fn refresh_token(record: &Record) -> Option<String> {
    Tokens::from_bytes(&record.bytes)
        .ok()?
        .refresh_token
        .clone()
}

/// What the process writes by which a person logs in: the one place that knows of what a record
/// is made.
fn login_record(
    access_token: &str,
    refresh_token: &str,
    wall: Duration,
    lived: Duration,
    before: Option<&Record>,
) -> Tokens {
    let before = before.and_then(|record| Tokens::from_bytes(&record.bytes).ok());
    let login = before.and_then(|tokens| tokens.login).unwrap_or_default();
    let mut tokens = Tokens::new(None, Some(refresh_token));
    tokens.access_token = Some(access_token.to_owned());
    tokens.issued_at = Some(wall.as_secs_f64());
    tokens.expires_at = Some((wall + lived).as_secs_f64());
    tokens.login = Some(login + 1);
    tokens
}

impl Facts {
    /// A person has logged in by another process, which saves what that brought.
    pub(super) fn save_login(&mut self, access_token: &str, refresh_token: &str) {
        let wall = super::process::wall(self.now);
        let wall = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let present = self.store.stored.as_ref().map(|stored| &stored.record);
        let lived = self.setup.lifetime;
        let tokens = login_record(access_token, refresh_token, wall, lived, present);
        let version = present.map_or(1, |record| record.version + 1);
        let record = Record::new(version, tokens.to_bytes());
        self.store.put(record, self.now);
    }

    fn call(&mut self, life: Life, call: Call) -> oneshot::Receiver<Result<Reply, BoxError>> {
        let (sender, reply) = oneshot::channel();
        let writes = matches!(call, Call::Swap { .. });
        let plan = self.faults.plan_call(life, writes, self.now, &mut self.rng);
        self.trace(life, || format!("{call}: {plan:?}"));
        let number = self.number();
        let pending = Pending {
            life,
            call,
            fails: plan.fails,
            acted: plan.acts_at.is_none(),
            reply: None,
            sender: Some(sender),
            took_lock: false,
        };
        self.store.calls.insert(number, pending);
        if let Some(at) = plan.acts_at {
            self.at(at, Event::StoreActs(number));
        }
        if let Some(at) = plan.replies_at {
            self.at(at, Event::StoreReplies(number));
        }
        reply
    }

    pub(super) fn store_acts(&mut self, number: u64) {
        let Some(mut pending) = self.store.calls.remove(&number) else {
            return;
        };
        let life = pending.life;
        // A stopped process does nothing, its blocking threads included.
        let stopped = self.standing(life).stopped_until;
        if let (StoreKind::FileLock, Some(until)) = (self.store.kind, stopped) {
            self.store.calls.insert(number, pending);
            return self.at(until, Event::StoreActs(number));
        }
        let reply = self.act(&mut pending);
        self.trace("store", || {
            format!("did {} of {life}: {reply}", pending.call)
        });
        pending.reply = Some(reply);
        pending.acted = true;
        if pending.sender.is_some() {
            self.store.calls.insert(number, pending);
        }
    }

    fn act(&mut self, pending: &mut Pending) -> Reply {
        let (now, life) = (self.now, pending.life);
        match &pending.call {
            Call::Load => Reply::Loaded(self.store.load(now)),
            Call::Swap { expected, new } => {
                let swapped = self.store.swap(*expected, new, now);
                self.judge.tally.writes += u64::from(swapped == Swap::Saved);
                Reply::Swapped(swapped)
            }
            Call::Lease { id, lifetime } => {
                if self.store.kind == StoreKind::FileLock && !pending.is_awaited() {
                    return Reply::Leased(Lease::Held { left: None });
                }
                let (lease, is_new) = self.store.lease(life, id, *lifetime, now);
                if lease.is_granted() && is_new {
                    pending.took_lock = true;
                    self.flight_began(life);
                }
                Reply::Leased(lease)
            }
            Call::Release { id } => {
                self.store.release(id);
                Reply::Released
            }
        }
    }

    pub(super) fn store_replies(
        &mut self,
        number: u64,
    ) -> Option<(Life, Sender, Result<Reply, BoxError>)> {
        let pending = self.store.calls.get(&number)?;
        let life = pending.life;
        let stopped = self.standing(life).stopped_until;
        if let (StoreKind::FileLock, Some(until)) = (self.store.kind, stopped) {
            // After what it does then.
            self.at(until, Event::StoreReplies(number));
            return None;
        }
        let fails = pending.fails || self.faults.is_cut_off(life, self.now);
        let is_awaited = pending.is_awaited();
        if fails || !is_awaited {
            self.store.give_up_lock(number);
        }
        let pending = self.store.calls.get_mut(&number)?;
        let sender = pending.sender.take()?;
        let reply = match pending.reply.take() {
            Some(reply) if !fails => Ok(reply),
            _ => Err("the store failed".into()),
        };
        if is_awaited && self.is_alive(life) {
            self.note_reply(number, &reply);
        }
        if self.store.calls[&number].acted {
            self.store.calls.remove(&number);
        }
        self.is_alive(life).then_some((life, sender, reply))
    }

    fn note_reply(&mut self, number: u64, reply: &Result<Reply, BoxError>) {
        let Pending { life, call, .. } = &self.store.calls[&number];
        let life = *life;
        self.trace(life, || match reply {
            Ok(reply) => format!("learns of {call}: {reply}"),
            Err(_) => format!("learns that {call} failed"),
        });
        if let Ok(Reply::Loaded(Some(record)) | Reply::Swapped(Swap::Conflict(Some(record)))) =
            reply
        {
            if let Some(token) = refresh_token(record) {
                self.standings[life.slot].learn(token, self.now);
            }
        }
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Load => f.write_str("load"),
            Self::Swap { expected, new } => {
                let bytes = String::from_utf8_lossy(&new.bytes);
                write!(f, "swap {expected:?} by {} {bytes}", new.version)
            }
            Self::Lease { id, .. } => write!(f, "lease {id}"),
            Self::Release { id } => write!(f, "release {id}"),
        }
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Loaded(record) => show(f, "loaded", record.as_ref()),
            Self::Swapped(Swap::Saved) => f.write_str("saved"),
            Self::Swapped(Swap::Conflict(other)) => show(f, "conflict", other.as_ref()),
            Self::Leased(lease) => write!(f, "{lease:?}"),
            Self::Released => f.write_str("released"),
        }
    }
}

fn show(f: &mut std::fmt::Formatter<'_>, what: &str, record: Option<&Record>) -> std::fmt::Result {
    match record {
        None => write!(f, "{what} nothing"),
        Some(record) => {
            let token = refresh_token(record);
            let token = token.as_deref().unwrap_or("no refresh token");
            write!(f, "{what} version {} with {token}", record.version)
        }
    }
}

/// The store as one process reaches it.
pub(super) struct StorePort {
    pub(super) common: Common,
    pub(super) life: Life,
}

impl StorePort {
    async fn call(&self, call: Call) -> Result<Reply, BoxError> {
        let reply = {
            let mut facts = self.common.facts();
            facts.calls += 1;
            match facts.is_alive(self.life) {
                true => Some(facts.call(self.life, call)),
                false => None,
            }
        };
        match reply {
            Some(reply) => match reply.await {
                Ok(reply) => reply,
                // Its process is about to end.
                Err(_) => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }
}

#[async_trait]
impl TokenStore for StorePort {
    async fn load(&self, _: &str) -> Result<Option<Record>, BoxError> {
        match self.call(Call::Load).await? {
            Reply::Loaded(record) => Ok(record),
            _ => unreachable!("the answer to a load"),
        }
    }

    async fn compare_and_swap(
        &self,
        _: &str,
        expected: Option<u64>,
        new: &Record,
    ) -> Result<Swap, BoxError> {
        let new = new.clone();
        match self.call(Call::Swap { expected, new }).await? {
            Reply::Swapped(swap) => Ok(swap),
            _ => unreachable!("the answer to a swap"),
        }
    }

    async fn lease(&self, _: &str, id: &str, lifetime: Duration) -> Result<Lease, BoxError> {
        let id = id.to_owned();
        match self.call(Call::Lease { id, lifetime }).await? {
            Reply::Leased(lease) => Ok(lease),
            _ => unreachable!("the answer to a lease"),
        }
    }

    async fn release(&self, _: &str, id: &str) -> Result<(), BoxError> {
        let id = id.to_owned();
        self.call(Call::Release { id }).await.map(drop)
    }

    fn abandon(&self, _: &str, id: &str) {
        let mut facts = self.common.facts();
        if facts.is_alive(self.life) && facts.store.kind == StoreKind::FileLock {
            facts.store.release(id);
        }
    }
}
