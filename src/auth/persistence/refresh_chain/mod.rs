//! Which refresh token comes next, and whether it may be presented now. Pure.
//!
//! A refresh token that is good for one use is spent by sending it, so what its answer brings must
//! have a place before it leaves. Several processes may share the login. Two things keep them from
//! spending one token twice:
//!
//! * the **right** to renew: the store's lease. It spares collisions and tells that its holder
//!   lives; it may be lost or granted twice.
//! * the **mark**: "this token is being presented", written into the record by one
//!   compare-and-swap. It is the lock, since no clock, no slow call and no lost lease can break it.
//!   It also proves that the store can be written.
//!
//! A mark is *open* until its holder says that no answer will come. An open mark belongs to its
//! holder; a closed one may be followed by anyone's next, after a back-off that all share.
//!
//! [`RefreshChain::next`] takes the first row that applies, and is asked again after every wait:
//!
//! | the chain                                                  | next step                       |
//! |------------------------------------------------------------|---------------------------------|
//! | the current refresh token was refused                      | [`Step::LogIn`]                 |
//! | the store does not have it yet                             | [`Step::Save`]                  |
//! | no right, or good for less than 2 s                        | [`Step::TakeRight`]             |
//! | the record was not read under this right                   | [`Step::Load`]                  |
//! | no refresh token is known                                  | [`Step::Begin`]                 |
//! | a closed mark, or ours whose answer is lost                | wait for its back-off, mark n+1 |
//! | an open mark of a process that is known to be dead         | wait 3 s, mark n+1              |
//! | an open mark of another, at a server with a grace period   | wait 3 s of it, mark n+1        |
//! | an open mark of another                                    | wait 75 s and for the expiry of |
//! |                                                            | the access token, mark n+1      |
//! | our open mark, not sent yet                                | [`Step::Present`]               |
//! | no mark                                                    | mark 1                          |
//!
//! After a failure an access token is used to its expiry, and a lost answer forbids nothing: if the
//! server acted on the request, the successor is lost to everyone, and if not, the token is good.
//! Only a decisive refusal ends a chain.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

use super::super::store::Record;
use super::record::{LoginPending, Mark, Parent, Tokens, Unreadable, mark_of, seconds, time};
use crate::clock::{Moment, Now};

/// How long a right lasts unless it is prolonged. Within the ten seconds or so for which lenient
/// servers forgive a repetition.
pub(crate) const LEASE: Duration = Duration::from_secs(8);
/// A request may leave only under a right that is good for this much longer.
const LEAST_RIGHT: Duration = Duration::from_secs(2);
/// A request of a dead process may be under way yet.
const SETTLE: Duration = Duration::from_secs(3);
/// How long a process that may live has for its answer: the longest request, its repetition, and
/// five seconds more.
pub(crate) const PATIENCE: Duration = Duration::from_secs(75);
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// Writes whose end is unknown; more than these cannot be under way.
const MOST_WRITES: usize = 64;
/// Marks of ours that may stand in the store although they are over.
const MOST_ENDED: usize = 16;

/// What the server and the user say about presenting a token twice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// For how long the server forgives a repetition; none: unknown.
    pub(crate) grace: Option<Duration>,
    /// For how long the open mark of a process that may live is left alone.
    pub(crate) patience: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            grace: None,
            patience: PATIENCE,
        }
    }
}

/// The refresh token of an account, from login to login.
pub(crate) struct RefreshChain {
    terms: Terms,
    has_store: bool,
    /// The record as last read or written, and its version.
    known: Option<Known>,
    /// The newest version ever read or written.
    newest: Option<u64>,
    /// A configured refresh token that the store does not have yet.
    fresh: Option<Tokens>,
    /// What the store does not have yet, with its number.
    unsaved: Option<(u64, Tokens)>,
    numbered: u64,
    /// The attempt to save that may land yet: of which number, over which version.
    attempt: Option<(u64, Option<u64>, String)>,
    /// Writes of ours whose end is unknown: over which version, and their ids.
    writes: VecDeque<(Option<u64>, String)>,
    found: Option<Found>,
    mine: Option<Mine>,
    /// Marks of ours before that one: what came of them is known here, if not in the store.
    ended: VecDeque<String>,
    right: Option<Right>,
    /// Presentations of the current refresh token that were not answered.
    lost: u32,
    /// The refresh token that was refused.
    refused: Option<String>,
}

