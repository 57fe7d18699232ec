//! Accounts from a configuration file, here in TOML.

#![allow(clippy::expect_used)] // The lint spares tests, but not what they share.

mod common;

use std::collections::BTreeMap;
use std::path::PathBuf;

use common::{Stub, answer, client};
use reqwest_tollgate::{Account, Config, Error, ErrorKind, MemoryStore, Recovery, Secret, Window};

const CANARY: &str = "canary-4711";

/// A variable that `cargo test` sets, and its value.
const VARIABLE: &str = "CARGO_PKG_NAME";
const VALUE: &str = env!("CARGO_PKG_NAME");

fn config(toml: &str) -> Config {
    toml::from_str(toml).expect(toml)
}

fn built(toml: &str) -> BTreeMap<String, Account> {
    config(toml)
        .build()
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The lines of the error, which must show no canary.
fn refused(toml: &str) -> Vec<String> {
    let error = config(toml).build().expect_err("it should be refused");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(error.recovery(), Recovery::Reconfigure);
    assert!(!format!("{error}{error:?}").contains(CANARY), "{error:?}");
    error.to_string().lines().map(str::to_owned).collect()
}

/// The only line of the error about an account `a` with these keys.
fn only_problem(keys: &str) -> String {
    let lines = refused(&format!("[accounts.a]\n{keys}"));
    assert_eq!(lines.len(), 1, "{lines:#?}");
    lines[0].clone()
}

fn scratch_file(name: &str, content: &str) -> PathBuf {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content).expect("a scratch file");
    path
}

#[test]
fn five_accounts_in_a_file() {
    let secret = scratch_file("five-accounts", &format!("{CANARY}\n"));
    let toml = format!(
        r#"
        token_store = "memory"

        [accounts.digikey]
        distributor = "digikey"
        client_id = {{ env = "{VARIABLE}" }}
        client_secret = {{ file = '{secret}' }}
        grant = "authorization_code"
        redirect_uri = "https://localhost:8139/digikey_callback"
        authorization_url = "v1/oauth2/authorize?prompt=login"
        issuer = "https://login.digikey.example"
        revocation_url = "v1/oauth2/revoke"

        [accounts.digikey-sandbox]
        distributor = "digikey"
        environment = "sandbox"
        client_id = "id"
        client_secret = {{ env = "{VARIABLE}" }}
        windows = ["60/min", "25000/utc-day"]
        quotas = [{{ name = "ordering", paths = ["/Ordering/v3/"], windows = ["5/min"] }}]

        [accounts.rotating]
        base_url = "https://api.rotating.example"
        token_url = "oauth/token"
        client_id = "id"
        grant = "refresh_token"
        refresh_token = {{ file = '{secret}' }}
        refresh_lead = "30s"
        fallback_lifetime = "10min"
        scope = "read"
        token_headers = {{ X-Tenant = "t" }}
        token_fields = {{ audience = "https://api.rotating.example" }}

        [accounts.keyed]
        base_url = "https://api.keyed.example"
        headers = {{ X-Api-Key = {{ env = "{VARIABLE}" }} }}
        origins = ["https://eu.keyed.example", "https://us.keyed.example:8443"]
        windows = ["30/min", "5000/utc-day"]
        max_replays = 0
        max_in_flight = 8
        max_queue = 1000
        max_wait = "0s"
        timeout = "90s"
        unanswered_after = "2min"
        rejection_statuses = [403]
        not_the_token = ["no subscription"]
        replay_unauthorized = false
        request_id_header = "X-Request-Id"

        [accounts.acme]
        base_url = "https://api.acme.example"
        token_url = "https://login.acme.example/oauth/token"
        client_id = "my-client-id"
        client_secret = {{ file = '{secret}' }}
        client_auth = "basic"
        headers = {{ X-Acme-Client = "my-client-id" }}
        windows = [
            "10/s",
            {{ rate = "5000/day", remaining_header = "X-Acme-Left", reset_header = "X-Acme-Day-Ends", pacing = "spread", reserve = 100 }},
        ]
        "#,
        secret = secret.display(),
    );
    let accounts = built(&toml);
    let names: Vec<_> = accounts.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["acme", "digikey", "digikey-sandbox", "keyed", "rotating"]
    );
    for (name, account) in &accounts {
        assert_eq!(account.name(), name);
    }
    let url = |name: &str| accounts[name].base_url().as_str().to_owned();
    assert_eq!(url("digikey"), "https://api.digikey.com/");
    assert_eq!(url("digikey-sandbox"), "https://sandbox-api.digikey.com/");
}

