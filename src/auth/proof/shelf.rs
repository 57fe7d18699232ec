//! The store, shared with another process: slow, failing or stuck as it is told, and the witness of
//! what was offered to it.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::server::Server;
use crate::auth::record::Tokens;
use crate::auth::store::{Lease, Record, Swap, TokenStore};
use crate::clock::hands::HandClock;
use crate::clock::{Clock, Moment, Now};
use crate::error::BoxError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Healthy,
    Failing,
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
    pub(super) offered: Vec<String>,
    /// Saves under way.
    pub(super) saving: usize,
    pub(super) violations: Vec<String>,
}

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
        let seconds = |span: Duration| span.as_secs_f64();
        let issued = access_token.map(|(_, now)| now.wall.duration_since(std::time::UNIX_EPOCH));
        let issued_at = issued.map(|span| seconds(span.expect("after 1970")));
        let mut tokens = Tokens::new(None, refresh_token);
        tokens.access_token = access_token.map(|(token, _)| token.to_owned());
        tokens.login = login;
        tokens.issued_at = issued_at;
        tokens.expires_at = issued_at.map(|issued| issued + 599.0);
        let mut shelved = self.shelved();
        let version = shelved
            .record
            .as_ref()
            .map_or(1, |record| record.version + 1);
        let bytes = tokens.to_bytes();
        shelved.record = Some(Record::new(version, bytes));
    }

    /// Another process renews, under the lease, and stores what it got.
    pub(super) fn other_renews(&self, server: &Server, rotates: bool) {
        let present = self.refresh_token();
        if !self.is_free() || present.is_some() != rotates {
            return;
        }
        if let Some((token, next)) = server.renew_for_other(present.as_deref()) {
            let now = self.clock.now();
            let next = rotates.then_some(next.as_str());
            self.put_of(self.login(), next, Some((&token, now)));
        }
    }

    /// A person logs in by another process, which has the lease for it.
    pub(super) fn other_logs_in(&self, server: &Server) {
        if self.is_free() {
            let (token, refresh_token) = server.log_in_for_other();
            let login = self.login().unwrap_or_default() + 1;
            let token = Some((token.as_str(), self.clock.now()));
            self.put_of(Some(login), Some(&refresh_token), token);
        }
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
                    shelved.record = Some(new.clone());
                    Swap::Saved
                }
                false => Swap::Conflict(shelved.record.clone()),
            }
        };
        self.take_time(false).await?;
        Ok(swapped)
    }

    async fn lease(&self, _: &str, id: &str, lifetime: Duration) -> Result<Lease, BoxError> {
        self.take_time(true).await?;
        let until = self.clock.now().moment + lifetime;
        let mut shelved = self.shelved();
        let granted = !shelved.leased_to_other;
        if granted {
            shelved.lease = Some((id.to_owned(), until));
        }
        Ok(match granted {
            true => Lease::Granted {
                previous_is_dead: false,
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
