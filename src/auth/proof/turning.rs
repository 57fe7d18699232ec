//! Turning the world: polling who is awake, running the account's tasks, letting time pass.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::Runtime;

use super::server::{Answer, TEN_MINUTES};
use super::world::{Caller, Errand, World, runtime};
use crate::auth::token::Token;
use crate::clock::Clock;

/// A caller that goes round and round without time passing.
const MOST_ROUNDS: usize = 100;

impl World {
    /// Polls that caller once; true if it has ended.
    pub(super) fn poll(&mut self, index: usize) -> bool {
        let _inside = self.runtime.as_ref().map(Runtime::enter);
        let caller = &mut self.callers[index];
        caller.awake.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(caller.awake.clone());
        match caller
            .future
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
        {
            Poll::Ready(outcome) => {
                let caller = self.callers.remove(index);
                if let Ok(Some(token)) = &outcome {
                    self.hand(token);
                }
                self.ended.push((caller.errand, outcome));
                true
            }
            Poll::Pending => false,
        }
    }

    fn hand(&mut self, token: &Arc<Token>) {
        let last = self.handed.last().map_or(0, |last| last.generation());
        if token.generation() > last {
            self.handed.push(token.clone());
        }
    }

    /// Polls the newest caller for the first time.
    pub(super) fn first_poll(&mut self) -> bool {
        let index = self.callers.len() - 1;
        let ended = self.poll(index);
        // Who waited for a login that fails goes again instead.
        let login = self.clock.now().moment < self.login_until;
        if !ended && !login && self.is_refreshing() {
            self.callers[index].joined = matches!(self.callers[index].errand, Errand::Token(_));
        }
        ended
    }

    /// Runs the account's own tasks until all of them wait.
    pub(super) fn run_tasks(&self) {
        if let Some(runtime) = &self.runtime {
            runtime.block_on(async {
                for _ in 0..4 {
                    tokio::task::yield_now().await;
                }
            });
        }
    }

    /// Until everybody waits for something that only a step can bring.
    pub(super) fn settle(&mut self) {
        for _ in 0..MOST_ROUNDS {
            self.run_tasks();
            let awake = |caller: &Caller| caller.awake.0.load(Ordering::Relaxed);
            let Some(index) = self.callers.iter().position(awake) else {
                return;
            };
            self.poll(index);
        }
        self.violations
            .push("A10: somebody goes round and round".into());
    }

    /// Time passes, from one sleeper to the next.
    pub(super) fn pass(&mut self, span: Duration) {
        let end = self.clock.now().moment + span;
        while let Some(turn) = self.clock.next_turn().filter(|turn| *turn <= end) {
            self.clock.turn_to(turn);
            self.settle();
        }
        self.clock.turn_to(end);
        self.settle();
    }

    /// To the next sleeper; false if nobody sleeps.
    pub(super) fn pass_to_next(&mut self) -> bool {
        let Some(turn) = self.clock.next_turn() else {
            return false;
        };
        self.clock.turn_to(turn);
        self.settle();
        true
    }

    /// The runtime ends, and all tasks with it; the callers come from another one.
    pub(super) fn tear_down(&mut self) {
        for caller in &mut self.callers {
            caller.joined = false;
        }
        self.torn_down = self.generation();
        self.server.serving().forget_refusals();
        drop(self.runtime.take());
        self.runtime = runtime();
        self.settle();
    }

    /// With an endpoint that answers well, until nobody waits (or `most` turns have passed).
    pub(super) fn finish(&mut self, most: usize) {
        for _ in 0..most {
            self.settle();
            if self.server.is_asked() {
                self.server.answer(&WELL);
            } else if self.callers.is_empty() || !self.pass_to_next() {
                return;
            }
        }
    }
}

pub(super) const WELL: Answer = Answer::Token {
    lifetime: TEN_MINUTES,
    rotated: true,
};
