//! The quotas of an account: the default one first, windows inherited and overridden.
//!
//! Two rules make a preset adjustable window by window:
//!
//! * A window replaces the one of the same length and unit; if it names no response headers, those
//!   of the window it replaces go on reporting on it.
//! * A quota without windows of its own has the windows of the default quota, counted for itself.

use std::collections::{HashMap, HashSet};

use super::problems::Problems;
use crate::account::Settings;
use crate::options::cost;
use crate::printable;
use crate::rate_limit::window::WindowHeaders;
use crate::rate_limit::{Quota, Window};

pub(crate) fn quotas(settings: &Settings, problems: &mut Problems) -> Vec<Quota> {
    let given = latest(&settings.quotas);
    let default = default_quota(settings, &given);
    let others = given.iter().filter(|quota| quota.name != Quota::DEFAULT);
    let others = others
        .map(|quota| inheriting(quota, &default.windows))
        .collect::<Vec<_>>();
    check(settings, &given, problems);
    let quotas: Vec<_> = std::iter::once(default).chain(others).collect();
    check_costs(settings, &quotas, problems);
    quotas
}

/// A cost in a unit that nothing counts would be without effect: most likely a slip of the pen.
fn check_costs(settings: &Settings, quotas: &[Quota], problems: &mut Problems) {
    let uncounted = (settings.cost_units.iter()).filter(|unit| !is_counted(quotas, unit));
    for unit in uncounted {
        let windows = quotas.iter().flat_map(|quota| &quota.windows);
        let counted = cost::listed(windows.map(|window| &*window.unit));
        let text = format!("no window counts this unit; expected one of {counted}");
        problems.add(format!("costs.{unit}"), text);
    }
}

/// Whether a cost in this unit can have an effect.
pub(in crate::account) fn is_counted(quotas: &[Quota], unit: &str) -> bool {
    let mut windows = quotas.iter().flat_map(|quota| &quota.windows);
    unit == cost::REQUESTS || windows.any(|window| *window.unit == *unit)
}

/// Of several quotas of one name the last one counts.
fn latest(quotas: &[Quota]) -> Vec<&Quota> {
    let mut names = HashSet::new();
    let latest = quotas.iter().rev();
    let latest = latest.filter(|quota| names.insert(&quota.name));
    let mut latest: Vec<_> = latest.collect();
    latest.reverse();
    latest
}

fn default_quota(settings: &Settings, given: &[&Quota]) -> Quota {
    let given = given.iter().find(|quota| quota.name == Quota::DEFAULT);
    let new = || Quota::new(Quota::DEFAULT);
    let mut default = given.map_or_else(new, |&given| given.clone());
    for window in &settings.windows {
        replace(&mut default, window.clone());
    }
    default
}

fn inheriting(quota: &Quota, windows: &[Window]) -> Quota {
    let mut quota = quota.clone();
    if quota.windows.is_empty() {
        quota.windows = windows.to_vec();
    }
    quota
}

fn replace(quota: &mut Quota, mut window: Window) {
    let replaced = quota.windows.iter().find(|old| old.is_alike(&window));
    if let Some(old) = replaced.filter(|_| window.headers == WindowHeaders::default()) {
        window.headers = old.headers.clone();
    }
    quota.set_window(window);
}

/// A quota as it takes the place of the one of its name, or stands beside the known ones.
pub(crate) fn changed(quota: Quota, known: &[&Quota]) -> Result<Quota, Problems> {
    let mut problems = Problems::default();
    check_quota(&quota, &mut problems);
    let mut owners = Owners::default();
    for other in known.iter().filter(|other| other.name != quota.name) {
        check_paths(other, &mut owners, &mut Problems::default());
    }
    check_paths(&quota, &mut owners, &mut problems);
    let of_name = |name: &str| known.iter().find(|other| other.name == name);
    let mut changed = of_name(&quota.name).map_or_else(
        || Quota::new(quota.name.clone()),
        |&replaced| replaced.clone(),
    );
    changed.paths = quota.paths;
    let default = of_name(Quota::DEFAULT).filter(|_| quota.name != Quota::DEFAULT);
    let windows = match default {
        Some(default) if quota.windows.is_empty() => default.windows.clone(),
        _ => quota.windows,
    };
    let wanted = windows.clone();
    for window in windows {
        replace(&mut changed, window);
    }
    let is_wanted = |window: &Window| wanted.iter().any(|other| other.is_alike(window));
    changed.windows.retain(is_wanted);
    problems.into_result(changed)
}

