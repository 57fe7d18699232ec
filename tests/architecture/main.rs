//! Guards the shape of the code: who may use whom, which files are pure, and what the oldest
//! supported compiler understands.

#![allow(clippy::unwrap_used)] // Tests may panic.

mod circles;

use std::fs;
use std::path::{Path, PathBuf};

struct Source {
    /// Relative to `src`, with forward slashes.
    path: String,
    /// Without comments, and without the unit tests at the end of the file.
    code: Vec<(usize, String)>,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 20, "the sources were not found");
    files.retain(|file| !is_test(file));
    files.iter().map(|file| source(&root, file)).collect()
}

/// Unit tests in files of their own, and what they share, may use what they like.
fn is_test(file: &Path) -> bool {
    let name = file
        .file_stem()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let folder = file.parent().and_then(Path::file_name);
    let is_own = name.ends_with("tests") || name == "testing" || name == "fuzzing";
    is_own
        || ["proof", "random_worlds", "tests"]
            .iter()
            .any(|tests| folder.is_some_and(|name| name == *tests))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn source(root: &Path, file: &Path) -> Source {
    let text = fs::read_to_string(file).unwrap();
    // Not at a `mod tests;`, after which the file goes on.
    let unit_tests = text.find("\n#[cfg(test)]\nmod tests {");
    let code = text[..unit_tests.unwrap_or(text.len())]
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(number, line)| (number + 1, line.to_owned()))
        .collect();
    let path = file
        .strip_prefix(root)
        .unwrap()
        .to_str()
        .unwrap()
        .replace('\\', "/");
    Source { path, code }
}

