//! The example `login` as a person uses it: the program itself, a real browser (headless chromium),
//! https with the certificate that it makes, and the login and consent pages of oidc-provider.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use reqwest_tollgate::{Account, Config, Recovery};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::client;
use crate::node::{Server, has, installed, skip};

/// A place of its own for a login: configuration, token store, server and pictures.
struct Scene {
    server: Server,
    folder: PathBuf,
}

impl Scene {
    /// None, after saying so, where there is no node or no chromium.
    fn set(name: &str, code_lifetime: &str) -> Result<Option<Self>> {
        if !has("chromium") {
            return skip("a login by a real browser", "chromium");
        }
        // Free now, and most likely still when the example takes it.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let redirect_uri = format!("https://localhost:{port}/digikey_callback");
        let environment = [
            ("TOKEN_TTL", "60"),
            ("CODE_TTL", code_lifetime),
            ("SHOP_REDIRECT_URI", &redirect_uri),
        ];
        let Some(server) = Server::start("oidc", &environment)? else {
            return Ok(None);
        };
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("login")
            .join(name);
        let _ = fs::remove_dir_all(&folder); // Of the last run.
        fs::create_dir_all(&folder)?;
        let scene = Self { server, folder };
        fs::write(scene.config(), scene.configuration(&redirect_uri))?;
        Ok(Some(scene))
    }

    fn config(&self) -> PathBuf {
        self.folder.join("tollgate.toml")
    }

    /// The vendor's preset, at another server.
    fn configuration(&self, redirect_uri: &str) -> String {
        let url = self.server.url();
        let tokens = self.folder.join("tokens");
        format!(
            r#"
[accounts.digikey]
distributor = "digikey"
base_url = "{url}"
authorization_url = "auth?prompt=consent"
token_url = "token"
issuer = "{url}"
scope = "openid offline_access"
client_id = "shop"
client_secret = "shop-secret"
grant = "authorization_code"
redirect_uri = "{redirect_uri}"
token_store = {{ directory = "{}" }}
"#,
            tokens.display()
        )
    }

    fn account(&self) -> Result<Account> {
        let config: Config = toml::from_str(&fs::read_to_string(self.config())?)?;
        config.build()?.remove("digikey").context("the account")
    }

    /// The example; the address that it prints; all that it prints until it awaits the browser.
    async fn start(&self) -> Result<(Child, String)> {
        let mut login = Command::new(example()?)
            .arg("--config")
            .arg(self.config())
            .args(["--account", "digikey", "--no-open", "--patience", "60"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(login.stdout.as_mut().context("piped")?).lines();
        let mut address = None;
        while let Some(line) = lines.next_line().await? {
            let line = line.trim();
            if line.starts_with(self.server.url()) {
                address = Some(line.to_owned());
            }
            if line.split(':').count() == 32 {
                // The fingerprint, which comes last.
                return Ok((login, address.context("the address comes first")?));
            }
        }
        anyhow::bail!("{:?}", login.wait_with_output().await?)
    }

    /// What the person saw at the end, and how the example ended.
    async fn log_in(&self, wish: &str) -> Result<(Value, Output)> {
        let (login, address) = self.start().await?;
        let person = Command::new("node")
            .arg("person.mjs")
            .args([&address, wish])
            .arg(self.folder.join("page"))
            .current_dir(installed("browser")?)
            .kill_on_drop(true)
            .output()
            .await?;
        let complaint = String::from_utf8_lossy(&person.stderr);
        ensure!(person.status.success(), "the browser: {complaint}");
        let seen: Value = serde_json::from_slice(&person.stdout)?;
        check_page(&seen)?;
        Ok((seen, login.wait_with_output().await?))
    }
}

/// `cargo test` builds the tests of an example that has some, and not the example itself.
fn example() -> Result<PathBuf> {
    static BUILT: Mutex<bool> = Mutex::new(false);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let target = temporary.parent().context("the target directory")?;
    if !*built {
        let status = std::process::Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--example", "login", "--target-dir"])
            .arg(target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()?;
        ensure!(status.success(), "cargo build --example login: {status}");
        *built = true;
    }
    Ok(target.join("debug/examples/login"))
}

/// What holds for the last page, whatever it says.
fn check_page(seen: &Value) -> Result<()> {
    let text = |name: &str| seen[name].as_str().unwrap_or_default();
    for secret in ["code=", "state=", "alice"] {
        ensure!(!text("url").contains(secret), "{seen}");
        ensure!(!text("html").contains(secret), "{seen}");
        let history = seen["history"].to_string();
        let callback = "digikey_callback?";
        ensure!(
            !history.contains(&format!("{callback}{secret}")),
            "{history}"
        );
    }
    let header = |name: &str| seen["headers"][name].as_str().unwrap_or_default();
    ensure!(header("cache-control") == "no-store", "{seen}");
    ensure!(header("referrer-policy") == "no-referrer", "{seen}");
    ensure!(
        text("background") == "center",
        "the policy lets the style in: {seen}"
    );
    Ok(())
}

fn text<'a>(seen: &'a Value, name: &str) -> &'a str {
    seen[name].as_str().unwrap_or_default()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_person_logs_in_with_a_real_browser() -> Result<()> {
    let Some(scene) = Scene::set("agree", "60")? else {
        return Ok(());
    };
    // On the way, an address with another login's state: refused, and the login goes on.
    let (seen, output) = scene.log_in("forge").await?;
    assert!(text(&seen, "forged").contains("another login"), "{seen}");
    assert!(!text(&seen, "forgedAddress").contains("stolen"), "{seen}");
    assert!(
        told(&output).contains("another login; still waiting"),
        "{output:?}"
    );
    assert!(text(&seen, "text").contains("You are logged in"), "{seen}");
    assert_eq!(seen["status"], 200);
    assert!(output.status.success(), "{output:?}");

    // Another program finds the tokens, and needs nobody.
    let account = scene.account()?;
    let url = format!("{}/api/orders", scene.server.url());
    assert_eq!(client(&account).get(&url).send().await?.status(), 200);
    let stats = scene.server.stats().await?;
    assert_eq!(stats["tokens"], 1, "by the login alone: {stats}");

    account.invalidate();
    account.warm_up().await?;
    assert_eq!(client(&account).get(&url).send().await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn a_denial_in_a_real_browser_is_told_by_page_and_exit_code() -> Result<()> {
    let Some(scene) = Scene::set("deny", "60")? else {
        return Ok(());
    };
    let (seen, output) = scene.log_in("deny").await?;
    let why = "the login was denied (access_denied";
    assert!(text(&seen, "text").contains(why), "{seen}");
    assert_eq!(seen["status"], 400);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(told(&output).contains(why), "{output:?}");
    let error = scene
        .account()?
        .warm_up()
        .await
        .expect_err("nobody logged in");
    assert_eq!(error.recovery(), Recovery::LogIn);
    Ok(())
}

#[tokio::test]
async fn a_code_that_comes_too_late_from_a_real_browser_is_told_as_such() -> Result<()> {
    let Some(scene) = Scene::set("late", "2")? else {
        return Ok(());
    };
    let (seen, output) = scene.log_in("dawdle").await?;
    let why = "the code came too late";
    assert!(text(&seen, "text").contains(why), "{seen}");
    assert_eq!(seen["status"], 400);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(told(&output).contains(why), "{output:?}");
    Ok(())
}
