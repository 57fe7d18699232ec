//! One series: all reports of one family with the same limit and length.
//!
//! | a report says                                   | what follows                              |
//! |-------------------------------------------------|-------------------------------------------|
//! | as much left as is known, or less               | that is left                              |
//! | more, to a request that left after the last word | that is left: all of it is back, or bit by bit some |
//! | more, to an earlier request                     | nothing: it was counted before            |
//! | no more to a scout at an end                    | resets are rounded down: a second later   |
//! | nothing left, though it was accepted, three times | the series is void until it says otherwise |
//! | another series of the family, and not this one  | this one is not the tightest              |
//!
//! Pure: `now` is an argument.

use std::time::Duration;

use super::answer::Answer;
use super::chance::Chance;
use super::ends::{Ends, agree};
use super::news::{Learned, News};
use super::silent::Silent;
use crate::clock::Moment;
use crate::rate_limit::headers::RESET_GRAIN;
use crate::rate_limit::headers::report::{FamilyName, Report};
use crate::rate_limit::in_flight::PermitId;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// What three answers of a series told is more than a slip.
const CORROBORATED: u32 = 3;

/// After so many lies a series is void (R19).
const MOST_LIES: u32 = 3;

/// Looks that found nothing come back are not repeated for ever.
const MOST_FAILED_LOOKS: u32 = 3;

/// A series ends with its evidence: after so many answers without it, and two of its periods.
const SILENT_ANSWERS: u64 = 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    family: FamilyName,
    limit: Option<u64>,
    length: Option<Duration>,
}

impl Key {
    pub(super) fn of(report: &Report) -> Self {
        Self {
            family: report.family.clone(),
            limit: report.limit,
            length: report.length,
        }
    }
}

/// How what was used comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nature {
    Unknown,
    /// At an end, all of it: a fixed window.
    AtOnce,
    /// A log, a bucket, a counter.
    BitByBit,
}

/// The request that goes first while nothing else may.
#[derive(Clone, Copy, Debug)]
struct Scout {
    permit: PermitId,
    /// It goes before the told end, to see whether something has come back by then.
    is_look: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(super) key: Key,
    /// A configured window owns it, and shows it.
    is_owned: bool,
    /// It is owned, and its window's own count says the same or less: that decides alone.
    is_covered: bool,
    /// Its beginning was reported.
    is_announced: bool,
    /// The least that was told and still holds; none: nothing is known.
    left: Option<u64>,
    /// When the request left, and its answer arrived, that told it.
    left_sent: Moment,
    left_heard: Moment,
    /// Answered since without any report of the family.
    since: Silent,
    /// Answers since that told something else, or nothing.
    untold: u64,
    ends: Ends,
    longest_reset: Duration,
    /// How much later than told an end is.
    late: Duration,
    nature: Nature,
    /// It was seen to come back before a told end: the time for each unit.
    gap: Option<Duration>,
    failed_looks: u32,
    /// A look in this period found nothing.
    has_looked: bool,
    scout: Option<Scout>,
    /// Reports in a row, without an answer that told another series of the family instead.
    streak: u32,
    /// Told often enough in a row to be more than a slip.
    is_known: bool,
    accepted: u64,
    last_told: Moment,
    /// When a scout was last answered, or anything was told.
    tried: Moment,
    began: Moment,
    /// Seen to be full at an end, to the moment: it needs no reserve.
    is_proven: bool,
    /// The server rejected a request as this series said it would.
    is_confirmed: bool,
    lies: u32,
    /// Two of its answers agreed about an end.
    agreed: bool,
    /// The only report of this kind in a family that usually tells something else.
    is_odd: bool,
    last_bare: Option<(Moment, Duration)>,
    in_milliseconds: bool,
}

