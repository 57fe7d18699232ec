//! What each token endpoint is asked, and what else of a vendor's shows around its tokens.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use reqwest_tollgate::distributors::{
    avnet, buerklin, digikey, disruptive, my_arrow, nexar, ti, tme_v2,
};
use reqwest_tollgate::{ClientAuth, Event, MemoryStore};
use serde_json::Value;

use crate::common::{Answer, Events, Stub, answer};
use crate::tokens::{Tokens, authorizations, send};

#[tokio::test]
async fn my_arrow_has_the_id_in_a_header_of_every_request() {
    let tokens = Tokens::new("").await;
    let account = tokens.account(my_arrow::account("id", "secret"));
    let stub = Stub::answering([]);
    send(&account, &stub).await;
    let asked = &tokens.asked()[0];
    assert_eq!(asked.header("client_id"), Some("id"));
    let basic = format!("Basic {}", STANDARD.encode("id:secret"));
    assert_eq!(asked.header("authorization"), Some(basic.as_str()));
    assert_eq!(asked.field("grant_type"), Some("client_credentials"));
    assert_eq!(asked.field("client_secret"), None);
    assert_eq!(stub.seen()[0].headers["client_id"], "id");
}

#[tokio::test]
async fn avnet_has_the_subscription_key_on_every_request_and_asks_for_its_scope() {
    let tokens = Tokens::new("").await;
    let account = tokens.account(avnet::account("id", "secret", "api://x/.default", "key"));
    let stub = Stub::answering([]);
    send(&account, &stub).await;
    let asked = &tokens.asked()[0];
    assert_eq!(asked.header("ocp-apim-subscription-key"), Some("key"));
    assert_eq!(asked.header("authorization"), None);
    assert_eq!(asked.field("client_id"), Some("id"));
    assert_eq!(asked.field("client_secret"), Some("secret"));
    assert_eq!(asked.field("scope"), Some("api://x/.default"));
    assert_eq!(stub.seen()[0].headers["ocp-apim-subscription-key"], "key");
}

#[tokio::test]
async fn credentials_are_in_the_form_or_in_the_header_as_each_vendor_wants_them() {
    let rows = [
        (
            nexar::account("id", "secret"),
            ClientAuth::Body,
            Some("supply.domain"),
        ),
        (ti::account("id", "secret"), ClientAuth::Body, None),
        (digikey::account("id", "secret"), ClientAuth::Body, None),
        (tme_v2::account("id", "secret"), ClientAuth::Basic, None),
    ];
    for (builder, how, scope) in rows {
        let tokens = Tokens::new("").await;
        let account = tokens.account(builder);
        send(&account, &Stub::answering([])).await;
        let asked = &tokens.asked()[0];
        assert_eq!(asked.field("grant_type"), Some("client_credentials"));
        assert_eq!(asked.field("scope"), scope, "{}", account.name());
        let in_form = asked.field("client_secret") == Some("secret");
        let in_header = asked.header("authorization").is_some();
        let expected = how == ClientAuth::Body;
        assert_eq!(
            (in_form, in_header),
            (expected, !expected),
            "{}",
            account.name()
        );
    }
}

