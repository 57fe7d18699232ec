//! What the operating system does seldom, and a test cannot ask for: refuse, and not answer.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Condvar;
use std::sync::atomic::AtomicUsize;

use fs4::TryLockError;

use super::*;

const KEY: &str = "acme-0123";

fn store(folder: &Path, system: &Arc<impl System + 'static>) -> FileStore {
    FileStore::of(Shared::new(folder.to_owned(), system.clone()))
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn told(error: BoxError) -> FileStoreError {
    *error.downcast().expect("an error of the file store")
}

async fn save(store: &FileStore, expected: Option<u64>, new: u64) -> Result<Swap, BoxError> {
    let new = Record::new(new, new.to_be_bytes());
    store.compare_and_swap(KEY, expected, &new).await
}

/// Refuses a rename some times, and knows no exchange.
struct Fat {
    refusals: AtomicUsize,
    kind: ErrorKind,
}

impl Fat {
    fn new(refusals: usize, kind: ErrorKind) -> Arc<Self> {
        let refusals = AtomicUsize::new(refusals);
        Arc::new(Self { refusals, kind })
    }
}

impl System for Fat {
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let less = |left: usize| left.checked_sub(1);
        match self
            .refusals
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
        {
            Ok(_) => Err(self.kind.into()),
            Err(_) => Native.rename(from, to),
        }
    }

    fn exchange(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }
}

#[tokio::test]
async fn a_rename_that_is_refused_for_moments_is_tried_again() {
    for kind in [ErrorKind::PermissionDenied, ErrorKind::ResourceBusy] {
        let (folder, system) = (folder(), Fat::new(3, kind));
        let store = store(folder.path(), &system);
        assert_eq!(save(&store, None, 1).await.expect("saved"), Swap::Saved);
        system.refusals.store(3, Ordering::Relaxed);
        assert_eq!(save(&store, Some(1), 2).await.expect("saved"), Swap::Saved);
        assert_eq!(system.refusals.load(Ordering::Relaxed), 0);
        let loaded = store.load(KEY).await.expect("it can be read");
        assert_eq!(loaded.map(|record| record.version), Some(2));
    }
}

#[tokio::test]
async fn a_rename_that_stays_refused_fails_after_a_second_and_changes_nothing() {
    let (folder, system) = (folder(), Fat::new(0, ErrorKind::PermissionDenied));
    let store = store(folder.path(), &system);
    save(&store, None, 1).await.expect("saved");
    system.refusals.store(usize::MAX, Ordering::Relaxed);
    let error = told(save(&store, Some(1), 2).await.expect_err("it is refused"));
    assert!(matches!(error, FileStoreError::Io { .. }), "{error}");
    let tries = usize::MAX - system.refusals.load(Ordering::Relaxed);
    assert_eq!(tries, 21, "one each 50 ms");
    let loaded = store.load(KEY).await.expect("it can be read");
    assert_eq!(loaded.map(|record| record.version), Some(1));
}

