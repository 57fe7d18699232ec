//! The distributor in a box, running alone: something to try a client against, in any language.
//!
//! ```sh
//! cargo run --example sandbox -- --port 8139 --burst 120/min --day 1000/utc-day --token-ttl 600s \
//!     --latency 5ms..40ms --fault server-error=2%
//! ```
//!
//! It ends with Ctrl-C, and says then what it saw.

#![allow(clippy::print_stdout)] // It is a program.

use std::ops::Range;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use reqwest_tollgate::Window;
use reqwest_tollgate::sandbox::{
    Counters, Dialect, Enforcement, Fault, Sandbox, parse_range, parse_span,
};

/// A distributor of electronic parts on 127.0.0.1: token endpoint, quotas, faults.
#[derive(Parser)]
struct Options {
    /// Port on 127.0.0.1; 0: any that is free
    #[arg(long, default_value_t = 8139)]
    port: u16,
    /// The short window, such as 120/min or 20/500ms
    #[arg(long, default_value = "120/min")]
    burst: Window,
    /// The long window, such as 1000/utc-day or 5000/day
    #[arg(long, default_value = "1000/utc-day")]
    day: Window,
    /// fixed-window, sliding-log, sliding-counter or token-bucket
    #[arg(long, default_value_t)]
    enforcement: Enforcement,
    /// digikey or source-document
    #[arg(long, default_value_t)]
    dialect: Dialect,
    /// Refused requests count too
    #[arg(long)]
    count_rejected: bool,
    /// How long an answer takes, such as 5ms..40ms
    #[arg(long, default_value = "5ms..40ms", value_parser = parse_range)]
    latency: Range<Duration>,
    /// How long an access token is good
    #[arg(long, default_value = "600s", value_parser = parse_span)]
    token_ttl: Duration,
    /// What goes wrong, such as server-error=2% or token-down=3s; may be given several times
    #[arg(long)]
    fault: Vec<Fault>,
    /// Where its dice begin
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    let sandbox = start(&options).await?;
    introduce(&sandbox);
    tokio::signal::ctrl_c().await?;
    report(&sandbox.counters());
    Ok(())
}

async fn start(options: &Options) -> Result<Sandbox> {
    let sandbox = Sandbox::builder()
        .port(options.port)
        .window(options.burst.clone())
        .window(options.day.clone())
        .enforcement(options.enforcement)
        .dialect(options.dialect)
        .count_rejected(options.count_rejected)
        .latency(options.latency.clone())
        .token_lifetime(options.token_ttl)
        .seed(options.seed)
        .start()
        .await?;
    for fault in &options.fault {
        sandbox.inject(*fault);
    }
    Ok(sandbox)
}

fn introduce(sandbox: &Sandbox) {
    println!("URL            {}", sandbox.url());
    println!("token URL      {}", sandbox.token_url());
    println!("client id      {}", sandbox.client_id());
    println!("client secret  {}", sandbox.client_secret());
    println!("refresh token  {} (good once)", sandbox.refresh_token());
    println!();
    println!("A token, and a part:");
    println!();
    println!(
        "  curl -s {} -d grant_type=client_credentials -d client_id={} -d client_secret={}",
        sandbox.token_url(),
        sandbox.client_id(),
        sandbox.client_secret()
    );
    println!(
        "  curl -si {}products/v4/search/LM358P/productdetails -H 'Authorization: Bearer …'",
        sandbox.url()
    );
    println!();
    println!("Ctrl-C ends it.");
}

fn report(counters: &Counters) {
    println!();
    let counted = [
        ("requests", counters.requests),
        ("answered", counters.answered),
        ("rejected 401", counters.rejected_401),
        ("rejected 429", counters.rejected_429),
        ("injected", counters.injected),
        ("token requests", counters.token_requests),
        ("tokens issued", counters.tokens_issued),
        ("token refusals", counters.token_refusals),
        ("rotations", counters.rotations),
        ("families revoked", counters.families_revoked),
        ("connections", counters.connections),
    ];
    for (what, count) in counted {
        println!("{what:<16} {count:>8}");
    }
}
