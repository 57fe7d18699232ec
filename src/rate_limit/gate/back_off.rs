//! How long nothing leaves after a rejection.
//!
//! | rejections in a row   | the pause                                                  |
//! |-----------------------|------------------------------------------------------------|
//! | none told how long    | the back-off of the row, up to a part of the longest window |
//! | the first two         | what was told                                              |
//! | from the third on     | what was told, or the back-off of the row if that is more  |
//!
//! Where a server counts what it rejects, what it tells is right for a client that is alone.
//! Several that do not know of each other keep its count full, each by coming back when it was told
//! to: from five processes on, a sliding counter of 120 in 60 s accepted nothing any more, for
//! ever.
//!
//! Pure.

use std::time::Duration;

/// Doubled for each rejection in a row.
const FIRST: Duration = Duration::from_secs(1);

/// The longest back-off is at least the one and at most the other.
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Not told, it is a part of the longest window: where that is a day, it may be spent, and to try
/// each minute would be 900 rejections more until it ends.
const PART_OF_WINDOW: u32 = 24;

/// Told, it is so many of the longest windows: twelve processes that come once a minute keep a
/// limit of ten a minute full.
const WINDOWS: u32 = 4;

/// What was told may be wrong by chance for so many rejections in a row.
const BELIEVED: u32 = 2;

/// The pause after this number of rejections in a row; `longest`: of the windows.
pub(super) fn pause(told: Option<Duration>, rejections: u32, longest: Duration) -> Duration {
    match told {
        None => back_off(rejections, longest / PART_OF_WINDOW),
        Some(told) if rejections <= BELIEVED => told,
        Some(told) => told.max(back_off(rejections, longest.saturating_mul(WINDOWS))),
    }
}

fn back_off(rejections: u32, most: Duration) -> Duration {
    let doublings = rejections.saturating_sub(1).min(u32::BITS - 1);
    FIRST
        .saturating_mul(2_u32.pow(doublings))
        .min(most.clamp(MINUTE, HOUR))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_told_is_believed_twice_and_then_a_pause_is_as_long_as_its_row() {
        let told = Some(seconds(3));
        let pauses = |rejections| pause(told, rejections, MINUTE).as_secs();
        assert_eq!([1, 2, 3, 4, 5, 20].map(pauses), [3, 3, 4, 8, 16, 240]);
        assert_eq!(pause(Some(seconds(900)), 20, MINUTE), seconds(900));
    }

    #[test]
    fn no_back_off_is_longer_than_an_hour() {
        let day = 24 * HOUR;
        assert_eq!(pause(None, u32::MAX, 30 * day), HOUR);
        assert_eq!(pause(Some(seconds(1)), u32::MAX, day), HOUR);
        assert_eq!(pause(None, u32::MAX, MINUTE), MINUTE);
    }
}
