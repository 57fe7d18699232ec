//! The right to renew: who has it, what ends it, and what does not.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use reqwest_tollgate::Lease;

use super::*;

const HOLD: &str = "TOLLGATE_TEST_HOLD";
const FREE: Lease = Lease::Granted {
    previous_is_dead: true,
};
const UNKNOWN: Lease = Lease::Granted {
    previous_is_dead: false,
};
const HELD: Lease = Lease::Held { left: None };

async fn lease(store: &FileStore, id: &str) -> Lease {
    let lease = store.lease(KEY, id, MINUTE).await;
    lease.expect("it can be asked for")
}

async fn release(store: &FileStore, id: &str) {
    store.release(KEY, id).await.expect("released");
}

#[tokio::test]
async fn a_right_is_held_until_it_is_given_back_however_short_it_was_asked_for() {
    let folder = folder("right");
    let (one, two) = (FileStore::new(&folder), FileStore::new(&folder));
    let asked = one.lease(KEY, "a", Duration::ZERO).await;
    assert_eq!(asked.unwrap(), FREE);
    assert_eq!(lease(&one, "a").await, FREE, "prolonged");
    assert_eq!(lease(&two, "b").await, HELD);
    assert_eq!(two.lease("other", "b", MINUTE).await.unwrap(), FREE);
    release(&two, "a").await;
    release(&one, "b").await;
    assert_eq!(lease(&two, "b").await, HELD, "it was not theirs to give");
    release(&one, "a").await;
    assert_eq!(lease(&two, "b").await, FREE);
    assert_eq!(lease(&one, "a").await, HELD);
}

#[tokio::test]
async fn two_acquisitions_of_one_store_exclude_each_other_too() {
    let store = FileStore::new(folder("clones"));
    assert_eq!(lease(&store, "a").await, FREE);
    assert_eq!(lease(&store.clone(), "b").await, HELD);
    store.clone().abandon(KEY, "b");
    assert_eq!(lease(&store, "b").await, HELD);
    store.clone().abandon(KEY, "a");
    assert_eq!(lease(&store, "b").await, FREE);
    release(&store, "a").await;
    assert_eq!(
        lease(&store, "a").await,
        HELD,
        "a late release is none of b's"
    );
}

#[tokio::test]
async fn a_right_ends_with_the_store_that_has_it() {
    let folder = folder("dropped");
    let (one, two) = (FileStore::new(&folder), FileStore::new(&folder));
    assert_eq!(lease(&one, "a").await, FREE);
    assert_eq!(lease(&two, "b").await, HELD);
    drop(one);
    assert_eq!(lease(&two, "b").await, FREE);
}

#[tokio::test]
async fn of_many_that_ask_at_once_one_gets_it() {
    let folder = folder("many");
    let shared = FileStore::new(&folder);
    let asked = (0..40u8).map(|number| {
        let store = match number % 2 {
            0 => shared.clone(),
            _ => FileStore::new(&folder),
        };
        tokio::spawn(async move { (lease(&store, &number.to_string()).await, store) })
    });
    let asked = join_all(asked).await;
    let granted = asked
        .iter()
        .filter(|asked| asked.as_ref().expect("no panic").0.is_granted());
    assert_eq!(granted.count(), 1);
}

/// A process of many accounts would else run out of files.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_file_stays_open_once_all_is_given_back() {
    let folder = folder("open-files");
    let (one, two) = (FileStore::new(&folder), FileStore::new(&folder));
    let open = || {
        let files = fs::read_dir("/proc/self/fd").unwrap();
        let files = files.filter_map(|file| fs::read_link(file.unwrap().path()).ok());
        files.filter(|file| file.starts_with(&folder)).count()
    };
    assert_eq!(lease(&one, "a").await, FREE);
    assert_eq!(lease(&two, "b").await, HELD);
    save(&one, KEY, None, &record(1, b"x")).await;
    assert_eq!(load(&two, KEY).await, Some(record(1, b"x")));
    assert_eq!(open(), 1);
    release(&one, "a").await;
    assert_eq!(open(), 0);
    assert_eq!(lease(&two, "b").await, FREE);
    two.abandon(KEY, "b");
    assert_eq!(open(), 0);
}

#[cfg(unix)]
#[tokio::test]
async fn a_lock_file_that_is_emptied_scribbled_on_or_opened_to_all_heals() {
    use std::os::unix::fs::PermissionsExt;

    let folder = folder("scribbled");
    let (one, two) = (FileStore::new(&folder), FileStore::new(&folder));
    assert_eq!(lease(&one, "a").await, FREE);
    let path = file(&folder, "renew");
    for content in ["", "{\"holder\":", "\0\u{1}garbage"] {
        fs::write(&path, content).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("allowed");
        assert_eq!(lease(&two, "b").await, HELD, "{content:?}");
        assert_eq!(lease(&one, "a").await, FREE, "{content:?}");
    }
    release(&one, "a").await;
    assert_eq!(lease(&two, "b").await, FREE);
    let mode = fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let process = std::process::id().to_string();
    assert_eq!(fs::read_to_string(&path).expect("text").trim(), process);
}

