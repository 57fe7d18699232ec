//! Two hundred accounts of more than twenty distributors in one process: one pool of connections,
//! and nobody waits for another's trouble.

// Tests may panic, and wait.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

#[path = "common/sample.rs"]
mod sample;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use reqwest_tollgate::sandbox::{Fault, Manners, Sandbox};
use reqwest_tollgate::{Account, Config, Error, ErrorKind};
use toml::Table;

/// Of each account of the sample file.
const COPIES: usize = 8;
/// Nothing here takes long; only what would never end is cut off.
const FOR_EVER: Duration = Duration::from_secs(120);

/// The accounts of one vendor, and the sandbox that plays it.
struct Vendor {
    manners: Manners,
    sandbox: Sandbox,
    names: Vec<String>,
}

impl Vendor {
    fn has_tokens(&self) -> bool {
        self.manners.token_endpoint().is_some()
    }
}

struct World {
    vendors: Vec<Vendor>,
    accounts: BTreeMap<String, Account>,
    pool: Client,
}

impl World {
    /// Every account of the sample file that needs no person, so many times; and one more of some.
    async fn new(troubled: &[(&str, &str)]) -> Self {
        let mut tables = Table::new();
        let mut vendors = Vec::new();
        for (name, table, distributor) in sample::accounts() {
            if table.contains_key("grant") {
                continue;
            }
            let numbers = (0..COPIES).map(|number| format!("{name}-{number}"));
            let mut all: Vec<Vec<String>> = vec![numbers.collect()];
            let own = troubled.iter().filter(|(of, _)| *of == name);
            all.extend(own.map(|(_, name)| vec![(*name).to_owned()]));
            for names in all {
                let manners = sample::manners(&distributor, &table);
                let sandbox = Sandbox::builder().manners(manners).start().await.unwrap();
                let table = sample::at_the_sandbox(table.clone(), &distributor, &sandbox);
                for name in &names {
                    tables.insert(name.clone(), table.clone().into());
                }
                vendors.push(Vendor {
                    manners,
                    sandbox,
                    names,
                });
            }
        }
        let pool = Client::new();
        let whole = Table::from_iter([("accounts".to_owned(), tables.into())]);
        let config: Config = whole.try_into().unwrap();
        let accounts = config.token_client(pool.clone()).build().unwrap();
        Self {
            vendors,
            accounts,
            pool,
        }
    }

    fn vendor(&self, name: &str) -> &Vendor {
        let mut vendors = self.vendors.iter();
        vendors.find(|vendor| vendor.names == [name]).unwrap()
    }

    fn client(&self, name: &str) -> ClientWithMiddleware {
        let builder = ClientBuilder::new(self.pool.clone());
        self.accounts[name].attach(builder).build()
    }

    /// One request with the credentials of this account.
    fn ask(&self, vendor: &Vendor, name: &str) -> impl Future<Output = Result<u16, Error>> + use<> {
        let url = vendor.manners.path().replace("{part}", "LM358P");
        let url = vendor.sandbox.url().join(&url).unwrap();
        let mut request = self.client(name).request(vendor.manners.method(), url);
        if let Some((media_type, body)) = vendor.manners.body() {
            request = request.header(CONTENT_TYPE, media_type).body(body);
        }
        async move {
            match request.send().await {
                Ok(answer) => {
                    let status = answer.status().as_u16();
                    answer.bytes().await.unwrap();
                    Ok(status)
                }
                Err(error) => Err(Error::find(&error).expect("ours").clone()),
            }
        }
    }

    /// Everybody who has no trouble, at once.
    async fn ask_all(&self) {
        let healthy = self.vendors.iter().filter(|vendor| vendor.names.len() > 1);
        let asked = healthy.flat_map(|vendor| {
            let names = vendor.names.iter();
            names.map(move |name| async move { (name, self.ask(vendor, name).await) })
        });
        for (name, answer) in join_all(asked).await {
            assert_eq!(answer.map_err(|error| error.to_string()), Ok(200), "{name}");
        }
    }
}

async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_hanging_token_endpoint_and_spent_quotas_hold_nobody_else_up() {
    let world = World::new(&[
        ("digikey", "hung"),
        ("mouser", "paused"),
        ("sager", "spent"),
    ])
    .await;
    let [hung, paused, spent] = ["hung", "paused", "spent"].map(|name| world.vendor(name));
    hung.sandbox
        .inject(Fault::TokenSlow(Duration::from_secs(3600)));
    paused.sandbox.inject(Fault::RateLimited(1));
    spent.sandbox.inject(Fault::QuotaSpent(1));
    let hangs = tokio::spawn(world.ask(hung, "hung"));
    let waits = tokio::spawn(world.ask(paused, "paused"));
    until(|| hung.sandbox.counters().token_requests == 1).await;
    until(|| paused.sandbox.counters().injected == 1).await;

    let others = tokio::time::timeout(FOR_EVER, world.ask_all());
    others.await.expect("nobody is held up");
    assert!(!hangs.is_finished() && !waits.is_finished());
    let error = world.ask(spent, "spent").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
    assert_eq!(hung.sandbox.counters().requests, 0);
    hangs.abort();
    waits.abort();
}

#[tokio::test]
async fn two_hundred_accounts_share_one_pool_of_connections() {
    let world = World::new(&[]).await;
    assert!(world.accounts.len() >= 200, "{}", world.accounts.len());
    assert!(world.vendors.len() > 20);
    // One after another, for a token and an answer each: whoever had connections of its own, for
    // either, could not use what the one before has left, and the vendor would see another.
    for vendor in &world.vendors {
        for name in &vendor.names {
            let answer = world.ask(vendor, name).await;
            assert_eq!(answer.map_err(|error| error.to_string()), Ok(200), "{name}");
        }
        let counters = vendor.sandbox.counters();
        let tokens = if vendor.has_tokens() { COPIES } else { 0 };
        assert_eq!(counters.token_requests as usize, tokens, "{counters:?}");
        // A second one, where the first had not come back into the pool.
        assert!(counters.connections <= 2, "{counters:?}");
    }
    world.ask_all().await;
    for vendor in &world.vendors {
        let counters = vendor.sandbox.counters();
        assert_eq!(counters.answered as usize, 2 * COPIES, "{counters:?}");
        assert_eq!(counters.rejected_401, 0, "{counters:?}");
        assert!(counters.connections as usize <= COPIES, "{counters:?}");
    }
}
