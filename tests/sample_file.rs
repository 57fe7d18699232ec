//! `examples/tollgate.toml`: it has every distributor and every key, and it builds.

#![allow(clippy::unwrap_used, clippy::expect_used)] // Tests may panic.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::{Arc, Mutex};

use reqwest_tollgate::{Config, Event};
use toml::{Table, Value};

const FILE: &str = include_str!("../examples/tollgate.toml");
/// A key that none is close to, so that the error names all there are.
const BOGUS: &str = "zzzzzzzzzzzzzzzz";
/// Set in the process that has the environment.
const MARKER: &str = "TOLLGATE_SAMPLE_FILE_TEST";

fn sample() -> Table {
    FILE.parse().unwrap()
}

fn accounts() -> Vec<Table> {
    let accounts = sample().remove("accounts").unwrap();
    let Value::Table(accounts) = accounts else {
        panic!("accounts is no table")
    };
    accounts
        .into_iter()
        .map(|(_, value)| value.try_into().unwrap())
        .collect()
}

/// The keys that the reader knows where this file has an unknown one.
fn known(toml: &str) -> BTreeSet<String> {
    let config: Config = toml::from_str(toml).expect(toml);
    let error = config.build().unwrap_err().to_string();
    let line = error
        .lines()
        .find(|line| line.contains(BOGUS))
        .expect(&error);
    let list = line.split_once("expected one of ").expect(line).1;
    list.split(", ").map(str::to_owned).collect()
}

fn known_in(account: &str) -> BTreeSet<String> {
    known(&format!("[accounts.a]\n{account}"))
}

/// All presets, from the error about one that does not exist.
fn distributors() -> Vec<String> {
    let config: Config = toml::from_str("[accounts.a]\ndistributor = \"x\"").unwrap();
    let error = config.build().unwrap_err().to_string();
    let list = error.split_once("expected ").unwrap().1;
    let names = list
        .split(" or ")
        .map(|name| name.trim().trim_matches('"').to_owned());
    names.collect()
}

fn keys(tables: &[Table]) -> BTreeSet<String> {
    tables
        .iter()
        .flat_map(|table| table.keys().cloned())
        .collect()
}

/// The tables under this key, or in the list under it, of all accounts.
fn inner(key: &str) -> Vec<Table> {
    let values = accounts()
        .into_iter()
        .filter_map(|mut table| table.remove(key));
    let values = values.flat_map(|value| match value {
        Value::Array(list) => list,
        other => vec![other],
    });
    values.filter_map(|value| value.try_into().ok()).collect()
}

#[track_caller]
fn complete(found: &BTreeSet<String>, known: &BTreeSet<String>) {
    let missing: Vec<_> = known.difference(found).collect();
    assert!(missing.is_empty(), "not in the sample: {missing:?}");
}

#[test]
fn every_distributor_is_there_with_every_key_of_its_own() {
    let general = known_in(&format!("base_url = \"https://a.example\"\n{BOGUS} = 1"));
    let names = distributors();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let is_of = |table: &Table| table.get("distributor").and_then(Value::as_str) == Some(&name);
        let of_it: Vec<_> = accounts().into_iter().filter(is_of).collect();
        assert!(!of_it.is_empty(), "{name} is not in the sample");
        let known = known_in(&format!("distributor = {name:?}\n{BOGUS} = 1"));
        let own = known.difference(&general).cloned().collect();
        complete(&keys(&of_it), &own);
    }
}

#[test]
fn every_general_key_is_there() {
    let known = known_in(&format!("base_url = \"https://a.example\"\n{BOGUS} = 1"));
    assert!(known.len() > 40, "{known:?}");
    complete(&keys(&accounts()), &known);
}

#[test]
fn every_key_of_an_inner_table_is_there() {
    for (key, line) in [
        ("windows", "windows = [{ rate = \"1/s\", BOGUS = 1 }]"),
        ("quotas", "quotas = [{ name = \"x\", BOGUS = 1 }]"),
        (
            "rules",
            "rules = [{ status = 403, verdict = \"fine\", BOGUS = 1 }]",
        ),
        (
            "token_rules",
            "token_rules = [{ status = 403, verdict = \"unavailable\", BOGUS = 1 }]",
        ),
        (
            "basic",
            "basic = { user = \"a\", password = \"b\", BOGUS = 1 }",
        ),
        (
            "assertion",
            "assertion = { algorithm = \"HS256\", issuer = \"a\", key = \"b\", BOGUS = 1 }",
        ),
    ] {
        let line = line.replace("BOGUS", BOGUS);
        let known = known_in(&format!("base_url = \"https://a.example\"\n{line}"));
        complete(&keys(&inner(key)), &known);
    }
    let store = ["directory".to_owned(), "key".to_owned()].into();
    complete(&keys(&inner("token_store")), &store);
}

#[test]
fn every_key_of_the_whole_file_is_there() {
    let known = known(&format!("{BOGUS} = 1\n[accounts.a]\nbearer = \"x\""));
    complete(&sample().keys().cloned().collect(), &known);
}

/// 32 bytes in base64.
const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// The environment is that of a process of its own: this very test, started once more.
#[test]
fn it_builds_with_its_environment_and_holds_no_secret() {
    if std::env::var_os(MARKER).is_some() {
        return build();
    }
    let test = "it_builds_with_its_environment_and_holds_no_secret";
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", test]).env(MARKER, "1");
    for piece in FILE.split("{ env = \"").skip(1) {
        again.env(piece.split('"').next().unwrap(), "dummy");
    }
    again.env("TOLLGATE_KEY", KEY);
    // `build()` makes the folder of a token store.
    again.current_dir(env!("CARGO_TARGET_TMPDIR"));
    let output = again.output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && shown.contains("1 passed"),
        "{shown}"
    );
}

fn build() {
    let literals = Arc::new(Mutex::new(Vec::new()));
    let told = literals.clone();
    let config: Config = toml::from_str(FILE).unwrap();
    let accounts = config
        .observer(move |account: &str, event: &Event| {
            if let Event::LiteralSecret { key } = event {
                told.lock().unwrap().push(format!("{account}: {key}"));
            }
        })
        .build()
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(accounts.len(), self::accounts().len());
    assert_eq!(*literals.lock().unwrap(), [""; 0]);
}
