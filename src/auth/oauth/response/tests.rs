use super::*;
use crate::auth::{Grant, testing};
use crate::response_rules::{Rule, RuleTarget};
use http::HeaderValue;
use http::header::{DATE, RETRY_AFTER};

fn reply(status: u16, body: &str) -> Reply {
    Reply {
        status: StatusCode::from_u16(status).expect("a status"),
        headers: HeaderMap::new(),
        body: Zeroizing::new(body.as_bytes().to_vec()),
    }
}

fn oauth() -> OAuthSettings {
    testing::oauth(Grant::client_credentials())
}

fn read_by(oauth: &OAuthSettings, reply: &Reply, presented: bool, has_worked: bool) -> Answer {
    let asked = Asked {
        presented,
        has_worked,
        ..oauth.asked(&["hunter2"], SystemTime::UNIX_EPOCH)
    };
    read(reply, &asked)
}

/// To a refresh token, of a client of which nothing is known.
fn answer(status: u16, body: &str) -> Answer {
    read_by(&oauth(), &reply(status, body), true, false)
}

/// To a refresh token, of a client that has worked before.
fn class_of_known(status: u16, body: &str) -> Class {
    let answer = read_by(&oauth(), &reply(status, body), true, true);
    answer.outcome.expect_err("a refusal").class
}

fn refusal(status: u16, body: &str) -> Refusal {
    answer(status, body).outcome.expect_err("a refusal")
}

fn class(status: u16, body: &str) -> Class {
    answer(status, body).outcome.expect_err("a refusal").class
}

