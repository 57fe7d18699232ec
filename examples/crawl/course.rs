//! How a crawl feels its way: how many parts may be out, and when going on is useless.
//!
//! The first part goes alone. Until one has been answered, no more go than may fail in a row, so a
//! slip in the URL costs that many requests. A server that cannot be reached is left alone but for
//! one probe now and then.
//!
//! Pure: `now` is an argument.

use std::time::Duration;

use reqwest_tollgate::Moment;

use crate::stop::Ending;

/// So many parts in a row, and the server counts as unreachable.
const UNREACHABLE: u32 = 3;
pub(crate) const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A part that has been asked about so often in vain is given up: perhaps it is the reason.
pub(crate) const TRIES: u32 = 3;

/// What came of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Success,
    /// An answer that is none about the part.
    Status(u16),
    /// No answer, or one that says as much, in these words.
    Unreachable(String),
    /// A failure that says nothing of the server.
    Other,
}

/// Whether another part may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Go,
    /// Once one of those that are out is back.
    Later,
    /// Not before this moment.
    At(Moment),
}

/// The rules of the command line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) workers: usize,
    /// None: never.
    pub(crate) stop_after: Option<usize>,
    pub(crate) outage: Duration,
}

pub(crate) struct Course {
    limits: Limits,
    /// Parts that are out.
    out: usize,
    has_answers: bool,
    has_succeeded: bool,
    streak: Option<(u16, usize)>,
    unreachable: u32,
    outage: Option<Outage>,
}

/// The server cannot be reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    since: Moment,
    pause: Duration,
    next: Moment,
    is_probing: bool,
}

impl Outage {
    pub(crate) fn begin(now: Moment) -> Self {
        Self {
            since: now,
            pause: FIRST_PAUSE,
            next: now + FIRST_PAUSE,
            is_probing: false,
        }
    }

    /// When to look again.
    pub(crate) fn next(&self) -> Moment {
        self.next
    }

