//! Reads a table key by key. What nobody asked for is unknown; what cannot be read is a problem.

use super::nearest::nearest;
use super::value::{Table, Value};
use crate::account::check::problems::Problems;
use crate::secret::Secret;

/// A table on its way to be understood.
pub(super) struct Fields {
    rest: Table,
    asked: Vec<&'static str>,
    pub(super) problems: Problems,
}

impl Fields {
    pub(super) fn new(table: Table) -> Self {
        Self {
            rest: table,
            asked: Vec::new(),
            problems: Problems::default(),
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.rest.contains_key(key)
    }

    /// What nobody has asked for yet.
    pub(super) fn rest(&self) -> &Table {
        &self.rest
    }

    /// The value of a key, whatever it is.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value> {
        self.asked.push(key);
        self.rest.remove(key)
    }

    /// The value of a key, if it can be read as what it should be.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Value) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.take(key)?;
        self.problems.keep(key, read(value))
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        self.read(key, Value::into_text)
    }

    pub(super) fn secret(&mut self, key: &'static str) -> Option<Secret> {
        self.read(key, Value::into_secret)
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let words: Vec<_> = choices
            .iter()
            .map(|(word, _)| format!("{word:?}"))
            .collect();
        let expected = words.join(" or ");
        let choose = |text: &str| choices.iter().find(|(word, _)| *word == text);
        self.read(key, |value| {
            parsed(
                value,
                |text| choose(text).map(|(_, choice)| *choice),
                &expected,
            )
        })
    }

    /// Each item of a list that can be read; the others are problems, each with its place.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(Value) -> Result<T, Problems>,
    ) -> Vec<T> {
        let items = self.read(key, Value::into_list).unwrap_or_default();
        let mut list = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            match read(item) {
                Ok(item) => list.push(item),
                Err(problems) => self.problems.add_all(&format!("{key}[{index}]"), problems),
            }
        }
        list
    }

    /// One text, or a list of them.
    pub(super) fn text_or_texts(&mut self, key: &'static str) -> Vec<String> {
        match matches!(self.rest.get(key), Some(Value::List(_))) {
            true => self.texts(key),
            false => self.text(key).into_iter().collect(),
        }
    }

    pub(super) fn texts(&mut self, key: &'static str) -> Vec<String> {
        self.list(key, |value| value.into_text().map_err(Problems::of_value))
    }

    /// The entries of a table whose keys are free: names of headers and form fields.
    pub(super) fn named_secrets(&mut self, key: &'static str) -> Vec<(String, Secret)> {
        let table = self.read(key, Value::into_table).unwrap_or_default();
        let mut secrets = Vec::with_capacity(table.len());
        for (name, value) in table {
            let secret = self
                .problems
                .keep(&format!("{key}.{name}"), value.into_secret());
            secrets.extend(secret.map(|secret| (name, secret)));
        }
        secrets
    }

    /// The problems, once all keys were asked for: what is left over is unknown.
    pub(super) fn finish(mut self) -> Problems {
        for key in self.rest.keys() {
            let hint = match nearest(key, &self.asked) {
                Some(known) => format!("did you mean {known}?"),
                None => format!("expected one of {}", self.asked.join(", ")),
            };
            self.problems.add(key, format!("unknown key, {hint}"));
        }
        self.problems
    }
}

/// A string with a form of its own.
pub(super) fn parsed<T>(
    value: Value,
    parse: impl FnOnce(&str) -> Option<T>,
    expected: &str,
) -> Result<T, String> {
    let wrong = format!("found {}; expected {expected}", value.shown());
    match value {
        Value::Text(_) | Value::Table(_) => parse(&value.into_text()?).ok_or(wrong),
        _ => Err(wrong),
    }
}
