//! `express-rate-limit`, in all its modes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use reqwest_tollgate::{Account, AccountBuilder, Config, Error, ErrorKind, Recovery, Window};

use crate::crawl::{Tally, WORKERS, client, crawl, parts, report};
use crate::node::Server;

const LIMIT: usize = 20;
const WINDOW: Duration = Duration::from_secs(2);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Roundings, and a busy machine.
const A_FEW_SECONDS: Duration = Duration::from_secs(5);

/// Five windows of twenty: a crawl of eight seconds, where half a minute would show no more.
const FEW_PARTS: usize = 100;

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
    let parts = parts(LIMIT, WINDOW);
    let crawls = MODES.map(|mode| keep_to_the_limit(&server, mode, parts));
    try_join_all(crawls).await.map(drop)
}

/// They allow themselves twice as much as the server does, until it says otherwise.
#[tokio::test]
async fn a_wrong_limit_costs_one_round_where_the_headers_tell_the_right_one() -> Result<()> {
    let Some(server) = rate_limiter()? else {
        return Ok(());
    };
    let telling = MODES.into_iter().filter(|mode| *mode != "none");
    let parts = parts(LIMIT, WINDOW);
    let crawls = telling.map(|mode| learn_the_limit(&server, mode, parts));
    try_join_all(crawls).await.map(drop)
}

/// Nothing is configured but the URL: what each mode tells suffices, whatever it is called.
#[tokio::test]
async fn without_a_window_all_modes_together_refuse_one_request_at_most() -> Result<()> {
    let Some(server) = rate_limiter()? else {
        return Ok(());
    };
    let modes = ["d6", "d7", "d8", "legacy", "both"];
    let crawls = modes.map(|mode| {
        let server = &server;
        async move {
            let account = Account::builder("erl", server.url()).build()?;
            let url = format!("{}/{mode}", server.url());
            let answers = crawl(&client(&account), &url, FEW_PARTS).await?;
            assert_eq!(answers, BTreeMap::from([(200, FEW_PARTS)]), "{mode}");
            let learned = account.quotas()[0].windows().len();
            assert!(learned > 0, "{mode}: no window was learned");
            anyhow::Ok(())
        }
    });
    try_join_all(crawls).await?;
    let stats = server.stats().await?;
    let refused = modes.map(|mode| stats[format!("{mode} 429")].as_u64().unwrap_or(0));
    assert!(refused.iter().sum::<u64>() <= 1, "{refused:?}");
    Ok(())
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
    keep_to_the_limit_as(&server, &account, &tally, "d6", FEW_PARTS).await
}

/// The ways in which DigiKey's documents say that the end of a pause and of the day is told.
const DIGIKEYS: [[(&str, &str); 2]; 3] = [
    [("RETRY_AFTER", "date"), ("DAY_RESET", "epoch")],
    [("RETRY_AFTER", "none"), ("DAY_RESET", "epoch")],
    [("RETRY_AFTER", "none"), ("DAY_RESET", "delta")],
];

#[tokio::test]
async fn however_digikey_tells_the_end_of_a_pause_a_wrong_limit_costs_one_round() -> Result<()> {
    let crawls = DIGIKEYS.map(|told| async move {
        let Some(server) = rate_limiter_with(&told)? else {
            return Ok(());
        };
        let learning = learn_the_limit(&server, "digikey", FEW_PARTS).await;
        learning.with_context(|| format!("{told:?}"))
    });
    try_join_all(crawls).await.map(drop)
}

/// Another program has spent the day: ours hears so once, and all know until when.
#[tokio::test]
async fn however_digikey_tells_the_end_of_a_spent_day_everybody_knows_it_at_once() -> Result<()> {
    for told in DIGIKEYS {
        let environment = [told[0], told[1], ("DAY_LIMIT", "3")];
        let Some(server) = rate_limiter_with(&environment)? else {
            return Ok(());
        };
        let url = format!("{}/digikey/P", server.url());
        for _ in 0..3 {
            reqwest::get(&url).await?.error_for_status()?;
        }
        let day_ends = SystemTime::now() + DAY;
        let tally = Tally::default();
        let account = account(&server, "digikey", "20/2s")?.window(Window::per_day(3));
        let client = client(&account.observer(tally.clone()).build()?);
        for _ in 0..5 {
            let error = client.get(&url).send().await.expect_err("spent");
            let error = Error::find(&error).context("ours")?;
            assert_eq!(error.kind(), ErrorKind::QuotaExceeded, "{told:?}");
            let Recovery::WaitUntil(time) = error.recovery() else {
                panic!("{told:?}: {error:?}")
            };
            let off = day_ends
                .duration_since(time)
                .unwrap_or_else(|late| late.duration());
            assert!(off < A_FEW_SECONDS, "{told:?}: off by {off:?}");
        }
        assert_eq!(tally.rejections().len(), 1, "{told:?}");
        let stats = server.stats().await?;
        assert_eq!(stats["digikey 429"], 1, "{told:?}: {stats}");
    }
    Ok(())
}

fn rate_limiter() -> Result<Option<Server>> {
    rate_limiter_with(&[])
}

fn rate_limiter_with(more: &[(&str, &str)]) -> Result<Option<Server>> {
    let environment = [("LIMIT", "20"), ("WINDOW_MS", "2000")];
    Server::start("erl", &[&environment, more].concat())
}

/// The modes with a day tell of it too.
fn account(server: &Server, mode: &str, burst: &str) -> Result<AccountBuilder> {
    let account = Account::builder("erl", server.url()).window(burst.parse()?);
    Ok(match mode {
        "digikey" | "d8two" => account.window(Window::per_day(1_000)),
        _ => account,
    })
}

async fn keep_to_the_limit(server: &Server, mode: &str, parts: usize) -> Result<()> {
    let tally = Tally::default();
    let account = account(server, mode, "20/2s")?
        .observer(tally.clone())
        .build()?;
    keep_to_the_limit_as(server, &account, &tally, mode, parts)
        .await
        .with_context(|| mode.to_owned())
}

/// Every part is answered, and the server refused nothing.
async fn keep_to_the_limit_as(
    server: &Server,
    account: &Account,
    tally: &Tally,
    path: &str,
    parts: usize,
) -> Result<()> {
    let url = format!("{}/{path}", server.url());
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
async fn learn_the_limit(server: &Server, mode: &str, parts: usize) -> Result<()> {
    let tally = Tally::default();
    let account = account(server, mode, "40/2s")?
        .observer(tally.clone())
        .build()?;
    let url = format!("{}/{mode}", server.url());
    let begin = Instant::now();
    let answers = crawl(&client(&account), &url, parts).await?;

    assert_eq!(answers, BTreeMap::from([(200, parts)]), "{mode}");
    let rejections = tally.rejections();
    let name = format!("{mode}, configured 40/2s");
    report(&name, parts, begin, rejections.len());
    let stats = server.stats().await?;
    let refused = stats[format!("{mode} 429")].as_u64();
    assert_eq!(refused.unwrap_or(0), rejections.len() as u64, "{mode}");
    assert!(
        rejections.len() <= WORKERS - LIMIT,
        "{mode}: {} refusals",
        rejections.len()
    );
    let windows = stats[format!("{mode} refused in")].as_u64();
    assert!(windows <= Some(1), "{mode}: refused again: {stats}");
    Ok(())
}
