//! Asks an API about a long list of parts: the main job of this crate.
//!
//! ```text
//! cargo run --release --example crawl                       # a sandbox in this process
//! cargo run --release --example crawl -- --plot crawl.svg   # ... and a picture of the crawl
//! cargo run --release --example crawl -- --config tollgate.toml --out answers.jsonl
//! ```
//!
//! What it takes to keep tokens fresh and quotas whole is in [`client`]; all the rest is a crawl.

#[cfg(test)]
mod accounts;
mod cli;
mod output;
mod parts;
mod plot;
mod source;
mod summary;
#[path = "../login/syntax.rs"]
mod syntax;
mod tally;
mod template;
mod utilisation;
mod worker;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use reqwest_retry::RetryTransientMiddleware;
use reqwest_retry::policies::ExponentialBackoff;
use reqwest_tollgate::{
    Account, Clock as _, RequestOptions, RetryStrategy, SystemClock, http_client_builder,
};

use crate::cli::Cli;
use crate::output::{Answered, Output};
use crate::plot::{Allowance, Picture};
use crate::source::Source;
use crate::summary::{Summary, Verdict};
use crate::tally::{Counts, Tally};
use crate::template::Template;
use crate::worker::Crawl;

/// A client that waits for its turn, carries a fresh token, and tries again what failed in passing.
///
/// Waiting for a turn may take minutes, and reqwest's timeout does not run meanwhile: it bounds
/// the time on the wire. Its redirects stay within an origin, as the account's keys do.
fn client(account: &Account) -> Result<ClientWithMiddleware> {
    let policy = ExponentialBackoff::builder().build_with_max_retries(3);
    let strategy = RetryStrategy::default();
    let retry = RetryTransientMiddleware::new_with_policy_and_strategy(policy, strategy);

    let pool = http_client_builder()
        .timeout(Duration::from_secs(30))
        .build()?;
    Ok(account.attach(ClientBuilder::new(pool).with(retry)).build())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse(), &mut io::stdout()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "crawl: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether every part was answered.
async fn run(cli: Cli, out: &mut impl io::Write) -> Result<bool> {
    let tally = Tally::start();
    let parts = parts::cycle(parts::read(cli.parts.as_deref())?, cli.requests);
    let source = Source::open(&cli, tally.clone()).await?;
    let template = template(&cli, &source)?;
    if let Some(path) = &cli.plot {
        plot::check(path)?; // Now, not after an hour.
    }
    let (output, answered) = output(&cli)?;

    let requested = parts.len();
    let open = answered.leaves(parts);
    let skipped = requested - open.len();

    let crawl = Crawl {
        client: client(&bounded(&source.account, cli.deadline))?,
        method: cli.method(),
        template,
        output,
    };
    let ended = worker::crawl(crawl, open, cli.workers).await;
    // Whatever came of it: a refresh token that is not stored is lost with the process.
    let flushed = source.account.flush().await;
    let outcomes = ended?;

    let summary = Summary {
        skipped,
        outcomes,
        counts: tally.counts(),
        elapsed: tally.elapsed(),
        verdict: verdict(&source),
    };
    report(&cli, &source, &summary, out)?;
    flushed.context("the end of the crawl is not stored")?;
    Ok(summary.outcomes.failed() == 0)
}

/// The account whose requests give up at the deadline, if there is one.
fn bounded(account: &Account, deadline: Option<Duration>) -> Account {
    match deadline {
        Some(span) => {
            let deadline = SystemClock.now().wall + span;
            account.with_options(RequestOptions::new().deadline(deadline))
        }
        None => account.clone(),
    }
}

fn template(cli: &Cli, source: &Source) -> Result<Template> {
    let base = source.account.base_url();
    let body = cli.body.as_deref();
    let body = body.map(|text| (cli.content_type.as_str(), text));
    let template = Template::new(base, &cli.url, body)?;
    if source.sandbox.is_some() && template.url("PART")?.origin() != base.origin() {
        // The sandbox's account would let it pass without credentials and without a limit.
        anyhow::bail!("--url leads to another host: that takes an account, by --config");
    }
    if template.ignores_the_part() {
        let text = "crawl: neither --url nor --body has {part}: all requests are the same";
        writeln!(io::stderr(), "{text}")?;
    }
    Ok(template)
}

fn output(cli: &Cli) -> Result<(Option<Output>, Answered)> {
    match &cli.out {
        Some(path) => {
            let (output, answered) = Output::open(path)?;
            Ok((Some(output), answered))
        }
        None => Ok((None, Answered::default())),
    }
}

fn verdict(source: &Source) -> Option<Verdict> {
    let sandbox = source.sandbox.as_ref()?;
    Some(Verdict {
        rejected_429: sandbox.counters().rejected_429,
        utilisation: utilisation::of_tightest(&sandbox.accepted_at(), &source.windows),
    })
}

/// What the limiter took for allowed: the shortest window of the quota that was used most.
fn allowance(account: &Account, counts: &Counts) -> Option<Allowance> {
    let busiest = counts.busiest_quota()?;
    let quotas = account.quotas();
    let quota = quotas.iter().find(|quota| quota.quota() == busiest)?;
    quota.windows().iter().find_map(|window| {
        let limit = window.limit;
        let window = window.length?;
        Some(Allowance { limit, window })
    })
}

fn report(cli: &Cli, source: &Source, summary: &Summary, out: &mut impl io::Write) -> Result<()> {
    writeln!(out, "{summary}")?;
    let drawn = draw(cli, source, summary);
    if cli.json {
        writeln!(out, "{}", summary.to_json())?;
    }
    drawn // A picture that fails does not take the numbers along.
}

fn draw(cli: &Cli, source: &Source, summary: &Summary) -> Result<()> {
    match &cli.plot {
        Some(path) => Picture::new(summary, allowance(&source.account, &summary.counts)).draw(path),
        None => Ok(()),
    }
}
