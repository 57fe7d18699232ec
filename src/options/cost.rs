//! What a request costs, in each unit that a window may count.

use std::collections::BTreeSet;
use std::sync::Arc;

/// What windows count that say nothing else, and of which every request costs one.
pub(crate) const REQUESTS: &str = "requests";

/// What somebody said a request costs; without a word, one request and nothing else.
///
/// Shared and mostly absent, since every request has one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Costs(Option<Arc<[Cost]>>);

/// The unit, and how much of it.
pub(crate) type Cost = (Arc<str>, u64);

impl Costs {
    /// One request, and nothing else.
    #[cfg(test)]
    pub(crate) const ONE: Self = Self(None);

    /// The same with one more; it replaces the one in that unit.
    #[must_use]
    pub(crate) fn with(&self, unit: &str, amount: u64) -> Self {
        let one = [(Arc::from(unit), amount)];
        Self(Some(one.into())).over(self)
    }

    /// These, and in units of which they say nothing, those beneath.
    #[must_use]
    pub(crate) fn over(self, beneath: &Self) -> Self {
        let (Some(near), Some(far)) = (&self.0, &beneath.0) else {
            return Self(self.0.or_else(|| beneath.0.clone()));
        };
        let is_new = |unit: &str| near.iter().all(|(other, _)| **other != *unit);
        let others = far.iter().filter(|(unit, _)| is_new(unit));
        Self(Some(near.iter().chain(others).cloned().collect()))
    }

    /// The units of which something was said.
    pub(crate) fn units(&self) -> impl Iterator<Item = &str> {
        let costs = self.0.as_deref().unwrap_or_default();
        costs.iter().map(|(unit, _)| &**unit)
    }

    /// Without those in other units than `keep` says.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        if self.units().all(&keep) {
            return;
        }
        let costs = self.0.as_deref().unwrap_or_default().iter();
        let kept: Arc<[Cost]> = costs.filter(|(unit, _)| keep(unit)).cloned().collect();
        self.0 = Some(kept).filter(|kept| !kept.is_empty());
    }

    /// Whether nothing was said about any unit.
    pub(crate) fn are_plain(&self) -> bool {
        self.0.is_none()
    }

    /// All that was said.
    pub(crate) fn each(&self) -> impl Iterator<Item = &Cost> {
        self.0.as_deref().unwrap_or_default().iter()
    }

    /// What was said about this unit.
    pub(crate) fn named(&self, unit: &str) -> Option<u64> {
        let costs = self.0.as_deref()?;
        let named = costs.iter().find(|(other, _)| **other == *unit);
        named.map(|(_, amount)| *amount)
    }
}

/// These units and requests, in order, for an error that says what there is.
pub(crate) fn listed<'a>(units: impl Iterator<Item = &'a str>) -> String {
    let units: BTreeSet<_> = units.chain([REQUESTS]).collect();
    units.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_is_gone_and_nothing_is_plain() {
        let mut costs = Costs::default().with("lines", 5).with("parts", 7);
        costs.retain(|unit| unit == "parts");
        assert_eq!(
            (costs.named("lines"), costs.named("parts")),
            (None, Some(7))
        );
        costs.retain(|_| false);
        assert!(costs.are_plain());
    }

    #[test]
    fn the_nearest_cost_wins_unit_by_unit() {
        let far = Costs::default().with("lines", 5).with("parts", 7);
        let near = Costs::default().with("lines", 2).with("lines", 3);
        let merged = near.over(&far);
        assert_eq!(merged.named("lines"), Some(3));
        assert_eq!(merged.named("parts"), Some(7));
        assert_eq!(merged.named(REQUESTS), None);
        assert_eq!(Costs::default().over(&merged), merged);
        assert_eq!(merged.clone().over(&Costs::default()), merged);
    }
}
