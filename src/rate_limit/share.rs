//! What is ours of a window that others use too, by what the server says is left.
//!
//! *Others took* limit − remaining − ours at least, where ours is the most that the server can have
//! counted of our own requests. For a lone client that is never above zero, unless the server only
//! estimates (a sliding counter); so but for the care and the scout none of this slows it down.
//! Sharing begins with the first one above zero, and ends two windows after the last.
//!
//! *The rate* is what the server hands out, less what the others take of it. A server that forgets
//! all at once hands out what remains by the reset, one that forgets bit by bit the limit in each
//! window. Which one it is shows: long before its reset, only the latter lets what remains grow.
//!
//! *The claim.* Of what is left over in a bit-by-bit window each may take a part only, since the
//! others see it too: as large a part as that of what is used. Else all take it at once, then all
//! wait, and so on from window to window.
//!
//! *The hold.* A reading is as old as the last answer, and others go on. A request leaves only if
//! the last reading, less what left since, leaves one more than the others may take by then: the
//! margin, some standard deviations of a random stream at their rate. Where a server forgets bit by
//! bit, what is missing grows back, and the hold lasts until it should have.
//!
//! *The end.* What is left at the reset of a window that is forgotten at once is lost. So what is
//! kept for the others is what they will take by then, or the margin, and not both; and our own
//! part ends a bit before the reset, for what was the margin till then is theirs for the rest.
//!
//! *The period.* A reset that is told to the second lies up to one too late. So a period ends at
//! the earliest moment that was told for it, and what leaves after that is of the next one.
//!
//! *The care.* In its first windows a client cannot know yet whether it is alone, and answers come
//! in another order than the server counted in. So nothing leaves then unless the least that was
//! told a moment ago is more than all that is on its way, counted or not.
//!
//! *The scout.* In those windows, what was told before a silence is of no use after it: a sliding
//! counter still counts half of a burst when our ledger has forgotten it. So one goes first, and
//! the others wait for its answer.
//!
//! *The shift.* Those who share and were rejected are told the same moment; each comes back a bit
//! later than told, by chance.
//!
//! The bench leaves a rule out, to show what it buys: `TOLLGATE_ABLATE=hold` when it is built with
//! `--cfg tollgate_ablation`, without which nothing in the environment matters
//! (`share`, `claim`, `hold`, `end`, `period`, `shift`, `answer`, `care`, `scout`). What each buys
//! stands in `benches/README.md`.
//!
//! Pure: `now` is an argument.

mod care;
mod hold;
mod rate;

use std::time::Duration;

use self::care::{Care, PATIENCE};
pub(super) use self::rate::FASTEST;
use super::headers::RESET_GRAIN;
use crate::clock::Moment;

/// Sharing lasts for so many windows after the last sign of others.
const WINDOWS_SHARED: u32 = 2;

/// So many must have been forgotten early to tell a server that forgets bit by bit; one or two may
/// be requests that it did not count.
const FORGOTTEN_EARLY: u64 = 3;

/// What others take in bit-by-bit windows is a mean over half a window.
const MEAN: f64 = 2.0;

/// The share of an older reading in how fast what remains falls.
const MEMORY: f64 = 0.9;

/// Those who were rejected come back up to so many of their intervals later.
const SHIFT: f64 = 10.0;

/// Below a quarter of the limit, our part is not taken for smaller than that.
const LEAST_PART: f64 = 0.25;

/// Leaves a rule out, for the bench alone.
fn is_ablated(rule: &str) -> bool {
    cfg!(tollgate_ablation) && option_env!("TOLLGATE_ABLATE").is_some_and(|ablated| ablated == rule)
}

