//! [`RequestOptions`] for a task: what [`RequestOptions::scope`] does with `task-local-extensions`.
//!
//! The task's extensions are one map for everybody who uses that crate. `with_extensions` would
//! replace the whole map, and so hide other people's values inside our scope, and it leaves its map
//! on the thread when the future panics. So the scope puts its one value in before each poll and
//! puts the previous one back after it, by a guard that also runs while unwinding.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use task_local_extensions::{get_local_item, set_local_item};

use super::RequestOptions;

// `task-local-extensions` cannot remove a value, so "no options" is a value too. It gives copies
// away, so the value is a shared one.
#[derive(Clone, Default)]
struct Scoped(Option<Arc<RequestOptions>>);

/// The options of the scope that is being polled on this thread.
pub(crate) fn current() -> Option<Arc<RequestOptions>> {
    // Both functions of that crate are async in name only: they never wait.
    get_local_item::<Scoped>()
        .now_or_never()
        .flatten()
        .unwrap_or_default()
        .0
}

/// Runs `future` with `options` over those of an enclosing scope.
pub(crate) async fn run<F: Future>(options: RequestOptions, future: F) -> F::Output {
    let merged = match current() {
        Some(outer) => options.over(&outer),
        None => options,
    };
    let merged = Arc::new(merged);
    let mut future = pin!(future);
    poll_fn(|context| {
        let _restored = Restore::after_setting(merged.clone());
        future.as_mut().poll(context)
    })
    .await
}

struct Restore(Option<Arc<RequestOptions>>);

impl Restore {
    fn after_setting(options: Arc<RequestOptions>) -> Self {
        let previous = current();
        set(Some(options));
        Self(previous)
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        set(self.0.take());
    }
}

fn set(options: Option<Arc<RequestOptions>>) {
    set_local_item(Scoped(options)).now_or_never();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use task_local_extensions::{Extensions, with_extensions};

    fn quota_now() -> Option<String> {
        current().and_then(|options| Some(options.quota.as_ref()?.to_string()))
    }

    #[tokio::test]
    async fn nested_scopes_merge_and_end() {
        let second = Duration::from_secs(1);
        let inner = RequestOptions::new().quota("inner");
        RequestOptions::new()
            .timeout(second)
            .quota("outer")
            .scope(async {
                tokio::task::yield_now().await;
                inner
                    .scope(async {
                        tokio::task::yield_now().await;
                        let options = current().expect("a scope");
                        assert_eq!(options.timeout, Some(second));
                        assert_eq!(options.quota.as_deref(), Some("inner"));
                    })
                    .await;
                assert_eq!(quota_now().as_deref(), Some("outer"));
            })
            .await;
        assert_eq!(quota_now(), None);
    }

    #[tokio::test]
    async fn a_scope_does_not_hide_other_values_of_the_task() {
        let theirs = Extensions::new().with(7_i32);
        let scoped = RequestOptions::new().scope(async { get_local_item::<i32>().await });
        let (_, seen) = with_extensions(theirs, scoped).await;
        assert_eq!(seen, Some(7));
    }

    #[tokio::test]
    async fn a_panic_inside_a_scope_leaves_nothing_on_the_thread() {
        let scope = RequestOptions::new()
            .quota("q")
            .scope(async { panic!("inside") });
        let caught = std::panic::AssertUnwindSafe(scope).catch_unwind().await;
        assert!(caught.is_err());
        assert_eq!(quota_now(), None);
    }

    #[tokio::test]
    async fn a_scope_does_not_cross_spawn() {
        let seen = RequestOptions::new()
            .quota("q")
            .scope(async { tokio::spawn(async { quota_now() }).await })
            .await;
        assert_eq!(seen.expect("no panic"), None);
    }
}
