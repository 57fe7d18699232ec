//! What was found: JSON lines, one per part. A crawl that was killed goes on where it was.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::files;
use crate::parts::Part;

/// One line.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Line<'a> {
    pub(crate) part: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) manufacturer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    /// What the server said about the part: JSON as JSON, anything else as a string.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<Value>,
    /// Why there is no answer, by the names that the summary counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// What has to be read back of a line.
#[derive(Deserialize)]
struct Seen {
    part: String,
    #[serde(default)]
    error: Option<Value>,
}

/// How often each part was answered in earlier runs; more than once if the list was repeated.
#[derive(Debug, Default)]
pub(crate) struct Answered(HashMap<String, usize>);

impl Answered {
    /// The parts that still have to be asked about.
    pub(crate) fn leaves(mut self, parts: Vec<Part>) -> Vec<Part> {
        let mut is_open = |part: &Part| match self.0.get_mut(&part.number) {
            Some(times) if *times > 0 => {
                *times -= 1;
                false
            }
            _ => true,
        };
        parts.into_iter().filter(|part| is_open(part)).collect()
    }
}

/// Where lines go.
pub(crate) struct Output {
    name: String,
    /// None: stdout.
    path: Option<PathBuf>,
    /// Open once there is a line: a crawl without any leaves no empty file.
    file: Option<File>,
}

impl Output {
    /// Opens the file, or begins one, and reads what was answered already.
    ///
    /// Lines of parts that failed are dropped, since they are tried again, and so is the torn end
    /// of a line that a kill left. A file with other content is left alone.
    ///
    /// # Errors
    /// If it cannot be read or written, or is not the output of a crawl.
    pub(crate) fn open(path: &Path) -> Result<(Self, Answered)> {
        let name = path.display();
        let old = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {name}")),
        };
        let (kept, answered) = sift(&old).with_context(|| format!("{name} is left alone"))?;
        if kept != old {
            files::replace(path, &kept).with_context(|| format!("cannot write {name}"))?;
        }
        files::check(path).with_context(|| format!("cannot write {name}"))?;
        let output = Self {
            name: name.to_string(),
            path: Some(path.to_owned()),
            file: None,
        };
        Ok((output, answered))
    }

    /// Lines go to stdout.
    pub(crate) fn stdout() -> Self {
        Self {
            name: "stdout".to_owned(),
            path: None,
            file: None,
        }
    }

    /// Adds a line, by one write: a kill tears the last line at most.
    pub(crate) fn write(&mut self, line: &Line<'_>) -> Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        let written = self.append(text.as_bytes());
        written.with_context(|| format!("cannot write {}", self.name))
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

/// The lines to keep, and what they answer.
fn sift(old: &[u8]) -> Result<(Vec<u8>, Answered)> {
    let mut kept = Vec::with_capacity(old.len());
    let mut answered = Answered::default();
    for (index, line) in old.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let is_whole = line.ends_with(b"\n");
        match serde_json::from_slice::<Seen>(line) {
            Ok(seen) if seen.error.is_none() && is_whole => {
                kept.extend_from_slice(line);
                *answered.0.entry(seen.part).or_default() += 1;
            }
            Ok(_) => {} // It failed, or only its line end is missing: it is asked about again.
            Err(_) if !is_whole && is_ours(line) => {}
            Err(_) => bail!("line {} is not a line of a crawl", index + 1),
        }
    }
    Ok((kept, answered))
}

/// Whether a torn line can be the beginning of one of ours.
fn is_ours(torn: &[u8]) -> bool {
    const START: &[u8] = br#"{"part":"#;
    let common = torn.len().min(START.len());
    torn[..common] == START[..common]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that is gone when the test is over.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(test: &str, content: &str) -> Self {
            let name = format!("crawl-{}-{test}.jsonl", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::write(&path, content).unwrap();
            Self(path)
        }

        fn content(&self) -> String {
            fs::read_to_string(&self.0).unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn parts(numbers: &[&str]) -> Vec<Part> {
        let part = |number: &&str| Part {
            manufacturer: None,
            number: (*number).to_owned(),
        };
        numbers.iter().map(part).collect()
    }

    fn answer(part: &str) -> Line<'_> {
        Line {
            part,
            manufacturer: None,
            status: Some(200),
            answer: Some(Value::from("yes")),
            error: None,
        }
    }

    #[test]
    fn a_second_run_asks_only_for_what_is_not_answered() {
        let scratch = Scratch::new("second-run", "");
        let (mut output, _) = Output::open(&scratch.0).unwrap();
        output.write(&answer("A#+")).unwrap();
        output.write(&answer("B,1")).unwrap();
        drop(output);
        let (_, answered) = Output::open(&scratch.0).unwrap();
        assert_eq!(answered.leaves(parts(&["A#+", "B,1", "C"])), parts(&["C"]));
    }

    #[test]
    fn a_part_that_failed_is_asked_about_again_and_has_one_line_in_the_end() {
        let failed = "{\"part\":\"A\",\"error\":\"status_503\"}\n";
        let scratch = Scratch::new("failed", failed);
        let (mut output, answered) = Output::open(&scratch.0).unwrap();
        assert_eq!(answered.leaves(parts(&["A"])), parts(&["A"]));
        output.write(&answer("A")).unwrap();
        assert_eq!(
            scratch.content(),
            "{\"part\":\"A\",\"status\":200,\"answer\":\"yes\"}\n"
        );
    }

    #[test]
    fn the_torn_last_line_of_a_killed_run_is_dropped_wherever_it_was_cut() {
        let whole = "{\"part\":\"A\",\"status\":200,\"answer\":\"yes\"}\n";
        let torn = "{\"part\":\"µB\",\"status\":200,\"answer\":\"yes\"}";
        for cut in (1..=torn.len()).filter(|cut| torn.is_char_boundary(*cut)) {
            let content = format!("{whole}{}", &torn[..cut]);
            let scratch = Scratch::new("torn", &content);
            let (_, answered) = Output::open(&scratch.0).unwrap();
            assert_eq!(
                answered.leaves(parts(&["A", "µB"])),
                parts(&["µB"]),
                "{cut}"
            );
            assert_eq!(scratch.content(), whole);
        }
    }

    #[test]
    fn each_answer_of_a_repeated_list_counts_once() {
        let line = "{\"part\":\"A\",\"status\":200}\n";
        let scratch = Scratch::new("repeated", &line.repeat(2));
        let (_, answered) = Output::open(&scratch.0).unwrap();
        let left = answered.leaves(parts(&["A", "B", "A", "B", "A"]));
        assert_eq!(left, parts(&["B", "B", "A"]));
    }

    #[test]
    fn a_file_that_is_not_of_a_crawl_is_left_alone() {
        for content in [
            "dear diary\n",
            "dear diary",
            "{\"part\":\"A\"}\n\n{\"x\":1}\n",
        ] {
            let scratch = Scratch::new("foreign", content);
            let error = Output::open(&scratch.0).err().unwrap();
            assert!(format!("{error:#}").contains("is not a line of a crawl"));
            assert_eq!(scratch.content(), content);
        }
    }
}