struct Known {
    version: u64,
    tokens: Tokens,
    /// How old it was by the store's clock, and when.
    age: Option<(Duration, Moment)>,
}

/// A mark of another process.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    id: String,
    open: bool,
    first_seen: Moment,
}

/// A mark of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mine {
    id: String,
    of: String,
    n: u32,
    stage: Stage,
    /// Whose open mark it followed, or which presentation before has lost its answer.
    over: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The write may have landed.
    Asked,
    Written,
    /// The request left. Set before its first byte does.
    Sent(Moment),
    /// No answer will come.
    Ended(Moment),
}

/// The right to renew, as its holder sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Right {
    id: String,
    /// By both clocks; it ends by whichever is first.
    until: Now,
    previous_is_dead: bool,
    /// The record was read under it.
    read: bool,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    LogIn,
    Save,
    TakeRight,
    Load,
    /// The configured refresh token begins the chain.
    Begin,
    /// Until then, or until the record changes.
    Wait(Wait),
    /// Write the mark of this number.
    Mark(u32),
    Present,
}

/// What a presentation waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) until: Moment,
    /// The right is kept meanwhile; else others may have it.
    pub(crate) keeps_right: bool,
    /// In words, for errors and `health()`.
    pub(crate) why: String,
}

/// A compare-and-swap to be made.
pub(crate) struct Write {
    pub(crate) expected: Option<u64>,
    /// The newest version that was known before it.
    pub(crate) newest: Option<u64>,
    pub(crate) record: Record,
    /// What the record says.
    pub(crate) tokens: Tokens,
    /// Of the unsaved record that is in it, if any.
    number: Option<u64>,
}

/// What a record that was read means.
pub(crate) enum Loaded {
    /// Nothing new.
    Same,
    /// Another process wrote: what it says, and how old it is by the store's clock.
    Newer(Box<Tokens>, Option<Duration>),
}

/// What became of a record of ours in a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// The store has it.
    Saved,
    /// It goes over the other's.
    Again,
    /// The other's is newer. `lost`: ours had a refresh token that nobody has now.
    GaveWay { lost: bool },
}

impl RefreshChain {
    pub(crate) fn new(has_store: bool, terms: Terms) -> Self {
        Self {
            terms,
            has_store,
            known: None,
            newest: None,
            fresh: None,
            unsaved: None,
            numbered: 0,
            attempt: None,
            writes: VecDeque::new(),
            found: None,
            mine: None,
            ended: VecDeque::new(),
            right: None,
            lost: 0,
            refused: None,
        }
    }

    /// What the chain says now: the newest that is known.
    fn base(&self) -> Option<&Tokens> {
        let unsaved = self.unsaved.as_ref().map(|(_, tokens)| tokens);
        let known = self.known.as_ref().map(|known| &known.tokens);
        self.fresh.as_ref().or(unsaved).or(known)
    }

    /// The refresh token to present next.
    pub(crate) fn current(&self) -> Option<Zeroizing<String>> {
        self.base()?.refresh_token()
    }

    fn current_mark(&self) -> Option<String> {
        self.current().map(|token| mark_of(&token))
    }

    /// Fingerprint of the configured refresh token that the chain began with.
    pub(crate) fn seed(&self) -> Option<&str> {
        self.base()?.seed.as_deref()
    }

    /// Whether the client's id and secret have worked before.
    pub(crate) fn has_worked(&self) -> bool {
        self.base().is_some_and(|tokens| tokens.worked)
    }

    pub(crate) fn unsaved_number(&self) -> Option<u64> {
        self.unsaved.as_ref().map(|(number, _)| *number)
    }

    /// Of the last record that had to be saved, if none has to be any more.
    pub(crate) fn settled_number(&self) -> Option<u64> {
        self.unsaved.is_none().then_some(self.numbered)
    }

    /// Whether the store lacks the current refresh token, and this process has the only copy.
    pub(crate) fn has_unsaved_refresh_token(&self) -> bool {
        let unsaved = self.unsaved.as_ref();
        let ours = unsaved.and_then(|(_, tokens)| tokens.refresh_token());
        ours.is_some()
            && ours
                != self
                    .known
                    .as_ref()
                    .and_then(|known| known.tokens.refresh_token())
    }

    /// When the current refresh token ends, if the endpoint said so.
    pub(crate) fn refresh_expires_at(&self) -> Option<SystemTime> {
        self.base()?.refresh_expires_at()
    }

