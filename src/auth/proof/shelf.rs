//! The store, shared with another process: slow, failing or stuck as it is told, and the witness of
//! what was offered to it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::server::Server;
use crate::auth::persistence::record::{Mark, Tokens, mark_of, seconds};
use crate::auth::store::{Lease, Record, Swap, TokenStore};
use crate::clock::manual::HandClock;
use crate::clock::{Clock, Moment, Now};
use crate::error::BoxError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Healthy,
    Failing,
    /// What is written is written, and an error is reported.
    FailingLate,
    /// So many seconds, before it has written or after.
    Slow(u16, bool),
    /// Until it is told otherwise.
    Stuck,
}

#[derive(Clone)]
pub(super) struct Shelf {
    shelved: Arc<Mutex<Shelved>>,
    mode: watch::Sender<Mode>,
    clock: HandClock,
}

#[derive(Default)]
pub(super) struct Shelved {
    pub(super) record: Option<Record>,
    lease: Option<(String, Moment)>,
    pub(super) leased_to_other: bool,
    /// The right is a lock: whoever gets it knows that the process which had it is dead.
    pub(super) is_lock: bool,
    /// The mark of another process.
    others_mark: Option<OthersMark>,
    /// Marks of ours that were written, and when.
    marks: HashMap<String, Moment>,
    /// Since then nothing of ours was written.
    is_emptied: bool,
    was_emptied: bool,
    /// When the newest record was written, by the wall clock.
    saved_at: f64,
    numbered: u32,
    pub(super) offered: Vec<String>,
    /// Saves under way.
    pub(super) saving: usize,
    pub(super) violations: Vec<String>,
}

/// Another process presents the refresh token.
struct OthersMark {
    id: String,
    since: Moment,
    lives: bool,
}

/// Longer than any process that lives waits for its answer.
const LONGEST_PRESENTATION: Duration = Duration::from_secs(75);

impl Shelf {
    pub(super) fn new(clock: HandClock) -> Self {
        Self {
            shelved: Arc::default(),
            mode: watch::Sender::new(Mode::Healthy),
            clock,
        }
    }

