//! The file store by its port: what two processes may rely on, and what is left after an accident.

#![allow(clippy::expect_used)] // The lint spares tests, but not what they share.

mod building;
#[cfg(target_os = "linux")]
mod full_disk;
#[cfg(unix)]
mod permissions;
mod rights;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest_tollgate::{FileStore, FileStoreError, Record, Swap, TokenStore};

const KEY: &str = "acme-0123";
const FOLDER: &str = "TOLLGATE_TEST_FOLDER";
const MINUTE: Duration = Duration::from_secs(60);

/// Empty, and of this test alone.
fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("file_store")
        .join(test);
    let _ = fs::remove_dir_all(&folder);
    folder
}

fn record(version: u64, bytes: &[u8]) -> Record {
    let bytes = bytes.to_vec();
    Record::new(version, bytes)
}

async fn save(store: &FileStore, key: &str, expected: Option<u64>, new: &Record) -> Swap {
    let swap = store.compare_and_swap(key, expected, new).await;
    swap.expect("it can be saved")
}

async fn load(store: &FileStore, key: &str) -> Option<Record> {
    store.load(key).await.expect("it can be read")
}

/// The one file of the folder that ends so.
fn file(folder: &Path, extension: &str) -> PathBuf {
    let paths = fs::read_dir(folder).expect("a folder");
    let mut paths = paths.map(|entry| entry.expect("an entry").path());
    paths
        .find(|path| path.extension().is_some_and(|found| found == extension))
        .expect("a file")
}

async fn load_error(store: &FileStore) -> Box<FileStoreError> {
    let error = store.load(KEY).await.expect_err("it is refused");
    error.downcast().expect("an error of the file store")
}

#[tokio::test]
async fn what_is_saved_is_there_for_the_next_process() {
    let folder = folder("next-process/that/does/not/exist");
    let store = FileStore::new(&folder);
    assert_eq!(load(&store, KEY).await, None);
    assert!(
        file(&folder, "renew").exists(),
        "while there is space for it"
    );
    let new = record(1, b"\x00\xff tokens");
    assert_eq!(save(&store, KEY, None, &new).await, Swap::Saved);
    assert_eq!(load(&FileStore::new(&folder), KEY).await, Some(new));
}

#[tokio::test]
async fn an_expectation_that_does_not_hold_changes_nothing() {
    let store = FileStore::new(folder("expectation"));
    let (old, new) = (record(3, b"old"), record(4, b"new"));
    assert_eq!(save(&store, KEY, Some(2), &old).await, Swap::Conflict(None));
    assert_eq!(save(&store, KEY, None, &old).await, Swap::Saved);
    for expected in [None, Some(2), Some(4)] {
        let conflict = save(&store, KEY, expected, &new).await;
        assert_eq!(conflict, Swap::Conflict(Some(old.clone())));
    }
    assert_eq!(save(&store, KEY, Some(3), &new).await, Swap::Saved);
    assert_eq!(load(&store, KEY).await, Some(new));
}

#[tokio::test]
async fn of_many_tasks_with_the_same_expectation_one_saves() {
    let folder = folder("tasks");
    // Half of them through a store of their own, as in another process.
    let shared = FileStore::new(&folder);
    let tasks = (0..40u8).map(|number| {
        let store = match number % 2 {
            0 => shared.clone(),
            _ => FileStore::new(&folder),
        };
        tokio::spawn(async move { save(&store, KEY, None, &record(1, &[number])).await })
    });
    let swaps = join_all(tasks).await;
    let saved = swaps.iter().enumerate().filter(|(_, swap)| {
        let swap = swap.as_ref().expect("no panic");
        *swap == Swap::Saved
    });
    let winners: Vec<_> = saved.map(|(number, _)| number as u8).collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(load(&shared, KEY).await, Some(record(1, &winners)));
}

/// Runs only as a child of other tests, which say in which folder.
#[tokio::test]
async fn worker() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let store = FileStore::new(folder);
    join_all((0..TASKS).map(|_| add_often(&store))).await;
}

const PROCESSES: u64 = 3;
const TASKS: u64 = 3;
const TIMES: u64 = 8;

/// Adds one to the number in the record, again and again.
async fn add_often(store: &FileStore) {
    for _ in 0..TIMES {
        let mut present = load(store, KEY).await;
        loop {
            let version = present.as_ref().map(|present| present.version);
            let number = present.map_or(0, |present| number(&present));
            let next = record(version.unwrap_or(0) + 1, &(number + 1).to_be_bytes());
            match save(store, KEY, version, &next).await {
                Swap::Saved => break,
                Swap::Conflict(other) => present = other,
            }
        }
    }
}

fn number(record: &Record) -> u64 {
    u64::from_be_bytes(record.bytes.as_slice().try_into().expect("eight bytes"))
}

fn start_worker(folder: &Path) -> Child {
    Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", "worker", "--quiet"])
        .env(FOLDER, folder)
        .spawn()
        .expect("it starts")
}

