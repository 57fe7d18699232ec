//! The steps of a renewal, as a worker writes them down before it takes them.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use reqwest_tollgate::{
    BoxError, Clock as _, Error, Event, Lease, Observer, Record, Swap, SystemClock, TokenStore,
};

use super::ills::Ills;

/// What a process does from here on, until it writes down the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Starting,
    AskingForTheLease,
    WaitingForTheLease,
    Adopting,
    Marking,
    PostSent,
    AnswerReceived,
    Saving,
    Saved,
    Published,
    Idle,
}

impl Step {
    pub const ALL: [Self; 11] = [
        Self::Starting,
        Self::AskingForTheLease,
        Self::WaitingForTheLease,
        Self::Adopting,
        Self::Marking,
        Self::PostSent,
        Self::AnswerReceived,
        Self::Saving,
        Self::Saved,
        Self::Published,
        Self::Idle,
    ];

    /// Between sending the token request and the end of the save.
    pub fn is_inside(self) -> bool {
        matches!(self, Self::PostSent | Self::AnswerReceived | Self::Saving)
    }

    fn parse(line: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.to_string() == line)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The last line of a worker's log.
pub enum Last {
    Step(Step),
    /// It needs a login, and has ended.
    End(String),
}

const END: &str = "end: ";
const TROUBLE: &str = "trouble: ";

pub fn last(log: &Path) -> Last {
    let text = fs::read_to_string(log).expect("a log");
    let mut lines = text.lines().filter(|line| !line.starts_with(TROUBLE));
    match lines.next_back() {
        None => Last::Step(Step::Starting),
        Some(line) => match line.strip_prefix(END) {
            Some(end) => Last::End(end.to_owned()),
            // A line that the kill cut off is a step that had not begun.
            None => Last::Step(Step::parse(line).unwrap_or(Step::Starting)),
        },
    }
}

/// What else went wrong, and how often.
pub fn count_troubles(log: &Path, troubles: &mut BTreeMap<String, usize>) {
    let text = fs::read_to_string(log).expect("a log");
    for trouble in text.lines().filter_map(|line| line.strip_prefix(TROUBLE)) {
        *troubles.entry(trouble.to_owned()).or_default() += 1;
    }
}

/// A worker's side of the log.
pub struct Steps(Mutex<Log>);

struct Log {
    file: File,
    step: Step,
    /// How many token requests were sent, and which of them is the last whose answer is saved.
    sent: usize,
    saved: usize,
}

impl Steps {
    pub fn open(log: &Path) -> Self {
        let file = OpenOptions::new().append(true).open(log);
        Self(Mutex::new(Log {
            file: file.expect("a log"),
            step: Step::Starting,
            sent: 0,
            saved: 0,
        }))
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().expect("no panic")
    }

    fn take(&self, step: Step) {
        self.log().take(step);
    }

    fn is_inside(&self) -> bool {
        self.log().step.is_inside()
    }

    /// Whoever waits for the lease looks into the store again and again, and whoever has sent the
    /// request may look too.
    fn look(&self) {
        let mut log = self.log();
        if log.step != Step::WaitingForTheLease && !log.step.is_inside() {
            log.take(Step::Adopting);
        }
    }

    /// The token may be there before it is saved.
    fn publish(&self) {
        let mut log = self.log();
        if !matches!(log.step, Step::AnswerReceived | Step::Saving) {
            log.take(Step::Published);
        }
    }

    /// A save begins; which answer it saves.
    fn received(&self) -> usize {
        let mut log = self.log();
        log.take(Step::AnswerReceived);
        log.sent
    }

    /// That answer is in the store, whether or not the attempt to save it ends.
    fn stored(&self, answer: usize) {
        let mut log = self.log();
        log.saved = log.saved.max(answer);
    }

    /// An attempt to save that answer has ended. An earlier one may have hung and stored it after
    /// all, so that this one met its own record; and one that hung may end when all is long over.
    fn tried(&self, answer: usize) {
        let mut log = self.log();
        if log.saved >= answer && answer == log.sent && log.step.is_inside() {
            log.take(Step::Saved);
        }
    }

    /// A request was answered; in the background a renewal may be under way.
    pub fn answered(&self) {
        let mut log = self.log();
        if log.step == Step::Published {
            log.take(Step::Idle);
        }
    }

    pub fn end(&self, why: &dyn fmt::Display) {
        self.log().write(&format!("{END}{why}"));
    }

