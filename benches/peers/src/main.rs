//! The crate beside others that do a part of the same, in one process and one run.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml [SCENARIO]
//! ```
//!
//! | scenario      | asks                                                                    |
//! |---------------|-------------------------------------------------------------------------|
//! | hot-path      | what a request costs on its way through the layers                      |
//! | endpoint-down | what 20 callers cost who wait for a token while the endpoint is down    |
//! | all-refused   | how many tokens are asked for when the API answers 401 whatever it gets |
//! | read-path     | what it costs to use a token that is there                              |
//! | cold-herd     | what 10 000 callers cost who come at once while there is no token       |
//!
//! Without a scenario all of them run.

mod all_refused;
mod cold_herd;
mod endpoint_down;
mod hot_path;
mod hot_path_04;
mod read_path;
mod tokens;

const SCENARIOS: [(&str, fn()); 5] = [
    ("hot-path", hot_path::run),
    ("endpoint-down", endpoint_down::run),
    ("all-refused", all_refused::run),
    ("read-path", read_path::run),
    ("cold-herd", cold_herd::run),
];

fn main() {
    let wanted = std::env::args().nth(1);
    let is_wanted = |name: &str| wanted.as_ref().is_none_or(|wanted| wanted == name);
    let chosen: Vec<_> = SCENARIOS
        .iter()
        .filter(|(name, _)| is_wanted(name))
        .collect();
    if chosen.is_empty() {
        let names = SCENARIOS.map(|(name, _)| name).join(", ");
        eprintln!("There is no such scenario; there are: {names}");
        std::process::exit(2);
    }
    let provider = rustls::crypto::ring::default_provider();
    provider.install_default().expect("the first");
    for (name, run) in chosen {
        println!("== {name}");
        run();
        println!();
    }
}
