//! Who lost a login, by the books of the server and the store: never by what an account thinks.

use std::fmt;
use std::time::Duration;

use super::agenda::{Event, Facts, Life};
use super::faults::StoreKind;
use super::process::Failed;
use super::server::Acted;

/// A holder that has not ended its renewal for longer, since it was away, is beyond what a store
/// with leases can tell from a dead one: 75 s from its mark, which it wrote up to two round trips
/// before its request.
const LONGEST_RENEWAL: Duration = Duration::from_secs(72);
/// A holder that runs ends earlier than that, by its own time limits; one that was away for less
/// too.
const SHORTEST_AWAY: Duration = Duration::from_secs(5);
/// So long after a login, and after trouble with the store, each process has learned of it.
const LOGIN_IS_KNOWN: Duration = Duration::from_secs(60);
const SLOWEST_PERSON: Duration = Duration::from_secs(120);

/// Why a refresh token should not have been presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Haste {
    /// That process waits for the answer to the same refresh token.
    IsAsking(Life),
    /// The token is spent, and that process has its successor.
    Knows(Life),
    /// The token is spent, and its successor is in the store.
    InStore,
    /// A process has ended that said that all was saved.
    SaidSaved,
}

impl fmt::Display for Haste {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IsAsking(life) => write!(f, "{life} waits for an answer to it"),
            Self::Knows(life) => write!(f, "{life} has its successor"),
            Self::InStore => f.write_str("its successor is in the store"),
            Self::SaidSaved => f.write_str("its successor was said to be saved"),
        }
    }
}

/// What happened in one world, or in many.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tally {
    pub(super) requests: u64,
    /// Answers with a token that reached a process.
    pub(super) renewals: u64,
    pub(super) writes: u64,
    /// Presentations of a spent token, forgiven ones included.
    pub(super) spent_presented: u64,
    pub(super) lost_by_us: u64,
    pub(super) lost_unavoidably: u64,
    pub(super) false_logins: u64,
    pub(super) logins: u64,
    pub(super) stuck: u64,
    /// Expired tokens handed to a caller who did not wait.
    pub(super) expired: u64,
    /// Of callers that want a token, in seconds.
    pub(super) wanted: f64,
    pub(super) waited: f64,
    /// Of that: while a login was lost and nobody had logged in anew.
    pub(super) waited_for_person: f64,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.renewals += other.renewals;
        self.writes += other.writes;
        self.spent_presented += other.spent_presented;
        self.lost_by_us += other.lost_by_us;
        self.lost_unavoidably += other.lost_unavoidably;
        self.false_logins += other.false_logins;
        self.logins += other.logins;
        self.stuck += other.stuck;
        self.expired += other.expired;
        self.wanted += other.wanted;
        self.waited += other.waited;
        self.waited_for_person += other.waited_for_person;
    }

    pub(super) fn requests_per_renewal(&self) -> f64 {
        self.requests as f64 / self.renewals.max(1) as f64
    }

    pub(super) fn writes_per_renewal(&self) -> f64 {
        self.writes as f64 / self.renewals.max(1) as f64
    }

    /// Which part of the time callers had to wait although nobody had to log in.
    pub(super) fn part_waited(&self) -> f64 {
        (self.waited - self.waited_for_person) / self.wanted.max(1.0)
    }

    pub(super) fn part_for_person(&self) -> f64 {
        self.waited_for_person / self.wanted.max(1.0)
    }
}

pub(super) struct Judge {
    pub(super) tally: Tally,
    store: StoreKind,
    /// What went wrong through us.
    pub(super) findings: Vec<String>,
    /// Successors that a process which has ended said to be saved.
    pub(super) said_saved: Vec<String>,
    /// While the login is lost.
    lost_since: Option<Duration>,
    /// When logins were lost, until somebody logged in anew.
    losses: Vec<(Duration, Duration)>,
    person_is_coming: bool,
    logged_in_at: Duration,
}

impl Judge {
    pub(super) fn new(store: StoreKind) -> Self {
        Self {
            tally: Tally::default(),
            store,
            findings: Vec::new(),
            said_saved: Vec::new(),
            lost_since: None,
            losses: Vec::new(),
            person_is_coming: false,
            logged_in_at: Duration::ZERO,
        }
    }

    /// A caller waited for that long.
    pub(super) fn note_wait(&mut self, from: Duration, until: Duration) {
        self.tally.waited += (until - from).as_secs_f64();
        let open = self.lost_since.map(|since| (since, until));
        for (lost, found) in self.losses.iter().copied().chain(open) {
            let common = found.min(until).saturating_sub(lost.max(from));
            self.tally.waited_for_person += common.as_secs_f64();
        }
    }
}

impl Facts {
    fn find(&mut self, what: impl FnOnce() -> String) {
        let what = format!("at {:.3} s: {}", self.now.as_secs_f64(), what());
        self.trace("judge", || format!("FOUND: {what}"));
        self.judge.findings.push(what);
    }

    /// Why this process should not present that refresh token now.
    pub(super) fn haste(&self, life: Life, token: &str) -> Option<Haste> {
        let is_asking = self.server.waiting().find(|request| {
            let excused = self.is_excused(request.life, request.sent_at);
            request.token == token && self.is_alive(request.life) && !excused
        });
        if let Some(request) = is_asking {
            return Some(Haste::IsAsking(request.life));
        }
        let successors = self.server.successors(token);
        successors
            .iter()
            .find_map(|successor| self.whereabouts(successor, life))
    }

