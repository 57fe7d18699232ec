//! Scenarios on the control state of a token: the board and all who change it, the flights, what
//! they announce, and the saving of what they bring. Each runs under thousands of schedules.
//!
//! Wrong is: two requests at the token endpoint at once, a generation or a watermark that goes
//! back, a result that not everybody gets, and a task that waits for ever (shuttle calls that a
//! deadlock).

mod caching;
mod evidence;
mod presenting;
mod saving;
mod shelf;
mod stub;
mod warmth;

pub use caching::*;
pub use evidence::*;
pub use presenting::*;
pub use saving::*;
pub use warmth::*;

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};

/// Any order, each as likely as the next.
const RANDOM_SCHEDULES: usize = 1_500;
/// Of a scenario in which time passes, which takes many more steps.
const LONG_SCHEDULES: usize = 400;
/// Orders that need few switches at the worst places, which random ones rarely hit.
const PCT_SCHEDULES: usize = 1_500;
const PCT_DEPTH: usize = 3;
/// The same schedules every time, so that a failure comes again.
const SEED: u64 = 7_662;
/// Of a task, in bytes. Shuttle's 32 KiB overflow under a flight that was not optimized.
const STACK: usize = 256 * 1_024;

/// Runs the scenario under all schedules.
pub(crate) fn explore(scenario: fn()) {
    explore_in(RANDOM_SCHEDULES, PCT_SCHEDULES, scenario);
}

/// Runs a scenario in which time passes.
pub(crate) fn explore_long(scenario: fn()) {
    explore_in(LONG_SCHEDULES, LONG_SCHEDULES, scenario);
}

fn explore_in(random: usize, pct: usize, scenario: fn()) {
    run(RandomScheduler::new_from_seed(SEED, random), scenario);
    let pct = PctScheduler::new_from_seed(SEED, PCT_DEPTH, pct);
    run(pct, scenario);
}

fn run(scheduler: impl Scheduler + 'static, scenario: fn()) {
    let mut config = Config::new();
    // That shuttle does not model orderings weaker than one sequence is said in `sync`.
    config.silence_warnings = true;
    config.stack_size = STACK;
    Runner::new(scheduler, config).run(move || {
        fastrand::seed(SEED);
        crate::sync::start_runtime();
        scenario();
    });
}

/// Waits for the end of all tasks of the runtime, and of the one before it: a right that is given
/// back at the end of an execution would take a lock that another task may hold for ever.
fn at_rest() {
    while crate::sync::running() > 0 || crate::sync::torn() > 0 {
        shuttle::thread::yield_now();
    }
}
