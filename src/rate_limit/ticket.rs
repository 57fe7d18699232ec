//! The place of a request in a line.
//!
//! Pure: `now` is an argument.

use crate::clock::Moment;
use crate::options::Priority;

/// A request's place in line, which it keeps for its replays; the lowest is next.
///
/// A lower priority is the same as a later arrival ([`Priority::HEAD_START`]), so the order of two
/// requests never changes, and nobody waits for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ticket {
    /// The arrival, put off by the priority.
    due: Moment,
    /// The how manyth of its quota.
    number: u64,
    priority: Priority,
}

impl Ticket {
    pub(crate) fn new(number: u64, priority: Priority, now: Moment) -> Self {
        let levels = match priority {
            Priority::High => 0,
            Priority::Normal => 1,
            Priority::Low => 2,
        };
        Self {
            due: now + Priority::HEAD_START * levels,
            number,
            priority,
        }
    }

    /// Before all that are not of high priority, however long they have waited.
    pub(crate) fn foremost(mut self) -> Self {
        if self.is_high() {
            self.due = Moment::ZERO;
        }
        self
    }

    /// Whether it may use what is reserved for high priority.
    pub(crate) fn is_high(self) -> bool {
        self.priority == Priority::High
    }

    /// The priority it was drawn with.
    pub(crate) fn priority(self) -> Priority {
        self.priority
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) const fn numbered(number: u64) -> Self {
        Self {
            due: Moment::ZERO,
            number,
            priority: Priority::Normal,
        }
    }
}
