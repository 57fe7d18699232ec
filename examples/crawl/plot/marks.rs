//! What happened on the way, as marks above the rate.

use anyhow::Result;
use plotters::prelude::*;

use super::ground::{LOST, RATE_LIMITED, RENEWED, SERVER_ERROR, UNAUTHORIZED};
use super::{Root, font};
use crate::tally::Mark;

/// Marks that are nearer lie on each other.
const WIDTH: i32 = 12;
/// Room for a number beside a mark.
const NUMBER: i32 = 40;

impl Mark {
    pub(super) const ALL: [Self; 5] = [
        Self::Renewed,
        Self::Unauthorized,
        Self::RateLimited,
        Self::ServerError,
        Self::Lost,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Renewed => "token renewed",
            Self::Unauthorized => "401",
            Self::RateLimited => "429",
            Self::ServerError => "5xx",
            Self::Lost => "no answer",
        }
    }

    pub(super) fn color(self) -> RGBColor {
        match self {
            Self::Renewed => RENEWED,
            Self::Unauthorized => UNAUTHORIZED,
            Self::RateLimited => RATE_LIMITED,
            Self::ServerError => SERVER_ERROR,
            Self::Lost => LOST,
        }
    }

    /// How high it stands in the upper panel.
    pub(super) fn row(self) -> f64 {
        match self {
            Self::Renewed => 0.96,
            Self::Unauthorized => 0.91,
            Self::RateLimited => 0.86,
            Self::ServerError => 0.81,
            Self::Lost => 0.76,
        }
    }

    /// Each has a shape of its own: not every reader tells the colours apart.
    pub(super) fn draw(self, area: &Root<'_>, at: (i32, i32)) -> Result<()> {
        let color = self.color();
        let (x, y) = at;
        match self {
            Self::Renewed => area.draw(&TriangleMarker::new(at, 7, color.filled()))?,
            Self::Unauthorized => area.draw(&Circle::new(at, 5, color.filled()))?,
            Self::RateLimited => area.draw(&Cross::new(at, 5, color.stroke_width(3)))?,
            Self::ServerError => {
                let corners = [(x - 5, y - 5), (x + 5, y + 5)];
                area.draw(&Rectangle::new(corners, color.filled()))?;
            }
            Self::Lost => area.draw(&Circle::new(at, 5, color.stroke_width(2)))?,
        }
        Ok(())
    }

    /// The mark, and how many lie there if it is not one.
    pub(super) fn draw_group(self, area: &Root<'_>, at: (i32, i32), count: usize) -> Result<()> {
        self.draw(area, at)?;
        if count > 1 {
            let style = font(12, self.color());
            let place = (at.0 + 9, at.1 - 6);
            area.draw(&Text::new(count.to_string(), place, style))?;
        }
        Ok(())
    }
}

/// Marks of one kind that lie on each other are one, with their number: a thousand 401s at once are
/// one dot, and the file stays small. `x` in ascending order; the first `x` of each group.
pub(super) fn groups(x: &[i32]) -> Vec<(i32, usize)> {
    let mut groups: Vec<(i32, usize)> = Vec::new();
    for &x in x {
        match groups.last_mut() {
            // A number needs more room than a mark.
            Some((first, count)) if x - *first < if *count > 1 { NUMBER } else { WIDTH } => {
                *count += 1;
            }
            _ => groups.push((x, 1)),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_that_lie_on_each_other_are_one_with_a_number() {
        assert_eq!(groups(&[7; 1_000]), [(7, 1_000)]);
        assert_eq!(groups(&[0, 20, 40]), [(0, 1), (20, 1), (40, 1)]);
        assert_eq!(groups(&[0, 5, 30, 60]), [(0, 3), (60, 1)]);
        assert_eq!(groups(&[]), []);
    }
}
