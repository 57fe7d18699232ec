//! CSV, with a header.

use anyhow::{Result, bail};
use csv::{ByteRecord, ReaderBuilder, Writer};

use super::{Answered, Entry, Shape};
use crate::fields::cell;

const PART: &str = "part";
const STATUS: &str = "status";
const ERROR: &str = "error";
const ANSWER: &str = "answer";

fn names(shape: &Shape) -> Vec<&str> {
    let mut names = vec![PART];
    names.extend(shape.columns.iter().map(String::as_str));
    names.extend([STATUS, ERROR]);
    match shape.fields.is_empty() {
        true => names.push(ANSWER),
        false => names.extend(shape.fields.iter().map(|field| field.name.as_str())),
    }
    names
}

pub(super) fn header(shape: &Shape) -> Result<Vec<u8>> {
    let mut writer = Writer::from_writer(Vec::new());
    writer.write_record(names(shape))?;
    Ok(writer.into_inner()?)
}

pub(super) fn rows(shape: &Shape, entry: &Entry<'_>) -> Result<Vec<u8>> {
    let mut writer = Writer::from_writer(Vec::new());
    let answer = entry.answer.as_ref();
    for row in &entry.part.rows {
        let mut record = vec![entry.part.number.clone()];
        record.extend(row.iter().cloned());
        record.push(
            entry
                .status
                .map(|status| status.to_string())
                .unwrap_or_default(),
        );
        record.push(entry.error.unwrap_or_default().to_owned());
        match shape.fields.is_empty() {
            true => record.push(cell(answer)),
            false => record.extend(
                (shape.fields.iter()).map(|field| cell(answer.and_then(|answer| field.of(answer)))),
            ),
        }
        writer.write_record(record)?;
    }
    Ok(writer.into_inner()?)
}

/// The rows to keep, and what they answer.
pub(super) fn sift(old: &[u8], shape: &Shape) -> Result<(Vec<u8>, Answered)> {
    let header = header(shape)?;
    let mut answered = Answered::default();
    if header.starts_with(old) {
        return Ok((Vec::new(), answered)); // Nothing, or a torn header.
    }
    if !old.starts_with(&header) {
        let line = old.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let found = String::from_utf8_lossy(line);
        let expected = names(shape).join(",");
        bail!(
            "its columns are {:?}, expected {expected:?}",
            found.trim_end()
        );
    }
    let width = names(shape).len();
    let mut kept = header;
    for (start, end, record) in records(old)? {
        let bytes = &old[start..end];
        if end == old.len() && is_torn(bytes, &record, width) {
            break;
        }
        if record.len() != width {
            let line = record.position().map_or(0, csv::Position::line);
            bail!("line {line} has {} columns, expected {width}", record.len());
        }
        let error = record.get(1 + shape.columns.len() + 1);
        if error.is_some_and(<[u8]>::is_empty) {
            kept.extend_from_slice(bytes);
            let part = record.get(0).unwrap_or_default();
            answered.add(String::from_utf8_lossy(part).into_owned());
        }
    }
    Ok((kept, answered))
}

/// All but the header, with where they begin and end.
fn records(old: &[u8]) -> Result<Vec<(usize, usize, ByteRecord)>> {
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(old);
    let records: Result<Vec<_>, _> = reader.byte_records().collect();
    let records = records?;
    let start = |record: &ByteRecord| {
        let place = record.position().map_or(0, csv::Position::byte);
        usize::try_from(place).unwrap_or(usize::MAX).min(old.len())
    };
    let starts: Vec<usize> = records.iter().map(start).collect();
    let ends = starts.iter().copied().skip(1).chain([old.len()]);
    let spans: Vec<_> = starts.iter().copied().zip(ends).collect();
    let records = spans.into_iter().zip(records);
    Ok(records
        .map(|((start, end), record)| (start, end, record))
        .collect())
}

/// Whether a kill has cut the last row. All quotes of a whole one have a partner.
fn is_torn(bytes: &[u8], record: &ByteRecord, width: usize) -> bool {
    let quotes = bytes.iter().filter(|byte| **byte == b'"').count();
    !bytes.ends_with(b"\n") || quotes % 2 == 1 || record.len() != width
}
