//! `token_store`: the shelf of stores, as a configuration file names them.

use std::sync::Arc;

use super::value::{Table, Value};
use crate::auth::store::TokenStore;
use crate::stores::{FileStore, MemoryStore};

const EXPECTED: &str = "expected \"memory\" or { directory = \"/path\" }";

pub(super) fn token_store(value: Value) -> Result<Arc<dyn TokenStore>, String> {
    match value {
        Value::Table(table) if table.contains_key("directory") => in_directory(table),
        Value::List(_) | Value::Flag(_) | Value::Integer(_) | Value::Float | Value::Nothing => {
            Err(format!("found {}; {EXPECTED}", value.kind()))
        }
        Value::Text(_) | Value::Table(_) => by_name(value),
    }
}

fn by_name(value: Value) -> Result<Arc<dyn TokenStore>, String> {
    let shown = value.shown();
    match value.into_text()?.as_str() {
        "memory" => Ok(Arc::new(MemoryStore::new())),
        _ => Err(format!("found {shown}; {EXPECTED}")),
    }
}

/// The folder itself is not looked at: it may be made, or mounted, later.
fn in_directory(mut table: Table) -> Result<Arc<dyn TokenStore>, String> {
    let directory = table.remove("directory").unwrap_or(Value::Nothing);
    if let Some(key) = table.keys().next() {
        return Err(format!("found {key:?} beside directory; {EXPECTED}"));
    }
    let in_place = |text| format!("directory: {text}");
    let directory = directory.into_text().map_err(in_place)?;
    match directory.is_empty() {
        true => Err(in_place(format!("found \"\"; {EXPECTED}"))),
        false => Ok(Arc::new(FileStore::new(directory))),
    }
}
