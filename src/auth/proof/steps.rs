//! The steps that a world can take, and the strategies that draw them.

use std::time::Duration;

use proptest::prelude::*;

use super::server::Answer;
use super::shelf::Mode;
use super::world::{Errand, Kind, World};
use crate::auth::cache::state::Need;
use crate::auth::testing::{IMPATIENT, LIFETIMES, PATIENT};
use crate::clock::Clock;
use crate::observe::event::RejectionVerdict;
use crate::options::Patience;

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A request asks for a token; with so many seconds until its deadline, if any.
    Ask(Option<u16>),
    /// The same, without any patience.
    AskInPassing,
    /// The API refuses the token that is so many generations old, surely or perhaps.
    Refuse {
        back: u64,
        certain: bool,
    },
    /// A replay with the present token is refused; later a request with it succeeds.
    Exonerate,
    Answer(Answer),
    /// Milliseconds.
    Pass(u64),
    /// Seconds.
    SetWall(i64),
    /// That caller goes away.
    Cancel(usize),
    TearDown,
    Store(Mode),
    OtherRenews,
    OtherTouches,
    OtherLogsIn,
    OtherLeases(bool),
    /// Another process writes its mark.
    OtherMarks,
    /// It learns that no answer will come.
    OtherCloses,
    /// It dies before its answer; true: the server had acted.
    OtherDies(bool),
    /// The right is a lock, from which the death of its holder is known.
    Lock(bool),
    /// The store comes back without its contents.
    Empty,
    LogIn,
    Invalidate,
    Flush,
}

pub(super) fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        1 => any::<bool>().prop_map(|stored| Kind::Client { stored }),
        1 => Just(Kind::Refresh { stored: false }),
        2 => Just(Kind::Refresh { stored: true }),
        2 => Just(Kind::Login),
    ]
}

pub(super) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..most)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop_oneof![Just(None), (0..100_u16).prop_map(Some)].prop_map(Step::Ask),
        2 => Just(Step::AskInPassing),
        4 => (prop_oneof![3 => Just(0), 1 => 0..4_u64], any::<bool>())
            .prop_map(|(back, certain)| Step::Refuse { back, certain }),
        1 => Just(Step::Exonerate),
        8 => answer().prop_map(Step::Answer),
        6 => millis().prop_map(Step::Pass),
        1 => (-4_000..4_000_i64).prop_map(Step::SetWall),
        2 => (0..8_usize).prop_map(Step::Cancel),
        1 => Just(Step::TearDown),
        3 => store().prop_map(Step::Store),
        1 => Just(Step::OtherRenews),
        1 => Just(Step::OtherTouches),
        1 => Just(Step::OtherLogsIn),
        1 => any::<bool>().prop_map(Step::OtherLeases),
        2 => Just(Step::OtherMarks),
        1 => Just(Step::OtherCloses),
        1 => any::<bool>().prop_map(Step::OtherDies),
        1 => any::<bool>().prop_map(Step::Lock),
        1 => Just(Step::Empty),
        1 => Just(Step::LogIn),
        1 => Just(Step::Invalidate),
        1 => Just(Step::Flush),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        8 => (0..LIFETIMES.len(), any::<bool>())
            .prop_map(|(lifetime, rotated)| Answer::Token { lifetime, rotated }),
        1 => Just(Answer::Salvage),
        2 => Just(Answer::Failing),
        1 => Just(Answer::Garbage),
        1 => (0..5_000_u16).prop_map(Answer::Throttled),
        1 => Just(Answer::NotSent),
        2 => any::<bool>().prop_map(|seen| Answer::Lost { seen }),
        1 => Just(Answer::InvalidGrant),
        1 => Just(Answer::InvalidClient),
    ]
}

fn millis() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => 1..2_000_u64,
        2 => 2_000..60_000_u64,
        2 => 60_000..700_000_u64,
        1 => 700_000..10_000_000_u64,
    ]
}

fn store() -> impl Strategy<Value = Mode> {
    prop_oneof![
        3 => Just(Mode::Healthy),
        2 => Just(Mode::Failing),
        1 => Just(Mode::FailingLate),
        2 => (prop_oneof![0..12_u16, Just(3), Just(30)], any::<bool>()).prop_map(|(seconds, first)| Mode::Slow(seconds, first)),
        1 => Just(Mode::Stuck),
    ]
}

