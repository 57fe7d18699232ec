//! The files of the corpus, and mutations of them.
//!
//! `PROPTEST_CASES` says how many for each parser.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::{Index, select};

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 8] = [
    ("callback", super::callback),
    ("config", super::config),
    ("envelope", super::envelope),
    ("headers", super::headers),
    ("record", super::record),
    ("saved", super::saved),
    ("token_answer", super::token_answer),
    ("window", super::window),
];

/// What servers, people and attackers write.
const PIECES: [&str; 40] = [
    "0",
    "-1",
    "1.5",
    "+5",
    ".",
    "NaN",
    "inf",
    "1e999",
    "1e18",
    "²",
    "٣",
    "999999999",
    "1000000000",
    "1767225600",
    "1767225600000",
    "1767225600000000",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "999999999999999",
    "9999-12-31T23:59:59-23:59",
    "0000-01-01T00:00:00Z",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Fri, 31 Dec 9999 23:59:59 -2359",
    "null",
    "\"",
    "\\",
    ",",
    ";",
    "=",
    ":",
    "/",
    "\n",
    "\0",
    "\u{feff}",
    "%0",
    "&",
    "{",
    "}",
];

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(target);
    let files = fs::read_dir(&folder).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, fs::read(path).unwrap())
    });
    let mut files: Vec<_> = files.collect();
    files.sort();
    assert!(!files.is_empty(), "no corpus for {target}");
    files
}

#[test]
fn every_file_of_the_corpus_passes() {
    for (name, target) in TARGETS {
        for (file, data) in corpus(name) {
            let passed = std::panic::catch_unwind(|| target(&data));
            assert!(passed.is_ok(), "{name}/{file}");
        }
    }
}

#[test]
fn every_prefix_of_a_file_passes() {
    for (name, target) in TARGETS {
        for (file, data) in corpus(name) {
            for end in 0..data.len() {
                let passed = std::panic::catch_unwind(|| target(&data[..end]));
                assert!(passed.is_ok(), "{name}/{file} cut at {end}");
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Change {
    Put(Index, u8),
    Insert(Index, Vec<u8>),
    /// A run of digits becomes another text.
    Number(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    /// From here on it goes on like another file.
    Splice(Index, Index, Index),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let piece = || select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec());
    let at = any::<Index>;
    let change = prop_oneof![
        2 => (at(), any::<u8>()).prop_map(|(at, byte)| Change::Put(at, byte)),
        4 => (at(), piece()).prop_map(|(at, piece)| Change::Insert(at, piece)),
        4 => (at(), piece()).prop_map(|(at, piece)| Change::Number(at, piece)),
        2 => (at(), 1..9_usize).prop_map(|(at, count)| Change::Remove(at, count)),
        1 => (at(), 1..40_usize).prop_map(|(at, count)| Change::Repeat(at, count)),
        1 => (at(), at(), at()).prop_map(|(at, file, from)| Change::Splice(at, file, from)),
    ];
    prop::collection::vec(change, 0..6)
}

fn change(data: &mut Vec<u8>, change: &Change, files: &[(String, Vec<u8>)]) {
    let place = |at: &Index| at.index(data.len() + 1);
    match change {
        Change::Put(at, byte) => {
            let at = place(at);
            data.splice(at..(at + 1).min(data.len()), [*byte]);
        }
        Change::Insert(at, piece) => {
            let at = place(at);
            data.splice(at..at, piece.iter().copied());
        }
        Change::Number(at, piece) => {
            let runs = number_runs(data);
            if !runs.is_empty() {
                let run = runs[at.index(runs.len())].clone();
                data.splice(run, piece.iter().copied());
            }
        }
        Change::Remove(at, count) => {
            let at = place(at);
            data.drain(at..(at + count).min(data.len()));
        }
        Change::Repeat(at, count) => {
            let at = place(at);
            let part = data[at..(at + count).min(data.len())].to_vec();
            data.splice(at..at, part);
        }
        Change::Splice(at, file, from) => {
            let other = &files[file.index(files.len())].1;
            data.truncate(place(at));
            data.extend_from_slice(&other[from.index(other.len() + 1)..]);
        }
    }
}

fn number_runs(data: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for at in (0..data.len()).filter(|at| data[*at].is_ascii_digit()) {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end = at + 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

/// Mutations of this parser's files, and one in sixteen any bytes.
fn run(name: &str) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    let files = corpus(name);
    let noise = prop::option::weighted(1.0 / 16.0, prop::collection::vec(any::<u8>(), 0..200));
    proptest!(|(file in any::<Index>(), changes in changes(), noise in noise)| {
        let mut data = match noise {
            Some(noise) => noise,
            None => files[file.index(files.len())].1.clone(),
        };
        changes.iter().for_each(|one| change(&mut data, one, &files));
        let passed = std::panic::catch_unwind(|| target(&data));
        prop_assert!(passed.is_ok(), "{:?}", String::from_utf8_lossy(&data));
    });
}

#[test]
fn no_callback_panics_or_is_believed_without_its_state() {
    run("callback");
}

#[test]
fn no_configuration_file_panics() {
    run("config");
}

#[test]
fn no_stored_file_panics_or_changes_on_its_way() {
    run("envelope");
}

#[test]
fn no_header_panics_spins_or_sleeps_for_years() {
    run("headers");
}

#[test]
fn no_stored_record_panics_or_gives_an_endless_token() {
    run("record");
}

#[test]
fn no_saved_quota_panics_spins_or_sleeps_for_years() {
    run("saved");
}

#[test]
fn no_token_answer_panics_or_shows_a_secret() {
    run("token_answer");
}

#[test]
fn no_text_of_a_window_panics_and_what_is_read_is_written_alike() {
    run("window");
}
