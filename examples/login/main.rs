//! A login as a person does it: once, for an account of a configuration file.
//!
//! ```text
//! cargo run --example login -- --config tollgate.toml --account digikey
//! ```
//!
//! It opens the address where the person logs in (and prints it: `--no-open` does only that),
//! awaits their browser at the account's redirect URI, shows a page there that says whether it
//! worked and why not, and stores the tokens in the account's `token_store`. After that, whatever
//! uses the same configuration finds them. (A store named `memory` ends with this program: then it
//! only shows that the login works.)
//!
//! * A redirect URI of plain http, `http://127.0.0.1:8139/callback`, is awaited as it is.
//! * For `https://localhost:8139/callback` it makes a certificate, in memory alone. No browser
//!   knows it, so there is a warning to be clicked away; its fingerprint is printed to compare.
//! * Where no browser can reach this program (a server by ssh; a redirect URI elsewhere) the person
//!   pastes the address at which the browser ends up: `--paste`, and by itself if it has to be.
//!
//! Exit codes: 0, logged in; 1, the login failed or was not finished, and can be begun again; 2,
//! something has to change before (the configuration, the port, the arguments).

mod certificate;
mod desk;
mod listener;
mod page;
mod syntax;
#[cfg(test)]
mod tests;

use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use reqwest_tollgate::{
    Account, AuthorizationRequest, Clock as _, Config, Error, ErrorKind, Recovery, SystemClock,
};

use crate::listener::Listener;
use crate::syntax::problem;

/// For a store that does not take the tokens of the login.
const ATTEMPTS_TO_STORE: usize = 15;
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(2);

const FAILED: u8 = 1;
const HAS_TO_CHANGE: u8 = 2;

/// Logs a person in and stores the tokens.
#[derive(Parser)]
struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Which of its accounts.
    #[arg(long, value_name = "NAME")]
    account: String,
    /// Print the address and do not open it in the browser.
    #[arg(long)]
    no_open: bool,
    /// Do not await the browser: paste the address at which it ends up.
    #[arg(long)]
    paste: bool,
    /// Log in even if the stored tokens still work.
    #[arg(long)]
    again: bool,
    /// How long to wait for the person.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    patience: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ended = match begin(&arguments).await {
        Ok(Some(login)) => login.finish(&arguments).await.map_err(|error| {
            let code = code(&error);
            (error, code)
        }),
        Ok(None) => Ok(()),
        Err(error) => Err((error, HAS_TO_CHANGE)),
    };
    let Err((error, code)) = ended else {
        return ExitCode::SUCCESS;
    };
    let _ = writeln!(std::io::stderr(), "login: {error}");
    ExitCode::from(code)
}

fn code(error: &anyhow::Error) -> u8 {
    match Error::find(error.as_ref()).map(Error::recovery) {
        Some(Recovery::Reconfigure) => HAS_TO_CHANGE,
        _ => FAILED,
    }
}

/// A login that waits for its person.
struct Login {
    account: Account,
    request: Arc<AuthorizationRequest>,
    listener: Option<Listener>,
}

/// None if there is nothing to do.
async fn begin(arguments: &Arguments) -> Result<Option<Login>> {
    let account = account(arguments)?;
    // First, since it asks nobody: an account whose grant knows no login ends here.
    let request = Arc::new(account.authorization_request()?);
    // Before the person is sent to log in: it proves that the store could keep the login.
    if is_logged_in(&account, arguments.again).await? && !arguments.again {
        // It may have brought a new refresh token.
        account.flush().await?;
        say("The stored login works: nothing to do (--again logs in anew).")?;
        return Ok(None);
    }
    let listener = match arguments.paste {
        true => None,
        false => Listener::bind(&request).await?,
    };
    Ok(Some(Login {
        account,
        request,
        listener,
    }))
}

impl Login {
    async fn finish(self, arguments: &Arguments) -> Result<()> {
        say(&format!("Log in at\n\n    {}\n", self.request.url()))?;
        if let Some(listener) = &self.listener {
            announce(listener, &self.request)?;
        }
        if !arguments.no_open {
            open(&self.request)?;
        }
        let late = SystemClock.sleep(Duration::from_secs(arguments.patience));
        let ended = match self.listener {
            Some(listener) => listener.log_in(self.request, late).await,
            None => paste(&self.request).await,
        };
        match ended {
            Err(_) if self.account.health().is_unsaved => store(&self.account).await?,
            ended => ended?,
        }
        let usable = self.account.warm_up().await;
        self.account.flush().await?;
        usable?;
        say("Logged in. The tokens are stored.")
    }
}

fn account(arguments: &Arguments) -> Result<Account> {
    let path = arguments.config.display();
    let text = std::fs::read_to_string(&arguments.config);
    let text = text.map_err(|error| anyhow::anyhow!("cannot read {path}: {error}"))?;
    let config = toml::from_str::<Config>(&text);
    let config = config.map_err(|error| anyhow::anyhow!("{path}: {}", problem(&text, &error)))?;
    let config = config.only(&arguments.account);
    let account = config.build()?.remove(&arguments.account);
    account.with_context(|| format!("no account {:?} in {path}", arguments.account))
}

/// `again`: whatever is wrong with the stored login, the next one may mend it.
async fn is_logged_in(account: &Account, again: bool) -> Result<bool> {
    match account.warm_up().await {
        Ok(()) => Ok(true),
        Err(error) if error.recovery() == Recovery::LogIn => Ok(false),
        Err(error) if again && error.kind() != ErrorKind::Store => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn announce(listener: &Listener, request: &AuthorizationRequest) -> Result<()> {
    let uri = request.redirect_uri();
    say(&format!("Your browser is awaited at {uri}."))?;
    let Some(fingerprint) = listener.fingerprint() else {
        return Ok(());
    };
    say(&format!(
        "At the end it will warn of that address, since no authority has signed the certificate:\n\
         this program has just made it, and only this machine is spoken to. Go on (\"Advanced\",\n\
         \"Proceed\") if the certificate has this SHA-256 fingerprint:\n\n    {fingerprint}\n"
    ))
}

fn open(request: &AuthorizationRequest) -> Result<()> {
    match open::that_detached(request.url().as_str()) {
        Ok(()) => Ok(()),
        Err(error) => say(&format!(
            "(Cannot open a browser: {error}. Open it yourself.)"
        )),
    }
}

async fn paste(request: &AuthorizationRequest) -> Result<()> {
    loop {
        say("Paste the address at which the browser ends up, even if it shows an error there:")?;
        let mut address = String::new();
        if std::io::stdin().lock().read_line(&mut address)? == 0 {
            bail!("the login was given up");
        }
        match desk::exchange(request, &address).await {
            Ok(()) => return Ok(()),
            // Of another login, or mistyped: the right one may follow.
            Err(error) if !request.is_answered_by(&address) => say(&error.to_string())?,
            Err(error) => return Err(error.into()),
        }
    }
}

/// The tokens are in memory, and the old ones may be worth nothing by now: not given up lightly.
async fn store(account: &Account) -> Result<()> {
    say("The login worked, but the token store has not taken the tokens yet. Trying again ...")?;
    for _ in 1..ATTEMPTS_TO_STORE {
        if account.flush().await.is_ok() {
            return Ok(());
        }
        SystemClock.sleep(BETWEEN_ATTEMPTS).await;
    }
    Ok(account.flush().await?)
}

fn say(text: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}
