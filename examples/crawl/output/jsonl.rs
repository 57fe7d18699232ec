//! JSON lines.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Answered, Entry, Shape};
use crate::fields::Pairs;

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    part: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    manufacturer: Option<&'a str>,
    /// The other columns of the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<Pairs<'a, &'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Pairs<'a, Option<&'a Value>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// What has to be read back of a line.
#[derive(Deserialize)]
struct Seen {
    part: String,
    #[serde(default)]
    error: Option<Value>,
}

pub(super) fn write(bytes: &mut Vec<u8>, shape: &Shape, entry: &Entry<'_>) -> Result<()> {
    for row in &entry.part.rows {
        serde_json::to_writer(&mut *bytes, &line(shape, entry, row))?;
        bytes.push(b'\n');
    }
    Ok(())
}

fn line<'a>(shape: &'a Shape, entry: &'a Entry<'_>, row: &'a [String]) -> Line<'a> {
    let cells = shape.columns.iter().zip(row);
    let cells = cells.map(|(name, cell)| (name.as_str(), cell.as_str()));
    // That of the list which comes with the example has a place of its own.
    let (makers, others): (Vec<_>, Vec<_>) =
        cells.partition(|(name, _)| name.eq_ignore_ascii_case("manufacturer"));
    let answer = entry.answer.as_ref();
    // Of a failure the whole answer is kept, which says why.
    let takes_fields = !shape.fields.is_empty() && entry.error.is_none();
    let fields = answer.filter(|_| takes_fields).map(|answer| {
        let fields = shape.fields.iter();
        let pairs = fields.map(|field| (field.name.as_str(), field.of(answer)));
        Pairs(pairs.collect())
    });
    Line {
        part: &entry.part.number,
        manufacturer: makers.first().map(|(_, maker)| *maker),
        row: (!others.is_empty()).then_some(Pairs(others)),
        status: entry.status,
        answer: answer.filter(|_| !takes_fields),
        fields,
        error: entry.error,
    }
}

/// The lines to keep, and what they answer.
pub(super) fn sift(old: &[u8]) -> Result<(Vec<u8>, Answered)> {
    let mut kept = Vec::with_capacity(old.len());
    let mut answered = Answered::default();
    for (index, line) in old.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let is_whole = line.ends_with(b"\n");
        match serde_json::from_slice::<Seen>(line) {
            Ok(seen) if seen.error.is_none() && is_whole => {
                kept.extend_from_slice(line);
                answered.add(seen.part);
            }
            Ok(_) => {} // It failed, or only its line end is missing: it is asked about again.
            Err(_) if !is_whole && is_ours(line) => {}
            Err(_) => bail!("line {} is not a line of a crawl", index + 1),
        }
    }
    Ok((kept, answered))
}

/// Whether a torn line can be the beginning of one of ours.
fn is_ours(torn: &[u8]) -> bool {
    const START: &[u8] = br#"{"part":"#;
    let common = torn.len().min(START.len());
    torn[..common] == START[..common]
}
