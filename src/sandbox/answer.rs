//! Bodies as DigiKey writes them.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

/// A response of this sandbox.
pub(super) type Answer = Response<Bytes>;

/// A JSON body.
pub(super) fn json_answer(status: StatusCode, body: &Value) -> Answer {
    with_type(status, "application/json", body.to_string())
}

pub(super) fn html_answer(status: StatusCode, body: &'static str) -> Answer {
    with_type(status, "text/html; charset=utf-8", body)
}

fn with_type(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    let value = HeaderValue::from_static(media_type);
    answer.headers_mut().insert(CONTENT_TYPE, value);
    answer
}

/// The body that DigiKey sends with every error of its API; `id` is the request's.
pub(super) fn error_answer(status: StatusCode, message: &str, details: &str, id: &str) -> Answer {
    json_answer(status, &error_body(status, message, details, id))
}

fn error_body(status: StatusCode, message: &str, details: &str, id: &str) -> Value {
    json!({
        "ErrorResponseVersion": "3.0.0.0",
        "StatusCode": status.as_u16(),
        "ErrorMessage": message,
        "ErrorDetails": details,
        "RequestId": id,
        "ValidationErrors": [],
    })
}

/// A required field of the request's body is missing.
pub(super) fn missing_field(field: &str, id: &str) -> Answer {
    let status = StatusCode::BAD_REQUEST;
    let details = format!("The parameter '{field}' is required.");
    let mut body = error_body(status, "Bad Request", &details, id);
    body["ValidationErrors"] =
        json!([{ "Field": field, "Message": format!("The {field} field is required.") }]);
    json_answer(status, &body)
}

/// The token has expired. DigiKey writes two spaces.
pub(super) fn expired(id: &str) -> Answer {
    error_answer(
        StatusCode::UNAUTHORIZED,
        "Bearer token  expired",
        "Please use your refresh token to obtain a new Bearer token.",
        id,
    )
}

/// The token was never issued, or was revoked.
pub(super) fn invalid(id: &str) -> Answer {
    error_answer(
        StatusCode::UNAUTHORIZED,
        "The Bearer token is invalid",
        "Please obtain a new Bearer token from the OAuth endpoint.",
        id,
    )
}

/// The client is not the one that may use this API: no token helps.
pub(super) fn not_subscribed(id: &str) -> Answer {
    error_answer(
        StatusCode::UNAUTHORIZED,
        "Invalid clientId",
        "X-DIGIKEY-Client-Id invalid for requested resource: not subscribed to this API",
        id,
    )
}

/// The burst limit is spent, or the day.
pub(super) fn spent(is_day: bool, id: &str) -> Answer {
    let message = match is_day {
        true => "Daily Ratelimit exceeded",
        false => "BurstLimit exceeded",
    };
    error_answer(
        StatusCode::TOO_MANY_REQUESTS,
        message,
        "Please try again after the number of seconds in the Retry-After header",
        id,
    )
}

/// There is nothing at this path.
pub(super) fn nowhere() -> Answer {
    with_type(StatusCode::NOT_FOUND, "text/plain", "no such path")
}

/// Adds the headers that the answer has not set itself.
pub(super) fn add_headers(answer: &mut Answer, headers: HeaderMap) {
    for (name, value) in headers {
        // Each name occurs once in our own headers, so a name is always given.
        if let Some(name) = name {
            answer.headers_mut().entry(name).or_insert(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expired_token_is_told_with_two_spaces() {
        let answer = expired("id");
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        let body: Value = serde_json::from_slice(answer.body()).expect("JSON");
        assert_eq!(body["ErrorMessage"], "Bearer token  expired");
        assert_eq!(body["StatusCode"], 401);
        assert_eq!(body["RequestId"], "id");
    }

    #[test]
    fn headers_that_an_answer_has_set_itself_stay() {
        let mut answer = spent(false, "id");
        add_headers(&mut answer, HeaderMap::from_iter(own("one")));
        add_headers(&mut answer, HeaderMap::from_iter(own("other")));
        assert_eq!(answer.headers()["retry-after"], "one");
    }

    fn own(value: &'static str) -> [(http::HeaderName, HeaderValue); 1] {
        [(http::header::RETRY_AFTER, HeaderValue::from_static(value))]
    }
}
