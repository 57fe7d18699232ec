//! The table of the documentation, made from the presets.

use super::dummy;
use crate::account::Settings;
use crate::account::check::quotas;
use crate::auth::ClientAuth;
use crate::auth::credentials::keys::HeaderPlace;
use crate::auth::credentials::scheme::Scheme;
use crate::auth::oauth::grant::GrantKind;
use crate::distributors::*;
use crate::options::cost::REQUESTS;
use crate::{Quota, Window};

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
        "a missing subscription is a 401; four shapes of errors; a sandbox of its own",
        "D, D",
    ),
    ("disruptive", "no client, no refresh token", "D, ?"),
    (
        "element14",
        "a spent quota is a 403 of the gateway; contract prices need a signature",
        "D, D2",
    ),
    ("findchips", "client code writes `http`", "C, own"),
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
        "a spent month is a 200; parts are counted once they came; an evaluation's are for life",
        "D, D; month L",
    ),
    ("oemsecrets", "", "C, ?"),
    (
        "onlinecomponents",
        "the key is a part of the path; a sandbox of its own",
        "D, own",
    ),
    ("renesas", "", "D, ?"),
    ("rs", "", "L, ?"),
    ("rutronik", "", "D2, ?"),
    ("sager", "a spent quota is a 403 of the gateway", "C, L"),
    ("samtec", "the application's name in a header", "C, ?"),
    (
        "sourcengine",
        "limits by endpoint, told by the answers; resets are seconds since 1970",
        "D, D",
    ),
    (
        "te",
        "resets are milliseconds to go, of whichever window was looked at",
        "D, D",
    ),
    (
        "ti",
        "the whole catalog once in four hours",
        "D, D; information weak",
    ),
    ("tme_v1", "HMAC-SHA-1 of the form; ends 2027-06-30", "D, D2"),
    (
        "tme_v2",
        "403 may mean \"too fast\", and is sent again once; tokens of five minutes",
        "D2, D2",
    ),
    (
        "trusted_parts",
        "the key is in the body; limits count parts",
        "D, D",
    ),
    ("tti", "a key for each API", "C, H; lead time L"),
];

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

fn table() -> String {
    let head = "| distributor | needs | authentication | token lives | limits | quirks | confidence |\n\
                |---|---|---|---|---|---|---|\n";
    PRESETS
        .iter()
        .map(row)
        .fold(head.to_owned(), |table, row| table + &row)
}

fn row(preset: &Preset) -> String {
    let settings = dummy(preset).settings;
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
        let windows: Vec<_> = windows.iter().map(window).collect();
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

/// `100 lines/min`.
fn window(window: &Window) -> String {
    let text = window.to_string();
    match &*window.unit {
        REQUESTS => text,
        unit => text.replacen('/', &format!(" {unit}/"), 1),
    }
}
