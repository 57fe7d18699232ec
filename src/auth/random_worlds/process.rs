//! A process: an account, a runtime and a clock of its own, and the callers that want a token.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::runtime::Runtime;

use super::agenda::{Common, Event, Facts, Life};
use super::server::ServerPort;
use super::store::StorePort;
use crate::auth::cache::state::Need;
use crate::auth::testing::{Log, oauth, settings};
use crate::auth::{AuthSettings, Authenticator, Grant, OAuthSettings};
use crate::clock::manual::HandClock;
use crate::clock::{Clock, Moment};
use crate::error::{Error, ErrorKind};
use crate::observe::event::{self, Events, Observer};
use crate::options::Patience;

/// The refresh token of the configuration.
pub(super) const CONFIGURED: &str = "r1.1";
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// By so much the wall clocks of two processes differ at most, unless somebody sets one.
const MOST_SKEW: Duration = Duration::from_secs(1);
const MOST_WAITING: usize = 3;
const LONGEST_QUIT: Duration = Duration::from_secs(100);

/// How a process stands, as the others and the judge see it.
pub(super) struct Standing {
    number: u32,
    is_alive: bool,
    pub(super) stopped_until: Option<Duration>,
    /// When it was stopped or cut off from the store.
    away: Vec<(Duration, Duration)>,
    /// Refresh tokens that it has had in its memory, and since when it was about them.
    known: BTreeMap<String, Duration>,
}

impl Standing {
    pub(super) fn new() -> Self {
        Self {
            number: 0,
            is_alive: false,
            stopped_until: None,
            away: Vec::new(),
            known: BTreeMap::new(),
        }
    }

    pub(super) fn is(&self, life: Life) -> bool {
        self.is_alive && self.number == life.number
    }

    pub(super) fn life(&self, slot: usize) -> Option<Life> {
        let number = self.number;
        self.is_alive.then_some(Life { slot, number })
    }

    fn begin(&mut self) {
        self.number += 1;
        self.is_alive = true;
        self.stopped_until = None;
        self.known.clear();
    }

    pub(super) fn learn(&mut self, token: String, since: Duration) {
        self.known.entry(token).or_insert(since);
    }

    pub(super) fn knows(&self, token: &str) -> Option<Duration> {
        self.known.get(token).copied()
    }

    pub(super) fn is_away(&mut self, from: Duration, until: Duration) {
        self.away.push((from, until));
    }

    /// How much of that time it was stopped or cut off.
    pub(super) fn away(&self, since: Duration, now: Duration) -> Duration {
        let common = |(from, until): &(Duration, Duration)| {
            (*until).min(now).saturating_sub((*from).max(since))
        };
        self.away.iter().map(common).sum()
    }
}

/// How a caller's wait, or a flush, ended.
pub(super) struct Failed {
    pub(super) kind: ErrorKind,
    pub(super) text: String,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self {
            kind: error.kind(),
            text: error.to_string(),
        }
    }
}

enum Ended {
    /// A caller, with the access token that it got.
    Asked(Result<String, Failed>),
    Flushed(Result<(), Failed>),
}

pub(super) struct Process {
    common: Common,
    pub(super) life: Life,
    authenticator: Arc<Authenticator>,
    runtime: Runtime,
    clock: HandClock,
    /// What the world's time was when the clock began, and what that showed.
    began: (Duration, Moment),
    ended: Arc<Mutex<BTreeMap<u64, Ended>>>,
    waiting: usize,
    /// How many callers came, the next one included.
    callers: u64,
    /// As a rule the next request comes so long after the last.
    gap: Duration,
    wanting_since: Option<Duration>,
    waiting_since: Option<Duration>,
    failures: u32,
    /// Since a caller got a token last.
    told_to_log_in: bool,
    quits: bool,
    pub(super) served_at: Duration,
}

