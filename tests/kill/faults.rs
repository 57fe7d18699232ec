//! A world that goes wrong, and a server that forgives nothing: no login is lost.
//!
//! No process is killed. Whatever happens to the store, the clock or a process, no refresh token is
//! presented whose successor a living process has: the server would revoke the family. Callers may
//! be told that the store fails, and nothing else.

#![allow(clippy::disallowed_methods)] // Real processes have real time.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::Loopback;
use super::disk::Disk;
use super::killing::{Aim, Ills, Scene, serve};

const SECOND: Duration = Duration::from_secs(1);
/// How long it may take until renewals go on: a mark of unknown fate is left alone for 75 s.
const PATIENCE: Duration = Duration::from_secs(150);
/// How long a process is stopped, in seconds; longer than any patience with it.
const STOP: &str = "TOLLGATE_STOP_SECONDS";
const USUAL_STOP: u64 = 100;

/// Where the tokens are.
#[derive(Clone, Copy, PartialEq)]
enum Store {
    Files,
    /// A server that answers late, and whose leases end in time.
    Server,
}

async fn scene(name: &'static str, store: Store) -> Scene<Loopback> {
    let mut scene = Scene::new(name, Loopback::with_grace(Duration::ZERO).await).await;
    if store == Store::Server {
        scene.keep_at(serve().await);
    }
    scene
}

async fn renews(scene: &Scene<Loopback>, times: u64) {
    let before = scene.counts().await;
    let renewed = scene.wait_for(before.rotations + times, PATIENCE).await;
    let after = scene.counts().await;
    let end = scene.has_ended();
    assert!(renewed, "{before:?}, then {after:?}, {end:?}");
}

/// Eight workers, all with these ills or the first alone, until they have renewed a few times.
async fn start(scene: &mut Scene<Loopback>) {
    scene.start_workers();
    renews(scene, 4).await;
}

/// Renewals go on, and nobody ever had to log in.
async fn ends_well(mut scene: Scene<Loopback>) {
    renews(&scene, 4).await;
    scene.end_together(Aim::Outside).await;
    let is_well = scene.end().is_none() && scene.ends_well().await;
    scene.tell().await;
    assert_eq!(scene.end(), None);
    assert!(is_well, "a fresh process gets a token");
    assert_eq!(scene.logins(), 0);
    let others = scene.errors().into_iter();
    let others: Vec<_> = others.filter(|text| !text.starts_with("Store: ")).collect();
    assert_eq!(others, [""; 0]);
    assert_eq!(scene.counts().await.families_revoked, 0);
}

#[tokio::test]
async fn a_disk_that_is_full_for_a_while_costs_no_login() {
    let mut scene = scene("full disk", Store::Files).await;
    let Some(disk) = Disk::new(scene.folder().join("store"), 1024) else {
        return;
    };
    // Full from the start: nothing is spent that could not be saved.
    disk.fill();
    scene.start_workers();
    sleep(3 * SECOND).await;
    let counts = scene.counts().await;
    assert_eq!(counts.rotations, 0, "its successor had no place");
    disk.empty();
    renews(&scene, 4).await;
    for _ in 0..2 {
        disk.fill();
        sleep(4 * SECOND).await;
        disk.empty();
        renews(&scene, 2).await;
    }
    ends_well(scene).await;
    drop(disk);
}

/// All files of the folder that end so.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let ends = |path: &PathBuf| path.extension().is_some_and(|found| found == extension);
    paths.filter(ends).collect()
}

fn empty(path: &Path) {
    fs::write(path, "").expect("emptied");
}

fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;

    fs::write(path, "garbage").expect("written");
    let opened = fs::set_permissions(path, fs::Permissions::from_mode(0o644));
    // Removed meanwhile.
    let _ = opened;
}

fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}

async fn tampered_with(name: &'static str, tamper: fn(&Path), slow_saves: Duration) {
    let mut scene = scene(name, Store::Files).await;
    scene.ail(Ills {
        slow_saves,
        ..Ills::default()
    });
    start(&mut scene).await;
    let begun = Instant::now();
    while begun.elapsed() < 6 * SECOND + slow_saves {
        for path in files(&scene.folder().join("store"), "renew") {
            tamper(&path);
        }
        sleep(Duration::from_millis(70)).await;
    }
    ends_well(scene).await;
}

#[tokio::test]
async fn a_lock_file_that_is_emptied_costs_no_login() {
    tampered_with("emptied lock file", empty, Duration::ZERO).await;
}

