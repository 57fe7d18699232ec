//! The accounts of `examples/tollgate.toml`, at sandboxes instead of their vendors.

use reqwest_tollgate::sandbox::{Manners, Sandbox};
use toml::{Table, Value};

const FILE: &str = include_str!("../../examples/tollgate.toml");

/// The name, the table and the distributor of every account that has one.
pub(crate) fn accounts() -> Vec<(String, Table, String)> {
    let file: Table = FILE.parse().unwrap();
    let accounts = file["accounts"].as_table().unwrap().clone();
    let of_a_distributor = |(name, value): (String, Value)| {
        let table: Table = value.try_into().unwrap();
        let distributor = table.get("distributor")?.as_str()?.to_owned();
        Some((name, table, distributor))
    };
    accounts.into_iter().filter_map(of_a_distributor).collect()
}

/// What the sandbox's one customer has for a key of the file.
fn value(distributor: &str, key: &str) -> &'static str {
    match (distributor, key) {
        ("avnet", "scope") => "api://sandbox/.default",
        ("buerklin", "user") => "sandbox-user",
        ("avnet", "subscription_key")
        | ("buerklin", "password")
        | ("disruptive", "key_id")
        | ("element14", "api_key")
        | ("jlcpcb", "access_key") => Sandbox::KEY,
        ("tme_v1" | "tme_v2", "token") | ("lcsc", "api_key") => Sandbox::CLIENT_ID,
        (_, "account_id" | "app_id" | "client_id" | "company_id" | "customer_id") => {
            Sandbox::CLIENT_ID
        }
        (_, "email" | "login") => Sandbox::CLIENT_ID,
        _ => Sandbox::CLIENT_SECRET,
    }
}

/// The account, with the sandbox for its vendor and the secrets written out.
pub(crate) fn at_the_sandbox(mut table: Table, distributor: &str, sandbox: &Sandbox) -> Table {
    for (key, found) in table.iter_mut() {
        if found.get("env").is_some() {
            *found = value(distributor, key).into();
        }
    }
    table.insert("base_url".to_owned(), sandbox.url().as_str().into());
    if matches!(distributor, "disruptive" | "nexar") {
        let url = sandbox.token_url();
        table.insert("token_url".to_owned(), url.as_str().into());
    }
    table
}

pub(crate) fn manners(distributor: &str, table: &Table) -> Manners {
    let has_contract = table.contains_key("contract_secret");
    let name = match (distributor, has_contract) {
        ("element14", true) => "element14_contract",
        (name, _) => name,
    };
    Manners::of(name).unwrap()
}
