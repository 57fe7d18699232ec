//! What many accounts cost: the time to build them from a configuration, and what each of them
//! holds in memory, idle and after a first request.
//!
//! ```sh
//! cargo bench --bench accounts
//! ```
//!
//! The accounts are those of `examples/tollgate.toml`, each many times over, at sandboxes that
//! behave as the vendors do. Memory is what this thread has allocated and not freed; the sandboxes
//! have threads of their own. The pool is warm before, so that no account pays for a connection.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)] // It is a program.

#[path = "../tests/common/sample.rs"]
mod sample;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use allocation_counter::{AllocationInfo, measure};
use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use reqwest_middleware::ClientBuilder;
use reqwest_tollgate::sandbox::{Manners, Sandbox};
use reqwest_tollgate::{Account, Config};
use tokio::runtime::{Builder, Runtime};
use toml::Table;

/// Of each account of the sample file that needs no person.
const COPIES: usize = 8;
/// The best of so many.
const ROUNDS: usize = 20;

struct Vendor {
    name: String,
    manners: Manners,
    sandbox: Sandbox,
    table: Table,
}

fn main() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let vendors = runtime.block_on(vendors());
    let pool = Client::new();
    let warm = accounts(&vendors, 1, &pool);
    ask_each(&runtime, &vendors, 1, &warm, &pool);

    let count = (vendors.len() * COPIES) as u64;
    println!("{count} accounts of {} kinds\n", vendors.len());
    time(&vendors, count, &pool);
    memory(&runtime, &vendors, count, &pool);
}

/// Without reading the file, which is the parser's affair.
fn time(vendors: &[Vendor], count: u64, pool: &Client) {
    let round = |_| {
        let config = config(vendors, COPIES);
        let begin = Instant::now();
        let built = config.token_client(pool.clone()).build().unwrap();
        let elapsed = begin.elapsed();
        drop(built);
        elapsed
    };
    let best: Duration = (0..ROUNDS).map(round).min().unwrap();
    let each = best.as_nanos() / u128::from(count);
    println!(
        "build: {best:?} in all, {:.1} µs for each",
        each as f64 / 1e3
    );
}

fn memory(runtime: &Runtime, vendors: &[Vendor], count: u64, pool: &Client) {
    let mut built = BTreeMap::new();
    let config = config(vendors, COPIES).token_client(pool.clone());
    let mut config = Some(config);
    let idle = measure(|| built = config.take().unwrap().build().unwrap());
    // The configuration was made before, and is gone now.
    let given = measure(|| config = Some(self::config(vendors, COPIES)));
    show(
        "idle",
        idle.bytes_current + given.bytes_current,
        idle.count_current + given.count_current,
        count,
    );
    println!(
        "      {} allocations to build each",
        idle.count_total / count
    );
    let AllocationInfo {
        bytes_current,
        count_current,
        ..
    } = measure(|| ask_each(runtime, vendors, COPIES, &built, pool));
    show(
        "after a first request, more",
        bytes_current,
        count_current,
        count,
    );
}

fn show(when: &str, bytes: i64, allocations: i64, count: u64) {
    let count = count as f64;
    println!(
        "{when}: {:.0} bytes in {:.1} allocations for each",
        bytes as f64 / count,
        allocations as f64 / count
    );
}

async fn vendors() -> Vec<Vendor> {
    let mut vendors = Vec::new();
    for (name, table, distributor) in sample::accounts() {
        if table.contains_key("grant") {
            continue;
        }
        let manners = sample::manners(&distributor, &table);
        let sandbox = Sandbox::builder().manners(manners).start().await.unwrap();
        let table = sample::at_the_sandbox(table, &distributor, &sandbox);
        vendors.push(Vendor {
            name,
            manners,
            sandbox,
            table,
        });
    }
    vendors
}

fn config(vendors: &[Vendor], copies: usize) -> Config {
    let mut tables = Table::new();
    for vendor in vendors {
        for copy in 0..copies {
            let name = format!("{}-{copy}", vendor.name);
            tables.insert(name, vendor.table.clone().into());
        }
    }
    let whole = Table::from_iter([("accounts".to_owned(), tables.into())]);
    whole.try_into().unwrap()
}

fn accounts(vendors: &[Vendor], copies: usize, pool: &Client) -> BTreeMap<String, Account> {
    let config = config(vendors, copies).token_client(pool.clone());
    config.build().unwrap()
}

/// One request by each, one after the other.
fn ask_each(
    runtime: &Runtime,
    vendors: &[Vendor],
    copies: usize,
    accounts: &BTreeMap<String, Account>,
    pool: &Client,
) {
    for vendor in vendors {
        let path = vendor.manners.path().replace("{part}", "LM358P");
        let url = vendor.sandbox.url().join(&path).unwrap();
        for copy in 0..copies {
            let account = &accounts[&format!("{}-{copy}", vendor.name)];
            let client = account.attach(ClientBuilder::new(pool.clone())).build();
            let mut request = client.request(vendor.manners.method(), url.clone());
            if let Some((media_type, body)) = vendor.manners.body() {
                request = request.header(CONTENT_TYPE, media_type).body(body);
            }
            runtime.block_on(async {
                let answer = request.send().await.unwrap();
                assert_eq!(answer.status(), 200, "{}", vendor.name);
                answer.bytes().await.unwrap();
            });
        }
    }
}
