//! Random worlds: whether a login is ever lost through us, tried in thousands of small worlds.
//!
//! A world has 1 to 8 processes with the same refresh token, one [`store`] and one [`server`], all
//! of it drawn from a seed: how long tokens live, how slow everything is, whether the store has a
//! lock or leases that run out, how strict the server is, and what goes wrong ([`faults`]). A
//! [`process`] is a real account with a runtime and a clock of its own; it may be stopped, killed
//! at any moment and started again. Nothing waits for real time: the [`world`] goes from one event
//! to the next, so that a seed always gives the same world.
//!
//! The [`judge`] keeps book by what the server and the store know, never by what an account says:
//! a login that is lost is *lost by us* if a refresh token was presented while a living process
//! waited for the answer to it, or while its successor was in the store or known to a living
//! process. It is *unavoidable* if the successor was known to nobody any more, or only to a holder
//! that a store with leases cannot tell from a dead one: stopped or cut off for more than 75 s.
//!
//! * `TOLLGATE_WORLDS=1000` tries so many worlds of each class;
//! * `TOLLGATE_WORLD=all:17` plays one of them again and prints what happens in it (with
//!   `--nocapture`, and the name of the test `one_world_again`);
//! * `--nocapture` prints a table.

mod agenda;
mod faults;
mod judge;
mod process;
mod server;
mod store;
mod world;

use faults::{Class, StoreKind};
use judge::Tally;
use world::{Outcome, World};

/// Of each class, where `TOLLGATE_WORLDS` does not say otherwise.
const WORLDS: u64 = 20;
/// How many lifetimes of its tokens a world lasts.
const LIFETIMES: u32 = 40;
const MOST_REQUESTS: f64 = 1.2;
const MOST_WRITES: f64 = 2.2;
/// Findings printed of one class.
const MOST_PRINTED: usize = 40;

fn play(class: Class, seed: u64, traced: bool) -> Outcome {
    World::new(class, seed, LIFETIMES, traced).run()
}

fn worlds() -> u64 {
    let worlds = std::env::var("TOLLGATE_WORLDS").ok();
    worlds.map_or(WORLDS, |worlds| worlds.parse().expect("a number of worlds"))
}

/// What came of all worlds of a class.
#[derive(Default)]
struct Total {
    tally: Tally,
    worlds: u64,
    lost_worlds: u64,
    lost_worlds_with_lock: u64,
    false_worlds: u64,
    findings: Vec<String>,
}

impl Total {
    fn add(&mut self, outcome: &Outcome) {
        let lost = u64::from(outcome.tally.lost_by_us > 0);
        self.worlds += 1;
        self.lost_worlds += lost;
        self.lost_worlds_with_lock += lost * u64::from(outcome.setup.store == StoreKind::FileLock);
        self.false_worlds += u64::from(outcome.tally.false_logins > 0);
        self.tally.add(&outcome.tally);
        let world = format!("{}:{}", outcome.setup.class, outcome.setup.seed);
        let findings = outcome.findings.iter();
        self.findings
            .extend(findings.map(|finding| format!("{world} {finding}")));
    }

    fn print(&self, class: Class) {
        let tally = &self.tally;
        println!(
            "{class:>6}: {} worlds · lost by us {} in {} worlds (with a lock: {}) · unavoidable {} \
             · false log-ins {} in {} · spent presented {} · requests a renewal {:.2} · writes a \
             renewal {:.2} · without a token {:.2} %, for a person {:.2} % · logins {} · expired \
             {} · stuck {}",
            self.worlds,
            tally.lost_by_us,
            self.lost_worlds,
            self.lost_worlds_with_lock,
            tally.lost_unavoidably,
            tally.false_logins,
            self.false_worlds,
            tally.spent_presented,
            tally.requests_per_renewal(),
            tally.writes_per_renewal(),
            tally.percent_waited(),
            tally.percent_for_person(),
            tally.logins,
            tally.expired,
            tally.stuck,
        );
        for finding in self.findings.iter().take(MOST_PRINTED) {
            println!("  {finding}");
        }
    }
}

/// Plays the worlds of a class.
fn play_all(class: Class) -> Total {
    let mut total = Total::default();
    for seed in 0..worlds() {
        total.add(&play(class, seed, false));
    }
    total.print(class);
    total
}

#[track_caller]
fn assert_no_login_is_lost(class: Class) {
    let total = play_all(class);
    let tally = &total.tally;
    let findings = total.findings.first();
    assert_eq!(tally.lost_by_us, 0, "logins lost: {findings:?}");
    assert_eq!(tally.false_logins, 0, "false log-ins: {findings:?}");
    assert_eq!(tally.stuck, 0, "stuck: {findings:?}");
    assert_eq!(tally.expired, 0, "expired tokens handed out");
    let requests = tally.requests_per_renewal();
    assert!(requests <= MOST_REQUESTS, "{requests} requests a renewal");
    let writes = tally.writes_per_renewal();
    let calm = class == Class::Calm;
    assert!(!calm || writes <= MOST_WRITES, "{writes} writes a renewal");
}

#[test]
fn in_calm_worlds_no_login_is_lost() {
    assert_no_login_is_lost(Class::Calm);
}

#[test]
fn where_processes_are_killed_no_login_is_lost_but_unavoidably() {
    assert_no_login_is_lost(Class::Kills);
}

#[test]
fn where_processes_are_stopped_no_login_is_lost_but_unavoidably() {
    assert_no_login_is_lost(Class::Stops);
}

#[test]
fn where_the_store_fails_no_login_is_lost_but_unavoidably() {
    assert_no_login_is_lost(Class::Store);
}

#[test]
fn where_the_server_fails_no_login_is_lost_but_unavoidably() {
    assert_no_login_is_lost(Class::Server);
}

#[test]
fn where_everything_fails_no_login_is_lost_but_unavoidably() {
    assert_no_login_is_lost(Class::All);
}

#[test]
fn a_seed_always_gives_the_same_world() {
    for seed in 0..3 {
        let (first, second) = (play(Class::All, seed, false), play(Class::All, seed, false));
        assert_eq!(first.tally, second.tally, "seed {seed}");
        assert_eq!(first.findings, second.findings, "seed {seed}");
    }
}

#[test]
#[ignore = "for measuring: run it by its name, with TOLLGATE_WORLDS"]
fn harsh_worlds() {
    play_all(Class::Harsh);
}

#[test]
#[ignore = "for looking at one: run it by its name, with TOLLGATE_WORLD=class:seed"]
fn one_world_again() {
    let world = std::env::var("TOLLGATE_WORLD").expect("TOLLGATE_WORLD=class:seed");
    let (name, seed) = world.split_once(':').expect("class:seed");
    let class = Class::EACH.into_iter();
    let class = class.filter(|class| class.to_string() == name).next_back();
    let seed = seed.parse().expect("a number");
    let outcome = play(class.expect("a class"), seed, true);
    println!("{:#?}\n{:#?}", outcome.tally, outcome.findings);
}
