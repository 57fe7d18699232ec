//! Whom to ask: an account of the configuration file, or one of a sandbox in this process.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use reqwest_tollgate::sandbox::Sandbox;
use reqwest_tollgate::{Account, Config, Window};

use crate::cli::{Cli, SandboxOptions};
use crate::syntax::problem;
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
        let config = toml::from_str::<Config>(&text);
        let config = config.map_err(|error| anyhow::anyhow!("{}", problem(&text, &error)));
        let config = config.with_context(|| format!("in the configuration {file}"))?;
        let name = choose(&config, name).with_context(|| format!("in {file}"))?;
        // The other accounts may refer to secrets that are not here.
        let mut accounts = config
            .only(&name)
            .observer(tally)
            .build()
            .with_context(|| format!("in the configuration {file}"))?;
        let account = accounts.remove(&name).context("the account is gone")?;
        Ok(Self {
            account,
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