/// A clock that has just begun, whose wall shows that time of the world.
fn clock(time: Duration) -> HandClock {
    let clock = HandClock::new();
    let seconds = time.as_secs();
    clock.turn_to(clock.now().moment + (time - Duration::from_secs(seconds)));
    clock.set_wall(i64::try_from(seconds).unwrap_or_default());
    clock
}

/// What wall clocks show at that time of the world.
pub(super) fn wall(now: Duration) -> SystemTime {
    HandClock::new().now().wall + now
}

/// Events, for the trace.
struct Told(Common, Life);

impl Observer for Told {
    fn on_event(&self, _: &str, event: &event::Event) {
        self.0.facts().trace(self.1, || format!("tells {event:?}"));
    }
}

fn account(common: &Common, life: Life, clock: &HandClock, traced: bool) -> AuthSettings {
    let store = StorePort {
        common: common.clone(),
        life,
    };
    let oauth = OAuthSettings {
        store: Some(Arc::new(store)),
        ..oauth(Grant::refresh_token(CONFIGURED))
    };
    let told: Vec<Arc<dyn Observer>> = match traced {
        true => vec![Arc::new(Told(common.clone(), life))],
        false => Vec::new(),
    };
    AuthSettings {
        oauth: Some(oauth),
        clock: Arc::new(clock.clone()),
        events: Events::new("world".into(), told),
        ..settings(None, &Log::default())
    }
}

impl Process {
    pub(super) fn start(common: &Common, slot: usize) -> Self {
        let mut facts = common.facts();
        facts.standings[slot].begin();
        let life = facts.standings[slot].life(slot).expect("it has begun");
        let now = facts.now;
        let skew = (facts.setup.lifetime / 100).min(MOST_SKEW);
        let skew = skew.mul_f64(facts.rng.f64());
        let gap = (facts.setup.lead() / 30).max(Duration::from_millis(300));
        let gap = gap.mul_f64(0.5 + facts.rng.f64());
        let traced = facts.traced;
        facts.trace(life, || "starts".into());
        drop(facts);
        let clock = clock(now + skew);
        let began = (now, clock.now().moment);
        let endpoint = Box::new(ServerPort {
            common: common.clone(),
            life,
        });
        let account = account(common, life, &clock, traced);
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let mut process = Self {
            common: common.clone(),
            life,
            authenticator: Arc::new(Authenticator::with_endpoint(account, endpoint)),
            runtime: runtime.expect("a runtime"),
            clock,
            began,
            ended: Arc::default(),
            waiting: 0,
            callers: 0,
            gap,
            wanting_since: None,
            waiting_since: None,
            failures: 0,
            told_to_log_in: false,
            quits: false,
            served_at: Duration::ZERO,
        };
        process.ask_after(Duration::ZERO);
        process
    }

    fn is_stopped(&self) -> bool {
        self.common
            .facts()
            .standing(self.life)
            .stopped_until
            .is_some()
    }

    /// When its next timer rings; a stopped process hears none.
    pub(super) fn next_turn(&self) -> Option<Duration> {
        let turn = self.clock.next_turn()?;
        let (world, moment) = self.began;
        Some(world + (turn - moment))
    }

    pub(super) fn set_wall(&self, seconds: i64) {
        self.clock.set_wall(seconds);
    }

    fn turn(&self) {
        let (world, moment) = self.began;
        let now = self.common.facts().now;
        self.clock.turn_to(moment + (now - world));
    }

    /// Lets it run until all of it waits for something.
    pub(super) fn run(&mut self) {
        if self.is_stopped() {
            return;
        }
        self.turn();
        loop {
            let before = self.common.facts().calls;
            self.runtime.block_on(async {
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
            });
            if self.common.facts().calls == before {
                break;
            }
        }
        self.take_ended();
    }

    fn take_ended(&mut self) {
        let ended = std::mem::take(&mut *self.ended.lock().expect("no panic"));
        for ended in ended.into_values() {
            match ended {
                Ended::Asked(outcome) => {
                    self.waiting -= 1;
                    self.asked(outcome);
                }
                Ended::Flushed(outcome) => self.flushed(outcome),
            }
        }
    }