impl Series {
    pub(super) fn new(key: Key, is_owned: bool, is_odd: bool, answer: Answer) -> Self {
        Self {
            key,
            is_owned,
            is_covered: is_owned,
            is_announced: false,
            left: None,
            left_sent: answer.sent,
            left_heard: Moment::ZERO,
            since: Silent::default(),
            untold: 0,
            ends: Ends::default(),
            longest_reset: Duration::ZERO,
            late: Duration::ZERO,
            nature: Nature::Unknown,
            gap: None,
            failed_looks: 0,
            has_looked: false,
            scout: None,
            streak: 0,
            is_known: false,
            accepted: 0,
            last_told: answer.now,
            tried: answer.now,
            began: answer.now,
            is_proven: false,
            is_confirmed: false,
            lies: 0,
            agreed: false,
            is_odd,
            last_bare: None,
            in_milliseconds: false,
        }
    }

    /// When one more may leave. `believed`: for so long a word is believed that nothing
    /// corroborates.
    pub(super) fn chance(&self, in_flight: u64, believed: Duration, now: Moment) -> Chance {
        if self.is_covered || self.has_room(in_flight) {
            return Chance::Now;
        }
        if in_flight > 0 {
            return Chance::WhenAnswered(Moment::NEVER);
        }
        match self.next_scout(believed) {
            (at, _) if at <= now => Chance::Now,
            (at, true) => Chance::At(at),
            (at, false) => Chance::Try(at),
        }
    }

    fn has_room(&self, in_flight: u64) -> bool {
        let Some(left) = self.left.filter(|_| self.lies < MOST_LIES) else {
            return true;
        };
        let taken = in_flight.saturating_add(self.since.count());
        taken.saturating_add(self.reserve()) < left
    }

    /// When the next scout goes, and whether that is more than a doubt.
    fn next_scout(&self, believed: Duration) -> (Moment, bool) {
        let left = self.left(0).unwrap_or(0);
        let told = self.tried;
        if self.is_odd && !self.is_confirmed {
            return (told, false);
        }
        let end = self.ends.first().map(|end| end + self.late);
        let Some(mut at) = end else {
            let length = self.key.length.unwrap_or(self.longest_reset);
            return (told + (length / 10).clamp(SECOND, MINUTE), false);
        };
        if let Some(gap) = self.gap {
            let longest = self.longest_reset;
            let extra = gap.saturating_mul(8).clamp(longest / 8, longest / 4);
            let extra = if left == 0 { extra } else { Duration::ZERO };
            at = at.min(told + gap + extra);
        } else if self.may_look() && left > 0 {
            let rest = at - self.left_heard;
            at = at.min(self.left_heard + rest.mul_f64(0.6));
        }
        let mut is_firm = true;
        let is_doubtful = left == 0
            && !self.is_confirmed
            && self.key.limit.is_none_or(|limit| self.accepted < limit / 2);
        if is_doubtful {
            let soon = told + ((at - told) / 10).clamp(SECOND, MINUTE);
            is_firm = at <= soon;
            at = at.min(soon);
        }
        if !self.is_corroborated() && at > told + believed {
            (at, is_firm) = (told + believed, false);
        }
        (at, is_firm)
    }

    fn is_corroborated(&self) -> bool {
        self.is_known || self.agreed
    }

    fn may_look(&self) -> bool {
        self.nature != Nature::AtOnce && !self.has_looked && self.failed_looks < MOST_FAILED_LOOKS
    }

    /// What only scouts may take (R6). Below a limit of four it costs more than it saves.
    fn reserve(&self) -> u64 {
        let limit = self.key.limit.unwrap_or(u64::MAX);
        let of_two = match limit {
            0..=2 => 0,
            3 => 1,
            _ => 2,
        };
        match (self.nature, self.gap) {
            (Nature::AtOnce, _) => u64::from(!self.is_proven).min(of_two),
            (_, Some(_)) if limit < 20 => of_two.min(1),
            (_, Some(_)) => (self.key.limit.unwrap_or(0) / 50).max(2),
            (Nature::Unknown, None) => of_two,
            (Nature::BitByBit, None) if self.may_look() => of_two,
            (Nature::BitByBit, None) => of_two.min(1),
        }
    }

