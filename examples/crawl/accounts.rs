//! The crawl with each account of the sample file, against sandboxes that behave as the vendors do.

use std::path::Path;

use clap::Parser as _;
use futures_util::future::join_all;
use reqwest_tollgate::sandbox::{Manners, Sandbox};
use toml::{Table, Value};

use crate::cli::Cli;

const FILE: &str = include_str!("../tollgate.toml");

/// The name, the table and the distributor of every account that has one.
fn accounts() -> Vec<(String, Table, String)> {
    let file: Table = FILE.parse().unwrap();
    let accounts = file["accounts"].as_table().unwrap().clone();
    let of_a_distributor = |(name, value): (String, Value)| {
        let table: Table = value.try_into().unwrap();
        let distributor = table.get("distributor")?.as_str()?.to_owned();
        Some((name, table, distributor))
    };
    accounts.into_iter().filter_map(of_a_distributor).collect()
}

/// What the sandbox's one customer has for a key of the file.
fn value(distributor: &str, key: &str) -> &'static str {
    match (distributor, key) {
        ("avnet", "scope") => "api://sandbox/.default",
        ("buerklin", "user") => "sandbox-user",
        ("avnet", "subscription_key")
        | ("buerklin", "password")
        | ("disruptive", "key_id")
        | ("element14", "api_key")
        | ("jlcpcb", "access_key") => Sandbox::KEY,
        ("tme_v1" | "tme_v2", "token") | ("lcsc", "api_key") => Sandbox::CLIENT_ID,
        (_, "account_id" | "app_id" | "client_id" | "company_id" | "customer_id") => {
            Sandbox::CLIENT_ID
        }
        (_, "email" | "login") => Sandbox::CLIENT_ID,
        _ => Sandbox::CLIENT_SECRET,
    }
}

/// The account, with the sandbox for its vendor and the secrets written out.
fn at_the_sandbox(mut table: Table, distributor: &str, sandbox: &Sandbox) -> Table {
    for (key, found) in table.iter_mut() {
        if found.get("env").is_some() {
            *found = value(distributor, key).into();
        }
    }
    table.insert("base_url".to_owned(), sandbox.url().as_str().into());
    if matches!(distributor, "disruptive" | "nexar") {
        let url = sandbox.token_url();
        table.insert("token_url".to_owned(), url.as_str().into());
    }
    table
}

fn manners(distributor: &str, table: &Table) -> Manners {
    let has_contract = table.contains_key("contract_secret");
    let name = match (distributor, has_contract) {
        ("element14", true) => "element14_contract",
        (name, _) => name,
    };
    Manners::of(name).unwrap()
}

/// The command line that asks as this vendor's customers do.
fn command_line(config: &Path, account: &str, manners: Manners) -> Cli {
    let config = config.to_str().unwrap();
    let mut arguments = vec!["crawl", "--config", config, "--account", account];
    arguments.extend(["--url", manners.path(), "--requests", "3"]);
    arguments.extend(["--json", "--workers", "2"]);
    if let Some((media_type, text)) = manners.body() {
        arguments.extend(["--body", text, "--content-type", media_type]);
    }
    Cli::try_parse_from(arguments).unwrap()
}

async fn crawl(name: &str, table: Table, distributor: &str, folder: &Path) {
    let manners = manners(distributor, &table);
    let sandbox = Sandbox::builder().manners(manners).start().await.unwrap();
    let table = at_the_sandbox(table, distributor, &sandbox);
    // Beside another whose secrets are not here.
    let mut whole: Table = "[accounts.elsewhere]\nbearer = { env = \"NO_SUCH_VARIABLE\" }"
        .parse()
        .unwrap();
    let accounts = whole["accounts"].as_table_mut().unwrap();
    accounts.insert(name.to_owned(), table.into());
    let file = folder.join(format!("{name}.toml"));
    std::fs::write(&file, whole.to_string()).unwrap();

    let mut shown = Vec::new();
    let all_answered = crate::run(command_line(&file, name, manners), &mut shown).await;
    let shown = String::from_utf8(shown).unwrap();
    assert!(
        all_answered.unwrap(),
        "{name}: {shown} {:?}",
        sandbox.counters()
    );
    assert!(!shown.contains(Sandbox::CLIENT_SECRET), "{shown}");
    let counters = sandbox.counters();
    assert_eq!(
        (counters.answered, counters.requests),
        (3, 3),
        "{name}: {counters:?}"
    );
}

#[tokio::test]
async fn every_account_of_a_distributor_in_the_sample_file_crawls() {
    let folder = tempfile::tempdir().unwrap();
    let all = accounts();
    assert!(all.len() > 20);
    // A login needs a person: the example `login` has its tests.
    let unattended = all
        .into_iter()
        .filter(|(_, table, _)| !table.contains_key("grant"));
    let crawls = unattended.map(|(name, table, distributor)| {
        let folder = folder.path();
        async move { crawl(&name, table, &distributor, folder).await }
    });
    join_all(crawls).await;
}