    fn spawn(&mut self, what: impl Future<Output = Ended> + Send + 'static) {
        let number = self.common.facts().number();
        let ended = self.ended.clone();
        self.runtime.spawn(async move {
            let outcome = what.await;
            ended.lock().expect("no panic").insert(number, outcome);
        });
    }

    /// A caller wants a token.
    pub(super) fn ask(&mut self) {
        if self.is_stopped() || self.quits {
            return;
        }
        self.turn();
        let now = self.common.facts().now;
        self.wanting_since.get_or_insert(now);
        let ready = {
            let _inside = self.runtime.enter();
            let cache = self.authenticator.cache().expect("a cache");
            cache.ready(self.clock.now())
        };
        match ready {
            Some(token) => self.take(token.secret()),
            None => self.wait(),
        }
        self.run();
    }

    /// A token that is handed out without waiting.
    fn take(&mut self, access_token: &str) {
        let mut facts = self.common.facts();
        let expiry = facts.server.expiry(access_token);
        if expiry.is_none_or(|expiry| expiry < facts.now) {
            facts.judge_expired(self.life, access_token);
        }
        drop(facts);
        self.served(access_token);
    }

    fn wait(&mut self) {
        let now = self.common.facts().now;
        self.waiting_since.get_or_insert(now);
        if self.waiting >= MOST_WAITING {
            return self.ask_after(self.gap);
        }
        self.waiting += 1;
        let patience = self.patience();
        let authenticator = self.authenticator.clone();
        self.spawn(async move {
            let cache = authenticator.cache().expect("a cache");
            let token = cache.token(Need::Usable, patience).await;
            let token = token.map(|token| token.secret().to_owned());
            Ended::Asked(token.map_err(Failed::from))
        });
        // Others come while it waits.
        if self.waiting < MOST_WAITING && self.common.facts().rng.u8(..3) == 0 {
            self.ask_after(self.gap);
        }
    }

    fn patience(&self) -> Patience {
        let mut facts = self.common.facts();
        let now = self.clock.now().moment;
        let short = (!facts.faults.is_quiet(facts.now) && facts.rng.u8(..4) == 0)
            .then(|| now + Duration::from_secs(20).mul_f64(facts.rng.f64()));
        Patience {
            deadline: short,
            max_wait: LONGEST_WAIT,
        }
    }

    /// The next caller comes then; there is one at a time who is still to come.
    fn ask_after(&mut self, span: Duration) {
        self.callers += 1;
        let ask = Event::Ask(self.life, self.callers);
        self.common.facts().after(span, ask);
    }

    pub(super) fn is_next(&self, number: u64) -> bool {
        number == self.callers
    }

    fn asked(&mut self, outcome: Result<String, Failed>) {
        match outcome {
            Ok(access_token) => self.served(&access_token),
            Err(failed) => self.refused(&failed),
        }
    }

    fn refused(&mut self, failed: &Failed) {
        let common = self.common.clone();
        let mut facts = common.facts();
        facts.trace(self.life, || format!("refuses a caller: {}", failed.text));
        if failed.kind == ErrorKind::LoginRequired {
            let is_news = !std::mem::replace(&mut self.told_to_log_in, true);
            facts.judge_login(self.life, failed, is_news);
        }
        drop(facts);
        self.failures = (self.failures + 1).min(6);
        let gap = (self.gap * (1 << self.failures)).min(Duration::from_secs(30));
        if self.waiting == 0 {
            self.ask_after(gap);
        }
    }