    pub(super) fn grant(&mut self, permit: PermitId, in_flight: u64, now: Moment) {
        if self.has_room(in_flight) {
            return;
        }
        let is_look = self.ends.first().is_some_and(|end| end + self.late > now);
        self.scout = Some(Scout { permit, is_look });
    }

    pub(super) fn unsent(&mut self, permit: PermitId) {
        self.scout = self.scout.filter(|scout| scout.permit != permit);
    }

    pub(super) fn count_silent(&mut self, now: Moment) {
        self.since.add(now);
    }

    /// The server tells something else by now: what it said once or twice may be a slip.
    fn doubt(&mut self) {
        self.streak = 0;
        self.is_odd = !self.is_known;
        self.agreed &= self.is_known;
    }

    /// An answer that tells nothing of the family; whether it tells anything of others.
    pub(super) fn heard_nothing(&mut self, tells_others: bool, answer: Answer) {
        let scout = self.take_scout(answer);
        if tells_others && answer.sent >= self.left_heard {
            self.doubt();
        }
        self.untold = self.untold.saturating_add(1);
        self.count_silent(answer.now);
        if let Some(scout) = scout {
            self.tried = answer.now;
            self.has_looked |= scout.is_look;
            if !self.is_corroborated() && answer.is_success {
                // One word alone, and the request that asked again heard nothing of it.
                self.left = None;
                self.ends.clear();
                return;
            }
        }
        let has_ended = (self.ends.first()).is_some_and(|end| end + self.late <= answer.now);
        if scout.is_some_and(|scout| !scout.is_look) && has_ended && answer.is_success {
            self.ended_silently(answer);
        }
    }

    /// A scout at an end was accepted, and its answer reports nothing.
    fn ended_silently(&mut self, answer: Answer) {
        match self.nature {
            // The next scout goes at once: it is told more, or rejected, which tells too.
            Nature::Unknown => {}
            Nature::AtOnce => {
                self.ends.pass(answer.now);
                self.left = self.key.limit;
                self.since.clear();
                self.since.add(answer.now);
            }
            // What came back was taken by the scout.
            Nature::BitByBit => {
                self.ends.pass(answer.now);
                let period = self.key.length.unwrap_or(self.longest_reset);
                let limit = u32::try_from(self.key.limit.unwrap_or(1).max(1)).unwrap_or(u32::MAX);
                let next = self
                    .key
                    .length
                    .map_or(self.longest_reset, |length| length / limit);
                self.ends.add(answer.now + next, period);
            }
        }
    }

    fn take_scout(&mut self, answer: Answer) -> Option<Scout> {
        self.scout.take_if(|scout| scout.permit == answer.permit)
    }

    /// An answer that reports on this series.
    pub(super) fn hear(&mut self, report: &Report, answer: Answer) {
        let scout = self.take_scout(answer);
        let remaining = report.remaining.unwrap_or(0);
        let reset = self.reset_of(report, answer.now);
        // With something left it is the time until the next comes back, which is no end.
        let reset = reset.filter(|reset| !reset.is_zero() || remaining == 0);
        let end = reset.map(|reset| answer.now + reset);
        if self.is_stale(end, answer) {
            return;
        }
        self.streak = self.streak.saturating_add(1);
        self.is_known |= self.streak >= CORROBORATED;
        self.untold = 0;
        self.is_odd &= self.streak == 1;
        self.accepted = self.accepted.saturating_add(u64::from(answer.is_success));
        let is_lie = self.note_lie(remaining, answer);
        self.longest_reset = self.longest_reset.max(reset.unwrap_or_default());
        let grew = self.take_left(remaining, scout.filter(|_| !is_lie), answer);
        self.last_told = answer.now;
        self.tried = answer.now;
        let span = reset.unwrap_or_default();
        let is_known = |end| self.ends.iter().any(|known| agree(known, end, span));
        // Before a rejection clears them: two that tell the same end corroborate it.
        self.agreed |= end.is_some_and(is_known);
        if answer.is_rejected {
            self.is_confirmed = true;
            self.ends.clear();
            if scout.is_some() {
                self.come_later();
            }
        } else if let Some(scout) = scout.filter(|_| !grew) {
            self.found_nothing(scout);
        }
        if let Some(end) = end {
            self.ends
                .add(end, self.key.length.unwrap_or(self.longest_reset));
        }
    }

