//! Headers that a window names, and whose value cannot be read.
//!
//! Pure.

use http::{HeaderMap, HeaderName};

use super::super::fields::Fields;
use super::lines::is_count;
use crate::header_value::{self, Budget};
use crate::printable::one_line;

/// So much of a value shows what its form is, in characters.
const LONGEST_EXAMPLE: usize = 64;

/// Those of these windows' own headers whose value is in a form that cannot be read, and so reports
/// nothing; each with its value, cut and printable.
pub(crate) fn unreadable<'w>(
    windows: &'w [Fields],
    headers: &HeaderMap,
) -> impl Iterator<Item = (&'w HeaderName, String)> {
    let mut budget = Budget::default();
    let named = windows.iter().filter(|window| window.named);
    let names = named.flat_map(|window| {
        let names = &window.names;
        let counts = [&names.limit, &names.remaining].into_iter().flatten();
        let resets = [&names.reset, &names.reset_time].into_iter().flatten();
        let unit = Some(window.reset_unit);
        let counts = counts.map(|name| (name, None));
        counts.chain(resets.map(move |name| (name, unit)))
    });
    names.filter_map(move |(name, unit)| {
        let is_readable = |text: &str| match unit {
            None => is_count(text),
            Some(unit) => {
                let mut members = header_value::members(text, |text| unit.read(text)).into_iter();
                members.all(|member| member.is_some())
            }
        };
        let mut texts = headers
            .get_all(name)
            .into_iter()
            .filter_map(|value| budget.text(value));
        let text = texts.find(|text| !text.is_empty() && !is_readable(text))?;
        let example: String = text.chars().take(LONGEST_EXAMPLE).collect();
        Some((name, one_line(&example)))
    })
}
