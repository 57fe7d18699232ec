//! The requests of a quota that are on the wire.
//!
//! Pure: `now` is an argument.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::meter::Mark;
use crate::clock::Moment;
use crate::cost::Costs;

/// Names a permit: the how manyth of its quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PermitId(u64);

/// The permits that are out, oldest first.
///
/// Kept in parts, each written where it stays: what is moved as soon as it was written waits for
/// the writes (`limiter` in `benches/peers`).
#[derive(Clone, Debug, Default)]
pub(crate) struct InFlight {
    first: u64,
    /// When each left that was not taken in.
    slots: VecDeque<Option<Moment>>,
    /// Of the few that named any.
    costs: BTreeMap<PermitId, Costs>,
    /// For each slot, taken or not, one of each window.
    marks: VecDeque<Mark>,
    windows: usize,
    count: u64,
}

/// A permit that is out.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) granted: Moment,
    pub(crate) costs: Costs,
}

impl InFlight {
    pub(super) fn new(windows: usize) -> Self {
        Self {
            windows,
            ..Self::default()
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Another permit; what each window's meter shows has to follow ([`mark`](Self::mark)).
    pub(crate) fn add(&mut self, slot: Slot) -> PermitId {
        // The how manyth permit that was ever granted.
        let id = PermitId(self.first + self.slots.len() as u64);
        self.slots.push_back(Some(slot.granted));
        if !slot.costs.are_plain() {
            self.costs.insert(id, slot.costs);
        }
        self.count += 1;
        id
    }

    /// What the next window's meter showed when the newest permit left.
    pub(super) fn mark(&mut self, mark: Mark) {
        self.marks.push_back(mark);
    }

    /// Takes a permit in; none if it counts as answered already. Its marks are there until the
    /// next call of [`tidy`](Self::tidy).
    pub(crate) fn take(&mut self, id: PermitId) -> Option<Slot> {
        let index = self.index(id)?;
        let granted = self.slots.get_mut(index)?.take()?;
        let costs = self.costs.remove(&id).unwrap_or_default();
        self.count -= 1;
        Some(Slot { granted, costs })
    }

    /// What each window's meter showed when this permit left.
    pub(super) fn marks(&self, id: PermitId) -> impl Iterator<Item = Mark> {
        let index = self.index(id).unwrap_or(self.slots.len());
        let marks = self.marks.iter().skip(index * self.windows);
        marks.take(self.windows).copied()
    }

    /// The next permit that left so long ago that it counts as answered.
    pub(crate) fn take_overdue(
        &mut self,
        now: Moment,
        after: Duration,
    ) -> Option<(PermitId, Slot)> {
        self.tidy();
        if self.oldest()? + after > now {
            return None;
        }
        let permit = PermitId(self.first);
        Some((permit, self.take(permit)?))
    }

    /// There are so many windows from now on. `mark` says what the meters showed when a permit of
    /// these costs left, by its old marks.
    pub(super) fn mark_again(
        &mut self,
        windows: usize,
        mut mark: impl FnMut(&Costs, &[Mark], &mut VecDeque<Mark>),
    ) {
        self.tidy();
        let old = Vec::from(std::mem::take(&mut self.marks));
        let plain = Costs::default();
        for (id, (index, slot)) in (self.first..).zip(self.slots.iter().enumerate()) {
            let costs = self.costs.get(&PermitId(id)).unwrap_or(&plain);
            let from = index * self.windows;
            let old = old.get(from..from + self.windows).unwrap_or_default();
            match slot {
                Some(_) => mark(costs, old, &mut self.marks),
                None => self.marks.extend((0..windows).map(|_| Mark::default())),
            }
        }
        self.windows = windows;
    }

    /// When the oldest permit left, once those that were taken in are gone ([`tidy`](Self::tidy)).
    pub(crate) fn oldest(&self) -> Option<Moment> {
        self.slots.front().copied().flatten()
    }

    /// Lets go of those that were taken in.
    pub(super) fn tidy(&mut self) {
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            for _ in 0..self.windows {
                self.marks.pop_front();
            }
            self.first += 1;
        }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.slots.capacity() + self.costs.len() + self.marks.capacity()
    }

    fn index(&self, id: PermitId) -> Option<usize> {
        usize::try_from(id.0.checked_sub(self.first)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate_limit::meter::Meter;
    use crate::rate_limit::window::Window;

    fn add(flight: &mut InFlight, second: u64) -> PermitId {
        let granted = Moment::after_start(Duration::from_secs(second));
        let costs = Costs::default();
        flight.add(Slot { granted, costs })
    }

    #[test]
    fn a_permit_is_taken_in_once() {
        let mut flight = InFlight::default();
        let first = add(&mut flight, 0);
        let second = add(&mut flight, 1);
        assert!(flight.take(second).is_some());
        assert!(flight.take(second).is_none());
        assert!(flight.take(first).is_some());
        assert!(flight.take(first).is_none());
        assert_eq!(flight.count(), 0);
    }

    #[test]
    fn one_that_hangs_is_overdue_and_the_next_is_the_oldest() {
        let mut flight = InFlight::default();
        let hanging = add(&mut flight, 0);
        add(&mut flight, 5);
        let now = Moment::after_start(Duration::from_secs(10));
        assert!(flight.take_overdue(now, Duration::from_secs(10)).is_some());
        assert!(flight.take_overdue(now, Duration::from_secs(10)).is_none());
        assert!(flight.take(hanging).is_none());
        assert_eq!(
            flight.oldest(),
            Some(Moment::after_start(Duration::from_secs(5)))
        );
    }

    /// Of two windows, so that each permit has two marks; what the first of them counts.
    fn marked(flight: &mut InFlight, meter: &mut Meter, own: u64) -> PermitId {
        let permit = add(flight, 0);
        flight.mark(meter.leave(&Costs::ONE, own));
        flight.mark(Mark::default());
        permit
    }

    fn most(flight: &InFlight, meter: &Meter, permit: PermitId) -> Option<u64> {
        let mark = flight.marks(permit).next()?;
        Some(meter.own_since(mark, &Costs::ONE, 0).most)
    }

    #[test]
    fn the_marks_of_a_permit_are_its_own_and_outlast_its_end() {
        let mut flight = InFlight::new(2);
        let mut meter = Meter::new(&Window::per_minute(9));
        let permits = [10, 20, 30].map(|own| marked(&mut flight, &mut meter, own));
        // The first of those that left before, of those in flight, and of those granted since.
        assert!(flight.take(permits[0]).is_some());
        assert_eq!(most(&flight, &meter, permits[0]), Some(10 + 1 + 2));
        flight.tidy();
        assert_eq!(most(&flight, &meter, permits[0]), None);
        assert_eq!(most(&flight, &meter, permits[1]), Some(20 + 2 + 1));
        assert!(flight.take(permits[2]).is_some());
        assert_eq!(most(&flight, &meter, permits[2]), Some(30 + 3));
    }

    #[test]
    fn each_permit_is_marked_again_by_its_costs_and_its_old_marks() {
        let mut flight = InFlight::new(2);
        let mut meter = Meter::new(&Window::per_minute(9));
        let first = marked(&mut flight, &mut meter, 10);
        let costs = Costs::default().with("lines", 5);
        let granted = Moment::ZERO;
        let second = flight.add(Slot { granted, costs });
        flight.mark(meter.leave(&Costs::ONE, 20));
        flight.mark(Mark::default());
        let third = marked(&mut flight, &mut meter, 30);
        flight.take(second);
        let mut seen = Vec::new();
        flight.mark_again(1, |costs, old, marks| {
            seen.push((costs.named("lines"), old.len()));
            marks.extend(old.first());
        });
        assert_eq!(seen, [(None, 2), (None, 2)], "one was taken in");
        assert_eq!(most(&flight, &meter, first), Some(10 + 1 + 2));
        assert_eq!(most(&flight, &meter, third), Some(30 + 3));
    }
}
