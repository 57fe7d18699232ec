//! Any sequence of mishaps, and after each what must hold (design, A1 to A11).

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::server::Serving;
use super::shelf::Mode;
use super::steps::{Step, kinds, steps};
use super::world::{Errand, Kind, World};
use crate::auth::cache::decision::Decision;
use crate::auth::cache::state::Need;
use crate::auth::testing::{PATIENT, SECOND};
use crate::auth::token::{Token, margin};
use crate::clock::{Clock, Moment, Now};
use crate::error::Recovery;

/// Of a default run; `PROPTEST_CASES` makes it longer.
const CASES: u32 = 256;
const SEED: u64 = 11;
const MOST_STEPS: usize = 60;
/// From the take-off of a flight, which is charged, to its request: lease and load.
const LONGEST_LEASE: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);
/// Longer than any back-off, `Retry-After` or pause between probes.
const LONG: Duration = Duration::from_secs(2 * 3_600);
/// Longer than any token lives.
const AGES: Duration = Duration::from_secs(400 * 86_400);
const REFUSED: Step = Step::Refuse {
    back: 0,
    certain: true,
};

impl World {
    pub(super) fn generation(&self) -> u64 {
        self.cache.shared.board.read().state.generation()
    }

    fn watermark(&self) -> u64 {
        self.cache.shared.board.read().state.watermark
    }

    /// What a request with any need would do now.
    pub(super) fn decision(&self) -> Decision {
        let posting = self.cache.shared.board.read();
        posting
            .state
            .decide(Need::Usable, self.clock.now(), Moment::ZERO)
    }

    /// By the server's own book: issued, not expired, and not refused.
    pub(super) fn has_usable(&self) -> bool {
        let Some(token) = self.present() else {
            return false;
        };
        let lives = token.generation() > self.watermark();
        lives && !is_expired(&self.server.serving(), &token, self.clock.now())
    }

    pub(super) fn check(&mut self, what: &str) {
        let mut found: Vec<String> = self.violations.drain(..).collect();
        found.append(&mut self.server.serving().violations);
        found.append(&mut self.shelf.shelved().violations);
        found.extend(self.check_rates());
        found.extend(self.check_usable());
        found.extend(self.check_offered());
        found.extend(self.check_waiters());
        assert!(found.is_empty(), "after {what}: {found:#?}");
    }

    /// A7.
    fn check_rates(&self) -> Option<String> {
        let serving = self.server.serving();
        let all = too_many(&serving.launches, 3, SECOND, Duration::ZERO)
            .map(|text| format!("A7: {text}"));
        all.or_else(|| {
            too_many(&self.forced(), 2, MINUTE, LONGEST_LEASE)
                .map(|text| format!("A7, forced: {text}"))
        })
    }

    /// A2, and A3: nothing but a refusal makes a token unusable.
    fn check_usable(&self) -> Option<String> {
        if self.watermark() > self.refused {
            return Some(format!("A3: {} was never refused", self.watermark()));
        }
        let used = matches!(self.decision(), Decision::Use | Decision::UseAndRefresh);
        let unused = self.has_usable() && !used;
        unused.then(|| format!("A2: usable, but {:?}", self.decision()))
    }

    /// A5: before a token is used, the store has been offered what came with it.
    fn check_offered(&self) -> Option<String> {
        let token = self.present()?;
        let serving = self.server.serving();
        let refresh_token = serving.issued.get(token.secret())?.successor.as_ref()?;
        let shelved = self.shelf.shelved();
        // Saves are serial, so that none overwrites a newer one; what a runtime took with it starts
        // again with the next renewal.
        let busy = shelved.saving > 0 || token.generation() <= self.torn_down;
        let offered = busy || shelved.offered.contains(refresh_token);
        let missing = self.kind.has_store() && !offered;
        missing.then(|| format!("A5: {refresh_token} was not offered to the store"))
    }

    /// A9, A10: a caller that joined a flight shares its result, or waits for the next attempt.
    fn check_waiters(&self) -> Option<String> {
        let joined = |caller: &super::world::Caller| caller.joined;
        let waits = self.is_refreshing() || self.backs_off();
        let left = !waits && self.callers.iter().any(joined);
        left.then(|| "A9: a waiter outlived its flight".into())
    }
}

fn is_expired(serving: &Serving, token: &Arc<Token>, now: Now) -> bool {
    let Some(issued) = serving.issued.get(token.secret()) else {
        return true;
    };
    // A token of another process is younger or older, by the clock that both can see.
    if !issued.ours {
        return token.times().is_expired(now);
    }
    issued.lifetime.is_some_and(|lifetime| {
        let left = lifetime - margin(lifetime);
        now.moment >= issued.sent.moment + left || now.wall >= issued.sent.wall + left
    })
}

