//! `token_store`: the shelf of stores, as a configuration file names them.

use std::sync::Arc;

use super::value::Value;
use crate::auth::store::TokenStore;

const EXPECTED: &str = "expected \"memory\"";

pub(super) fn token_store(value: Value) -> Result<Arc<dyn TokenStore>, String> {
    match &value {
        Value::Table(table) if table.contains_key("directory") => Err(format!(
            "found a directory; the file store is not part of this version, {EXPECTED}"
        )),
        _ => {
            let shown = value.shown();
            match value.into_text()?.as_str() {
                "memory" => Ok(memory()),
                _ => Err(format!("found {shown}; {EXPECTED}")),
            }
        }
    }
}

fn memory() -> Arc<dyn TokenStore> {
    Arc::new(stub::MemoryStore::default()) // crate::stores::MemoryStore::new() at merge
}

// Until `crate::stores::MemoryStore` is there.
mod stub {
    use std::collections::HashMap;
    use std::sync::{Mutex, PoisonError};

    use async_trait::async_trait;

    use crate::auth::store::{Record, Swap, TokenStore};
    use crate::error::BoxError;

    #[derive(Default)]
    pub(super) struct MemoryStore(Mutex<HashMap<String, Record>>);

    #[async_trait]
    impl TokenStore for MemoryStore {
        async fn load(&self, key: &str) -> Result<Option<Record>, BoxError> {
            let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(records.get(key).cloned())
        }

        async fn compare_and_swap(
            &self,
            key: &str,
            expected: Option<u64>,
            new: &Record,
        ) -> Result<Swap, BoxError> {
            let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let present = records.get(key).cloned();
            if present.as_ref().map(|record| record.version) != expected {
                return Ok(Swap::Conflict(present));
            }
            records.insert(key.to_owned(), new.clone());
            Ok(Swap::Saved)
        }
    }
}
