//! What is asked of the pace of a window; `pace.rs` keeps to it.

/// How the requests of a window follow each other, within what its limit allows.
///
/// In a configuration file: `"auto"`, `"burst"`, `"spread"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pacing {
    /// As [`Burst`](Self::Burst), until the server rejects a request although our own count has
    /// room: it counts by a sliding counter, or others use the same quota. From then on as
    /// [`Spread`](Self::Spread), at 0.7 to 0.9 times the rate after each further rejection. Later
    /// successes restore it, fast at first, and slowly around the rate that was too high: after
    /// about six windows it is tried again. Back to burst an hour after the last rejection, and
    /// twice as late after each relapse. Windows longer than an hour always burst.
    ///
    /// Where the server says how much is left, and that it counts more than our own requests, the
    /// window is shared by what it says instead.
    #[default]
    Auto,
    /// The whole limit at once, then again as the window forgets it.
    Burst,
    /// Evenly: one per (length + mean round trip)/(limit − 1), a limit of one as one of two. A slot
    /// that nobody takes in time is lost: within a fiftieth of the length, but no later than a mean
    /// round trip or a hundredth of a second. For servers with a sliding counter, which rejects
    /// none of them, and for those that dislike bursts.
    Spread,
}
