//! Asks an API about a long list of parts: the main job of this crate.
//!
//! ```text
//! cargo run --release --example crawl                       # a sandbox in this process
//! cargo run --release --example crawl -- --plot crawl.png   # ... and a picture of the crawl
//! cargo run --release --example crawl -- --config tollgate.toml --parts bom.csv --column MPN \
//!     --out prices.csv --fields price=/Product/UnitPrice    # what people want of it
//! cargo run --release --example crawl -- --help             # all of it, and the exit codes
//! ```
//!
//! It ends in order on Ctrl-C, and goes on where it was by the same command; it stops by itself
//! where going on is useless, and says why.
//!
//! What it takes to keep tokens fresh and quotas whole is in [`client`]; all the rest is a crawl.

#[cfg(test)]
mod accounts;
mod ask;
mod cli;
mod course;
mod fields;
mod files;
mod list;
mod lock;
mod log;
mod output;
mod plot;
#[cfg(test)]
mod program;
mod progress;
mod rate;
mod screen;
mod signals;
mod source;
mod stop;
mod summary;
#[path = "../login/syntax.rs"]
mod syntax;
mod tally;
mod template;
mod text;
mod utilisation;
mod wire;
mod worker;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use reqwest_retry::RetryTransientMiddleware;
use reqwest_retry::policies::ExponentialBackoff;
use reqwest_tollgate::{
    Account, Clock as _, QuotaSnapshot, RequestOptions, RetryStrategy, SystemClock,
    http_client_builder,
};

use crate::ask::Question;
use crate::cli::Cli;
use crate::course::Course;
use crate::list::{List, Part};
use crate::output::{Answered, Output, Shape};
use crate::plot::{Allowance, Picture};
use crate::progress::Progress;
use crate::screen::Screen;
use crate::source::Source;
use crate::stop::Stop;
use crate::summary::{Outcomes, Summary, Verdict};
use crate::tally::{Counts, Tally};
use crate::template::Template;
use crate::wire::Wire;
use crate::worker::Crawl;

/// A client that waits for its turn, carries a fresh token, and tries again what failed in passing.
///
/// Waiting for a turn may take minutes, and reqwest's timeout does not run meanwhile: it bounds
/// the time on the wire. Its redirects stay within an origin, as the account's keys do.
fn client(account: &Account, retries: u32) -> Result<ClientWithMiddleware> {
    let policy = ExponentialBackoff::builder().build_with_max_retries(retries);
    let strategy = RetryStrategy::default();
    let retry = RetryTransientMiddleware::new_with_policy_and_strategy(policy, strategy);

    let pool = http_client_builder()
        .timeout(Duration::from_secs(30))
        .build()?;
    let layers = account.attach(ClientBuilder::new(pool).with(retry));
    // Beneath the account's two layers, where a request leaves.
    Ok(layers.with(Wire).build())
}

/// How often a request is sent again that failed in passing.
const RETRIES: u32 = 3;

#[tokio::main]
async fn main() -> ExitCode {
    ExitCode::from(start(Cli::parse()).await)
}

/// The code that the program ends with.
async fn start(cli: Cli) -> u8 {
    let (stop, screen) = (Stop::new(), Screen::default());
    log::install(cli.verbose, &screen);
    let ended = match signals::watch(&stop, &screen) {
        Ok(()) => run(cli, &stop, &screen, &mut io::stdout()).await,
        Err(error) => Err(error).context("cannot watch for signals"),
    };
    match ended {
        Ok(code) => code,
        Err(error) => {
            screen.say(format!("{error:#}"));
            2
        }
    }
}

