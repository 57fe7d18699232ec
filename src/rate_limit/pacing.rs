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
    /// about six windows it is tried again. Back to burst an hour after the last rejection, or the
    /// last answer while it was shared, and twice as late after each relapse, up to 32 hours. In
    /// windows longer than ten minutes at most four requests are in flight for a window's length
    /// after that, or what twice the limit's own rate needs.
    ///
    /// A rolling window longer than an hour is spread only when three rejections that follow each
    /// other soon, none of which a shorter window explains, show that it is full: between them no
    /// more was accepted than it hands out evenly. An answer that tells at least as much left as
    /// our own count does ends that at once. For the hours that it lasts, each request waits for
    /// its slot (of 1000 a day, one in 86 seconds). From the first such rejection on, four requests
    /// are in flight at most until it shows that the window was not full, or for its length. A lone
    /// client of a sliding counter uses 90 to 98 % of its limit that way, and a window of which
    /// another client takes a part at once is used as without it. Windows by the calendar always
    /// burst.
    ///
    /// Where the answers say how much is left and until when, and that more is counted than our own
    /// requests, a rolling window of up to an hour is shared by what they say instead; one with
    /// [`Spread`](Self::Spread) too, and a longer one while it is spread.
    #[default]
    Auto,
    /// The whole limit at once, then again as the window forgets it.
    Burst,
    /// Evenly: one per (length + lateness)/(limit − 1), a limit of one as one of two. The lateness
    /// is the mean round trip, or how late a slot may be taken if that is more: a mean round trip
    /// or a hundredth of a second, up to a fiftieth of the length, but 4 ms always, and no more in
    /// a shared window. Later it is lost. For servers with a sliding counter, which rejects none of
    /// them, and for those that dislike bursts.
    Spread,
}
