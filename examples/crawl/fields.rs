//! What is taken out of an answer, by JSON pointers (RFC 6901).

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use serde_json::Value;

/// `NAME=/pointer`, or a pointer alone, whose last word is the name then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pointer: String,
}

impl Field {
    /// What it points to in an answer.
    pub(crate) fn of<'a>(&self, answer: &'a Value) -> Option<&'a Value> {
        answer.pointer(&self.pointer)
    }
}

impl FromStr for Field {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, pointer) = match text.split_once('=') {
            Some((name, pointer)) if !name.contains('/') => (Some(name), pointer),
            _ => (None, text),
        };
        if !pointer.starts_with('/') {
            return Err("expected a JSON pointer such as /Product/UnitPrice".to_owned());
        }
        let last = pointer.rsplit('/').next().unwrap_or_default();
        let name = match name {
            Some(name) => name.trim().to_owned(),
            None => last.replace("~1", "/").replace("~0", "~"),
        };
        match name.is_empty() {
            true => Err("expected a name, as in price=/Product/UnitPrice".to_owned()),
            false => Ok(Self {
                name,
                pointer: pointer.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.pointer)
    }
}

/// A JSON object whose keys stay in order.
pub(crate) struct Pairs<'a, T>(pub(crate) Vec<(&'a str, T)>);

impl<T: Serialize> Serialize for Pairs<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// As a cell of a table has it.
pub(crate) fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_a_name_or_that_of_its_last_word() {
        let field: Field = "price=/Product/UnitPrice".parse().unwrap();
        assert_eq!(
            (&*field.name, &*field.to_string()),
            ("price", "/Product/UnitPrice")
        );
        let field: Field = "/a/b~1c".parse().unwrap();
        assert_eq!(field.name, "b/c");
        let answer = serde_json::json!({"a": {"b/c": 7}});
        assert_eq!(cell(field.of(&answer)), "7");
        assert_eq!(cell(price().of(&answer)), "");
        for nonsense in ["price", "price=Product", "=/x", "/"] {
            assert!(nonsense.parse::<Field>().is_err(), "{nonsense}");
        }
    }

    fn price() -> Field {
        "price=/Product/UnitPrice".parse().unwrap()
    }
}