#[test]
fn a_typo_in_a_key_is_named_with_its_path_and_the_key_that_was_meant() {
    let lines = refused(&format!(
        r#"
        token_stoer = "memory"
        [accounts.digikey]
        distributor = "digikey"
        client_id = "id"
        clent_secret = "{CANARY}"
        client_secret = "{CANARY}"
        windows = [{{ rate = "1/s", remaining_heade = "X" }}]
        quotas = [{{ name = "q", path = ["/x"] }}]
        colour = "red"
        "#
    ));
    assert_eq!(lines[0], "5 problems in the configuration:");
    for expected in [
        "token_stoer: unknown key, did you mean token_store?",
        "accounts.digikey.clent_secret: unknown key, did you mean client_secret?",
        "accounts.digikey.windows[0].remaining_heade: unknown key, did you mean remaining_header?",
        "accounts.digikey.quotas[0].path: unknown key, did you mean paths?",
    ] {
        assert!(
            lines.iter().any(|line| line == expected),
            "{expected}\n{lines:#?}"
        );
    }
    let colour = "accounts.digikey.colour: unknown key, expected one of distributor, ";
    assert!(
        lines.iter().any(|line| line.starts_with(colour)),
        "{lines:#?}"
    );
}

#[test]
fn every_bad_value_of_every_account_is_listed() {
    let lines = refused(&format!(
        r#"
        [accounts.one]
        base_url = "http://api.one.example"
        token_url = "http://login.one.example/token"
        client_id = 7
        client_secret = ["{CANARY}"]
        client_auth = "digest"
        windows = ["120/fortnight", "5/s", 7]
        max_queue = -1
        max_wait = 30
        priority = "urgent"
        rejection_statuses = [200, 9999]

        [accounts.two]
        base_url = {{ env = "TOLLGATE_NO_SUCH_VARIABLE" }}
        headers = {{ X-Key = {{ file = "no/such/file" }}, X-Other = {{ env = "A", file = "B" }} }}
        origins = "https://a.example"
        replay_unauthorized = "no"
        timeout = "soon"
        priority = 1
        "#
    ));
    let expected = [
        "19 problems in the configuration:",
        "accounts.one.client_id: found an integer; expected a string, {",
        "accounts.one.client_secret: found a list; expected a string, {",
        "accounts.one.client_auth: found \"digest\"; expected \"basic\" or \"basic-raw\" or \"body\"",
        "accounts.one.rejection_statuses[1]: found 9999; expected a status",
        "accounts.one.windows[0]: found \"120/fortnight\"; expected LIMIT/LENGTH",
        "accounts.one.windows[2]: found an integer; expected LIMIT/LENGTH",
        "accounts.one.max_queue: found -1, which is out of range",
        "accounts.one.priority: found \"urgent\"; expected \"low\" or \"normal\" or \"high\"",
        "accounts.two.priority: found an integer; expected \"low\" or \"normal\" or \"high\"",
        "accounts.one.max_wait: found an integer; expected a span of time such as",
        "accounts.one.rejection_statuses: found 200; expected a status of 400 to 499",
        "accounts.one.base_url: found \"http://api.one.example\": credentials would travel over plain",
        "accounts.one.token_url: found \"http://login.one.example/token\": credentials would travel",
        "accounts.two.base_url: environment variable TOLLGATE_NO_SUCH_VARIABLE is not set",
        "accounts.two.origins: found a string; expected a list",
        "accounts.two.headers.X-Other: found a table; expected a string, { env = ",
        "accounts.two.replay_unauthorized: found a string; expected true or false",
        "accounts.two.timeout: found \"soon\"; expected a span of time such as",
        "accounts.two.headers.X-Key: cannot read no/such/file: ",
    ];
    for expected in expected {
        assert!(
            lines.iter().any(|line| line.starts_with(expected)),
            "{expected}\n{lines:#?}"
        );
    }
}

