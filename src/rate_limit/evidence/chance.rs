//! When a request may leave by what was told beside the windows.
//!
//! Pure.

use crate::clock::Moment;

/// When a request may leave by what is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chance {
    Now,
    /// Not before this moment.
    At(Moment),
    /// At this moment one goes and tries; what holds it up is too doubtful to refuse a caller for.
    Try(Moment),
    /// Not before a request in flight is answered, or this moment.
    WhenAnswered(Moment),
}

impl Chance {
    /// When both allow it: at the later moment, and firm as soon as one of them is.
    pub(crate) fn and(self, other: Self) -> Self {
        use Chance::{At, Now, Try, WhenAnswered};
        match (self, other) {
            (Now, chance) | (chance, Now) => chance,
            (WhenAnswered(one), WhenAnswered(other)) => WhenAnswered(one.min(other)),
            (WhenAnswered(at), _) | (_, WhenAnswered(at)) => WhenAnswered(at),
            (At(one), At(other)) => At(one.max(other)),
            (Try(one), Try(other)) => Try(one.max(other)),
            (At(firm), Try(soft)) | (Try(soft), At(firm)) if firm >= soft => At(firm),
            (At(_), Try(soft)) | (Try(soft), At(_)) => Try(soft),
        }
    }
}
