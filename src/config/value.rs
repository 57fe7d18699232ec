//! A configuration file as it was written: a tree of values, not yet understood.
//!
//! Everything is taken here, so that what is wrong is told later, all at once and with its place.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

use crate::secret::Secret;

pub(super) type Table = BTreeMap<String, Value>;

/// A value; it has no `Debug`, since any string may be a secret.
#[derive(Clone)]
pub(super) enum Value {
    Nothing,
    Flag(bool),
    Integer(i128),
    Float,
    Text(Zeroizing<String>),
    Bytes,
    List(Vec<Value>),
    Table(Table),
}

const SECRET: &str = "expected a string, { env = \"VARIABLE\" } or { file = \"/path\" }";

impl Value {
    /// What to call it in a message: never a string's content.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Flag(_) => "true or false",
            Self::Integer(_) => "an integer",
            Self::Float => "a number with a fraction",
            Self::Text(_) => "a string",
            Self::Bytes => "bytes",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }

    /// The text as it was written; that of a reference is not shown, since it may be a secret's.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Text(text) => format!("{:?}", text.as_str()),
            Self::Table(_) => "the value that it refers to".to_owned(),
            other => other.kind().to_owned(),
        }
    }

    /// A secret, by value or by reference.
    pub(super) fn into_secret(self) -> Result<Secret, String> {
        let table = match self {
            Self::Text(text) => return Ok(Secret::from(text.as_str())),
            Self::Table(table) => table,
            other => return Err(format!("found {}; {SECRET}", other.kind())),
        };
        let mut entries = table.into_iter();
        match (entries.next(), entries.next()) {
            (Some((key, Self::Text(place))), None) if key == "env" => {
                Ok(Secret::env(place.as_str()))
            }
            (Some((key, Self::Text(place))), None) if key == "file" => {
                Ok(Secret::file(place.as_str()))
            }
            _ => Err(format!("found a table; {SECRET}")),
        }
    }

    /// A string that is no secret; a reference is read now.
    pub(super) fn into_text(self) -> Result<String, String> {
        match self {
            // What holds of a secret need not hold of a phrase.
            Self::Text(text) => Ok(text.as_str().to_owned()),
            reference => Ok(reference.into_secret()?.read()?.as_str().to_owned()),
        }
    }

    pub(super) fn into_list(self) -> Result<Vec<Self>, String> {
        match self {
            Self::List(list) => Ok(list),
            other => Err(format!("found {}; expected a list", other.kind())),
        }
    }

    pub(super) fn into_table(self) -> Result<Table, String> {
        match self {
            Self::Table(table) => Ok(table),
            other => Err(format!("found {}; expected a table", other.kind())),
        }
    }

    pub(super) fn into_flag(self) -> Result<bool, String> {
        match self {
            Self::Flag(flag) => Ok(flag),
            other => Err(format!("found {}; expected true or false", other.kind())),
        }
    }

    pub(super) fn into_integer<T: TryFrom<i128>>(self) -> Result<T, String> {
        match self {
            Self::Integer(number) => {
                T::try_from(number).map_err(|_| format!("found {number}, which is out of range"))
            }
            other => Err(format!("found {}; expected an integer", other.kind())),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

/// Takes everything: the error of a type that it does not take would show the value.
struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of a configuration file")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Integer(number.into()))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u128<E>(self, number: u128) -> Result<Value, E> {
        Ok(Value::Integer(number.try_into().unwrap_or(i128::MAX)))
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Float)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(Zeroizing::new(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(Zeroizing::new(text)))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nothing)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        Value::deserialize(inner)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut table = Table::new();
        while let Some((key, value)) = entries.next_entry::<Value, Value>()? {
            table.insert(name(key)?, value);
        }
        Ok(Value::Table(table))
    }
}

/// A format may have keys that are no strings (YAML).
fn name<E: serde::de::Error>(key: Value) -> Result<String, E> {
    match key {
        Value::Text(text) => Ok(text.as_str().to_owned()),
        other => Err(E::custom(format!(
            "found a key that is {}; expected a string",
            other.kind()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer as _;
    use serde::de::value::{BytesDeserializer, Error, I128Deserializer, MapDeserializer};

    use super::*;

    fn error(value: Result<Secret, Error>) -> String {
        value.expect_err("an error").to_string()
    }

    #[test]
    fn no_error_of_a_value_of_the_wrong_type_shows_the_value() {
        let number: I128Deserializer<Error> = 4711_i128.into_deserializer();
        let bytes: BytesDeserializer<'_, Error> = BytesDeserializer::new(b"canary4711");
        let map = MapDeserializer::new([(4711_u64, "canary4711")].into_iter());
        let flag: serde::de::value::BoolDeserializer<Error> = true.into_deserializer();
        let float: serde::de::value::F64Deserializer<Error> = 0.4711_f64.into_deserializer();
        for error in [
            error(Secret::deserialize(number)),
            error(Secret::deserialize(bytes)),
            error(Secret::deserialize(map)),
            error(Secret::deserialize(flag)),
            error(Secret::deserialize(float)),
        ] {
            assert!(!error.contains("4711"), "{error}");
            assert!(error.contains("expected a string"), "{error}");
        }
        for json in [
            r#"["canary"]"#,
            r#"{"canary": "canary"}"#,
            r#"{"env": "canary", "file": "canary"}"#,
        ] {
            let error = serde_json::from_str::<Secret>(json)
                .unwrap_err()
                .to_string();
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
