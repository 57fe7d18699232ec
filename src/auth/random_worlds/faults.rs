//! What varies from world to world, and what goes wrong in one: all of it drawn from the seed.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

use super::agenda::Life;

const LONGEST_LATE: Duration = Duration::from_secs(300);
const SLOWEST_CALL: Duration = Duration::from_secs(30);
const SLOWEST_ANSWER: Duration = Duration::from_secs(70);
/// For so long a fault may have an effect, once it is over.
const LONGEST_UNREST: Duration = Duration::from_secs(600);
/// One call of the store in so many is slow, late or fails by itself.
const CALL_FAILS: f64 = 0.02;
/// And one token request.
const REQUEST_FAILS: f64 = 0.02;
pub(super) const MILLISECOND: Duration = Duration::from_millis(1);

/// Which faults a world has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Calm,
    Kills,
    Stops,
    Store,
    Server,
    All,
    /// Four times the faults of [`Class::All`]: for measuring, not for asserting.
    Harsh,
}

impl Class {
    pub(super) const EACH: [Self; 7] = [
        Self::Calm,
        Self::Kills,
        Self::Stops,
        Self::Store,
        Self::Server,
        Self::All,
        Self::Harsh,
    ];

    /// Whether somebody sets wall clocks there.
    pub(super) fn sets_clocks(self) -> bool {
        self.has(Self::Store) > 0.0
    }

    /// Which part of the faults of a kind such a world has.
    fn has(self, kind: Self) -> f64 {
        match self {
            Self::Harsh => 4.0,
            Self::All => 1.0,
            _ if self == kind => 1.0,
            _ => 0.0,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}").to_lowercase())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoreKind {
    /// The right is a lock of the operating system: free as soon as its holder is gone, held while
    /// the holder is stopped.
    FileLock,
    /// The right is a lease that runs out by the store's clock.
    TimeOut,
}

/// What the server does with a refresh token that is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerKind {
    /// Rotates, and revokes the family when a spent token comes back.
    Strict,
    /// As strict, but for 10 s it repeats the answer.
    SameAnswer,
    /// As strict, but for 10 s it gives another successor and voids the former one.
    ReplacedSibling,
    /// As strict, but for 10 s it gives another successor beside the former one.
    FreeSiblings,
    /// The refresh token stays as it is.
    Reusable,
    /// Rotates every other time, by chance; strict with those that it has rotated.
    RotatesSometimes,
}

/// How a world is made.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) class: Class,
    pub(super) seed: u64,
    pub(super) processes: usize,
    pub(super) lifetime: Duration,
    pub(super) round_trip: Duration,
    pub(super) store: StoreKind,
    pub(super) server: ServerKind,
    /// What a call of the store takes, as a rule.
    pub(super) store_call: Duration,
    /// From then on nothing new goes wrong.
    pub(super) quiet_from: Duration,
    /// The last requests for a token, which must be served before the end.
    pub(super) last_asked: Duration,
    pub(super) end: Duration,
}

impl Setup {
    pub(super) fn draw(class: Class, seed: u64, lifetimes: u32, rng: &mut Rng) -> Self {
        let lifetime = Duration::from_secs(log_uniform(rng, 5.0, 86_400.0) as u64);
        let slow = class.has(Class::Store) > 0.0 && rng.u8(..4) == 0;
        let slowest = if slow { 3.0 } else { 0.05 };
        let most = (lifetime.as_secs_f64() / 40.0).min(slowest);
        let quiet_from = lifetime * lifetimes + Duration::from_secs(600);
        let last_asked = quiet_from + LONGEST_UNREST + lifetime.mul_f64(1.3);
        Self {
            class,
            seed,
            processes: rng.usize(1..=8),
            lifetime,
            round_trip: span(rng, 0.04, 1.5),
            store: match rng.bool() {
                true => StoreKind::FileLock,
                false => StoreKind::TimeOut,
            },
            server: match rng.u8(..8) {
                0..3 => ServerKind::Strict,
                3 => ServerKind::SameAnswer,
                4 => ServerKind::ReplacedSibling,
                5 => ServerKind::FreeSiblings,
                6 => ServerKind::Reusable,
                _ => ServerKind::RotatesSometimes,
            },
            store_call: span(rng, 0.001, most),
            quiet_from,
            last_asked,
            end: last_asked + Duration::from_secs(300),
        }
    }

