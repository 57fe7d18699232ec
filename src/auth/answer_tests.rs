use super::*;
use http::HeaderValue;

fn reply(status: u16, body: &str) -> Reply {
    Reply {
        status: StatusCode::from_u16(status).expect("a status"),
        headers: HeaderMap::new(),
        body: Zeroizing::new(body.as_bytes().to_vec()),
    }
}

fn answer(status: u16, body: &str) -> Answer {
    read(
        &reply(status, body),
        true,
        &["hunter2"],
        SystemTime::UNIX_EPOCH,
    )
}

fn class(status: u16, body: &str) -> Class {
    answer(status, body).outcome.err().expect("a refusal").class
}

fn message(status: u16, body: &str) -> String {
    answer(status, body)
        .outcome
        .err()
        .expect("a refusal")
        .message
}

fn lifetime(expires_in: &str) -> Option<Duration> {
    let body = format!(r#"{{"access_token":"a"{expires_in}}}"#);
    answer(200, &body).outcome.expect("a token").lifetime
}

#[test]
fn lifetimes_are_read_in_every_shape() {
    let seconds = |s| Some(Duration::from_secs_f64(s));
    for (text, expected) in [
        ("", None),
        (r#","expires_in":null"#, None),
        (r#","expires_in":0"#, None),
        (r#","expires_in":-1"#, None),
        (r#","expires_in":"NaN""#, None),
        (r#","expires_in":"soon""#, None),
        (r#","expires_in":"²""#, None),
        (r#","expires_in":[1]"#, None),
        (r#","expires_in":0.05"#, seconds(0.05)),
        (r#","expires_in":1"#, seconds(1.0)),
        (r#","expires_in":"599""#, seconds(599.0)),
        (r#","expires_in":599.0"#, seconds(599.0)),
        (r#","expires_in":300"#, seconds(300.0)),
        (r#","expires_in":86400"#, seconds(86_400.0)),
        (r#","expires_in":1e18"#, seconds(1e18)),
        (r#","expires_in":"inf""#, Some(Duration::MAX)),
        (r#","expires_in":1e999"#, None),
        (r#","expires_in":NaN"#, None),
    ] {
        assert_eq!(lifetime(text), expected, "{text}");
    }
}

#[test]
fn a_form_is_as_good_as_json() {
    let answer = answer(200, "access_token=a%20b&expires_in=60&refresh_token=r");
    let issued = answer.outcome.expect("a token");
    assert_eq!(issued.access_token.as_str(), "a b");
    assert_eq!(issued.lifetime, Some(Duration::from_secs(60)));
    assert_eq!(
        answer.refresh_token.as_deref().map(String::as_str),
        Some("r")
    );
}

#[test]
fn any_2xx_and_any_case_of_bearer_will_do() {
    for body in [
        r#"{"access_token":"a"}"#,
        r#"{"access_token":"a","token_type":"BEARER"}"#,
        r#"{"access_token":"a","token_type":null,"error":null}"#,
        "\u{feff} {\"access_token\":\"a\",\"error\":\"\"}",
    ] {
        assert!(answer(201, body).outcome.is_ok(), "{body}");
    }
}

#[test]
fn the_refresh_token_is_salvaged_from_every_wreck() {
    for body in [
        r#"{"refresh_token":"r2"}"#,
        r#"{"refresh_token":"r2","error":"server_error"}"#,
        r#"{"refresh_token":"r2","token_type":"mac","access_token":"a"}"#,
        r#"{"refresh_token" : "r2","access_token":"to"#,
        r#"{"expires_in":NaN,"refresh_token":"r2"}"#,
        "refresh_token=r2",
    ] {
        let salvaged = answer(200, body).refresh_token;
        assert_eq!(
            salvaged.as_deref().map(String::as_str),
            Some("r2"),
            "{body}"
        );
    }
}

#[test]
fn an_empty_null_or_torn_refresh_token_is_none() {
    for body in [
        r#"{"access_token":"a","refresh_token":""}"#,
        r#"{"access_token":"a","refresh_token":null}"#,
        r#"{"access_token":"a","refresh_token":7}"#,
        r#"{"access_token":"a","refresh_token":"r"#,
        "access_token=a&refresh_token=",
    ] {
        assert!(answer(200, body).refresh_token.is_none(), "{body}");
    }
}

#[test]
fn a_torn_access_token_is_no_token() {
    assert_eq!(
        class(200, r#"{"access_token":"a","expires"#),
        Class::Transient
    );
    assert_eq!(class(200, r#"{"access_token":"a"#), Class::Transient);
}

#[test]
fn refusals_are_classified_by_what_helps() {
    let throttled = Class::Throttled { retry_after: None };
    for (status, body, expected) in [
        (200, "<html>login</html>", Class::Transient),
        (200, "", Class::Transient),
        (200, "[]", Class::Transient),
        (200, r#"{"token_type":"Bearer"}"#, Class::Transient),
        (200, r#"{"access_token":null}"#, Class::Transient),
        (
            200,
            r#"{"access_token":"a","error":"server_error"}"#,
            Class::Transient,
        ),
        (200, r#"{"error":"invalid_client"}"#, Class::ClientRejected),
        (
            200,
            r#"{"access_token":"a","token_type":"mac"}"#,
            Class::Misconfigured,
        ),
        (302, "", Class::Transient),
        (400, r#"{"error":"invalid_grant"}"#, Class::GrantRejected),
        (400, "error=invalid_grant", Class::GrantRejected),
        (401, r#"{"error":"invalid_client"}"#, Class::ClientRejected),
        (
            400,
            r#"{"error":"unauthorized_client"}"#,
            Class::ClientRejected,
        ),
        (400, r#"{"error":"invalid_scope"}"#, Class::ClientRejected),
        (401, "no", Class::ClientRejected),
        (404, "<html>", Class::ClientRejected),
        (
            400,
            r#"{"error":{"code":"invalid_grant"}}"#,
            Class::GrantRejected,
        ),
        (400, r#"{"error":"slow_down"}"#, throttled),
        (400, r#"{"error":"temporarily_unavailable"}"#, throttled),
        (429, "", throttled),
        (408, "", Class::Transient),
        (500, r#"{"error":"invalid_grant"}"#, Class::Transient),
        (502, "<html>bad gateway</html>", Class::Transient),
        (503, "", Class::Transient),
    ] {
        assert_eq!(class(status, body), expected, "{status} {body}");
    }
}

#[test]
fn invalid_grant_without_a_refresh_token_is_the_clients_fault() {
    let reply = reply(400, r#"{"error":"invalid_grant"}"#);
    let answer = read(&reply, false, &[], SystemTime::UNIX_EPOCH);
    assert_eq!(
        answer.outcome.err().expect("a refusal").class,
        Class::ClientRejected
    );
}

#[test]
fn retry_after_is_seconds_or_a_date_and_an_hour_at_most() {
    let wait = |text: &str, date: Option<&str>| {
        let mut reply = reply(503, "");
        let value = HeaderValue::from_str(text).expect("a value");
        reply.headers.insert(RETRY_AFTER, value);
        if let Some(date) = date {
            reply
                .headers
                .insert(DATE, HeaderValue::from_str(date).expect("a value"));
        }
        match read(&reply, true, &[], SystemTime::UNIX_EPOCH).outcome {
            Err(Refusal {
                class: Class::Throttled { retry_after },
                ..
            }) => retry_after,
            _ => None,
        }
    };
    let seconds = |s| Some(Duration::from_secs(s));
    assert_eq!(wait("7", None), seconds(7));
    assert_eq!(wait("86400", None), seconds(3600));
    assert_eq!(wait("99999999999999999999999", None), seconds(3600));
    assert_eq!(wait("Thu, 01 Jan 1970 00:00:09 GMT", None), seconds(9));
    let sent = Some("Thu, 01 Jan 1970 00:00:04 GMT");
    assert_eq!(wait("Thu, 01 Jan 1970 00:00:09 GMT", sent), seconds(5));
    for nothing in ["0", "-5", "soon", "", "²", "1.5"] {
        if let Ok(value) = HeaderValue::from_str(nothing) {
            let text = value.to_str().unwrap_or("soon").to_owned();
            assert_eq!(wait(&text, None), None, "{nothing}");
        }
    }
}

#[test]
fn what_is_taken_out_of_a_message_puts_no_secret_together() {
    let text = message(
        400,
        r#"{"error":"x","error_description":"bad hun\u0007ter2"}"#,
    );
    assert!(text.ends_with(": bad ***"), "{text}");
    let body = r#"{"error":"x","access_token":"nt","error_description":"bad hunter2"}"#;
    let text = message(200, body);
    assert!(text.ends_with(": bad ***"), "{text}");
}

#[test]
fn a_message_says_the_code_and_no_secret() {
    let body = r#"{"error":"invalid_client","error_description":"bad secret hunter2\r\n!",
        "refresh_token":"r3fr35h"}"#;
    let text = message(401, body);
    assert_eq!(
        text,
        "the token endpoint refused (status 401): invalid_client: bad secret ***!"
    );
    let body = r#"{"error":"e","error_description":"you sent r3fr35h","refresh_token":"r3fr35h"}"#;
    assert!(!message(400, body).contains("r3fr35h"));
}

#[test]
fn a_message_is_short_and_never_quotes_a_body() {
    let long = format!(
        r#"{{"error":"x","error_description":"{}"}}"#,
        "y".repeat(10_000)
    );
    assert!(message(400, &long).len() < 300);
    assert!(!message(502, "<html>internal detail</html>").contains("internal"));
}