    /// Whether the request with the current mark has left and is not at its end.
    pub(crate) fn is_sent(&self) -> bool {
        let mine = self.mine.as_ref();
        mine.is_some_and(|mine| matches!(mine.stage, Stage::Sent(_)))
    }

    /// The open mark of another process: who holds it, and since when by its own clock.
    pub(crate) fn holder(&self) -> Option<(&str, Option<SystemTime>)> {
        let mark = self
            .mark()
            .filter(|mark| mark.open && !self.is_ours_to_tell(mark))?;
        Some((&mark.holder, time(mark.at)))
    }

    /// What comes next, where the access token in use is good until `usable_until`.
    pub(crate) fn next(&mut self, usable_until: Option<Moment>, now: Now) -> Step {
        self.watch(now);
        if self.is_refused() {
            return Step::LogIn;
        }
        let current = self.current_mark();
        if self.has_store {
            if self.has_unsaved_refresh_token() {
                return Step::Save;
            }
            match &self.right {
                Some(right) if right.is_good(now) && right.read => {}
                Some(right) if right.is_good(now) => return Step::Load,
                _ => return Step::TakeRight,
            }
        }
        if current.is_none() {
            return Step::Begin;
        }
        match self.followed(usable_until, now) {
            Some((wait, _)) if wait.until > now.moment => Step::Wait(wait),
            Some((_, n)) => Step::Mark(n.saturating_add(1)),
            None if self.is_ready() => Step::Present,
            None => Step::Mark(1),
        }
    }

    /// Our mark is written, and nothing has left with it.
    fn is_ready(&self) -> bool {
        let Some(mine) = &self.mine else {
            return false;
        };
        let stands = match self.has_store {
            true => self
                .mark()
                .is_some_and(|mark| mark.id == mine.id && mark.open),
            false => self.current_mark().as_ref() == Some(&mine.of),
        };
        stands && matches!(mine.stage, Stage::Asked | Stage::Written)
    }

    /// The mark of the current refresh token, as far as the store has one.
    fn mark(&self) -> Option<&Mark> {
        // A chain that begins anew follows no mark.
        if self.fresh.is_some() {
            return None;
        }
        let mark = self.known.as_ref()?.tokens.presented.as_ref()?;
        (self.current_mark().as_ref() == Some(&mark.of)).then_some(mark)
    }

    fn is_mine(&self, mark: &Mark) -> bool {
        self.mine.as_ref().is_some_and(|mine| mine.id == mark.id)
    }

    /// Whether what came of it is known here.
    fn is_ours_to_tell(&self, mark: &Mark) -> bool {
        self.is_mine(mark) || self.ended.contains(&mark.id)
    }

    /// The mark that the next one follows, its number, and the wait for it.
    fn followed(&self, usable_until: Option<Moment>, now: Now) -> Option<(Wait, u32)> {
        if let Some(mine) = &self.mine {
            let stands = match self.has_store {
                true => self.mark().is_some_and(|mark| mark.id == mine.id),
                false => self.current_mark().as_ref() == Some(&mine.of),
            };
            if stands {
                return match mine.stage {
                    Stage::Asked | Stage::Written => None,
                    Stage::Sent(at) | Stage::Ended(at) => {
                        Some((back_off(at + backoff(mine.n)), mine.n))
                    }
                };
            }
        }
        let mark = self.mark()?;
        if self.ended.contains(&mark.id) {
            return Some((back_off(now.moment), mark.n));
        }
        let first_seen = self
            .found
            .as_ref()
            .map_or(now.moment, |found| found.first_seen);
        Some((self.wait_for(mark, first_seen, usable_until, now), mark.n))
    }

    /// How long the mark of another is left alone.
    fn wait_for(
        &self,
        mark: &Mark,
        first_seen: Moment,
        usable_until: Option<Moment>,
        now: Now,
    ) -> Wait {
        if !mark.open {
            let span = backoff(mark.n);
            let by_wall = time(mark.at).and_then(|at| at.checked_add(span));
            let by_wall = by_wall.map_or(Moment::ZERO, |time| now.moment_at(time));
            return back_off(by_wall.min(first_seen + span));
        }
        let holder = &mark.holder;
        if self
            .right
            .as_ref()
            .is_some_and(|right| right.previous_is_dead)
        {
            return Wait {
                until: first_seen + SETTLE,
                keeps_right: true,
                why: format!("a request of {holder}, which has ended, may be under way yet"),
            };
        }
        if let Some(until) = self.settled_within_grace(now) {
            return Wait {
                until,
                keeps_right: true,
                why: format!("a request of {holder} may be under way"),
            };
        }
        Wait {
            until: (first_seen + self.terms.patience).max(usable_until.unwrap_or_default()),
            keeps_right: false,
            why: format!("{holder} has presented the refresh token and may get its answer yet"),
        }
    }

