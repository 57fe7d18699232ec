//! Crawls of servers that we did not write: a certified authorization server (`oidc-provider`) and
//! the rate limiter that most Node services use (`express-rate-limit`).

#[path = "../../examples/login/listener.rs"]
mod listener;
mod login;
mod node;
#[path = "../../examples/login/page.rs"]
mod page;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use reqwest_tollgate::{Account, AccountBuilder, ClientAuth, Config, Event, Observer, Window};
use tokio::task::JoinSet;

use crate::node::Server;

const WORKERS: usize = 32;

/// Twelve seconds, at fifty requests a second: more than two lifetimes of a token.
const PARTS_OF_TWO_RENEWALS: usize = 600;

/// Five windows of twenty.
const PARTS_OF_FIVE_WINDOWS: usize = 100;

#[tokio::test]
async fn a_crawl_outlives_the_tokens_of_oidc_provider_by_basic_authentication() -> Result<()> {
    outlive_tokens("cc-basic", ClientAuth::Basic).await
}

#[tokio::test]
async fn a_crawl_outlives_the_tokens_of_oidc_provider_by_credentials_in_the_body() -> Result<()> {
    outlive_tokens("cc-post", ClientAuth::Body).await
}

#[tokio::test]
async fn express_rate_limit_never_refuses_a_crawl_that_knows_its_limit() -> Result<()> {
    let Some(server) = rate_limiter()? else {
        return Ok(());
    };
    let account = Account::builder("erl", server.url()).window("20/2s".parse()?);
    keep_to_the_limit(&server, account, "legacy").await
}

#[tokio::test]
async fn express_rate_limit_with_the_headers_of_digikey_never_refuses_a_crawl() -> Result<()> {
    let Some(server) = rate_limiter()? else {
        return Ok(());
    };
    let account = Account::builder("erl", server.url())
        .window("20/2s".parse()?)
        .window(Window::per_day(1_000));
    keep_to_the_limit(&server, account, "digikey").await
}

#[tokio::test]
async fn header_names_of_the_configuration_are_read_from_express_rate_limit() -> Result<()> {
    let Some(server) = rate_limiter()? else {
        return Ok(());
    };
    let file = format!(
        r#"
        [accounts.erl]
        base_url = "{}"

        [[accounts.erl.windows]]
        rate = "20/2s"
        limit_header = "RateLimit-Limit"
        remaining_header = "RateLimit-Remaining"
        reset_header = "RateLimit-Reset"
        "#,
        server.url()
    );
    let tally = Tally::default();
    let config: Config = toml::from_str(&file)?;
    let mut accounts = config.observer(tally.clone()).build()?;
    let account = accounts.remove("erl").context("the account")?;
    keep_to_the_limit_as(&server, &account, &tally, "d6").await
}

fn rate_limiter() -> Result<Option<Server>> {
    Server::start("erl", &[("LIMIT", "20"), ("WINDOW_MS", "2000")])
}

/// Every part is answered, no request refused, and each renewal took one token request.
async fn outlive_tokens(client_id: &str, how: ClientAuth) -> Result<()> {
    let Some(server) = Server::start("oidc", &[("TOKEN_TTL", "5")])? else {
        return Ok(());
    };
    let tally = Tally::default();
    let account = Account::builder("oidc", server.url())
        .token_url("token")
        .client_id(client_id)
        .client_secret("cc-secret")
        .client_auth(how)
        .scope("api")
        .window("25/500ms".parse()?)
        .observer(tally.clone())
        .build()?;

    let url = format!("{}/api/parts", server.url());
    let answers = crawl(&client(&account), &url, PARTS_OF_TWO_RENEWALS).await?;

    assert_eq!(answers, BTreeMap::from([(200, PARTS_OF_TWO_RENEWALS)]));
    let stats = server.stats().await?;
    assert_eq!(stats["api_refused"], 0, "{stats}");
    assert_eq!(stats["api_answered"], PARTS_OF_TWO_RENEWALS, "{stats}");
    let renewals = tally.0.renewals.load(Ordering::Relaxed);
    assert!(
        renewals >= 3,
        "the first token and two renewals: {renewals}"
    );
    assert_eq!(tally.0.token_requests.load(Ordering::Relaxed), renewals);
    assert_eq!(stats["tokens"], renewals, "{stats}");
    assert_eq!(stats["token_errors"], 0, "{stats}");
    Ok(())
}

async fn keep_to_the_limit(server: &Server, account: AccountBuilder, path: &str) -> Result<()> {
    let tally = Tally::default();
    let account = account.observer(tally.clone()).build()?;
    keep_to_the_limit_as(server, &account, &tally, path).await
}

/// Every part is answered, and the server refused nothing.
async fn keep_to_the_limit_as(
    server: &Server,
    account: &Account,
    tally: &Tally,
    path: &str,
) -> Result<()> {
    let url = format!("{}/{path}", server.url());
    let answers = crawl(&client(account), &url, PARTS_OF_FIVE_WINDOWS).await?;

    assert_eq!(answers, BTreeMap::from([(200, PARTS_OF_FIVE_WINDOWS)]));
    let stats = server.stats().await?;
    assert_eq!(
        stats[format!("{path} 200")],
        PARTS_OF_FIVE_WINDOWS,
        "{stats}"
    );
    assert_eq!(
        stats[format!("{path} 429")],
        serde_json::Value::Null,
        "{stats}"
    );
    assert_eq!(tally.0.rejections.load(Ordering::Relaxed), 0);
    Ok(())
}

fn client(account: &Account) -> ClientWithMiddleware {
    account
        .attach(ClientBuilder::new(reqwest::Client::new()))
        .build()
}

/// Asks about that many parts, by [`WORKERS`] at once; the answers by status.
async fn crawl(
    client: &ClientWithMiddleware,
    url: &str,
    parts: usize,
) -> Result<BTreeMap<u16, usize>> {
    let taken = Arc::new(AtomicUsize::new(0));
    let answers = Arc::new(Mutex::new(BTreeMap::new()));
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let (client, url) = (client.clone(), url.to_owned());
        let (taken, answers) = (taken.clone(), answers.clone());
        workers.spawn(async move {
            loop {
                let part = taken.fetch_add(1, Ordering::Relaxed);
                if part >= parts {
                    return anyhow::Ok(());
                }
                let response = client.get(format!("{url}/P{part}")).send().await?;
                let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                *answers.entry(response.status().as_u16()).or_default() += 1;
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    let answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(answers.clone())
}

/// Counts what an account does.
#[derive(Clone, Default)]
struct Tally(Arc<Counts>);

#[derive(Default)]
struct Counts {
    token_requests: AtomicU64,
    renewals: AtomicU64,
    rejections: AtomicU64,
}

impl Observer for Tally {
    fn on_event(&self, _account: &str, event: &Event) {
        let count = match event {
            Event::TokenRequested { .. } => &self.0.token_requests,
            Event::TokenRenewed { .. } => &self.0.renewals,
            Event::QuotaRejected { .. } => &self.0.rejections,
            _ => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}
