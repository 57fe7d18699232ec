//! What holds for every preset.

#[cfg(test)]
pub(super) mod table;

use std::collections::BTreeMap;

use super::*;
use crate::account::Settings;
use crate::account::check::{quotas, urls};
use crate::config::Config;
use crate::{Quota, Window};

const CANARY: &str = "canary-4711";

/// A builder that was given a value for each of these keys.
fn told<'a>(preset: &Preset, keys: impl Iterator<Item = &'a Key>) -> AccountBuilder {
    keys.fold((preset.builder)(), |builder, key| match key.set {
        Set::Text(set) => set(builder, format!("my-{}", key.name)),
        Set::Secret(set) => set(builder, Secret::from(format!("{CANARY}-{}", key.name))),
    })
}

pub(super) fn dummy(preset: &Preset) -> AccountBuilder {
    told(preset, preset.keys.iter().filter(|key| key.required))
}

#[test]
fn presets_are_sorted_and_each_has_its_own_name() {
    let names: Vec<_> = PRESETS.iter().map(|preset| preset.name).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(names, sorted);
}

#[test]
fn every_preset_builds_and_shows_no_secret() {
    for preset in PRESETS {
        for builder in [dummy(preset), told(preset, preset.keys.iter())] {
            let account = builder.build().expect(preset.name);
            assert_eq!(account.name(), preset.name);
            let shown = format!("{account:?} {:?} {:?}", account.auth(), account.quotas());
            assert!(!shown.contains(CANARY), "{shown}");
        }
    }
}

#[test]
fn every_url_is_https() {
    for preset in PRESETS {
        let settings = dummy(preset).settings;
        let mut problems = Problems::default();
        let base = urls::base(&settings, &mut problems).expect(preset.name);
        let mut all = vec![base.clone()];
        let token = settings.token_url.as_ref();
        all.extend(token.and_then(|url| urls::token(url, Some(&base), &mut problems)));
        let login = settings.authorization_url.as_ref();
        all.extend(login.and_then(|url| urls::token(url, Some(&base), &mut problems)));
        assert!(problems.is_empty(), "{}: {problems}", preset.name);
        assert!(all.iter().all(|url| url.scheme() == "https"), "{all:?}");
        let is_bare = base.path() == "/" && base.query().is_none();
        assert!(is_bare, "{base}: paths play no part");
        let has_sandbox = settings.sandbox_url.is_some();
        assert_eq!(has_sandbox, preset.sandbox_variable.is_some());
        assert!(
            settings
                .sandbox_url
                .is_none_or(|url| url.starts_with("https://"))
        );
    }
}

#[test]
fn every_quota_is_sane() {
    for preset in PRESETS {
        let mut problems = Problems::default();
        for quota in quotas::quotas(&dummy(preset).settings, &mut problems) {
            let is_default = quota.name == Quota::DEFAULT;
            assert!(is_default || !quota.windows.is_empty(), "{}", preset.name);
            for pair in quota.windows.windows(2) {
                let rate = |window: &Window| window.limit() as f64 / window.length().as_secs_f64();
                // Else the shorter one would never be felt.
                let units_differ = pair[0].unit != pair[1].unit;
                let is_felt = units_differ || rate(&pair[0]) >= rate(&pair[1]);
                assert!(is_felt, "{}: {} {}", preset.name, pair[0], pair[1]);
            }
        }
        assert!(problems.is_empty(), "{}: {problems}", preset.name);
    }
}

#[test]
fn every_variable_is_read_and_every_missing_one_told() {
    for preset in PRESETS {
        let missing = preset.built_from(|_| None).err().expect(preset.name);
        for key in preset.keys.iter().filter(|key| key.required) {
            let line = format!(
                "{}: the environment variable is not set or empty",
                key.variables.join(" or ")
            );
            assert!(missing.to_string().contains(&line), "{missing}");
        }
        let most = preset.keys.iter().map(|key| key.variables.len()).max();
        for nth in 0..most.expect("keys") {
            let chosen = |key: &&Key| key.variables[nth.min(key.variables.len() - 1)];
            let set: BTreeMap<_, _> = preset.keys.iter().map(|key| (chosen(&key), "x")).collect();
            let read = |name: &str| set.get(name).map(|value| (*value).to_owned());
            let built = preset.built_from(read);
            assert!(built.is_ok(), "{} with {set:?}", preset.name);
        }
    }
}

fn config(preset: &Preset, keys: &[&Key]) -> Result<String, String> {
    let mut text = format!("[accounts.a]\ndistributor = {:?}\n", preset.name);
    for key in keys {
        text += &format!("{} = {CANARY:?}\n", key.name);
    }
    let config: Config = toml::from_str(&text).expect("toml");
    let accounts = config.build().map_err(|error| error.to_string())?;
    assert!(!format!("{accounts:?}").contains(CANARY));
    Ok(accounts["a"].base_url().to_string())
}

#[test]
fn a_file_names_a_distributor_and_its_keys_or_is_told_which_are_missing() {
    for preset in PRESETS {
        let all: Vec<_> = preset.keys.iter().collect();
        let url = config(preset, &all).expect(preset.name);
        assert_eq!(
            url,
            dummy(preset).build().expect("built").base_url().as_str()
        );
        let refused = config(preset, &[]).expect_err(preset.name);
        for key in preset.required() {
            let line = format!("accounts.a.{key}: is missing");
            assert!(refused.contains(&line), "{refused}");
        }
        assert!(!refused.contains(CANARY), "{refused}");
    }
}

/// A key that the file gives reaches the same places as the argument of the preset's function.
#[test]
fn a_key_of_a_file_means_to_a_distributor_what_the_argument_means() {
    let preset = PRESETS.iter().find(|preset| preset.name == "my_arrow");
    let preset = preset.expect("my_arrow");
    let from_file = told(preset, preset.keys.iter()).settings;
    let by_hand = my_arrow::account("my-client_id", "s").settings;
    assert_eq!(from_file.client_id, by_hand.client_id);
    let headers = |settings: Settings| {
        let headers = settings.token_headers.into_iter();
        let read = |(name, value): (String, Secret)| (name, value.read().expect("given"));
        headers.map(read).collect::<Vec<_>>()
    };
    let from_file = headers(from_file);
    assert_eq!(from_file, headers(by_hand));
    assert_eq!(from_file.len(), 1);
}

#[test]
fn the_readme_names_every_preset() {
    let readme = include_str!("../../../README.md");
    for preset in PRESETS {
        let name = format!("`{}`", preset.name);
        assert!(readme.contains(&name), "{name}");
    }
}
