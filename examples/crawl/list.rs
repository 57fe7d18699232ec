//! Lists of parts, as people have them: exported by a spreadsheet, or one number per line.

mod encoding;

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use csv::{ReaderBuilder, StringRecord};

/// The list that comes with the example, so that it runs from any directory.
const BUILT_IN: &str = include_str!("../data/parts.csv");

/// What people call the column, without spaces and the like.
const NAMES: [&str; 5] = [
    "part",
    "mpn",
    "partnumber",
    "manufacturerpartnumber",
    "mfrpartnumber",
];
const SEPARATORS: [u8; 3] = [b';', b'\t', b','];

/// What is read of a list.
#[derive(Clone, Debug, Default)]
pub(crate) struct List {
    /// The names of its other columns.
    pub(crate) columns: Vec<String>,
    pub(crate) parts: Vec<Part>,
    /// Rows with a part that came before.
    pub(crate) duplicates: usize,
    /// Rows without a part.
    pub(crate) blank: usize,
}

/// A part number, and what its rows have in the other columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) number: String,
    /// One at least, and none twice.
    pub(crate) rows: Vec<Vec<String>>,
}

/// Reads a list; without a path, the one that comes with the example, and with `-` stdin.
///
/// A file whose first line names the column is a table. Any other file holds one part number per
/// line, taken as it is: `BAV99,215` needs no quotes there.
pub(crate) fn read(path: Option<&Path>, column: Option<&str>) -> Result<List> {
    let Some(path) = path else {
        return parse(BUILT_IN, column).context("the built-in list of parts");
    };
    let name = match path == Path::new("-") {
        true => "the list of parts from stdin".to_owned(),
        false => format!("the list of parts {}", path.display()),
    };
    let bytes = bytes(path).with_context(|| format!("cannot read {name}"))?;
    let list = encoding::decode(&bytes).and_then(|text| parse(&text, column));
    list.with_context(|| format!("in {name}"))
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    if path != Path::new("-") {
        return fs::read(path);
    }
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl List {
    /// Its parts, repeated or cut so that there are so many.
    pub(crate) fn cycle(&self, requests: Option<usize>) -> Vec<Part> {
        let parts = self.parts.iter().cloned();
        match requests {
            Some(requests) => parts.cycle().take(requests).collect(),
            None => parts.collect(),
        }
    }

    fn of(columns: Vec<String>, rows: Vec<(String, Vec<String>)>) -> Result<Self> {
        let mut list = Self {
            columns,
            ..Self::default()
        };
        let mut places = HashMap::new();
        for (number, row) in rows {
            if number.is_empty() {
                list.blank += 1;
                continue;
            }
            let place = *places.entry(number.clone()).or_insert(list.parts.len());
            match list.parts.get_mut(place) {
                Some(part) => {
                    list.duplicates += 1;
                    if !part.rows.contains(&row) {
                        part.rows.push(row);
                    }
                }
                None => list.parts.push(Part {
                    number,
                    rows: vec![row],
                }),
            }
        }
        match list.parts.is_empty() {
            true => bail!("there is no part in it"),
            false => Ok(list),
        }
    }
}

fn parse(text: &str, column: Option<&str>) -> Result<List> {
    let first = text.lines().find(|line| !line.trim().is_empty());
    let first = first.unwrap_or_default();
    match header(first, column)? {
        Some(header) => table(text, &header),
        None => {
            let lines = text.lines().map(str::trim);
            let lines = lines.filter(|line| !line.is_empty());
            let rows = lines.map(|line| (line.to_owned(), Vec::new()));
            List::of(Vec::new(), rows.collect())
        }
    }
}

/// The first line of a table.
struct Header {
    separator: u8,
    names: Vec<String>,
    /// Which is that of the part numbers.
    part: usize,
}

/// None: the file is no table.
fn header(line: &str, column: Option<&str>) -> Result<Option<Header>> {
    let read = SEPARATORS.map(|separator| (separator, fields(line, separator)));
    for (separator, names) in &read {
        if let Some(part) = position(names, column) {
            // In a table of one column a separator is a part of the number.
            let separator = match read.iter().all(|(_, names)| names.len() == 1) {
                true => b'\0',
                false => *separator,
            };
            // A name may hold another separator: the one that makes the most columns is right.
            let most = read.iter().map(|(_, names)| names.len()).max();
            if Some(names.len()) == most {
                let names = names.clone();
                return Ok(Some(Header {
                    separator,
                    names,
                    part,
                }));
            }
        }
    }
    let is_table = |(separator, names): &&(u8, Vec<String>)| {
        // Part numbers have commas in them, but no semicolons and no tabs.
        names.len() > 1 && (column.is_some() || *separator != b',')
    };
    match (read.iter().find(is_table), column) {
        (Some((_, names)), Some(column)) => {
            bail!("there is no column {column:?}, only: {}", names.join(", "))
        }
        (Some((_, names)), None) => {
            bail!(
                "say by --column which one has the part numbers: {}",
                names.join(", ")
            )
        }
        (None, Some(column)) => bail!("there is no column {column:?}, only: {line}"),
        (None, None) => Ok(None),
    }
}

fn position(names: &[String], column: Option<&str>) -> Option<usize> {
    let Some(column) = column else {
        let plain = |name: &String| {
            let letters = name.chars().filter(|c| c.is_alphanumeric());
            letters.collect::<String>().to_lowercase()
        };
        let names: Vec<String> = names.iter().map(plain).collect();
        let mut known = NAMES.iter();
        return known.find_map(|known| names.iter().position(|name| name == known));
    };
    let named = names
        .iter()
        .position(|name| name.to_lowercase() == column.trim().to_lowercase());
    let numbered = || {
        let number: usize = column.trim().parse().ok()?;
        number.checked_sub(1).filter(|index| *index < names.len())
    };
    named.or_else(numbered)
}

fn fields(line: &str, separator: u8) -> Vec<String> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .delimiter(separator)
        .from_reader(line.as_bytes());
    let record = reader.records().next().and_then(Result::ok);
    let fields = record.unwrap_or_default();
    fields.iter().map(|field| field.trim().to_owned()).collect()
}