    pub(super) fn shelved(&self) -> MutexGuard<'_, Shelved> {
        self.shelved.lock().expect("no panic")
    }

    pub(super) fn be(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    pub(super) fn refresh_token(&self) -> Option<String> {
        let shelved = self.shelved();
        let tokens = Tokens::from_bytes(&shelved.record.as_ref()?.bytes).ok()?;
        tokens.refresh_token.clone()
    }

    fn login(&self) -> Option<u64> {
        let shelved = self.shelved();
        let tokens = Tokens::from_bytes(&shelved.record.as_ref()?.bytes).ok()?;
        tokens.login
    }

    /// As an older version of this crate writes it.
    pub(super) fn put(&self, refresh_token: Option<&str>, access_token: Option<(&str, Now)>) {
        self.put_of(None, refresh_token, access_token);
    }

    /// Of that login.
    fn put_of(
        &self,
        login: Option<u64>,
        refresh_token: Option<&str>,
        access_token: Option<(&str, Now)>,
    ) {
        let issued = access_token.map(|(_, now)| now.wall.duration_since(std::time::UNIX_EPOCH));
        let issued_at = issued.map(|span| span.expect("after 1970").as_secs_f64());
        let mut tokens = Tokens::new(None, refresh_token);
        tokens.access_token = access_token.map(|(token, _)| token.to_owned());
        tokens.login = login;
        tokens.saved_at = Some(seconds(self.clock.now().wall));
        tokens.issued_at = issued_at;
        tokens.expires_at = issued_at.map(|issued| issued + 599.0);
        let mut shelved = self.shelved();
        let version = shelved
            .record
            .as_ref()
            .map_or(1, |record| record.version + 1);
        // An older version tells no write from another.
        shelved.numbered += 1;
        tokens.write = login.map(|_| format!("write {}", shelved.numbered));
        let bytes = tokens.to_bytes();
        shelved.saved_at = tokens.saved_at.unwrap_or_default().max(shelved.saved_at);
        shelved.record = Some(Record::new(version, bytes));
    }

    /// Another process renews, under the lease, and stores what it got.
    pub(super) fn other_renews(&self, server: &Server, rotates: bool) {
        let present = self.refresh_token();
        let may = self.has_others_mark() || self.is_free() && !self.has_mark_of_ours();
        if !may || present.is_some() != rotates {
            return;
        }
        if let Some((token, next)) = server.renew_for_other(present.as_deref()) {
            self.shelved().others_mark = None;
            let now = self.clock.now();
            let next = rotates.then_some(next.as_str());
            self.put_of(self.login(), next, Some((&token, now)));
        }
    }

    /// A person logs in by another process, which has the lease for it.
    pub(super) fn other_logs_in(&self, server: &Server) {
        let now = seconds(self.clock.now().wall);
        // Only the wall clock tells a login into a store that was emptied from an old copy.
        let is_dated_back = {
            let shelved = self.shelved();
            shelved.was_emptied && now < shelved.saved_at
        };
        if self.is_free() && !is_dated_back {
            let (token, refresh_token) = server.log_in_for_other();
            let login = self.login().unwrap_or_default() + 1;
            let token = Some((token.as_str(), self.clock.now()));
            self.put_of(Some(login), Some(&refresh_token), token);
        }
    }

    fn mark(&self) -> Option<Mark> {
        let shelved = self.shelved();
        let tokens = Tokens::from_bytes(&shelved.record.as_ref()?.bytes).ok()?;
        tokens.presented.clone().filter(|mark| mark.open)
    }

    /// Whether an open mark of ours keeps others from presenting the refresh token.
    fn has_mark_of_ours(&self) -> bool {
        let now = self.clock.now().moment;
        self.mark().is_some_and(|mark| {
            let written = self.shelved().marks.get(&mark.id).copied();
            written.is_some_and(|written| now - written < LONGEST_PRESENTATION)
        })
    }

    /// Whether a living process is presenting the refresh token.
    fn has_others_mark(&self) -> bool {
        let mark = self.mark();
        let shelved = self.shelved();
        let others = shelved.others_mark.as_ref().filter(|others| others.lives);
        mark.zip(others)
            .is_some_and(|(mark, others)| mark.id == others.id)
    }

    /// Another process writes its mark, under the lease.
    pub(super) fn other_marks(&self) {
        if !self.is_free() || self.has_mark_of_ours() || self.has_others_mark() {
            return;
        }
        let now = self.clock.now();
        let mut shelved = self.shelved();
        shelved.numbered += 1;
        let id = format!("mark {}", shelved.numbered);
        let change = |tokens: &mut Tokens| {
            let of = tokens.refresh_token().map(|token| mark_of(&token));
            let before = tokens
                .presented
                .take()
                .filter(|mark| Some(&mark.of) == of.as_ref());
            tokens.presented = of.map(|of| Mark {
                of,
                n: before.map_or(1, |mark| mark.n + 1),
                id: id.clone(),
                holder: "process 7".into(),
                at: seconds(now.wall),
                open: true,
                lost: None,
            });
            tokens.presented.is_some()
        };
        if shelved.change(change) {
            shelved.others_mark = Some(OthersMark {
                id,
                since: now.moment,
                lives: true,
            });
        }
    }

    /// It learns that no answer will come.
    pub(super) fn other_closes(&self) {
        if self.has_others_mark() {
            let at = seconds(self.clock.now().wall);
            let mut shelved = self.shelved();
            shelved.others_mark = None;
            shelved.change(|tokens| {
                let mark = tokens.presented.as_mut();
                mark.map(|mark| (mark.open, mark.at) = (false, at))
                    .is_some()
            });
        }
    }

    /// It dies before its answer comes; true if it had presented the refresh token.
    pub(super) fn other_dies(&self) -> bool {
        let presents = self.has_others_mark();
        if let Some(others) = &mut self.shelved().others_mark {
            others.lives = false;
        }
        presents
    }

    /// The store comes back without its contents.
    /// Nothing of ours was written since.
    pub(super) fn is_emptied(&self) -> bool {
        self.shelved().is_emptied
    }

    pub(super) fn empty(&self) {
        let mut shelved = self.shelved();
        shelved.record = None;
        shelved.lease = None;
        shelved.others_mark = None;
        shelved.is_emptied = true;
        shelved.was_emptied = true;
    }

    /// Looks at a refresh token of ours that is being presented: its mark stands here.
    pub(super) fn check_presented(&self, presented: &str) -> Option<String> {
        let now = self.clock.now().moment;
        let mark = self.mark().filter(|mark| mark.of == mark_of(presented));
        let is_of_record = self.refresh_token().as_deref() == Some(presented);
        let shelved = self.shelved();
        let id = mark.map(|mark| mark.id);
        if let Some(others) = shelved.others_mark.as_ref().filter(|others| others.lives) {
            if Some(&others.id) == id.as_ref() && now - others.since < LONGEST_PRESENTATION {
                return Some(format!("A12: {presented} is being presented by another"));
            }
        }
        let is_marked = id.is_some_and(|id| shelved.marks.contains_key(&id));
        let is_excused = shelved.is_emptied || (shelved.record.is_some() && !is_of_record);
        (!is_marked && !is_excused).then(|| format!("A12: {presented} presented without a mark"))
    }

    /// Whether another process gets the lease.
    pub(super) fn is_free(&self) -> bool {
        let now = self.clock.now().moment;
        let shelved = self.shelved();
        let lease = shelved.lease.as_ref();
        lease.is_none_or(|(_, until)| *until <= now)
    }

    /// The same once more, in a new version.
    pub(super) fn other_touches(&self) {
        let mut shelved = self.shelved();
        if let Some(record) = &mut shelved.record {
            record.version += 1;
        }
    }

    /// Takes as long as it takes; true if what is written was written before the delay.
    async fn take_time(&self, before: bool) -> Result<(), BoxError> {
        let mut mode = self.mode.subscribe();
        let mode = *mode.wait_for(|mode| *mode != Mode::Stuck).await?;
        match mode {
            Mode::Failing => return Err("down".into()),
            Mode::Slow(seconds, first) if first == before => {
                self.clock.sleep(Duration::from_secs(seconds.into())).await;
            }
            _ => {}
        }
        Ok(())
    }

    fn offer(&self, new: &Record) -> Saving {
        let stands = self.refresh_token();
        let mut shelved = self.shelved();
        let tokens = Tokens::from_bytes(&new.bytes).expect("tokens");
        match (tokens.refresh_token(), stands) {
            (Some(refresh_token), _) => shelved.offered.push(refresh_token.to_string()),
            (None, Some(stands)) => {
                let text = format!("A5: {stands} overwritten by nothing");
                shelved.violations.push(text);
            }
            (None, None) => {}
        }
        shelved.saving += 1;
        Saving(self.clone())
    }
}

