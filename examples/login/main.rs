//! A login as a person does it: once, for an account of a configuration file.
//!
//! ```text
//! cargo run --example login -- --config tollgate.toml --account digikey --open
//! ```
//!
//! It prints the address where the person logs in (`--open`: opens it too), waits for their browser
//! at the account's redirect URI, shows a page there that says whether it worked, and stores the
//! tokens in the account's `token_store`. After that, whatever uses the same configuration finds
//! them. (A store named `memory` ends with this program: then it only shows that the login works.)
//!
//! The redirect URI has to be plain http on this machine (`http://127.0.0.1:8139/callback`) for the
//! browser to be awaited. There is no TLS here yet, so with any other, `https://localhost:…` for
//! one, the browser shows that nothing answers; its address is then pasted here.

mod listener;
mod page;

use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use reqwest_tollgate::{Account, AuthorizationRequest, Clock as _, Config, Recovery, SystemClock};

use crate::listener::Listener;

/// Logs a person in and stores the tokens.
#[derive(Parser)]
struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Which of its accounts.
    #[arg(long, value_name = "NAME")]
    account: String,
    /// Open the address in the browser (xdg-open).
    #[arg(long)]
    open: bool,
    /// Log in even if the stored tokens still work.
    #[arg(long)]
    again: bool,
    /// How many seconds to wait for the person.
    #[arg(long, default_value_t = 600)]
    patience: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let account = account(&arguments)?;
    if !arguments.again && is_logged_in(&account).await? {
        say("The stored login works: nothing to do (--again logs in anew).")?;
        return Ok(());
    }
    let request = Arc::new(account.authorization_request()?);
    // First, so that the browser cannot come too early.
    let listener = Listener::bind(&request).await?;
    say(&format!("Log in at\n\n    {}\n", request.url()))?;
    if arguments.open {
        open(&request)?;
    }
    match listener {
        Some(listener) => {
            let late = SystemClock.sleep(Duration::from_secs(arguments.patience));
            tokio::select! {
                ended = listener.log_in(request) => ended?,
                () = late => bail!("nobody came back from the login in {} s", arguments.patience),
            }
        }
        None => paste(&request).await?,
    }
    account.warm_up().await?;
    say("Logged in. The tokens are stored.")
}

fn account(arguments: &Arguments) -> Result<Account> {
    let path = &arguments.config;
    let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    let config: Config = toml::from_str(&text)?;
    let account = config.build()?.remove(&arguments.account);
    account.with_context(|| format!("no account {:?} in {}", arguments.account, path.display()))
}

async fn is_logged_in(account: &Account) -> Result<bool> {
    match account.warm_up().await {
        Ok(()) => Ok(true),
        Err(error) if error.recovery() == Recovery::LogIn => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn open(request: &AuthorizationRequest) -> Result<()> {
    let mut command = Command::new("xdg-open");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    match command.arg(request.url().as_str()).spawn() {
        Ok(_) => Ok(()),
        Err(error) => say(&format!("(cannot open a browser: {error})")),
    }
}

async fn paste(request: &AuthorizationRequest) -> Result<()> {
    loop {
        say("Paste the address where the browser ends up:")?;
        let mut address = String::new();
        if std::io::stdin().lock().read_line(&mut address)? == 0 {
            bail!("the login was given up");
        }
        match request.exchange(&address).await {
            Ok(()) => return Ok(()),
            // Of another login, or mistyped: the right one may follow.
            Err(error) if !listener::is_of(request, &address) => say(&error.to_string())?,
            Err(error) => return Err(error.into()),
        }
    }
}

fn say(text: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}
