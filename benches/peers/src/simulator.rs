//! The crate and its peers against the same simulated servers, under paused time.
//!
//!     cargo run --release --manifest-path benches/peers/Cargo.toml --bin simulator -- --table
//!
//! prints the rows of the table in `benches/README.md`; without `--table` any scenario runs once
//! for each client and seed, one JSON line each (`--help`).

mod rivals;
#[path = "../../../tests/simulation/mod.rs"]
mod simulation;

use clap::Parser;

use rivals::{Rival, client};
use simulation::{Outcome, Scenario};

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    scenario: Scenario,
    /// All rows of the table, six seeds each
    #[arg(long)]
    table: bool,
}

/// The scenarios of the table; `{}` is one of the servers.
const ROWS: [&str; 10] = [
    "--server {}",
    "--server {} --round-trip 2.5",
    "--server {} --tail 30",
    "--server {} --limit 10 --floored",
    "--server {} --headers never",
    "--server {} --headers on-rejection",
    "--server {} --pacing spread",
    "--server {} --limit 100 --configured 120 --workers 64",
    "--server {} --processes 4",
    "--server {} --outside 0.3",
];
const SERVERS: [&str; 4] = [
    "fixed-window",
    "sliding-log",
    "token-bucket",
    "sliding-counter",
];

fn main() {
    let arguments = Arguments::parse();
    if arguments.table {
        table();
        return;
    }
    for rival in Rival::ALL {
        for (seed, outcome) in outcomes(&arguments.scenario, rival) {
            let line = arguments.scenario.line(seed, &outcome);
            let rest = line.trim_start_matches('{');
            println!("{{\"client\":\"{}\",{rest}", rival.name());
        }
    }
}

fn outcomes(scenario: &Scenario, rival: Rival) -> Vec<(u64, Outcome)> {
    match rival {
        Rival::Tollgate => scenario.runs().collect(),
        rival => scenario
            .runs_of(&move |world| client(rival, world))
            .collect(),
    }
}

fn table() {
    println!("| scenario | client | rejections | after warm-up | utilisation | of ideal |");
    println!("|---|---|---|---|---|---|");
    for row in ROWS {
        for server in SERVERS {
            let arguments = row.replace("{}", server);
            let scenario = Scenario::of(&format!("{arguments} --seeds 6"));
            for rival in Rival::ALL {
                let outcomes: Vec<_> = outcomes(&scenario, rival)
                    .into_iter()
                    .map(|(_, outcome)| outcome)
                    .collect();
                println!(
                    "| `{arguments}` | {} | {} |",
                    rival.name(),
                    cells(&outcomes)
                );
            }
        }
    }
}

fn cells(outcomes: &[Outcome]) -> String {
    let range = |of: fn(&Outcome) -> usize| {
        let all = || outcomes.iter().map(of);
        format!("{}–{}", all().min().unwrap_or(0), all().max().unwrap_or(0))
    };
    let mean = |of: fn(&Outcome) -> f64| {
        100.0 * outcomes.iter().map(of).sum::<f64>() / outcomes.len() as f64
    };
    format!(
        "{} | {} | {:.1} % | {:.1} %",
        range(|outcome| outcome.rejections),
        range(|outcome| outcome.late_rejections),
        mean(|outcome| outcome.utilisation),
        mean(|outcome| outcome.utilisation / outcome.ideal),
    )
}
