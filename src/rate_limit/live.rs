//! How much of one window is used: our own requests, and what others take of the same quota.
//!
//! Pure: `now` is an argument.

mod learn;
mod reopen;
mod saved;

use std::time::SystemTime;

use super::answered::Answered;
use super::window::{Span, Window};
use crate::clock::{Moment, Now};

/// A limit other than the configured one that the server does not tell again is kept for so many
/// windows: it may have been of that hour alone.
const LIMIT_KEPT: u32 = 10;

/// No limit that a server tells is taken for more, so that sums with it do not overflow.
const LARGEST_LIMIT: u64 = 1 << 40;

/// One window's state.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    configured: u64,
    follows_raises: bool,
    /// The limit in force for us: the configured one, or the server's if that is lower; a higher
    /// one too, if raises are followed.
    limit: u64,
    /// What the server allows all its users together, as far as it is known.
    total: u64,
    /// When the server told its limit last.
    limit_told: Moment,
    /// When the last of those requests left whose answers told it.
    limit_sent: Moment,
    answered: Answered,
    others: Option<Others>,
    /// Nobody leaves before: the server says that nothing is left, though we used less.
    spent_until: Moment,
    /// When a pause without a told end is over: the next to leave is a probe.
    blind_until: Option<Moment>,
    reset: Option<Reset>,
    left_by_server: Option<u64>,
}

/// What other users of the same quota took at least, by the server's own count.
#[derive(Clone, Copy, Debug)]
struct Others {
    count: u64,
    until: Moment,
}

/// When the window resets, by the newest response that said so.
#[derive(Clone, Copy, Debug)]
struct Reset {
    at: Moment,
    told: Moment,
}

/// When there is room for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Now,
    At(Moment),
    /// Not before a request in flight is answered.
    WhenAnswered,
}

impl Room {
    /// When both allow it.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Now, room) | (room, Self::Now) => room,
            (Self::At(one), Self::At(other)) => Self::At(one.max(other)),
            (Self::WhenAnswered, _) | (_, Self::WhenAnswered) => Self::WhenAnswered,
        }
    }
}

impl Live {
    pub(crate) fn new(window: &Window, now: Now) -> Self {
        Self {
            configured: window.limit,
            follows_raises: window.follows_raises,
            limit: window.limit,
            total: window.limit,
            limit_told: Moment::ZERO,
            limit_sent: Moment::ZERO,
            answered: Answered::new(window, now),
            others: None,
            spent_until: Moment::ZERO,
            blind_until: None,
            reset: None,
            left_by_server: None,
        }
    }

    /// The same window with what was configured since. What the server said of the limit is as old
    /// as the configured one that was replaced.
    pub(crate) fn changed(mut self, window: &Window) -> Self {
        if window.limit != self.configured {
            self.configured = window.limit;
            self.limit = window.limit;
            self.total = window.limit;
            self.answered.set_limit(window.limit);
        }
        self.follows_raises = window.follows_raises;
        self.limit = self.limit.min(self.highest());
        self
    }

    /// The highest limit that is taken from the server. Who configured less than that meant it (two
    /// machines that share a quota), unless raises are followed.
    fn highest(&self) -> u64 {
        match self.follows_raises {
            true => self.configured.max(LARGEST_LIMIT),
            false => self.configured,
        }
    }

