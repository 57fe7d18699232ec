//! Processes that share a file store are killed at random while they renew.
//!
//! The server ends a family of refresh tokens when a spent one comes back. So a kill between
//! sending the token request and the end of the save costs a login, unless the server forgives a
//! repetition; a kill at any other moment costs nothing.

#![cfg(unix)] // Elsewhere the lease of a killed process lasts until it runs out.
#![allow(clippy::expect_used, clippy::print_stdout)] // The lints spare tests, but not what they share.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::Duration;

use reqwest_middleware::ClientBuilder;
use reqwest_tollgate::sandbox::Sandbox;
use reqwest_tollgate::{Account, ClientAuth, Error, ErrorKind, Event, FileStore, Grant, Observer};

const URL: &str = "TOLLGATE_KILL_URL";
const FOLDER: &str = "TOLLGATE_KILL_FOLDER";
const LOGIN: &str = "TOLLGATE_KILL_LOGIN";
const LOG: &str = "TOLLGATE_KILL_LOG";

const WORKERS: usize = 4;
const KILLS: usize = 28;
/// A worker that nobody kills ends by itself.
const MOST_REQUESTS: usize = 300;

// ---- The worker ----------------------------------------------------------------------------

/// One line for each step of a renewal, written before the next begins.
struct Steps(Mutex<File>);

impl Steps {
    fn append(&self, line: &str) {
        let mut file = self.0.lock().expect("no panic");
        file.write_all(format!("{line}\n").as_bytes())
            .expect("written");
    }
}

impl Observer for Steps {
    fn on_event(&self, _: &str, event: &Event) {
        match event {
            Event::TokenRequested { .. } => self.append("requested"),
            Event::TokenSaved => self.append("saved"),
            Event::TokenAdopted { .. } => self.append("adopted"),
            _ => {}
        }
    }
}

fn account(url: &str, folder: &Path, login: &str) -> reqwest_tollgate::AccountBuilder {
    Account::builder("kill", url)
        .token_url("/v1/oauth2/token")
        .client_id(Sandbox::CLIENT_ID)
        .client_secret(Sandbox::CLIENT_SECRET)
        .client_auth(ClientAuth::Body)
        .grant(Grant::refresh_token(login))
        .token_store(FileStore::new(folder))
}

/// The status of a request, or our error.
async fn ask(account: &Account) -> Result<u16, Option<Error>> {
    let client = account.attach(ClientBuilder::new(reqwest::Client::new()));
    let path = "/products/v4/search/LM358P/productdetails";
    let url = account.base_url().join(path).expect("a URL");
    match client.build().get(url).send().await {
        Ok(response) => Ok(response.status().as_u16()),
        Err(error) => Err(Error::find(&error).cloned()),
    }
}

/// Runs only as a child of the other tests.
#[tokio::test]
async fn worker() {
    let Ok(url) = std::env::var(URL) else {
        return;
    };
    let variable = |name| std::env::var(name).expect("the parent sets it");
    let log = OpenOptions::new().append(true).open(variable(LOG));
    let steps = Steps(Mutex::new(log.expect("a log")));
    let log = OpenOptions::new().append(true).open(variable(LOG));
    let ends = Steps(Mutex::new(log.expect("a log")));
    let account = account(&url, Path::new(&variable(FOLDER)), &variable(LOGIN));
    let account = account.observer(steps).build().expect("an account");
    for _ in 0..MOST_REQUESTS {
        match ask(&account).await {
            Err(Some(error)) if error.kind() == ErrorKind::LoginRequired => {
                return ends.append(&format!("login_required {error}"));
            }
            // The sandbox is gone.
            Err(None) => return,
            _ => {}
        }
    }
}

// ---- Its parent ----------------------------------------------------------------------------

struct Worker {
    child: Child,
    log: PathBuf,
}

impl Worker {
    fn last_step(&self) -> String {
        let text = fs::read_to_string(&self.log).expect("a log");
        text.lines().last().unwrap_or("began").to_owned()
    }