    /// A probe failed: an ending if it has lasted for too long.
    pub(crate) fn goes_on(&mut self, most: Duration, text: &str, now: Moment) -> Option<Ending> {
        let span = now - self.since;
        if span >= most {
            let text = text.to_owned();
            return Some(Ending::Unreachable { span, text });
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.next = (now + self.pause).min(self.since + most);
        self.is_probing = false;
        None
    }
}

impl Course {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            out: 0,
            has_answers: false,
            has_succeeded: false,
            streak: None,
            unreachable: 0,
            outage: None,
        }
    }

    /// Since when the server cannot be reached.
    pub(crate) fn outage(&self) -> Option<Outage> {
        self.outage
    }

    pub(crate) fn next(&self, now: Moment) -> Next {
        match self.outage {
            Some(_) if self.out > 0 => Next::Later,
            Some(outage) if outage.next > now => Next::At(outage.next),
            None if self.out >= self.most() => Next::Later,
            _ => Next::Go,
        }
    }

    /// How many may be out.
    fn most(&self) -> usize {
        let failed = self.streak.map_or(0, |(_, parts)| parts);
        match self.limits.stop_after {
            _ if self.has_succeeded => self.limits.workers,
            _ if !self.has_answers => 1,
            Some(most) => self.limits.workers.min(most.saturating_sub(failed)).max(1),
            None => self.limits.workers,
        }
    }

    /// A part goes; whether it is a probe.
    pub(crate) fn left(&mut self) -> bool {
        self.out += 1;
        if let Some(outage) = &mut self.outage {
            outage.is_probing = true;
        }
        self.outage.is_some()
    }

    /// A part is back.
    pub(crate) fn came(&mut self, seen: &Seen, now: Moment) -> Option<Ending> {
        self.out = self.out.saturating_sub(1);
        match seen {
            Seen::Success => self.reached(true, None),
            Seen::Status(status) => self.reached(false, Some(*status)),
            Seen::Unreachable(text) => self.unreachable(text, now),
            Seen::Other => None,
        }
    }

    fn reached(&mut self, is_success: bool, status: Option<u16>) -> Option<Ending> {
        self.has_answers = true;
        self.has_succeeded |= is_success;
        self.unreachable = 0;
        self.outage = None;
        self.streak = match (status, self.streak) {
            // Where other parts are found, it is an answer about the part.
            (Some(404), _) if self.has_succeeded => None,
            (Some(new), Some((old, parts))) if new == old => Some((new, parts + 1)),
            (Some(new), _) => Some((new, 1)),
            (None, _) => None,
        };
        let (status, parts) = self.streak?;
        let is_over = self.limits.stop_after.is_some_and(|most| parts >= most);
        is_over.then_some(Ending::SameStatus { status, parts })
    }

    fn unreachable(&mut self, text: &str, now: Moment) -> Option<Ending> {
        self.unreachable += 1;
        match &mut self.outage {
            Some(outage) if outage.is_probing => outage.goes_on(self.limits.outage, text, now),
            // It left before the outage was known.
            Some(_) => None,
            None => {
                if !self.has_succeeded || self.unreachable >= UNREACHABLE {
                    self.outage = Some(Outage::begin(now));
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course() -> Course {
        Course::new(Limits {
            workers: 32,
            stop_after: Some(20),
            outage: Duration::from_secs(600),
        })
    }

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    fn unreachable() -> Seen {
        Seen::Unreachable("refused".to_owned())
    }

    /// Lets as many go as may.
    fn fill(course: &mut Course, now: Moment) -> usize {
        let mut gone = 0;
        while course.next(now) == Next::Go {
            course.left();
            gone += 1;
        }
        gone
    }

    #[test]
    fn the_first_part_goes_alone_and_all_workers_once_it_is_answered() {
        let mut course = course();
        assert_eq!(fill(&mut course, at(0)), 1);
        assert_eq!(course.came(&Seen::Success, at(1)), None);
        assert_eq!(fill(&mut course, at(1)), 32);
    }

    #[test]
    fn a_url_that_is_wrong_costs_as_many_requests_as_may_fail_in_a_row() {
        let mut course = course();
        let mut asked = 0;
        let ending = loop {
            asked += fill(&mut course, at(0));
            if let Some(ending) = course.came(&Seen::Status(404), at(0)) {
                break ending;
            }
        };
        let (status, parts) = (404, 20);
        assert_eq!(ending, Ending::SameStatus { status, parts });
        assert_eq!(asked, 20);
    }

    #[test]
    fn parts_that_are_not_found_among_others_that_are_end_nothing() {
        let mut course = course();
        course.came(&Seen::Success, at(0));
        for _ in 0..100 {
            assert_eq!(course.came(&Seen::Status(404), at(0)), None);
        }
        let refused = (0..20).find_map(|_| course.came(&Seen::Status(403), at(0)));
        assert!(refused.is_some());
    }

    #[test]
    fn a_success_or_another_status_begins_the_row_anew() {
        let mut course = course();
        for _ in 0..3 {
            for _ in 0..19 {
                assert_eq!(course.came(&Seen::Status(403), at(0)), None);
            }
            course.came(&Seen::Success, at(0));
        }
        for status in [403, 500].repeat(30) {
            assert_eq!(course.came(&Seen::Status(status), at(0)), None);
        }
    }

    #[test]
    fn a_server_that_is_dead_from_the_start_gets_one_probe_at_a_time() {
        let mut course = course();
        fill(&mut course, at(0));
        course.came(&unreachable(), at(0));
        let (mut now, mut probes) = (at(0), 0);
        let ending = loop {
            match course.next(now) {
                Next::At(moment) => now = moment,
                Next::Later => {
                    if let Some(ending) = course.came(&unreachable(), now) {
                        break ending;
                    }
                }
                Next::Go => {
                    assert!(course.left());
                    probes += 1;
                }
            }
        };
        assert!(matches!(ending, Ending::Unreachable { .. }));
        assert_eq!(now, at(600));
        assert_eq!(probes, 15);
    }

    #[test]
    fn a_server_that_is_back_is_asked_by_all_workers_again() {
        let mut course = course();
        course.left();
        course.came(&Seen::Success, at(0));
        assert_eq!(fill(&mut course, at(0)), 32);
        for _ in 0..32 {
            assert_eq!(course.came(&unreachable(), at(5)), None);
        }
        assert_eq!(course.next(at(5)), Next::At(at(6)));
        assert_eq!(fill(&mut course, at(6)), 1);
        course.came(&Seen::Success, at(6));
        assert_eq!(fill(&mut course, at(6)), 32);
    }

    #[test]
    fn two_parts_that_fail_alone_are_no_outage() {
        let mut course = course();
        course.came(&Seen::Success, at(0));
        course.came(&unreachable(), at(0));
        course.came(&unreachable(), at(0));
        assert!(course.outage().is_none());
        course.came(&Seen::Success, at(0));
        course.came(&unreachable(), at(0));
        assert!(course.outage().is_none());
    }
}