    /// A bare number that falls by a thousand a second counts milliseconds.
    fn reset_of(&mut self, report: &Report, now: Moment) -> Option<Duration> {
        let reset = report.reset?;
        if !report.reset_is_bare {
            return Some(reset);
        }
        if let Some((at, before)) = self.last_bare.replace((now, reset)) {
            let fell = before.saturating_sub(reset).as_secs_f64();
            let passed = (now - at).as_secs_f64();
            self.in_milliseconds |= passed > 0.05 && (800.0..1_200.0).contains(&(fell / passed));
        }
        Some(if self.in_milliseconds {
            reset / 1_000
        } else {
            reset
        })
    }

    /// Overtaken by the answer to a later request, of a later period.
    fn is_stale(&self, end: Option<Moment>, answer: Answer) -> bool {
        let (Some(end), Some(first)) = (end, self.ends.first()) else {
            return false;
        };
        answer.sent < self.left_sent && end + RESET_GRAIN < first
    }

    /// Accepted before the end though nothing was left, by a server that was never seen to give
    /// back bit by bit.
    fn note_lie(&mut self, remaining: u64, answer: Answer) -> bool {
        let before_end = self.ends.first().is_some_and(|end| end > answer.now);
        let was_spent = self.left == Some(0) && answer.sent >= self.left_heard;
        let is_lie = remaining == 0
            && answer.is_success
            && was_spent
            && before_end
            && self.nature != Nature::BitByBit;
        self.lies = match remaining {
            0 => self.lies.saturating_add(u32::from(is_lie)),
            _ => 0,
        };
        is_lie
    }

    /// Whether more is left than before.
    fn take_left(&mut self, remaining: u64, scout: Option<Scout>, answer: Answer) -> bool {
        let before = self.left;
        // A scout goes alone and takes one itself.
        let taken = u64::from(scout.is_some() && !answer.is_rejected);
        let grew = before.is_some_and(|before| remaining.saturating_add(taken) > before);
        if grew && answer.sent < self.left_heard {
            return false;
        }
        if let (Some(before), true) = (before, grew) {
            self.came_back(before, remaining, taken, scout, answer);
        }
        self.left = Some(remaining);
        self.since.counted_until(answer.sent);
        self.left_heard = answer.now;
        self.left_sent = self.left_sent.max(answer.sent);
        grew
    }

    fn came_back(
        &mut self,
        before: u64,
        now: u64,
        taken: u64,
        scout: Option<Scout>,
        answer: Answer,
    ) {
        let has_ended = self.ends.first().is_some_and(|end| end <= answer.now);
        let in_use = now.saturating_add(answer.in_flight).saturating_add(2);
        if self.key.limit.is_some_and(|limit| in_use >= limit) {
            if has_ended && self.nature == Nature::Unknown {
                self.nature = Nature::AtOnce;
            }
            self.is_proven |= !has_ended || (self.late.is_zero() && before > 0);
            self.ends.clear();
            self.has_looked = false;
            return;
        }
        self.nature = Nature::BitByBit;
        self.ends.pass(answer.now);
        if has_ended {
            self.has_looked = false;
        }
        let units = now.saturating_add(taken).saturating_sub(before).max(1);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        if scout.is_some_and(|scout| scout.is_look) {
            let each = (answer.now - self.left_heard).mul_f64(1.05) / units;
            self.gap = Some(self.gap.map_or(each, |gap| (gap + each) / 2));
        }
    }

    /// A scout was accepted, and no more is left than before.
    fn found_nothing(&mut self, scout: Scout) {
        if !scout.is_look {
            self.late = self.late.max(SECOND);
            self.ends.clear();
        } else if self.gap.is_some() {
            self.come_later();
        } else {
            self.failed_looks += 1;
            self.has_looked = true;
        }
    }

