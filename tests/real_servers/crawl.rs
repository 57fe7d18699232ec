//! Many workers, one list of parts; and what the account said of it.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use reqwest_tollgate::{Account, Event, Observer};
use tokio::task::JoinSet;

pub(crate) const WORKERS: usize = 32;

pub(crate) fn client(account: &Account) -> ClientWithMiddleware {
    account
        .attach(ClientBuilder::new(reqwest::Client::new()))
        .build()
}

/// What a crawl takes if nobody says otherwise in [`SECONDS`].
const USUAL_SECONDS: f64 = 30.0;

/// The environment variable for longer ones, by hand.
const SECONDS: &str = "TOLLGATE_CRAWL_SECONDS";

/// How many parts to ask for: so many that `limit` per `window` make the crawl last that long.
pub(crate) fn parts(limit: usize, window: Duration) -> usize {
    let seconds = std::env::var(SECONDS).ok();
    let seconds = seconds.and_then(|text| text.parse::<f64>().ok());
    let seconds = seconds.unwrap_or(USUAL_SECONDS);
    let windows = (seconds / window.as_secs_f64()).ceil() as usize;
    // The first window's leave at once.
    windows.saturating_add(1).saturating_mul(limit)
}

/// Says what a crawl was like, where somebody asked for its length.
pub(crate) fn report(name: &str, parts: usize, begin: Instant, rejections: usize) {
    if std::env::var_os(SECONDS).is_some() {
        let seconds = begin.elapsed().as_secs_f64();
        let rate = parts as f64 / seconds;
        // Not `eprintln!`, which the test harness would swallow.
        let _ = writeln!(
            io::stderr(),
            "{name}: {parts} parts in {seconds:.1} s, {rate:.2}/s, {rejections} rejections"
        );
    }
}

/// Asks about that many parts, by [`WORKERS`] at once; the answers by status.
pub(crate) async fn crawl(
    client: &ClientWithMiddleware,
    url: &str,
    parts: usize,
) -> Result<BTreeMap<u16, usize>> {
    let taken = Arc::new(AtomicUsize::new(0));
    let answers = Arc::new(Mutex::new(BTreeMap::new()));
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let (client, url) = (client.clone(), url.to_owned());
        let (taken, answers) = (taken.clone(), answers.clone());
        workers.spawn(async move {
            loop {
                let part = taken.fetch_add(1, Ordering::Relaxed);
                if part >= parts {
                    return anyhow::Ok(());
                }
                let response = client.get(format!("{url}/P{part}")).send().await?;
                let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                *answers.entry(response.status().as_u16()).or_default() += 1;
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    let answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(answers.clone())
}

/// Counts what an account does.
#[derive(Clone, Default)]
pub(crate) struct Tally(Arc<Counts>);

#[derive(Default)]
struct Counts {
    token_requests: AtomicU64,
    renewals: AtomicU64,
    rejections: Mutex<Vec<Instant>>,
}

impl Tally {
    pub(crate) fn token_requests(&self) -> u64 {
        self.0.token_requests.load(Ordering::Relaxed)
    }

    pub(crate) fn renewals(&self) -> u64 {
        self.0.renewals.load(Ordering::Relaxed)
    }

    /// When each came.
    pub(crate) fn rejections(&self) -> Vec<Instant> {
        let rejections = self.0.rejections.lock();
        rejections.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn rejected(&self) {
        let rejections = self.0.rejections.lock();
        let mut rejections = rejections.unwrap_or_else(PoisonError::into_inner);
        rejections.push(Instant::now());
    }
}

impl Observer for Tally {
    fn on_event(&self, _account: &str, event: &Event) {
        let count = match event {
            Event::TokenRequested { .. } => &self.0.token_requests,
            Event::TokenRenewed { .. } => &self.0.renewals,
            Event::QuotaRejected { .. } => return self.rejected(),
            _ => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}