#[tokio::test]
async fn processes_that_add_to_one_number_lose_no_addition() {
    let folder = folder("processes");
    let workers: Vec<_> = (0..PROCESSES).map(|_| start_worker(&folder)).collect();
    for mut worker in workers {
        assert!(worker.wait().expect("it ends").success());
    }
    let last = load(&FileStore::new(&folder), KEY).await.expect("a record");
    let additions = PROCESSES * TASKS * TIMES;
    assert_eq!((last.version, number(&last)), (additions, additions));
}

#[tokio::test]
async fn awkward_keys_stay_in_the_folder_and_apart() {
    let folder = folder("awkward");
    let store = FileStore::new(&folder);
    let long = "x".repeat(1_000);
    let keys = [
        "",
        ".",
        "..",
        "../outside",
        "/etc/passwd",
        "a/b",
        "a%2Fb",
        "a\\b",
        "A/b",
        "ä ö",
        "nul\0",
        "con",
        "line\nbreak",
        &long,
        &long[1..],
    ];
    for (number, key) in keys.iter().enumerate() {
        let new = record(1, &[number as u8]);
        assert_eq!(save(&store, key, None, &new).await, Swap::Saved, "{key:?}");
    }
    for (number, key) in keys.iter().enumerate() {
        let found = load(&store, key).await.expect("a record");
        assert_eq!(found.bytes, [number as u8], "{key:?}");
    }
    let names = fs::read_dir(&folder).expect("a folder");
    let names = names.map(|entry| entry.expect("an entry").file_name().into_string());
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._-%".contains(&byte);
    let names: Vec<_> = names.map(|name| name.expect("ASCII")).collect();
    assert_eq!(names.len(), 4 * keys.len(), "{names:?}");
    assert!(names.iter().all(|name| name.bytes().all(safe)), "{names:?}");
}

#[tokio::test]
async fn a_crash_between_writing_and_renaming_leaves_the_old_record() {
    let folder = folder("crash");
    let store = FileStore::new(&folder);
    let (old, new) = (record(1, b"old"), record(2, b"new"));
    save(&store, KEY, None, &old).await;
    let half = file(&folder, "json").with_extension("new");
    fs::write(&half, "{\"format\":1,\"version\":2").expect("a file");
    assert_eq!(load(&store, KEY).await, Some(old));
    assert_eq!(save(&store, KEY, Some(1), &new).await, Swap::Saved);
    assert_eq!(load(&store, KEY).await, Some(new));
    let spare = fs::read(&half).expect("a file");
    assert!(
        spare.iter().all(|byte| *byte == b' '),
        "nothing is left of it"
    );
}

#[tokio::test]
async fn a_damaged_file_is_reported_by_its_path_and_left_alone() {
    let folder = folder("damaged");
    let store = FileStore::new(&folder);
    save(&store, KEY, None, &record(1, b"c4n4ry")).await;
    let path = file(&folder, "json");
    let whole = fs::read_to_string(&path).expect("text");
    let whole = whole.trim_end();
    let torn = &whole[..whole.len() - 9];
    fs::write(&path, torn).expect("written");
    let error = load_error(&store).await;
    assert!(matches!(*error, FileStoreError::Damaged { .. }), "{error}");
    assert_eq!(error.path(), path);
    assert!(error.to_string().contains("log in again"), "{error}");
    for expected in [None, Some(1)] {
        let swap = store
            .compare_and_swap(KEY, expected, &record(2, b"x"))
            .await;
        assert!(swap.is_err(), "it must not be overwritten");
    }
    assert_eq!(fs::read_to_string(&path).expect("text"), torn);
}

#[tokio::test]
async fn what_a_later_version_has_added_survives_a_save() {
    let folder = folder("later-version");
    let store = FileStore::new(&folder);
    save(&store, KEY, None, &record(1, b"x")).await;
    let path = file(&folder, "json");
    let text = fs::read_to_string(&path).expect("text");
    fs::write(&path, text.replacen('{', "{\"novelty\":[1],", 1)).expect("written");
    assert_eq!(
        save(&store, KEY, Some(1), &record(2, b"y")).await,
        Swap::Saved
    );
    let text = fs::read_to_string(&path).expect("text");
    assert!(text.contains("\"novelty\":[1]"), "{text}");
    fs::write(&path, "{\"format\":99}").expect("written");
    let error = load_error(&store).await;
    assert!(matches!(*error, FileStoreError::TooNew { .. }), "{error}");
}