/// Every line of the chosen files that contains one of the words, as `file:line: text`.
fn offences(chosen: impl Fn(&str) -> bool, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| chosen(&source.path)) {
        for (number, line) in &source.code {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("src/{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    found
}

/// A rule about a file that has gone is kept by nobody.
#[track_caller]
fn all_are_there(listed: &[&str]) {
    let present: Vec<_> = sources().into_iter().map(|source| source.path).collect();
    for file in listed {
        let is_there = present.iter().any(|path| path == file);
        assert!(is_there, "{file} is gone: update the list");
    }
}

#[track_caller]
fn none(offences: Vec<String>) {
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

const UPPER: [&str; 5] = [
    "crate::account",
    "crate::config",
    "crate::distributors",
    "crate::stores",
    "crate::sandbox",
];

#[test]
fn auth_and_rate_limit_do_not_know_each_other() {
    none(offences(
        |path| path.starts_with("auth/"),
        &["crate::rate_limit"],
    ));
    none(offences(
        |path| path.starts_with("rate_limit/"),
        &["crate::auth"],
    ));
}

#[test]
fn mechanisms_do_not_use_what_is_built_on_them() {
    none(offences(
        |path| path.starts_with("auth/") || path.starts_with("rate_limit/"),
        &UPPER,
    ));
    let shelves = |path: &str| path.starts_with("stores/") || path.starts_with("distributors/");
    none(offences(shelves, &["crate::config", "crate::sandbox"]));
}

#[test]
fn what_both_halves_stand_on_uses_neither() {
    const GROUND: &[&str] = &[
        "clock/mod.rs",
        "contain.rs",
        "options/cost.rs",
        "error/mod.rs",
        "observe/event.rs",
        "header_value/mod.rs",
        "observe/metrics/mod.rs",
        "options/mod.rs",
        "origin.rs",
        "layers/mod.rs",
        "percent.rs",
        "phrase.rs",
        "printable.rs",
        "redirects.rs",
        "buffered_body/mod.rs",
        "secret/mod.rs",
        "observe/span.rs",
        "sync.rs",
        "options/scope.rs",
        "response_rules.rs",
    ];
    all_are_there(GROUND);
    let ground = |path: &str| GROUND.contains(&path);
    none(offences(ground, &UPPER));
    none(offences(ground, &["crate::auth", "crate::rate_limit"]));
}

#[test]
fn pure_files_hold_no_async_no_io_no_clock_and_no_lock() {
    const PURE: &[&str] = &[
        "options/cost.rs",
        "auth/oauth/response/mod.rs",
        "auth/login/callback.rs",
        "auth/oauth/response/fields.rs",
        "auth/oauth/refusal_text/mod.rs",
        "auth/cache/state/mod.rs",
        "auth/token/mod.rs",
        "rate_limit/alarm.rs",
        "rate_limit/answered.rs",
        "rate_limit/answered/calendar.rs",
        "rate_limit/answered/rolling.rs",
        "rate_limit/answered/saved.rs",
        "rate_limit/choice.rs",
        "rate_limit/evidence/mod.rs",
        "rate_limit/evidence/answer.rs",
        "rate_limit/evidence/chance.rs",
        "rate_limit/evidence/ends.rs",
        "rate_limit/evidence/limit_test.rs",
        "rate_limit/evidence/series.rs",
        "rate_limit/evidence/silent.rs",
        "rate_limit/gate.rs",
        "rate_limit/gate/back_off.rs",
        "rate_limit/headers.rs",
        "rate_limit/headers/attribution.rs",
        "rate_limit/headers/fields.rs",
        "rate_limit/headers/policies.rs",
        "rate_limit/headers/report.rs",
        "rate_limit/headers/report/base.rs",
        "rate_limit/headers/report/family_name.rs",
        "rate_limit/headers/report/found.rs",
        "rate_limit/headers/report/lines.rs",
        "rate_limit/headers/report/unreadable.rs",
        "rate_limit/in_flight.rs",
        "rate_limit/line.rs",
        "rate_limit/line/queue.rs",
        "rate_limit/line/serve.rs",
        "rate_limit/line/standing.rs",
        "rate_limit/line/sums.rs",
        "rate_limit/live.rs",
        "rate_limit/live/learn.rs",
        "rate_limit/live/saved.rs",
        "rate_limit/meter.rs",
        "rate_limit/pace.rs",
        "rate_limit/pace/long.rs",
        "rate_limit/pace/shared.rs",
        "rate_limit/pacing.rs",
        "rate_limit/rate_factor.rs",
        "rate_limit/share.rs",
        "rate_limit/share/care.rs",
        "rate_limit/share/hold.rs",
        "rate_limit/share/rate.rs",
        "rate_limit/quota.rs",
        "rate_limit/saved.rs",
        "rate_limit/saved/found.rs",
        "rate_limit/state.rs",
        "rate_limit/state/change.rs",
        "rate_limit/state/settle.rs",
        "rate_limit/tally.rs",
        "rate_limit/ticket.rs",
        "rate_limit/window.rs",
        "rate_limit/window/headers.rs",
        "rate_limit/window/lengths.rs",
        "rate_limit/window/offset.rs",
        "rate_limit/window/span.rs",
        "rate_limit/window/text.rs",
        "header_value/mod.rs",
        "percent.rs",
        "phrase.rs",
        "printable.rs",
        "response_rules.rs",
    ];
    all_are_there(PURE);
    let impure = [
        "async ", ".await", "tokio", "std::fs", "std::net", "std::env", "Mutex", "RwLock",
        "::now()", "fastrand", "Clock",
    ];
    none(offences(|path| PURE.contains(&path), &impure));
}

#[test]
fn only_the_clock_reads_time() {
    let reads = [
        "Instant::now",
        "SystemTime::now",
        "tokio::time::",
        "Utc::now",
        "now_utc",
    ];
    none(offences(|path| path != "clock/mod.rs", &reads));
}

#[test]
fn vendors_are_named_on_their_shelf_alone() {
    let vendors = [
        "ARROW",
        "Arrow",
        "arrow_",
        "Avnet",
        "avnet",
        "Buerklin",
        "buerklin",
        "Conrad",
        "conrad",
        "DIGIKEY",
        "DigiKey",
        "digikey",
        "disruptive",
        "element14",
        "FindChips",
        "findchips",
        "JLC",
        "jlcpcb",
        "LCSC",
        "lcsc",
        "Mashery",
        "mashery",
        "masterelectronics",
        "Mouser",
        "mouser",
        "Nexar",
        "nexar",
        "oemsecrets",
        "onlinecomponents",
        "Renesas",
        "renesas",
        "rutronik",
        "Sager",
        "sager",
        "Samtec",
        "samtec",
        "Sourcengine",
        "sourcengine",
        "TME",
        "TME_",
        "tme_v",
        "tme_v1",
        "trusted_parts",
        "TrustedParts",
        "tti::",
        "TTI_",
    ];
    let elsewhere =
        |path: &str| !path.starts_with("distributors/") && !path.starts_with("sandbox/");
    none(offences(elsewhere, &vendors));
}

/// They need Rust 1.88; a newer compiler takes them without a word, whatever `rust-version` says.
#[test]
fn no_let_chains_before_the_minimum_rust_version_has_them() {
    none(offences(|_| true, &["&& let ", "|| let "]));
}

/// rustfmt sees to code, but not to comments. Tables and examples in comments may be wider.
#[test]
fn comments_are_at_most_a_hundred_characters_wide() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "examples"] {
        collect(&root.join(folder), &mut files);
    }
    for file in files {
        for (number, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
            let comment = line.trim_start().strip_prefix("//");
            let text = comment.map(|text| text.trim_start_matches(['/', '!', ' ']));
            let prose = text.is_some_and(|text| !text.starts_with(['|', '#']));
            let wide = prose && line.chars().count() > 100;
            assert!(!wide, "{}:{}: {line}", file.display(), number + 1);
        }
    }
}