/// A window's share.
#[derive(Clone, Debug, Default)]
pub(super) struct Share {
    until: Option<Moment>,
    /// The server forgets bit by bit; so many it has forgotten before their time.
    bit_by_bit: bool,
    forgotten: u64,
    news: Option<News>,
    /// The earliest end that was told for the period, where there are periods.
    ends: Option<Moment>,
    care: Care,
    /// What the others take in a window.
    others: f64,
    /// The same, in the period that has not ended, as far as it shows.
    so_far: f64,
    /// When the last request left.
    left: Moment,
    /// What remains fell by so many while so many of ours left, lately.
    fell: f64,
    passed: f64,
}

/// What the server said to the request that left last, of those that were answered.
#[derive(Clone, Copy, Debug)]
struct News {
    sent: Moment,
    heard: Moment,
    remaining: u64,
    total: u64,
    /// Ours that left since.
    since: u64,
    reset: Moment,
}

/// What an answer says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub(super) remaining: u64,
    pub(super) reset: Moment,
    /// The limit for all together.
    pub(super) total: u64,
    pub(super) own: Own,
    pub(super) sent: Moment,
}

/// Our own part in what an answer says, in the window's unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    /// What the request itself cost.
    pub(super) cost: u64,
    /// The most of ours that the server can have counted.
    pub(super) most: u64,
    /// What left after it.
    pub(super) since: u64,
}

/// What the window is now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) limit: u64,
    pub(super) length: Duration,
    pub(super) round_trip: Duration,
}

impl Terms {
    fn seconds(&self) -> f64 {
        self.length.as_secs_f64()
    }
}

impl Share {
    /// Whether others take part.
    pub(super) fn is_shared(&self, now: Moment) -> bool {
        !is_ablated("share") && self.until.is_some_and(|until| now < until)
    }

    /// An answer tells what remains.
    pub(super) fn learn(
        &mut self,
        heard: Heard,
        length: Duration,
        round_trip: Duration,
        now: Moment,
    ) {
        self.care.learn(heard.remaining, round_trip, now);
        let taken = heard.total.saturating_sub(heard.remaining);
        let by_others = taken.saturating_sub(heard.own.most);
        if by_others > 0 {
            self.until = Some(now + length.saturating_mul(WINDOWS_SHARED));
        }
        if self.news.is_some_and(|news| heard.sent < news.sent) {
            return;
        }
        self.compare(&heard, now);
        if self.bit_by_bit {
            let age = self.news.map_or(length, |news| now - news.heard);
            let weight = (MEAN * age.as_secs_f64() / length.as_secs_f64()).min(1.0);
            self.others += (by_others as f64 - self.others) * weight;
        } else {
            self.count_period(&heard, by_others as f64);
        }
        self.news = Some(News {
            sent: heard.sent,
            heard: now,
            remaining: heard.remaining,
            total: heard.total,
            since: heard.own.since,
            reset: heard.reset,
        });
    }

    /// How what remains has changed: does the server forget before the reset, and how much of what
    /// it says is left do our own requests take?
    fn compare(&mut self, heard: &Heard, now: Moment) {
        let Some(news) = self.news else { return };
        let is_later = heard.sent >= news.heard;
        let before_reset = now + RESET_GRAIN < news.reset;
        // A limit that was raised lets it grow at once.
        if is_later && before_reset && heard.total == news.total {
            // This request itself was counted between.
            let before = heard.remaining.saturating_add(heard.own.cost);
            self.forgotten = (self.forgotten).saturating_add(before.saturating_sub(news.remaining));
            self.bit_by_bit |= self.forgotten >= FORGOTTEN_EARLY;
        }
        let passed = news.since.saturating_sub(heard.own.since) as f64;
        // A reset lets it jump, which says nothing about the next requests.
        let fell = news.remaining as f64 - heard.remaining as f64;
        self.fell = self.fell * MEMORY + fell.clamp(-passed, 2.0 * passed);
        self.passed = self.passed * MEMORY + passed;
    }