#[test]
fn a_day_that_ends_at_another_midnight_replaces_the_presets() {
    let accounts = built(
        "[accounts.a]\ndistributor = \"digikey\"\nclient_id = \"i\"\nclient_secret = \"s\"\n\
         windows = [\"2000/day-06:00\", { rate = \"9000/month+05:30\", reserve = 7 }]",
    );
    let quotas = accounts["a"].quotas();
    let default = quotas.iter().find(|quota| quota.quota() == "default");
    let windows = default.expect("it always is").windows();
    let limits: Vec<_> = windows.iter().map(|window| window.limit).collect();
    assert_eq!(limits, [120, 2000, 9000]);
}

#[test]
fn an_offset_that_no_clock_has_is_refused_with_one_that_may_be() {
    for rate in ["9/day+15:00", "9/month+5", "9/month", "9/day+05:75"] {
        let expected = "\"1000/utc-day\" or \"1000/day-06:00\" (up to 14:00)";
        let problem = only_problem(&format!(
            "base_url = \"https://a.example\"\nwindows = [{rate:?}]"
        ));
        let begin = format!("accounts.a.windows[0]: found {rate:?}; expected LIMIT/LENGTH");
        assert!(problem.starts_with(&begin), "{problem}");
        assert!(problem.ends_with(expected), "{problem}");
    }
}

#[test]
fn what_a_distributor_or_a_grant_needs_is_told() {
    let lines = refused("[accounts.a]\ndistributor = \"digikey\"");
    assert_eq!(
        lines[1..],
        [
            "accounts.a.client_id: is missing",
            "accounts.a.client_secret: is missing"
        ]
    );
    let unknown = only_problem("distributor = \"digikee\"\nclient_id = \"x\"");
    let begin = "accounts.a.distributor: found \"digikee\"; expected \"arrow_itemservice\" or ";
    assert!(unknown.starts_with(begin), "{unknown}");
    assert!(unknown.contains(" or \"digikey\" or "), "{unknown}");
    assert_eq!(only_problem(""), "accounts.a.base_url: is missing");

    let acme = "base_url = \"https://a.example\"\ntoken_url = \"t\"\nclient_id = \"id\"\n\
                token_store = \"memory\"\n";
    let refresh = only_problem(&format!("{acme}grant = \"refresh_token\""));
    assert_eq!(
        refresh,
        "accounts.a.refresh_token: is missing; grant = \"refresh_token\" needs it"
    );
    let code = only_problem(&format!("{acme}grant = \"authorization_code\""));
    assert_eq!(
        code,
        "accounts.a.redirect_uri: is missing; grant = \"authorization_code\" needs it"
    );
    let unused = only_problem(&format!("{acme}refresh_token = \"{CANARY}\""));
    assert_eq!(
        unused,
        "accounts.a.refresh_token: is set, but only grant = \"refresh_token\" uses it"
    );
}

#[test]
fn a_service_account_and_a_password_are_read_and_what_they_lack_is_told() {
    let acme = "base_url = \"https://a.example\"\ntoken_url = \"t\"\n";
    let assertion = "grant = \"jwt_bearer\"\nassertion = { algorithm = \"HS256\", key = \"k\", \
                     issuer = \"me\", key_id = \"1\", subject = \"you\", audience = \"them\", \
                     lifetime = \"30min\" }";
    built(&format!("[accounts.a]\n{acme}{assertion}"));
    let password = "client_id = \"id\"\ngrant = \"password\"\nuser = \"anne\"\n";
    built(&format!("[accounts.a]\n{acme}{password}password = \"p\""));
    assert_eq!(
        only_problem(&format!("{acme}{password}")),
        "accounts.a.password: is missing; grant = \"password\" needs it"
    );
    let lines = refused(&format!(
        "[accounts.a]\n{acme}grant = \"jwt_bearer\"\n\
         assertion = {{ algorithm = \"none\", key = \"{CANARY}\", kid = \"1\" }}"
    ));
    let expected = [
        "accounts.a.assertion.issuer: is missing",
        "accounts.a.assertion.algorithm: found \"none\"; expected \"HS256\" or",
        "accounts.a.assertion.kid: unknown key, ",
    ];
    for expected in expected {
        assert!(
            lines.iter().any(|line| line.starts_with(expected)),
            "{lines:?}"
        );
    }
    let weak = format!(
        "{acme}grant = \"jwt_bearer\"\nassertion = {{ algorithm = \"RS256\", \
                        key = \"{CANARY}\", issuer = \"me\" }}"
    );
    assert_eq!(
        only_problem(&weak),
        "accounts.a.assertion.key: is no RSA private key in PEM (PKCS #8 or PKCS #1)"
    );
}

