//! What holds for every preset, and the table of the documentation.

use std::collections::BTreeMap;

use super::*;
use crate::account::{Settings, quotas, urls};
use crate::auth::ClientAuth;
use crate::auth::grant::GrantKind;
use crate::auth::keys::HeaderPlace;
use crate::auth::scheme::Scheme;
use crate::config::Config;
use crate::{Quota, Window};

const CANARY: &str = "canary-4711";

/// What no preset knows of itself: quirks, and confidence (authentication, limits).
const NOTES: &[(&str, &str, &str)] = &[
    (
        "arrow_itemservice",
        "every answer is a 200; the docs show `http`; caching is forbidden; a list has the keys in `req`",
        "D, own",
    ),
    (
        "avnet",
        "the key goes on the token request too; a spent quota shows in the body alone",
        "D2, D2",
    ),
    ("buerklin", "limits by address, not by customer", "C, D2"),
    ("conrad", "", "C, ?"),
    (
        "digikey",
        "a missing subscription is a 401; two shapes of errors; a sandbox of its own",
        "D, D",
    ),
    ("disruptive", "no client, no refresh token", "D, ?"),
    (
        "element14",
        "a spent quota is a 403 of the gateway; contract prices need a signature",
        "D, D2",
    ),
    ("future", "406: the key has expired", "D2, ?"),
    (
        "jlcpcb",
        "HMAC-SHA-256 in `Authorization`, over the body too",
        "D, own",
    ),
    (
        "lcsc",
        "SHA-1 in the query; an error may be a 200",
        "D2, own",
    ),
    (
        "masterelectronics",
        "the key is a part of the path",
        "C, own",
    ),
    (
        "mouser",
        "a spent quota is a 403, a bad key may be a 200; Search and Order have a key each",
        "D2, D2",
    ),
    (
        "my_arrow",
        "the id is a header of the token request too",
        "C, own",
    ),
    (
        "nexar",
        "a spent month is a 200; parts are counted once they came",
        "D, D; month L",
    ),
    ("oemsecrets", "", "C, ?"),
    ("renesas", "", "D, ?"),
    ("rs", "", "L, ?"),
    ("rutronik", "", "D2, ?"),
    ("sager", "a spent quota is a 403 of the gateway", "C, own"),
    ("samtec", "the application's name in a header", "C, ?"),
    (
        "sourcengine",
        "resets are seconds since 1970",
        "D, D; length own",
    ),
    ("te", "resets are milliseconds to go", "D, D"),
    ("ti", "the whole catalog once in four hours", "D, D"),
    ("tme_v1", "HMAC-SHA-1 of the form; ends 2027-06-30", "D, D2"),
    (
        "tme_v2",
        "403 may mean \"too fast\"; tokens of five minutes",
        "D2, D2",
    ),
    (
        "trusted_parts",
        "the key is in the body; limits count parts",
        "D, D",
    ),
    ("tti", "a key for each API", "C, H"),
];

/// A builder that was given a value for each of these keys.
fn told<'a>(preset: &Preset, keys: impl Iterator<Item = &'a Key>) -> AccountBuilder {
    keys.fold((preset.builder)(), |builder, key| match key.set {
        Set::Text(set) => set(builder, format!("my-{}", key.name)),
        Set::Secret(set) => set(builder, Secret::from(format!("{CANARY}-{}", key.name))),
    })
}

fn dummy(preset: &Preset) -> AccountBuilder {
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
                let units_differ = unit(&pair[0]) != unit(&pair[1]);
                let is_felt = units_differ || rate(&pair[0]) >= rate(&pair[1]);
                assert!(is_felt, "{}: {} {}", preset.name, pair[0], pair[1]);
            }
        }
        assert!(problems.is_empty(), "{}: {problems}", preset.name);
    }
}

fn unit(window: &Window) -> Option<String> {
    let text = window.to_string();
    let unit = text.split('/').next()?.split_once(' ')?.1;
    Some(unit.to_owned())
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
    assert_eq!(from_file.token_headers.len(), 1);
    assert_eq!(by_hand.token_headers.len(), 1);
}

