//! The share of the full rate at which a window goes whose server rejects what our own count
//! allows, and does not say what is left: somebody else takes part of it, or its limit is lower
//! than the configured one.
//!
//! A rejection cuts the factor. Successes restore it along the cubic that TCP CUBIC grows its
//! window by (RFC 9438 section 4.2): fast at first, slow around what was too high, then faster the
//! longer it holds. So a limit that is too high for good costs a rejection in three windows or so,
//! where growth at one pace cost one in each; what was too high for a while is regained in six to
//! nine.
//!
//! | at a rejection                      | the factor becomes | too high is taken to be |
//! |-------------------------------------|--------------------|-------------------------|
//! | the first, or soon after a cut      | × 0.7              | × 0.95                  |
//! | later, about where it was too high  | × 0.9              | the factor              |
//! | later, far beyond                   | × 0.7              | the factor              |
//!
//! Soon after a cut the server may still count what left before it, which says little of the rate.
//!
//! Pure.

const CUT: f64 = 0.7;
const SMALL_CUT: f64 = 0.9;
const LEAST: f64 = 0.05;

/// From a cut of the full rate, the windows' worth of successes until it is reached again.
const PLATEAU: f64 = 6.0;
const GROWTH: f64 = (1.0 - CUT) / (PLATEAU * PLATEAU * PLATEAU);

/// Up to so many windows' worth of successes are soon after a cut.
const SOON: f64 = 0.25;

/// What was too high, after a cut that came soon.
const LOWERED: f64 = 0.95;

/// About where it was too high is up to so many times that.
const ABOUT: f64 = 1.05;

/// Above 0, and up to 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct RateFactor {
    too_high: f64,
    /// Windows' worth of successes since `too_high` was reached again; below zero until then.
    beyond: f64,
    /// The same since the last cut.
    held: f64,
}

impl RateFactor {
    pub(super) const FULL: Self = Self::at(1.0);

    const fn at(too_high: f64) -> Self {
        Self {
            too_high,
            beyond: 0.0,
            held: 0.0,
        }
    }

    /// Goes on from a factor that was saved.
    pub(super) fn restored(factor: f64) -> Self {
        match factor.is_finite() {
            true => Self::at(factor.clamp(LEAST, 1.0)),
            false => Self::FULL,
        }
    }

    pub(super) fn get(self) -> f64 {
        let growth = GROWTH * self.beyond * self.beyond * self.beyond;
        (self.too_high + growth).clamp(LEAST, 1.0)
    }

    /// The server rejected what it should not have.
    pub(super) fn cut(&mut self) {
        let factor = self.get();
        let (too_high, cut) = if self.held < SOON {
            ((self.too_high * LOWERED).max(LEAST), CUT)
        } else if factor <= self.too_high * ABOUT {
            (factor, SMALL_CUT)
        } else {
            (factor, CUT)
        };
        let below = too_high - (factor * cut).max(LEAST);
        *self = Self {
            too_high,
            beyond: -(below.max(0.0) / GROWTH).cbrt(),
            held: 0.0,
        };
    }

    /// A request of this cost was accepted, in a window of this limit.
    pub(super) fn accepted(&mut self, cost: u64, limit: u64) {
        if self.get() < 1.0 {
            let windows = cost as f64 / limit.max(1) as f64;
            self.beyond += windows;
            self.held += windows;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 20;

    fn accepted(factor: &mut RateFactor, windows: f64) -> f64 {
        for _ in 0..(windows * LIMIT as f64) as u64 {
            factor.accepted(1, LIMIT);
        }
        factor.get()
    }

    #[track_caller]
    fn assert_about(one: f64, other: f64) {
        assert!((one - other).abs() < 1e-3, "{one}, not {other}");
    }

    #[test]
    fn a_cut_is_made_good_fast_then_slowly_then_fast() {
        let mut factor = RateFactor::FULL;
        assert_about(accepted(&mut factor, 9.0), 1.0);
        factor.cut();
        assert_about(factor.get(), CUT);
        assert!(accepted(&mut factor, 1.0) > 0.8);
        assert!((0.94..0.96).contains(&accepted(&mut factor, 4.0)));
        assert_about(accepted(&mut factor, 4.0), 1.0);
    }

    #[test]
    fn where_it_was_too_high_before_a_small_cut_is_enough() {
        let mut factor = RateFactor::at(0.8);
        let held = accepted(&mut factor, 1.0);
        factor.cut();
        assert_about(factor.get(), held * SMALL_CUT);
        assert!((0.79..0.81).contains(&accepted(&mut factor, 4.0)));
        accepted(&mut factor, 4.0);
        let regained = factor.get();
        assert!(regained > 0.8 * ABOUT, "{regained}");
        factor.cut();
        assert_about(factor.get(), regained * CUT);
    }

    #[test]
    fn rejections_soon_after_a_cut_slow_down_but_say_little_of_what_is_too_high() {
        let mut factor = RateFactor::at(0.8);
        let held = accepted(&mut factor, 1.0);
        factor.cut();
        factor.cut();
        factor.cut();
        assert_about(factor.get(), held * SMALL_CUT * CUT * CUT);
        assert_about(factor.too_high, held * LOWERED * LOWERED);
        assert!(accepted(&mut factor, 5.0) > 0.6);
    }

    #[test]
    fn it_never_stops_altogether() {
        let mut factor = RateFactor::FULL;
        for _ in 0..100 {
            factor.cut();
        }
        assert_about(factor.get(), LEAST);
        assert!(accepted(&mut factor, 10.0) > 0.5);
    }

    #[test]
    fn one_that_was_saved_goes_on_slowly_from_there() {
        let mut factor = RateFactor::restored(0.5);
        assert_about(factor.get(), 0.5);
        assert!(accepted(&mut factor, 1.0) < 0.51);
        assert_about(RateFactor::restored(f64::NAN).get(), 1.0);
        assert_about(RateFactor::restored(-1.0).get(), LEAST);
    }
}
