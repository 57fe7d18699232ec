//! `express-rate-limit`, in all its modes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use reqwest_tollgate::{Account, AccountBuilder, Config, Window};

use crate::crawl::{Tally, WORKERS, client, crawl, parts, report};
use crate::node::Server;

const LIMIT: usize = 20;
const WINDOW: Duration = Duration::from_secs(2);

/// Five windows of twenty.
const PARTS: usize = 100;

const MODES: [&str; 8] = [
    "d6", "d7", "d8", "d8two", "both", "none", "legacy", "digikey",
];

/// No names of headers are configured: each mode has its own. All at the same time, since each path
/// has a counter of its own.
#[tokio::test]
async fn express_rate_limit_never_refuses_a_crawl_that_knows_its_limit() -> Result<()> {
    let Some(server) = rate_limiter()? else {
        return Ok(());
    };
    let crawls = MODES.map(|mode| keep_to_the_limit(&server, mode));
    try_join_all(crawls).await.map(drop)
}

/// They allow themselves twice as much as the server does, until it says otherwise.
#[tokio::test]
async fn a_wrong_limit_costs_one_round_where_the_headers_tell_the_right_one() -> Result<()> {
    let Some(server) = rate_limiter()? else {
        return Ok(());
    };
    let telling = MODES.into_iter().filter(|mode| *mode != "none");
    let crawls = telling.map(|mode| learn_the_limit(&server, mode));
    try_join_all(crawls).await.map(drop)
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

/// The modes with a day tell of it too.
fn account(server: &Server, mode: &str, burst: &str) -> Result<AccountBuilder> {
    let account = Account::builder("erl", server.url()).window(burst.parse()?);
    Ok(match mode {
        "digikey" | "d8two" => account.window(Window::per_day(1_000)),
        _ => account,
    })
}

async fn keep_to_the_limit(server: &Server, mode: &str) -> Result<()> {
    let tally = Tally::default();
    let account = account(server, mode, "20/2s")?
        .observer(tally.clone())
        .build()?;
    keep_to_the_limit_as(server, &account, &tally, mode)
        .await
        .with_context(|| mode.to_owned())
}

/// Every part is answered, and the server refused nothing.
async fn keep_to_the_limit_as(
    server: &Server,
    account: &Account,
    tally: &Tally,
    path: &str,
) -> Result<()> {
    let url = format!("{}/{path}", server.url());
    let parts = parts(PARTS, LIMIT, WINDOW);
    let begin = Instant::now();
    let answers = crawl(&client(account), &url, parts).await?;
    report(path, parts, begin, tally.rejections().len());

    assert_eq!(answers, BTreeMap::from([(200, parts)]));
    let stats = server.stats().await?;
    assert_eq!(stats[format!("{path} 200")], parts, "{stats}");
    assert_eq!(
        stats[format!("{path} 429")],
        serde_json::Value::Null,
        "{stats}"
    );
    assert!(tally.rejections().is_empty());
    Ok(())
}

/// Every part is answered; what was refused had left before the first refusal came back.
async fn learn_the_limit(server: &Server, mode: &str) -> Result<()> {
    let tally = Tally::default();
    let account = account(server, mode, "40/2s")?
        .observer(tally.clone())
        .build()?;
    let url = format!("{}/{mode}", server.url());
    let parts = parts(PARTS, LIMIT, WINDOW);
    let begin = Instant::now();
    let answers = crawl(&client(&account), &url, parts).await?;

    assert_eq!(answers, BTreeMap::from([(200, parts)]), "{mode}");
    let rejections = tally.rejections();
    let name = format!("{mode}, configured 40/2s");
    report(&name, parts, begin, rejections.len());
    let refused = server.stats().await?[format!("{mode} 429")].as_u64();
    assert_eq!(refused.unwrap_or(0), rejections.len() as u64, "{mode}");
    assert!(
        rejections.len() <= WORKERS - LIMIT,
        "{mode}: {} refusals",
        rejections.len()
    );
    let late = rejections.iter().filter(|at| **at - begin > WINDOW).count();
    assert_eq!(late, 0, "{mode}: refusals after the first window");
    Ok(())
}
