//! A disk that fills up.

#[path = "../kill/disk.rs"]
mod disk;

use self::disk::Disk;
use super::*;

/// As large as a record with two tokens of an ordinary length.
fn large(version: u64) -> Record {
    record(version, &vec![version as u8; 3_000])
}

#[tokio::test]
async fn a_record_can_be_saved_again_and_again_on_a_disk_that_filled_up() {
    let Some(disk) = Disk::new(folder("filled"), 256) else {
        return;
    };
    let store = FileStore::new(&disk.0);
    save(&store, KEY, None, &large(1)).await;
    for version in 1..6 {
        disk.fill();
        let lease = store.lease(KEY, "a", MINUTE).await;
        assert!(lease.expect("it needs no space").is_granted());
        let new = large(version + 1);
        assert_eq!(save(&store, KEY, Some(version), &new).await, Swap::Saved);
        assert_eq!(load(&store, KEY).await, Some(new));
        store.release(KEY, "a").await.expect("released");
    }
}

#[tokio::test]
async fn a_record_may_grow_by_eight_kibibytes_on_a_disk_that_filled_up() {
    let Some(disk) = Disk::new(folder("growing"), 256) else {
        return;
    };
    let store = FileStore::new(&disk.0);
    save(&store, KEY, None, &record(1, b"x")).await;
    disk.fill();
    // In base64 a third more.
    let grown = record(2, &[7; 6_000]);
    assert_eq!(save(&store, KEY, Some(1), &grown).await, Swap::Saved);
    let huge = record(3, &[7; 60_000]);
    let swap = store.compare_and_swap(KEY, Some(2), &huge).await;
    let error = swap.expect_err("there is no space");
    let error = error.downcast::<FileStoreError>().expect("ours");
    let is_full = matches!(
        &*error,
        FileStoreError::Io { error, .. } if error.kind() == std::io::ErrorKind::StorageFull
    );
    assert!(is_full, "{error}");
    assert_eq!(load(&store, KEY).await, Some(grown));
    disk.empty();
    assert_eq!(save(&store, KEY, Some(2), &huge).await, Swap::Saved);
}

#[tokio::test]
async fn the_first_record_is_refused_on_a_full_disk_before_anything_is_changed() {
    let Some(disk) = Disk::new(folder("full-from-the-start"), 256) else {
        return;
    };
    let store = FileStore::new(&disk.0);
    assert_eq!(load(&store, KEY).await, None);
    disk.fill();
    store.check(KEY, true).expect("it may pass by itself");
    let lease = store.lease(KEY, "a", MINUTE).await;
    assert!(lease.expect("its file was made before").is_granted());
    // The second time there is space for the record, and none for the next one.
    for free in [0, 20 << 10] {
        disk.free(free);
        let swap = store.compare_and_swap(KEY, None, &large(1)).await;
        swap.expect_err("there is no space");
        assert_eq!(load(&store, KEY).await, None);
    }
    disk.empty();
    assert_eq!(save(&store, KEY, None, &large(1)).await, Swap::Saved);
    disk.fill();
    assert_eq!(save(&store, KEY, Some(1), &large(2)).await, Swap::Saved);
}

/// Without a disk that can be filled: the place of the next record is there, as large as it may
/// become, and the next record takes it.
#[tokio::test]
async fn each_record_is_written_to_the_file_that_the_one_before_has_left() {
    use std::os::unix::fs::MetadataExt;

    let folder = folder("in-place");
    let store = FileStore::new(&folder);
    save(&store, KEY, None, &large(1)).await;
    for version in 1..6 {
        // Open, so that no other file gets their numbers.
        let open = |extension| fs::File::open(file(&folder, extension)).expect("a file");
        let number = |file: &fs::File| file.metadata().expect("a number").ino();
        let (record, spare) = (open("json"), open("new"));
        let size = spare.metadata().expect("a size").len();
        assert!(size >= 4_000 + (8 << 10), "{size}");
        save(&store, KEY, Some(version), &large(version + 1)).await;
        assert_eq!(number(&open("json")), number(&spare));
        assert_eq!(number(&open("new")), number(&record));
    }
}
