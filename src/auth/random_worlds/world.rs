//! A world: processes that share a store and a server, and what happens to them, one event after
//! the other.

use std::time::Duration;

use fastrand::Rng;

use super::agenda::{Common, Event, Life};
use super::faults::{Class, Setup, span};
use super::judge::Tally;
use super::process::{CONFIGURED, Process};

/// How often the store, or the server, fails for a while.
const WINDOWS: f64 = 1.0;
/// How often somebody sets a clock.
const CLOCKS_SET: f64 = 2.0;
/// Of the processes, how many end or stop at any time.
const SOME_TIME: f64 = 0.7;

/// What came of a world.
pub(super) struct Outcome {
    pub(super) setup: Setup,
    pub(super) tally: Tally,
    pub(super) findings: Vec<String>,
}

pub(super) struct World {
    setup: Setup,
    common: Common,
    processes: Vec<Option<Process>>,
}

impl World {
    pub(super) fn new(class: Class, seed: u64, lifetimes: u32, traced: bool) -> Self {
        // The accounts' jitter and ids.
        fastrand::seed(seed);
        let mut rng = Rng::with_seed(seed);
        let setup = Setup::draw(class, seed, lifetimes, &mut rng);
        let common = Common::new(&setup, rng, traced);
        let processes = (0..setup.processes).map(|_| None).collect();
        let world = Self {
            setup,
            common,
            processes,
        };
        world.prepare();
        world
    }

    fn prepare(&self) {
        let mut facts = self.common.facts();
        facts.trace("world", || format!("{:?}", self.setup));
        let (_, refresh_token) = facts.server.log_in(Duration::ZERO);
        assert_eq!(
            refresh_token, CONFIGURED,
            "the first that the server issues"
        );
        for slot in 0..self.setup.processes {
            let start = Duration::from_secs(3).mul_f64(facts.rng.f64());
            facts.at(start, Event::Start(slot));
        }
        facts.at(self.setup.last_asked, Event::LastAsk);
        facts.at(self.setup.end, Event::End);
        drop(facts);
        self.plan_faults();
    }

    /// Faults that come at any time; others are aimed at renewals as they happen.
    fn plan_faults(&self) {
        let mut facts = self.common.facts();
        let facts = &mut *facts;
        for kind in [Class::Store, Class::Server] {
            for _ in 0..facts.faults.times(kind, WINDOWS, &mut facts.rng) {
                let from = facts.faults.any_time(&mut facts.rng);
                facts.open_window(from, kind);
            }
        }
        for _ in 0..facts.faults.times(Class::Store, CLOCKS_SET, &mut facts.rng) {
            let (slot, seconds) = (facts.rng.usize(..self.setup.processes), facts.step());
            let at = facts.faults.any_time(&mut facts.rng);
            facts.at(at, Event::SetWall(slot, seconds));
            let back = at + span(&mut facts.rng, 1.0, 3_600.0);
            facts.at(back, Event::SetWall(slot, -seconds));
        }
    }

    pub(super) fn run(mut self) -> Outcome {
        while self.step() {}
        let mut processes: Vec<Process> = self.processes.into_iter().flatten().collect();
        for process in &mut processes {
            process.settle();
            if process.served_at < self.setup.last_asked {
                self.common.facts().judge_stuck(process.life);
            }
        }
        processes.into_iter().for_each(Process::kill);
        let mut facts = self.common.facts();
        Outcome {
            setup: self.setup,
            tally: facts.judge.tally.clone(),
            findings: std::mem::take(&mut facts.judge.findings),
        }
    }

    /// The next thing that happens; false at the end of the world.
    fn step(&mut self) -> bool {
        let timer = self.next_timer();
        let next = self.common.facts().next_time();
        if let Some((time, slot)) = timer.filter(|(time, _)| next.is_none_or(|next| *time < next)) {
            let mut facts = self.common.facts();
            facts.now = facts.now.max(time);
            drop(facts);
            self.run_process(slot);
            return true;
        }
        let event = self.common.facts().next();
        match event {
            None | Some(Event::End) => false,
            Some(_) if self.is_over() => false,
            Some(event) => {
                self.happen(event);
                true
            }
        }
    }

    /// All have been served that were asked last.
    fn is_over(&self) -> bool {
        let (now, last_asked) = (self.common.facts().now, self.setup.last_asked);
        let mut processes = self.processes.iter().flatten();
        now > last_asked && processes.all(|process| process.served_at >= last_asked)
    }