const ROTATING: &str = r#"
    base_url = "https://a.example"
    token_url = "t"
    client_id = "id"
    grant = "refresh_token"
    refresh_token = "r"
"#;

#[test]
fn a_token_store_is_the_accounts_own_or_the_files_or_the_programs() {
    let account = format!("[accounts.a]\n{ROTATING}");
    let missing = refused(&account);
    assert!(
        missing[0].starts_with("accounts.a.token_store: is missing; "),
        "{missing:?}"
    );
    built(&format!("{account}\ntoken_store = \"memory\""));
    built(&format!("token_store = \"memory\"\n{account}"));
    assert!(
        config(&account)
            .token_store(MemoryStore::new())
            .build()
            .is_ok()
    );
}

#[test]
fn a_token_store_may_be_a_folder_which_build_makes() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("config-made");
    let path = folder.display();
    let store = format!("token_store = {{ directory = '{path}' }}");
    let file = scratch_file("a-directory", &format!("{path}\n"));
    let reference = format!(
        "token_store = {{ directory = {{ file = '{}' }} }}",
        file.display()
    );
    for toml in [
        format!("[accounts.a]\n{ROTATING}\n{store}"),
        format!("{store}\n[accounts.a]\n{ROTATING}"),
        format!("{reference}\n[accounts.a]\n{ROTATING}"),
    ] {
        let _ = std::fs::remove_dir_all(&folder);
        built(&toml);
        assert!(folder.exists(), "{toml}");
    }
}

#[test]
fn a_token_store_that_is_none_is_told_with_what_could_be() {
    let expected = "expected \"memory\" or { directory = \"/path\" }";
    for (value, found) in [
        ("\"redis\"", "found \"redis\"; "),
        ("7", "found an integer; "),
        ("{ directory = \"\" }", "directory: found \"\"; "),
        (
            "{ directory = \"d\", mode = 1 }",
            "found \"mode\" beside directory; ",
        ),
    ] {
        let error = only_problem(&format!("{ROTATING}\ntoken_store = {value}"));
        assert_eq!(error, format!("accounts.a.token_store: {found}{expected}"));
    }
    let key = format!("token_store = {{ directory = \"d\", key = {{ env = \"{VARIABLE}\" }} }}");
    let error = only_problem(&format!("{ROTATING}\n{key}"));
    let beginning = "accounts.a.token_store: ";
    let words = match cfg!(feature = "encryption") {
        true => "the key: found other text; expected 32 bytes in base64",
        false => "key: only a build with the feature encryption",
    };
    assert!(
        error.starts_with(beginning) && error.contains(words),
        "{error}"
    );
    let error = only_problem(&format!("{ROTATING}\ntoken_store = {{ directory = 7 }}"));
    let beginning = "accounts.a.token_store: directory: found an integer; expected a string";
    assert!(error.starts_with(beginning), "{error}");
}

#[test]
fn any_string_may_be_a_reference() {
    let file = scratch_file("a-reference", "https://from.file.example/\n");
    let accounts = built(&format!(
        r#"
        [accounts.a]
        base_url = {{ file = '{}' }}
        token_url = {{ env = "{VARIABLE}" }}
        client_id = {{ env = "{VARIABLE}" }}
        scope = {{ env = "{VARIABLE}" }}
        origins = [{{ file = '{}' }}]
        "#,
        file.display(),
        file.display(),
    ));
    assert_eq!(
        accounts["a"].base_url().as_str(),
        "https://from.file.example/"
    );
}

