//! Accounts from a configuration file.
//!
//! Each table `[accounts.NAME]` is one account. Its keys are the setters of
//! [`AccountBuilder`](crate::AccountBuilder), in the plural where a setter adds to a list, and the
//! arguments of a preset; `distributor` chooses the preset. Any string may be a reference,
//! `{ env = "VARIABLE" }` or `{ file = "/path" }` (a relative path begins at the working
//! directory), so a file needs to hold no secret.
//!
//! A file is read leniently and checked at the end: [`Config::build`] lists all that is wrong in
//! all accounts, so that one look is enough.

mod account;
mod deserialize;
mod fields;
mod grants;
mod limits;
mod nearest;
mod plaintext_secrets;
mod stores;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer};

use self::fields::Fields;
use self::value::{Table, Value};
use crate::account::check::problems::Problems;
use crate::account::{Account, AccountBuilder};
use crate::auth::store::TokenStore;
use crate::clock::Clock;
use crate::error::Error;
use crate::observe::event::Observer;
use crate::rate_limit::QuotaStore;

/// Accounts by name, from a file of any format that serde reads.
///
/// ```no_run
/// use reqwest_tollgate::Config;
///
/// let config: Config = toml::from_str(
///     r#"
///     [accounts.digikey]
///     distributor = "digikey"
///     client_id = "my-client-id"
///     client_secret = { env = "DIGIKEY_CLIENT_SECRET" }
///
///     [accounts.acme]
///     base_url = "https://api.acme.example"
///     headers = { X-Acme-Key = "literal" }
///     windows = ["10/s", { rate = "5000/day", remaining_header = "X-Acme-Left" }]
///     "#,
/// )?;
/// let accounts = config.build()?;
/// assert_eq!(accounts["acme"].name(), "acme");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// An error of the parser itself may show the line at which it stopped, and with it a secret: of
/// `toml`'s show `message()` and the position of `span()`, not its `Display`. What this crate says
/// of a file never shows a value that may be a secret.
///
/// # Keys of an account
///
/// | keys | values |
/// |---|---|
/// | `distributor` | `"digikey"`, or another module of [`distributors`](crate::distributors), whose table says which keys it needs; without one `base_url` is required |
/// | `environment` | `"production"`, `"sandbox"` |
/// | `base_url`, `token_url`, `authorization_url`, `revocation_url` | URLs; a relative one follows `base_url` |
/// | `origins`, `not_the_token` | lists of strings |
/// | `headers`, `query`, `token_headers`, `token_fields` | tables of strings |
/// | `bearer` | a string |
/// | `basic` | a table of `user` and `password` |
/// | `client_id`, `client_secret`, `scope`, `issuer` | strings |
/// | `request_id_header` | a string, or a list of strings |
/// | `client_auth` | `"basic"`, `"basic-raw"`, `"body"` |
/// | `grant` | `"client_credentials"`; `"refresh_token"` with a `refresh_token` to begin with; `"authorization_code"` with a `redirect_uri`; `"password"` with `user` and `password`; `"jwt_bearer"` with an `assertion` |
/// | `assertion` | a table: `algorithm` (`"HS256"`; with the feature `jwt` also `"RS256"`, `"ES256"`), `issuer`, `key`; `key_id`, `subject`, `audience`, `lifetime` |
/// | `refresh_lead`, `fallback_lifetime`, `refresh_token_grace`, `orphan_patience`, `max_wait`, `timeout`, `unanswered_after` | spans: `"500ms"`, `"30s"`, `"15min"`, `"12h"` |
/// | `windows` | a list of `"120/min"` (how a [`Window`](crate::Window) is written) or `{ rate = "5000/day", unit, limit_header, remaining_header, reset_header, reset_time_header, reset_unit, pacing, reserve, follow_raises }`, with a `pacing` of `"auto"`, `"burst"` or `"spread"`, an integer for `reserve` and true or false for `follow_raises` |
/// | `token_windows` | a list of `"2/s"` |
/// | `quotas` | a list of `{ name, paths, windows }` |
/// | `costs` | a table of units, each with the integer that a request costs in it: [`RequestOptions::cost`](crate::RequestOptions::cost) |
/// | `priority` | `"low"`, `"normal"`, `"high"`, of the requests that name none: [`RequestOptions::priority`](crate::RequestOptions::priority) |
/// | `max_replays`, `max_in_flight`, `max_queue` | integers |
/// | `rejection_statuses` | a list of integers |
/// | `rules` | a list of `{ status = 403, body = ["phrase"], headers = { Name = "phrase" }, header_is = { Name = "value" }, verdict }`, with a verdict of `"fine"`, `"token-rejected"`, `"not-the-token"`, `"rate-exceeded"`, `"rate-suspected"` or `"quota-spent"`: see [`Rule`](crate::Rule); the first that matches decides |
/// | `replay_unauthorized`, `keep_warm`, `pkce` | true or false |
/// | `token_store` | `"memory"`, or `{ directory = "/path" }` for a [`FileStore`](crate::FileStore), with the feature `encryption` also `{ directory, key }`; at the top of the file it is that of all accounts that name none |
/// | `quota_store` | `"memory"` or `{ directory = "/path" }`, likewise: [`AccountBuilder::quota_store`](crate::AccountBuilder::quota_store) |
pub struct Config {
    tree: Value,
    shared: Shared,
    /// None: all.
    only: Option<String>,
}