/// In some span, more than the burst and one per `every`.
fn too_many(moments: &[Moment], burst: u32, every: Duration, slack: Duration) -> Option<String> {
    let last = *moments.last()?;
    let count = |since: Moment| moments.iter().filter(|moment| **moment >= since).count();
    let allowed = |since| f64::from(burst) + (last - since + slack).div_duration_f64(every);
    // Moments are whole nanoseconds.
    let excess = |since: &&Moment| count(**since) as f64 > allowed(**since) + 1e-6;
    let since = moments.iter().rev().take(100).find(excess)?;
    Some(format!("{} within {:?}", count(*since), last - *since))
}

/// Everything works again, and time goes on.
impl World {
    fn heal(&mut self) {
        self.shelf.be(Mode::Healthy);
        self.shelf.shelved().leased_to_other = false;
        self.shelf.other_dies();
        self.finish(2_000);
        self.check("healing");
        assert!(self.callers.is_empty(), "A10: somebody waits for ever");
    }

    /// A call in the healthy world: whether it got a token, or the account asks for a login.
    fn call(&mut self) -> Result<(), Recovery> {
        self.ask(Need::Usable, PATIENT);
        self.finish(2_000);
        assert!(self.callers.is_empty(), "A10: a call waits for ever");
        self.check("a call in the healthy world");
        match self.ended.pop() {
            Some((Errand::Token(_), Ok(Some(_)))) => Ok(()),
            Some((_, Err(error))) => Err(error.recovery()),
            other => panic!("{other:?}"),
        }
    }

    /// A10: nothing is stuck but a latch, and a latch has its reason and its end.
    fn end(&mut self) {
        self.heal();
        // What waits for its probe or the end of its back-off gets it.
        let mut got = self.call();
        for _ in 0..3 {
            if got.is_ok() {
                break;
            }
            self.pass(LONG);
            got = self.call();
        }
        match got {
            Ok(()) => self.check_kept(),
            Err(Recovery::LogIn) => self.log_in_again(),
            Err(other) => panic!("A10: still {other:?}"),
        }
    }

    /// A5: the account and its store hold what the server takes for good.
    fn check_kept(&mut self) {
        // A token of unknown expiry works until it is refused.
        let mut renewed = Ok(());
        for _ in 0..2 {
            self.pass(AGES);
            self.step(&REFUSED);
            self.finish(2_000);
            renewed = self.call();
        }
        if renewed == Err(Recovery::LogIn) && self.server.serving().doomed {
            return;
        }
        assert_eq!(renewed, Ok(()), "the next renewal");
        self.flush();
        self.finish(2_000);
        assert!(matches!(self.ended.pop(), Some((Errand::Flush, Ok(_)))));
        if self.kind.refreshes() && !self.server.serving().doomed {
            let current = self.server.serving().current.clone();
            let held = self
                .cache
                .shared
                .source
                .persistence
                .chain(|chain| chain.current());
            assert_eq!(held.map(|token| token.to_string()), current, "A5: held");
            if self.kind.has_store() && current.as_deref() != Some("r0") {
                assert_eq!(self.shelf.refresh_token(), current, "A5: stored");
            }
        }
    }

    fn log_in_again(&mut self) {
        assert!(self.server.serving().doomed, "A10: no reason to log in");
        if self.kind != Kind::Login {
            return;
        }
        self.log_in();
        self.finish(2_000);
        let ended = self.ended.pop();
        assert!(matches!(ended, Some((Errand::LogIn, Ok(_)))), "{ended:?}");
        self.call().expect("A10: the latch ends with a login");
        self.check_kept();
    }
}

pub(super) fn run(kind: Kind, forgiving: bool, steps: &[Step]) {
    let mut world = World::new(kind, forgiving);
    for (number, step) in steps.iter().enumerate() {
        let launches = world.server.requests();
        let passive = is_passive(step);
        world.step(step);
        world.check(&format!("step {number}, {step:?}"));
        let asked = world.server.requests() - launches;
        assert!(!passive || asked == 0, "A6: {step:?} asks {asked} times");
    }
    world.end();
}

/// Who goes away, sets a clock or changes the store starts nothing.
fn is_passive(step: &Step) -> bool {
    matches!(
        step,
        Step::Cancel(_)
            | Step::OtherTouches
            | Step::OtherRenews
            | Step::OtherMarks
            | Step::OtherCloses
            | Step::OtherDies(_)
            | Step::Empty
            | Step::Invalidate
    )
}

/// The suite repeats its worlds; a run that asks for more gets others each time.
fn seed() -> RngSeed {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => RngSeed::Random,
        None => RngSeed::Fixed(SEED),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        rng_seed: seed(),
        ..ProptestConfig::with_cases(CASES)
    })]

    #[test]
    fn whatever_happens_in_whatever_order_the_invariants_hold(
        kind in kinds(),
        forgiving in any::<bool>(),
        steps in steps(MOST_STEPS),
    ) {
        run(kind, forgiving, &steps);
    }
}
