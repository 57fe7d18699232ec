//! Who may read and write what, and which files are followed.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn mode(path: &Path) -> u32 {
    let metadata = fs::metadata(path).expect("it is there");
    metadata.permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("allowed");
}

#[tokio::test]
async fn what_it_makes_is_its_owners_alone() {
    let folder = folder("modes");
    let store = FileStore::new(&folder);
    save(&store, KEY, None, &record(1, b"x")).await;
    assert!(store.lease(KEY, "a", MINUTE).await.unwrap().is_granted());
    assert_eq!(mode(&folder), 0o700);
    for extension in ["json", "new", "lock", "renew"] {
        assert_eq!(mode(&file(&folder, extension)), 0o600, "{extension}");
    }
}

#[tokio::test]
async fn a_file_that_others_may_read_is_refused() {
    let folder = folder("exposed");
    let store = FileStore::new(&folder);
    save(&store, KEY, None, &record(1, b"x")).await;
    let path = file(&folder, "json");
    for exposed in [0o644, 0o640, 0o604, 0o602] {
        set_mode(&path, exposed);
        let error = load_error(&store).await;
        let told = matches!(*error, FileStoreError::Exposed { mode, .. } if mode == exposed);
        assert!(told && error.path() == path, "{error}");
        assert!(error.to_string().contains("expected 0600"), "{error}");
    }
    set_mode(&path, 0o600);
    assert!(load(&store, KEY).await.is_some());
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_gives_a_clear_error() {
    let folder = folder("read-only");
    let store = FileStore::new(&folder);
    save(&store, KEY, None, &record(1, b"x")).await;
    set_mode(&folder, 0o500);
    let is_root = fs::write(folder.join("probe"), "").is_ok();
    let swap = store.compare_and_swap(KEY, Some(1), &record(2, b"y")).await;
    set_mode(&folder, 0o700);
    if is_root {
        return; // To whom nothing is read-only.
    }
    let error = swap.expect_err("it is read-only").to_string();
    assert!(
        error.contains("read-only") && error.contains("denied"),
        "{error}"
    );
    assert_eq!(load(&store, KEY).await, Some(record(1, b"x")));
}

#[tokio::test]
async fn a_folder_that_others_may_write_is_refused_also_one_like_tmp() {
    let folder = folder("open-folder");
    let store = FileStore::new(&folder);
    save(&store, KEY, None, &record(1, b"x")).await;
    for open in [0o770, 0o775, 0o777, 0o707, 0o1777, 0o2777] {
        set_mode(&folder, open);
        let error = load_error(&store).await;
        let told = matches!(*error, FileStoreError::ExposedFolder { mode, .. } if mode == open);
        assert!(told && error.path() == folder, "{error}");
        let swap = store.compare_and_swap(KEY, Some(1), &record(2, b"y")).await;
        swap.expect_err("nor is it written");
        let lease = store.lease(KEY, "a", MINUTE).await;
        lease.expect_err("nor is anybody to renew");
        let checked = store.check(KEY, false).expect_err("and building says so");
        assert_eq!(checked.to_string(), error.to_string());
    }
    for closed in [0o755, 0o750, 0o700] {
        set_mode(&folder, closed);
        assert_eq!(load(&store, KEY).await, Some(record(1, b"x")));
    }
}

/// Root may open them whatever their mode, and mends it all the same.
#[tokio::test]
async fn a_lock_file_that_its_owner_may_not_open_is_mended_in_place() {
    use std::os::unix::fs::MetadataExt;

    let folder = folder("closed-locks");
    let store = FileStore::new(&folder);
    save(&store, KEY, None, &record(1, b"x")).await;
    let lease = store.lease(KEY, "a", MINUTE).await;
    assert!(lease.expect("no error").is_granted());
    store.release(KEY, "a").await.expect("no error");
    let number = |path: &Path| fs::metadata(path).expect("it is there").ino();
    for (version, closed) in [(1, 0o000), (2, 0o400), (3, 0o200)] {
        let id = format!("{closed:o}");
        let paths = ["lock", "renew"].map(|extension| file(&folder, extension));
        let before = paths.each_ref().map(|path| number(path));
        paths.iter().for_each(|path| set_mode(path, closed));
        let lease = store.lease(KEY, &id, MINUTE).await;
        assert!(lease.expect("no error").is_granted(), "{closed:o}");
        let saved = save(&store, KEY, Some(version), &record(version + 1, b"x")).await;
        assert_eq!(saved, Swap::Saved);
        store.release(KEY, &id).await.expect("no error");
        assert_eq!(paths.each_ref().map(|path| mode(path)), [0o600; 2]);
        assert_eq!(paths.each_ref().map(|path| number(path)), before);
    }
}

/// As a kubelet does at each start of a pod whose volume has an `fsGroup`.
#[tokio::test]
async fn the_group_bits_that_a_pods_volume_sets_are_taken_away_again() {
    let folder = folder("pod");
    let store = FileStore::new(&folder);
    save(&store, KEY, None, &record(1, b"x")).await;
    let path = file(&folder, "json");
    for (of_folder, of_file) in [(0o2770, 0o660), (0o2770, 0o640), (0o2750, 0o660)] {
        set_mode(&folder, of_folder);
        set_mode(&path, of_file);
        assert_eq!(load(&store, KEY).await, Some(record(1, b"x")));
        assert_eq!((mode(&folder), mode(&path)), (0o750, 0o600));
    }
    set_mode(&path, 0o664);
    let error = load_error(&store).await;
    assert!(matches!(*error, FileStoreError::Exposed { .. }), "{error}");
}

#[cfg(feature = "tracing")]
#[test]
fn what_was_taken_from_the_group_is_told_once() {
    use std::io::{Read, Seek, SeekFrom};
    use std::sync::Mutex;

    let folder = folder("pod-told");
    let store = FileStore::new(&folder);
    store.check(KEY, true).expect("nothing is wrong");
    set_mode(&folder, 0o2770);
    let mut log = tempfile::tempfile().expect("a file");
    let copy = log.try_clone().expect("a copy");
    let subscriber = tracing_subscriber::fmt()
        .with_writer(Mutex::new(copy))
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        store.check(KEY, true).expect("it is mended");
        store.check(KEY, true).expect("it is mended");
    });
    let mut told = String::new();
    log.seek(SeekFrom::Start(0)).expect("the start");
    log.read_to_string(&mut told).expect("text");
    assert_eq!(told.matches("fsGroup").count(), 1, "{told}");
    assert!(told.contains("WARN") && told.contains("pod-told"), "{told}");
}