    /// Where the server forgives a repetition and the mark is young enough by the store's clock.
    fn settled_within_grace(&self, now: Now) -> Option<Moment> {
        let grace = self.terms.grace?.checked_sub(Duration::from_secs(1))?;
        let (age, then) = self.known.as_ref()?.age?;
        let old = age.saturating_add(now.moment - then);
        (old <= grace).then(|| now.moment + SETTLE.saturating_sub(old))
    }

    /// The store is asked for the right: under which id.
    pub(crate) fn right_id(&self) -> Option<&str> {
        self.right.as_ref().map(|right| right.id.as_str())
    }

    /// The right was granted; `asked` is the moment *before* the store was.
    pub(crate) fn granted(&mut self, id: &str, previous_is_dead: bool, asked: Now) {
        let until = Now {
            moment: asked.moment + LEASE,
            wall: asked.wall.checked_add(LEASE).unwrap_or(asked.wall),
        };
        match &mut self.right {
            Some(right) if right.id == id => {
                // What happened while it had run out is not known.
                if !right.is_running(asked) {
                    right.read = false;
                    right.previous_is_dead = previous_is_dead;
                }
                right.until = until;
            }
            _ => {
                self.right = Some(Right {
                    id: id.to_owned(),
                    until,
                    previous_is_dead,
                    read: false,
                });
            }
        }
    }

    /// Another has it, or it is given back: under which id it was held.
    pub(crate) fn drop_right(&mut self) -> Option<String> {
        self.right.take().map(|right| right.id)
    }

