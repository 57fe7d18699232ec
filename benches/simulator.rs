//! `cargo bench --bench simulator -- --help`: any scenario, one JSON line for each seed.

#![allow(clippy::print_stdout)] // Its output.

#[path = "../tests/simulation/mod.rs"]
mod simulation;

use clap::Parser;

fn main() {
    let scenario = simulation::Scenario::parse();
    for (seed, outcome) in scenario.runs() {
        println!("{}", scenario.line(seed, &outcome));
    }
}
