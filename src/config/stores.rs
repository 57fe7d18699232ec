//! `token_store`: the shelf of stores, as a configuration file names them.

use std::sync::Arc;

use super::value::Value;
use crate::auth::store::TokenStore;
use crate::stores::MemoryStore;

const EXPECTED: &str = "expected \"memory\"";

pub(super) fn token_store(value: Value) -> Result<Arc<dyn TokenStore>, String> {
    match &value {
        Value::Table(table) if table.contains_key("directory") => Err(format!(
            "found a directory; the file store is not part of this version, {EXPECTED}"
        )),
        _ => {
            let shown = value.shown();
            match value.into_text()?.as_str() {
                "memory" => Ok(Arc::new(MemoryStore::new())),
                _ => Err(format!("found {shown}; {EXPECTED}")),
            }
        }
    }
}
