//! `token_store` and `quota_store`: the shelf of stores, as a configuration file names them.

use std::sync::Arc;

use super::value::{Table, Value};
use crate::auth::store::TokenStore;
use crate::rate_limit::QuotaStore;
use crate::secret::Secret;
use crate::stores::{FileStore, MemoryStore};

const EXPECTED: &str = "expected \"memory\" or { directory = \"/path\" }";

pub(super) fn token_store(value: Value) -> Result<Arc<dyn TokenStore>, String> {
    match value {
        Value::Table(table) if table.contains_key("directory") => in_directory(table),
        Value::Text(_) | Value::Table(_) => by_name(value),
        _ => Err(format!("found {}; {EXPECTED}", value.kind())),
    }
}

/// The same words; what is used of a quota is no secret, so there is no key.
pub(super) fn quota_store(value: Value) -> Result<Arc<dyn QuotaStore>, String> {
    match value {
        Value::Table(table) if table.contains_key("directory") => {
            if table.contains_key("key") {
                return Err(format!("found \"key\" beside directory; {EXPECTED}"));
            }
            Ok(Arc::new(folder(table)?.0))
        }
        Value::Text(_) | Value::Table(_) => Ok(Arc::new(memory(value)?)),
        _ => Err(format!("found {}; {EXPECTED}", value.kind())),
    }
}

fn by_name(value: Value) -> Result<Arc<dyn TokenStore>, String> {
    Ok(Arc::new(memory(value)?))
}

fn memory(value: Value) -> Result<MemoryStore, String> {
    let shown = value.shown();
    match value.into_text()?.as_str() {
        "memory" => Ok(MemoryStore::new()),
        _ => Err(format!("found {shown}; {EXPECTED}")),
    }
}

fn in_directory(table: Table) -> Result<Arc<dyn TokenStore>, String> {
    let (store, key) = folder(table)?;
    Ok(Arc::new(encrypted(store, key)?))
}

/// The folder itself is not looked at: it may be made, or mounted, later.
fn folder(mut table: Table) -> Result<(FileStore, Option<Secret>), String> {
    let directory = table.remove("directory").unwrap_or(Value::Nothing);
    let key = table.remove("key").map(Value::into_secret).transpose();
    let key = key.map_err(|text| format!("key: {text}"))?;
    if let Some(other) = table.keys().next() {
        return Err(format!("found {other:?} beside directory; {EXPECTED}"));
    }
    let in_place = |text| format!("directory: {text}");
    let directory = directory.into_text().map_err(in_place)?;
    match directory.is_empty() {
        true => Err(in_place(format!("found \"\"; {EXPECTED}"))),
        false => Ok((FileStore::new(directory), key)),
    }
}

#[cfg(feature = "encryption")]
fn encrypted(store: FileStore, key: Option<Secret>) -> Result<FileStore, String> {
    Ok(match key {
        Some(key) => store.encrypted_with(key),
        None => store,
    })
}

#[cfg(not(feature = "encryption"))]
fn encrypted(store: FileStore, key: Option<Secret>) -> Result<FileStore, String> {
    match key {
        Some(_) => Err("key: only a build with the feature encryption can use it".to_owned()),
        None => Ok(store),
    }
}