#[cfg(unix)]
#[tokio::test]
async fn a_right_whose_file_was_removed_is_lost_once_another_has_a_new_one() {
    let folder = folder("removed");
    let (one, two) = (FileStore::new(&folder), FileStore::new(&folder));
    assert_eq!(lease(&one, "a").await, FREE);
    save(&one, KEY, None, &record(1, b"mark of a")).await;
    fs::remove_file(file(&folder, "renew")).expect("removed");
    assert_eq!(lease(&two, "b").await, UNKNOWN, "a lives");
    assert_eq!(lease(&one, "a").await, HELD, "and has lost it");
    assert_eq!(lease(&two, "b").await, UNKNOWN, "prolonged");
    release(&two, "b").await;
    // The mark is still a's, whose lock no one sees any more.
    assert_eq!(lease(&two, "c").await, UNKNOWN);
    save(&two, KEY, Some(1), &record(2, b"mark of c")).await;
    release(&two, "c").await;
    assert_eq!(lease(&one, "d").await, FREE, "c's file is this one");
}

#[cfg(unix)]
#[tokio::test]
async fn a_right_whose_file_was_removed_is_taken_anew_where_no_other_has_it() {
    let folder = folder("removed-unseen");
    let (one, two) = (FileStore::new(&folder), FileStore::new(&folder));
    assert_eq!(lease(&one, "a").await, FREE);
    save(&one, KEY, None, &record(1, b"x")).await;
    fs::remove_file(file(&folder, "renew")).expect("removed");
    assert_eq!(lease(&one, "a").await, UNKNOWN, "who had it meanwhile?");
    assert_eq!(lease(&two, "b").await, HELD);
}

/// File systems give the number of a file that is gone to the next one.
#[cfg(unix)]
#[tokio::test]
async fn a_holder_that_lost_its_file_again_and_again_is_never_taken_for_dead() {
    let folder = folder("removed-again");
    let (one, two) = (FileStore::new(&folder), FileStore::new(&folder));
    assert_eq!(lease(&one, "a").await, FREE);
    save(&one, KEY, None, &record(1, b"mark of a")).await;
    for round in 0..20 {
        remove_lock_file(&folder);
        if round % 4 == 3 {
            assert_eq!(lease(&one, "a").await, UNKNOWN, "taken anew");
            remove_lock_file(&folder);
        }
        assert_eq!(lease(&two, "b").await, UNKNOWN, "a lives, round {round}");
        if round > 12 {
            assert_eq!(lease(&one, "a").await, HELD, "lost");
        }
        release(&two, "b").await;
    }
}

#[cfg(unix)]
fn remove_lock_file(folder: &Path) {
    fs::remove_file(file(folder, "renew")).expect("removed");
}

#[tokio::test]
async fn a_folder_that_was_removed_is_made_again() {
    let folder = folder("folder-removed");
    let store = FileStore::new(&folder);
    assert_eq!(lease(&store, "a").await, FREE);
    release(&store, "a").await;
    fs::remove_dir_all(&folder).expect("removed");
    assert_eq!(lease(&store, "b").await, FREE);
    assert_eq!(save(&store, KEY, None, &record(1, b"x")).await, Swap::Saved);
}

/// Runs only as a child of other tests, which say in which folder.
#[tokio::test]
async fn holder() {
    let Ok(folder) = std::env::var(HOLD) else {
        return;
    };
    let store = FileStore::new(folder);
    assert_eq!(lease(&store, "child").await, FREE);
    println!("held");
    std::thread::sleep(10 * MINUTE);
}

struct Holder(Child);

impl Holder {
    fn start(folder: &Path) -> Self {
        let child = Command::new(std::env::current_exe().expect("a path"))
            .args(["--exact", "rights::holder", "--nocapture"])
            .env(HOLD, folder)
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let mut lines = output.lines().map(|line| line.expect("a line"));
        assert!(lines.any(|line| line.contains("held")));
        Self(child)
    }

    #[cfg(unix)]
    fn signal(&self, signal: &str) {
        let process = self.0.id().to_string();
        let sent = Command::new("kill").args([signal, &process]).status();
        assert!(sent.expect("kill").success());
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_process_that_is_stopped_keeps_the_right_and_one_that_is_killed_frees_it_at_once() {
    let folder = folder("stopped");
    let store = FileStore::new(&folder);
    let holder = Holder::start(&folder);
    assert_eq!(lease(&store, "a").await, HELD);
    let process = holder.0.id().to_string();
    let named = fs::read_to_string(file(&folder, "renew")).expect("text");
    assert_eq!(named.trim(), process, "whom to continue, or to end");
    holder.signal("-STOP");
    assert_eq!(lease(&store, "a").await, HELD);
    drop(holder);
    assert_eq!(lease(&store, "a").await, FREE);
}
