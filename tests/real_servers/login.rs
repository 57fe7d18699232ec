//! A person who logs in at oidc-provider, by way of the example's listener.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use reqwest_tollgate::{
    Account, BoxError, Clock as _, ErrorKind, Grant, JwtBearer, MemoryStore, Record, Recovery,
    Swap, SystemClock, TokenStore,
};

use crate::client;
use crate::listener::Listener;
use crate::node::Server;

/// Someone with a browser: keeps cookies, fills in forms, follows redirects one at a time.
struct Person {
    client: Client,
    cookies: BTreeMap<String, String>,
}

/// What they do when asked.
#[derive(Clone, Copy, PartialEq)]
enum Wish {
    Agree,
    Deny,
}

impl Person {
    fn new() -> Result<Self> {
        let client = Client::builder().redirect(Policy::none()).build()?;
        let cookies = BTreeMap::new();
        Ok(Self { client, cookies })
    }

    async fn send(&mut self, request: reqwest::RequestBuilder) -> Result<Response> {
        let cookies = self.cookies.iter();
        let cookies: Vec<_> = cookies
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let response = request.header(COOKIE, cookies.join("; ")).send().await?;
        for cookie in response.headers().get_all(SET_COOKIE) {
            let pair = cookie.to_str()?.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').context("a cookie")?;
            match value {
                "" => self.cookies.remove(name),
                value => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        Ok(response)
    }

    /// From the first address to the one outside of `server`, which is not opened.
    async fn walk(&mut self, server: &str, begin: &Url, wish: Wish) -> Result<Url> {
        let mut url = begin.clone();
        for _ in 0..12 {
            if !url.as_str().starts_with(server) {
                return Ok(url);
            }
            let response = self.open(&url, wish).await?;
            let location = response.headers().get(LOCATION);
            let location = location.with_context(|| format!("{} at {url}", response.status()))?;
            url = url.join(location.to_str()?)?;
        }
        anyhow::bail!("the login goes on and on: {url}")
    }

    async fn open(&mut self, url: &Url, wish: Wish) -> Result<Response> {
        let asks = url.path().starts_with("/interaction/");
        if asks && wish == Wish::Deny {
            let abort = format!("{url}/abort");
            return self.send(self.client.get(abort)).await;
        }
        if !asks {
            return self.send(self.client.get(url.clone())).await;
        }
        let page = self
            .send(self.client.get(url.clone()))
            .await?
            .text()
            .await?;
        let prompt = if page.contains(r#"value="login""#) {
            "login"
        } else {
            "consent"
        };
        let form = [("prompt", prompt), ("login", "alice"), ("password", "x")];
        self.send(self.client.post(url.clone()).form(&form)).await
    }
}

/// A store that remembers every refresh token that it was given.
#[derive(Clone)]
struct Spy(MemoryStore, Arc<Mutex<Vec<String>>>);

impl Spy {
    fn new() -> Self {
        Self(MemoryStore::new(), Arc::default())
    }

    fn refresh_tokens(&self) -> Vec<String> {
        self.seen().clone()
    }

    fn seen(&self) -> MutexGuard<'_, Vec<String>> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl TokenStore for Spy {
    async fn load(&self, key: &str) -> Result<Option<Record>, BoxError> {
        self.0.load(key).await
    }

    async fn compare_and_swap(
        &self,
        key: &str,
        expected: Option<u64>,
        new: &Record,
    ) -> Result<Swap, BoxError> {
        let tokens: serde_json::Value = serde_json::from_slice(&new.bytes)?;
        let token = tokens["refresh_token"].as_str().unwrap_or_default();
        // The proof of the store and the marks of presentations repeat what stands there.
        let before = self.seen().last().cloned().unwrap_or_default();
        if token != before {
            self.seen().push(token.to_owned());
        }
        self.0.compare_and_swap(key, expected, new).await
    }
}

fn account(server: &Server, store: Spy) -> Result<Account> {
    // Free now, and most likely still when the listener takes it.
    let port = std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port();
    let redirect_uri = format!("http://127.0.0.1:{port}/cb");
    let builder = Account::builder("oidc", server.url())
        .authorization_url("auth?prompt=consent")
        .token_url("token")
        .revocation_url("token/revocation")
        .issuer(server.url())
        .client_id("native")
        .scope("openid offline_access")
        .grant(Grant::authorization_code(redirect_uri))
        .token_store(store);
    Ok(builder.build()?)
}

/// Logs in or tries to; the page that the person sees at the end, and what the example tells.
async fn log_in(server: &Server, account: &Account, wish: Wish) -> Result<(String, Result<()>)> {
    let request = Arc::new(account.authorization_request()?);
    let listener = Listener::bind(&request).await?.context("a listener")?;
    let listening = tokio::spawn(listener.log_in(request.clone(), pending()));
    let mut person = Person::new()?;
    let end = person.walk(server.url(), request.url(), wish).await?;

    let mut forged = end.clone();
    forged.set_query(Some("code=stolen&state=guessed"));
    // From here on they are sent on to pages whose address holds no code.
    let browser = Client::new();
    let page = browser.get(forged).send().await?;
    ensure!(page.status() == 400, "a forged address");
    ensure!(
        page.text()
            .await?
            .contains("its state is that of another login")
    );
    let icon = browser.get(end.join("/favicon.ico")?).send().await?;
    ensure!(icon.status() == 404, "no end of the login");

    let page = browser.get(end).send().await?.text().await?;
    Ok((page, listening.await?))
}

#[tokio::test]
async fn a_person_logs_in_the_tokens_rotate_and_reuse_of_one_asks_for_a_login() -> Result<()> {
    let Some(server) = Server::start("oidc", &[("TOKEN_TTL", "60")])? else {
        return Ok(());
    };
    let store = Spy::new();
    let account = account(&server, store.clone())?;
    let error = account.warm_up().await.expect_err("nobody has logged in");
    assert_eq!(error.recovery(), Recovery::LogIn);

    let (page, ended) = log_in(&server, &account, Wish::Agree).await?;
    ended?;
    assert!(page.contains("You are logged in"), "{page}");
    let first = store.refresh_tokens();
    assert_eq!(first.len(), 1, "stored when the exchange returns");
    assert!(
        !page.contains(&first[0]) && !page.contains("code="),
        "{page}"
    );
    let url = format!("{}/api/orders", server.url());
    assert_eq!(client(&account).get(&url).send().await?.status(), 200);

    account.invalidate();
    account.warm_up().await?;
    assert_eq!(client(&account).get(&url).send().await?.status(), 200);
    let tokens = store.refresh_tokens();
    assert!(tokens.len() == 2 && tokens[0] != tokens[1], "it rotates");

    let thief = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &tokens[0]),
        ("client_id", "native"),
    ];
    let token_url = format!("{}/token", server.url());
    let reused = Client::new().post(token_url).form(&thief).send().await?;
    assert_eq!(reused.status(), 400, "the server revokes the whole family");
    // Token requests are limited to one a second, and this is the fourth.
    SystemClock.sleep(Duration::from_millis(1_500)).await;
    account.invalidate();
    let error = account.warm_up().await.expect_err("revoked");
    assert_eq!(error.kind(), ErrorKind::LoginRequired);

