//! What is wrong with a configuration: everything at once, each with its field.

use std::fmt;

use crate::error::Error;
use crate::printable;

/// A list of problems; empty is good. Its `Display` is one line for each.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Problem>);

#[derive(Debug)]
struct Problem {
    field: String,
    text: String,
}

impl Problems {
    /// The only problem of a value whose place the caller knows.
    pub(crate) fn of_value(text: String) -> Self {
        Self::of("", text)
    }

    pub(crate) fn of(field: &str, text: String) -> Self {
        let mut problems = Self::default();
        problems.add(field, text);
        problems
    }

    /// `text` says what was found and what was expected; it must not hold a secret.
    pub(crate) fn add(&mut self, field: impl Into<String>, text: impl Into<String>) {
        self.0.push(Problem {
            field: field.into(),
            text: text.into(),
        });
    }

    /// The value, or its error as a problem of this field.
    pub(crate) fn keep<T>(&mut self, field: &str, value: Result<T, String>) -> Option<T> {
        value.map_err(|text| self.add(field, text)).ok()
    }

    /// The whole list, or the default and a problem for each item that is wrong.
    pub(crate) fn keep_list<T: Default>(
        &mut self,
        field: &str,
        list: Result<T, Vec<(usize, String)>>,
    ) -> T {
        list.unwrap_or_else(|wrong| {
            for (index, text) in wrong {
                self.add(format!("{field}[{index}]"), text);
            }
            T::default()
        })
    }

    /// Adds the problems of a part of a larger whole, whose place is `path`.
    pub(crate) fn add_all(&mut self, path: &str, part: Self) {
        for problem in part.0 {
            let field = match problem.field.as_str() {
                "" => path.to_owned(),
                field => format!("{path}.{field}"),
            };
            self.add(field, problem.text);
        }
    }

    /// Adds the problems of fields that have none yet: what could not be read is also missing, and
    /// telling both helps nobody.
    pub(crate) fn add_other_fields(&mut self, others: Self) {
        let told: Vec<_> = self.0.iter().map(|problem| problem.field.clone()).collect();
        let is_new = |problem: &Problem| !told.contains(&problem.field);
        self.0.extend(others.0.into_iter().filter(is_new));
    }

    /// The value if there are no problems.
    pub(crate) fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_error(self) -> Error {
        Error::config(self.to_string())
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() > 1 {
            writeln!(f, "{} problems in the configuration:", self.0.len())?;
        }
        for (index, problem) in self.0.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            // A field may have the name of an account or a quota in it.
            let field = printable::one_line(&problem.field);
            write!(f, "{line_break}{field}: {}", problem.text)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_problem_is_a_single_line() {
        let mut problems = Problems::default();
        problems.add("name", "is empty");
        assert_eq!(problems.to_string(), "name: is empty");
    }

    #[test]
    fn several_problems_are_counted_and_stand_one_per_line() {
        let mut part = Problems::default();
        part.add("name", "is empty");
        let mut all = Problems::default();
        all.add("accounts", "is missing");
        all.add_all("accounts.x", part);
        assert_eq!(
            all.to_string(),
            "2 problems in the configuration:\naccounts: is missing\naccounts.x.name: is empty"
        );
    }
}
