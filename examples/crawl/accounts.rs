//! The crawl with each account of the sample file, against sandboxes that behave as the vendors do.

use std::path::Path;

use clap::Parser as _;
use futures_util::future::join_all;
use reqwest_tollgate::sandbox::{Manners, Sandbox};
use toml::Table;

use crate::cli::Cli;
use crate::screen::Screen;
use crate::stop::Stop;
use sample::{accounts, at_the_sandbox, manners};

#[path = "../../tests/common/sample.rs"]
mod sample;

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
    let cli = command_line(&file, name, manners);
    let code = crate::run(cli, &Stop::new(), &Screen::default(), &mut shown).await;
    let shown = String::from_utf8(shown).unwrap();
    assert_eq!(code.unwrap(), 0, "{name}: {shown} {:?}", sandbox.counters());
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
