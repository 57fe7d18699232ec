//! What the limiter makes of servers that tell their limits: many random worlds, and a table of
//! what came of them. `--help` names the options; `TOLLGATE_EVIDENCE_WORLD=seed` shows one world.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used
)] // Its output.

#[path = "../tests/evidence/run.rs"]
mod run;
#[path = "../tests/evidence/server.rs"]
mod server;
#[path = "../tests/evidence/world.rs"]
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::{Parser, ValueEnum};

use run::{Outcome, run};
use server::Kind;
use world::{Variant, World};

#[derive(Parser)]
struct Options {
    /// How many worlds a side
    #[arg(long, default_value_t = 400)]
    worlds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, value_enum)]
    side: Option<Side>,
    #[arg(long, value_enum, default_value = "plain")]
    variant: VariantName,
    /// Shows the worlds that went worst
    #[arg(long)]
    list: bool,
    /// cargo bench says so
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Side {
    Configured,
    Nothing,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum VariantName {
    Plain,
    Nonsense,
    EveryFew,
    TwoEndpoints,
}

fn main() {
    let options = Options::parse();
    let variant = match options.variant {
        VariantName::Plain => Variant::Plain,
        VariantName::Nonsense => Variant::Nonsense,
        VariantName::EveryFew => Variant::EveryFew,
        VariantName::TwoEndpoints => Variant::TwoEndpoints,
    };
    let sides = [Side::Configured, Side::Nothing];
    for side in sides
        .into_iter()
        .filter(|side| options.side.is_none_or(|only| only == *side))
    {
        let is_configured = side == Side::Configured;
        if let Ok(seed) = std::env::var("TOLLGATE_EVIDENCE_WORLD") {
            let world = World::new(seed.parse().unwrap(), variant, is_configured);
            println!("{world:#?}");
            println!(
                "{:?}",
                run(
                    &world,
                    std::env::var("FIRST").map_or(400, |n| n.parse().unwrap())
                )
            );
            continue;
        }
        let runs = runs(&options, variant, is_configured);
        report(side, &runs);
        if options.list {
            list(runs);
        }
    }
}

fn runs(options: &Options, variant: Variant, is_configured: bool) -> Vec<(World, Outcome)> {
    let (next, found) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= options.worlds {
                        break;
                    }
                    let world = World::new(options.seed + number, variant, is_configured);
                    let outcome = run(&world, 0);
                    found.lock().unwrap().push((world, outcome));
                }
            });
        }
    });
    found.into_inner().unwrap()
}

fn report(side: Side, runs: &[(World, Outcome)]) {
    let show = |name: &str, runs: &[&(World, Outcome)]| {
        let count = runs.len().max(1) as f64;
        let share = |is: fn(&Outcome) -> bool| {
            100.0 * runs.iter().filter(|(_, outcome)| is(outcome)).count() as f64 / count
        };
        let used = runs
            .iter()
            .map(|(_, outcome)| outcome.used.min(1.0))
            .sum::<f64>()
            / count;
        let rejected = runs
            .iter()
            .map(|(_, outcome)| outcome.rejected)
            .sum::<u64>();
        println!(
            "{side:10?} {name:22} n {:4} good {:5.1} <0.1 {:4.1} <0.3 {:4.1} <0.9 {:5.1} used {used:.3} \
             rejections {:8.2} none {:5.1} <=1 {:5.1}",
            runs.len(),
            share(Outcome::is_good),
            share(|outcome| outcome.used < 0.1),
            share(|outcome| outcome.used < 0.3),
            share(|outcome| outcome.used < 0.9),
            rejected as f64 / count,
            share(|outcome| outcome.rejected == 0),
            share(|outcome| outcome.rejected <= 1),
        );
    };
    show("all", &runs.iter().collect::<Vec<_>>());
    let is_large = |kind: fn(Kind) -> bool| {
        let of_kind = runs.iter().filter(|(world, _)| is_large(world, kind));
        of_kind.collect::<Vec<_>>()
    };
    show(
        "one exact, from 20",
        &is_large(|kind| kind != Kind::Counter),
    );
    show(
        "one counter, from 20",
        &is_large(|kind| kind == Kind::Counter),
    );
}

/// Whether the world has one limit, of at least 20 and of this kind.
fn is_large(world: &World, kind: fn(Kind) -> bool) -> bool {
    let [rule] = world.rules.as_slice() else {
        return false;
    };
    rule.limit >= 20 && kind(rule.kind)
}

fn list(mut runs: Vec<(World, Outcome)>) {
    let show = |(world, outcome): &(World, Outcome)| {
        let rules = world.rules.iter().map(|rule| {
            let flags = [
                (rule.floored, "floored"),
                (rule.next_free, "next"),
                (rule.counts_rejected, "counts"),
                (rule.tells_length, "w"),
            ];
            let flags: Vec<_> = flags
                .iter()
                .filter(|(is, _)| *is)
                .map(|(_, name)| *name)
                .collect();
            format!(
                "{:?} {}/{}s {}",
                rule.kind,
                rule.limit,
                rule.length,
                flags.join(",")
            )
        });
        println!(
            "  {:4} used {:.2} rejected {:4} of {:5} | {} | one name {} late {} | {} workers, {:.2}s | {:?}",
            world.seed,
            outcome.used,
            outcome.rejected,
            outcome.accepted,
            rules.collect::<Vec<_>>().join(" + "),
            world.one_name && world.rules.len() > 1,
            world.late,
            world.workers,
            world.round_trip,
            world.configured,
        );
    };
    runs.sort_by(|(_, one), (_, other)| one.used.total_cmp(&other.used));
    runs.iter().take(30).for_each(show);
    println!("  --");
    runs.sort_by_key(|(_, outcome)| std::cmp::Reverse(outcome.rejected));
    runs.iter().take(30).for_each(show);
}
