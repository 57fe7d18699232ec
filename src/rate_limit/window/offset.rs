//! How far a vendor's midnight lies from that of UTC.
//!
//! Pure.

use std::fmt;

use time::UtcOffset;

/// No clock is further from UTC: the Line Islands of Kiribati are 14 hours ahead, none is as far
/// behind.
const FURTHEST: i16 = 14 * MINUTES_AN_HOUR;
const MINUTES_AN_HOUR: i16 = 60;
const SECONDS_A_MINUTE: i32 = 60;

/// A fixed offset from UTC; that of a clock ahead of UTC is positive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Offset {
    minutes: i16,
}

impl Offset {
    pub(crate) const UTC: Self = Self { minutes: 0 };

    /// So many minutes ahead of UTC, or as many as a clock can be.
    pub(crate) fn of_minutes(minutes: i16) -> Self {
        let minutes = minutes.clamp(-FURTHEST, FURTHEST);
        Self { minutes }
    }

    pub(crate) fn minutes(self) -> i16 {
        self.minutes
    }

    /// `+05:30`, `-06:00`: a `time-numoffset` of RFC 3339 section 5.6.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let [sign, h1, h2, b':', m1, m2] = text.as_bytes() else {
            return None;
        };
        let hours = two_digits(*h1, *h2)?;
        let minutes = two_digits(*m1, *m2).filter(|minutes| *minutes < MINUTES_AN_HOUR)?;
        let ahead = hours * MINUTES_AN_HOUR + minutes;
        let minutes = match sign {
            b'+' => ahead,
            b'-' => -ahead,
            _ => return None,
        };
        (ahead <= FURTHEST).then_some(Self { minutes })
    }

    pub(super) fn to_time(self) -> UtcOffset {
        let seconds = i32::from(self.minutes) * SECONDS_A_MINUTE;
        // Within 14 hours it always is one.
        UtcOffset::from_whole_seconds(seconds).unwrap_or(UtcOffset::UTC)
    }
}

fn two_digits(tens: u8, ones: u8) -> Option<i16> {
    let digit = |byte: u8| char::from(byte).to_digit(10);
    i16::try_from(digit(tens)? * 10 + digit(ones)?).ok()
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.minutes < 0 { '-' } else { '+' };
        let ahead = self.minutes.abs();
        let (hours, minutes) = (ahead / MINUTES_AN_HOUR, ahead % MINUTES_AN_HOUR);
        write!(f, "{sign}{hours:02}:{minutes:02}")
    }
}