fn check(settings: &Settings, quotas: &[&Quota], problems: &mut Problems) {
    check_windows("windows", &settings.windows, problems);
    let mut owners = Owners::default();
    for quota in quotas {
        check_quota(quota, problems);
        check_paths(quota, &mut owners, problems);
    }
    check_default_option(settings, problems);
}

fn check_quota(quota: &Quota, problems: &mut Problems) {
    if quota.name.trim().is_empty() {
        problems.add("quotas", "found a quota without a name");
    }
    if let Some(flaw) = printable::flaw_of_name(&quota.name) {
        problems.add("quotas", format!("found {flaw} in the name of a quota"));
    }
    for path in quota.paths.iter().filter(|path| !path.starts_with('/')) {
        let text = format!("found {path:?}; expected the beginning of a path, with its slash");
        problems.add(format!("quotas.{}.paths", quota.name), text);
    }
    let field = format!("quotas.{}.windows", quota.name);
    check_windows(&field, &quota.windows, problems);
}

fn check_windows(field: &str, windows: &[Window], problems: &mut Problems) {
    for window in windows {
        for problem in &window.problems {
            problems.add(field, format!("{window}: {problem}"));
        }
    }
}

/// Each path, folded, with the name of the first quota that has it.
type Owners<'a> = HashMap<String, &'a str>;

/// Which quota a request belongs to must not depend on the order of the setters.
fn check_paths<'a>(quota: &'a Quota, owners: &mut Owners<'a>, problems: &mut Problems) {
    for path in &quota.paths {
        let owner = *owners.entry(Quota::folded(path)).or_insert(&quota.name);
        if owner != quota.name {
            let text = format!("{path:?} is a path of the quota {owner:?} too");
            problems.add(format!("quotas.{}.paths", quota.name), text);
        }
    }
}

