//! The workers' parent: it kills them, starts others, and logs in when a chain has ended.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reqwest_tollgate::ErrorKind;
use tokio::time::sleep;

use super::ills::Ills;
use super::steps::{Last, Step, count_troubles};
use super::worker::{Orders, Shelf, Worker, attached};
use super::{Authority, Counts};

const WORKERS: usize = 8;
/// For how long the workers are killed, in seconds.
const SECONDS: &str = "TOLLGATE_KILL_SECONDS";
const USUAL_SECONDS: u64 = 8;
/// How long it may take until a kill hits a renewal.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whom a kill may hit.
#[derive(Clone, Copy, PartialEq)]
pub enum Aim {
    /// Anybody, and every other time somebody at a given step.
    Anywhere,
    /// Nobody between sending the token request and the end of the save.
    Outside,
}

/// A server, a folder, the workers on it, and what became of them.
pub struct Scene<A> {
    authority: A,
    name: &'static str,
    folder: PathBuf,
    orders: Orders,
    started: usize,
    workers: Vec<Worker>,
    random: fastrand::Rng,
    kills: BTreeMap<Step, usize>,
    /// Kills inside a renewal since the present chain of refresh tokens began.
    inside: Vec<Step>,
    /// What ended each chain, and where the last kill before had hit.
    ends: Vec<(Step, String)>,
    troubles: BTreeMap<String, usize>,
    elapsed: Duration,
    /// What a worker said that needed a login when they were stopped together.
    end: Option<String>,
}