/// The store may have the successors of what is gone.
#[tokio::test]
async fn a_refresh_token_kept_elsewhere_is_read_where_the_store_has_none() {
    let missing_file = scratch_file("a-missing-token", "");
    for reference in [
        "{ env = \"TOLLGATE_NO_SUCH_VARIABLE\" }".to_owned(),
        format!("{{ file = '{}' }}", missing_file.display()),
    ] {
        let account = |store: &str| {
            format!(
                r#"
                [accounts.a]
                base_url = "https://a.example"
                token_url = "oauth/token"
                client_id = "id"
                grant = "refresh_token"
                refresh_token = {reference}
                {store}
                "#
            )
        };
        let account_of_store = built(&account("token_store = \"memory\""))["a"].clone();
        let error = account_of_store.warm_up().await.expect_err("there is none");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(error.recovery(), Recovery::Reconfigure);
        let text = error.to_string();
        let is_named = [
            "TOLLGATE_NO_SUCH_VARIABLE is not set",
            "a-missing-token is empty",
        ]
        .iter()
        .any(|place| text.contains(place));
        assert!(is_named, "{text}");
        let lines = refused(&account(""));
        let is_told = |line: &String| line.starts_with("accounts.a.refresh_token: ");
        assert!(lines.iter().any(is_told), "{lines:#?}");
    }
}

#[test]
fn a_refresh_token_in_the_file_itself_is_checked_at_once() {
    let line = only_problem(
        r#"
        base_url = "https://a.example"
        token_url = "oauth/token"
        client_id = "id"
        grant = "refresh_token"
        refresh_token = " "
        token_store = "memory"
        "#,
    );
    assert_eq!(line, "accounts.a.refresh_token: is empty");
}

#[test]
fn the_value_of_a_reference_is_not_shown_when_it_is_a_bad_one() {
    let line = only_problem(&format!(
        "base_url = \"https://a.example\"\nwindows = [{{ env = \"{VARIABLE}\" }}]"
    ));
    assert!(
        line.contains("found the value that it refers to; expected LIMIT/LENGTH"),
        "{line}"
    );
    assert!(!line.contains(VALUE), "{line}");
}

#[test]
fn a_configuration_shows_no_secret() {
    let config = config(&format!(
        "[accounts.a]\nbase_url = \"https://a.example\"\nheaders = {{ X-Key = \"{CANARY}\" }}"
    ));
    assert!(!format!("{config:?}").contains(CANARY));
    let accounts = config.build().expect("builds");
    assert!(!format!("{accounts:?}").contains(CANARY));
}

#[test]
fn an_account_may_live_on_loopback_and_its_token_url_moves_along() {
    let digikey = "distributor = \"digikey\"\nclient_id = \"id\"\nclient_secret = \"s\"";
    let accounts = built(&format!(
        "[accounts.a]\n{digikey}\nbase_url = \"http://127.0.0.1:1\""
    ));
    assert_eq!(accounts["a"].base_url().as_str(), "http://127.0.0.1:1/");
    // The token URL is relative, so over plain http both fail or none.
    let lines = refused(&format!(
        "[accounts.a]\n{digikey}\nbase_url = \"http://a.example\""
    ));
    assert_eq!(lines.len(), 1, "{lines:#?}");
}

#[test]
fn values_that_no_key_has_are_told_and_do_not_panic() {
    for value in [
        "1979-05-27T07:32:00Z",
        "1.5",
        "inf",
        "nan",
        "true",
        "[[]]",
        "{ a = { b = [] } }",
    ] {
        let lines = refused(&format!("[accounts.a]\nbase_url = {value}"));
        assert!(lines[0].contains("expected a string"), "{lines:#?}");
        let lines = refused(&format!("accounts = {value}"));
        assert!(lines.iter().all(|line| !line.is_empty()), "{lines:#?}");
    }
    assert_eq!(
        refused(""),
        ["accounts: is missing; expected tables [accounts.NAME]"]
    );
    let list: Config = serde_json::from_str("[null]").expect("any tree is taken");
    let error = list.build().expect_err("not a table").to_string();
    assert_eq!(error, "configuration: found a list; expected a table");
}

#[test]
fn two_quotas_of_one_name_are_one_too_many() {
    let line = only_problem(
        "base_url = \"https://a.example\"\n\
         quotas = [{ name = \"q\", paths = [\"/a\"] }, { name = \"q\", paths = [\"/b\"] }]",
    );
    assert_eq!(
        line,
        "accounts.a.quotas[1].name: found \"q\", the name of an earlier quota"
    );
}