#[test]
fn the_table_of_the_documentation_is_that_of_the_presets() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/distributors/table.md");
    let table = table();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &table).expect("written");
    }
    let written = std::fs::read_to_string(path).expect("table.md");
    assert_eq!(written, table, "run this test with UPDATE=1");
}

#[test]
fn the_readme_names_every_preset() {
    let readme = include_str!("../../README.md");
    for preset in PRESETS {
        let name = format!("`{}`", preset.name);
        assert!(readme.contains(&name), "{name}");
    }
}

fn table() -> String {
    let head = "| distributor | needs | authentication | token lives | limits | quirks | confidence |\n\
                |---|---|---|---|---|---|---|\n";
    PRESETS
        .iter()
        .map(row)
        .fold(head.to_owned(), |table, row| table + &row)
}

fn row(preset: &Preset) -> String {
    let settings = told(preset, preset.keys.iter().filter(|key| key.required)).settings;
    let notes = NOTES.iter().find(|(name, ..)| *name == preset.name);
    let (name, quirks, confidence) = notes.expect(preset.name);
    let needs: Vec<_> = preset.required().map(code).collect();
    let cells = [
        format!("[`{name}`]"),
        needs.join(", "),
        authentication(&settings),
        lifetime(&settings),
        limits(&settings),
        (*quirks).to_owned(),
        (*confidence).to_owned(),
    ];
    format!("| {} |\n", cells.join(" | "))
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn authentication(settings: &Settings) -> String {
    let mut parts = Vec::new();
    parts.extend(settings.token_url.as_ref().map(|_| oauth(settings)));
    parts.extend(settings.authorization.as_ref().map(|place| match place {
        HeaderPlace::Basic { .. } => "Basic".to_owned(),
        _ => "static bearer".to_owned(),
    }));
    let headers = settings.headers.iter().map(|(name, _)| name);
    let headers: Vec<_> = settings.client_id_headers.iter().chain(headers).collect();
    parts.extend(headers.iter().map(|name| format!("header `{name}`")));
    parts.extend(
        settings
            .query
            .iter()
            .map(|(name, _)| format!("query `{name}`")),
    );
    let scheme = settings.scheme.as_ref().map(Scheme::read);
    let signature = scheme.and_then(|signature| signature.ok()?.signer);
    parts.extend(signature.map(|_| "signer".to_owned()));
    parts.join(" + ")
}

fn oauth(settings: &Settings) -> String {
    let grant = match settings.grant.as_ref().map(|grant| &grant.0) {
        Some(GrantKind::Password { .. }) => "password",
        Some(GrantKind::JwtBearer(_)) => return "JWT bearer".to_owned(),
        _ => "client credentials",
    };
    let how = match settings.client_auth {
        ClientAuth::Body => "in the form",
        _ => "by Basic",
    };
    let scope = settings.scope.as_ref().map_or("", |_| ", with a scope");
    format!("{grant} {how}{scope}")
}

fn lifetime(settings: &Settings) -> String {
    let lifetime = settings.fallback_lifetime;
    lifetime.map_or(String::new(), |span| format!("{} s", span.as_secs()))
}

fn limits(settings: &Settings) -> String {
    let quotas = quotas::quotas(settings, &mut Problems::default());
    let windows = |windows: &[Window]| {
        let windows: Vec<_> = windows.iter().map(Window::to_string).collect();
        windows.join(", ")
    };
    let default = &quotas[0].windows;
    let parts = quotas.iter().map(|quota| match quota.name.as_str() {
        Quota::DEFAULT => windows(default),
        name if quota.windows == *default => format!("{name} as many"),
        name => format!("{name} {}", windows(&quota.windows)),
    });
    let tokens = Some(windows(&settings.token_windows)).filter(|text| !text.is_empty());
    let tokens = tokens.map(|text| format!("tokens {text}"));
    parts.chain(tokens).collect::<Vec<_>>().join("; ")
}