#[tokio::test]
async fn a_record_of_more_than_a_mebibyte_is_neither_written_nor_read() {
    let folder = folder("large");
    let store = FileStore::new(&folder);
    let old = record(1, b"old");
    save(&store, KEY, None, &old).await;
    let large = record(2, &vec![7; 800_000]);
    let swap = store.compare_and_swap(KEY, Some(1), &large).await;
    let error = swap.expect_err("it is refused");
    let error = error.downcast::<FileStoreError>().expect("ours");
    assert!(matches!(*error, FileStoreError::TooLarge { .. }), "{error}");
    assert_eq!(load(&store, KEY).await, Some(old));
    let near = record(2, &vec![7; 780_000]);
    assert_eq!(save(&store, KEY, Some(1), &near).await, Swap::Saved);
    assert_eq!(load(&store, KEY).await, Some(near));
    let path = file(&folder, "json");
    let file = fs::File::options().write(true).open(&path).expect("a file");
    file.set_len(1 << 40).expect("a hole");
    let error = load_error(&store).await;
    assert!(matches!(*error, FileStoreError::TooLarge { .. }), "{error}");
    assert!(error.to_string().contains("1 MiB"), "{error}");
}

#[tokio::test]
async fn a_reader_never_sees_a_record_that_is_being_replaced() {
    let folder = folder("reader");
    let writer = FileStore::new(&folder);
    save(&writer, KEY, None, &record(1, &[1; 3_000])).await;
    let writes = tokio::spawn(async move {
        for version in 1..=300 {
            let new = record(version + 1, &[version as u8; 3_000]);
            assert_eq!(save(&writer, KEY, Some(version), &new).await, Swap::Saved);
        }
    });
    let reader = FileStore::new(&folder);
    let mut last = 0;
    while !writes.is_finished() {
        let found = load(&reader, KEY).await.expect("a record");
        assert!(found.version >= last, "{} after {last}", found.version);
        assert!(found.bytes.windows(2).all(|two| two[0] == two[1]));
        last = found.version;
    }
    writes.await.expect("no panic");
}

#[tokio::test]
async fn a_folder_that_cannot_be_one_gives_a_clear_error() {
    let folder = folder("not-a-folder");
    fs::create_dir_all(folder.parent().expect("a parent")).expect("a folder");
    let _ = fs::remove_file(&folder);
    fs::write(&folder, "a file").expect("written");
    let store = FileStore::new(&folder);
    let new = record(1, b"c4n4ry");
    let swap = store.compare_and_swap(KEY, None, &new).await;
    let error = swap.expect_err("no folder").to_string();
    assert!(error.contains("not-a-folder"), "{error}");
    assert!(!error.contains("c4n4ry"), "{error}");
    fs::remove_file(&folder).expect("removed");
}

#[cfg(feature = "encryption")]
mod encryption {
    use super::*;

    const KEY_TEXT: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
    const OTHER_KEY: &str = "//////////////////////////////////////////8=";

    #[tokio::test]
    async fn what_is_encrypted_is_read_with_its_key_alone() {
        let folder = folder("encrypted");
        let plain = FileStore::new(&folder);
        save(&plain, KEY, None, &record(1, b"c4n4ry")).await;
        let sealed = plain.clone().encrypted_with(KEY_TEXT);
        assert_eq!(load(&sealed, KEY).await, Some(record(1, b"c4n4ry")));
        let new = record(2, b"c4n4ry-2");
        assert_eq!(save(&sealed, KEY, Some(1), &new).await, Swap::Saved);
        assert_eq!(load(&sealed, KEY).await, Some(new.clone()));
        for entry in fs::read_dir(&folder).expect("a folder") {
            let content = fs::read(entry.expect("an entry").path()).expect("a file");
            let plain = content.windows(7).any(|part| part == &b"YzRuNHJ"[..]);
            assert!(!plain, "nor is the old record legible any more");
        }
        let conflict = save(&sealed, KEY, Some(1), &new).await;
        assert_eq!(conflict, Swap::Conflict(Some(new)));
        let others = [
            (plain.clone(), false, "no key was given"),
            (plain.encrypted_with(OTHER_KEY), true, "another key"),
        ];
        for (other, is_given, words) in others {
            let error = load_error(&other).await;
            assert!(error.to_string().contains(words), "{error}");
            let says =
                matches!(*error, FileStoreError::Sealed { has_key, .. } if has_key == is_given);
            assert!(says, "{error}");
            let checked = other.check(KEY, false).expect_err("it is checked too");
            assert_eq!(checked.to_string(), error.to_string());
            let lost = other.compare_and_swap(KEY, Some(2), &record(3, b"x")).await;
            assert!(lost.is_err(), "it must not be overwritten");
        }
    }

    #[tokio::test]
    async fn a_key_that_is_none_is_told_without_showing_it() {
        let store = FileStore::new(folder("bad-key")).encrypted_with("c4n4ry");
        let new = record(1, b"x");
        let swap = store.compare_and_swap(KEY, None, &new).await;
        let error = swap.expect_err("no key").to_string();
        assert!(error.contains("expected 32 bytes in base64"), "{error}");
        assert!(!error.contains("c4n4ry"), "{error}");
        let checked = store.check(KEY, true).expect_err("no key").to_string();
        assert_eq!(checked, error);
    }
}

#[test]
fn debug_shows_the_folder() {
    let shown = format!("{:?}", FileStore::new("tokens"));
    assert_eq!(shown, "FileStore { directory: \"tokens\" }");
}
