//! Secrets: never shown, wiped when dropped, and read again where they are kept.

use std::env::VarError;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::printable::is_hidden;

/// The largest file that is read as a secret. The largest in use, a PEM key, has some 10 KiB.
const LARGEST_FILE: u64 = 1024 * 1024;

/// A secret, or where to find it.
///
/// `Debug` shows where it comes from, never what it is. A reference (environment variable, file) is
/// read by `build()` and read again once the server refused what was read, so a rotated secret
/// needs no restart.
///
/// What surrounds a secret in its variable or file is not part of it: white space, line breaks
/// (`echo` and editors add one), the byte order mark and other marks without a width are cut off
/// both ends. What is left may not be empty, and `build()` refuses one with a control character or
/// such a mark within, which no server would accept; only a PEM key (`-----BEGIN …`) has several
/// lines. A literal is taken as it is written, blanks at its ends included: that is the way to give
/// a password that has them. Control characters and marks are refused there too.
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
    /// The value of an environment variable, without what surrounds it.
    pub fn env(variable: impl Into<String>) -> Self {
        Self(Place::Env(variable.into()))
    }

    /// The content of a file of at most 1 MiB of UTF-8, without what surrounds it.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Place::File(path.into()))
    }

    /// Reads the secret where it is kept.
    ///
    /// # Errors
    /// A sentence that names the variable or file, never a value.
    pub(crate) fn read(&self) -> Result<Zeroizing<String>, String> {
        match &self.0 {
            Place::Literal(value) => match flaw(value) {
                Some(flaw) => Err(format!("found {flaw}")),
                None => Ok(value.clone()),
            },
            Place::Env(variable) => {
                let value = std::env::var(variable).map(Zeroizing::new);
                of_variable(variable, value)
            }
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

fn of_variable(
    variable: &str,
    value: Result<Zeroizing<String>, VarError>,
) -> Result<Zeroizing<String>, String> {
    let place = format!("environment variable {variable}");
    match value {
        Ok(value) => within(&place, &value),
        Err(VarError::NotPresent) => Err(format!("{place} is not set")),
        // The error of a value that is not Unicode would show the value.
        Err(VarError::NotUnicode(_)) => Err(format!("{place} is not valid Unicode")),
    }
}

fn read_file(path: &Path) -> Result<Zeroizing<String>, String> {
    let place = path.display().to_string();
    let content = content(path).map_err(|error| format!("cannot read {place}: {error}"))?;
    if content.len() as u64 > LARGEST_FILE {
        return Err(format!("{place} is larger than 1 MiB: no secret is"));
    }
    match std::str::from_utf8(&content) {
        Ok(text) => within(&place, text),
        // As a redirection of some shells writes it.
        Err(_) if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") => {
            Err(format!("{place} is UTF-16; expected UTF-8"))
        }
        Err(_) => Err(format!("{place} is not valid UTF-8")),
    }
}

/// No more than one byte beyond what is allowed: a device has no end.
fn content(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path)?;
    let expected = file.metadata()?.len().min(LARGEST_FILE);
    // Of the right size from the beginning: what a growing vector leaves behind is not wiped.
    let expected = usize::try_from(expected).unwrap_or_default();
    let mut content = Zeroizing::new(Vec::with_capacity(expected + 2));
    file.take(LARGEST_FILE + 1).read_to_end(&mut content)?;
    Ok(content)
}

/// The secret in what was read from `place`.
fn within(place: &str, text: &str) -> Result<Zeroizing<String>, String> {
    let secret = trimmed(text);
    if secret.is_empty() {
        return Err(format!("{place} is empty"));
    }
    match flaw(secret) {
        Some(flaw) => Err(format!("{place} has {flaw}")),
        None => Ok(Zeroizing::new(secret.to_owned())),
    }
}

/// Without what surrounds it.
pub(crate) fn trimmed(text: &str) -> &str {
    text.trim_matches(|character: char| character.is_whitespace() || is_hidden(character))
}

/// What no secret has in it.
pub(crate) fn flaw(secret: &str) -> Option<&'static str> {
    let is_pem = trimmed(secret).starts_with("-----BEGIN");
    let is_layout = |character| matches!(character, '\r' | '\n' | '\t');
    let mut characters = secret.chars();
    let bad = characters.find(|&character| match character {
        _ if is_layout(character) => !is_pem,
        _ => character.is_control() || is_hidden(character),
    });
    bad.map(|character| match character {
        '\r' | '\n' => "a line break within; expected one line, or a PEM key",
        '\t' => "a tab within",
        _ if character.is_control() => "a control character within",
        _ => "an invisible character within",
    })
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
mod tests;
