//! What the processes, the store and the server have in common: the time, what happens next, and
//! the books of both.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fastrand::Rng;

use super::faults::{Class, Fault, Faults, Setup, StoreFault, span};
use super::judge::Judge;
use super::process::Standing;
use super::server::Server;
use super::store::Store;

/// Of how many renewals something happens to just that process, or to just that lease.
const AIMED: f64 = 0.02;
/// In how many renewals store or server fail for a while.
const AIMED_WINDOW: f64 = 0.02;

/// A process from its start to its end; the next one in its place is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) slot: usize,
    pub(super) number: u32,
}

/// What happens at a time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    Start(usize),
    /// A caller of that process wants a token, unless another was to come since.
    Ask(Life, u64),
    Kill(Life),
    /// An ordinary end: flush, then exit.
    Quit(Life),
    Stop(Life, Duration),
    Continue(Life),
    /// Somebody sets the wall clock of that machine.
    SetWall(usize, i64),
    StoreActs(u64),
    StoreReplies(u64),
    LeaseVanishes,
    SetStoreClock(i64),
    ServerActs(u64),
    ServerReplies(u64),
    /// A person logs in.
    LogIn,
    /// All processes ask for the last time.
    LastAsk,
    End,
}

#[derive(Clone)]
pub(super) struct Common(Arc<Mutex<Facts>>);

impl Common {
    pub(super) fn new(setup: &Setup, rng: Rng, traced: bool) -> Self {
        Self(Arc::new(Mutex::new(Facts {
            now: Duration::ZERO,
            agenda: BTreeMap::new(),
            numbered: 0,
            calls: 0,
            rng,
            standings: (0..setup.processes).map(|_| Standing::new()).collect(),
            faults: Faults::new(setup),
            store: Store::new(setup.store),
            server: Server::new(setup.server, setup.lifetime),
            judge: Judge::new(setup.store),
            setup: setup.clone(),
            traced,
        })))
    }

    pub(super) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().expect("no panic")
    }
}

pub(super) struct Facts {
    /// Since the world began.
    pub(super) now: Duration,
    agenda: BTreeMap<(Duration, u64), Event>,
    numbered: u64,
    /// Calls of the account to its ports: while there are some, it is still busy.
    pub(super) calls: u64,
    pub(super) rng: Rng,
    pub(super) standings: Vec<Standing>,
    pub(super) faults: Faults,
    pub(super) store: Store,
    pub(super) server: Server,
    pub(super) judge: Judge,
    pub(super) setup: Setup,
    pub(super) traced: bool,
}

impl Facts {
    pub(super) fn number(&mut self) -> u64 {
        self.numbered += 1;
        self.numbered
    }

    pub(super) fn at(&mut self, time: Duration, event: Event) {
        let number = self.number();
        self.agenda.insert((time.max(self.now), number), event);
    }

    pub(super) fn after(&mut self, span: Duration, event: Event) {
        self.at(self.now + span, event);
    }

    pub(super) fn next_time(&self) -> Option<Duration> {
        self.agenda.keys().next().map(|(time, _)| *time)
    }

    pub(super) fn next(&mut self) -> Option<Event> {
        let ((time, _), event) = self.agenda.pop_first()?;
        self.now = time;
        Some(event)
    }

    pub(super) fn trace(&self, who: impl std::fmt::Display, what: impl FnOnce() -> String) {
        if self.traced {
            println!("{:12.3} {who:>6}  {}", self.now.as_secs_f64(), what());
        }
    }

    pub(super) fn standing(&self, life: Life) -> &Standing {
        &self.standings[life.slot]
    }

    pub(super) fn is_alive(&self, life: Life) -> bool {
        self.standing(life).is(life)
    }

    /// The process begins a renewal: some are killed or stopped during just that.
    pub(super) fn flight_began(&mut self, life: Life) {
        let soon = self.setup.round_trip.mul_f64(3.0 * self.rng.f64());
        if self.draws(Class::Kills, AIMED) {
            self.after(soon, Event::Kill(life));
        }
        if self.draws(Class::Stops, AIMED) {
            let length = span(&mut self.rng, 0.5, 600.0);
            self.after(soon, Event::Stop(life, length));
        }
    }

    /// A token was issued: some faults begin when its renewal is due.
    pub(super) fn token_issued(&mut self) {
        for kind in [Class::Store, Class::Server] {
            if self.draws(kind, AIMED_WINDOW) {
                let early = self.setup.lead().mul_f64(1.2 * self.rng.f64());
                let from = self.now + self.setup.lifetime - early;
                self.open_window(from, kind);
            }
        }
        let clocks = [Event::LeaseVanishes, Event::SetStoreClock(self.step())];
        for event in clocks {
            if self.draws(Class::Store, AIMED) {
                let early = self.setup.lead().mul_f64(1.1 * self.rng.f64());
                self.after(self.setup.lifetime - early, event);
            }
        }
    }

    pub(super) fn open_window(&mut self, from: Duration, kind: Class) {
        let window = self.faults.open(from, kind, &mut self.rng);
        if let Fault::Store(StoreFault::CutOff(slot)) = window.fault {
            self.standings[slot].is_away(window.from, window.until);
        }
        self.trace("world", || format!("will have {window:?}"));
    }

    /// By how many seconds a clock is set.
    pub(super) fn step(&mut self) -> i64 {
        self.rng.i64(-120..=120)
    }

    pub(super) fn draws(&mut self, kind: Class, chance: f64) -> bool {
        self.faults.happens(kind, chance, self.now, &mut self.rng)
    }
}

impl std::fmt::Display for Life {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("p{}.{}", self.slot, self.number))
    }
}