    /// Where a refresh token is that the server would take, if it is not gone.
    fn whereabouts(&self, token: &str, asked_by: Life) -> Option<Haste> {
        if self.store.refresh_token() == Some(token) {
            return Some(Haste::InStore);
        }
        if self.judge.said_saved.iter().any(|saved| saved == token) {
            return Some(Haste::SaidSaved);
        }
        self.standings.iter().enumerate().find_map(|(slot, one)| {
            let life = one.life(slot)?;
            let since = one.knows(token)?;
            let excused = life != asked_by && self.is_excused(life, since);
            (!excused).then_some(Haste::Knows(life))
        })
    }

    /// On a store that cannot tell, a holder that was away for too long is as good as dead.
    fn is_excused(&self, holder: Life, since: Duration) -> bool {
        let away = self.standing(holder).away(since, self.now);
        let is_late = self.now.saturating_sub(since) > LONGEST_RENEWAL;
        self.judge.store == StoreKind::TimeOut && is_late && away > SHORTEST_AWAY
    }

    pub(super) fn judge_act(&mut self, acted: &Acted) {
        let (first, second) = match *acted {
            Acted::Granted | Acted::Refused => return,
            Acted::Repeated => {
                self.judge.tally.spent_presented += 1;
                return;
            }
            Acted::Revoked { first, second } => (first, second),
        };
        self.judge.tally.spent_presented += 1;
        self.judge.lost_since.get_or_insert(self.now);
        let (first, second) = (self.server.request(first), self.server.request(second));
        // The one that was sent later may be the one that the server has seen first.
        let (earlier, later) = match second.sent_at >= first.sent_at {
            true => (first, second),
            false => (second, first),
        };
        // Where a successor was replaced it is the replacement that was hasty.
        let replaced = (first.token != second.token)
            .then_some(first.haste)
            .flatten();
        let Some(haste) = later.haste.or(replaced) else {
            self.judge.tally.lost_unavoidably += 1;
            return self.trace("judge", || "the login is lost, unavoidably".into());
        };
        let (token, life, sent_at) = (later.token.clone(), later.life, later.sent_at);
        let (other, before) = (earlier.life, earlier.sent_at);
        self.judge.tally.lost_by_us += 1;
        self.find(|| {
            let (sent_at, before) = (sent_at.as_secs_f64(), before.as_secs_f64());
            format!(
                "a login lost: {life} presented {token} at {sent_at:.3} s, although {haste}; \
                 {other} had presented it at {before:.3} s"
            )
        });
    }

    /// A caller of that process is told to log in.
    pub(super) fn judge_login(&mut self, life: Life, failed: &Failed, is_news: bool) {
        let lives = self.server.good().iter().any(|token| {
            let found = self.whereabouts(token, life);
            matches!(found, Some(Haste::InStore | Haste::Knows(_)))
        });
        let since = self.now.saturating_sub(self.judge.logged_in_at);
        let well = self
            .faults
            .store_was_well(life.slot, LOGIN_IS_KNOWN, self.now);
        let awake = self
            .standing(life)
            .away(self.now.saturating_sub(LOGIN_IS_KNOWN), self.now)
            .is_zero();
        let is_known = self.server.logins() == 1 || (since > LOGIN_IS_KNOWN && well && awake);
        if lives && is_known && is_news {
            self.judge.tally.false_logins += 1;
            let text = failed.text.clone();
            self.find(|| format!("{life} says falsely: {text}"));
        }
        if lives && !is_known {
            return;
        }
        if !std::mem::replace(&mut self.judge.person_is_coming, true) {
            let span = SLOWEST_PERSON.mul_f64(self.rng.f64());
            self.after(span, Event::LogIn);
        }
    }

    /// A person logs in, as another process would: with the right, if it is free within 15 s, and
    /// with a store that can be written.
    pub(super) fn log_in(&mut self) {
        let lost_for = self.now - self.judge.lost_since.unwrap_or(self.now);
        let is_patient = lost_for < SLOWEST_PERSON + Duration::from_secs(15);
        let held = self.store.is_held(self.now) && is_patient;
        if held || !self.faults.is_store_well(self.now) {
            return self.after(Duration::from_secs(1), Event::LogIn);
        }
        let (access_token, refresh_token) = self.server.log_in(self.now);
        self.save_login(&access_token, &refresh_token);
        self.judge.tally.logins += 1;
        self.judge.person_is_coming = false;
        self.judge.logged_in_at = self.now;
        if let Some(since) = self.judge.lost_since.take() {
            self.judge.losses.push((since, self.now));
        }
        self.trace("person", || {
            format!("logs in: {access_token}, {refresh_token}")
        });
    }

    /// A caller who did not wait got a token that has expired.
    pub(super) fn judge_expired(&mut self, life: Life, access_token: &str) {
        self.judge.tally.expired += 1;
        // An adopted token's age is the difference of two wall clocks.
        if !self.setup.class.sets_clocks() {
            self.find(|| format!("{life} hands out {access_token}, which has expired"));
        }
    }

    /// At the end of the world each process has to have a token.
    pub(super) fn judge_stuck(&mut self, life: Life) {
        self.judge.tally.stuck += 1;
        self.find(|| format!("{life} got no token in a healthy world"));
    }
}
