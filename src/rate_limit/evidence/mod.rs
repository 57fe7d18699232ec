//! What the limiter makes of reports that no configured window owns.
//!
//! A report speaks for itself: what remains, until its reset, and no longer. Reports of one family
//! and limit are a [`Series`], which is obeyed as a window of its own, whoever's it is. What is
//! unproven is tested by exactly one request, the *scout*: it is neither obeyed, which stops
//! crawls, nor ignored, which sends a herd into a wall.
//!
//! | rule | what it says                                        | left out, in random worlds     |
//! |------|-----------------------------------------------------|--------------------------------|
//! | R1   | two in flight at first, one more with each answer until one reports | 64 instead of 83 % good |
//! | R2–4 | what is in flight counts; only a later answer raises | 44 and 52 % good               |
//! | R5   | one scout at a told end, not all                    | 378 instead of 2 rejections    |
//! | R6   | a reserve pays for the scouts                       | 72 % good                      |
//! | R15  | another limit under the same name is another series | 345 instead of 1 rejections    |
//! | R18  | answers that report nothing count                   | 93.2 instead of 94.3 % used    |
//! | R19  | what is refuted three times is void                 | a liar stops the crawl         |
//! | R20  | an odd report is tried at once                      | 55 instead of 73 % used        |
//! | R22  | a limit without a remainder is tested               | 20 to 52 rejections            |
//! | R25  | one name that tells the tightest frees the others   | one world in 600 stops         |
//!
//! `series` holds R2 to R21, `limit_test` R22 and R23. Pure: `now` is an argument.

mod answer;
mod chance;
mod ends;
mod limit_test;
mod news;
mod series;
mod silent;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub(super) use self::answer::Answer;
pub(super) use self::chance::Chance;
use self::limit_test::LimitTests;
pub(super) use self::news::{Learned, News};
use self::series::{Key, Series};
use super::headers::Owner;
use super::headers::report::Report;
use super::in_flight::PermitId;
use crate::clock::Moment;

/// The most series of one quota; the one that was told longest ago gives way.
const MOST_SERIES: usize = 8;

/// What may be in flight before the first answer has come.
const FIRST_CONTACT: u64 = 2;

/// One more goes for each so long that the first answer does not come.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);

/// What is known of one quota beside its windows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    series: Vec<Series>,
    tests: LimitTests,
    /// How many answers have come, as far as that matters.
    answers: u64,
    /// Whether any of them reported anything.
    is_told: bool,
    /// When the first request left.
    began: Option<Moment>,
}

/// The longest configured window, and an hour at most: for so long one answer is believed alone.
pub(super) fn believed(longest: Option<Duration>) -> Duration {
    let hour = Duration::from_secs(60 * 60);
    longest.unwrap_or(hour).min(hour)
}

impl Evidence {
    /// When one more may leave beside `in_flight` others. `own` gives how many of ours count in a
    /// window, in flight included.
    pub(crate) fn chance(
        &self,
        in_flight: u64,
        own: impl Fn(usize) -> u64,
        believed: Duration,
        now: Moment,
    ) -> Chance {
        let mut chance = self.first_contact(in_flight, now);
        for series in &self.series {
            chance = chance.and(series.chance(in_flight, believed, now));
        }
        chance.and(self.tests.chance(in_flight, own))
    }

    /// A herd before the first answer costs a rejection for each worker (R1). Until anything is
    /// told, each answer lets one more go: a server that tells only now and then has told by then.
    fn first_contact(&self, in_flight: u64, now: Moment) -> Chance {
        let most = FIRST_CONTACT.saturating_add(self.answers);
        if self.is_told || in_flight < most {
            return Chance::Now;
        }
        if self.answers > 0 {
            return Chance::WhenAnswered(Moment::NEVER);
        }
        let began = self.began.unwrap_or(now);
        let late = (now - began).as_secs() / FIRST_PATIENCE.as_secs();
        match in_flight < FIRST_CONTACT + late {
            true => Chance::Now,
            false => {
                let next = (in_flight + 1 - FIRST_CONTACT).min(1 << 16) as u32;
                Chance::WhenAnswered(began + FIRST_PATIENCE.saturating_mul(next))
            }
        }
    }