fn check_default_option(settings: &Settings, problems: &mut Problems) {
    let Some(name) = settings.options.quota.as_deref() else {
        return;
    };
    if name != Quota::DEFAULT && settings.quotas.iter().all(|quota| quota.name != name) {
        problems.add("options", format!("there is no quota {name:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Account;
    use proptest::prelude::*;

    fn built(builder: crate::AccountBuilder) -> Vec<(String, Vec<String>)> {
        let mut problems = Problems::default();
        let quotas = quotas(&builder.settings, &mut problems);
        assert!(problems.is_empty(), "{problems}");
        let windows = |quota: &Quota| quota.windows.iter().map(Window::to_string).collect();
        quotas
            .iter()
            .map(|quota| (quota.name.clone(), windows(quota)))
            .collect()
    }

    fn named(name: &str, windows: &[&str]) -> (String, Vec<String>) {
        (
            name.into(),
            windows.iter().map(|&text| text.into()).collect(),
        )
    }

    fn account() -> crate::AccountBuilder {
        Account::builder("acme", "https://api.acme.example")
    }

    #[test]
    fn a_quota_without_windows_has_those_of_the_account() {
        let builder = account()
            .quota(Quota::new("search").path("/search/"))
            .quota(
                Quota::new("orders")
                    .path("/orders/")
                    .window(Window::per_minute(10)),
            )
            .window(Window::per_minute(120))
            .window(Window::per_utc_day(1000))
            .window(Window::per_minute(60));
        assert_eq!(
            built(builder),
            [
                named("default", &["60/min", "1000/utc-day"]),
                named("search", &["60/min", "1000/utc-day"]),
                named("orders", &["10/min"]),
            ]
        );
    }

    #[test]
    fn a_quota_named_default_replaces_the_windows_so_far_and_takes_those_to_come() {
        let builder = account()
            .window(Window::per_minute(120))
            .window(Window::per_utc_day(1000))
            .quota(Quota::new("default").window(Window::per_hour(7)))
            .window(Window::per_second(2));
        assert_eq!(built(builder), [named("default", &["2/s", "7/h"])]);
    }

    fn problems_of(builder: crate::AccountBuilder) -> String {
        let mut problems = Problems::default();
        quotas(&builder.settings, &mut problems);
        problems.to_string()
    }

    #[test]
    fn one_path_in_two_letter_cases_belongs_to_one_quota() {
        let builder = account()
            .quota(Quota::new("a").path("/quoting/v4/"))
            .quota(Quota::new("b").path("/Quoting/v4/"));
        let found = problems_of(builder);
        assert!(
            found.contains("is a path of the quota \"a\" too"),
            "{found}"
        );
    }

    #[test]
    fn a_default_cost_in_a_unit_that_no_window_counts_names_those_that_one_does() {
        let costs = crate::RequestOptions::new()
            .cost("line", 5)
            .cost("parts", 1);
        let builder = account()
            .window(Window::per_minute(100).unit("lines"))
            .quota(Quota::new("q").window(Window::per_day(9).unit("parts")))
            .options(costs.cost("requests", 2));
        let found = problems_of(builder);
        assert_eq!(
            found,
            "costs.line: no window counts this unit; expected one of lines, parts, requests"
        );
    }

    /// What a comparison of each quota with all before it finds, of those that are left when each
    /// has replaced the one of its name.
    fn compared(given: &[Quota]) -> Vec<String> {
        let mut left: Vec<Quota> = Vec::new();
        for quota in given {
            left.retain(|other| other.name != quota.name);
            left.push(quota.clone());
        }
        let mut found = Vec::new();
        for (at, quota) in left.iter().enumerate() {
            for path in &quota.paths {
                let has = |other: &&Quota| {
                    let mut paths = other.paths.iter();
                    paths.any(|other| other.eq_ignore_ascii_case(path))
                };
                if let Some(Quota { name, .. }) = left[..at].iter().find(has) {
                    let field = format!("quotas.{}.paths", quota.name);
                    found.push(format!(
                        "{field}: {path:?} is a path of the quota {name:?} too"
                    ));
                }
            }
        }
        found
    }

    fn named_with_paths() -> impl Strategy<Value = (String, Vec<String>)> {
        ("[a-f]", prop::collection::vec("/[abA]{1,2}", 0..4))
    }

    proptest! {
        #[test]
        fn paths_of_two_quotas_are_found_as_by_a_comparison_of_each_with_each(
            given in prop::collection::vec(named_with_paths(), 0..9),
        ) {
            let quota = |(name, paths): (String, Vec<String>)| {
                paths.into_iter().fold(Quota::new(name), Quota::path)
            };
            let given: Vec<_> = given.into_iter().map(quota).collect();
            let builder = given.iter().cloned().fold(account(), crate::AccountBuilder::quota);
            let mut problems = Problems::default();
            quotas(&builder.settings, &mut problems);
            let problems = problems.to_string();
            let found = problems.lines().filter(|line| line.contains(" is a path of "));
            prop_assert_eq!(found.collect::<Vec<_>>(), compared(&given));
        }
    }

    #[test]
    fn a_changed_quota_takes_no_path_of_another_in_whatever_letter_case() {
        let [one, two] = ["one", "two"].map(|name| Quota::new(name).path(format!("/{name}/")));
        let changed = |path: &str| changed(Quota::new("two").path(path), &[&one, &two]);
        assert!(changed("/Two/").is_ok(), "its own");
        let problems = changed("/ONE/").unwrap_err().to_string();
        let expected = "quotas.two.paths: \"/ONE/\" is a path of the quota \"one\" too";
        assert_eq!(problems, expected);
    }

    #[test]
    fn of_ten_thousand_quotas_each_is_built_once_and_has_its_paths() {
        let quota = |number: u32| Quota::new(format!("q{number}")).path(format!("/{number}/"));
        let twice = (0..10_000).chain(0..10_000).map(quota);
        let builder = twice.fold(account(), crate::AccountBuilder::quota);
        let mut problems = Problems::default();
        let built = quotas(&builder.settings, &mut problems);
        assert!(problems.is_empty(), "{problems}");
        assert_eq!(built.len(), 10_001);
        assert_eq!(built[10_000].paths, ["/9999/"]);
    }

    #[test]
    fn a_window_that_names_no_headers_keeps_those_of_the_window_it_replaces() {
        let builder = account()
            .window(Window::per_utc_day(1000).remaining_header("x-left"))
            .window(Window::per_utc_day(5000));
        let quotas = quotas(&builder.settings, &mut Problems::default());
        assert_eq!(
            quotas[0].windows,
            [Window::per_utc_day(5000).remaining_header("x-left")]
        );

        let builder = builder.window(Window::per_day(9).limit_header("x-limit"));
        let quotas = super::quotas(&builder.settings, &mut Problems::default());
        assert_eq!(
            quotas[0].windows,
            [Window::per_day(9).limit_header("x-limit")]
        );
    }
}