    fn next_timer(&self) -> Option<(Duration, usize)> {
        let facts = self.common.facts();
        let running = self.processes.iter().flatten().filter(|process| {
            let standing = facts.standing(process.life);
            standing.stopped_until.is_none()
        });
        let timers = running.filter_map(|process| Some((process.next_turn()?, process.life.slot)));
        timers.min()
    }

    fn run_process(&mut self, slot: usize) {
        if let Some(process) = &mut self.processes[slot] {
            process.run();
        }
    }

    fn process(&mut self, life: Life) -> Option<&mut Process> {
        let process = self.processes[life.slot].as_mut();
        process.filter(|process| process.life == life)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Start(slot) => self.start(slot),
            Event::Ask(life, number) => {
                if let Some(process) = self.process(life).filter(|process| process.is_next(number))
                {
                    process.ask();
                }
            }
            Event::Kill(life) => self.kill(life),
            Event::Quit(life) => {
                if let Some(process) = self.process(life) {
                    process.quit();
                }
            }
            Event::Stop(life, span) => {
                if let Some(process) = self.process(life) {
                    process.stop(span);
                }
            }
            Event::Continue(life) => {
                if let Some(process) = self.process(life) {
                    process.go_on();
                }
            }
            Event::SetWall(slot, seconds) => self.set_wall(slot, seconds),
            Event::LastAsk => self.last_ask(),
            _ => self.happen_elsewhere(event),
        }
    }

    /// Within the store or the server.
    fn happen_elsewhere(&mut self, event: Event) {
        let mut facts = self.common.facts();
        match event {
            Event::StoreActs(number) => facts.store_acts(number),
            Event::ServerActs(number) => facts.server_acts(number),
            Event::StoreReplies(number) => {
                if let Some((life, sender, reply)) = facts.store_replies(number) {
                    drop(facts);
                    let _ = sender.send(reply);
                    self.run_process(life.slot);
                }
            }
            Event::ServerReplies(number) => {
                if let Some((life, sender, reply)) = facts.server_replies(number) {
                    drop(facts);
                    let _ = sender.send(reply);
                    self.run_process(life.slot);
                }
            }
            Event::LeaseVanishes => {
                facts.trace("store", || "forgets the lease".into());
                facts.store.lease_vanishes();
            }
            Event::SetStoreClock(seconds) => {
                facts.trace("store", || format!("has its clock set by {seconds} s"));
                facts.store.set_clock(seconds);
            }
            Event::LogIn => facts.log_in(),
            _ => {}
        }
    }

    fn start(&mut self, slot: usize) {
        let process = Process::start(&self.common, slot);
        let life = process.life;
        self.processes[slot] = Some(process);
        self.plan_end(life);
    }

    /// Kills and stops at any time of its life; others are aimed at renewals.
    fn plan_end(&self, life: Life) {
        let mut facts = self.common.facts();
        let left = self.setup.quiet_from.saturating_sub(facts.now);
        let some_time = |rng: &mut Rng| left.mul_f64(rng.f64());
        if facts.draws(Class::Kills, SOME_TIME) {
            let at = some_time(&mut facts.rng);
            let event = match facts.rng.bool() {
                true => Event::Kill(life),
                false => Event::Quit(life),
            };
            facts.after(at, event);
        }
        if facts.draws(Class::Stops, SOME_TIME) {
            let at = some_time(&mut facts.rng);
            let length = span(&mut facts.rng, 0.5, 600.0);
            facts.after(at, Event::Stop(life, length));
        }
    }

    fn kill(&mut self, life: Life) {
        let slot = &mut self.processes[life.slot];
        let Some(process) = slot.take_if(|process| process.life == life) else {
            return;
        };
        process.kill();
        let mut facts = self.common.facts();
        let pause = span(&mut facts.rng, 0.05, 20.0);
        facts.after(pause, Event::Start(life.slot));
    }

    fn set_wall(&mut self, slot: usize, seconds: i64) {
        self.common.facts().trace("world", || {
            format!("sets the clock of p{slot} by {seconds} s")
        });
        if let Some(process) = &self.processes[slot] {
            process.set_wall(seconds);
        }
    }

    fn last_ask(&mut self) {
        for process in self.processes.iter_mut().flatten() {
            process.ask();
        }
    }
}
