//! Which quota a request belongs to: the one of a name, or the one with the longest prefix of its
//! path.
//!
//! Both are found by halving, however many quotas there are.
//!
//! Pure.

use std::cmp::Ordering;

use super::quota::Quota;

/// The quotas of an account by their places.
pub(super) struct Choice {
    /// In order.
    names: Vec<(Box<str>, usize)>,
    /// In order.
    prefixes: Vec<Prefix>,
    /// What takes any path.
    default: Option<usize>,
}

struct Prefix {
    /// As it is compared ([`Quota::folded`]).
    text: Box<str>,
    quota: usize,
    /// The longest other prefix that this one begins with.
    shorter: Option<usize>,
}

impl Choice {
    pub(super) fn new<'a>(quotas: impl Iterator<Item = &'a Quota>) -> Self {
        let mut names = Vec::new();
        let mut prefixes = Vec::new();
        for (place, quota) in quotas.enumerate() {
            names.push((quota.name.as_str().into(), place));
            prefixes.extend(quota.paths.iter().map(|path| Prefix {
                text: Quota::folded(path).into(),
                quota: place,
                shorter: None,
            }));
        }
        names.sort();
        names.dedup_by(|later, first| later.0 == first.0);
        prefixes.sort_by(|one, other| one.text.cmp(&other.text));
        link(&mut prefixes);
        let mut choice = Self {
            names,
            prefixes,
            default: None,
        };
        choice.default = choice.named(Quota::DEFAULT);
        choice
    }

    pub(super) fn named(&self, name: &str) -> Option<usize> {
        let at = self
            .names
            .binary_search_by(|(other, _)| (**other).cmp(name));
        at.ok().map(|at| self.names[at].1)
    }

    /// The quota with the longest prefix that the path begins with, else the default one.
    pub(super) fn by_path(&self, path: &str) -> Option<usize> {
        // All prefixes of the path are the last one that is not after it, or what that begins with.
        let is_not_after = |prefix: &Prefix| compare(&prefix.text, path).is_le();
        let last = self.prefixes.partition_point(is_not_after).checked_sub(1);
        let mut next = last.map(|at| &self.prefixes[at]);
        let common = next.map_or(0, |prefix| common(&prefix.text, path));
        while let Some(prefix) = next.filter(|prefix| prefix.text.len() > common) {
            next = prefix.shorter.map(|at| &self.prefixes[at]);
        }
        next.map(|prefix| prefix.quota).or(self.default)
    }
}

/// Tells each prefix, in order, which other it begins with.
fn link(prefixes: &mut [Prefix]) {
    for at in 1..prefixes.len() {
        let (before, rest) = prefixes.split_at_mut(at);
        let mut shorter = Some(at - 1);
        while let Some(other) = shorter.filter(|at| !rest[0].text.starts_with(&*before[*at].text)) {
            shorter = before[other].shorter;
        }
        rest[0].shorter = shorter;
    }
}

/// The order of a prefix and a path, which is folded as it is read.
fn compare(prefix: &str, path: &str) -> Ordering {
    prefix.bytes().cmp(folded(path))
}

/// In how many bytes they begin alike.
fn common(prefix: &str, path: &str) -> usize {
    let both = prefix.bytes().zip(folded(path));
    both.take_while(|(one, other)| one == other).count()
}

/// As [`Quota::folded`].
fn folded(path: &str) -> impl Iterator<Item = u8> {
    path.bytes().map(|byte| byte.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