/// The code that the program ends with.
async fn run(cli: Cli, stop: &Stop, screen: &Screen, out: &mut impl io::Write) -> Result<u8> {
    let tally = Tally::start();
    let list = list::read(cli.parts.as_deref(), cli.column.as_deref())?;
    // Now, not after an hour.
    for path in cli.plot.iter().chain(cli.out_file()) {
        files::check(path).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let source = Source::open(&cli, tally.clone()).await?;
    let template = template(&cli, &source, screen)?;
    let (output, answered) = output(&cli, &list)?;
    let (open, skipped) = still_open(&cli, &list, answered);
    screen.say(announcement(
        &source,
        &template,
        &list,
        open.len(),
        skipped,
    )?);
    if cli.dry_run {
        return rehearse(&cli, &source, &template, &open, out);
    }

    let began = SystemClock.now().wall;
    let account = bounded(&source.account, cli.deadline);
    let crawl = Crawl {
        question: Arc::new(question(&cli, &account, template)?),
        output,
        course: Course::new(cli.limits()),
        has_deadline: cli.deadline.is_some(),
        stop: stop.clone(),
        screen: screen.clone(),
        progress: Progress::start(cli.progress, open.len(), &account, &tally, screen),
    };
    let outcomes = crawl_with(&account, crawl, open, &cli).await?;
    let summary = Summary {
        account: source.account.name().to_owned(),
        began,
        ending: stop.ending(),
        skipped,
        outcomes,
        counts: tally.counts(),
        elapsed: tally.elapsed(),
        verdict: verdict(&source),
    };
    say_how_it_ended(&cli, &summary, screen);
    match cli.answers_to_stdout() {
        true => report(&cli, &source, &summary, &mut io::stderr())?,
        false => report(&cli, &source, &summary, out)?,
    }
    Ok(summary.code())
}

/// The parts to ask about, and how many were answered before.
fn still_open(cli: &Cli, list: &List, answered: Answered) -> (Vec<Part>, usize) {
    let parts = list.cycle(cli.requests);
    let requested = parts.len();
    let mut open = answered.leaves(parts);
    let skipped = requested - open.len();
    open.truncate(cli.limit.unwrap_or(usize::MAX));
    (open, skipped)
}

fn question(cli: &Cli, account: &Account, template: Template) -> Result<Question> {
    Ok(Question {
        client: client(account, RETRIES)?,
        probe: client(account, 0)?,
        method: cli.method(),
        template,
    })
}

/// The crawl, between the first token and the last that has to be stored.
async fn crawl_with(
    account: &Account,
    crawl: Crawl,
    open: Vec<Part>,
    cli: &Cli,
) -> Result<Outcomes> {
    let (stop, screen) = (crawl.stop.clone(), crawl.screen.clone());
    worker::warm_up(account, cli.limits(), &stop, &screen).await;
    let outcomes = worker::crawl(crawl, open).await;
    // Whatever came of it: a refresh token that is not stored is lost with the process.
    if let Err(error) = account.flush().await {
        let text = format!(
            "the end of the crawl is not stored: {}",
            text::of_ours(&error)
        );
        screen.say(&text);
        stop.end(stop::Ending::Output(text));
    }
    outcomes
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

fn template(cli: &Cli, source: &Source, screen: &Screen) -> Result<Template> {
    let base = source.account.base_url();
    let body = cli.body.as_deref();
    let body = body.map(|text| (cli.content_type.as_str(), text));
    let template = Template::new(base, &cli.url, body, source.placeholder)?;
    let url = template.url("PART")?;
    if !source.acts_at(&url) {
        // The account would let it pass without credentials and without a limit.
        let (found, own) = (url.origin().ascii_serialization(), base.origin());
        anyhow::bail!(
            "--url leads to {found}, which is not the account's {}: that takes another account, \
             by --config, or the account's `origins`",
            own.ascii_serialization()
        );
    }
    if template.ignores_the_part() {
        screen.say("neither --url nor --body has {part}: all requests are the same");
    }
    Ok(template)
}

/// How much there is to do, and how long it takes by the account's limits.
fn announcement(
    source: &Source,
    template: &Template,
    list: &List,
    open: usize,
    skipped: usize,
) -> Result<String> {
    let mut notes = Vec::new();
    if list.duplicates > 0 {
        notes.push(text::count(list.duplicates, "duplicate"));
    }
    if list.blank > 0 {
        notes.push(format!("{} without a part", text::count(list.blank, "row")));
    }
    if skipped > 0 {
        notes.push(format!("{skipped} answered before"));
    }
    let mut text = text::count(open, "part");
    if !notes.is_empty() {
        text = format!("{text} ({})", notes.join(", "));
    }
    let quota = quota(&source.account, template)?;
    let windows = quota.as_ref().map(QuotaSnapshot::windows);
    let estimate = rate::estimate(open, windows.unwrap_or_default());
    Ok(match estimate.filter(|_| open > 0) {
        Some(estimate) => format!("{text}, {estimate}"),
        None => text,
    })
}

/// The quota that the requests are counted in.
fn quota(account: &Account, template: &Template) -> Result<Option<QuotaSnapshot>> {
    let url = template.url("PART")?;
    let quotas = account.quotas();
    // A permit knows its quota; it goes back unused. None is there if the quota is spent.
    let permit = account.try_permit(url.path(), &RequestOptions::new())?;
    let name = permit.map(|permit| {
        let name = permit.quota().to_owned();
        permit.unsent();
        name
    });
    let name = name.unwrap_or_else(|| reqwest_tollgate::Quota::DEFAULT.to_owned());
    Ok(quotas.into_iter().find(|quota| quota.quota() == name))
}

/// What would be sent.
fn rehearse(
    cli: &Cli,
    source: &Source,
    template: &Template,
    open: &[Part],
    out: &mut impl io::Write,
) -> Result<u8> {
    writeln!(out, "account {}, nothing is sent", source.account.name())?;
    for part in open.iter().take(3) {
        writeln!(out, "{} {}", cli.method(), template.url(&part.number)?)?;
        if let Some((media_type, body)) = template.body(&part.number) {
            writeln!(out, "  {media_type}: {body}")?;
        }
    }
    if open.len() > 3 {
        writeln!(out, "... and {} more", open.len() - 3)?;
    }
    Ok(0)
}

fn output(cli: &Cli, list: &List) -> Result<(Option<Output>, Answered)> {
    let shape = Shape {
        format: cli.format(),
        columns: list.columns.clone(),
        fields: cli.fields.clone(),
    };
    match &cli.out {
        Some(_) if cli.answers_to_stdout() => {
            Ok((Some(Output::stdout(shape)), Answered::default()))
        }
        Some(path) if cli.dry_run => Ok((None, Output::peek(path, &shape)?)),
        Some(path) => {
            let (output, answered) = Output::open(path, shape)?;
            Ok((Some(output), answered))
        }
        None => Ok((None, Answered::default())),
    }
}

/// Why a crawl ended early, and how to go on.
fn say_how_it_ended(cli: &Cli, summary: &Summary, screen: &Screen) {
    let Some(ending) = &summary.ending else {
        return;
    };
    screen.say(format!("stopped: {ending}"));
    if let (stop::Ending::LogIn(_), Some(config)) = (ending, &cli.config) {
        let (config, account) = (config.display(), &summary.account);
        let command = "cargo run --example login";
        screen.say(format!(
            "{command} -- --config {config} --account {account}"
        ));
    }
    let left = summary.outcomes.left;
    if left == 0 || !ending.can_go_on() {
        return;
    }
    let left = text::count(left, "part");
    screen.say(match cli.out {
        Some(_) if !cli.answers_to_stdout() => {
            format!("{left} not asked about: the same command goes on with them")
        }
        _ => format!("{left} not asked about; with --out FILE the next run would go on with them"),
    });
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
        Some(path) => {
            let allowance = allowance(&source.account, &summary.counts);
            Picture::new(summary, allowance).draw(path, cli.plot_ground)
        }
        None => Ok(()),
    }
}