#[tokio::test]
async fn no_link_is_followed_to_a_file() {
    use std::os::unix::fs::symlink;

    let folder = folder("links");
    let elsewhere = folder.with_file_name("links-elsewhere");
    let _ = fs::remove_dir_all(&elsewhere);
    fs::create_dir_all(&elsewhere).expect("a folder");
    let store = FileStore::new(&folder);
    let target = elsewhere.join("target");
    save(&store, KEY, None, &record(1, b"x")).await;
    assert!(store.lease(KEY, "a", MINUTE).await.unwrap().is_granted());
    store.release(KEY, "a").await.unwrap();
    for extension in ["json", "lock", "renew"] {
        let path = file(&folder, extension);
        fs::rename(&path, &target).expect("moved");
        for leads_to in [&target, &elsewhere.join("nowhere")] {
            symlink(leads_to, &path).expect("a link");
            let results = [
                store.load(KEY).await.map(drop),
                store
                    .compare_and_swap(KEY, Some(9), &record(2, b"y"))
                    .await
                    .map(drop),
                store.lease(KEY, "a", MINUTE).await.map(drop),
            ];
            let errors = results.into_iter().filter_map(Result::err);
            let errors: Vec<_> = errors.map(|error| error.to_string()).collect();
            assert!(!errors.is_empty(), "{extension}");
            assert!(
                errors.iter().all(|error| error.contains("a link")),
                "{errors:?}"
            );
            fs::remove_file(&path).expect("removed");
        }
        assert!(!elsewhere.join("nowhere").exists());
        fs::rename(&target, &path).expect("moved back");
    }
    let spare = file(&folder, "new");
    fs::write(&target, "of another").expect("written");
    fs::remove_file(&spare).expect("removed");
    symlink(&target, &spare).expect("a link");
    assert_eq!(
        save(&store, KEY, Some(1), &record(2, b"y")).await,
        Swap::Saved
    );
    assert_eq!(fs::read_to_string(&target).expect("text"), "of another");
    let linked = elsewhere.join("folder");
    symlink(&folder, &linked).expect("a link");
    assert_eq!(
        load(&FileStore::new(linked), KEY).await,
        Some(record(2, b"y"))
    );
}

#[tokio::test]
async fn what_is_no_file_is_refused_and_hangs_nothing() {
    let folder = folder("pipe");
    let store = FileStore::new(&folder);
    save(&store, KEY, None, &record(1, b"x")).await;
    let path = file(&folder, "json");
    fs::remove_file(&path).expect("removed");
    let made = Command::new("mkfifo").arg(&path).status();
    assert!(made.expect("mkfifo").success());
    for _ in 0..2 {
        let error = load_error(&store).await;
        assert!(matches!(*error, FileStoreError::NotAFile { .. }), "{error}");
        let _ = fs::remove_file(&path);
        let _ = fs::create_dir(&path);
    }
}

/// Whoever has it open would read the next record.
#[tokio::test]
async fn a_file_for_the_next_record_that_others_may_read_is_made_anew() {
    use std::io::Read;
    use std::os::unix::fs::MetadataExt;

    let folder = folder("exposed-spare");
    let store = FileStore::new(&folder);
    save(&store, KEY, None, &record(1, b"x")).await;
    let spare = file(&folder, "new");
    set_mode(&spare, 0o644);
    let mut reader = fs::File::open(&spare).expect("a file");
    save(&store, KEY, Some(1), &record(2, b"y")).await;
    let path = file(&folder, "json");
    let is_same = fs::metadata(&path).expect("a file").ino() == reader.metadata().unwrap().ino();
    assert!(!is_same);
    assert_eq!(mode(&path), 0o600);
    let mut read = String::new();
    reader.read_to_string(&mut read).expect("text");
    assert_eq!(read.trim(), "");
}