fn table(text: &str, header: &Header) -> Result<List> {
    let mut reader = ReaderBuilder::new()
        .delimiter(header.separator)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut rows = Vec::new();
    let mut last = None;
    for record in reader.records() {
        let record = record?;
        if record.iter().any(|field| !field.trim().is_empty()) {
            rows.push(row(&record, header));
        }
        last = Some(record);
    }
    check_end(text, last.as_ref())?;
    let columns = others(header.names.iter().map(String::as_str), header.part);
    List::of(columns, rows)
}

/// The part number and the other columns, as many as the header has.
fn row(record: &StringRecord, header: &Header) -> (String, Vec<String>) {
    let field = |index| record.get(index).unwrap_or_default().trim();
    let all = (0..header.names.len()).map(field);
    (field(header.part).to_owned(), others(all, header.part))
}

fn others<'a>(all: impl Iterator<Item = &'a str>, part: usize) -> Vec<String> {
    let others = all.enumerate().filter(|(index, _)| *index != part);
    others.map(|(_, text)| text.to_owned()).collect()
}

/// A quote that is not closed would swallow all the rows behind it.
fn check_end(text: &str, last: Option<&StringRecord>) -> Result<()> {
    let is_odd = text.matches('"').count() % 2 == 1;
    let Some(last) = last.filter(|_| is_odd) else {
        return Ok(());
    };
    let is_long = last.iter().any(|field| field.contains('\n'));
    if is_long || text.trim_end().lines().last().is_some_and(opens_a_quote) {
        let line = last.position().map_or(0, csv::Position::line);
        bail!("line {line}: a quoted field does not end");
    }
    Ok(())
}

