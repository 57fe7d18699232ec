//! Secrets: never shown, wiped when dropped, and read again where they are kept.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// A secret, or where to find it.
///
/// `Debug` shows where it comes from, never what it is. A reference (environment variable, file) is
/// read by `build()` and read again once the server refused what was read, so a rotated secret
/// needs no restart.
///
/// In a configuration file any string may be `"literal"`, `{ env = "VARIABLE" }` or
/// `{ file = "/path" }`.
#[derive(Clone)]
pub struct Secret(Place);

#[derive(Clone)]
enum Place {
    Literal(Zeroizing<String>),
    Env(String),
    File(PathBuf),
}

impl Secret {
    /// The value of an environment variable.
    pub fn env(variable: impl Into<String>) -> Self {
        Self(Place::Env(variable.into()))
    }

    /// The content of a file, without the white space at its end.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Place::File(path.into()))
    }

    /// Reads the secret where it is kept.
    ///
    /// # Errors
    /// A sentence that names the variable or file, never a value.
    pub(crate) fn read(&self) -> Result<Zeroizing<String>, String> {
        match &self.0 {
            Place::Literal(value) => Ok(value.clone()),
            Place::Env(variable) => read_env(variable),
            Place::File(path) => read_file(path),
        }
    }

    /// The value, where it was given itself.
    pub(crate) fn literal(&self) -> Option<&Zeroizing<String>> {
        match &self.0 {
            Place::Literal(value) => Some(value),
            Place::Env(_) | Place::File(_) => None,
        }
    }

    /// Whether reading it again could give another value.
    pub(crate) fn is_reference(&self) -> bool {
        !matches!(self.0, Place::Literal(_))
    }
}

fn read_env(variable: &str) -> Result<Zeroizing<String>, String> {
    match std::env::var(variable) {
        Ok(value) if value.is_empty() => Err(format!("environment variable {variable} is empty")),
        Ok(value) => Ok(Zeroizing::new(value)),
        Err(std::env::VarError::NotPresent) => {
            Err(format!("environment variable {variable} is not set"))
        }
        // The error of a value that is not Unicode would show the value.
        Err(_) => Err(format!(
            "environment variable {variable} is not valid Unicode"
        )),
    }
}

fn read_file(path: &Path) -> Result<Zeroizing<String>, String> {
    let content = std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let value = content.trim_end();
    if value.is_empty() {
        return Err(format!("{} is empty", path.display()));
    }
    Ok(Zeroizing::new(value.to_owned()))
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self::from(value.to_owned())
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(Place::Literal(Zeroizing::new(value)))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Literal(_) => f.write_str("Secret(***)"),
            Place::Env(variable) => write!(f, "Secret(env {variable})"),
            Place::File(path) => write!(f, "Secret(file {})", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_place_and_never_the_value() {
        assert_eq!(format!("{:?}", Secret::from("hunter2")), "Secret(***)");
        assert_eq!(format!("{:?}", Secret::env("NAME")), "Secret(env NAME)");
    }

    #[test]
    fn a_missing_variable_is_named() {
        let error = Secret::env("TOLLGATE_NO_SUCH_VARIABLE").read().unwrap_err();
        assert_eq!(
            error,
            "environment variable TOLLGATE_NO_SUCH_VARIABLE is not set"
        );
    }
}
