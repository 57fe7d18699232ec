//! A configuration file in which the names of secrets stand for the secrets.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use reqwest_tollgate::{Account, Config, Event, MemoryStore};
use toml::{Table, Value};

use crate::Stopped;
use crate::syntax::problem;

pub(crate) struct File {
    accounts: Table,
    /// The names that stand for values.
    names: BTreeSet<String>,
}

impl File {
    pub(crate) fn read(text: &str) -> Result<Self> {
        let whole = text.parse::<Table>();
        let whole = whole.map_err(|error| anyhow::anyhow!("{}", problem(text, &error)));
        let mut whole = whole.context("in the configuration")?;
        let accounts = whole.remove("accounts").context("there are no accounts")?;
        let Value::Table(mut accounts) = accounts else {
            anyhow::bail!("accounts is no table");
        };
        let mut names = BTreeSet::new();
        for (_, account) in accounts.iter_mut() {
            by_name(account, &mut names);
            if let Value::Table(account) = account {
                // A dry run looks into no store: `build` gives every account one that is empty.
                account.remove("token_store");
                account.remove("quota_store");
            }
        }
        Ok(Self { accounts, names })
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.accounts.keys().cloned().collect()
    }

    pub(crate) fn distributor(&self, name: &str) -> Option<String> {
        let distributor = self.accounts.get(name)?.get("distributor")?;
        distributor.as_str().map(str::to_owned)
    }

    /// The account, whose token requests go through this client.
    pub(crate) fn account(&self, name: &str, client: reqwest::Client) -> Result<Account> {
        let table = self.accounts.get(name);
        let mut table = table
            .with_context(|| format!("there is no account {name:?}"))?
            .clone();
        for key in literals(name, &table)? {
            self.hide(&mut table, &key);
        }
        build(name, &table, |config| config.token_client(client))
    }

    /// A literal of the file's own becomes the name of its key.
    fn hide(&self, table: &mut Value, key: &str) {
        let mut place = Some(table);
        for part in key.split('.') {
            place = place.and_then(|value| value.get_mut(part));
        }
        match place {
            Some(Value::String(text)) if !self.names.contains(text) => {
                *text = format!("({key} of the file)");
            }
            _ => {}
        }
    }
}

/// `{ env = "NAME" }` and `{ file = "/path" }` become their names.
fn by_name(value: &mut Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|item| by_name(item, names)),
        Value::Table(table) => {
            let reference = table.get("env").or_else(|| table.get("file"));
            match reference.and_then(Value::as_str).map(str::to_owned) {
                Some(name) if table.len() == 1 => {
                    names.insert(name.clone());
                    *value = name.into();
                }
                _ => table.iter_mut().for_each(|(_, item)| by_name(item, names)),
            }
        }
        _ => {}
    }
}

/// The keys whose values are secrets: the crate tells them.
fn literals(name: &str, table: &Value) -> Result<Vec<String>> {
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let observed = told.clone();
    build(name, table, move |config| {
        config.observer(move |_: &str, event: &Event| {
            if let Event::LiteralSecret { key } = event {
                let mut told = observed.lock().unwrap_or_else(PoisonError::into_inner);
                told.push(key.clone());
            }
        })
    })?;
    let told = told.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(told.clone())
}

fn build(name: &str, table: &Value, equip: impl FnOnce(Config) -> Config) -> Result<Account> {
    let accounts = Table::from_iter([(name.to_owned(), table.clone())]);
    let whole = Table::from_iter([("accounts".to_owned(), Value::Table(accounts))]);
    let config: Config = whole.try_into()?;
    let mut accounts = equip(config.clock(Stopped).token_store(MemoryStore::new())).build()?;
    accounts.remove(name).context("the account is gone")
}
