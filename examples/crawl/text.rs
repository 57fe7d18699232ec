//! Words for people: errors in one line and without keys, times, spans, counts.

use std::error::Error as StdError;
use std::time::{Duration, SystemTime};

use reqwest_retry::RetryError;
use reqwest_tollgate::{Cause, Error};

/// What is shown of an answer at most.
const LONGEST: usize = 200;

/// What went wrong with a request.
///
/// reqwest's own text has the URL, and with it any key that an account adds to the query.
pub(crate) fn of_error(error: &anyhow::Error) -> String {
    if let Some(ours) = Error::find(error.as_ref()) {
        return of_ours(ours);
    }
    match transport(error) {
        Some(error) => of_transport(error),
        None => one_line(&format!("{error:#}")),
    }
}

/// An error of the crate, with what lies beneath.
pub(crate) fn of_ours(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        // A `Cause` leads back to its error and adds nothing for people.
        if !source.is::<Cause>() {
            let source = source.to_string();
            if !text.contains(&source) {
                text = format!("{text}: {source}");
            }
        }
        next = source.source();
    }
    text
}

fn of_transport(error: &reqwest::Error) -> String {
    let host = error.url().and_then(|url| {
        let host = url.host_str()?;
        Some(match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        })
    });
    let host = host.unwrap_or_else(|| "the server".to_owned());
    let what = if error.is_connect() {
        format!("cannot connect to {host}")
    } else if error.is_timeout() {
        format!("no answer from {host} in time")
    } else if error.is_body() || error.is_decode() {
        format!("the answer from {host} broke off")
    } else {
        format!("the connection to {host} broke")
    };
    let mut last = None;
    let mut next = error.source();
    while let Some(source) = next {
        last = Some(source);
        next = source.source();
    }
    match last {
        Some(last) => one_line(&format!("{what}: {last}")),
        None => what,
    }
}

/// The error of reqwest, beneath what reqwest-middleware and reqwest-retry wrap around it.
fn transport(error: &anyhow::Error) -> Option<&reqwest::Error> {
    if let Some(found) = error.downcast_ref::<reqwest::Error>() {
        return Some(found);
    }
    let layers = error.downcast_ref::<reqwest_middleware::Error>();
    if let Some(found) = layers.and_then(beneath) {
        return Some(found);
    }
    match error.downcast_ref::<RetryError>()? {
        RetryError::WithRetries { err, .. } | RetryError::Error(err) => beneath(err),
    }
}

fn beneath(error: &reqwest_middleware::Error) -> Option<&reqwest::Error> {
    match error {
        reqwest_middleware::Error::Reqwest(error) => Some(error),
        reqwest_middleware::Error::Middleware(error) => transport(error),
    }
}

/// The beginning of a text, in one line.
pub(crate) fn one_line(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let words: String = text.chars().map(printable).collect();
    let words: Vec<&str> = words.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// `2026-12-02T00:00:00Z`, to the second and never too early.
pub(crate) fn rfc_3339(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let since = since.unwrap_or_default();
    let seconds = since.as_secs() + u64::from(since.subsec_nanos() > 0);
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_second(seconds) {
        Ok(time) => time.to_string(),
        Err(_) => "a time far off".to_owned(),
    }
}

/// `7 min 28 s`: the two largest units.
pub(crate) fn span(span: Duration) -> String {
    const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let mut left = span.as_secs() + u64::from(span.subsec_millis() >= 500);
    let mut words = Vec::new();
    for (name, seconds) in UNITS {
        let count = left / seconds;
        left %= seconds;
        if count > 0 && words.len() < 2 {
            words.push(format!("{count} {name}"));
        } else if !words.is_empty() {
            break;
        }
    }
    match words.is_empty() {
        true if span.is_zero() => "0 s".to_owned(),
        true => format!("{} ms", span.as_millis()),
        false => words.join(" "),
    }
}

/// `1 part`, `3 parts`.
pub(crate) fn count(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use reqwest_middleware::ClientBuilder;

    use super::*;

    #[test]
    fn spans_have_their_two_largest_units() {
        for (seconds, text) in [
            (0.0, "0 s"),
            (0.25, "250 ms"),
            (1.0, "1 s"),
            (448.0, "7 min 28 s"),
            (3_600.0, "1 h"),
            (90_061.0, "1 d 1 h"),
            (86_405.0, "1 d"),
        ] {
            assert_eq!(span(Duration::from_secs_f64(seconds)), text);
        }
    }

    #[test]
    fn a_long_answer_is_shown_in_one_short_line() {
        assert_eq!(one_line("a\r\n\tb\u{1b}[31m"), "a b [31m");
        let long = one_line(&"µ".repeat(1_000));
        assert_eq!(long.chars().count(), LONGEST + 1);
    }

    fn client() -> reqwest::Client {
        let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        builder.build().unwrap()
    }

    #[tokio::test]
    async fn an_error_of_the_connection_names_the_host_and_no_key() {
        let policy = reqwest_retry::policies::ExponentialBackoff::builder()
            .retry_bounds(Duration::from_millis(1), Duration::from_millis(1))
            .build_with_max_retries(1);
        let retry = reqwest_retry::RetryTransientMiddleware::new_with_policy(policy);
        let plain = ClientBuilder::new(client()).build();
        let retrying = ClientBuilder::new(client()).with(retry).build();
        // A port that was free a moment ago.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        for client in [plain, retrying] {
            let url = format!("http://{address}/?apiKey=s3cr3t");
            let error = client.get(url).send().await.unwrap_err();
            let text = of_error(&error.into());
            let expected = format!("cannot connect to {address}: ");
            assert!(text.starts_with(&expected), "{text}");
            assert!(!text.contains("s3cr3t"), "{text}");
        }
    }
}
