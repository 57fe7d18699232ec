//! What a vendor says, with the numbers of the moment filled in.

use std::time::{Duration, SystemTime};

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::sandbox::answer::Answer;
use crate::sandbox::calendar::{iso8601, unix_seconds, whole_seconds};
use crate::sandbox::quota::Standing;

/// One answer. In headers and body `{limit}`, `{remaining}`, `{seconds}` and `{millis}` to go,
/// `{unix}` and `{iso}` of the end, `{wait}` in seconds until the next request fits, and `{id}` of
/// the request are filled in.
pub(super) struct Words {
    pub(super) status: u16,
    pub(super) headers: &'static [(&'static str, &'static str)],
    pub(super) body: &'static str,
}

/// HTTP's own.
pub(super) const UNAUTHORIZED: Words = Words::bare(401);
/// HTTP's own.
pub(super) const TOO_MANY: Words = Words::bare(429);

/// The numbers of one moment.
pub(in crate::sandbox) struct Moment {
    pub(in crate::sandbox) standing: Standing,
    /// Until the next request fits.
    pub(in crate::sandbox) wait: Duration,
    pub(in crate::sandbox) now: SystemTime,
    pub(in crate::sandbox) id: String,
}

impl Words {
    pub(super) const fn bare(status: u16) -> Self {
        Self::new(status, "")
    }

    pub(super) const fn new(status: u16, body: &'static str) -> Self {
        Self {
            status,
            headers: &[],
            body,
        }
    }

    pub(super) const fn with(mut self, headers: &'static [(&'static str, &'static str)]) -> Self {
        self.headers = headers;
        self
    }

    pub(super) fn answer(&self, moment: &Moment) -> Answer {
        let body = moment.fill(self.body);
        let media_type = match self.body.starts_with('<') {
            true => "text/html",
            false => "application/json",
        };
        let mut answer = Response::new(body.into());
        // All of them are constants, and tested.
        *answer.status_mut() = StatusCode::from_u16(self.status).unwrap_or_default();
        *answer.headers_mut() = headers(self.headers, moment);
        let media_type = HeaderValue::from_static(media_type);
        answer.headers_mut().insert(CONTENT_TYPE, media_type);
        answer
    }
}

/// Headers with their numbers.
pub(super) fn headers(
    given: &'static [(&'static str, &'static str)],
    moment: &Moment,
) -> HeaderMap {
    let header = |(name, text): &(&str, &str)| {
        let name: HeaderName = name.parse().ok()?;
        Some((name, HeaderValue::from_str(&moment.fill(text)).ok()?))
    };
    given.iter().filter_map(header).collect()
}

impl Moment {
    fn fill(&self, text: &str) -> String {
        if !text.contains('{') {
            return text.to_owned();
        }
        let standing = &self.standing;
        let end = self.now.checked_add(standing.reset).unwrap_or(self.now);
        text.replace("{limit}", &standing.limit.to_string())
            .replace("{remaining}", &standing.remaining.to_string())
            .replace("{seconds}", &whole_seconds(standing.reset).to_string())
            .replace("{millis}", &standing.reset.as_millis().to_string())
            .replace("{unix}", &unix_seconds(end).to_string())
            .replace("{iso}", &iso8601(end))
            .replace("{wait}", &whole_seconds(self.wait).to_string())
            .replace("{id}", &self.id)
    }
}
