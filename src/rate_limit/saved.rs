//! What survives the process: a quota's state in terms of the wall clock, as JSON.
//!
//! Whatever the clock did meanwhile, a restored state admits no more than the true one would: what
//! lies in the future is taken for now, an end is never further off than it was, and what was in
//! flight counts as answered now. Only a clock that was set ahead makes old requests older, and one
//! that was set back keeps a limit of the server's for longer.
//!
//! Pure: `now` is an argument.

mod found;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::window::{Offset, Period, Span};
use crate::clock::{Moment, Now};
use crate::header_value::LONGEST_PAUSE;

/// What this version writes, and all that it reads.
const FORMAT: u32 = 1;

/// All quotas of an account.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    format: u32,
    /// In milliseconds since 1970, like all times here.
    at: u64,
    pub(super) quotas: BTreeMap<String, SavedQuota>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct SavedQuota {
    pub(super) closed_until: Option<u64>,
    pub(super) rejections: u32,
    pub(super) windows: Vec<SavedWindow>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SavedWindow {
    pub(super) span: SavedSpan,
    pub(super) unit: String,
    pub(super) in_flight: u64,
    #[serde(flatten)]
    pub(super) live: SavedLive,
    pub(super) pace: SavedPace,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SavedLive {
    pub(super) configured: u64,
    pub(super) limit: u64,
    /// When the server told its limit last; none: it is not known, as in older files.
    #[serde(default)]
    pub(super) limit_told: Option<u64>,
    pub(super) total: u64,
    /// When answered, and how many; of a calendar's period, when it ends and how many.
    pub(super) answered: Vec<(u64, u64)>,
    /// How many, until when.
    pub(super) others: Option<(u64, u64)>,
    pub(super) spent_until: Option<u64>,
    pub(super) reset: Option<u64>,
    pub(super) left_by_server: Option<u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SavedPace {
    pub(super) factor: f64,
    pub(super) spread_until: Option<u64>,
    pub(super) relapses: u32,
    pub(super) slot: Option<u64>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SavedSpan {
    /// In nanoseconds.
    Rolling(u64),
    UtcDay,
    UtcMonth,
    /// At so many minutes ahead of UTC.
    LocalDay(i16),
    LocalMonth(i16),
}

/// Reads saved times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dial {
    pub(super) now: Now,
    saved_at: u64,
}

impl Saved {
    pub(super) fn new(quotas: BTreeMap<String, SavedQuota>, now: Now) -> Self {
        let at = millis(now.wall);
        let format = FORMAT;
        Self { format, at, quotas }
    }

    /// # Errors
    /// It is not what [`to_bytes`](Self::to_bytes) made in this version.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut saved: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        for window in (saved.quotas.values_mut()).flat_map(|quota| &mut quota.windows) {
            // A limit of nothing was never saved, and would hold everybody back for good.
            window.live.limit = window.live.limit.max(1);
        }
        match saved.format {
            FORMAT => Ok(saved),
            other => Err(format!("its format is {other}; expected {FORMAT}")),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Strings and numbers: this cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(super) fn dial(&self, now: Now) -> Dial {
        Dial {
            now,
            saved_at: self.at,
        }
    }
}

impl Dial {
    /// Something that had happened when it was saved.
    pub(super) fn past(self, saved: u64) -> Moment {
        self.now.moment_at(wall(saved)).min(self.now.moment)
    }

    /// An end that was to come. Nothing that was saved holds anybody back for longer than a server
    /// could.
    pub(super) fn until(self, saved: u64) -> Moment {
        let left = Duration::from_millis(saved.saturating_sub(self.saved_at));
        let latest = self.now.moment + left.min(LONGEST_PAUSE);
        self.now.moment_at(wall(saved)).min(latest)
    }
}

impl From<Span> for SavedSpan {
    fn from(span: Span) -> Self {
        match span {
            Span::Rolling(length) => {
                Self::Rolling(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX))
            }
            Span::Calendar(Period::Day(Offset::UTC)) => Self::UtcDay,
            Span::Calendar(Period::Month(Offset::UTC)) => Self::UtcMonth,
            Span::Calendar(Period::Day(offset)) => Self::LocalDay(offset.minutes()),
            Span::Calendar(Period::Month(offset)) => Self::LocalMonth(offset.minutes()),
        }
    }
}

impl From<SavedSpan> for Span {
    fn from(span: SavedSpan) -> Self {
        match span {
            // Nothing that is no length at all was ever saved.
            SavedSpan::Rolling(nanos) => Self::Rolling(Duration::from_nanos(nanos.max(1))),
            SavedSpan::UtcDay => Self::Calendar(Period::Day(Offset::UTC)),
            SavedSpan::UtcMonth => Self::Calendar(Period::Month(Offset::UTC)),
            SavedSpan::LocalDay(ahead) => Self::Calendar(Period::Day(Offset::of_minutes(ahead))),
            SavedSpan::LocalMonth(ahead) => {
                Self::Calendar(Period::Month(Offset::of_minutes(ahead)))
            }
        }
    }
}

/// Rounded up, since nothing may end too soon.
pub(super) fn saved(moment: Moment, now: Now) -> u64 {
    millis(now.wall_at(moment) + Duration::from_nanos(999_999))
}

/// The same of an end, unless it has come.
pub(super) fn saved_end(moment: Moment, now: Now) -> Option<u64> {
    (moment > now.moment).then(|| saved(moment, now))
}

pub(super) fn millis(time: SystemTime) -> u64 {
    let span = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The time saved, or 1970 for what is no time.
pub(super) fn wall(saved: u64) -> SystemTime {
    let time = UNIX_EPOCH.checked_add(Duration::from_millis(saved));
    time.unwrap_or(UNIX_EPOCH)
}