    /// The newest version that was ever read or written.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.newest
    }

    /// The store was read. `asked`: the newest version that was known when the store was asked.
    ///
    /// # Errors
    /// The bytes are not ours to understand; nothing has changed.
    pub(crate) fn loaded(
        &mut self,
        record: Option<Record>,
        asked: Option<u64>,
        now: Now,
    ) -> Result<(Loaded, Option<Conflict>), Unreadable> {
        if self.is_outdated(record.as_ref(), asked) {
            return Ok((Loaded::Same, None));
        }
        let read = record.map(|record| {
            let tokens = Tokens::from_bytes(&record.bytes)?;
            Ok((record.version, tokens, record.age))
        });
        let read = read.transpose()?;
        if let Some(right) = &mut self.right {
            right.read = true;
        }
        let Some((version, tokens, age)) = read else {
            self.found_nothing();
            return Ok((Loaded::Same, None));
        };
        let same = |known: &Known| known.version == version && known.tokens.write == tokens.write;
        if self.known.as_ref().is_some_and(same) {
            return Ok((Loaded::Same, None));
        }
        if self.is_ours(&tokens) {
            self.landed(version, tokens, age, now);
            return Ok((Loaded::Same, None));
        }
        Ok(self.found_others(version, tokens, age, now))
    }

    /// Whether an answer of the store took so long that a later version became known meanwhile. It
    /// does not show that the store went back in time.
    fn is_outdated(&self, record: Option<&Record>, asked: Option<u64>) -> bool {
        self.newest > asked && record.map(|record| record.version) < self.newest
    }

    fn is_ours(&self, tokens: &Tokens) -> bool {
        let write = tokens.write.as_ref();
        write.is_some_and(|write| self.writes.iter().any(|(_, id)| id == write))
    }

    /// The store has been emptied: what is known is written once more, above all that others know.
    fn found_nothing(&mut self) {
        let Some(known) = self.known.take() else {
            return;
        };
        if self.unsaved.is_none() && known.tokens.refresh_token().is_some() {
            self.put_unsaved(known.tokens);
        }
    }

    fn found_others(
        &mut self,
        version: u64,
        theirs: Tokens,
        age: Option<Duration>,
        now: Now,
    ) -> (Loaded, Option<Conflict>) {
        let is_newer = self.newest.is_none_or(|newest| version > newest);
        let ours = self.unsaved.as_ref().map(|(_, tokens)| tokens);
        let has_unsaved = ours.is_some();
        let ours = ours.or(self.known.as_ref().map(|known| &known.tokens));
        let conflict = ours.and_then(|ours| {
            let weighed = weigh(ours, &theirs);
            let is_login = !is_newer && begins_anew(ours, &theirs);
            // What the server has refused goes over nothing: a person may have logged in.
            let is_in_vain = self.is_refused() && theirs.refresh_token.is_some();
            match weighed {
                Conflict::Again if is_login || is_in_vain => {
                    Some(Conflict::GaveWay { lost: false })
                }
                Conflict::GaveWay { .. }
                    if !has_unsaved && !is_newer && !is_login && !is_in_vain =>
                {
                    // A store that goes back in time has lost what it had.
                    Some(Conflict::Again)
                }
                weighed => {
                    let is_later = later_login(ours, &theirs) == Ordering::Greater;
                    (has_unsaved || !is_newer || is_later).then_some(weighed)
                }
            }
        });
        if conflict == Some(Conflict::Again) {
            if self.unsaved.is_none() {
                if let Some(known) = self.known.take() {
                    self.put_unsaved(known.tokens);
                }
            }
            self.know(version, theirs, age, now);
            return (Loaded::Same, conflict);
        }
        let conflict = conflict.map(|conflict| match conflict {
            Conflict::GaveWay { .. } => Conflict::GaveWay {
                lost: self.has_unsaved_refresh_token(),
            },
            conflict => conflict,
        });
        self.unsaved = None;
        let newer = theirs.clone();
        self.know(version, theirs, age, now);
        (Loaded::Newer(Box::new(newer), age), conflict)
    }

    /// A write of ours stands in the store.
    fn landed(&mut self, version: u64, tokens: Tokens, age: Option<Duration>, now: Now) {
        let write = tokens.write.clone();
        if let (Some((number, _)), Some((tried, _, id))) = (&self.unsaved, &self.attempt) {
            if number == tried && write.as_ref() == Some(id) {
                self.unsaved = None;
            }
        }
        self.know(version, tokens, age, now);
    }

    fn know(&mut self, version: u64, tokens: Tokens, age: Option<Duration>, now: Now) {
        self.newest = self.newest.max(Some(version));
        // Nothing that expects an older version can land any more.
        self.writes
            .retain(|(expected, _)| *expected >= Some(version));
        // A configured refresh token is for a store that has none, or for a chain that has ended.
        if tokens.refresh_token.is_some() {
            self.fresh
                .take_if(|fresh| later_login(fresh, &tokens) != Ordering::Greater);
        }
        let before = self
            .known
            .as_ref()
            .and_then(|known| known.tokens.refresh_token());
        let after = tokens.refresh_token();
        if before.is_some() && before != after {
            self.lost = 0;
        }
        let mark = tokens.presented.as_ref().map(|mark| mark.id.as_str());
        let mine = self.mine.as_mut();
        if let Some(mine) = mine.filter(|mine| mark == Some(&mine.id)) {
            if mine.stage == Stage::Asked {
                mine.stage = Stage::Written;
            }
        }
        self.known = Some(Known {
            version,
            tokens,
            age: age.map(|age| (age, now.moment)),
        });
        self.watch(now);
    }

    /// The watch on the mark of another begins when it is first seen, by our own clock. A new mark
    /// begins another, and so does the end of an open one: its back-off runs from there.
    fn watch(&mut self, now: Now) {
        let mark = self.mark().filter(|mark| !self.is_mine(mark));
        let is_watched = |mark: &&Mark| {
            let found = self.found.as_ref();
            found.is_some_and(|found| found.id == mark.id && found.open == mark.open)
        };
        if !mark.as_ref().is_some_and(is_watched) {
            self.found = mark.map(|mark| Found {
                id: mark.id.clone(),
                open: mark.open,
                first_seen: now.moment,
            });
        }
    }

    /// The mark of ours is over, or gives way to the next.
    fn end_mine(&mut self) -> Option<Mine> {
        let mine = self.mine.take()?;
        self.ended.push_back(mine.id.clone());
        if self.ended.len() > MOST_ENDED {
            self.ended.pop_front();
        }
        Some(mine)
    }

    /// A configured refresh token begins a chain, in the place of a former one.
    pub(crate) fn begin(&mut self, initial: &str) {
        let mut tokens = Tokens::new(None, Some(initial));
        if let Some(before) = self.base() {
            let is_another = before.refresh_token().is_some();
            tokens = before.succeeded_by(tokens);
            let login = tokens.login.unwrap_or_default();
            tokens.login = Some(login.saturating_add(u64::from(is_another)));
            tokens.worked = before.worked;
        }
        tokens.seed = Some(mark_of(initial));
        self.unsaved = None;
        self.lost = 0;
        self.fresh = Some(tokens);
    }

    /// The swap that marks the current refresh token as presented; none without a store, where the
    /// mark is ours alone.
    pub(crate) fn mark_as_presented(&mut self, n: u32, holder: &str, now: Now) -> Option<Write> {
        let of = self.current_mark()?;
        let open = self.holder().map(|(holder, at)| presentation(holder, at));
        let repeated = self
            .mine
            .as_ref()
            .filter(|mine| mine.stage == Stage::Asked && mine.of == of && mine.n == n);
        let id = repeated.map_or_else(new_id, |mine| mine.id.clone());
        let stage = match self.has_store {
            true => Stage::Asked,
            false => Stage::Written,
        };
        let before = self.mark().filter(|mark| mark.of == of);
        let over = open
            .or_else(|| repeated.and_then(|mine| mine.over.clone()))
            .or_else(|| before.and_then(|mark| mark.lost.clone()));
        let mark = Mark {
            of: of.clone(),
            n,
            id: id.clone(),
            holder: holder.to_owned(),
            at: seconds(now.wall),
            open: true,
            lost: over.clone(),
        };
        if repeated.is_none() {
            self.end_mine();
        }
        self.mine = Some(Mine {
            id: id.clone(),
            of,
            n,
            stage,
            over,
        });
        if !self.has_store {
            return None;
        }
        let mut tokens = self.base()?.clone();
        tokens.presented = Some(mark);
        let number = self.unsaved_number().filter(|_| self.fresh.is_none());
        // The id of the mark is the id of the write: the same swap again can land only once.
        Some(self.write(tokens, id, number, now))
    }

    /// The swap by which others learn that no answer will come; none if the mark is not ours.
    pub(crate) fn close_mark(&mut self, now: Now) -> Option<Write> {
        let mark = self.known.as_ref()?.tokens.presented.as_ref()?;
        if !mark.open || !self.is_mine(mark) || self.unsaved.is_some() || self.fresh.is_some() {
            return None;
        }
        let mut tokens = self.known.as_ref()?.tokens.clone();
        if let Some(mark) = &mut tokens.presented {
            if self.lost > 0 && mark.lost.is_none() {
                mark.lost = Some(presentation(&mark.holder, time(mark.at)));
            }
            mark.open = false;
            mark.at = seconds(now.wall);
        }
        Some(self.write(tokens, new_id(), None, now))
    }

    /// The swap that proves before a login that the store can be written. It touches nothing else.
    pub(crate) fn prove(&mut self, now: Now) -> Write {
        let number = self.unsaved_number();
        let unsaved = self.unsaved.as_ref().map(|(_, tokens)| tokens);
        let known = self.known.as_ref().map(|known| &known.tokens);
        // What is unsaved must not be covered by what was there before it.
        let mut tokens = unsaved.or(known).cloned().unwrap_or_default();
        let id = new_id();
        tokens.login_pending = Some(LoginPending {
            id: id.clone(),
            at: seconds(now.wall),
        });
        self.write(tokens, id, number, now)
    }

    /// The next attempt to save; none if nothing is unsaved.
    pub(crate) fn save(&mut self, now: Now) -> Option<Write> {
        let (number, tokens) = self.unsaved.as_ref()?;
        let (number, tokens) = (*number, tokens.clone());
        let expected = self.known.as_ref().map(|known| known.version);
        let repeated = self.attempt.take();
        let repeated = repeated.filter(|(tried, over, _)| (*tried, *over) == (number, expected));
        let id = repeated.map_or_else(new_id, |(_, _, id)| id);
        self.attempt = Some((number, expected, id.clone()));
        Some(self.write(tokens, id, Some(number), now))
    }

    fn write(&mut self, mut tokens: Tokens, id: String, number: Option<u64>, now: Now) -> Write {
        let expected = self.known.as_ref().map(|known| known.version);
        let version = self.newest.map_or(1, |newest| newest.saturating_add(1));
        tokens.write = Some(id.clone());
        tokens.saved_at = Some(seconds(now.wall));
        if !self.writes.iter().any(|(_, other)| *other == id) {
            self.writes.push_back((expected, id));
        }
        if self.writes.len() > MOST_WRITES {
            self.writes.pop_front();
        }
        Write {
            expected,
            newest: self.newest,
            record: Record::new(version, tokens.to_bytes()),
            tokens,
            number,
        }
    }

    /// The store has that write.
    pub(crate) fn written(&mut self, write: Write, now: Now) {
        let Write {
            record,
            tokens,
            number,
            ..
        } = write;
        if self.newest.is_some_and(|newest| newest > record.version) {
            // Another was read meanwhile, which was made over it.
            return;
        }
        if number.is_some() && self.unsaved_number() == number {
            self.unsaved = None;
        }
        // By the store's clock it is of this moment.
        self.know(record.version, tokens, Some(Duration::ZERO), now);
    }

    /// Whether the store is known to have that write.
    pub(crate) fn has_written(&self, id: Option<&str>, version: u64) -> bool {
        let known = self.known.as_ref();
        known.is_some_and(|known| known.version == version && known.tokens.write.as_deref() == id)
    }

    /// Another record stood in the way of a write. `asked`: as for [`Self::loaded`].
    pub(crate) fn conflicted(
        &mut self,
        theirs: Option<Record>,
        asked: Option<u64>,
        now: Now,
    ) -> Result<Option<Conflict>, Unreadable> {
        if self.is_outdated(theirs.as_ref(), asked) {
            return Ok(None);
        }
        let had_unsaved = self.unsaved.is_some();
        let is_gone = theirs.is_none();
        let (_, conflict) = self.loaded(theirs, asked, now)?;
        Ok(match conflict {
            Some(conflict) => Some(conflict),
            None if is_gone => Some(Conflict::Again),
            None if had_unsaved && self.unsaved.is_none() => Some(Conflict::Saved),
            None => had_unsaved.then_some(Conflict::Again),
        })
    }

    /// The request is about to leave.
    pub(crate) fn sent(&mut self, now: Moment) {
        if let Some(mine) = &mut self.mine {
            mine.stage = Stage::Sent(now);
        }
    }

    /// No answer will come, or it brought nothing. `lost`: the server may have acted on it.
    pub(crate) fn ended(&mut self, lost: bool, now: Moment) {
        if let Some(mine) = &mut self.mine {
            mine.stage = Stage::Ended(now);
        }
        self.lost = self.lost.saturating_add(u32::from(lost));
    }

    /// Whether there is a refresh token of which no refusal is known.
    pub(crate) fn has_living_login(&self) -> bool {
        self.current_mark().is_some() && !self.is_refused()
    }

    /// Whether the current refresh token was refused.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.is_some() && self.refused == self.current_mark()
    }

    /// A refused token may be presented once more: a probe is due.
    pub(crate) fn try_again(&mut self) {
        self.refused = None;
    }

    /// The mark that stands in the store, by which a change is seen.
    pub(crate) fn mark_seen(&self) -> Option<(String, bool)> {
        self.mark().map(|mark| (mark.id.clone(), mark.open))
    }

    /// The server refused the current refresh token.
    pub(crate) fn refuse(&mut self) {
        self.refused = self.current_mark();
    }

    /// An answer brought tokens: they have to be saved. Gives their number, and whether the refresh
    /// token is a new one.
    pub(crate) fn answered(&mut self, mut next: Tokens, worked: bool) -> (u64, bool) {
        let before = self.current();
        let presented = self.end_mine();
        let base = self.base();
        let refresh_token = next.refresh_token();
        let is_new = refresh_token.is_some() && refresh_token != before;
        if let Some(base) = base {
            next = base.succeeded_by(next);
            next.parent.clone_from(&base.parent);
            if !is_new {
                next.refresh_token.clone_from(&base.refresh_token);
                next.refresh_expires_at = next.refresh_expires_at.or(base.refresh_expires_at);
            }
        }
        if is_new {
            next.parent = presented.map(|mine| Parent {
                of: mine.of,
                n: mine.n,
            });
        }
        next.worked |= worked;
        self.lost = 0;
        self.refused = None;
        (self.put(next), is_new)
    }

    /// A person logged in, or revoked the login: whatever there was before ends, also if this one
    /// brought no refresh token. The former may be another person's.
    pub(crate) fn log_in(&mut self, mut tokens: Tokens) -> u64 {
        let known = self.known.as_ref().and_then(|known| known.tokens.login);
        let base = self.base().and_then(|base| base.login);
        tokens.login = Some(known.max(base).unwrap_or_default().saturating_add(1));
        tokens.worked = true;
        self.end_mine();
        self.lost = 0;
        self.refused = None;
        self.put(tokens)
    }

    fn put(&mut self, tokens: Tokens) -> u64 {
        self.fresh = None;
        self.put_unsaved(tokens);
        self.numbered
    }

    fn put_unsaved(&mut self, tokens: Tokens) {
        self.numbered += 1;
        match self.has_store {
            true => self.unsaved = Some((self.numbered, tokens)),
            false => {
                self.known = Some(Known {
                    version: 0,
                    tokens,
                    age: None,
                });
            }
        }
    }

    /// What a person should know about a refusal, beside the server's words.
    pub(crate) fn why_refused(&self) -> Option<String> {
        if self.lost > 0 {
            let text = "the answer to a renewal was lost, and with it perhaps the only valid \
                        refresh token";
            return Some(text.to_owned());
        }
        let over = self.mine.as_ref()?.over.as_ref()?;
        Some(format!(
            "{over} presented the refresh token and ended; its answer is lost"
        ))
    }
}