    fn kill(&mut self) -> String {
        self.child.kill().expect("it was ours");
        self.child.wait().expect("it ended");
        self.last_step()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A sandbox, a folder, the workers on it, and what became of them.
struct Scene {
    sandbox: Sandbox,
    folder: PathBuf,
    login: String,
    started: usize,
    random: fastrand::Rng,
    /// The last step before each kill.
    hits: Vec<String>,
    /// What ended each chain of refresh tokens.
    ends: Vec<String>,
    /// Hits inside a renewal before the present chain began.
    hits_before: usize,
}

impl Scene {
    async fn new(test: &str, grace: Duration) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("kill")
            .join(test);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        let latency = Duration::from_millis(40)..Duration::from_millis(120);
        let sandbox = Sandbox::builder()
            .refresh_grant(true)
            .token_lifetime(Duration::from_millis(400))
            .latency(latency)
            .grace(grace);
        let sandbox = sandbox.start().await.expect("a sandbox");
        Self {
            login: sandbox.refresh_token(),
            sandbox,
            folder,
            started: 0,
            random: fastrand::Rng::new(),
            hits: Vec::new(),
            ends: Vec::new(),
            hits_before: 0,
        }
    }

    fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    fn start_worker(&mut self) -> Worker {
        self.started += 1;
        let log = self.folder.join(format!("{}.log", self.started));
        File::create(&log).expect("a log");
        let child = Command::new(std::env::current_exe().expect("a path"))
            .args(["--exact", "worker", "--quiet"])
            .env(URL, self.sandbox.url().as_str())
            .env(FOLDER, self.store())
            .env(LOGIN, &self.login)
            .env(LOG, &log)
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        Worker { child, log }
    }

    /// Kills workers at random, every fourth time one that is seen to renew, and starts others.
    fn run(&mut self) {
        let mut workers: Vec<_> = (0..WORKERS).map(|_| self.start_worker()).collect();
        for kill in 0..KILLS {
            sleep(Duration::from_millis(self.random.u64(20..250)));
            let renewing = (kill % 4 == 3)
                .then(|| wait_for_renewal(&workers))
                .flatten();
            if renewing.is_some() {
                // Before the server has decided, or after, or when all is over.
                sleep(Duration::from_millis(self.random.u64(0..100)));
            }
            let victim = renewing.unwrap_or_else(|| self.random.usize(..WORKERS));
            let last_step = workers[victim].kill();
            self.count(last_step);
            workers[victim] = self.start_worker();
            self.log_in_if_needed(&mut workers);
        }
    }

    /// A person sees that the chain has ended, logs in, and starts all workers with the new login.
    fn log_in_if_needed(&mut self, workers: &mut [Worker]) {
        let ended = |worker: &Worker| worker.last_step().starts_with("login_required");
        let Some(end) = workers.iter().find(|worker| ended(worker)) else {
            return;
        };
        let end = end.last_step();
        self.end_chain(end);
        self.login = self.sandbox.refresh_token();
        for worker in workers {
            self.count(worker.kill());
            *worker = self.start_worker();
        }
        self.hits_before = self.hits_inside();
    }

    fn end_chain(&mut self, end: String) {
        let was_hit = self.hits_inside() > self.hits_before;
        assert!(was_hit, "no kill has hit a renewal of this chain: {end}");
        self.ends.push(end);
    }

    /// A worker that had ended by itself was not hit.
    fn count(&mut self, last_step: String) {
        if !last_step.starts_with("login_required") {
            self.hits.push(last_step);
        }
    }

    fn hits_inside(&self) -> usize {
        self.hits.iter().filter(|step| *step == "requested").count()
    }

    fn tell(&self, name: &str) {
        let count = |step| self.hits.iter().filter(|hit| *hit == step).count();
        let steps = ["began", "adopted", "requested", "saved"].map(|step| (step, count(step)));
        let counters = self.sandbox.counters();
        println!(
            "{name}: {} kills, by the last step before: {steps:?}; {} rotations, {} families \
             revoked, {} chains ended",
            self.hits.len(),
            counters.rotations,
            counters.families_revoked,
            self.ends.len(),
        );
    }

    /// Whether one more process gets a token. Where the last kill has just cost the login, that is
    /// the end of a chain too.
    async fn ends_well(&mut self) -> bool {
        let account = account(self.sandbox.url().as_str(), &self.store(), &self.login);
        match ask(&account.build().expect("an account")).await {
            Ok(status) => status == 200,
            Err(error) => {
                let error = error.expect("an error of ours");
                assert_eq!(error.kind(), ErrorKind::LoginRequired, "{error}");
                self.end_chain(error.to_string());
                false
            }
        }
    }
}

/// The worker that waits for an answer of the token endpoint, if one does within a second.
fn wait_for_renewal(workers: &[Worker]) -> Option<usize> {
    let is_renewing = |worker: &Worker| worker.last_step() == "requested";
    (0..200).find_map(|_| {
        sleep(Duration::from_millis(5));
        workers.iter().position(is_renewing)
    })
}

#[tokio::test]
async fn processes_that_nobody_kills_share_a_family_that_forgives_nothing() {
    let mut scene = Scene::new("no-kills", Duration::ZERO).await;
    let workers: Vec<_> = (0..WORKERS).map(|_| scene.start_worker()).collect();
    sleep(Duration::from_secs(3));
    let counters = scene.sandbox.counters();
    assert!(counters.rotations >= 3, "{counters:?}");
    assert_eq!(counters.families_revoked, 0, "{counters:?}");
    drop(workers);
}

#[tokio::test]
async fn with_a_server_that_forgives_repetition_every_kill_is_survived() {
    let mut scene = Scene::new("grace", Duration::from_secs(60)).await;
    scene.run();
    scene.tell("with grace");
    assert!(scene.hits_inside() > 0, "no kill hit a renewal");
    assert!(scene.ends_well().await, "a fresh process gets a token");
    assert_eq!(scene.ends, [""; 0], "nobody had to log in");
    assert_eq!(scene.sandbox.counters().families_revoked, 0);
}

#[tokio::test]
async fn without_grace_a_kill_costs_a_login_only_between_sending_and_saving() {
    let mut scene = Scene::new("no-grace", Duration::ZERO).await;
    scene.run();
    let well = scene.ends_well().await;
    scene.tell("without grace");
    let counters = scene.sandbox.counters();
    assert!(counters.rotations > 0 && scene.hits_inside() > 0);
    let ends = scene.ends.len() as u64;
    assert_eq!(counters.families_revoked, ends, "{:?}", scene.ends);
    for end in &scene.ends {
        assert!(end.contains("the answer may be lost"), "{end}");
    }
    if !well {
        scene.login = scene.sandbox.refresh_token();
        assert!(scene.ends_well().await, "a login heals it");
    }
}