    let (_, again) = log_in(&server, &account, Wish::Agree).await?;
    again?;
    assert_eq!(client(&account).get(&url).send().await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn a_revoked_login_is_over_for_the_server_too() -> Result<()> {
    let Some(server) = Server::start("oidc", &[("TOKEN_TTL", "60")])? else {
        return Ok(());
    };
    let store = Spy::new();
    let account = account(&server, store.clone())?;
    log_in(&server, &account, Wish::Agree).await?.1?;
    account.revoke().await?;
    let error = account.warm_up().await.expect_err("revoked");
    assert_eq!(error.recovery(), Recovery::LogIn);
    let tokens = store.refresh_tokens();
    assert_eq!(
        tokens.last().map(String::as_str),
        Some(""),
        "forgotten in the store"
    );

    let kept = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &tokens[0]),
        ("client_id", "native"),
    ];
    let token_url = format!("{}/token", server.url());
    let answer = Client::new().post(token_url).form(&kept).send().await?;
    assert_eq!(answer.status(), 400);
    Ok(())
}

#[tokio::test]
async fn a_person_who_denies_sees_so_and_the_example_ends_with_it() -> Result<()> {
    let Some(server) = Server::start("oidc", &[])? else {
        return Ok(());
    };
    let account = account(&server, Spy::new())?;
    let (page, ended) = log_in(&server, &account, Wish::Deny).await?;
    assert!(
        page.contains("the login was denied (access_denied"),
        "{page}"
    );
    let error = ended.expect_err("denied");
    assert!(error.to_string().contains("denied"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_service_account_is_known_by_its_assertion() -> Result<()> {
    let Some(server) = Server::start("oidc", &[("TOKEN_TTL", "60")])? else {
        return Ok(());
    };
    let known = JwtBearer::hs256(
        "svc@project.example",
        "a secret of 32 bytes or more for HS256",
    );
    let unknown = JwtBearer::hs256("svc@project.example", "another secret of 32 bytes or more");
    let account = |assertion| {
        let builder = Account::builder("oidc", server.url()).token_url("token");
        // This server wants to know the client too, which authenticates itself by nothing else.
        let builder = builder.client_id("svc@project.example").scope("api");
        builder.grant(Grant::jwt_bearer(assertion)).build()
    };
    let account_of_known = account(known.key_id("key-1"))?;
    let url = format!("{}/api/sensors", server.url());
    assert_eq!(
        client(&account_of_known).get(&url).send().await?.status(),
        200
    );
    let error = account(unknown)?.warm_up().await.expect_err("another key");
    assert_eq!(error.kind(), ErrorKind::ClientRejected);
    Ok(())
}
