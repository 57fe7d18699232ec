//! The fields of a token endpoint's answer, be it JSON, a form or the remains of either. Pure.
//!
//! A field is asked for by the name that RFC 6749 gives it; what vendors call it is known here.

use std::time::Duration;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::printable;

/// How many of the braces in a body are tried as the beginning of its JSON.
const MOST_BEGINNINGS: usize = 16;
/// Where vendors wrap the answer once more.
const WRAPPERS: [&str; 9] = [
    "data", "Data", "result", "Result", "response", "Response", "body", "token", "Token",
];
/// What an error is called of which the answer says no more.
pub(in crate::auth) const UNKNOWN: &str = "unknown";

/// The fields of a body, whatever its syntax.
pub(in crate::auth) enum Fields {
    Json(Value),
    Form(Vec<(String, String)>),
    /// Begins like JSON and does not parse: its strings are found by looking for their names.
    Torn {
        body: Zeroizing<String>,
        /// It ends where we stopped reading, or with its closing brace: what is whole in it came
        /// as it was sent.
        is_trusted: bool,
    },
    Unreadable,
}

impl Fields {
    /// `is_cut`: the body goes on, and is not known any further.
    pub(in crate::auth) fn parse(body: &[u8], is_cut: bool) -> Self {
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}').trim();
        if let Some(value) = object(text) {
            return Self::Json(value);
        }
        if text.starts_with('{') || is_torn(text) {
            return Self::Torn {
                is_trusted: is_cut || text.ends_with('}'),
                body: Zeroizing::new(text.to_owned()),
            };
        }
        let known = ["access_token=", "refresh_token=", "error=", "accessToken="];
        if text.starts_with('<') || !known.iter().any(|name| text.contains(name)) {
            return Self::Unreadable;
        }
        let pairs = url::form_urlencoded::parse(text.as_bytes());
        Self::Form(pairs.into_owned().collect())
    }

    /// A whole object came.
    pub(super) fn is_json(&self) -> bool {
        matches!(self, Self::Json(_))
    }

    /// The body has fields, even if they cannot be named.
    pub(in crate::auth) fn are_there(&self) -> bool {
        !matches!(self, Self::Unreadable)
    }

    pub(in crate::auth) fn text(&self, name: &str) -> Option<String> {
        let names = names_of(name);
        let text = match self {
            Self::Json(value) => {
                let is_text = |value: &&Value| value.as_str().is_some_and(|text| !is_blank(text));
                find(value, &names, is_text)?.as_str()?.to_owned()
            }
            Self::Form(pairs) => {
                let named = |name: &&str| pairs.iter().find(|(key, _)| key == name);
                names.iter().find_map(named)?.1.clone()
            }
            Self::Torn { body, .. } => names.iter().find_map(|name| scan(body, name))?,
            Self::Unreadable => return None,
        };
        Some(text).filter(|text| !is_blank(text))
    }

    pub(in crate::auth) fn secret(&self, name: &str) -> Option<Zeroizing<String>> {
        // An access token may be the last thing before the tear, and be torn itself. `scan` gives
        // only what has its closing quote, but the rest of the answer is not to be trusted either.
        if matches!(self, Self::Torn { is_trusted: false, .. } if name == "access_token") {
            return None;
        }
        self.text(name).map(Zeroizing::new)
    }

    /// The error code: a string, or the `code` of an object. None where it says that there is no
    /// error.
    pub(in crate::auth) fn error(&self) -> Option<String> {
        let code = match self {
            Self::Json(value) => match value.get("error")? {
                Value::Object(inner) => code_within(inner)?,
                Value::String(code) => code.clone(),
                Value::Number(number) => number.to_string(),
                Value::Null | Value::Bool(false) => return None,
                Value::Array(list) if list.is_empty() => return None,
                _ => UNKNOWN.to_owned(),
            },
            _ => self.text("error")?,
        };
        Some(code).filter(|code| !says_nothing(code))
    }

    /// What the vendor says about its error, the most telling first.
    pub(in crate::auth) fn words(&self) -> Vec<String> {
        const NAMES: [&str; 14] = [
            "error_description",
            "errorDescription",
            "ErrorMessage",
            "errorMessage",
            "error_message",
            "ErrorDetails",
            "errorDetails",
            "message",
            "Message",
            "detail",
            "title",
            "msg",
            "faultstring",
            "description",
        ];
        let mut found: Vec<String> = Vec::new();
        match self {
            Self::Json(value) => {
                let first = |name: &str| value.get(name)?.get(0);
                // Apigee and WSO2, before many a vendor's server, say `fault`.
                let objects = ["error", "Error", "fault", "Fault"].map(|name| value.get(name));
                let lists = ["errors", "Errors"].map(first);
                let inner = objects.into_iter().chain(lists).flatten();
                for part in std::iter::once(value).chain(inner) {
                    let texts = NAMES.iter().filter_map(|name| part.get(name)?.as_str());
                    found.extend(texts.map(|text| text.trim().to_owned()));
                }
                let sentences = lists.iter().filter_map(|first| first.as_ref()?.as_str());
                found.extend(sentences.map(|text| text.trim().to_owned()));
            }
            _ => found.extend(NAMES.iter().filter_map(|name| self.text(name))),
        }
        let mut distinct = Vec::new();
        for words in found {
            if !is_blank(&words) && !distinct.contains(&words) {
                distinct.push(words);
            }
        }
        distinct
    }

    /// The names of the fields that are there.
    pub(in crate::auth) fn names(&self) -> Vec<String> {
        match self {
            Self::Json(Value::Object(fields)) => {
                let names = fields
                    .iter()
                    .flat_map(|(name, value)| names_within(name, value));
                names.collect()
            }
            Self::Form(pairs) => pairs.iter().map(|(name, _)| name.clone()).collect(),
            _ => Vec::new(),
        }
    }

    /// A positive number of seconds: integer, float or either as a string.
    pub(in crate::auth) fn seconds(&self, name: &str) -> Option<Duration> {
        let seconds = match self {
            Self::Json(value) => {
                let is_given = |value: &&Value| value.is_number() || value.is_string();
                match find(value, &names_of(name), is_given)? {
                    Value::Number(number) => number.as_f64()?,
                    Value::String(text) => decimal(text)?,
                    _ => return None,
                }
            }
            _ => decimal(&self.text(name)?)?,
        };
        if seconds.is_nan() || seconds <= 0.0 {
            return None;
        }
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }
}

