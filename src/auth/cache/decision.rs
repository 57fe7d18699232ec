//! What a request does about its token: one table. Pure.
//!
//! A request finds the token in one of five rows and the renewal in one of four columns:
//!
//! |                      | idle                         | refreshing | backing off | latched |
//! |----------------------|------------------------------|------------|-------------|---------|
//! | fresh                | use                          | use        | use         | use     |
//! | stale                | use, and refresh             | use        | use         | use     |
//! | rejected, not expired| forced refresh; none: use    | join       | use         | use     |
//! | expired or absent    | refresh, wait                | join       | wait or fail| fail    |
//! | refused this request | forced refresh; none: let be | join       | wait or fail| fail    |
//!
//! The last row is a request that was itself answered 401: the token it used cannot help it. "Wait
//! or fail" means to wait until the next attempt is due, if the caller's patience reaches so far,
//! and else to fail now. Once it is due, backing off is idle again. "None" is an empty bucket for
//! forced refreshes. An empty launch bucket is treated like backing off: it bounds token requests
//! in every state, also in those that nobody thought of. So are the token endpoint's published
//! limits, where they leave no room.

use crate::clock::Moment;

/// A row: the token as the request finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    Fresh,
    Stale,
    Rejected,
    Spent,
    Refused,
}

/// A column: the renewal as the request finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Idle,
    Refreshing,
    BackingOff(Moment),
    Latched { reread: bool },
}

/// A cell of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Use the token.
    Use,
    /// Use the token, and start a refresh.
    UseAndRefresh,
    /// Start a refresh and wait for it.
    Refresh,
    /// Wait for the refresh under way.
    Join,
    /// Wait until then and decide again, or fail now.
    WaitUntil(Moment),
    /// Fail with the error of the last renewal.
    Fail,
    /// The API's own 401 is the answer: too many refused tokens of late.
    LetStand,
}

/// The table. `launch` is when launch bucket and limits allow the next request, if not now;
/// `forced` is whether the forced bucket allows one.
pub(crate) fn decide(row: Row, column: Column, launch: Option<Moment>, forced: bool) -> Decision {
    use Decision::{Fail, Join, LetStand, Refresh, Use, UseAndRefresh, WaitUntil};
    match (row, column, launch) {
        (Row::Fresh, _, _) => Use,

        (Row::Stale, Column::Idle, None) => UseAndRefresh,
        (Row::Stale, _, _) => Use,

        (Row::Rejected, Column::Idle, None) if forced => Refresh,
        (Row::Rejected, Column::Refreshing, _) => Join,
        (Row::Rejected, _, _) => Use,

        (Row::Refused, Column::Idle, _) if !forced => LetStand,

        (Row::Spent | Row::Refused, Column::Idle, None) => Refresh,
        (Row::Spent | Row::Refused, Column::Idle, Some(at)) => WaitUntil(at),
        (Row::Spent | Row::Refused, Column::Refreshing, _) => Join,
        (Row::Spent | Row::Refused, Column::BackingOff(at), _) => WaitUntil(at),
        (Row::Spent | Row::Refused, Column::Latched { reread: true }, _) => Refresh,
        (Row::Spent | Row::Refused, Column::Latched { reread: false }, _) => Fail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_cell_of_the_table() {
        use Decision::*;
        let due = Moment::after_start(Duration::from_secs(9));
        let columns = [
            Column::Idle,
            Column::Refreshing,
            Column::BackingOff(due),
            Column::Latched { reread: false },
        ];
        let rows = [
            (Row::Fresh, [Use, Use, Use, Use]),
            (Row::Stale, [UseAndRefresh, Use, Use, Use]),
            (Row::Rejected, [Refresh, Join, Use, Use]),
            (Row::Spent, [Refresh, Join, WaitUntil(due), Fail]),
            (Row::Refused, [Refresh, Join, WaitUntil(due), Fail]),
        ];
        for (row, cells) in rows {
            for (column, cell) in columns.into_iter().zip(cells) {
                assert_eq!(decide(row, column, None, true), cell, "{row:?} {column:?}");
            }
        }
    }

    #[test]
    fn an_empty_launch_bucket_is_treated_like_backing_off() {
        use Decision::*;
        let due = Moment::after_start(Duration::from_secs(9));
        for (row, cell) in [
            (Row::Fresh, Use),
            (Row::Stale, Use),
            (Row::Rejected, Use),
            (Row::Spent, WaitUntil(due)),
            (Row::Refused, WaitUntil(due)),
        ] {
            assert_eq!(decide(row, Column::Idle, Some(due), true), cell, "{row:?}");
        }
    }

    #[test]
    fn an_empty_forced_bucket_lets_rejected_tokens_be_used_and_401s_stand() {
        let idle = |row| decide(row, Column::Idle, None, false);
        assert_eq!(idle(Row::Rejected), Decision::Use);
        assert_eq!(idle(Row::Refused), Decision::LetStand);
        assert_eq!(idle(Row::Spent), Decision::Refresh, "that is not forced");
    }

    #[test]
    fn a_latch_that_may_reread_the_store_lets_those_without_a_token_do_it() {
        let column = Column::Latched { reread: true };
        assert_eq!(decide(Row::Spent, column, None, true), Decision::Refresh);
        assert_eq!(decide(Row::Stale, column, None, true), Decision::Use);
    }
}