#[tokio::test]
async fn a_lock_file_that_is_opened_to_all_costs_no_login() {
    tampered_with("lock file for all", open_to_all, Duration::ZERO).await;
}

#[tokio::test]
async fn a_lock_file_that_is_removed_costs_no_login() {
    tampered_with("removed lock file", remove, Duration::ZERO).await;
}

#[tokio::test]
async fn a_lock_file_that_is_removed_during_a_slow_save_costs_no_login() {
    tampered_with("removed lock file, slow saves", remove, 4 * SECOND).await;
}

async fn with_ills_of_all(name: &'static str, store: Store, ills: Ills) {
    let mut scene = scene(name, store).await;
    scene.ail(ills);
    start(&mut scene).await;
    ends_well(scene).await;
}

fn slow_saves() -> Ills {
    Ills {
        slow_saves: 3 * SECOND,
        ..Ills::default()
    }
}

#[tokio::test]
async fn saves_that_take_3_s_cost_no_login() {
    with_ills_of_all("slow saves", Store::Files, slow_saves()).await;
}

#[tokio::test]
async fn saves_that_take_3_s_cost_no_login_where_leases_end_in_time() {
    with_ills_of_all("slow saves, server", Store::Server, slow_saves()).await;
}

/// One worker, before the others.
async fn with_ills_of_one(name: &'static str, store: Store, ills: Ills, span: Duration) {
    let mut scene = scene(name, store).await;
    scene.ail(ills);
    scene.add_worker();
    renews(&scene, 1).await;
    scene.ail(Ills::default());
    for _ in 0..7 {
        scene.add_worker();
    }
    let begun = Instant::now();
    while begun.elapsed() < span {
        sleep(Duration::from_millis(100)).await;
    }
    ends_well(scene).await;
}

fn slow_first_save() -> Ills {
    Ills {
        slow_first_save: 30 * SECOND,
        ..Ills::default()
    }
}

#[tokio::test]
async fn a_save_that_takes_30_s_costs_no_login() {
    let ills = slow_first_save();
    with_ills_of_one("save of 30 s", Store::Files, ills, 5 * SECOND).await;
}

#[tokio::test]
async fn a_save_that_takes_30_s_costs_no_login_where_leases_end_in_time() {
    let ills = slow_first_save();
    with_ills_of_one("save of 30 s, server", Store::Server, ills, 5 * SECOND).await;
}

fn stepping_clock() -> Ills {
    Ills {
        clock_steps: 120 * SECOND,
        ..Ills::default()
    }
}

#[tokio::test]
async fn a_clock_that_is_set_by_two_minutes_costs_no_login() {
    let ills = stepping_clock();
    with_ills_of_one("clock steps", Store::Files, ills, 8 * SECOND).await;
}

#[tokio::test]
async fn a_clock_that_is_set_by_two_minutes_costs_no_login_where_leases_end_in_time() {
    let ills = stepping_clock();
    with_ills_of_one("clock steps, server", Store::Server, ills, 8 * SECOND).await;
}

/// For ten lifetimes of a token.
async fn with_a_store_that_is_down(name: &'static str, store: Store) {
    let mut scene = scene(name, store).await;
    let down = scene.folder().join("down");
    scene.ail(Ills {
        down_while: Some(down.clone()),
        ..Ills::default()
    });
    start(&mut scene).await;
    fs::write(&down, "").expect("written");
    sleep(4 * SECOND).await;
    fs::remove_file(&down).expect("removed");
    ends_well(scene).await;
}

#[tokio::test]
async fn a_store_that_is_down_for_ten_lifetimes_costs_no_login() {
    with_a_store_that_is_down("store down", Store::Files).await;
}

#[tokio::test]
async fn a_store_that_is_down_for_ten_lifetimes_costs_no_login_where_leases_end_in_time() {
    with_a_store_that_is_down("store down, server", Store::Server).await;
}

#[tokio::test]
async fn while_a_process_is_stopped_within_a_renewal_no_other_presents_the_token() {
    let mut scene = scene("stopped", Store::Files).await;
    start(&mut scene).await;
    let stopped = scene.stop_one_inside().await;
    // The server may have its request, and answers within 120 ms.
    sleep(2 * SECOND).await;
    let before = scene.counts().await;
    let seconds = std::env::var(STOP).ok();
    let seconds = seconds.map_or(USUAL_STOP, |text| text.parse().expect(STOP));
    sleep(Duration::from_secs(seconds)).await;
    let after = scene.counts().await;
    drop(stopped);
    assert_eq!(after.rotations, before.rotations);
    ends_well(scene).await;
}
