//! What an account would send, without sending it: method, URL, headers and body of a request, and
//! of the token request before it.
//!
//! ```sh
//! cargo run --example distributors                          # every account of the sample file
//! cargo run --example distributors -- mouser digikey        # two of them
//! cargo run --example distributors -- --config tollgate.toml --url '/orders/7' acme
//! ```
//!
//! Nothing leaves this machine: a proxy in this process takes every request for itself and answers
//! it there. No secret is read either: the *name* of a variable or file stands where its value
//! would be, and a secret that the file holds itself is replaced by the name of its key. The clock
//! stands still, and what is new with each request all the same (a nonce, and a signature of it) is
//! shown as such, so two runs print the same.

#![allow(clippy::print_stdout)] // It is a program.
#![cfg_attr(test, allow(clippy::unwrap_used))]

#[allow(dead_code, reason = "the fingerprint is for people who log in")]
#[path = "../login/certificate.rs"]
mod certificate;
mod file;
mod show;
#[path = "../login/syntax.rs"]
mod syntax;
mod wire;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use clap::Parser;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use reqwest_middleware::ClientBuilder;
use reqwest_tollgate::sandbox::Manners;
use reqwest_tollgate::{Account, BoxFuture, Clock, Error, Now, Recovery, SystemClock};

use crate::file::File;
use crate::wire::{Sent, Wire};

const SAMPLE: &str = include_str!("../tollgate.toml");
/// The part that is asked about.
const PART: &str = "LM358P";

/// Prints what an account would send, and sends nothing.
#[derive(Debug, Parser)]
#[command(name = "distributors")]
struct Cli {
    /// The accounts, by name [default: all of the file]
    accounts: Vec<String>,

    /// The configuration [default: examples/tollgate.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// What to ask for; may be relative to the base URL [default: a search, as the distributor has
    /// it]
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// How
    #[arg(long, requires = "url", default_value = "GET")]
    method: Method,
}

#[tokio::main]
async fn main() -> Result<()> {
    println!("{}", run(Cli::parse()).await?);
    Ok(())
}

async fn run(cli: Cli) -> Result<String> {
    let text = match &cli.config {
        Some(path) => std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?,
        None => SAMPLE.to_owned(),
    };
    let file = File::read(&text)?;
    let names = match cli.accounts.is_empty() {
        true => file.names(),
        false => cli.accounts.clone(),
    };
    let mut shown = Vec::new();
    for name in names {
        // Twice, since what differs is new with each request.
        let one = sent(&cli, &file, &name).await?;
        let other = sent(&cli, &file, &name).await?;
        let kind = file.distributor(&name).unwrap_or_default();
        shown.push(show::account(&name, &kind, &one, &other));
    }
    Ok(shown.join("\n"))
}

/// What a new account sends for its first request, on a wire of its own.
async fn sent(cli: &Cli, file: &File, name: &str) -> Result<Vec<Sent>> {
    let wire = Wire::open().await?;
    let pool = wire.client()?;
    let account = file.account(name, pool.clone())?;
    let client = account.attach(ClientBuilder::new(pool)).build();
    let (method, url, body) = question(cli, file.distributor(name));
    let url = account.base_url().join(&url)?;
    let mut request = client.request(method, url);
    if let Some((media_type, text)) = body {
        request = request.header(CONTENT_TYPE, media_type).body(text);
    }
    match request.send().await {
        Ok(_) => Ok(wire.sent()),
        Err(error) => needs_login(&account, &error).ok_or(error.into()),
    }
}

/// An account that needs a person sends them to a page first.
fn needs_login(account: &Account, error: &reqwest_middleware::Error) -> Option<Vec<Sent>> {
    let ours = Error::find(error)?;
    let login = account.authorization_request().ok()?;
    (ours.recovery() == Recovery::LogIn).then(|| vec![Sent::page(login.url())])
}