#[tokio::test]
async fn buerklin_presents_a_person_beside_the_client() {
    let tokens = Tokens::new(r#","expires_in":"3599","refresh_token":"r-1""#).await;
    let account = tokens.account(buerklin::account("id", "secret", "me", "password"));
    send(&account, &Stub::answering([answer(401)])).await;
    assert_eq!(tokens.asked().len(), 2);
    for asked in tokens.asked() {
        assert_eq!(asked.field("grant_type"), Some("password"));
        assert_eq!(asked.field("username"), Some("me"));
        assert_eq!(asked.field("password"), Some("password"));
        assert_eq!(asked.field("client_id"), Some("id"));
        assert_eq!(asked.field("client_secret"), Some("secret"));
    }
}

#[tokio::test]
async fn tme_is_asked_with_the_clients_credentials_though_a_refresh_token_came() {
    let tokens = Tokens::new(r#","expires_in":300,"refresh_token":"r-1""#).await;
    let account = tokens.account(tme_v2::account("id", "secret"));
    send(&account, &Stub::answering([answer(401)])).await;
    let grants: Vec<_> = tokens.asked();
    let grants: Vec<_> = grants
        .iter()
        .map(|asked| asked.field("grant_type"))
        .collect();
    assert_eq!(grants, [Some("client_credentials"); 2]);
}

#[tokio::test]
async fn nexars_200_with_a_bad_token_renews_it_and_any_other_error_does_not() {
    for code in ["AuthExpiredToken", "AuthInvalidToken"] {
        let body = format!(r#"{{"errors":[{{"message":"x","extensions":{{"code":"{code}"}}}}]}}"#);
        let tokens = Tokens::new("").await;
        let account = tokens.account(nexar::account("id", "secret"));
        let stub = Stub::answering([answer(200).body(&body)]);
        assert_eq!(
            send(&account, &stub).await.text().await.unwrap(),
            "answer 200"
        );
        assert_eq!(authorizations(&stub), ["Bearer token-1", "Bearer token-2"]);
    }
    let body = r#"{"errors":[{"message":"Cannot query field"}]}"#;
    let tokens = Tokens::new("").await;
    let account = tokens.account(nexar::account("id", "secret"));
    let stub = Stub::answering([answer(200).body(body)]);
    assert_eq!(send(&account, &stub).await.text().await.unwrap(), body);
    assert_eq!((stub.count(), tokens.asked().len()), (1, 1));
}

/// Fixtures of a 401: DigiKey's two shapes of an expired token, and of one that no renewal cures.
fn digikey_401s() -> [(Answer, usize); 3] {
    let old = r#"{"ErrorResponseVersion":"3.0.0.0","StatusCode":401,"ErrorMessage":"Bearer token  expired","ErrorDetails":"...","RequestId":"r","ValidationErrors":[]}"#;
    let new = r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"Bearer token is expired. Please use your refresh token to obtain a new Bearer token, or acquire a new set of tokens from the OAuth endpoint.","correlationId":"c","errors":{}}"#;
    let client = r#"{"StatusCode":401,"ErrorMessage":"Invalid clientId","ErrorDetails":"X-DIGIKEY-Client-Id invalid for requested resource"}"#;
    [old, new, client].map(|body| answer(401).body(body)).map({
        let mut tokens = [2, 2, 1].into_iter();
        move |answer| (answer, tokens.next().unwrap())
    })
}

#[tokio::test]
async fn digikeys_expired_token_is_renewed_and_a_missing_subscription_is_not() {
    for (refusal, expected) in digikey_401s() {
        let tokens = Tokens::new(r#","expires_in":599"#).await;
        let account = tokens.account(digikey::account("id", "secret"));
        let stub = Stub::answering([refusal]);
        send(&account, &stub).await;
        assert_eq!((stub.count(), tokens.asked().len()), (expected, expected));
        let headers = &stub.seen()[0].headers;
        assert_eq!(headers["x-digikey-client-id"], "id");
        assert_eq!(tokens.asked()[0].header("x-digikey-client-id"), None);
    }
}

/// Apigee's words, which blame the token.
#[tokio::test]
async fn a_missing_subscription_in_apigees_challenge_renews_nothing() {
    let challenge = "Bearer realm=\"null\",error=\"invalid_token\",error_description=\
                     \"keymanagement.service.InvalidAPICallAsNoApiProductMatchFound: Invalid API \
                     call as no apiproduct match found\"";
    let tokens = Tokens::new("").await;
    let account = tokens.account(digikey::account("id", "secret"));
    let stub = Stub::answering([answer(401).header("WWW-Authenticate", challenge)]);
    assert_eq!(send(&account, &stub).await.status(), 401);
    assert_eq!((stub.count(), tokens.asked().len()), (1, 1));
}

#[tokio::test]
async fn a_missing_or_invalid_subscription_key_is_not_the_token() {
    for words in [
        "Access denied due to missing subscription key. Make sure to include subscription key when making requests to an API.",
        "Access denied due to invalid subscription key. Make sure to provide a valid key for an active subscription.",
        "Access denied due to missing/invalid subscription key",
    ] {
        let body = format!(r#"{{"statusCode":401,"message":"{words}"}}"#);
        let tokens = Tokens::new("").await;
        let account = tokens.account(avnet::account("id", "secret", "api://x/.default", "key"));
        let stub = Stub::answering([answer(401).body(&body)]);
        let answer = send(&account, &stub).await;
        assert_eq!(answer.text().await.unwrap(), body);
        assert_eq!((stub.count(), tokens.asked().len()), (1, 1), "{words}");
    }
    let token = r#"{"statusCode":401,"message":"access token is missing or invalid"}"#;
    let tokens = Tokens::new("").await;
    let account = tokens.account(avnet::account("id", "secret", "api://x/.default", "key"));
    let stub = Stub::answering([answer(401).body(token)]);
    assert_eq!(send(&account, &stub).await.status(), 200);
    assert_eq!(tokens.asked().len(), 2);
}

#[tokio::test]
async fn nexars_good_answers_report_no_rejected_token() {
    let events = Events::default();
    let tokens = Tokens::new("").await;
    let builder = nexar::account("id", "secret").observer(events.observer());
    let account = tokens.account(builder);
    let expired = r#"{"errors":[{"message":"x","extensions":{"code":"AuthExpiredToken"}}]}"#;
    let good = r#"{"data":{"supSearchMpn":{"hits":1}}}"#;
    let answers = [good, good, expired, good, good].map(|body| answer(200).body(body));
    let stub = Stub::answering(answers);
    for _ in 0..4 {
        assert_eq!(send(&account, &stub).await.text().await.unwrap(), good);
    }
    let rejected = |event: &Event| matches!(event, Event::TokenRejected { .. });
    assert_eq!(events.count(rejected), 1, "the expired one");
    let replayed =
        |event: &Event| matches!(event, Event::Replayed { status, .. } if status.as_u16() == 200);
    assert_eq!(events.count(replayed), 1);
    assert_eq!(tokens.asked().len(), 2);
}

/// A success of a status that a rule looks into proves the token like any other.
#[tokio::test]
async fn nexars_good_answers_prove_the_token_that_is_refused_to_one_request() {
    let tokens = Tokens::new("").await;
    let account = tokens.account(nexar::account("id", "secret"));
    let good = || answer(200).body(r#"{"data":{}}"#);
    let stub = Stub::answering([good(), answer(401), good()]);
    for _ in 0..2 {
        assert_eq!(send(&account, &stub).await.status(), 200);
    }
    assert_eq!(authorizations(&stub), ["Bearer token-1"; 3]);
    assert_eq!(tokens.asked().len(), 1);
}

#[tokio::test]
async fn digikeys_name_for_an_exchange_is_found_in_each_of_its_places() {
    for (refusal, expected) in [
        (answer(401).header("X-DIGIKEY-REQUEST-ID", "d-1"), "d-1"),
        (answer(401).header("X-Request-Id", "x-1"), "x-1"),
        (answer(401).header("Correlation-Id", "c-1"), "c-1"),
        (
            answer(401)
                .header("X-Correlation-Id", "c-2")
                .header("X-Request-Id", "x-1"),
            "c-2",
        ),
        (answer(401).body(r#"{"correlationId":"b-1"}"#), "b-1"),
        (
            answer(401).body(r#"{"StatusCode":401,"RequestId":"b-2"}"#),
            "b-2",
        ),
        (
            answer(401).body(r#"{"statusCode":401,"requestId":"b-3"}"#),
            "b-3",
        ),
        (answer(401).body(r#"{"status":401,"traceId":"b-4"}"#), "b-4"),
    ] {
        let events = Events::default();
        let tokens = Tokens::new("").await;
        let builder = digikey::account("id", "secret").observer(events.observer());
        let account = tokens.account(builder);
        send(&account, &Stub::answering([refusal])).await;
        let names = |event: &Event| match event {
            Event::TokenRejected { request_id, .. } => request_id.as_deref() == Some(expected),
            _ => false,
        };
        assert_eq!(events.count(names), 1, "{expected}");
        let answered = |event: &Event| match event {
            Event::Answered { request_id, .. } => request_id.as_deref() == Some(expected),
            _ => false,
        };
        assert_eq!(events.count(answered), 1, "{expected}");
    }
}

#[tokio::test]
async fn digikeys_login_can_do_without_pkce() {
    let callback = "https://localhost:8139/digikey_callback";
    for (used, expected) in [(true, 2), (false, 0)] {
        let account = digikey::three_legged("id", "secret", callback)
            .token_store(MemoryStore::new())
            .pkce(used)
            .build()
            .unwrap();
        let request = account.authorization_request().unwrap();
        let pairs = request.url().query_pairs();
        let of_pkce = pairs.filter(|(name, _)| name.starts_with("code_challenge"));
        assert_eq!(of_pkce.count(), expected);
    }
}

#[tokio::test]
async fn digikeys_shop_and_customer_are_headers() {
    let tokens = Tokens::new("").await;
    let builder = digikey::account("id", "secret")
        .header(digikey::LOCALE_SITE, "DE")
        .header(digikey::LOCALE_CURRENCY, "EUR")
        .header(digikey::ACCOUNT_ID, "4711");
    let stub = Stub::answering([]);
    send(&tokens.account(builder), &stub).await;
    let headers = &stub.seen()[0].headers;
    assert_eq!(headers["x-digikey-locale-site"], "DE");
    assert_eq!(headers["x-digikey-locale-currency"], "EUR");
    assert_eq!(headers["x-digikey-account-id"], "4711");
    assert!(
        !headers.contains_key("x-digikey-customer-id"),
        "switched off"
    );
}

#[tokio::test]
async fn digikeys_three_legged_account_begins_with_a_login() {
    let callback = "https://localhost:8139/digikey_callback";
    let account = digikey::three_legged("id", "secret", callback)
        .token_store(MemoryStore::new())
        .build()
        .unwrap();
    let url = account.authorization_request().unwrap().url().to_string();
    let begin = "https://api.digikey.com/v1/oauth2/authorize?";
    assert!(
        url.starts_with(begin) && url.contains("client_id=id"),
        "{url}"
    );
}

#[tokio::test]
async fn a_service_account_signs_four_claims_for_an_hour() {
    let tokens = Tokens::new(r#","expires_in":3600"#).await;
    let account = tokens.account(disruptive::account("key-1", "me@example", "s3cr3t"));
    send(&account, &Stub::answering([])).await;
    let asked = &tokens.asked()[0];
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    assert_eq!(asked.field("grant_type"), Some(grant));
    assert_eq!(asked.form.len(), 2, "no client");
    assert_eq!(asked.header("authorization"), None);
    let assertion = asked.field("assertion").unwrap();
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"s3cr3t").unwrap();
    mac.update(signed.as_bytes());
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    mac.verify_slice(&signature).unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let json = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    assert_eq!(json(header)["kid"], "key-1");
    assert_eq!(json(header)["alg"], "HS256");
    let claims = json(claims);
    let names: Vec<_> = claims.as_object().unwrap().keys().collect();
    assert_eq!(names, ["aud", "exp", "iat", "iss"]);
    assert_eq!(claims["iss"], "me@example");
    let span = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!(span, 3600);
}