    fn served(&mut self, access_token: &str) {
        let common = self.common.clone();
        let mut facts = common.facts();
        let now = facts.now;
        self.failures = 0;
        self.told_to_log_in = false;
        self.served_at = now;
        if let Some(since) = self.waiting_since.take() {
            facts.judge.note_wait(since, now);
            facts.trace(self.life, || format!("serves a caller with {access_token}"));
        }
        let expiry = facts.server.expiry(access_token).unwrap_or_default();
        let span = self.next_gap(&mut facts, expiry);
        drop(facts);
        if self.waiting == 0 {
            self.ask_after(span);
        }
    }

    /// The next request that is of interest: while a token is fresh, all of them are served.
    fn next_gap(&mut self, facts: &mut Facts, expiry: Duration) -> Duration {
        let quiet = facts.faults.is_quiet(facts.now);
        if !quiet && facts.rng.u8(..30) == 0 {
            let pause = facts.setup.lifetime.mul_f64(3.0 * facts.rng.f64());
            self.pause(facts);
            return pause;
        }
        let gap = self.gap.mul_f64(0.5 + facts.rng.f64());
        let due = expiry.saturating_sub(facts.setup.lead().mul_f64(1.2));
        due.saturating_sub(facts.now) + gap
    }

    /// Nobody wants a token for a while.
    fn pause(&mut self, facts: &mut Facts) {
        let now = facts.now;
        if let Some(since) = self.waiting_since.take() {
            facts.judge.note_wait(since, now);
        }
        if let Some(since) = self.wanting_since.take() {
            facts.judge.tally.wanted += (now - since).as_secs_f64();
        }
    }

    /// SIGSTOP.
    pub(super) fn stop(&mut self, span: Duration) {
        if self.is_stopped() {
            return;
        }
        let common = self.common.clone();
        let mut facts = common.facts();
        self.pause(&mut facts);
        let now = facts.now;
        let until = facts.faults.no_later(now + span);
        facts.trace(self.life, || {
            format!("stops until {:.3}", until.as_secs_f64())
        });
        let standing = &mut facts.standings[self.life.slot];
        standing.stopped_until = Some(until);
        standing.is_away(now, until);
        facts.at(until, Event::Continue(self.life));
    }

    /// SIGCONT.
    pub(super) fn go_on(&mut self) {
        let mut facts = self.common.facts();
        facts.standings[self.life.slot].stopped_until = None;
        facts.trace(self.life, || "goes on".into());
        drop(facts);
        self.ask_after(Duration::ZERO);
        self.run();
    }

    /// An ordinary end begins.
    pub(super) fn quit(&mut self) {
        if self.quits {
            return;
        }
        self.quits = true;
        let mut facts = self.common.facts();
        facts.trace(self.life, || "quits".into());
        facts.after(LONGEST_QUIT, Event::Kill(self.life));
        drop(facts);
        let authenticator = self.authenticator.clone();
        self.spawn(async move {
            let flushed = authenticator.flush().await;
            Ended::Flushed(flushed.map_err(Failed::from))
        });
        self.run();
    }

    fn flushed(&mut self, outcome: Result<(), Failed>) {
        let mut facts = self.common.facts();
        facts.trace(self.life, || match &outcome {
            Ok(()) => "flushed".into(),
            Err(failed) => format!("did not flush: {}", failed.text),
        });
        if outcome.is_ok() {
            let known = facts.standing(self.life).known.keys().cloned();
            let known: Vec<_> = known.collect();
            facts.judge.said_saved.extend(known);
        }
        facts.after(Duration::ZERO, Event::Kill(self.life));
    }

    /// SIGKILL: nothing of it has any effect from now on.
    pub(super) fn kill(mut self) {
        let common = self.common.clone();
        let mut facts = common.facts();
        self.pause(&mut facts);
        facts.trace(self.life, || "ends".into());
        let standing = &mut facts.standings[self.life.slot];
        standing.is_alive = false;
        standing.stopped_until = None;
        facts.store.ended(self.life);
    }

    /// When the world ends, it still counts how long it has waited.
    pub(super) fn settle(&mut self) {
        let common = self.common.clone();
        let mut facts = common.facts();
        self.pause(&mut facts);
    }
}