    /// A new window that begins with what others know of its requests, whichever knows most.
    pub(crate) fn among<'a>(
        window: &Window,
        others: impl Iterator<Item = &'a Self>,
        now: Now,
    ) -> Self {
        let mut live = Self::new(window, now);
        let candidates = others.map(|other| {
            let mut answered = Answered::new(window, now);
            answered.take_over(&other.answered, now);
            answered
        });
        if let Some(answered) = candidates.max_by_key(Answered::total) {
            live.answered = answered;
        }
        live
    }

    /// When it forgets.
    pub(crate) fn span(&self) -> Span {
        self.answered.span()
    }

    /// Forgets what no longer counts. True if the next request is a probe: a calendar period in
    /// which nothing was left is over, or a pause of which no response said how long.
    pub(crate) fn forget(&mut self, now: Now) -> bool {
        let was_full = self.left_by_us() == 0;
        self.forget_limit(now);
        if self.others.is_some_and(|others| others.until <= now.moment) {
            self.others = None;
        }
        if self.reset.is_some_and(|reset| reset.at <= now.moment) {
            self.reset = None;
            self.left_by_server = None;
        }
        let rolled_over = self.answered.forget(now);
        if rolled_over {
            self.others = None;
            self.spent_until = Moment::ZERO;
        }
        let looks_again = self.blind_until.is_some_and(|until| until <= now.moment);
        if looks_again {
            self.blind_until = None;
        }
        looks_again || (rolled_over && was_full)
    }

    /// A lower limit of a calendar's period is kept: a rejection there costs the rest of it.
    fn forget_limit(&mut self, now: Now) {
        if self.limit == self.configured {
            return;
        }
        let length = match self.span() {
            Span::Rolling(length) => length,
            Span::Calendar(period) if self.limit > self.configured => period.longest(),
            Span::Calendar(_) => return,
        };
        if self.limit_told + length.saturating_mul(LIMIT_KEPT) <= now.moment {
            self.limit = self.configured;
            self.total = self.configured;
        }
    }

    /// When one more may leave beside `in_flight` others; one that costs more is that many less one
    /// of the others. Call [`forget`](Self::forget) first.
    pub(crate) fn room(&self, in_flight: u64, now: Now) -> Room {
        if self.spent_until > now.moment {
            return Room::At(self.spent_until);
        }
        let more = in_flight.saturating_add(1);
        if let Some(until) = self.answered.held(more, self.limit, now) {
            return Room::At(until);
        }
        let ours = self.own().saturating_add(more);
        let all = ours.saturating_add(self.by_others());
        let first = self.when_freed(ours.saturating_sub(self.limit), 0, now);
        let second = self.when_freed(all.saturating_sub(self.total), self.by_others(), now);
        first.and(second)
    }

    /// Before when so much more cannot leave beside what is in flight, whatever others take.
    pub(crate) fn not_before(&self, amount: u64, in_flight: u64, now: Now) -> Moment {
        let limit = self.limit.max(1);
        let room = self.answered.not_before(amount, in_flight, limit, now);
        room.max(self.spent_until)
    }

    /// When so many fewer count, of ours or of the others'.
    fn when_freed(&self, excess: u64, others: u64, now: Now) -> Room {
        if excess == 0 {
            return Room::Now;
        }
        let theirs = self
            .others
            .filter(|_| others > 0)
            .map(|others| others.until);
        let own = self.answered.when_freed(excess, now);
        let enough = own
            .into_iter()
            .chain(theirs.filter(|_| others >= excess))
            .min();
        // Where only both together make room, the nearer end is when it is worth another look.
        let some = || {
            self.answered
                .when_freed(self.own(), now)
                .into_iter()
                .chain(theirs)
                .min()
        };
        enough.or_else(some).map_or(Room::WhenAnswered, Room::At)
    }

    /// Counts so much that was answered now.
    pub(crate) fn count(&mut self, amount: u64, now: Now) {
        self.answered.push(now.moment, amount, now);
    }

    /// So much was ours of what the server counted. As far as it told that before we knew, it was
    /// taken for that of others.
    pub(crate) fn charge(&mut self, amount: u64, now: Now) {
        if let Some(others) = &mut self.others {
            others.count = others.count.saturating_sub(amount);
        }
        self.count(amount, now);
    }

    fn by_others(&self) -> u64 {
        self.others.map_or(0, |others| others.count)
    }

    /// By our own count, without what is in flight.
    fn left_by_us(&self) -> u64 {
        let own = self.own();
        let of_all = self
            .total
            .saturating_sub(own)
            .saturating_sub(self.by_others());
        self.limit.saturating_sub(own).min(of_all)
    }

    /// Our own answered requests that count.
    pub(crate) fn own(&self) -> u64 {
        self.answered.total()
    }

    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        self.answered.size()
    }

    /// The limit in force.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// The smaller of the server's count and ours.
    pub(crate) fn left(&self, in_flight: u64) -> u64 {
        let ours = self.left_by_us().saturating_sub(in_flight);
        self.left_by_server.map_or(ours, |theirs| theirs.min(ours))
    }

    /// Until when a request counts that is answered now.
    pub(crate) fn counts_until(&self, now: Now) -> Moment {
        self.answered.longest(now)
    }

    /// The end of the calendar's period.
    pub(crate) fn calendar_end(&self) -> Option<SystemTime> {
        self.answered.calendar_end()
    }

    /// When the window resets, by the server's word or by the calendar.
    pub(crate) fn resets_at(&self, now: Now) -> Option<SystemTime> {
        let told = self.reset.map(|reset| now.wall_at(reset.at));
        told.or(self.answered.calendar_end())
    }
}

#[cfg(test)]
mod tests;
