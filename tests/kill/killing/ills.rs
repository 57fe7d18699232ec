//! What else is wrong with a worker's world.

use std::path::PathBuf;
use std::time::Duration;

use reqwest_tollgate::{BoxFuture, Clock, Moment, Now, SystemClock};
use serde::{Deserialize, Serialize};

/// Nothing, by default.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Ills {
    /// How long each save takes.
    pub slow_saves: Duration,
    /// How long the first save of this process takes.
    pub slow_first_save: Duration,
    /// The store is down while this file is there.
    pub down_while: Option<PathBuf>,
    /// Its wall clock is set ahead and back by this much, again and again.
    pub clock_steps: Duration,
}

impl Ills {
    pub fn of_save(&self, number: usize) -> Duration {
        match number {
            0 => self.slow_saves.max(self.slow_first_save),
            _ => self.slow_saves,
        }
    }
}

/// The wall clock of a machine that somebody sets every two seconds: ahead, back, and right again.
pub struct Stepping {
    begun: Moment,
    step: Duration,
}

impl Stepping {
    pub fn by(step: Duration) -> Self {
        let begun = SystemClock.now().moment;
        Self { begun, step }
    }
}

impl Clock for Stepping {
    fn now(&self) -> Now {
        let mut now = SystemClock.now();
        match (now.moment - self.begun).as_secs() / 2 % 3 {
            0 => now.wall += self.step,
            1 => now.wall -= self.step,
            _ => {}
        }
        now
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(span)
    }
}
