//! Every parser of what comes from outside, each with what has to hold of any input.
//!
//! One function per parser takes any bytes and panics where it finds something wrong. The suite
//! calls them with the files of `tests/corpus` and mutations of these; cargo-fuzz (`tests/fuzz`)
//! calls the same with what it finds.

#![allow(missing_docs, unreachable_pub)] // Nobody but fuzzers sees them.
#![allow(clippy::expect_used, clippy::unwrap_used)] // To panic is their task.

#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::Value;

use crate::config::Config;
use crate::error::ErrorKind;

pub use crate::auth::fuzzing::{callback, record, token_answer};
pub use crate::rate_limit::fuzzing::{headers, saved, window};
pub use crate::stores::fuzzing::envelope;

/// A configuration file, in JSON.
pub fn config(data: &[u8]) {
    let Ok(tree) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    if leaves_the_process(&tree) {
        return;
    }
    let config = Config::deserialize(tree).expect("any tree is taken");
    match config.build() {
        Ok(accounts) => drop(format!("{accounts:?}")),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(!error.to_string().is_empty());
        }
    }
}

/// Files, folders and the environment are not the fuzzer's.
fn leaves_the_process(tree: &Value) -> bool {
    match tree {
        Value::Array(list) => list.iter().any(leaves_the_process),
        Value::Object(table) => table.iter().any(|(key, value)| {
            ["env", "file", "directory"].contains(&key.as_str()) || leaves_the_process(value)
        }),
        _ => false,
    }
}

/// The first line, and what follows it.
pub(crate) fn first_line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[]),
    }
}

/// Lines `name: value` up to an empty one, and what follows it. What is no header is left out.
pub(crate) fn header_lines(mut data: &[u8]) -> (http::HeaderMap, &[u8]) {
    let mut headers = http::HeaderMap::new();
    while !data.is_empty() {
        let (line, rest) = first_line(data);
        data = rest;
        if line.is_empty() {
            break;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = http::HeaderName::from_bytes(&line[..colon]);
        let value = http::HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    (headers, data)
}
