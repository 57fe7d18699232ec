//! Windows, quotas and spans of time, as a configuration file writes them.

use std::time::Duration;

use super::fields::{Fields, parsed};
use super::value::Value;
use crate::account::check::problems::Problems;
use crate::rate_limit::window::parse_length;
use crate::rate_limit::{Pacing, Quota, ResetUnit, Window};

const RESET_UNITS: [(&str, ResetUnit); 6] = [
    ("auto", ResetUnit::Auto),
    ("seconds", ResetUnit::Seconds),
    ("milliseconds", ResetUnit::Milliseconds),
    ("unix-seconds", ResetUnit::UnixSeconds),
    ("unix-milliseconds", ResetUnit::UnixMilliseconds),
    ("date", ResetUnit::Date),
];

const PACINGS: [(&str, Pacing); 3] = [
    ("auto", Pacing::Auto),
    ("burst", Pacing::Burst),
    ("spread", Pacing::Spread),
];

/// `"30s"`, `"15min"`; `"0s"` is none.
pub(super) fn span(value: Value) -> Result<Duration, String> {
    let parse = |text: &str| match text {
        "0" | "0s" | "0ms" => Some(Duration::ZERO),
        _ => parse_length(text),
    };
    parsed(
        value,
        parse,
        "a span of time such as \"500ms\", \"30s\", \"15min\" or \"12h\"",
    )
}

/// `"120/min"`, or a table with that as its `rate`, and what else a window may be told.
pub(super) fn window(value: Value) -> Result<Window, Problems> {
    match value {
        // A table with `env` or `file` is a string by reference.
        Value::Table(table) if !table.contains_key("env") && !table.contains_key("file") => {
            window_table(Fields::new(table))
        }
        other => rate(other).map_err(Problems::of_value),
    }
}

fn rate(value: Value) -> Result<Window, String> {
    let expected = "LIMIT/LENGTH, such as \"120/min\", \"20/500ms\", \"1000/utc-day\" or \
                    \"1000/day-06:00\" (up to 14:00)";
    parsed(value, |text| text.parse().ok(), expected)
}

type SetHeader = fn(Window, &str) -> Window;

fn window_table(mut fields: Fields) -> Result<Window, Problems> {
    let is_missing = !fields.has("rate");
    let window = fields.read("rate", rate);
    if is_missing {
        fields
            .problems
            .add("rate", "is missing; expected one such as \"120/min\"");
    }
    // Without a rate the other keys are still checked, on a window that nobody gets.
    let mut built = window.unwrap_or_else(|| Window::per_second(1));
    let headers: [(_, SetHeader); 4] = [
        ("limit_header", Window::limit_header),
        ("remaining_header", Window::remaining_header),
        ("reset_header", Window::reset_header),
        ("reset_time_header", Window::reset_time_header),
    ];
    for (key, set) in headers {
        if let Some(name) = fields.text(key) {
            built = set(built, &name);
        }
    }
    if let Some(unit) = fields.text("unit") {
        built = built.unit(&unit);
    }
    if let Some(unit) = fields.choice("reset_unit", &RESET_UNITS) {
        built = built.reset_unit(unit);
    }
    if let Some(pacing) = fields.choice("pacing", &PACINGS) {
        built = built.pacing(pacing);
    }
    if let Some(amount) = fields.read("reserve", Value::into_integer) {
        built = built.reserve(amount);
    }
    if let Some(follow) = fields.read("follow_raises", Value::into_flag) {
        built = built.follow_raises(follow);
    }
    fields.finish().into_result(built)
}

/// A table of units, each with what a request costs in it.
pub(super) fn costs(fields: &mut Fields) -> Vec<(String, u64)> {
    let table = fields.read("costs", Value::into_table).unwrap_or_default();
    let mut costs = Vec::with_capacity(table.len());
    for (unit, amount) in table {
        let amount = amount.into_integer();
        let amount = fields.problems.keep(&format!("costs.{unit}"), amount);
        costs.extend(amount.map(|amount| (unit, amount)));
    }
    costs
}

/// A table with `name`, `paths` and `windows`.
pub(super) fn quota(value: Value) -> Result<Quota, Problems> {
    let table = value.into_table().map_err(Problems::of_value)?;
    let mut fields = Fields::new(table);
    if !fields.has("name") {
        fields.problems.add("name", "is missing; a quota needs one");
    }
    let name = fields.text("name").unwrap_or_default();
    let quota = Quota::new(name);
    let quota = fields.texts("paths").into_iter().fold(quota, Quota::path);
    let quota = fields
        .list("windows", window)
        .into_iter()
        .fold(quota, Quota::window);
    fields.finish().into_result(quota)
}