impl Right {
    fn is_running(&self, now: Now) -> bool {
        now.moment < self.until.moment && now.wall < self.until.wall
    }

    fn is_good(&self, now: Now) -> bool {
        let later = Now {
            moment: now.moment + LEAST_RIGHT,
            wall: now.wall.checked_add(LEAST_RIGHT).unwrap_or(now.wall),
        };
        self.is_running(later)
    }
}

/// For people.
fn presentation(holder: &str, at: Option<SystemTime>) -> String {
    match at {
        Some(at) => format!("{holder} (at {})", httpdate::fmt_http_date(at)),
        None => holder.to_owned(),
    }
}

/// What is not known of a record of an older version decides nothing.
fn later_login(ours: &Tokens, theirs: &Tokens) -> Ordering {
    match (ours.login, theirs.login) {
        (Some(ours), Some(theirs)) => ours.cmp(&theirs),
        _ => Ordering::Equal,
    }
}

/// Whether theirs, whose version is not above ours, is of a login into a store that was emptied,
/// whose versions and logins are counted anew. It was saved later, while a store that was restored
/// from a copy has what was saved before; and it is not of the configured refresh token with which
/// ours began, which is spent.
fn begins_anew(ours: &Tokens, theirs: &Tokens) -> bool {
    let saved = theirs.saved_at.zip(ours.saved_at);
    let is_later = saved.is_some_and(|(theirs, ours)| theirs >= ours);
    is_later && (theirs.seed.is_none() || theirs.seed != ours.seed)
}