/// What is the same for all accounts.
#[derive(Default)]
struct Shared {
    observers: Vec<Arc<dyn Observer>>,
    clock: Option<Arc<dyn Clock>>,
    token_client: Option<reqwest::Client>,
    token_store: Option<Arc<dyn TokenStore>>,
    quota_store: Option<Arc<dyn QuotaStore>>,
}

impl Config {
    /// Somebody who sees the events of every account; may be called several times.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.shared.observers.push(Arc::new(observer));
        self
    }

    /// Another clock for every account, for tests under paused time.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.shared.clock = Some(Arc::new(clock));
        self
    }

    /// The client for the token requests of every account, as
    /// [`AccountBuilder::token_client`](crate::AccountBuilder::token_client).
    #[must_use]
    pub fn token_client(mut self, client: reqwest::Client) -> Self {
        self.shared.token_client = Some(client);
        self
    }

    /// Where the tokens of an account survive for which the file names no store.
    #[must_use]
    pub fn token_store(mut self, store: impl TokenStore) -> Self {
        self.shared.token_store = Some(Arc::new(store));
        self
    }

    /// Where the use of an account's quotas survives for which the file names no store, as
    /// [`AccountBuilder::quota_store`](crate::AccountBuilder::quota_store).
    #[must_use]
    pub fn quota_store(mut self, store: impl QuotaStore) -> Self {
        self.shared.quota_store = Some(Arc::new(store));
        self
    }

    /// Leaves out every account but this one: what the others refer to is not read, what is wrong
    /// with them not told. For a program that works for one account of a file of many.
    #[must_use]
    pub fn only(mut self, account: impl Into<String>) -> Self {
        self.only = Some(account.into());
        self
    }

    /// The names of the accounts in the file, in order; nothing is read or checked.
    pub fn names(&self) -> Vec<String> {
        let Value::Table(tree) = &self.tree else {
            return Vec::new();
        };
        match tree.get("accounts") {
            Some(Value::Table(accounts)) => accounts.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// Reads what the file refers to, checks everything and makes the accounts, by name. It sends
    /// nothing and needs no runtime.
    ///
    /// # Errors
    /// One [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every unknown key and every
    /// bad value of all accounts, one per line: its path, what was found and what was expected. It
    /// never shows a secret.
    ///
    /// A secret that the file holds itself is no error, but told by
    /// [`Event::LiteralSecret`](crate::Event::LiteralSecret).
    pub fn build(self) -> Result<BTreeMap<String, Account>, Error> {
        build(self.tree, self.shared, self.only).map_err(Problems::into_error)
    }
}

fn build(
    tree: Value,
    mut shared: Shared,
    only: Option<String>,
) -> Result<BTreeMap<String, Account>, Problems> {
    let tree = tree
        .into_table()
        .map_err(|text| Problems::of("configuration", text))?;
    let mut fields = Fields::new(tree);
    if !fields.has("accounts") {
        fields
            .problems
            .add("accounts", "is missing; expected tables [accounts.NAME]");
    }
    let mut tables = fields
        .read("accounts", Value::into_table)
        .unwrap_or_default();
    if let Some(name) = only {
        tables = keep(tables, name, &mut fields.problems);
    }
    let store = fields.read("token_store", stores::token_store);
    shared.token_store = store.or(shared.token_store);
    let store = fields.read("quota_store", stores::quota_store);
    shared.quota_store = store.or(shared.quota_store);
    let mut problems = fields.finish();
    let accounts = accounts(tables, &shared, &mut problems);
    problems.into_result(accounts)
}

/// The table of that name alone.
fn keep(mut tables: Table, name: String, problems: &mut Problems) -> Table {
    match tables.remove(&name) {
        Some(table) => Table::from([(name, table)]),
        None => {
            let names: Vec<_> = tables.keys().map(String::as_str).collect();
            let text = format!("there is no {name:?}, only: {}", names.join(", "));
            problems.add("accounts", text);
            Table::new()
        }
    }
}

fn accounts(tables: Table, shared: &Shared, problems: &mut Problems) -> BTreeMap<String, Account> {
    let mut accounts = BTreeMap::new();
    for (name, value) in tables {
        let table = value.into_table().map_err(Problems::of_value);
        match table.and_then(|table| account::account(&name, table, shared)) {
            Ok(account) => {
                accounts.insert(name, account);
            }
            Err(part) => problems.add_all(&format!("accounts.{name}"), part),
        }
    }
    accounts
}

impl Shared {
    /// The stores are the account's own, which go before the shared ones.
    fn equip(
        &self,
        builder: &mut AccountBuilder,
        token_store: Option<Arc<dyn TokenStore>>,
        quota_store: Option<Arc<dyn QuotaStore>>,
    ) {
        let settings = &mut builder.settings;
        settings.observers.extend(self.observers.iter().cloned());
        settings.clock = self.clock.clone();
        settings.token_client = self.token_client.clone();
        // One for all accounts may be of no use to some; an account's own has to be.
        if token_store.is_some() {
            settings.note("token_store");
        }
        settings.token_store = token_store.or_else(|| self.token_store.clone());
        settings.quota_store = quota_store.or_else(|| self.quota_store.clone());
    }
}

/// Takes any tree of values: what is wrong with it, [`Config::build`] tells.
impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self {
            tree: Value::deserialize(deserializer)?,
            shared: Shared::default(),
            only: None,
        })
    }
}

/// Without the file's values, any of which may be a secret.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").finish_non_exhaustive()
    }
}