fn message(status: u16, body: &str) -> String {
    answer(status, body).outcome.expect_err("a refusal").message
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
    let answer = answer(200, "access_token=a%2Bb&expires_in=60&refresh_token=r");
    let issued = answer.outcome.expect("a token");
    assert_eq!(issued.access_token.as_str(), "a+b");
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
        (401, r#"{"message":"Unauthorized"}"#, Class::ClientRejected),
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
    let answer = read_by(
        &oauth(),
        &reply(400, r#"{"error":"invalid_grant"}"#),
        false,
        true,
    );
    assert_eq!(
        answer.outcome.expect_err("a refusal").class,
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
        match read_by(&oauth(), &reply, true, false).outcome {
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
    assert_eq!(wait("1.5", None), Some(Duration::from_millis(1_500)));
    for nothing in ["0", "-5", "soon", "", "²", "1,000"] {
        if let Ok(value) = HeaderValue::from_str(nothing) {
            let text = value.to_str().unwrap_or("soon").to_owned();
            assert_eq!(wait(&text, None), None, "{nothing}");
        }
    }
}

#[test]
fn a_retry_after_of_unix_time_is_a_moment_and_of_several_the_longest_counts() {
    let wait = |lines: &[&'static str]| {
        let mut reply = reply(429, "");
        let sent = HeaderValue::from_static("Sun, 09 Sep 2001 01:46:40 GMT");
        reply.headers.insert(DATE, sent);
        for line in lines {
            let value = HeaderValue::from_static(line);
            reply.headers.append(RETRY_AFTER, value);
        }
        let answer = read_by(&oauth(), &reply, true, false);
        answer.outcome.expect_err("a refusal").class
    };
    let throttled = |seconds| Class::Throttled {
        retry_after: Some(Duration::from_secs(seconds)),
    };
    // The server's clock shows 1000000000.
    assert_eq!(wait(&["1000000030"]), throttled(30));
    assert_eq!(wait(&["1000000030000"]), throttled(30));
    assert_eq!(wait(&["2001-09-09T01:47:00Z"]), throttled(20));
    assert_eq!(wait(&["1m30s"]), throttled(90));
    assert_eq!(wait(&["5", "1000000030", "20"]), throttled(30));
    assert_eq!(wait(&["9999999999"]), throttled(3_600));
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
        "the token endpoint refused: invalid_client: bad secret ***!"
    );
    let body = r#"{"error":"e","error_description":"you sent r3fr35h","refresh_token":"r3fr35h"}"#;
    assert!(!message(400, body).contains("r3fr35h"));
}

#[test]
fn a_message_is_short() {
    let long = format!(
        r#"{{"error":"x","error_description":"{}"}}"#,
        "y".repeat(10_000)
    );
    assert!(message(400, &long).len() < 300);
}

/// The status is said by the error, and by it alone.
#[test]
fn the_status_of_a_refusal_is_said_once() {
    let refusal = refusal(400, r#"{"error":"invalid_client"}"#);
    let text = refusal.error(Recovery::Reconfigure).to_string();
    assert_eq!(text.matches("400").count(), 1, "{text}");
    assert!(text.contains("(after status 400)"), "{text}");
}

/// Gateways, proxies and portals that stand in between.
#[test]
fn a_refusal_by_a_gateway_in_between_is_no_verdict_on_the_client() {
    for (status, body) in [
        (400, "<html>Bad Request</html>"),
        (400, ""),
        (400, r#"{"error":"bad_gateway_config"}"#),
        (400, r#"{"message":"no"}"#),
        (401, "no"),
        (401, "<html>Sign in to the network</html>"),
        (402, ""),
        (403, "<html>Access denied</html>"),
        (403, r#"{"message":"Forbidden"}"#),
        (404, ""),
        (404, r#"{"message":"no Route matched"}"#),
        (405, ""),
        (407, "proxy authentication required"),
        (407, r#"{"message":"proxy"}"#),
        (418, ""),
        (421, ""),
        (451, "<html>blocked</html>"),
    ] {
        assert_eq!(class(status, body), Class::Transient, "{status} {body}");
        let known = class_of_known(status, body);
        let is_of_server = status == 400 && body.starts_with('{');
        match is_of_server {
            true => assert_eq!(known, Class::GrantProbablyRejected, "{status} {body}"),
            false => assert_eq!(known, Class::Transient, "{status} {body}"),
        }
    }
}

/// What a person needs to find out who answered in the place of the token endpoint.
#[test]
fn a_refusal_by_a_gateway_in_between_says_what_came_and_from_where() {
    let mut page = reply(
        403,
        "<!DOCTYPE html><html><head><style>b{color:red}</style><title>Access Denied</title>\
         <script>var s = 'hush';</script></head><body>for hunter2,\n\ttoken \
         eyJhbGciOiJIUzI1NiJ9.e30.abc by\u{202e} proxy</body>",
    );
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    page.headers.insert(http::header::CONTENT_TYPE, kind);
    let url = Url::parse("https://id:pw@login.example/t/token?key=secret#x").expect("a URL");
    let mut oauth = oauth();
    oauth.token_url = url;
    let answer = read_by(&oauth, &page, true, true);
    let refusal = answer.outcome.expect_err("refused");
    assert_eq!(
        refusal.message,
        "the token endpoint https://login.example/t/token refused: text/html, \
         \"Access Denied for ***, token *** by proxy\""
    );
    assert_eq!(refusal.status, Some(StatusCode::FORBIDDEN));

    let text = message(404, "");
    assert_eq!(
        text,
        "the token endpoint https://login.example/token refused: no content type, an empty body; \
         is that the token URL?"
    );
    assert!(message(405, r#"{"message":"POST"}"#).ends_with("POST; is that the token URL?"));
    assert!(message(302, "").contains("redirects are not followed, check token_url"));
}

#[test]
fn a_page_is_quoted_briefly_and_a_success_never() {
    let long = format!("<html>{}</html>", "word ".repeat(100_000));
    assert!(message(502, &long).len() < 300);
    // A server that answers with the bare token.
    assert!(!message(200, "plain-token-without-digits").contains("plain"));
    assert!(!message(200, "\"plain-token\"").contains("plain"));
    let script = "<script>".repeat(3_000);
    assert!(message(502, &script).len() < 300);
}

#[test]
fn a_dead_refresh_token_is_known_by_whatever_name_once_the_client_has_worked() {
    for (status, body) in [
        (400, r#"{"error":"invalid_request"}"#),
        (
            400,
            r#"{"error":"invalid_request","error_description":"token not found"}"#,
        ),
        (403, r#"{"error":"access_denied"}"#),
        (401, r#"{"error":"access_denied"}"#),
        (
            400,
            r#"{"ErrorMessage":"Bad Request","ErrorDetails":"Refresh token is invalid"}"#,
        ),
        (
            401,
            r#"{"StatusCode":401,"ErrorMessage":"Unauthorized","ErrorDetails":""}"#,
        ),
        (
            401,
            r#"{"type":"about:blank","title":"Unauthorized","detail":"revoked"}"#,
        ),
        (400, r#"{"message":"Invalid token"}"#),
        (
            400,
            r#"{"error":{"code":400,"message":"Token has been expired or revoked."}}"#,
        ),
        (401, "{}"),
    ] {
        let class = class_of_known(status, body);
        assert_eq!(class, Class::GrantProbablyRejected, "{status} {body}");
        let first = self::class(status, body);
        assert!(
            !first.needs_login(),
            "nothing is known yet: {status} {body}"
        );
    }
    // The token by its name: whatever is known of the client.
    for (status, code) in [
        (400, "invalid_token"),
        (401, "expired_token"),
        (401, "token_expired"),
        (200, "bad_refresh_token"),
        (400, "invalid_refresh_token"),
    ] {
        let body = format!(r#"{{"error":"{code}"}}"#);
        let expected = Class::GrantProbablyRejected;
        assert_eq!(class(status, &body), expected, "{code}");
        let answer = read_by(&oauth(), &reply(status, &body), false, false);
        let refusal = answer.outcome.expect_err("refused");
        assert!(!refusal.class.needs_login(), "none was presented: {code}");
    }
    // Said plainly.
    assert_eq!(
        class_of_known(400, r#"{"error":"invalid_grant"}"#),
        Class::GrantRejected
    );
}

#[test]
fn a_refusal_that_names_client_scope_grant_type_or_the_moment_is_not_the_refresh_tokens() {
    for (status, body, expected) in [
        (401, r#"{"error":"invalid_client"}"#, Class::ClientRejected),
        (
            401,
            r#"{"message":"Invalid Client-Id"}"#,
            Class::ClientRejected,
        ),
        (
            401,
            r#"{"ErrorMessage":"wrong secret"}"#,
            Class::ClientRejected,
        ),
        (
            401,
            r#"{"fault":{"faultstring":"Invalid client identifier"}}"#,
            Class::ClientRejected,
        ),
        (400, r#"{"error":"invalid_scope"}"#, Class::ClientRejected),
        (
            400,
            r#"{"error":"invalid_request","error_description":"Grant Type missing"}"#,
            Class::ClientRejected,
        ),
        (
            400,
            r#"{"error":"unsupported_grant_type"}"#,
            Class::ClientRejected,
        ),
        (400, r#"{"error":"server_error"}"#, Class::Transient),
        (400, r#"{"message":"Internal error"}"#, Class::Transient),
        (400, r#"{"message":"Rate limit reached"}"#, Class::Transient),
        (400, r#"{"detail":"Service Unavailable"}"#, Class::Transient),
        (400, r#"{"message":"cut"#, Class::Transient),
        (500, r#"{"error":"invalid_token"}"#, Class::Transient),
        (503, r#"{"error":"invalid_grant"}"#, Class::Transient),
        (407, r#"{"message":"no"}"#, Class::Transient),
    ] {
        assert_eq!(class_of_known(status, body), expected, "{status} {body}");
    }
}

#[test]
fn the_vendors_words_are_in_the_message() {
    for (body, words) in [
        (
            r#"{"ErrorMessage":"Bad Request","ErrorDetails":"The token\u2028is hunter2"}"#,
            "Bad Request: The tokenis ***",
        ),
        (r#"{"errorMessage":"no","errorDetails":"why"}"#, "no: why"),
        (r#"{"message":"Forbidden"}"#, "Forbidden"),
        (
            r#"{"title":"Bad","detail":"it is dead","status":400}"#,
            "it is dead: Bad",
        ),
        (
            r#"{"error":{"code":400,"message":"said inside"}}"#,
            "said inside",
        ),
        (
            r#"{"errors":[{"message":"first of a list"}]}"#,
            "first of a list",
        ),
        (
            r#"{"fault":{"faultstring":"no such key","detail":{"errorcode":"oauth.v2.Bad"}}}"#,
            "no such key",
        ),
        (
            r#"{"fault":{"code":900901,"message":"no","description":"why"}}"#,
            "no: why",
        ),
        (r#"{"Error":{"Message":"said inside"}}"#, "said inside"),
        (r#"{"errors":["a sentence"]}"#, "a sentence"),
        (
            r#"{"error":"e","error_description":" twice ","message":"twice"}"#,
            "e: twice",
        ),
        ("error=e&error_description=as+a+form", "e: as a form"),
    ] {
        let text = message(400, body);
        assert!(text.ends_with(&format!("refused: {words}")), "{text}");
    }
    let long = format!(
        r#"{{"ErrorMessage":"{0}","ErrorDetails":"{0}!"}}"#,
        "y".repeat(5_000)
    );
    assert!(message(400, &long).len() < 300);
}

#[test]
fn the_request_id_is_found_cut_and_cleaned() {
    let id = |headers: &[(&'static str, &str)], body: &str| {
        let mut reply = reply(400, body);
        for (name, value) in headers {
            reply
                .headers
                .insert(*name, HeaderValue::from_str(value).expect("a value"));
        }
        let mut oauth = oauth();
        oauth.request_id_headers = vec![HeaderName::from_static("x-acme-trace")];
        let answer = read_by(&oauth, &reply, true, false);
        answer.outcome.expect_err("refused").request_id
    };
    let body = r#"{"RequestId":"in the body"}"#;
    let found = |text: &str| Some(text.to_owned());
    let own = [("x-request-id", "usual"), ("x-acme-trace", "own")];
    assert_eq!(id(&own, body), found("own"));
    assert_eq!(id(&[("x-request-id", "usual")], body), found("usual"));
    assert_eq!(id(&[("x-correlation-id", "7")], body), found("7"));
    assert_eq!(id(&[("x-digikey-request-id", "8")], body), found("8"));
    assert_eq!(id(&[], body), found("in the body"));
    for name in [
        "request_id",
        "requestId",
        "correlation_id",
        "correlationId",
        "trace_id",
    ] {
        assert_eq!(
            id(&[], &format!(r#"{{"{name}":"9"}}"#)),
            found("9"),
            "{name}"
        );
    }
    assert_eq!(id(&[], "{}"), None);
    assert_eq!(id(&[("x-request-id", " ")], "{}"), None);
    assert_eq!(id(&[("x-request-id", "is hunter2")], "{}"), found("is ***"));
    assert_eq!(id(&[], r#"{"request_id":"a\u202eb\r\nc"}"#), found("abc"));
    let long = "x".repeat(1_000);
    assert_eq!(id(&[("x-request-id", &long)], "{}"), found(&long[..128]));
    let error = refusal(400, body).error(Recovery::Retry);
    assert_eq!(error.request_id(), Some("in the body"));
}

#[test]
fn an_unusual_type_is_sent_as_bearer_and_named_and_one_that_needs_a_proof_is_refused() {
    let read = |kind: &str| {
        let body = format!(r#"{{"access_token":"a","token_type":"{kind}"}}"#);
        answer(200, &body).outcome
    };
    for kind in [
        "Application Access Token",
        "BearerToken",
        "JWT",
        "access_token",
        "macaroon",
        "popular",
        "N_A",
    ] {
        let issued = read(kind).expect(kind);
        assert_eq!(issued.unusual_type.as_deref(), Some(kind));
    }
    for kind in ["Bearer", "bearer ", "BEARER"] {
        assert_eq!(read(kind).expect(kind).unusual_type, None);
    }
    for kind in [
        "DPoP",
        "MAC",
        "mac",
        "PoP",
        "pop-jwt",
        "hmac-sha-256",
        "HmacSHA256",
        "Hawk",
    ] {
        let refusal = read(kind).expect_err(kind);
        assert_eq!(refusal.class, Class::Misconfigured, "{kind}");
        assert!(refusal.message.contains(kind), "{}", refusal.message);
    }
    let text = read("MAC hunter2\\u202e").expect_err("a proof").message;
    assert!(text.contains("MAC ***,"), "{text}");
}

#[test]
fn an_access_token_that_no_header_can_carry_is_refused_with_the_reason() {
    let read = |token: &str| {
        let body = format!(r#"{{"access_token":"{token}","refresh_token":"r2"}}"#);
        answer(200, &body)
    };
    for (token, position) in [("abcé", 4), ("s3cr 3t", 5), ("s\\u0007", 2), ("“q”", 1)] {
        let answer = read(token);
        assert!(answer.refresh_token.is_some(), "salvaged");
        let refusal = answer.outcome.expect_err(token);
        assert_eq!(refusal.class, Class::Transient);
        let why = format!("holds a character that no header can carry at position {position}");
        assert!(refusal.message.contains(&why), "{}", refusal.message);
        assert!(!refusal.message.contains(token), "{}", refusal.message);
    }
    for token in ["abc\\n", " abc ", "\\tabc\\r\\n"] {
        let issued = read(token).outcome.expect(token);
        assert_eq!(issued.access_token.as_str(), "abc");
    }
    for token in ["", " ", "\\n"] {
        let refusal = read(token).outcome.expect_err("none");
        assert!(
            refusal.message.contains("gave no access token"),
            "{token:?}"
        );
    }
}

#[test]
fn a_token_that_is_there_wins_over_an_error_that_says_nothing() {
    for nothing in [
        "0",
        r#""""#,
        r#""0""#,
        r#""none""#,
        r#""None""#,
        "null",
        "false",
        "{}",
        "[]",
        r#""ok""#,
        r#""no error""#,
        "200",
        r#"{"code":0}"#,
        r#"{"code":"0","message":""}"#,
        r#"{"code":null,"message":null}"#,
    ] {
        let body = format!(r#"{{"access_token":"a","error":{nothing}}}"#);
        assert!(answer(200, &body).outcome.is_ok(), "{body}");
        let without = format!(r#"{{"error":{nothing}}}"#);
        let text = message(200, &without);
        assert!(text.contains("gave no access token"), "{text}");
    }
    assert!(answer(200, "access_token=a&error=0").outcome.is_ok());
    for something in ["1", r#""e""#, "true", r#"{"code":"e"}"#] {
        let body = format!(r#"{{"access_token":"a","error":{something}}}"#);
        assert_eq!(class(200, &body), Class::Transient, "{body}");
    }
}

#[test]
fn a_token_is_found_behind_and_before_what_does_not_belong_there() {
    let token = r#"{"access_token":"a","refresh_token":"r2","expires_in":60}"#;
    for (before, behind) in [
        ("\u{feff}", ""),
        (")]}',\n", ""),
        ("while(1);", ""),
        (
            "<br />\n<b>Warning</b>: foo() in {main} on line 3<br />\n",
            "\n<!-- 0.1 s -->",
        ),
        ("Notice: undefined index\n", ""),
        ("", "\n{\"debug\":1}"),
        ("", "garbage"),
    ] {
        let answer = answer(200, &format!("{before}{token}{behind}"));
        assert_eq!(
            answer.refresh_token.as_deref().map(String::as_str),
            Some("r2"),
            "{before}"
        );
        let issued = answer.outcome.expect(before);
        assert_eq!(issued.lifetime, Some(Duration::from_secs(60)));
    }
    // A page is not the endpoint's answer, whatever its scripts hold.
    let page = format!("<!DOCTYPE html><html><script>x = {token}</script></html>");
    let answer = answer(200, &page);
    assert!(answer.refresh_token.is_none() && answer.outcome.is_err());
    let page = r#"<html><script>{"error":"invalid_grant"}</script></html>"#;
    assert_eq!(class(400, page), Class::Transient);
}

#[test]
fn fields_are_found_by_their_camel_case_names_and_one_level_down() {
    let inner = r#"{"accessToken":"a","expiresIn":"60","refreshToken":"r2","tokenType":"JWT"}"#;
    for body in [
        inner.to_owned(),
        format!(r#"{{"data":{inner}}}"#),
        format!(r#"{{"success":true,"result":{inner}}}"#),
        format!(r#"{{"response":{inner},"access_token":null}}"#),
        format!(r#"{{"data":{{"token":{inner}}}}}"#),
        format!(r#"{{"body":{inner}}}"#),
        r#"{"Data":{"AccessToken":"a","ExpiresIn":60,"RefreshToken":"r2","TokenType":"JWT"}}"#
            .to_owned(),
    ] {
        let answer = answer(200, &body);
        assert_eq!(
            answer.refresh_token.as_deref().map(String::as_str),
            Some("r2"),
            "{body}"
        );
        let issued = answer.outcome.expect(&body);
        assert_eq!(issued.lifetime, Some(Duration::from_secs(60)));
        assert_eq!(issued.unusual_type.as_deref(), Some("JWT"));
    }
    let torn = r#"{"refreshToken":"r2","accessToken":"a","expi"#;
    assert!(answer(200, torn).refresh_token.is_some());
}

#[test]
fn where_no_token_is_found_the_message_names_the_fields_that_are_there() {
    let text = message(200, r#"{"jwt":"s3cr3t-value","ttl":60}"#);
    let expected = "gave no access token: no content type with the fields jwt, ttl";
    assert!(text.ends_with(expected), "{text}");
    assert!(!text.contains("s3cr3t"), "{text}");
    let many: Vec<String> = (0..50).map(|n| format!(r#""f{n:02}":1"#)).collect();
    let text = message(200, &format!("{{{}}}", many.join(",")));
    assert!(text.contains("f09 …") && !text.contains("f10"), "{text}");
    let odd = format!(
        r#"{{"{}":1,"hunter2":2,"eyJhbGciOiJIUzI1NiJ9":3}}"#,
        "n".repeat(500)
    );
    let text = message(200, &odd);
    assert!(text.len() < 300 && text.contains("***"), "{text}");
    assert!(!text.contains("hunter2") && !text.contains("eyJ"), "{text}");
}

#[test]
fn where_the_fields_are_within_another_the_message_names_both() {
    let text = message(200, r#"{"ok":true,"payload":{"jwt":"s3cr3t-value"}}"#);
    assert!(text.ends_with("with the fields ok, payload.jwt"), "{text}");
}

#[test]
fn a_code_that_says_nothing_is_not_in_the_message_nor_is_the_status_twice() {
    for body in [
        r#"{"error":true,"message":"Bad thing"}"#,
        r#"{"error":{"code":400,"message":"Bad thing"}}"#,
        r#"{"error":400,"message":"Bad thing"}"#,
        r#"{"error":"400","message":"Bad thing"}"#,
    ] {
        let text = message(400, body);
        assert!(text.ends_with("refused: Bad thing"), "{text}");
    }
    let text = message(400, r#"{"detail":"It is over.","title":"Bad Request"}"#);
    assert!(text.ends_with("It is over. Bad Request"), "{text}");
}

#[test]
fn a_refresh_token_that_the_vendors_words_call_dead_is_known_by_them() {
    for (status, body) in [
        (403, r#"{"message":"Refresh token revoked"}"#),
        (
            400,
            r#"{"ErrorMessage":"Bad Request","ErrorDetails":"Client: refresh token expired"}"#,
        ),
        (
            400,
            r#"{"error":"invalid_request","error_description":"Invalid refresh token"}"#,
        ),
    ] {
        assert_eq!(
            class_of_known(status, body),
            Class::GrantProbablyRejected,
            "{body}"
        );
        let without = read_by(&oauth(), &reply(status, body), false, true).outcome;
        let class = without.expect_err("a refusal").class;
        assert_ne!(class, Class::GrantProbablyRejected, "{body}");
    }
    for (status, body) in [
        (403, "Refresh token revoked"),
        (403, r#"{"message":"Access denied"}"#),
        (
            401,
            r#"{"error":"invalid_client","error_description":"refresh token of an invalid client"}"#,
        ),
        (500, r#"{"message":"Refresh token expired"}"#),
    ] {
        assert_ne!(
            class_of_known(status, body),
            Class::GrantProbablyRejected,
            "{body}"
        );
    }
}

#[test]
fn the_lifetime_of_a_refresh_token_is_read_by_every_name() {
    let read = |field: &str| answer(200, &format!(r#"{{"access_token":"a",{field}}}"#));
    for name in [
        "refresh_token_expires_in",
        "refresh_expires_in",
        "x_refresh_token_expires_in",
        "refreshTokenExpiresIn",
    ] {
        let lifetime = read(&format!(r#""{name}":7775999"#)).refresh_lifetime;
        assert_eq!(lifetime, Some(Duration::from_secs(7_775_999)), "{name}");
        let text = read(&format!(r#""{name}":"600""#)).refresh_lifetime;
        assert_eq!(text, Some(Duration::from_secs(600)), "{name}");
        // It never ends, as one vendor says it.
        assert_eq!(read(&format!(r#""{name}":0"#)).refresh_lifetime, None);
    }
    assert_eq!(read(r#""expires_in":600"#).refresh_lifetime, None);
}

#[test]
fn a_body_that_is_cut_off_is_read_as_far_as_it_goes() {
    let padding = "x".repeat(LONGEST_BODY + 1);
    let body = |whole: &str| format!("{whole}{padding}")[..=LONGEST_BODY].to_owned();
    let answer = answer(
        200,
        &body(r#"{"access_token":"a","refresh_token":"r2","expires_in":60,"padding":""#),
    );
    assert!(answer.refresh_token.is_some());
    assert_eq!(answer.outcome.expect("a token").access_token.as_str(), "a");
    let refused = r#"{"error":"invalid_grant","padding":""#;
    assert_eq!(class(400, &body(refused)), Class::GrantRejected);
    assert_eq!(class(503, &body("<html>")), Class::Transient);
    // What the cut itself tears is none.
    let torn = format!(r#"{{"padding":"{padding}","access_token":"a"}}"#);
    assert_eq!(class(200, &torn[..=LONGEST_BODY]), Class::Transient);
}

#[test]
fn a_token_rule_decides_before_everything_else() {
    let read = |rule: Rule, presented: bool, status: u16, body: &str| {
        let rules = Rules::new(&[rule], RuleTarget::TokenEndpoint);
        let mut oauth = oauth();
        oauth.token_rules = rules.expect("a good rule");
        let mut reply = reply(status, body);
        reply
            .headers
            .insert(RETRY_AFTER, HeaderValue::from_static("9"));
        read_by(&oauth, &reply, presented, false)
    };
    let class = |rule, presented, status, body: &str| {
        let answer = read(rule, presented, status, body);
        answer.outcome.map_err(|refusal| refusal.class)
    };
    let dead = || Rule::new(422, Verdict::GrantRejected).body("used up");
    let used_up = r#"{"message":"It is Used  Up"}"#;
    for (presented, expected) in [(true, Class::GrantRejected), (false, Class::ClientRejected)] {
        let class = class(dead(), presented, 422, used_up);
        assert_eq!(class.expect_err("refused"), expected);
    }
    let other = class(dead(), true, 422, r#"{"message":"no"}"#);
    assert_eq!(other.expect_err("no rule"), Class::Transient);
    let retry_after = Some(Duration::from_secs(9));
    for (verdict, expected) in [
        (Verdict::ClientRejected, Class::ClientRejected),
        (Verdict::RateExceeded, Class::Throttled { retry_after }),
        (Verdict::Unavailable, Class::Transient),
    ] {
        let body = r#"{"error":"invalid_grant"}"#;
        let class = class(Rule::new(400, verdict), true, 400, body);
        assert_eq!(class.expect_err("refused"), expected);
    }
    // A success too; what it rotated is kept.
    let rule = Rule::new(200, Verdict::Unavailable).body("maintenance");
    let body = r#"{"access_token":"a","refresh_token":"r2","note":"maintenance"}"#;
    let answer = read(rule, true, 200, body);
    assert!(answer.refresh_token.is_some());
    assert_eq!(answer.outcome.expect_err("refused").class, Class::Transient);
}

#[test]
fn what_was_issued_shows_no_token() {
    let issued = answer(200, r#"{"access_token":"s3cr3t"}"#).outcome;
    assert!(!format!("{:?}", issued.expect("a token")).contains("s3cr3t"));
}
