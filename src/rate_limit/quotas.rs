//! The quotas of an account as they are now.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;

use super::choice::Choice;
use super::quota_line::QuotaLine;

/// All of them, and the choice between them.
struct Lines {
    all: Vec<Arc<QuotaLine>>,
    choice: Choice,
    /// What their windows count.
    units: BTreeSet<Arc<str>>,
}

impl Lines {
    fn new(all: Vec<Arc<QuotaLine>>) -> Self {
        let choice = Choice::new(all.iter().map(|line| line.quota()));
        let windows = all.iter().flat_map(|line| &line.quota().windows);
        let units = windows.map(|window| window.unit.clone()).collect();
        Self { all, choice, units }
    }
}

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
    pub(super) fn new(configured: Vec<Arc<QuotaLine>>) -> Self {
        let changed = OnceLock::new();
        Self {
            configured: Lines::new(configured),
            changed,
        }
    }

    /// What `look` finds in them.
    pub(super) fn with<T>(&self, look: impl FnOnce(&[Arc<QuotaLine>]) -> T) -> T {
        match self.changed.get() {
            None => look(&self.configured.all),
            Some(changed) => look(&changed.load().all),
        }
    }

    /// Whether it is the unit of one of their windows, now or as they were configured.
    pub(super) fn have_unit(&self, mut is_it: impl FnMut(&str) -> bool) -> bool {
        let mut any = |lines: &Lines| lines.units.iter().any(|unit| is_it(unit));
        any(&self.configured) || self.changed.get().is_some_and(|lines| any(&lines.load()))
    }

    /// The quota of this name.
    pub(super) fn named(&self, name: &str) -> Option<Chosen> {
        self.choose(|choice| choice.named(name))
    }

    /// The quota with the longest prefix of this path.
    pub(super) fn by_path(&self, path: &str) -> Option<Chosen> {
        self.choose(|choice| choice.by_path(path))
    }

    fn choose(&self, choose: impl FnOnce(&Choice) -> Option<usize>) -> Option<Chosen> {
        match self.changed.get() {
            None => choose(&self.configured.choice).map(Chosen::Configured),
            Some(changed) => {
                let lines = changed.load();
                let line = lines.all.get(choose(&lines.choice)?)?;
                Some(Chosen::Changed(line.clone()))
            }
        }
    }

    /// The quota that was chosen here.
    pub(super) fn line<'a>(&'a self, chosen: &'a Chosen) -> &'a QuotaLine {
        match chosen {
            Chosen::Configured(at) => &self.configured.all[*at],
            Chosen::Changed(line) => line,
        }
    }

    /// These are they from now on. Who replaces them by what they are sees to it that nobody else
    /// does so meanwhile.
    pub(super) fn replace(&self, lines: Vec<Arc<QuotaLine>>) {
        let lines = Arc::new(Lines::new(lines));
        let changed = self.changed.get_or_init(|| ArcSwap::new(lines.clone()));
        changed.store(lines);
    }
}
