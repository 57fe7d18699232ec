//! The crate and its peers against the same simulated servers, under paused time.
//!
//!     cargo run --release --manifest-path benches/peers/Cargo.toml --bin simulator -- \
//!         --table --seed 101 --seeds 6
//!
//! prints the rows of the table in `benches/README.md`; without `--table` any scenario runs once
//! for each client and seed, one JSON line each (`--help`).

mod rivals;
#[path = "../../../tests/simulation/mod.rs"]
mod simulation;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use clap::Parser;

use rivals::{Rival, client};
use simulation::{Outcome, Scenario};

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    scenario: Scenario,
    /// All rows of the table, with these seeds each
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
    // Other peers have reqwest leave its cryptography to the program.
    let provider = rustls::crypto::ring::default_provider();
    provider.install_default().expect("the first");
    if arguments.table {
        table(&arguments.scenario);
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

fn table(seeds: &Scenario) {
    println!(
        "| scenario | client | rejections | after warm-up | utilisation | of ideal | fairness \
         | others rejected |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let rows = ROWS.into_iter();
    let scenarios = rows.flat_map(|row| SERVERS.map(|server| row.replace("{}", server)));
    let cells: Vec<_> = scenarios
        .flat_map(|scenario| Rival::ALL.map(|rival| (scenario.clone(), rival)))
        .collect();
    let next = AtomicUsize::new(0);
    let lines = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((scenario, rival)) = cells.get(index) else {
                        break;
                    };
                    let line = line(scenario, *rival, seeds);
                    lines.lock().unwrap().insert(index, line);
                }
            });
        }
    });
    for line in lines.into_inner().unwrap().values() {
        println!("{line}");
    }
}

fn line(arguments: &str, rival: Rival, seeds: &Scenario) -> String {
    let (seed, seeds) = (seeds.seed, seeds.seeds);
    let scenario = Scenario::of(&format!("{arguments} --seed {seed} --seeds {seeds}"));
    let outcomes = outcomes(&scenario, rival);
    let outcomes: Vec<_> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
    let (name, cells) = (rival.name(), cells(&outcomes));
    let of_others = match scenario.outside > 0.0 {
        true => format!(
            "{:.1} %",
            mean(&outcomes, |outcome| outcome.outside_rejected)
        ),
        false => "–".to_owned(),
    };
    format!("| `{arguments}` | {name} | {cells} | {of_others} |")
}

fn cells(outcomes: &[Outcome]) -> String {
    let range = |of: fn(&Outcome) -> usize| {
        let all = || outcomes.iter().map(of);
        format!("{}–{}", all().min().unwrap_or(0), all().max().unwrap_or(0))
    };
    format!(
        "{} | {} | {:.1} % | {:.1} % | {:.1}",
        range(|outcome| outcome.rejections),
        range(|outcome| outcome.late_rejections),
        mean(outcomes, |outcome| outcome.utilisation),
        mean(outcomes, |outcome| outcome.utilisation / outcome.ideal),
        mean(outcomes, |outcome| outcome.fairness) / 100.0,
    )
}

/// In per cent.
fn mean(outcomes: &[Outcome], of: impl Fn(&Outcome) -> f64) -> f64 {
    100.0 * outcomes.iter().map(of).sum::<f64>() / outcomes.len() as f64
}
