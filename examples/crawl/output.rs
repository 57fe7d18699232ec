//! What was found: a row for each of a part's rows, as JSON lines or as CSV. A crawl that was
//! killed goes on where it was.

mod jsonl;
mod table;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use serde_json::Value;

use crate::fields::Field;
use crate::files;
use crate::list::Part;
use crate::lock::Lock;

/// How answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One JSON object per line
    Jsonl,
    /// A table with a header
    Csv,
}

/// What a row is made of.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) format: Format,
    /// The list's other columns.
    pub(crate) columns: Vec<String>,
    /// None: the whole answer.
    pub(crate) fields: Vec<Field>,
}

/// What came of a part.
pub(crate) struct Entry<'a> {
    pub(crate) part: &'a Part,
    pub(crate) status: Option<u16>,
    /// What the server said about the part: JSON as JSON, anything else as a string.
    pub(crate) answer: Option<Value>,
    /// Why it failed, by the names that the summary counts.
    pub(crate) error: Option<&'a str>,
}

/// How many rows each part has from earlier runs.
#[derive(Debug, Default)]
pub(crate) struct Answered(HashMap<String, usize>);

impl Answered {
    fn add(&mut self, part: String) {
        *self.0.entry(part).or_default() += 1;
    }

    /// The parts that still have to be asked about. One may be in the list several times, if that
    /// was repeated.
    pub(crate) fn leaves(mut self, parts: Vec<Part>) -> Vec<Part> {
        let mut is_open = |part: &Part| match self.0.get_mut(&part.number) {
            Some(rows) if *rows >= part.rows.len() => {
                *rows -= part.rows.len();
                false
            }
            _ => true,
        };
        parts.into_iter().filter(|part| is_open(part)).collect()
    }
}

/// Where rows go.
pub(crate) struct Output {
    shape: Shape,
    name: String,
    /// None: stdout.
    path: Option<PathBuf>,
    /// Open once there is a row: a crawl without any leaves no empty file.
    file: Option<File>,
    /// How long the file is, torn rows aside.
    length: u64,
    is_broken: bool,
    needs_header: bool,
    /// How often each field was there.
    hits: Vec<usize>,
    _lock: Option<Lock>,
}

impl Output {
    /// Locks the file, and reads what was answered already.
    ///
    /// Rows of parts that failed are dropped, since they are tried again, and so is the torn end
    /// of a row that a kill left. A file with other content is left alone.
    ///
    /// # Errors
    /// If it cannot be read or written, another crawl writes it, or it is not the output of one.
    pub(crate) fn open(path: &Path, shape: Shape) -> Result<(Self, Answered)> {
        let name = path.display();
        let lock = Lock::take(path)?;
        let (old, kept, answered) = sifted(path, &shape)?;
        if kept != old {
            files::replace(path, &kept).with_context(|| format!("cannot write {name}"))?;
        }
        let output = Self {
            needs_header: kept.is_empty(),
            length: kept.len() as u64,
            path: Some(path.to_owned()),
            _lock: Some(lock),
            ..Self::to(name.to_string(), shape)
        };
        Ok((output, answered))
    }

    /// What was answered already, without touching anything.
    pub(crate) fn peek(path: &Path, shape: &Shape) -> Result<Answered> {
        let (_, _, answered) = sifted(path, shape)?;
        Ok(answered)
    }

    /// Rows go to stdout.
    pub(crate) fn stdout(shape: Shape) -> Self {
        Self::to("stdout".to_owned(), shape)
    }

    fn to(name: String, shape: Shape) -> Self {
        Self {
            hits: vec![0; shape.fields.len()],
            shape,
            name,
            path: None,
            file: None,
            length: 0,
            is_broken: false,
            needs_header: true,
            _lock: None,
        }
    }

    /// Adds the rows of a part, by one write: a kill tears the last one at most.
    pub(crate) fn write(&mut self, entry: &Entry<'_>) -> Result<()> {
        self.count(entry);
        let mut bytes = Vec::new();
        match self.shape.format {
            Format::Jsonl => jsonl::write(&mut bytes, &self.shape, entry)?,
            Format::Csv => {
                if self.needs_header {
                    bytes = table::header(&self.shape)?;
                }
                bytes.extend(table::rows(&self.shape, entry)?);
            }
        }
        if self.is_broken {
            bail!("cannot write {}", self.name);
        }
        if let Err(error) = self.append(&bytes) {
            // A row behind a torn one would make the file one that is not of a crawl.
            self.is_broken = true;
            if let Some(file) = &self.file {
                let _ = file.set_len(self.length);
            }
            return Err(error).with_context(|| format!("cannot write {}", self.name));
        }
        self.length += bytes.len() as u64;
        self.needs_header = false;
        Ok(())
    }

    fn count(&mut self, entry: &Entry<'_>) {
        let Some(answer) = entry.answer.as_ref().filter(|_| entry.error.is_none()) else {
            return;
        };
        for (field, hits) in self.shape.fields.iter().zip(&mut self.hits) {
            *hits += usize::from(field.of(answer).is_some());
        }
    }

    /// Fields that no answer had.
    pub(crate) fn missing(&self) -> Vec<String> {
        let fields = self.shape.fields.iter().zip(&self.hits);
        let missing = fields.filter(|(_, hits)| **hits == 0);
        missing.map(|(field, _)| field.to_string()).collect()
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(path) = &self.path else {
            let mut stdout = io::stdout().lock();
            return stdout.write_all(bytes).and_then(|()| stdout.flush());
        };
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let file = OpenOptions::new().create(true).append(true).open(path)?;
                self.file.insert(file)
            }
        };
        file.write_all(bytes)
    }
}

/// What is in the file, what is kept of it, and what that answers.
fn sifted(path: &Path, shape: &Shape) -> Result<(Vec<u8>, Vec<u8>, Answered)> {
    let name = path.display();
    if path.exists() && !path.is_file() {
        bail!("{name} is no file; - is stdout");
    }
    let old = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {name}")),
    };
    let sifted = match shape.format {
        Format::Jsonl => jsonl::sift(&old),
        Format::Csv => table::sift(&old, shape),
    };
    let (kept, answered) = sifted.with_context(|| format!("{name} is left alone"))?;
    Ok((old, kept, answered))
}

#[cfg(test)]
mod tests;
