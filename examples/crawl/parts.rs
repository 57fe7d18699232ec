//! The list of parts.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// The list that comes with the example, so that it runs from any directory.
const BUILT_IN: &str = include_str!("../data/parts.csv");

/// A part number, and whose it is if the list says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) manufacturer: Option<String>,
    pub(crate) number: String,
}

/// Reads a list of parts; without a path, the one that comes with the example.
///
/// A file whose first line names a column `part` is CSV. Any other file holds one part number per
/// line, taken as it is: `BAV99,215` needs no quotes there.
pub(crate) fn read(path: Option<&Path>) -> Result<Vec<Part>> {
    let Some(path) = path else {
        return parse(BUILT_IN).context("the built-in list of parts");
    };
    let text = match path == Path::new("-") {
        true => std::io::read_to_string(std::io::stdin()),
        false => fs::read_to_string(path),
    };
    let text = text.with_context(|| format!("cannot read the list of parts {}", path.display()))?;
    parse(&text).with_context(|| format!("in the list of parts {}", path.display()))
}

/// The list, repeated or cut so that it has `requests` entries.
pub(crate) fn cycle(parts: Vec<Part>, requests: Option<usize>) -> Vec<Part> {
    match requests {
        Some(requests) => parts.into_iter().cycle().take(requests).collect(),
        None => parts,
    }
}

fn parse(text: &str) -> Result<Vec<Part>> {
    let text = text.trim_start_matches('\u{feff}'); // Spreadsheets like to begin a file with it.
    let header = fields(text.lines().next().unwrap_or_default()).unwrap_or_default();
    let column = |name: &str| {
        header
            .iter()
            .position(|field| field.eq_ignore_ascii_case(name))
    };
    let parts = match column("part") {
        Some(part) => parse_csv(text, part, column("manufacturer"))?,
        None => text.lines().filter_map(plain).collect(),
    };
    if parts.is_empty() {
        bail!("there is no part in it");
    }
    Ok(parts)
}

fn plain(line: &str) -> Option<Part> {
    let number = line.trim();
    (!number.is_empty()).then(|| Part {
        manufacturer: None,
        number: number.to_owned(),
    })
}

fn parse_csv(text: &str, part: usize, manufacturer: Option<usize>) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    for (index, line) in text.lines().enumerate().skip(1) {
        if line.trim().is_empty() {
            continue;
        }
        let fields = fields(line)
            .with_context(|| format!("line {}: a quoted field does not end", index + 1))?;
        let number = fields
            .get(part)
            .filter(|number| !number.is_empty())
            .with_context(|| format!("line {}: there is no part number", index + 1))?;
        parts.push(Part {
            manufacturer: manufacturer.and_then(|column| fields.get(column).cloned()),
            number: number.clone(),
        });
    }
    Ok(parts)
}

/// The fields of one line of CSV (RFC 4180); none if a quoted one does not end.
fn fields(line: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut chars = line.chars().peekable();
    let mut quoted = false;
    while let Some(char) = chars.next() {
        let field = fields.last_mut()?;
        match char {
            // Within quotes a doubled quote is one quote.
            '"' if quoted && chars.next_if_eq(&'"').is_some() => field.push('"'),
            '"' if quoted || field.is_empty() => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => field.push(char),
        }
    }
    (!quoted).then_some(fields)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_built_in_list_has_hundreds_of_parts_of_many_makers_and_none_twice() {
        let parts = read(None).unwrap();
        let numbers: BTreeSet<_> = parts.iter().map(|part| &part.number).collect();
        let makers: BTreeSet<_> = parts.iter().map(|part| &part.manufacturer).collect();
        assert!(parts.len() >= 600, "{} parts", parts.len());
        assert!(makers.len() >= 40, "{} makers", makers.len());
        assert_eq!(numbers.len(), parts.len());
        for difficult in [
            "LT1763CS8-3.3#PBF",
            "MAX232ESE+",
            "BAV99,215",
            "LM2596S-5.0/NOPB",
        ] {
            assert!(numbers.contains(&difficult.to_owned()), "{difficult}");
        }
    }

    #[test]
    fn quoted_fields_keep_their_commas_and_quotes() {
        let text = "manufacturer,part\r\nNexperia,\"BAV99,215\"\r\n\"A \"\"B\"\" C\",X1\r\n\r\n";
        let parts = parse(text).unwrap();
        assert_eq!(parts[0].number, "BAV99,215");
        assert_eq!(parts[1].manufacturer.as_deref(), Some("A \"B\" C"));
        assert_eq!(parts.len(), 2);
    }

    #[test]
    fn a_file_without_a_column_named_part_is_a_plain_list() {
        let numbers: Vec<_> = parse("\u{feff}BAV99,215\n\n LM358 \n").unwrap();
        assert_eq!(numbers[0].number, "BAV99,215");
        assert_eq!(numbers[1].number, "LM358");
    }

    #[test]
    fn what_is_wrong_with_a_list_is_said_with_its_line() {
        let error = parse("part,maker\n\"BAV99,ST\n").unwrap_err();
        assert_eq!(error.to_string(), "line 2: a quoted field does not end");
        let error = parse("part,maker\n,ST\n").unwrap_err();
        assert_eq!(error.to_string(), "line 2: there is no part number");
        assert_eq!(parse("").unwrap_err().to_string(), "there is no part in it");
    }

    #[test]
    fn a_list_repeats_until_there_are_enough_requests() {
        let list = parse("A\nB\nC\n").unwrap();
        let numbers = |requests| -> Vec<String> {
            let parts = cycle(list.clone(), requests);
            parts.into_iter().map(|part| part.number).collect()
        };
        assert_eq!(numbers(Some(5)), ["A", "B", "C", "A", "B"]);
        assert_eq!(numbers(Some(1)), ["A"]);
        assert_eq!(numbers(None).len(), 3);
    }
}