impl<A: Authority> Scene<A> {
    pub async fn new(name: &'static str, authority: A) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("kill")
            .join(name.replace(' ', "-"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        let orders = Orders {
            place: authority.place(),
            store: Shelf::Folder(folder.join("store")),
            ills: Ills::default(),
            login: authority.log_in().await,
            log: PathBuf::new(),
        };
        Self {
            authority,
            name,
            folder,
            orders,
            started: 0,
            workers: Vec::new(),
            random: fastrand::Rng::new(),
            kills: BTreeMap::new(),
            inside: Vec::new(),
            ends: Vec::new(),
            troubles: BTreeMap::new(),
            elapsed: Duration::ZERO,
            end: None,
        }
    }

    /// Where its files are; `store` is the workers' store, unless it is elsewhere.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The workers' store is a server.
    pub fn keep_at(&mut self, address: SocketAddr) {
        self.orders.store = Shelf::Elsewhere(address);
    }

    /// What is wrong with the world of the workers that are started from now on.
    pub fn ail(&mut self, ills: Ills) {
        self.orders.ills = ills;
    }

    pub async fn counts(&self) -> Counts {
        self.authority.counts().await
    }

    /// How many chains have ended.
    pub fn logins(&self) -> usize {
        self.ends.len()
    }

    pub fn kills(&self, inside: bool) -> usize {
        let kills = self.kills.iter();
        let counted = kills.filter(|(step, _)| step.is_inside() == inside);
        counted.map(|(_, count)| count).sum()
    }

    /// Errors of ours, but for the need of a login; refusals of the API are none.
    pub fn errors(&self) -> Vec<&str> {
        let troubles = self.troubles.keys().map(String::as_str);
        troubles
            .filter(|text| text.parse::<u16>().is_err())
            .collect()
    }

    /// Lets them work, and kills nobody.
    pub async fn watch(&mut self, rotations: u64, longest: Duration) {
        self.start_workers();
        self.wait_for(rotations, longest).await;
        self.end_together(Aim::Anywhere).await;
    }

    /// Until the server has rotated that often; tells whether it has.
    pub async fn wait_for(&self, rotations: u64, longest: Duration) -> bool {
        let begun = Instant::now();
        while self.counts().await.rotations < rotations {
            if begun.elapsed() > longest || self.has_ended().is_some() {
                return false;
            }
            sleep(Duration::from_millis(50)).await;
        }
        true
    }

    /// What a worker said that needs a login.
    pub fn has_ended(&self) -> Option<String> {
        self.workers.iter().find_map(|worker| match worker.last() {
            Last::End(end) => Some(end),
            Last::Step(_) => None,
        })
    }

    /// What one had said when they were stopped together.
    pub fn end(&self) -> Option<&str> {
        self.end.as_deref()
    }

    /// Stops a worker that has sent its request and has no answer yet.
    pub async fn stop_one_inside(&self) -> Stopped<'_> {
        loop {
            let sent = |worker: &&Worker| worker.is_at(Step::PostSent);
            if let Some(worker) = self.workers.iter().find(sent) {
                worker.stop();
                if worker.is_at(Step::PostSent) {
                    return Stopped(worker);
                }
                worker.go_on();
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Kills them one after another, for as long as it was told.
    pub async fn run(&mut self, aim: Aim) {
        let seconds = std::env::var(SECONDS).ok();
        let seconds = seconds.map_or(USUAL_SECONDS, |text| text.parse().expect(SECONDS));
        let begun = Instant::now();
        self.start_workers();
        while begun.elapsed() < Duration::from_secs(seconds) || self.has_missed(aim, begun) {
            sleep(Duration::from_millis(self.random.u64(20..200))).await;
            self.kill_one(aim).await;
            self.log_in_if_needed().await;
        }
        self.end_together(aim).await;
        self.elapsed = begun.elapsed();
    }

    /// Stops all of them at once, and judges them then: what the end of one does to the others is
    /// none of their doing. Whoever must not be hit within a renewal may end it first.
    pub async fn end_together(&mut self, aim: Aim) {
        for worker in &self.workers {
            worker.stop();
        }
        if aim == Aim::Outside {
            self.leave_renewals().await;
        }
        self.end = self.has_ended();
        for victim in 0..self.workers.len() {
            self.kill(victim);
        }
        self.workers.clear();
    }

    /// All are stopped; those inside of a renewal go on until they have left it. All at once: one
    /// that stays stopped meanwhile would lose its answer.
    async fn leave_renewals(&self) {
        let begun = Instant::now();
        loop {
            let inside =
                |worker: &&Worker| matches!(worker.last(), Last::Step(step) if step.is_inside());
            let inside: Vec<_> = self.workers.iter().filter(inside).collect();
            if inside.is_empty() || begun.elapsed() > PATIENCE {
                return;
            }
            for worker in &inside {
                worker.go_on();
            }
            sleep(Duration::from_millis(20)).await;
            for worker in &inside {
                worker.stop();
            }
        }
    }

    /// On a busy machine few renewals happen; one at least has to be hit.
    fn has_missed(&self, aim: Aim, begun: Instant) -> bool {
        aim == Aim::Anywhere && self.kills(true) == 0 && begun.elapsed() < PATIENCE
    }

    async fn kill_one(&mut self, aim: Aim) {
        let victim = match self.random.bool() {
            true => self.wait_for_somebody(aim).await,
            false => None,
        };
        let victim = victim.unwrap_or_else(|| self.random.usize(..WORKERS));
        if aim == Aim::Outside && !self.stop_outside(victim).await {
            return;
        }
        self.kill(victim);
        self.workers[victim] = self.start_worker();
    }

    /// Somebody who is at a step chosen at random, if anybody comes there soon.
    async fn wait_for_somebody(&mut self, aim: Aim) -> Option<usize> {
        let steps = Step::ALL.into_iter();
        let steps: Vec<_> = steps
            .filter(|step| aim == Aim::Anywhere || !step.is_inside())
            .collect();
        let wanted = *self.random.choice(&steps).expect("a step");
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(500) {
            let found = self.workers.iter().position(|worker| worker.is_at(wanted));
            if found.is_some() {
                if wanted == Step::PostSent {
                    // Before the server has decided, or after, or when all is over.
                    sleep(Duration::from_millis(self.random.u64(0..100))).await;
                }
                return found;
            }
            sleep(Duration::from_millis(1)).await;
        }
        None
    }

    /// Stops it outside of a renewal, if it comes there within a second.
    async fn stop_outside(&self, victim: usize) -> bool {
        let worker = &self.workers[victim];
        for _ in 0..50 {
            worker.stop();
            match worker.last() {
                Last::Step(step) if step.is_inside() => worker.go_on(),
                _ => return true,
            }
            sleep(Duration::from_millis(20)).await;
        }
        false
    }

    /// One that had ended by itself was not hit.
    fn kill(&mut self, victim: usize) {
        if let Last::Step(step) = self.workers[victim].kill() {
            *self.kills.entry(step).or_default() += 1;
            self.inside
                .extend(Some(step).filter(|step| step.is_inside()));
        }
        count_troubles(&self.workers[victim].log, &mut self.troubles);
    }

    /// One more beside the others.
    pub fn add_worker(&mut self) {
        let worker = self.start_worker();
        self.workers.push(worker);
    }

    pub fn start_workers(&mut self) {
        self.workers = (0..WORKERS).map(|_| self.start_worker()).collect();
    }

    /// These kills hit nobody who has anything to lose, or are counted already.
    fn end_workers(&mut self) {
        for mut worker in std::mem::take(&mut self.workers) {
            worker.kill();
        }
    }

    fn start_worker(&mut self) -> Worker {
        self.started += 1;
        self.orders.log = self.folder.join(format!("{}.log", self.started));
        Worker::start(&self.orders)
    }

    /// A person sees that the chain has ended, logs in, and starts all workers with the new login.
    async fn log_in_if_needed(&mut self) {
        let Some(end) = self.has_ended() else {
            return;
        };
        self.end_chain(end);
        self.end_workers();
        self.log_in().await;
        self.start_workers();
    }

    async fn log_in(&mut self) {
        self.inside.clear();
        self.orders.login = self.authority.log_in().await;
    }

    fn end_chain(&mut self, end: String) {
        let name = self.name;
        let hit = self.inside.last();
        let hit = hit.unwrap_or_else(|| panic!("{name}: no kill has hit a renewal, but {end}"));
        assert!(end.contains("answer"), "{name}: {end}");
        self.ends.push((*hit, end));
    }

    /// One more process gets a token. Where the last kill has just cost the login, that is the end
    /// of a chain too, and a login heals it.
    pub async fn ends_well(&mut self) -> bool {
        for _ in 0..2 {
            let account = self.orders.account(self.orders.token_store()).build();
            match self
                .orders
                .ask(&attached(&account.expect("an account")))
                .await
            {
                Ok(status) => return status == 200,
                Err(error) => {
                    let error = error.expect("an error of ours");
                    assert_eq!(error.kind(), ErrorKind::LoginRequired, "{error}");
                    self.end_chain(error.to_string());
                    self.log_in().await;
                }
            }
        }
        false
    }

    /// The figures, as a table.
    pub async fn tell(&self) {
        let Counts {
            rotations,
            families_revoked,
        } = self.counts().await;
        println!("\n{}: {WORKERS} processes, {:.0?}", self.name, self.elapsed);
        println!(
            "{:20} {:>6} {:>20}",
            "killed while", "kills", "which cost a login"
        );
        for step in Step::ALL {
            let kills = self.kills.get(&step).copied().unwrap_or_default();
            let ends = self.ends.iter().filter(|(hit, _)| *hit == step).count();
            let mark = if step.is_inside() { " *" } else { "" };
            println!("{:20} {kills:>6} {ends:>20}", format!("{step}{mark}"));
        }
        println!(
            "{:20} {:>6} {:>20}   (* from sending the token request to the end of the save)",
            "all",
            self.kills(true) + self.kills(false),
            self.ends.len(),
        );
        println!("{rotations} rotations, {families_revoked} families revoked by the server");
        for (trouble, count) in &self.troubles {
            println!("{count} x {trouble}");
        }
    }
}

/// A worker that goes on once this ends.
pub struct Stopped<'a>(&'a Worker);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.go_on();
    }
}