/// What vendors call a field, the standard's name first.
fn names_of(name: &str) -> Vec<&str> {
    match name {
        "access_token" => vec!["access_token", "accessToken", "AccessToken"],
        "refresh_token" => vec!["refresh_token", "refreshToken", "RefreshToken"],
        "token_type" => vec!["token_type", "tokenType", "TokenType"],
        "expires_in" => vec!["expires_in", "expiresIn", "ExpiresIn"],
        "refresh_token_expires_in" => vec![
            "refresh_token_expires_in",
            "refresh_expires_in",
            "x_refresh_token_expires_in",
            "refreshTokenExpiresIn",
            "refreshExpiresIn",
        ],
        "id_token" => vec!["id_token", "idToken"],
        "request_id" => printable::ID_FIELDS.to_vec(),
        other => vec![other],
    }
}

/// The code in an error that is an object; none where all that it says is that there is no error.
fn code_within(error: &Map<String, Value>) -> Option<String> {
    let is_something = |value: &&Value| match value {
        Value::String(text) => !says_nothing(text),
        Value::Number(number) => !says_nothing(&number.to_string()),
        Value::Null | Value::Bool(false) => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(inner) => !inner.is_empty(),
        Value::Bool(true) => true,
    };
    error.values().find(is_something)?;
    let codes = ["code", "error", "status", "type"].into_iter();
    let mut codes = codes.filter_map(|name| error.get(name)?.as_str());
    Some(codes.next().unwrap_or(UNKNOWN).to_owned())
}

/// `data.token` where one object holds another: the outer name alone tells nothing.
fn names_within(name: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Object(inner) if !inner.is_empty() => inner
            .keys()
            .map(|inner| format!("{name}.{inner}"))
            .collect(),
        _ => vec![name.to_owned()],
    }
}

/// The first field of one of these names that will do: of the object itself, or of one that wraps
/// the answer, once or twice.
fn find<'a>(
    value: &'a Value,
    names: &[&str],
    will_do: impl Fn(&&'a Value) -> bool,
) -> Option<&'a Value> {
    let wrapped = |value: &'a Value| WRAPPERS.iter().filter_map(|name| value.get(name));
    let twice = wrapped(value).flat_map(wrapped);
    let mut objects = std::iter::once(value).chain(wrapped(value)).chain(twice);
    objects.find_map(|object| {
        let mut fields = names.iter().filter_map(|name| object.get(name));
        fields.find(|field| will_do(field))
    })
}

/// The object in a body, which may have something before it (a warning of PHP, a guard against
/// scripts that include it) and behind it. A page is no answer, whatever its scripts hold.
fn object(text: &str) -> Option<Value> {
    let parse = |text: &str| {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        values.next()?.ok().filter(Value::is_object)
    };
    if text.starts_with('{') {
        return parse(text);
    }
    if is_page(text) {
        return None;
    }
    let beginnings = text.match_indices('{').take(MOST_BEGINNINGS);
    let mut objects = beginnings.filter_map(|(at, _)| parse(&text[at..]));
    objects.find(is_answer)
}

fn is_answer(value: &Value) -> bool {
    let names = ["access_token", "refresh_token"].map(names_of);
    let has_token = names
        .iter()
        .any(|names| find(value, names, |value| value.is_string()).is_some());
    has_token || value.get("error").is_some()
}

fn is_page(text: &str) -> bool {
    let beginning: String = text.chars().take(512).collect();
    let beginning = beginning.to_ascii_lowercase();
    beginning.contains("<html") || beginning.contains("<!doctype")
}

/// Whether there is a whole token in it by name, after something else.
fn is_torn(text: &str) -> bool {
    !is_page(text)
        && ["access_token", "refresh_token"]
            .iter()
            .any(|name| names_of(name).iter().any(|name| scan(text, name).is_some()))
}

/// Codes of vendors that have the field in every answer.
fn says_nothing(code: &str) -> bool {
    let code = code.trim().to_ascii_lowercase();
    [
        "", "0", "200", "none", "null", "false", "ok", "success", "no_error", "no error",
    ]
    .contains(&code.as_str())
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
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
