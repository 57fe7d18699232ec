//! The quotas of an account as they are now.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;

use super::quota_line::QuotaLine;

type Lines = Vec<Arc<QuotaLine>>;

/// As they were configured, until one is changed at run time. Few accounts ever do that, and every
/// request would pay for the look at what may be replaced at any moment.
pub(super) struct Quotas {
    configured: Lines,
    changed: OnceLock<ArcSwap<Lines>>,
}

/// One of them, as a request keeps it. Mostly that is a place in a list that lives as long as the
/// limiter: another count of who holds the quota, which all cores would write, is not needed.
#[derive(Clone)]
pub(super) enum Chosen {
    Configured(usize),
    Changed(Arc<QuotaLine>),
}

impl Quotas {
    pub(super) fn new(configured: Lines) -> Self {
        let changed = OnceLock::new();
        Self {
            configured,
            changed,
        }
    }

    /// What `look` finds in them.
    pub(super) fn with<T>(&self, look: impl FnOnce(&[Arc<QuotaLine>]) -> T) -> T {
        match self.changed.get() {
            None => look(&self.configured),
            Some(changed) => look(&changed.load()),
        }
    }

    /// Whether it is the unit of one of their windows, now or as they were configured.
    pub(super) fn have_unit(&self, mut is_it: impl FnMut(&str) -> bool) -> bool {
        let mut any = |lines: &[Arc<QuotaLine>]| {
            let mut windows = lines.iter().flat_map(|line| &line.quota().windows);
            windows.any(|window| is_it(&window.unit))
        };
        any(&self.configured) || self.with(any)
    }

    /// The quota that `choose` chooses, by its place.
    pub(super) fn choose(
        &self,
        choose: impl FnOnce(&[Arc<QuotaLine>]) -> Option<usize>,
    ) -> Option<Chosen> {
        match self.changed.get() {
            None => choose(&self.configured).map(Chosen::Configured),
            Some(changed) => {
                let lines = changed.load();
                let line = lines.get(choose(&lines)?)?;
                Some(Chosen::Changed(line.clone()))
            }
        }
    }

    /// The quota that was chosen here.
    pub(super) fn line<'a>(&'a self, chosen: &'a Chosen) -> &'a QuotaLine {
        match chosen {
            Chosen::Configured(at) => &self.configured[*at],
            Chosen::Changed(line) => line,
        }
    }

    /// These are they from now on. Who replaces them by what they are sees to it that nobody else
    /// does so meanwhile.
    pub(super) fn replace(&self, lines: Lines) {
        let lines = Arc::new(lines);
        let changed = self.changed.get_or_init(|| ArcSwap::new(lines.clone()));
        changed.store(lines);
    }
}
