//! The fields of a token endpoint's answer, be it JSON, a form or the remains of either. Pure.

use std::time::Duration;

use serde_json::Value;
use zeroize::Zeroizing;

/// The fields of a body, whatever its syntax.
pub(super) enum Fields {
    Json(Value),
    Form(Vec<(String, String)>),
    /// Begins like JSON and does not parse: its strings are found by looking for their names.
    Torn(Zeroizing<String>),
    Unreadable,
}

impl Fields {
    pub(super) fn parse(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.starts_with('{') {
            return match serde_json::from_str(text) {
                Ok(value) => Self::Json(value),
                Err(_) => Self::Torn(Zeroizing::new(text.to_owned())),
            };
        }
        let known = ["access_token=", "refresh_token=", "error="];
        if text.starts_with('<') || !known.iter().any(|name| text.contains(name)) {
            return Self::Unreadable;
        }
        let pairs = url::form_urlencoded::parse(text.as_bytes());
        Self::Form(pairs.into_owned().collect())
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        let text = match self {
            Self::Json(value) => value.get(name)?.as_str()?.to_owned(),
            Self::Form(pairs) => pairs.iter().find(|(key, _)| key == name)?.1.clone(),
            Self::Torn(body) => scan(body, name)?,
            Self::Unreadable => return None,
        };
        Some(text).filter(|text| !text.trim().is_empty())
    }

    pub(super) fn secret(&self, name: &str) -> Option<Zeroizing<String>> {
        // An access token may be the last thing before the tear, and be torn itself. `scan` gives
        // only what has its closing quote, but the rest of the answer is not to be trusted either.
        if matches!(self, Self::Torn(body) if name == "access_token" && !body.ends_with('}')) {
            return None;
        }
        self.text(name).map(Zeroizing::new)
    }

    /// The error code: a string, or the `code` of an object.
    pub(super) fn error(&self) -> Option<String> {
        match self {
            Self::Json(value) => match value.get("error")? {
                Value::Object(inner) => {
                    let code = inner.get("code").and_then(Value::as_str);
                    Some(code.unwrap_or("unknown").to_owned())
                }
                Value::String(code) => Some(code.clone()).filter(|code| !code.trim().is_empty()),
                Value::Null | Value::Bool(false) => None,
                _ => Some("unknown".to_owned()),
            },
            _ => self.text("error"),
        }
    }

    /// A positive number of seconds: integer, float or either as a string.
    pub(super) fn seconds(&self, name: &str) -> Option<Duration> {
        let seconds = match self {
            Self::Json(value) => match value.get(name)? {
                Value::Number(number) => number.as_f64()?,
                Value::String(text) => decimal(text)?,
                _ => return None,
            },
            _ => decimal(&self.text(name)?)?,
        };
        if seconds.is_nan() || seconds <= 0.0 {
            return None;
        }
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }
}

fn decimal(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

/// The string value of `"name"` in a body that is almost JSON.
fn scan(body: &str, name: &str) -> Option<String> {
    let quoted = format!("\"{name}\"");
    let after_name = body.split_once(&quoted)?.1.trim_start();
    let value = after_name.strip_prefix(':')?.trim_start();
    let mut escaped = false;
    let end = value.char_indices().skip(1).find(|&(_, c)| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes
    })?;
    serde_json::from_str(value.get(..=end.0)?).ok()
}