    /// How long before its end a token is renewed, at most.
    pub(super) fn lead(&self) -> Duration {
        (self.lifetime / 4).min(Duration::from_secs(300))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoreFault {
    Down,
    Hanging,
    /// Nothing can be written; reading and locking work.
    Full,
    /// One process alone cannot reach it.
    CutOff(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerFault {
    Refused,
    ClosedUnread,
    LostAfterActing,
    Unavailable,
    GatewayTimeoutAfterActing,
    ForbiddenPage,
    Slow,
}

impl ServerFault {
    fn draw(rng: &mut Rng) -> Self {
        match rng.u8(..7) {
            0 => Self::Refused,
            1 => Self::ClosedUnread,
            2 => Self::LostAfterActing,
            3 => Self::Unavailable,
            4 => Self::GatewayTimeoutAfterActing,
            5 => Self::ForbiddenPage,
            _ => Self::Slow,
        }
    }

    fn acts(self) -> bool {
        matches!(
            self,
            Self::LostAfterActing | Self::GatewayTimeoutAfterActing | Self::Slow
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Store(StoreFault),
    Server(ServerFault),
}

/// For a while.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) from: Duration,
    pub(super) until: Duration,
    pub(super) fault: Fault,
}

/// What becomes of one call of the store.
#[derive(Debug)]
pub(super) struct CallPlan {
    /// None: it never takes effect.
    pub(super) acts_at: Option<Duration>,
    /// None: it is never answered.
    pub(super) replies_at: Option<Duration>,
    pub(super) fails: bool,
}

/// What becomes of one token request.
#[derive(Debug)]
pub(super) struct RequestPlan {
    /// None: the server never acts on it.
    pub(super) acts_at: Option<Duration>,
    pub(super) replies_at: Duration,
    /// None: the answer is what the server says.
    pub(super) fault: Option<ServerFault>,
}

/// What goes wrong in a world.
pub(super) struct Faults {
    setup: Setup,
    windows: Vec<Window>,
}

impl Faults {
    pub(super) fn new(setup: &Setup) -> Self {
        Self {
            setup: setup.clone(),
            windows: Vec::new(),
        }
    }

    pub(super) fn is_quiet(&self, now: Duration) -> bool {
        now >= self.setup.quiet_from
    }

    /// Whether a thing of that kind happens now that happens so often.
    pub(super) fn happens(&self, kind: Class, chance: f64, now: Duration, rng: &mut Rng) -> bool {
        let chance = chance * self.setup.class.has(kind);
        chance > 0.0 && !self.is_quiet(now) && rng.f64() < chance
    }

    /// How often a thing of that kind happens in this world, of a mean.
    pub(super) fn times(&self, kind: Class, mean: f64, rng: &mut Rng) -> u32 {
        (mean * self.setup.class.has(kind) * 2.0 * rng.f64()).round() as u32
    }

    /// Nothing that is late comes after the world has become quiet.
    pub(super) fn no_later(&self, time: Duration) -> Duration {
        time.min(self.setup.quiet_from)
    }

    /// At any time before it is quiet.
    pub(super) fn any_time(&self, rng: &mut Rng) -> Duration {
        self.setup.quiet_from.mul_f64(rng.f64())
    }

    pub(super) fn open(&mut self, from: Duration, kind: Class, rng: &mut Rng) -> Window {
        let fault = match kind {
            Class::Server => Fault::Server(ServerFault::draw(rng)),
            _ => Fault::Store(match rng.u8(..4) {
                0 => StoreFault::Down,
                1 => StoreFault::Hanging,
                2 => StoreFault::Full,
                _ => StoreFault::CutOff(rng.usize(..self.setup.processes)),
            }),
        };
        let least = if kind == Class::Server { 0.3 } else { 1.0 };
        let until = self.no_later(from + span(rng, least, 300.0));
        let window = Window { from, until, fault };
        self.windows.push(window);
        window
    }

    fn now(&self, now: Duration) -> impl Iterator<Item = &Window> {
        let is_open = move |window: &&Window| window.from <= now && now < window.until;
        self.windows.iter().filter(is_open)
    }

    fn store_fault(&self, life: Option<Life>, now: Duration) -> Option<(StoreFault, Duration)> {
        self.now(now).find_map(|window| match window.fault {
            Fault::Store(StoreFault::CutOff(slot)) if life.is_none_or(|life| life.slot != slot) => {
                None
            }
            Fault::Store(fault) => Some((fault, window.until)),
            Fault::Server(_) => None,
        })
    }

    pub(super) fn is_cut_off(&self, life: Life, now: Duration) -> bool {
        matches!(
            self.store_fault(Some(life), now),
            Some((StoreFault::CutOff(_), _))
        )
    }

    /// Whether a person who logs in could write there.
    pub(super) fn is_store_well(&self, now: Duration) -> bool {
        self.store_fault(None, now).is_none()
    }

    /// Whether that process had no trouble with the store for so long.
    pub(super) fn store_was_well(&self, slot: usize, span: Duration, now: Duration) -> bool {
        let since = now.saturating_sub(span);
        let concerns = |window: &&Window| match window.fault {
            Fault::Store(StoreFault::CutOff(of)) => of == slot,
            Fault::Store(_) => true,
            Fault::Server(_) => false,
        };
        let mut windows = self.windows.iter().filter(concerns);
        !windows.any(|window| window.from <= now && window.until > since)
    }

    pub(super) fn plan_call(
        &self,
        life: Life,
        writes: bool,
        now: Duration,
        rng: &mut Rng,
    ) -> CallPlan {
        let took = self.setup.store_call.mul_f64(0.5 + rng.f64());
        let plan = |acts: bool, replies_at, fails| CallPlan {
            acts_at: acts.then_some(now + took / 2),
            replies_at,
            fails,
        };
        match self.store_fault(Some(life), now) {
            Some((StoreFault::Full, _)) if writes => return plan(false, Some(now + took), true),
            Some((StoreFault::Full, _)) | None => {}
            Some((StoreFault::Down, _)) => return plan(false, Some(now + took), true),
            Some((StoreFault::Hanging, until)) => {
                let acts = rng.bool();
                return CallPlan {
                    acts_at: acts.then_some(until + took / 2),
                    // Only a write may hang for ever: what reads and locks is broken off then.
                    replies_at: (!writes || rng.bool()).then_some(until + took),
                    fails: !acts || rng.bool(),
                };
            }
            Some((StoreFault::CutOff(_), until)) => {
                let replies_at = if rng.bool() { now + took } else { until };
                return plan(false, Some(replies_at), true);
            }
        }
        if self.happens(Class::Store, CALL_FAILS, now, rng) {
            return self.plan_bad_call(writes, now, rng);
        }
        plan(true, Some(now + took), false)
    }

    fn plan_bad_call(&self, writes: bool, now: Duration, rng: &mut Rng) -> CallPlan {
        let took = span(rng, 0.001, SLOWEST_CALL.as_secs_f64());
        let replies_at = Some(now + took);
        match rng.u8(..8) {
            0 | 1 => CallPlan {
                acts_at: None,
                replies_at,
                fails: true,
            },
            2 | 3 => CallPlan {
                acts_at: Some(now + took / 2),
                replies_at,
                fails: true,
            },
            4 if writes => CallPlan {
                acts_at: Some(self.no_later(now + LONGEST_LATE.mul_f64(rng.f64()))),
                replies_at: rng.bool().then_some(now + took),
                fails: true,
            },
            _ => CallPlan {
                acts_at: Some(now + took.mul_f64(rng.f64())),
                replies_at,
                fails: false,
            },
        }
    }

    pub(super) fn plan_request(&self, now: Duration, rng: &mut Rng) -> RequestPlan {
        let way = self.setup.round_trip.mul_f64(0.7 + 0.6 * rng.f64()) / 2;
        let window = self.now(now).find_map(|window| match window.fault {
            Fault::Server(fault) => Some(fault),
            Fault::Store(_) => None,
        });
        let fault = match window {
            Some(fault) => Some(fault),
            None if self.happens(Class::Server, REQUEST_FAILS, now, rng) => {
                Some(ServerFault::draw(rng))
            }
            None => None,
        };
        let (mut before, mut after) = (Duration::ZERO, Duration::ZERO);
        if fault == Some(ServerFault::Slow) {
            let slow = SLOWEST_ANSWER.mul_f64(rng.f64());
            match rng.bool() {
                true => before = slow,
                false => after = slow,
            }
        }
        let acts = fault.is_none_or(ServerFault::acts);
        RequestPlan {
            acts_at: acts.then_some(now + way + before),
            replies_at: now + way + before + after + way,
            fault: fault.filter(|fault| *fault != ServerFault::Slow),
        }
    }
}

/// As many small ones as large ones.
fn log_uniform(rng: &mut Rng, least: f64, most: f64) -> f64 {
    least * (most / least).powf(rng.f64())
}

/// Of so many seconds, as many short ones as long ones.
pub(super) fn span(rng: &mut Rng, least: f64, most: f64) -> Duration {
    Duration::from_secs_f64(log_uniform(rng, least, most)).max(MILLISECOND)
}