#[test]
fn secrets_and_windows_are_read_alone_too() {
    #[derive(serde::Deserialize)]
    struct Own {
        key: Secret,
        literal: Secret,
        limit: Window,
        day: Window,
    }
    let own: Own = toml::from_str(
        "key = { env = \"KEY\" }\nliteral = \"x\"\nlimit = \"120/min\"\n\
         day = { rate = \"5/day\", remaining_header = \"X-Left\" }",
    )
    .expect("reads");
    assert_eq!(format!("{:?}", own.key), "Secret(env KEY)");
    assert_eq!(format!("{:?}", own.literal), "Secret(***)");
    assert_eq!(own.limit, Window::per_minute(120));
    assert_eq!(own.day, Window::per_day(5).remaining_header("X-Left"));

    let error = toml::from_str::<BTreeMap<String, Secret>>("key = 5").expect_err("no string");
    assert!(
        error
            .to_string()
            .contains("found an integer; expected a string"),
        "{error}"
    );
    let error = toml::from_str::<BTreeMap<String, Window>>("w = { rate = \"x\" }").expect_err("x");
    assert!(
        error
            .to_string()
            .contains("rate: found \"x\"; expected LIMIT/LENGTH"),
        "{error}"
    );
}

#[test]
fn a_pacing_that_there_is_not_and_a_reserve_of_everything_are_refused() {
    let account = |window: &str| {
        let url = "base_url = \"https://a.example\"";
        refused(&format!("[accounts.a]\n{url}\nwindows = [{{ {window} }}]")).join("\n")
    };
    let pacing = account("rate = \"5/s\", pacing = \"slow\"");
    assert!(
        pacing.contains("windows[0].pacing") && pacing.contains("spread"),
        "{pacing}"
    );
    let reserve = account("rate = \"5/s\", reserve = 5");
    assert!(
        reserve.contains("leaves nothing of a limit of 5"),
        "{reserve}"
    );
}

#[tokio::test(start_paused = true)]
async fn keys_and_rules_are_read_from_a_file() {
    let accounts = built(&format!(
        r#"
        [accounts.a]
        base_url = "https://a.example"
        windows = ["9/s", "1000/day"]
        query = {{ apiKey = {{ env = "{VARIABLE}" }} }}
        basic = {{ user = "me", password = "{CANARY}" }}
        rules = [
            {{ status = 403, body = ["too many", "per day"], verdict = "quota-spent" }},
            {{ status = 403, headers = {{ X-Code = "over_qps" }}, verdict = "rate-exceeded" }},
        ]

        [accounts.b]
        base_url = "https://b.example"
        bearer = {{ env = "{VARIABLE}" }}
        "#
    ));
    assert!(!format!("{accounts:?}").contains(CANARY));

    let spent = answer(403).body("Too many calls per day");
    let fast = answer(403).header("x-code", "over_qps");
    let stub = Stub::answering([fast, spent]);
    let request = client(&accounts["a"], &stub).get("https://a.example/part");
    let error = request.send().await.expect_err("the second answer");
    let error = Error::find(&error).expect("ours");
    assert_eq!(error.kind(), ErrorKind::QuotaExceeded, "{error}");
    assert_eq!(stub.arrivals(), [0, 1], "the first was too fast");
    let seen = stub.seen();
    let query = format!("apiKey={VALUE}");
    assert_eq!(seen[0].query.as_deref(), Some(&*query));
    // `me:canary-4711`.
    let basic = "Basic bWU6Y2FuYXJ5LTQ3MTE=";
    assert_eq!(seen[0].headers["authorization"], basic);
    let request = client(&accounts["b"], &stub).get("https://b.example/part");
    request.send().await.expect("an answer");
    let bearer = format!("Bearer {VALUE}");
    assert_eq!(stub.seen()[2].headers["authorization"], &*bearer);
}