/// Whether a field begins with a quote. Within a field it may stand for inches.
fn opens_a_quote(line: &str) -> bool {
    let mut before = line.split('"');
    let before = before.next().unwrap_or_default();
    line.contains('"') && (before.is_empty() || before.ends_with([',', ';', '\t']))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn numbers(list: &List) -> Vec<&str> {
        let parts = list.parts.iter();
        parts.map(|part| part.number.as_str()).collect()
    }

    #[test]
    fn the_built_in_list_has_hundreds_of_parts_of_many_makers_and_none_twice() {
        let list = read(None, None).unwrap();
        let makers: BTreeSet<_> = list.parts.iter().map(|part| &part.rows).collect();
        assert!(list.parts.len() >= 600, "{} parts", list.parts.len());
        assert!(makers.len() >= 40, "{} makers", makers.len());
        assert_eq!((list.duplicates, list.blank), (0, 0));
        assert_eq!(list.columns, ["manufacturer"]);
        for difficult in [
            "LT1763CS8-3.3#PBF",
            "MAX232ESE+",
            "BAV99,215",
            "LM2596S-5.0/NOPB",
        ] {
            assert!(numbers(&list).contains(&difficult), "{difficult}");
        }
    }

    #[test]
    fn quoted_fields_keep_their_separators_quotes_and_lines() {
        let text = "manufacturer,part,note\r\nNexperia,\"BAV99,215\",\r\n\
                    \"A \"\"B\"\" C\",X1,\"one\ntwo\"\r\n\r\n";
        let list = parse(text, None).unwrap();
        assert_eq!(numbers(&list), ["BAV99,215", "X1"]);
        assert_eq!(list.parts[1].rows, [["A \"B\" C", "one\ntwo"]]);
    }

    #[test]
    fn a_table_may_have_commas_semicolons_or_tabs_between_its_columns() {
        for separator in [",", ";", "\t"] {
            let text = format!("qty{separator}MPN\n10{separator} LM358 \n5{separator}NE555P\n");
            let list = parse(&text, None).unwrap();
            assert_eq!(numbers(&list), ["LM358", "NE555P"], "{separator:?}");
            assert_eq!(list.columns, ["qty"]);
            assert_eq!(list.parts[0].rows, [["10"]]);
        }
    }

    #[test]
    fn a_column_is_found_by_its_name_or_by_its_number() {
        let text = "Qty;Our \"No\";Bestellnummer, Hersteller\n1;x;LM358\n";
        for column in ["bestellnummer, hersteller", "3"] {
            let list = parse(text, Some(column)).unwrap();
            assert_eq!(numbers(&list), ["LM358"], "{column}");
            assert_eq!(list.columns.len(), 2);
        }
        let error = parse("a,b\n1,2\n", Some("c")).unwrap_err();
        assert_eq!(error.to_string(), "there is no column \"c\", only: a, b");
        let error = parse("a;b\n1;2\n", None).unwrap_err();
        assert!(
            error.to_string().ends_with("the part numbers: a, b"),
            "{error}"
        );
    }

    #[test]
    fn a_part_of_several_rows_is_asked_about_once_and_keeps_its_rows() {
        let list = parse("part,qty\nA,1\nB,2\nA,3\nA,1\n,4\n", None).unwrap();
        assert_eq!(numbers(&list), ["A", "B"]);
        assert_eq!(list.parts[0].rows, [["1"], ["3"]]);
        assert_eq!((list.duplicates, list.blank), (2, 1));
    }

    #[test]
    fn a_file_without_such_a_column_is_a_plain_list() {
        let list = parse("BAV99,215\n\n LM358 \nLM358\n", None).unwrap();
        assert_eq!(numbers(&list), ["BAV99,215", "LM358"]);
        assert_eq!(list.duplicates, 1);
        let list = parse("part\nBAV99,215\n\"A;B\"\n", None).unwrap();
        assert_eq!(numbers(&list), ["BAV99,215", "A;B"]);
    }

    #[test]
    fn what_is_wrong_with_a_list_is_said() {
        for text in ["part,maker\n\"BAV99,ST\n", "part,maker\nX,\"Y\nZ,1\nW,2\n"] {
            let error = parse(text, None).unwrap_err();
            assert_eq!(error.to_string(), "line 2: a quoted field does not end");
        }
        // Inches.
        assert!(parse("part,size\nX,3/8\"\n", None).is_ok());
        for text in ["", "part,maker\n,ST\n"] {
            let error = parse(text, None).unwrap_err();
            assert_eq!(error.to_string(), "there is no part in it");
        }
    }

    #[test]
    fn a_list_repeats_until_there_are_enough_requests() {
        let list = parse("A\nB\nC\n", None).unwrap();
        let numbers = |requests| -> Vec<String> {
            let parts = list.cycle(requests);
            parts.into_iter().map(|part| part.number).collect()
        };
        assert_eq!(numbers(Some(5)), ["A", "B", "C", "A", "B"]);
        assert_eq!(numbers(Some(1)), ["A"]);
        assert_eq!(numbers(None).len(), 3);
    }
}
