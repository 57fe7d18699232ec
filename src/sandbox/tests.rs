use super::*;
use crate::rate_limit::ResetUnit;

fn start(builder: SandboxBuilder) -> Sandbox {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.build().expect("a runtime");
    runtime.block_on(builder.start()).expect("it starts")
}

fn limited() -> SandboxBuilder {
    let window = |text: &str| text.parse().expect(text);
    Sandbox::builder()
        .window(window("1000/utc-day"))
        .window(window("120/min"))
}

#[test]
fn its_account_knows_its_urls_its_client_and_its_headers() {
    let sandbox = start(limited().client("an id", "a secret"));
    let settings = sandbox.account().settings;
    assert_eq!(settings.base_url, sandbox.url().as_str());
    assert_eq!(settings.token_url.as_deref(), Some("/v1/oauth2/token"));
    assert_eq!(settings.client_id.as_deref(), Some("an id"));
    assert_eq!(settings.client_auth, ClientAuth::Body);
    assert_eq!(settings.headers[0].0, "X-DIGIKEY-Client-Id");
    assert!(settings.grant.is_none());
    assert_eq!(sandbox.token_url().path(), "/v1/oauth2/token");
}

#[test]
fn the_windows_of_its_account_have_the_header_names_of_the_dialect() {
    let named = |dialect| {
        let sandbox = start(limited().dialect(dialect));
        let windows = sandbox.account().settings.windows;
        let named = |window: &crate::Window| {
            let limit = window.headers.limit.clone().expect("a name");
            let text = format!("{window} {limit}");
            (text, window.headers.reset_unit)
        };
        windows.iter().map(named).collect::<Vec<_>>()
    };
    let burst = ("120/min x-burstlimit-limit".to_owned(), ResetUnit::Seconds);
    let day = |unit| ("1000/utc-day x-ratelimit-limit".to_owned(), unit);
    let digikey = named(Dialect::DigiKey);
    assert_eq!(digikey, [burst.clone(), day(ResetUnit::Seconds)]);
    let source_document = named(Dialect::SourceDocument);
    assert_eq!(source_document, [burst, day(ResetUnit::UnixSeconds)]);
}

#[test]
fn with_the_refresh_grant_its_account_has_one_and_every_login_differs() {
    let sandbox = start(Sandbox::builder().refresh_grant(true));
    assert!(sandbox.account().settings.grant.is_some());
    assert_ne!(sandbox.refresh_token(), sandbox.refresh_token());
}

#[test]
fn debug_shows_no_secret() {
    let builder = limited().client("an id", "a canary");
    assert!(!format!("{builder:?}").contains("canary"));
    assert!(!format!("{:?}", start(builder)).contains("canary"));
}