    /// A request leaves beside `in_flight` others.
    pub(crate) fn grant(
        &mut self,
        permit: PermitId,
        in_flight: u64,
        own: impl Fn(usize) -> u64,
        now: Moment,
    ) {
        self.began.get_or_insert(now);
        for series in &mut self.series {
            series.grant(permit, in_flight, now);
        }
        self.tests.grant(permit, own);
    }

    /// A request never left.
    pub(crate) fn unsent(&mut self, permit: PermitId) {
        for series in &mut self.series {
            series.unsent(permit);
        }
        self.tests.withdraw(permit);
    }

    /// A request was lost, or hung for too long: the server may have counted it.
    pub(crate) fn lost(&mut self, permit: PermitId, now: Moment) {
        self.unsent(permit);
        for series in &mut self.series {
            series.count_silent(now);
        }
    }

    /// A request was answered with these reports. Gives what changed by that, if anything did.
    pub(crate) fn answered(
        &mut self,
        reports: &[(Report, Owner)],
        answer: Answer,
        own: impl Fn(usize) -> u64,
        window: impl Fn(usize) -> Option<(u64, Duration)>,
    ) -> Vec<News> {
        let mut news = Vec::new();
        self.answers = self.answers.saturating_add(1);
        let mut told = [false; MOST_SERIES];
        for (report, owner) in reports {
            let is_owned = *owner != Owner::Learned;
            if owner.is_weighed() && !(is_owned && answer.is_rejected) {
                let at = self.series_of(report, is_owned, answer, &mut news);
                if let Some(series) = self.series.get_mut(at) {
                    series.hear(report, answer);
                    news.extend(series.news());
                    if let Owner::Window { index, .. } = owner {
                        series.compare(report, own(*index));
                    }
                    told[at] = true;
                }
            }
        }
        self.is_told |= !reports.is_empty();
        for (series, told) in self.series.iter_mut().zip(told) {
            if told {
                continue;
            }
            match reports
                .iter()
                .find(|(report, _)| series.is_family_of(report))
            {
                Some((other, _)) => series.outdone(other, answer),
                None => series.heard_nothing(!reports.is_empty(), answer),
            }
        }
        self.series.retain(|series| {
            let is_over = series.is_over(answer.now);
            news.extend(series.end().filter(|_| is_over));
            !is_over
        });
        let alone = reports
            .iter()
            .filter(|(_, owner)| *owner == Owner::LimitAlone);
        let alone = alone.filter_map(|(report, _)| report.limit);
        let verdicts = self.tests.heard(alone, window, answer);
        news.extend(verdicts.into_iter().map(News::from));
        news
    }

    fn series_of(
        &mut self,
        report: &Report,
        is_owned: bool,
        answer: Answer,
        news: &mut Vec<News>,
    ) -> usize {
        let key = Key::of(report);
        if let Some(at) = self.series.iter().position(|series| series.key == key) {
            return at;
        }
        // Whatever the first answers did not tell is odd until it is told again.
        let new = Series::new(key, is_owned, self.is_told, answer);
        if self.series.len() < MOST_SERIES {
            self.series.push(new);
            return self.series.len() - 1;
        }
        let oldest = self
            .series
            .iter()
            .enumerate()
            .min_by_key(|(_, series)| series.last_told());
        let at = oldest.map_or(0, |(at, _)| at);
        if let Some(oldest) = self.series.get_mut(at) {
            news.extend(oldest.end());
            *oldest = new;
        }
        at
    }

    /// Whether a series that more than one answer told ends at about this moment.
    pub(crate) fn corroborates(&self, end: Moment, span: Duration) -> bool {
        self.series
            .iter()
            .any(|series| series.corroborates(end, span))
    }

    /// Whether a learned window says that nothing is left.
    pub(crate) fn explains_rejection(reports: &[(Report, Owner)]) -> bool {
        let is_spent = |report: &Report| report.remaining == Some(0);
        reports
            .iter()
            .any(|(report, owner)| *owner == Owner::Learned && is_spent(report))
    }

    /// As if an answer had come.
    #[cfg(test)]
    pub(crate) fn make_contact(&mut self) {
        self.is_told = true;
    }

    /// Forgets all that was learned.
    pub(crate) fn reopen(&mut self) {
        *self = Self {
            answers: self.answers,
            is_told: self.is_told,
            began: self.began,
            ..Self::default()
        };
    }

    /// The learned windows.
    pub(crate) fn learned(&self) -> impl Iterator<Item = &Series> {
        self.series.iter().filter(|series| !series.is_owned())
    }
}
