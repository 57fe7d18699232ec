//! The model checker's side of `src/sync.rs`: the same names and the same methods, where shuttle
//! may let another task go on at every lock, load, store, send and look.
//!
//! `arc_swap` and tokio's channels have no shuttle version. They are tested by their own authors,
//! so each of their operations is taken to be one step, with a switch before it; that our code puts
//! the steps together rightly is what is checked. Shuttle orders all atomics as one sequence: what
//! weaker orderings allow on top it does not see.

use std::cell::RefCell;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use shuttle::future::{AbortHandle, JoinHandle};
use shuttle::sync::atomic::Ordering::SeqCst;
pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64};
pub(crate) use shuttle::sync::{Mutex, MutexGuard};

/// Lets another task go on, if the scheduler wants so.
#[derive(Clone)]
struct Switch(Arc<AtomicBool>);

impl Switch {
    fn new() -> Self {
        Self(Arc::new(AtomicBool::new(false)))
    }

    fn here(&self) {
        self.0.load(SeqCst);
    }
}

/// An `Arc` that is replaced at once.
pub(crate) struct ArcSwap<T>(Mutex<Arc<T>>);

/// What was there when somebody looked.
pub(crate) struct Guard<T>(T);

impl<T> Deref for Guard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> ArcSwap<T> {
    pub(crate) fn from_pointee(value: T) -> Self {
        Self(Mutex::new(Arc::new(value)))
    }

    pub(crate) fn load(&self) -> Guard<Arc<T>> {
        Guard(self.0.lock().expect("no panic").clone())
    }

    pub(crate) fn store(&self, value: Arc<T>) {
        *self.0.lock().expect("no panic") = value;
    }
}

/// The runtime: shuttle's tasks, which end when the scenario says so.
pub(crate) struct Handle;

/// There is one at a time.
pub(crate) type RuntimeId = u8;

#[derive(Debug)]
pub(crate) struct NoRuntime;

thread_local! {
    // Shuttle runs all tasks of an execution on one thread of the system.
    static SPAWNED: RefCell<Option<Vec<AbortHandle>>> = const { RefCell::new(None) };
    static TORN: RefCell<Vec<AbortHandle>> = const { RefCell::new(Vec::new()) };
}

impl Handle {
    pub(crate) fn try_current() -> Result<Self, NoRuntime> {
        SPAWNED.with_borrow(|tasks| tasks.as_ref().map(|_| Self).ok_or(NoRuntime))
    }

    pub(crate) fn id(&self) -> RuntimeId {
        0
    }

    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let task = shuttle::future::spawn(future);
        SPAWNED.with_borrow_mut(|tasks| {
            tasks
                .iter_mut()
                .for_each(|all| all.push(task.abort_handle()))
        });
        task
    }
}

/// A runtime begins.
pub(crate) fn start_runtime() {
    SPAWNED.set(Some(Vec::new()));
    TORN.take();
}

/// The runtime's tasks end wherever they are, and another runtime begins.
pub(crate) fn tear_down() {
    tear_down_and(Some(Vec::new()));
}

/// The runtime's tasks end wherever they are, and there is no other runtime.
pub(crate) fn end_runtime() {
    tear_down_and(None);
}

fn tear_down_and(next: Option<Vec<AbortHandle>>) {
    let tasks = SPAWNED.replace(next).unwrap_or_default();
    tasks.iter().for_each(AbortHandle::abort);
    TORN.with_borrow_mut(|torn| torn.extend(tasks));
}

/// How many tasks of the runtime are not at their end.
pub(crate) fn running() -> usize {
    SPAWNED.with_borrow(|tasks| tasks.as_ref().map_or(0, |tasks| unfinished(tasks)))
}

/// How many of the runtime that ended before.
pub(crate) fn torn() -> usize {
    TORN.with_borrow(|tasks| unfinished(tasks))
}

fn unfinished(tasks: &[AbortHandle]) -> usize {
    tasks.iter().filter(|task| !task.is_finished()).count()
}

/// Tokio's, with a switch before each step.
pub(crate) mod watch {
    use super::Switch;
    use tokio::sync::watch;
    pub(crate) use tokio::sync::watch::Ref;
    use tokio::sync::watch::error::RecvError;

    pub(crate) struct Sender<T>(watch::Sender<T>, Switch);

    #[derive(Clone)]
    pub(crate) struct Receiver<T>(watch::Receiver<T>, Switch);

    pub(crate) fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
        let sender = Sender::new(value);
        let receiver = sender.subscribe();
        (sender, receiver)
    }

    impl<T> Sender<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(watch::Sender::new(value), Switch::new())
        }

        pub(crate) fn send_replace(&self, value: T) -> T {
            self.1.here();
            self.0.send_replace(value)
        }

        pub(crate) fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
            self.1.here();
            self.0.send_if_modified(modify)
        }

        pub(crate) fn subscribe(&self) -> Receiver<T> {
            self.1.here();
            Receiver(self.0.subscribe(), self.1.clone())
        }
    }

    impl<T> Receiver<T> {
        pub(crate) async fn wait_for(
            &mut self,
            wanted: impl FnMut(&T) -> bool,
        ) -> Result<Ref<'_, T>, RecvError> {
            self.1.here();
            self.0.wait_for(wanted).await
        }

        pub(crate) async fn changed(&mut self) -> Result<(), RecvError> {
            self.1.here();
            self.0.changed().await
        }

        pub(crate) fn borrow_and_update(&mut self) -> Ref<'_, T> {
            self.1.here();
            self.0.borrow_and_update()
        }

        pub(crate) fn mark_unchanged(&mut self) {
            self.1.here();
            self.0.mark_unchanged();
        }
    }
}
