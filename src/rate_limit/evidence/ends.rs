//! The ends that a series told, earliest first.
//!
//! Kept as they were told: a shortened end made a fixed window out of a counter, at half its rate.
//!
//! Pure.

use std::time::Duration;

use smallvec::SmallVec;

use crate::clock::Moment;

const MOST: usize = 64;

/// Ends nearer to each other than this part of a period are one: the earliest of them.
const PART: u32 = 50;

#[derive(Clone, Debug, Default)]
pub(super) struct Ends(SmallVec<[Moment; 2]>);

impl Ends {
    pub(super) fn first(&self) -> Option<Moment> {
        self.0.first().copied()
    }

    pub(super) fn last(&self) -> Option<Moment> {
        self.0.last().copied()
    }

    pub(super) fn add(&mut self, end: Moment, period: Duration) {
        let near = period / PART;
        let at = self.0.partition_point(|known| *known <= end);
        if let Some(before) = at.checked_sub(1).and_then(|at| self.0.get(at)) {
            if end - *before <= near {
                return;
            }
        }
        match self.0.get_mut(at) {
            Some(after) if *after - end <= near => *after = end,
            _ => {
                self.0.insert(at, end);
                self.0.truncate(MOST);
            }
        }
    }

    /// Those that have passed.
    pub(super) fn pass(&mut self, now: Moment) {
        self.0.retain(|end| *end > now);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Moment> {
        self.0.iter().copied()
    }
}

/// Whether two ends, told for so long a time to come, are the same moment.
pub(super) fn agree(one: Moment, other: Moment, span: Duration) -> bool {
    let off = (one - other).max(other - one);
    off <= Duration::from_secs(2) + span / 100
}

#[cfg(test)]
mod tests;