impl World {
    pub(super) fn step(&mut self, step: &Step) {
        match step {
            Step::Ask(left) => self.ask_and_poll(Need::Usable, self.patience(*left)),
            Step::AskInPassing => self.ask_and_poll(Need::Usable, IMPATIENT),
            Step::Refuse { back, certain } => self.refuse(*back, *certain),
            Step::Exonerate => self.exonerate(),
            Step::Answer(answer) => {
                self.server.answer(answer);
            }
            Step::Pass(millis) => self.pass(Duration::from_millis(*millis)),
            Step::SetWall(seconds) => self.clock.set_wall(*seconds),
            Step::Cancel(index) if *index < self.callers.len() => {
                drop(self.callers.remove(*index));
            }
            Step::Cancel(_) => {}
            Step::TearDown => self.tear_down(),
            Step::Store(mode) => self.shelf.be(*mode),
            // In a store that was emptied others only log in, before ours has looked: what else
            // they do there can be told from a restored copy by the wall clock alone.
            Step::OtherRenews | Step::OtherTouches | Step::OtherMarks
                if self.shelf.is_emptied() => {}
            Step::OtherRenews if self.kind.has_store() => {
                self.shelf.other_renews(&self.server, self.kind.refreshes());
            }
            Step::OtherTouches => {
                // Its access token is adopted, and with it the hope in its refresh token.
                self.server.serving().forget_refusals();
                self.shelf.other_touches();
            }
            // Of two logins at once, or while the store is down, the account cannot know which
            // came last.
            Step::OtherLogsIn
                if self.kind == Kind::Login && !self.has_unsaved() && !self.server.has_code() =>
            {
                self.shelf.other_logs_in(&self.server);
            }
            Step::OtherRenews | Step::OtherLogsIn => {}
            Step::OtherMarks if self.kind.refreshes() && self.kind.has_store() => {
                self.shelf.other_marks();
            }
            Step::OtherMarks => {}
            Step::OtherCloses => self.shelf.other_closes(),
            Step::OtherDies(acted) => {
                if self.shelf.other_dies() {
                    self.server.lose_for_other(*acted);
                }
            }
            Step::Lock(lock) => self.shelf.shelved().is_lock = *lock,
            Step::Empty => self.empty(),
            Step::OtherLeases(leases) => self.shelf.shelved().leased_to_other = *leases,
            Step::LogIn if self.kind == Kind::Login => {
                self.log_in();
                self.first_poll();
            }
            Step::LogIn => {}
            Step::Invalidate => {
                self.refused = self.refused.max(self.generation());
                self.cache.invalidate();
            }
            Step::Flush => {
                self.flush();
                self.first_poll();
            }
        }
        self.settle();
    }

    /// What the store alone had is lost.
    fn empty(&mut self) {
        let persistence = &self.cache.shared.source.persistence;
        let known = persistence.chain(|chain| chain.current());
        let stands = self.shelf.refresh_token();
        if stands.is_some() && known.map(|token| token.to_string()) != stands {
            self.server.serving().doomed = true;
        }
        self.shelf.empty();
    }

    fn has_unsaved(&self) -> bool {
        self.cache.shared.source.persistence.has_unsaved()
    }

    fn patience(&self, left: Option<u16>) -> Patience {
        let now = self.clock.now().moment;
        let deadline = left.map(|left| now + Duration::from_secs(left.into()));
        Patience {
            deadline,
            ..PATIENT
        }
    }

    pub(super) fn ask_and_poll(&mut self, need: Need, patience: Patience) {
        self.ask(need, patience);
        let usable = need == Need::Usable && self.has_usable();
        let served = self.first_poll();
        let last = self.ended.last();
        let errand = Errand::Token(need);
        let well = served && matches!(last, Some((of, Ok(Some(_)))) if *of == errand);
        if usable && !well {
            let text = format!("A2, A8: a usable token is there, and a request got {last:?}");
            self.violations.push(text);
        }
    }

    /// As the layer does it: judge the refusal, and ask for a newer token where that may cure it.
    fn refuse(&mut self, back: u64, certain: bool) {
        let handed = self.handed.iter().rev();
        let Some(token) = handed.clone().nth(back as usize).cloned() else {
            return;
        };
        let newer = self.generation() > token.generation();
        let before = self.decision();
        let verdict = self.inside(|| self.cache.refused(&token, certain));
        if newer && (verdict != RejectionVerdict::Superseded || self.decision() != before) {
            let text = format!("A3: {} hurts {}", token.generation(), self.generation());
            self.violations.push(text);
        }
        if matches!(
            verdict,
            RejectionVerdict::Renew | RejectionVerdict::Superseded
        ) {
            self.refused = self.refused.max(token.generation());
            self.ask_and_poll(Need::NewerThan(token.generation()), PATIENT);
        }
    }

    fn exonerate(&mut self) {
        let Some(token) = self.present() else {
            return;
        };
        token
            .evidence()
            .note_refused_replay(self.clock.now().moment);
        self.pass(Duration::from_millis(1));
        let started = self.clock.now().moment;
        self.pass(Duration::from_millis(1));
        token
            .evidence()
            .note_success(started, self.clock.now().moment);
    }
}
