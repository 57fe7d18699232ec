//! [`Secret`] and [`Window`] by themselves, for configurations of other shapes than ours.

use serde::de::{Deserialize, Deserializer, Error as _};

use super::limits;
use super::value::Value;
use crate::rate_limit::Window;
use crate::secret::Secret;

/// `"literal"`, `{ env = "VARIABLE" }` or `{ file = "/path" }`; a reference is not read yet.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer)?
            .into_secret()
            .map_err(D::Error::custom)
    }
}

/// `"120/min"`, or a table: `{ rate = "5000/day", remaining_header = "X-Left" }`, with the keys
/// `limit_header`, `reset_header`, `reset_time_header` and `reset_unit` too.
impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        limits::window(Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
