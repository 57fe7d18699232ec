//! A process that is killed.

use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use reqwest_tollgate::{
    Account, AccountBuilder, ClientAuth, Error, ErrorKind, FileStore, Grant, TokenStore,
};
use serde::{Deserialize, Serialize};

use super::Place;
use super::ills::{Ills, Stepping};
use super::remote::Remote;
use super::steps::{self, Last, Step, Steps, Watched, Watching, pause, shown};

const ORDERS: &str = "TOLLGATE_KILL_ORDERS";
/// The test below, in whatever program it is.
const TEST: &str = "killing::worker::worker";

/// Where the tokens are.
#[derive(Clone, Serialize, Deserialize)]
pub enum Shelf {
    Folder(PathBuf),
    Elsewhere(SocketAddr),
}

/// What a worker is told.
#[derive(Clone, Serialize, Deserialize)]
pub struct Orders {
    pub place: Place,
    pub store: Shelf,
    pub ills: Ills,
    pub login: String,
    pub log: PathBuf,
}

impl Orders {
    pub fn account(&self, store: impl TokenStore) -> AccountBuilder {
        let place = &self.place;
        let account = Account::builder("kill", &place.url)
            .token_url(&place.token_path)
            .client_id(&place.client_id)
            .grant(Grant::refresh_token(self.login.as_str()))
            .token_store(store);
        match &place.client_secret {
            Some(secret) => account
                .client_auth(ClientAuth::Body)
                .client_secret(secret.as_str()),
            None => account,
        }
    }

    pub fn token_store(&self) -> Arc<dyn TokenStore> {
        match &self.store {
            Shelf::Folder(folder) => Arc::new(FileStore::new(folder)),
            Shelf::Elsewhere(address) => Arc::new(Remote(*address)),
        }
    }

    /// The status of a request, or our error; none: the server is gone.
    pub async fn ask(&self, client: &ClientWithMiddleware) -> Result<u16, Option<Error>> {
        let url = format!("{}{}", self.place.url, self.place.resource);
        match client.get(url).send().await {
            Ok(response) => Ok(response.status().as_u16()),
            Err(error) => Err(Error::find(&error).cloned()),
        }
    }
}

pub fn attached(account: &Account) -> ClientWithMiddleware {
    let client = ClientBuilder::new(reqwest::Client::new());
    account.attach(client).build()
}

/// Runs only as a child of the other tests.
#[tokio::test]
async fn worker() {
    let Ok(orders) = std::env::var(ORDERS) else {
        return;
    };
    end_with_parent();
    let orders: Orders = serde_json::from_str(&orders).expect("orders");
    let steps = Arc::new(Steps::open(&orders.log));
    let account = orders.account(Watched {
        store: orders.token_store(),
        steps: steps.clone(),
        ills: orders.ills.clone(),
        saves: AtomicUsize::new(0),
    });
    let account = account
        .clock(Stepping::by(orders.ills.clock_steps))
        .observer(Watching(steps.clone()))
        .build();
    let client = attached(&account.expect("an account"));
    loop {
        match orders.ask(&client).await {
            Ok(200) => steps.answered(),
            Ok(status) => steps.trouble(&status),
            Err(Some(error)) if error.kind() == ErrorKind::LoginRequired => {
                return steps.end(&error);
            }
            Err(Some(error)) => {
                steps.trouble(&shown(&error));
                pause(Duration::from_millis(50)).await;
            }
            Err(None) => return,
        }
    }
}

/// The parent holds the other end of the standard input for as long as it lives.
fn end_with_parent() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
}

/// A parent's side of it.
pub struct Worker {
    child: Child,
    pub log: PathBuf,
}

impl Worker {
    pub fn start(orders: &Orders) -> Self {
        File::create(&orders.log).expect("a log");
        let text = serde_json::to_string(orders).expect("text");
        let child = Command::new(std::env::current_exe().expect("a path"))
            .args(["--exact", TEST, "--quiet"])
            .env(ORDERS, text)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        let log = orders.log.clone();
        Self { child, log }
    }

    pub fn last(&self) -> Last {
        steps::last(&self.log)
    }

    pub fn is_at(&self, wanted: Step) -> bool {
        matches!(self.last(), Last::Step(step) if step == wanted)
    }

    /// Stops it where it is; it goes on or is killed.
    pub fn stop(&self) {
        self.signal("-STOP");
    }

    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let process = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &process]).status();
        assert!(sent.expect("kill").success(), "it was ours and not reaped");
    }

    /// By `SIGKILL`, which nobody can catch; how far it had come.
    pub fn kill(&mut self) -> Last {
        self.child.kill().expect("it was ours");
        self.child.wait().expect("it ended");
        self.last()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