/// Which of two records stays: the later login; within a login the child; of two children of one
/// token the one that was asked for later.
fn weigh(ours: &Tokens, theirs: &Tokens) -> Conflict {
    let gave_way = Conflict::GaveWay { lost: false };
    match later_login(ours, theirs) {
        Ordering::Greater => return Conflict::Again,
        Ordering::Less => return gave_way,
        Ordering::Equal => {}
    }
    let their_token = theirs.refresh_token();
    if ours.refresh_token() == their_token {
        return Conflict::Saved;
    }
    if their_token.is_none() {
        // Only a revocation takes a refresh token away, and counts as a login.
        return Conflict::Again;
    }
    let Some(parent) = &ours.parent else {
        // A login goes over what an older version wrote, which knows of no logins.
        return match theirs.login {
            None if ours.login.is_some() && ours.refresh_token.is_some() => Conflict::Again,
            _ => gave_way,
        };
    };
    if their_token.is_some_and(|token| mark_of(&token) == parent.of) {
        return Conflict::Again;
    }
    match &theirs.parent {
        Some(other) if other.of == parent.of && parent.n > other.n => Conflict::Again,
        _ => gave_way,
    }
}

fn back_off(until: Moment) -> Wait {
    Wait {
        until,
        keeps_right: false,
        why: "the token endpoint did not answer, and is asked again after a pause".to_owned(),
    }
}

fn backoff(n: u32) -> Duration {
    let doubled = FIRST_BACKOFF.saturating_mul(1 << n.min(16));
    doubled.min(LONGEST_BACKOFF)
}

/// Tells marks, writes and rights apart.
pub(crate) fn new_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}

#[cfg(test)]
mod tests;