    /// At the end of a period all that counts is of that period, ours and theirs.
    fn count_period(&mut self, heard: &Heard, by_others: f64) {
        let is_later = |news: News| heard.reset > news.reset + RESET_GRAIN;
        let is_later = self.news.is_some_and(is_later);
        let is_over = self.ends.is_some_and(|ends| heard.sent >= ends) && !is_ablated("period");
        if is_later || is_over {
            self.others = self.so_far;
            self.so_far = 0.0;
            self.ends = None;
        }
        let earlier = self.ends.map_or(heard.reset, |ends| ends.min(heard.reset));
        self.ends = Some(earlier);
        self.so_far = self.so_far.max(by_others);
        self.others = self.others.max(self.so_far);
    }

    /// A request of this cost leaves.
    pub(super) fn grant(&mut self, cost: u64, round_trip: Duration, now: Moment) {
        self.left = now;
        self.care.grant(round_trip, now);
        if let Some(news) = &mut self.news {
            news.since = news.since.saturating_add(cost);
        }
    }

    /// What remains by the news, less what left since.
    fn remains(&self, news: News) -> f64 {
        let each = match self.passed > 0.0 {
            true => (self.fell / self.passed).clamp(0.0, 1.0),
            false => 1.0,
        };
        news.remaining as f64 - news.since as f64 * each
    }

    /// What others took by the last news and until when, `ours` aside.
    pub(super) fn by_others(&self, ours: u64, now: Moment) -> Option<(u64, Moment)> {
        let news = self.news?;
        let until = Some(news.reset).filter(|until| *until > now)?;
        let taken = news.total.saturating_sub(news.remaining);
        let all = taken.saturating_add(news.since);
        Some((all.saturating_sub(ours), until))
    }

    /// Not shared: those on their way take all that the server said is left a moment ago, so their
    /// answers are worth waiting for; until then, since they may never come.
    pub(super) fn needs_answer(&self, in_flight: u64, terms: Terms, now: Moment) -> Option<Moment> {
        let news = self.news.filter(|_| !is_ablated("answer"))?;
        let (is_taken, since) = match self.care.takes_all(in_flight, terms.length, now) {
            Some(careful) => careful,
            None => (news.since > 0 && self.remains(news) < 1.0, news.heard),
        };
        let until = since + terms.round_trip * PATIENCE;
        (is_taken && now < until).then_some(until)
    }

    /// When all is there anew.
    fn ends(&self, news: News) -> Moment {
        let earliest = self.ends.filter(|_| !is_ablated("period"));
        earliest.unwrap_or(news.reset)
    }

    /// When all is there anew, if that is to come all at once.
    pub(super) fn reset(&self, now: Moment) -> Option<Moment> {
        let reset = self.ends(self.news?);
        (reset > now && !self.bit_by_bit).then_some(reset)
    }

    /// What the server allows all together. Ours may have been configured lower, as where two
    /// machines halve it; what others take counts against this.
    fn total(&self, terms: Terms) -> f64 {
        let told = self.news.map_or(0, |news| news.total);
        told.max(terms.limit).max(1) as f64
    }

    /// The seconds between two of ours at our share.
    fn gap(&self, terms: Terms) -> f64 {
        let limit = terms.limit.max(1) as f64;
        let part = (self.total(terms) - self.others).clamp(limit * LEAST_PART, limit);
        terms.seconds() / part
    }

    /// How much later than told to come back after a rejection.
    pub(super) fn shift(&self, terms: Terms, now: Moment) -> Duration {
        if is_ablated("shift") {
            return Duration::ZERO;
        }
        // The nanoseconds are chance enough; a multiplicative hash spreads them.
        let mixed = (now - Moment::ZERO)
            .subsec_nanos()
            .wrapping_mul(0x9E37_79B9);
        let part = f64::from(mixed) / f64::from(u32::MAX);
        terms
            .length
            .min(Duration::from_secs_f64(self.gap(terms) * part * SHIFT))
    }
}

#[cfg(test)]
mod tests;