    fn come_later(&mut self) {
        match self.gap {
            None => self.late = (self.late + SECOND).min(2 * SECOND),
            Some(gap) => {
                let part = (self.key.limit.unwrap_or(0) / 25).clamp(8, 1 << 20) as u32;
                let ours = u32::try_from(self.accepted.max(1)).unwrap_or(u32::MAX);
                let mean = (self.tried - self.began) / ours;
                let longest = (self.longest_reset / part).max(mean.saturating_mul(4));
                self.gap = Some((gap * 2).min(longest).max(gap));
            }
        }
    }

    /// The answer tells another series of the family: one name that tells the tightest (R25).
    pub(super) fn outdone(&mut self, other: &Report, answer: Answer) {
        self.take_scout(answer);
        self.untold = self.untold.saturating_add(1);
        if answer.sent < self.left_heard {
            return;
        }
        self.doubt();
        let (Some(limit), Some(of_other)) = (self.key.limit, other.limit) else {
            self.left = None;
            self.ends.clear();
            return;
        };
        let part = u128::from(other.remaining.unwrap_or(of_other)) * u128::from(limit);
        let as_much = u64::try_from(part / u128::from(of_other.max(1))).unwrap_or(u64::MAX);
        let raised = as_much.max(self.reserve() + 1);
        self.left = self.left.map(|left| left.max(raised));
        self.ends.clear();
    }

    pub(super) fn is_family_of(&self, report: &Report) -> bool {
        self.key.family == report.family
    }

    pub(super) fn last_told(&self) -> Moment {
        self.last_told
    }

    pub(super) fn is_over(&self, now: Moment) -> bool {
        let period = self.key.length.unwrap_or(self.longest_reset);
        self.untold >= SILENT_ANSWERS && self.last_told + period.saturating_mul(2) <= now
    }

    pub(super) fn corroborates(&self, end: Moment, span: Duration) -> bool {
        self.is_corroborated() && self.ends.iter().any(|known| agree(known, end, span))
    }

    /// The window that owns it counts so many of our own.
    pub(super) fn compare(&mut self, report: &Report, own: u64) {
        let told = report.remaining.zip(report.limit);
        let known = |(left, limit): (u64, u64)| left.saturating_add(own).saturating_add(2) >= limit;
        // Once it has counted more it may be a counter, or shared: then both decide.
        self.is_covered &= told.is_none_or(known);
    }

    /// What the last report changed.
    pub(super) fn news(&mut self) -> Option<News> {
        if self.lies == MOST_LIES {
            // Once for each time that it becomes void.
            self.lies += 1;
            let names = self.key.family.to_string();
            return Some(News::Lies { names });
        }
        let begins = !self.is_owned && !self.is_announced && self.is_corroborated();
        self.is_announced |= begins;
        begins.then(|| News::Learned(self.learned()))
    }

    /// That it ends, where its beginning was reported.
    pub(super) fn end(&self) -> Option<News> {
        let learned = || News::Forgotten(self.learned());
        self.is_announced.then(learned)
    }

    fn learned(&self) -> Learned {
        Learned {
            limit: self.key.limit,
            length: self.key.length,
            names: self.key.family.to_string(),
        }
    }

    pub(super) fn is_owned(&self) -> bool {
        self.is_owned
    }

    /// How long its window is, where that was told.
    pub(crate) fn length(&self) -> Option<Duration> {
        self.key.length
    }

    pub(crate) fn limit(&self) -> Option<u64> {
        self.key.limit
    }

    /// What is left beside what is in flight; none: nothing is known.
    pub(crate) fn left(&self, in_flight: u64) -> Option<u64> {
        let taken = in_flight.saturating_add(self.since.count());
        Some(self.left?.saturating_sub(taken))
    }

    /// The last of the ends that were told.
    pub(crate) fn resets_at(&self) -> Option<Moment> {
        self.ends.last()
    }
}
