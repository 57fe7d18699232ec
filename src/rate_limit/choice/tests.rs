//! The choice beside a plain search through all quotas.

use super::*;
use proptest::prelude::*;

/// The one with the longest prefix, each compared with the path.
fn searched(quotas: &[Quota], path: &str) -> Option<usize> {
    let path = Quota::folded(path);
    let longest = |quota: &Quota| {
        let paths = quota.paths.iter().map(|prefix| Quota::folded(prefix));
        let matching = paths.filter(|prefix| path.starts_with(prefix.as_str()));
        matching.map(|prefix| prefix.len()).max()
    };
    let found = quotas.iter().enumerate();
    let found = found.filter_map(|(at, quota)| Some((longest(quota)?, at)));
    let is_default = |quota: &Quota| quota.name == Quota::DEFAULT;
    let default = || quotas.iter().position(is_default);
    found.max().map(|(_, at)| at).or_else(default)
}

/// Few letters, so that many begin alike; the last two are one beyond ASCII.
fn path() -> impl Strategy<Value = String> {
    "/[abAB/é]{0,5}"
}

fn quotas() -> impl Strategy<Value = Vec<Quota>> {
    let quota = prop::collection::vec(path(), 0..4);
    prop::collection::vec(quota, 0..30).prop_map(|quotas| {
        let named = |(number, paths): (usize, Vec<String>)| {
            let name = match number {
                3 => Quota::DEFAULT.to_owned(),
                _ => format!("q{}", number % 13),
            };
            paths.into_iter().fold(Quota::new(name), Quota::path)
        };
        quotas.into_iter().enumerate().map(named).collect()
    })
}

proptest! {
    #[test]
    fn a_quota_is_chosen_as_by_a_look_at_every_prefix_of_every_quota(
        quotas in quotas(),
        paths in prop::collection::vec(path(), 1..40),
    ) {
        let choice = Choice::new(quotas.iter());
        for path in paths {
            prop_assert_eq!(choice.by_path(&path), searched(&quotas, &path), "{}", path);
        }
    }

    #[test]
    fn a_quota_is_found_by_name_as_by_a_look_at_every_one(quotas in quotas()) {
        let choice = Choice::new(quotas.iter());
        for name in (0..15).map(|number| format!("q{number}")).chain(["default".to_owned()]) {
            let first = quotas.iter().position(|quota| quota.name == name);
            prop_assert_eq!(choice.named(&name), first, "{}", name);
        }
    }
}

#[test]
fn the_longest_prefix_is_found_behind_longer_ones_that_differ_at_their_end() {
    let paths = ["/a", "/a/b/", "/a/b/c/d/x", "/a/b/c/d/y/z", "/A/b/C/"];
    let quotas = paths.map(|path| Quota::new(path).path(path));
    let choice = Choice::new(quotas.iter());
    for (path, chosen) in [
        ("/a/b/c/d/z", Some(4)),
        ("/A/B/c", Some(1)),
        ("/ab", Some(0)),
        ("/a/b/c/d/y/zz", Some(3)),
        ("/", None),
        ("", None),
        ("/b", None),
    ] {
        assert_eq!(choice.by_path(path), chosen, "{path}");
    }
}
