//! Calls into code of others that may panic where nothing may be left undone.
//!
//! An observer, a subscriber of `tracing` and a clock are the user's own. A panic in one of them
//! must not keep a permit, nor stop what it has nothing to do with.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `call` gives; none if it panicked. The panic's payload is dropped unseen, since it may hold
/// anything; the process's panic hook has reported it.
pub(crate) fn contained<T>(call: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(value) => Some(value),
        Err(payload) => {
            // A payload is of any type, and its drop may panic too.
            if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                std::mem::forget(second);
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            std::panic::panic_any(Self);
        }
    }

    #[test]
    fn a_panic_whose_payload_panics_too_is_contained() {
        assert_eq!(contained(|| 1), Some(1));
        assert_eq!(contained(|| -> u8 { panic!("as told") }), None);
        assert_eq!(contained(|| -> u8 { std::panic::panic_any(Bomb) }), None);
    }
}
