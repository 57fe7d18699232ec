//! A caller is polled after each event of the world, and dropped after k polls, for every k until
//! it completes: A1, A4, A6 and A9 hold, and what was under way ends as if it were still there.

use std::time::Duration;

use super::shelf::Mode;
use super::world::{Errand, Kind, World};
use crate::auth::cache::state::Need;
use crate::auth::testing::PATIENT;

const MOST_POLLS: usize = 500;

impl World {
    /// The next thing that happens, without anybody being polled.
    pub(super) fn next_event(&mut self) {
        if self.server.is_asked() {
            self.server.answer(&super::turning::WELL);
        } else if let Some(turn) = self.clock.next_turn() {
            self.clock.turn_to(turn);
        }
        self.run_tasks();
    }

    /// Polls the newest caller so often, and drops it; true if it had ended by then.
    pub(super) fn poll_so_often(&mut self, polls: usize) -> bool {
        let index = self.callers.len() - 1;
        for _ in 0..polls {
            if self.poll(index) {
                return true;
            }
            self.run_tasks();
            self.next_event();
        }
        let asked = (self.server.requests(), self.server.is_asked());
        drop(self.callers.remove(index));
        self.run_tasks();
        let still = (self.server.requests(), self.server.is_asked());
        assert_eq!(still, asked, "A6: dropped after {polls} polls");
        false
    }
}

/// Tries each number of polls until the caller ends by itself; gives how many that were.
pub(super) fn each_number(mut try_with: impl FnMut(usize) -> bool) -> usize {
    let ended = (0..MOST_POLLS).find(|&polls| try_with(polls));
    let most = ended.expect("it ends");
    assert!(most > 2, "dropped at {most} points only");
    most
}

fn slow(kind: Kind) -> World {
    let world = World::new(kind, false);
    world.shelf.be(Mode::Slow(1, true));
    world
}

/// Whatever was dropped: the next request gets its token of the flight under way, which has saved
/// what it brought.
fn goes_on(world: &mut World, requests: usize) {
    world.ask(Need::Usable, PATIENT);
    world.finish(MOST_POLLS);
    assert!(matches!(
        world.ended.last(),
        Some((Errand::Token(_), Ok(Some(_))))
    ));
    world.check("the next request");
    assert_eq!(world.server.requests(), requests);
    let current = world.server.serving().current.clone();
    assert_eq!(world.shelf.refresh_token(), current);
    assert!(!world.is_refreshing());
    // In the background, and less than it takes to run out.
    world.pass(Duration::from_secs(3));
    assert!(world.shelf.is_free(), "the lease is given back");
}

#[test]
fn whoever_began_a_flight_may_go_at_any_moment() {
    each_number(|polls| {
        let mut world = slow(Kind::Login);
        world.ask(Need::Usable, PATIENT);
        let ended = world.poll_so_often(polls);
        goes_on(&mut world, 1);
        ended
    });
}

#[test]
fn whoever_joined_a_flight_may_go_at_any_moment() {
    each_number(|polls| {
        let mut world = slow(Kind::Login);
        world.ask(Need::Usable, PATIENT);
        world.first_poll();
        world.run_tasks();
        world.ask(Need::Usable, PATIENT);
        let ended = world.poll_so_often(polls);
        world.finish(MOST_POLLS);
        assert!(matches!(world.ended.last(), Some((_, Ok(Some(_))))));
        goes_on(&mut world, 1);
        ended
    });
}

#[test]
fn whoever_was_refused_a_token_may_go_at_any_moment() {
    each_number(|polls| {
        let mut world = slow(Kind::Refresh { stored: true });
        world.ask(Need::Usable, PATIENT);
        world.finish(MOST_POLLS);
        let token = world.present().expect("a token");
        world.refused = token.generation();
        world.inside(|| world.cache.refused(&token, true));
        world.ask(Need::NewerThan(token.generation()), PATIENT);
        let ended = world.poll_so_often(polls);
        goes_on(&mut world, 2);
        ended
    });
}

#[test]
fn whoever_logs_in_may_go_at_any_moment_after_the_first() {
    each_number(|polls| {
        let mut world = slow(Kind::Login);
        world.log_in();
        let ended = world.poll_so_often(polls);
        goes_on(&mut world, 1);
        ended
    });
}

#[test]
fn whoever_flushes_may_go_at_any_moment() {
    each_number(|polls| {
        let mut world = slow(Kind::Login);
        world.ask(Need::Usable, PATIENT);
        world.first_poll();
        world.flush();
        let ended = world.poll_so_often(polls);
        goes_on(&mut world, 1);
        ended
    });
}