type Question = (Method, String, Option<(&'static str, String)>);

fn question(cli: &Cli, distributor: Option<String>) -> Question {
    let manners = distributor.and_then(|name| Manners::of(&name).ok());
    match (&cli.url, manners) {
        (Some(url), _) => (cli.method.clone(), url.clone(), None),
        (None, None) => (Method::GET, format!("/parts/{PART}"), None),
        (None, Some(manners)) => {
            let filled = |text: &str| text.replace("{part}", PART);
            let body = manners.body();
            let body = body.map(|(media_type, text)| (media_type, filled(text)));
            (manners.method(), filled(manners.path()), body)
        }
    }
}

/// It always is noon on 2026-01-01, for timestamps; what waits, waits.
struct Stopped;

const NOON: Duration = Duration::from_secs(1_767_268_800);

impl Clock for Stopped {
    fn now(&self) -> Now {
        Now {
            moment: SystemClock.now().moment,
            wall: SystemTime::UNIX_EPOCH + NOON,
        }
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shown(arguments: &[&str]) -> String {
        let all = ["distributors"].iter().chain(arguments);
        run(Cli::try_parse_from(all).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn every_account_of_the_sample_file_is_shown_the_same_each_time() {
        let one = shown(&[]).await;
        assert_eq!(one, shown(&[]).await);
        for name in File::read(SAMPLE).unwrap().names() {
            assert!(one.contains(&format!("{name} (")), "{name}");
        }
    }

    #[tokio::test]
    async fn a_token_request_comes_first_and_names_stand_for_values() {
        let expected = "\
my-arrow (my_arrow)
  POST https://my.arrow.com/api/security/oauth/token
    accept: application/json
    authorization: Basic base64(MY_ARROW_CLIENT_ID:MY_ARROW_CLIENT_SECRET)
    client_id: MY_ARROW_CLIENT_ID
    content-type: application/x-www-form-urlencoded
    grant_type=client_credentials
  GET https://my.arrow.com/api/priceandavail/search?search=LM358P
    accept: */*
    authorization: Bearer ACCESS_TOKEN
    client_id: MY_ARROW_CLIENT_ID
";
        assert_eq!(shown(&["my-arrow"]).await, expected);
    }

    #[tokio::test]
    async fn a_nonce_and_its_signature_are_shown_as_new_each_time() {
        let jlcpcb = shown(&["jlcpcb"]).await;
        let head = r#"JOP appid="JLCPCB_APP_ID",accesskey="JLCPCB_ACCESS_KEY",nonce="(new)","#;
        assert!(jlcpcb.contains(head), "{jlcpcb}");
        assert!(jlcpcb.contains(r#"timestamp="1767268800",signature="(new)"#));
        let lcsc = shown(&["lcsc"]).await;
        assert!(lcsc.contains("nonce=(new)&timestamp=1767268800"), "{lcsc}");
    }

    #[tokio::test]
    async fn a_secret_of_the_file_itself_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tollgate.toml");
        let text = "[accounts.acme]\nbase_url = \"https://acme.example\"\n\
            token_url = \"/token\"\nclient_id = \"me\"\nclient_secret = \"canary\"\n\
            headers = { X-Key = \"canary\", X-Shop = \"DE\" }\n\
            token_store = { directory = \"/nowhere\" }";
        std::fs::write(&file, text).unwrap();
        let shown = shown(&["--config", file.to_str().unwrap(), "--url", "/orders/7"]).await;
        assert!(!shown.contains("canary"), "{shown}");
        assert!(
            shown.contains("x-key: (headers.X-Key of the file)"),
            "{shown}"
        );
        assert!(shown.contains("x-shop: DE"), "{shown}");
        assert!(
            shown.contains("GET https://acme.example/orders/7"),
            "{shown}"
        );
    }

    #[tokio::test]
    async fn who_has_to_log_in_is_shown_the_page() {
        let shown = shown(&["acme-person"]).await;
        let page = "GET https://login.acme.example/oauth/authorize?response_type=code";
        assert!(shown.contains(page), "{shown}");
    }
}