#[test]
fn a_wrong_key_or_rule_is_told_with_its_place() {
    let lines = refused(
        r#"
        [accounts.a]
        base_url = "https://a.example"
        query = { apiKey = { env = "TOLLGATE_NO_SUCH_VARIABLE" } }
        basic = { user = "a:b" }
        rules = [
            { status = 403, verdict = "whatever" },
            { verdict = "fine" },
            { status = 200, verdict = "quota-spent" },
            { status = 403, bodi = [], verdict = "fine" },
        ]

        [accounts.b]
        base_url = "https://b.example"
        basic = { user = "a:b", password = "p" }
        rules = [{ status = 200, verdict = "quota-spent" }]
        "#,
    );
    let expected = [
        "accounts.a.basic.password: is missing",
        "accounts.a.query.apiKey: environment variable TOLLGATE_NO_SUCH_VARIABLE is not set",
        "accounts.a.rules[0].verdict: found \"whatever\"; expected \"fine\" or",
        "accounts.a.rules[1].status: is missing",
        "accounts.a.rules[3].bodi: unknown key, did you mean body?",
        "accounts.b.basic: found a colon in the user's name, which ends it (RFC 7617)",
        "accounts.b.rules[0]: found status 200 alone; a rule for a success needs a header or a",
    ];
    for expected in expected {
        assert!(
            lines.iter().any(|line| line.starts_with(expected)),
            "{expected}\n{lines:#?}"
        );
    }
}

/// The literal secrets that are told of an account with these keys.
fn literals(keys: &str) -> Vec<String> {
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let observed = told.clone();
    config(&format!("[accounts.a]\n{keys}"))
        .observer(move |account: &str, event: &reqwest_tollgate::Event| {
            assert!(!format!("{event:?}").contains(CANARY), "{event:?}");
            if let reqwest_tollgate::Event::LiteralSecret { key } = event {
                let mut told = observed.lock().expect("not poisoned");
                told.push(format!("{account}.{key}"));
            }
        })
        .build()
        .unwrap_or_else(|error| panic!("{error}"));
    let told = told.lock().expect("not poisoned");
    told.clone()
}

#[test]
fn a_secret_in_the_file_itself_is_told_by_its_key_and_never_by_its_value() {
    let keys = r#"
        base_url = "https://a.example"
        token_url = "/token"
        client_id = "me"
        client_secret = "canary-4711"
        headers = { X-Api-Key = "canary-4711", X-Shop = "DE" }
        query = { apikey = "canary-4711", format = "json" }
        token_fields = { audience = "x" }
    "#;
    let expected = ["a.client_secret", "a.headers.X-Api-Key", "a.query.apikey"];
    assert_eq!(literals(keys), expected);
    let basic =
        "base_url = \"https://a.example\"\nbasic = { user = \"me\", password = \"canary-4711\" }";
    assert_eq!(literals(basic), ["a.basic.password"]);
    let mouser = "distributor = \"mouser\"\napi_key = \"canary-4711\"";
    assert_eq!(literals(mouser), ["a.api_key"]);
}

#[test]
fn a_secret_kept_elsewhere_is_not_told() {
    let keys = format!(
        "base_url = \"https://a.example\"\nbearer = {{ env = \"{VARIABLE}\" }}\n\
         headers = {{ X-Api-Key = {{ env = \"{VARIABLE}\" }} }}"
    );
    assert_eq!(literals(&keys), [""; 0]);
}

#[test]
fn one_account_of_a_file_is_built_without_a_look_at_the_others() {
    let file = "[accounts.a]\nbase_url = \"https://a.example\"\n\
                [accounts.b]\nbearer = { env = \"NO_SUCH_VARIABLE_AT_ALL\" }\nnonsense = 1";
    assert_eq!(config(file).names(), ["a", "b"]);
    let accounts = config(file).only("a").build().expect("a alone is right");
    assert_eq!(accounts.keys().collect::<Vec<_>>(), ["a"]);
    let error = config(file).only("c").build().expect_err("no such account");
    assert_eq!(error.to_string(), "accounts: there is no \"c\", only: a, b");
}

#[test]
fn a_rule_of_a_file_can_ask_for_a_headers_whole_value_and_name_a_suspicion() {
    let of = |rule: &str| {
        let text = format!("[accounts.a]\nbase_url = \"https://a.example\"\nrules = [{rule}]");
        let config: Config = toml::from_str(&text).unwrap();
        config.build().map(drop).map_err(|error| error.to_string())
    };
    let good = r#"{ status = 403, header_is = { X-Left = "0" }, verdict = "rate-suspected" }"#;
    of(good).unwrap();
    let wrong = of(r#"{ status = 403, header_is = { X-Left = 0 }, verdict = "fine" }"#);
    let wrong = wrong.unwrap_err();
    assert!(
        wrong.contains("accounts.a.rules[0].header_is.X-Left"),
        "{wrong}"
    );
}