    pub fn trouble(&self, what: &dyn fmt::Display) {
        self.log().write(&format!("{TROUBLE}{what}"));
    }
}

impl Log {
    fn take(&mut self, step: Step) {
        self.step = step;
        self.sent += usize::from(step == Step::PostSent);
        self.write(&step.to_string());
    }

    /// In one call, so that a kill does not cut it.
    fn write(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.file.write_all(line.as_bytes()).expect("written");
    }
}

/// Also an observer.
#[derive(Clone)]
pub struct Watching(pub Arc<Steps>);

impl Observer for Watching {
    fn on_event(&self, _: &str, event: &Event) {
        match event {
            Event::TokenRequested { .. } => self.0.take(Step::PostSent),
            Event::TokenRenewed { .. } | Event::TokenAdopted { .. } | Event::TokenFailed { .. } => {
                self.0.publish();
            }
            Event::TokenSaveFailed { error } => self.0.trouble(&shown(error)),
            _ => {}
        }
    }
}

/// An error of ours, with its kind in front.
pub fn shown(error: &Error) -> String {
    format!("{:?}: {error}", error.kind())
}

/// A store that writes down what is asked of it, and dawdles a little at both ends of a save, as a
/// process does that the machine has no time for.
pub struct Watched {
    pub store: Arc<dyn TokenStore>,
    pub steps: Arc<Steps>,
    pub ills: Ills,
    pub saves: AtomicUsize,
}

impl Watched {
    async fn dawdle(&self) {
        pause(Duration::from_millis(fastrand::u64(0..15))).await;
    }

    /// While the store is down a call fails, or hangs until it is up again.
    async fn stand(&self) -> Result<(), BoxError> {
        let Some(flag) = &self.ills.down_while else {
            return Ok(());
        };
        let hangs = fastrand::bool();
        while flag.exists() {
            if !hangs {
                return Err("down".into());
            }
            pause(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn mark(&self, key: &str, expected: Option<u64>, new: &Record) -> Result<Swap, BoxError> {
        self.steps.take(Step::Marking);
        self.store.compare_and_swap(key, expected, new).await
    }

    async fn save(&self, key: &str, expected: Option<u64>, new: &Record) -> Result<Swap, BoxError> {
        let answer = self.steps.received();
        self.dawdle().await;
        self.steps.take(Step::Saving);
        let span = self
            .ills
            .of_save(self.saves.fetch_add(1, Ordering::Relaxed));
        let (before, after) = match fastrand::bool() {
            true => (span, Duration::ZERO),
            false => (Duration::ZERO, span),
        };
        pause(before).await;
        let swap = self.store.compare_and_swap(key, expected, new).await;
        if matches!(swap, Ok(Swap::Saved)) {
            self.steps.stored(answer);
        }
        pause(after).await;
        self.steps.tried(answer);
        self.dawdle().await;
        swap
    }
}

pub async fn pause(span: Duration) {
    SystemClock.sleep(span).await;
}

#[async_trait]
impl TokenStore for Watched {
    async fn load(&self, key: &str) -> Result<Option<Record>, BoxError> {
        self.steps.look();
        self.stand().await?;
        self.store.load(key).await
    }

    /// Before the request is sent it is a mark, after it a save.
    async fn compare_and_swap(
        &self,
        key: &str,
        expected: Option<u64>,
        new: &Record,
    ) -> Result<Swap, BoxError> {
        let is_save = self.steps.is_inside();
        self.stand().await?;
        match is_save {
            true => self.save(key, expected, new).await,
            false => self.mark(key, expected, new).await,
        }
    }

    async fn lease(&self, key: &str, id: &str, span: Duration) -> Result<Lease, BoxError> {
        let is_prolonged = self.steps.is_inside();
        if !is_prolonged {
            self.steps.take(Step::AskingForTheLease);
        }
        self.stand().await?;
        let lease = self.store.lease(key, id, span).await;
        if matches!(lease, Ok(Lease::Held { .. })) && !is_prolonged {
            self.steps.take(Step::WaitingForTheLease);
        }
        lease
    }

    async fn release(&self, key: &str, id: &str) -> Result<(), BoxError> {
        self.store.release(key, id).await
    }

    fn abandon(&self, key: &str, id: &str) {
        self.store.abandon(key, id);
    }

    fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    fn check(&self, key: &str, needs_lease: bool) -> Result<(), BoxError> {
        self.store.check(key, needs_lease)
    }
}
