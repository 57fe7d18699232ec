//! Saving: a task of its own that nobody can cancel.
//!
//! There is one at a time for an account, and it saves the newest record, so an older one never
//! overwrites a newer. It goes on until the store has taken it, while the account lives from
//! memory.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select;

use super::record::Tokens;
use super::store::{Record, Swap};
use super::vault::Vault;
use crate::event::Event;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The task that saves. However it ends, another may begin.
pub(super) struct Saver {
    vault: Arc<Vault>,
    ended: bool,
}

impl Drop for Saver {
    fn drop(&mut self) {
        if !self.ended {
            self.vault.memory().saving = false;
        }
    }
}

impl Saver {
    pub(super) fn new(vault: Arc<Vault>) -> Self {
        let ended = false;
        Self { vault, ended }
    }

    pub(super) async fn run(mut self) {
        let Some(store) = self.vault.store.clone() else {
            return;
        };
        let mut pause = FIRST_PAUSE;
        while let Some((number, expected, new)) = self.next() {
            let vault = &self.vault;
            match store.compare_and_swap(&vault.key, expected, &new).await {
                Ok(Swap::Saved) => {
                    self.saved(number, &new);
                    pause = FIRST_PAUSE;
                    continue;
                }
                Ok(Swap::Conflict(other)) => {
                    self.conflict(number, other);
                    // The first conflict is only news; a row of them is a fight.
                    if pause == FIRST_PAUSE {
                        pause *= 2;
                        continue;
                    }
                }
                Err(error) => {
                    let refusal = vault.report("did not save", Some(error));
                    vault.memory().failure = Some(refusal);
                    vault.tried.send_replace(number);
                }
            }
            self.pause(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// So long, or until somebody cannot wait.
    async fn pause(&self, span: Duration) {
        let hurry = pin!(self.vault.hurry.notified());
        select(hurry, self.vault.clock.sleep(span)).await;
    }

    /// The newest record. If there is none the task ends, under the same lock, so that no record
    /// slips in between.
    fn next(&mut self) -> Option<(u64, Option<u64>, Record)> {
        let mut memory = self.vault.memory();
        let Some((number, tokens)) = &memory.unsaved else {
            memory.saving = false;
            self.ended = true;
            return None;
        };
        let version = memory.version;
        let version = version.map_or(1, |version| version.saturating_add(1));
        let record = Record::new(version, tokens.to_bytes());
        Some((*number, memory.version, record))
    }

    fn saved(&self, number: u64, record: &Record) {
        let tokens = Tokens::from_bytes(&record.bytes);
        let refresh_token = tokens.and_then(|tokens| tokens.refresh_token());
        if refresh_token.is_some() {
            self.vault.memory().stored = refresh_token;
        }
        self.settle(number, Some(record.version));
        self.vault.events.emit(|| Event::TokenSaved);
    }

    /// Another process wrote. Its access token is as good as ours; but a refresh token that the
    /// store has never had is the newest of its family, and goes last. One that it has had gives
    /// way: what the other wrote may be its successor.
    fn conflict(&self, number: u64, other: Option<Record>) {
        let version = other.map(|record| record.version);
        let mut memory = self.vault.memory();
        let ours = memory.unsaved.as_ref().map(|(_, tokens)| tokens);
        let ours = ours.and_then(Tokens::refresh_token);
        let is_newest = ours.is_some() && ours != memory.stored;
        // Where ours gives way the version stays unknown: the next look has to take it over.
        if version.is_none() || is_newest || ours.is_none() {
            memory.version = version;
        }
        let known = memory.version;
        drop(memory);
        if version.is_some() && !is_newest {
            self.settle(number, known);
        }
    }

    fn settle(&self, number: u64, version: Option<u64>) {
        let mut memory = self.vault.memory();
        memory.version = version;
        if matches!(memory.unsaved, Some((newest, _)) if newest == number) {
            memory.unsaved = None;
        }
        drop(memory);
        self.vault.tried.send_replace(number);
    }
}
