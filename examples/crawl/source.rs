//! Whom to ask: an account of the configuration file, or one of a sandbox in this process.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use reqwest::Url;
use reqwest_tollgate::sandbox::Sandbox;
use reqwest_tollgate::{Account, Config, FileStore, Window, distributors};
use toml::{Table, Value};

use crate::cli::{Cli, SandboxOptions};
use crate::syntax::problem;
use crate::tally::Tally;

/// An account, and the sandbox behind it, if it is one of a sandbox.
pub(crate) struct Source {
    pub(crate) account: Account,
    pub(crate) sandbox: Option<Sandbox>,
    /// What that sandbox allows.
    pub(crate) windows: Vec<Window>,
    /// Where the account acts besides its base URL.
    origins: Vec<Url>,
    /// What the account puts into a URL by itself.
    pub(crate) placeholder: Option<&'static str>,
}

impl Source {
    /// Makes the account; `tally` sees its events.
    pub(crate) async fn open(cli: &Cli, tally: Tally) -> Result<Self> {
        match &cli.config {
            Some(path) => Self::configured(path, cli, tally),
            None => Self::sandboxed(&cli.sandbox, tally).await,
        }
    }

    fn configured(path: &Path, cli: &Cli, tally: Tally) -> Result<Self> {
        let file = path.display();
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration {file}"))?;
        let config = parse::<Config>(&text);
        let config = config.with_context(|| format!("in the configuration {file}"))?;
        let name = choose(&config, cli.account.as_deref()).with_context(|| format!("in {file}"))?;
        // The other accounts may refer to secrets that are not here.
        let config = config.only(&name).observer(tally);
        let config = match cli.quotas() {
            Some(folder) => config.quota_store(FileStore::new(folder)),
            None => config,
        };
        let mut accounts = config
            .build()
            .with_context(|| format!("in the configuration {file}"))?;
        let account = accounts.remove(&name).context("the account is gone")?;
        let table = parse::<Table>(&text)?;
        let table = table.get("accounts").and_then(|table| table.get(&name));
        Ok(Self {
            account,
            sandbox: None,
            windows: Vec::new(),
            origins: table.map(origins).unwrap_or_default(),
            placeholder: table.and_then(placeholder),
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
            origins: Vec::new(),
            placeholder: None,
        })
    }

    /// Whether the account's credentials and limits hold for this URL. Elsewhere its layers let a
    /// request pass untouched.
    pub(crate) fn acts_at(&self, url: &Url) -> bool {
        let base = std::iter::once(self.account.base_url());
        let mut all = base.chain(&self.origins);
        all.any(|own| own.origin() == url.origin())
    }
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| anyhow::anyhow!("{}", problem(text, &error)))
}

/// What a table says of more origins.
fn origins(account: &Value) -> Vec<Url> {
    let origins = account.get("origins").and_then(Value::as_array);
    let texts = origins.into_iter().flatten().filter_map(resolved);
    texts
        .filter_map(|text| Url::parse(text.trim()).ok())
        .collect()
}

/// A string, or what it refers to.
fn resolved(value: &Value) -> Option<String> {
    if let Some(text) = value.as_str() {
        return Some(text.to_owned());
    }
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    match (text("env"), text("file")) {
        (Some(name), _) => std::env::var(name).ok(),
        (_, Some(path)) => fs::read_to_string(path).ok(),
        _ => None,
    }
}

fn placeholder(account: &Value) -> Option<&'static str> {
    match account.get("distributor")?.as_str()? {
        "masterelectronics" => Some(distributors::masterelectronics::PLACEHOLDER),
        "onlinecomponents" => Some(distributors::onlinecomponents::PLACEHOLDER),
        _ => None,
    }
}

/// That name; without one, the name of the only account.
fn choose(config: &Config, name: Option<&str>) -> Result<String> {
    let names = config.names();
    let all = names.join(", ");
    match (name, names.as_slice()) {
        (Some(name), _) if names.iter().any(|other| other == name) => Ok(name.to_owned()),
        (Some(name), _) => bail!("there is no account {name:?}, only: {all}"),
        (None, [only]) => Ok(only.clone()),
        (None, []) => bail!("there is no account: expected a table [accounts.NAME]"),
        (None, _) => bail!("say which --account, one of: {all}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(text: &str, name: Option<&str>) -> Result<String, String> {
        choose(&toml::from_str(text).unwrap(), name).map_err(|error| error.to_string())
    }

    #[test]
    fn a_lone_account_needs_no_name() {
        let one = "[accounts.acme]\nnonsense = 1";
        assert_eq!(chosen(one, None).as_deref(), Ok("acme"));
        assert!(
            chosen("", None)
                .unwrap_err()
                .starts_with("there is no account")
        );
    }

    #[test]
    fn one_of_several_accounts_has_to_be_named() {
        let two = "[accounts.digikey]\n[accounts.acme]";
        assert_eq!(chosen(two, Some("digikey")).as_deref(), Ok("digikey"));
        let error = chosen(two, None).unwrap_err();
        assert_eq!(error, "say which --account, one of: acme, digikey");
        let error = chosen(two, Some("mouser")).unwrap_err();
        assert!(error.ends_with("only: acme, digikey"), "{error}");
    }
}
