//! Whom to ask: an account of the configuration file, or one of a sandbox in this process.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use reqwest_tollgate::sandbox::Sandbox;
use reqwest_tollgate::{Account, Config, Window};

use crate::cli::{Cli, SandboxOptions};
use crate::tally::Tally;

/// An account, and the sandbox behind it, if it is one of a sandbox.
pub(crate) struct Source {
    pub(crate) account: Account,
    pub(crate) sandbox: Option<Sandbox>,
    /// What that sandbox allows.
    pub(crate) windows: Vec<Window>,
}

impl Source {
    /// Makes the account; `tally` sees its events.
    pub(crate) async fn open(cli: &Cli, tally: Tally) -> Result<Self> {
        match &cli.config {
            Some(path) => Self::configured(path, cli.account.as_deref(), tally),
            None => Self::sandboxed(&cli.sandbox, tally).await,
        }
    }

    fn configured(path: &Path, name: Option<&str>, tally: Tally) -> Result<Self> {
        let file = path.display();
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration {file}"))?;
        let config: Config =
            toml::from_str(&text).with_context(|| format!("in the configuration {file}"))?;
        let accounts = config
            .observer(tally)
            .build()
            .with_context(|| format!("in the configuration {file}"))?;
        Ok(Self {
            account: choose(accounts, name).with_context(|| format!("in {file}"))?,
            sandbox: None,
            windows: Vec::new(),
        })
    }

    async fn sandboxed(options: &SandboxOptions, tally: Tally) -> Result<Self> {
        let windows = options.windows();
        let builder = Sandbox::builder()
            .token_lifetime(options.token_ttl)
            .enforcement(options.enforcement)
            .latency(options.latency.clone());
        let builder = windows.iter().cloned().fold(builder, |b, w| b.window(w));
        let sandbox = builder.start().await?;
        for fault in &options.faults {
            sandbox.inject(*fault);
        }
        Ok(Self {
            account: sandbox.account().observer(tally).build()?,
            sandbox: Some(sandbox),
            windows: windows.to_vec(),
        })
    }
}

/// The account of that name; without a name, the only one.
fn choose(mut accounts: BTreeMap<String, Account>, name: Option<&str>) -> Result<Account> {
    let names = accounts.keys().cloned().collect::<Vec<_>>().join(", ");
    match name {
        Some(name) => accounts
            .remove(name)
            .with_context(|| format!("there is no account {name:?}, only: {names}")),
        None if accounts.len() > 1 => bail!("say which --account, one of: {names}"),
        None => accounts
            .into_values()
            .next()
            .context("there is no account: expected a table [accounts.NAME]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = include_str!("../tollgate.toml");

    /// The accounts of the example's file, its secrets written out.
    fn accounts(text: &str) -> BTreeMap<String, Account> {
        let literal = |line: &str| match line.split_once("{ env = ") {
            Some((key, value)) => format!("{key}{}\n", value.trim_end_matches(" }")),
            None => format!("{line}\n"),
        };
        let text: String = text.lines().map(literal).collect();
        let config: Config = toml::from_str(&text).unwrap();
        config.build().unwrap()
    }

    #[test]
    fn the_only_account_of_the_example_file_is_digikey() {
        let account = choose(accounts(FILE), None).unwrap();
        assert_eq!(account.base_url().as_str(), "https://api.digikey.com/");
    }

    #[test]
    fn the_commented_account_of_the_example_file_is_right_too() {
        // Prose has a space after its `#`.
        let is_prose = |line: &&str| line.starts_with("# ") || *line == "#";
        let lines = FILE.lines().filter(|line| !is_prose(line));
        let text: Vec<_> = lines.map(|line| line.trim_start_matches('#')).collect();
        let accounts = || accounts(&text.join("\n"));

        let acme = choose(accounts(), Some("acme")).unwrap();
        assert_eq!(acme.base_url().as_str(), "https://api.acme.example/");
        let error = choose(accounts(), None).unwrap_err().to_string();
        assert_eq!(error, "say which --account, one of: acme, digikey");
        let error = choose(accounts(), Some("mouser")).unwrap_err().to_string();
        assert!(error.ends_with("only: acme, digikey"), "{error}");
    }
}