#[tokio::test]
async fn a_rename_that_fails_otherwise_is_not_tried_again() {
    let (folder, system) = (folder(), Fat::new(0, ErrorKind::StorageFull));
    let store = store(folder.path(), &system);
    save(&store, None, 1).await.expect("saved");
    system.refusals.store(2, Ordering::Relaxed);
    save(&store, Some(1), 2).await.expect_err("it fails");
    assert_eq!(system.refusals.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn where_files_cannot_be_exchanged_the_next_one_is_made_after_each_save() {
    let (folder, system) = (folder(), Fat::new(0, ErrorKind::Other));
    let store = store(folder.path(), &system);
    for (expected, new) in [(None, 1), (Some(1), 2), (Some(2), 3)] {
        assert_eq!(
            save(&store, expected, new).await.expect("saved"),
            Swap::Saved
        );
        let place = store.shared.place(KEY);
        let spare = place.record().with_extension("new");
        let spare = std::fs::read(spare).expect("it is there");
        assert!(spare.len() > 8 << 10 && spare.iter().all(|byte| *byte == b' '));
    }
}

/// Another process has the lock until it has written the record.
struct Writing {
    record: PathBuf,
    content: Vec<u8>,
}

impl System for Writing {
    fn try_lock(&self, file: &File) -> Result<(), TryLockError> {
        std::fs::write(&self.record, &self.content).expect("written");
        Native.try_lock(file)
    }
}

#[tokio::test]
async fn a_record_that_is_half_written_is_read_again_under_the_lock() {
    let folder = folder();
    let writer = FileStore::new(folder.path());
    save(&writer, None, 1).await.expect("saved");
    let record = writer.shared.place(KEY).record();
    let content = std::fs::read(&record).expect("a file");
    std::fs::write(&record, &content[..50]).expect("written");
    writer.load(KEY).await.expect_err("it is damaged");
    let system = Arc::new(Writing { record, content });
    let loaded = store(folder.path(), &system).load(KEY).await;
    let loaded = loaded.expect("it can be read");
    assert_eq!(loaded.map(|record| record.version), Some(1));
}

/// Has no locks, and says so in this way.
#[cfg(unix)]
struct NoLocks(rustix::io::Errno);

#[cfg(unix)]
impl System for NoLocks {
    fn try_lock(&self, _: &File) -> Result<(), TryLockError> {
        Err(TryLockError::Error(self.0.into()))
    }
}

#[cfg(unix)]
#[tokio::test]
async fn without_locks_there_is_no_right_to_renew_and_building_says_so() {
    use rustix::io::Errno;

    for errno in [Errno::NOLCK, Errno::OPNOTSUPP, Errno::NOSYS] {
        let folder = folder();
        let store = store(folder.path(), &Arc::new(NoLocks(errno)));
        let lease = store.lease(KEY, "a", Duration::from_secs(8)).await;
        let error = told(lease.expect_err("no locks"));
        assert!(matches!(error, FileStoreError::NoLocks { .. }), "{error}");
        assert!(error.to_string().contains("local disk"), "{error}");
        let error = told(store.check(KEY, true).expect_err("no locks"));
        assert!(matches!(error, FileStoreError::NoLocks { .. }), "{error}");
        store
            .check(KEY, false)
            .expect("grants that can be repeated do without");
    }
}

/// Whoever locks a file hangs until it is let go.
#[derive(Default)]
struct Hung {
    entered: AtomicUsize,
    is_free: Mutex<bool>,
    freed: Condvar,
}

impl Hung {
    async fn entered(&self) {
        while self.entered.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    }

    fn let_go(&self) {
        *self.is_free.lock().expect("no panic") = true;
        self.freed.notify_all();
    }
}

impl System for Hung {
    fn try_lock(&self, file: &File) -> Result<(), TryLockError> {
        self.entered.fetch_add(1, Ordering::Relaxed);
        let is_free = self.is_free.lock().expect("no panic");
        let waited = self.freed.wait_while(is_free, |is_free| !*is_free);
        drop(waited.expect("no panic"));
        Native.try_lock(file)
    }
}

#[tokio::test(start_paused = true)]
async fn behind_a_call_that_hangs_no_other_takes_a_thread_and_each_fails_in_time() {
    let (folder, system) = (folder(), Arc::new(Hung::default()));
    let store = store(folder.path(), &system);
    let hanging = tokio::spawn({
        let store = store.clone();
        async move { save(&store, None, 1).await }
    });
    system.entered().await;
    for _ in 0..3 {
        let behind = tokio::spawn({
            let store = store.clone();
            async move { store.load(KEY).await }
        });
        tokio::task::yield_now().await;
        tokio::time::advance(Duration::from_millis(4_990)).await;
        assert!(!behind.is_finished());
        tokio::time::advance(Duration::from_millis(20)).await;
        let error = told(behind.await.expect("no panic").expect_err("no answer"));
        assert!(matches!(error, FileStoreError::NoAnswer { .. }), "{error}");
    }
    assert_eq!(system.entered.load(Ordering::Relaxed), 1);
    tokio::time::advance(Duration::from_secs(16)).await;
    let error = told(hanging.await.expect("no panic").expect_err("no answer"));
    assert!(matches!(error, FileStoreError::NoAnswer { .. }), "{error}");
    system.let_go();
    let loaded = store.load(KEY).await.expect("it answers again");
    let version = loaded.map(|record| record.version);
    assert_eq!(version, Some(1), "it took effect, late");
}

#[tokio::test(start_paused = true)]
async fn another_key_does_not_wait_for_a_call_that_hangs() {
    let (folder, system) = (folder(), Arc::new(Hung::default()));
    let store = store(folder.path(), &system);
    let hanging = tokio::spawn({
        let store = store.clone();
        async move { save(&store, None, 1).await }
    });
    system.entered().await;
    assert_eq!(store.load("other").await.expect("it answers"), None);
    system.let_go();
    let swap = hanging.await.expect("no panic").expect("saved");
    assert_eq!(swap, Swap::Saved);
}

#[tokio::test(start_paused = true)]
async fn a_right_that_comes_too_late_is_no_ones() {
    let (folder, system) = (folder(), Arc::new(Hung::default()));
    let one = store(folder.path(), &system);
    let lease = tokio::spawn({
        let one = one.clone();
        async move { one.lease(KEY, "a", Duration::from_secs(8)).await }
    });
    system.entered().await;
    tokio::time::advance(Duration::from_millis(5_001)).await;
    let error = told(lease.await.expect("no panic").expect_err("no answer"));
    assert!(matches!(error, FileStoreError::NoAnswer { .. }), "{error}");
    system.let_go();
    // Behind the late one, whose lock has ended with it.
    one.load(KEY).await.expect("it answers again");
    for store in [&one, &FileStore::new(folder.path())] {
        let lease = store.lease(KEY, "b", Duration::from_secs(8)).await;
        assert!(lease.expect("it answers").is_granted());
        store.release(KEY, "b").await.expect("released");
    }
}