struct Saving(Shelf);

impl Shelved {
    /// Another process writes the record anew, if there is one to change.
    fn change(&mut self, change: impl FnOnce(&mut Tokens) -> bool) -> bool {
        let Some(record) = &mut self.record else {
            return false;
        };
        let mut tokens = Tokens::from_bytes(&record.bytes).expect("tokens");
        self.numbered += 1;
        tokens.write = Some(format!("write {}", self.numbered));
        let is_changed = change(&mut tokens);
        if is_changed {
            *record = Record::new(record.version + 1, tokens.to_bytes());
        }
        is_changed
    }

    fn write(&mut self, new: &Record, now: Moment) {
        let tokens = Tokens::from_bytes(&new.bytes).expect("tokens");
        if let Some(mark) = tokens.presented.as_ref().filter(|mark| mark.open) {
            self.marks.entry(mark.id.clone()).or_insert(now);
        }
        self.record = Some(new.clone());
        self.is_emptied = false;
        self.saved_at = tokens.saved_at.unwrap_or_default().max(self.saved_at);
    }

    /// A living process presents, and the right is a lock.
    fn is_locked_by_other(&self) -> bool {
        let lives = self.others_mark.as_ref().is_some_and(|others| others.lives);
        self.leased_to_other || self.is_lock && lives
    }
}

impl Drop for Saving {
    fn drop(&mut self) {
        self.0.shelved().saving -= 1;
    }
}

#[async_trait]
impl TokenStore for Shelf {
    async fn load(&self, _: &str) -> Result<Option<Record>, BoxError> {
        self.take_time(true).await?;
        Ok(self.shelved().record.clone())
    }

    async fn compare_and_swap(
        &self,
        _: &str,
        expected: Option<u64>,
        new: &Record,
    ) -> Result<Swap, BoxError> {
        let _saving = self.offer(new);
        self.take_time(true).await?;
        let swapped = {
            let mut shelved = self.shelved();
            let present = shelved.record.as_ref().map(|record| record.version);
            match present == expected {
                true => {
                    shelved.write(new, self.clock.now().moment);
                    Swap::Saved
                }
                false => Swap::Conflict(shelved.record.clone()),
            }
        };
        self.take_time(false).await?;
        let mode = *self.mode.borrow();
        match mode {
            Mode::FailingLate => Err("the connection broke".into()),
            _ => Ok(swapped),
        }
    }

    async fn lease(&self, _: &str, id: &str, lifetime: Duration) -> Result<Lease, BoxError> {
        self.take_time(true).await?;
        let until = self.clock.now().moment + lifetime;
        let mut shelved = self.shelved();
        let granted = !shelved.is_locked_by_other();
        if granted {
            shelved.lease = Some((id.to_owned(), until));
        }
        Ok(match granted {
            true => Lease::Granted {
                previous_is_dead: shelved.is_lock,
            },
            false => Lease::Held { left: None },
        })
    }

    async fn release(&self, _: &str, id: &str) -> Result<(), BoxError> {
        self.take_time(true).await?;
        let mut shelved = self.shelved();
        shelved.lease.take_if(|(present, _)| present == id);
        Ok(())
    }
}
