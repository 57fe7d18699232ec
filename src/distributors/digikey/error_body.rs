//! What DigiKey says when it refuses.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The body of an error, in any of the vendor's shapes: the older `ErrorMessage` / `ErrorDetails`,
/// the same in lower camel case (order management, version 1), the problem details (RFC 9457) of
/// version 4, and a `message` alone. A field of an unexpected type counts as absent.
///
/// ```
/// use reqwest_tollgate::distributors::digikey::ErrorBody;
///
/// let body = r#"{"StatusCode":429,"ErrorMessage":"BurstLimit exceeded","RequestId":"fa3e"}"#;
/// let body: ErrorBody = serde_json::from_str(body)?;
/// assert_eq!(body.message.as_deref(), Some("BurstLimit exceeded"));
/// assert_eq!(body.request_id.as_deref(), Some("fa3e"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorBody {
    /// The version of the shape: `ErrorResponseVersion`.
    pub version: Option<String>,
    /// The status, once more.
    pub status: Option<u16>,
    /// What happened, in short: `ErrorMessage`, `title`, or `message`.
    pub message: Option<String>,
    /// The same at length: `ErrorDetails`, or `detail`.
    pub details: Option<String>,
    /// The vendor's name for the exchange: `RequestId`, `correlationId`, or `traceId`.
    pub request_id: Option<String>,
    /// What is wrong with which field of the request: `ValidationErrors`.
    pub validation_errors: Vec<ValidationError>,
}

/// What is wrong with one field of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValidationError {
    /// Which field.
    pub field: Option<String>,
    /// What is wrong with it.
    pub message: Option<String>,
}

/// The vendor's fields, by their names in lower camel case.
struct Fields(BTreeMap<String, Value>);

impl Fields {
    fn of(fields: impl IntoIterator<Item = (String, Value)>) -> Self {
        let fields = fields.into_iter();
        Self(fields.map(|(name, value)| (camel(&name), value)).collect())
    }

    fn first<T>(&self, names: &[&str], read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        names.iter().find_map(|name| read(self.0.get(*name)?))
    }

    fn text(&self, names: &[&str]) -> Option<String> {
        self.first(names, |value| value.as_str().map(str::to_owned))
    }
}

/// `ErrorMessage` as `errorMessage`.
fn camel(name: &str) -> String {
    let mut rest = name.chars();
    let first = rest.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(rest).collect()
}

impl<'de> Deserialize<'de> for ErrorBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Fields::of(BTreeMap::<String, Value>::deserialize(deserializer)?);
        let status = |value: &Value| u16::try_from(value.as_u64()?).ok();
        let errors = |value: &Value| Some(value.as_array()?.iter().map(invalid).collect());
        Ok(Self {
            version: fields.text(&["errorResponseVersion"]),
            status: fields.first(&["statusCode", "status"], status),
            message: fields.text(&["errorMessage", "title", "message"]),
            details: fields.text(&["errorDetails", "detail"]),
            request_id: fields.text(&["requestId", "correlationId", "traceId"]),
            validation_errors: fields
                .first(&["validationErrors"], errors)
                .unwrap_or_default(),
        })
    }
}

fn invalid(value: &Value) -> ValidationError {
    let fields = Fields::of(value.as_object().cloned().unwrap_or_default());
    ValidationError {
        field: fields.text(&["field"]),
        message: fields.text(&["message"]),
    }
}
