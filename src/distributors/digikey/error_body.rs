//! What DigiKey says when it refuses.

use serde::Deserialize;

/// The body of an error, in either of the vendor's two shapes: the older `ErrorMessage` /
/// `ErrorDetails`, or the problem details (RFC 9457) of version 4. The lists of invalid fields have
/// no common shape and are left out.
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ErrorBody {
    /// The status, once more.
    #[serde(default, alias = "StatusCode")]
    pub status: Option<u16>,
    /// What happened, in short: `ErrorMessage`, or `title`.
    #[serde(default, rename = "title", alias = "ErrorMessage")]
    pub message: Option<String>,
    /// The same at length: `ErrorDetails`, or `detail`.
    #[serde(default, rename = "detail", alias = "ErrorDetails")]
    pub details: Option<String>,
    /// The vendor's name for the exchange: `RequestId`, or `correlationId`.
    #[serde(default, rename = "correlationId", alias = "RequestId")]
    pub request_id: Option<String>,
}
