//! The requests of a quota that are on the wire.
//!
//! Pure: `now` is an argument.

use std::collections::VecDeque;
use std::time::Duration;

use smallvec::SmallVec;

use super::meter::Mark;
use crate::clock::Moment;
use crate::cost::Costs;

/// Names a permit: the how manyth of its quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PermitId(u64);

/// The permits that are out, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct InFlight {
    first: u64,
    slots: VecDeque<Option<Slot>>,
    count: u64,
}

/// A permit that is out.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) granted: Moment,
    pub(crate) costs: Costs,
    /// What each window's meter showed when it left.
    pub(super) marks: SmallVec<[Mark; 2]>,
}

impl InFlight {
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn add(&mut self, slot: Slot) -> PermitId {
        // The how manyth permit that was ever granted.
        let id = self.first + self.slots.len() as u64;
        self.slots.push_back(Some(slot));
        self.count += 1;
        PermitId(id)
    }

    /// Takes a permit in; none if it counts as answered already.
    pub(crate) fn take(&mut self, id: PermitId) -> Option<Slot> {
        let index = usize::try_from(id.0.checked_sub(self.first)?).ok()?;
        let slot = self.slots.get_mut(index)?.take()?;
        self.count -= 1;
        self.drop_taken();
        Some(slot)
    }

    /// The next permit that left so long ago that it counts as answered.
    pub(crate) fn take_overdue(&mut self, now: Moment, after: Duration) -> Option<Slot> {
        if self.oldest()? + after > now {
            return None;
        }
        self.take(PermitId(self.first))
    }

    /// All of them, oldest first.
    pub(crate) fn slots(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut().flatten()
    }

    /// When the oldest permit left.
    pub(crate) fn oldest(&self) -> Option<Moment> {
        self.slots
            .front()
            .and_then(Option::as_ref)
            .map(|slot| slot.granted)
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.slots.capacity()
    }

    fn drop_taken(&mut self) {
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(second: u64) -> Slot {
        let granted = Moment::after_start(Duration::from_secs(second));
        Slot {
            granted,
            costs: Costs::default(),
            marks: SmallVec::new(),
        }
    }

    #[test]
    fn a_permit_is_taken_in_once() {
        let mut flight = InFlight::default();
        let first = flight.add(slot(0));
        let second = flight.add(slot(1));
        assert!(flight.take(second).is_some());
        assert!(flight.take(second).is_none());
        assert!(flight.take(first).is_some());
        assert!(flight.take(first).is_none());
        assert_eq!(flight.count(), 0);
    }

    #[test]
    fn one_that_hangs_is_overdue_and_the_next_is_the_oldest() {
        let mut flight = InFlight::default();
        let hanging = flight.add(slot(0));
        flight.add(slot(5));
        let now = Moment::after_start(Duration::from_secs(10));
        assert!(flight.take_overdue(now, Duration::from_secs(10)).is_some());
        assert!(flight.take_overdue(now, Duration::from_secs(10)).is_none());
        assert!(flight.take(hanging).is_none());
        assert_eq!(
            flight.oldest(),
            Some(Moment::after_start(Duration::from_secs(5)))
        );
    }
}
