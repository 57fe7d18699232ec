//! Presets whose keys are static.

use std::sync::Arc;

use httpmock::MockServer;
use reqwest_tollgate::distributors::{
    arrow_itemservice, conrad, findchips, future, mouser, oemsecrets, renesas, rs, rutronik, sager,
    samtec, sourcengine, te, tti,
};
use reqwest_tollgate::{AccountBuilder, Error, ErrorKind, Secret};

use crate::CANARY;
use crate::common::{Answer, Stub, answer, client};

/// An account, and where its key shows on the wire: `?name=value`, or `name: value`.
fn accounts() -> Vec<(AccountBuilder, Vec<String>)> {
    let query = |names: &[&str]| {
        names
            .iter()
            .map(|name| format!("?{name}={CANARY}"))
            .collect()
    };
    let header = |names: &[&str]| {
        names
            .iter()
            .map(|name| format!("{name}: {CANARY}"))
            .collect()
    };
    let bearer = vec![format!("authorization: Bearer {CANARY}")];
    vec![
        (
            arrow_itemservice::account(CANARY, CANARY),
            query(&["login", "apikey"]),
        ),
        (mouser::account(CANARY), query(&["apiKey"])),
        (rutronik::account(CANARY), query(&["apikey"])),
        (conrad::account(CANARY), query(&["apikey"])),
        (oemsecrets::account(CANARY), query(&["apiKey"])),
        (findchips::account(CANARY), query(&["apiKey"])),
        (
            rs::account(CANARY, CANARY),
            header(&["client-id", "client-secret"]),
        ),
        (
            te::account(CANARY, CANARY),
            header(&["client_id", "client_secret"]),
        ),
        (future::account(CANARY), header(&["x-orbweaver-licensekey"])),
        (tti::account(CANARY), header(&["apikey"])),
        (renesas::account(CANARY), header(&["x-api-key"])),
        (sager::account(CANARY), header(&["api_key"])),
        (sourcengine::account(CANARY), bearer.clone()),
        (samtec::account(CANARY), bearer),
    ]
}

fn wire(seen: &crate::common::Seen) -> Vec<String> {
    let query = seen.query.iter().flat_map(|query| query.split('&'));
    let query = query.map(|pair| format!("?{pair}"));
    let headers = seen.headers.iter();
    let headers = headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
    query.chain(headers).collect()
}

#[tokio::test]
async fn each_key_is_where_its_vendor_wants_it_and_shows_nowhere() {
    for (builder, expected) in accounts() {
        let account = builder.build().unwrap();
        let stub = Stub::answering([answer(404)]);
        let url = account.base_url().join("some/path?q=LM358").unwrap();
        let response = client(&account, &stub)
            .get(url.clone())
            .send()
            .await
            .unwrap();
        let wire = wire(&stub.seen()[0]);
        for place in &expected {
            assert!(
                wire.contains(place),
                "{}: {place} in {wire:?}",
                account.name()
            );
        }
        let carrying = wire.iter().filter(|field| field.contains(CANARY));
        assert_eq!(carrying.count(), expected.len(), "{wire:?}");
        assert_eq!(*response.url(), url);
        let error = response.error_for_status().unwrap_err();
        let shown = format!("{error} {error:?} {account:?}");
        assert!(!shown.contains(CANARY), "{shown}");
    }
}

#[tokio::test]
async fn a_foreign_origin_sees_no_key() {
    for (builder, _) in accounts() {
        let account = builder.build().unwrap();
        let stub = Stub::answering([]);
        let url = "https://datasheets.example/lm358.pdf?x=1";
        client(&account, &stub).get(url).send().await.unwrap();
        let wire = wire(&stub.seen()[0]);
        assert_eq!(wire, ["?x=1"], "{}", account.name());
    }
}

/// reqwest alone takes `Authorization` off such a request, but not `apiKey`.
#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed_with_a_key() {
    for (builder, _) in accounts() {
        let (api, foreign) = (
            MockServer::start_async().await,
            MockServer::start_async().await,
        );
        let leak = foreign.mock_async(|when, then| {
            when.any_request();
            then.status(200);
        });
        let leak = leak.await;
        let away = foreign.url("/datasheet");
        let redirect = api.mock_async(|when, then| {
            when.any_request();
            then.status(302).header("location", &away);
        });
        redirect.await;
        let account = builder.base_url(api.base_url()).build().unwrap();
        let client = account.client().unwrap();
        let response = client.get(api.url("/part")).send().await.unwrap();
        assert_eq!(response.status(), 302);
        assert_eq!(leak.calls_async().await, 0, "{}", account.name());
    }
}

#[tokio::test]
async fn an_address_without_tls_is_refused_before_anything_is_sent() {
    let account = arrow_itemservice::account(CANARY, CANARY).build().unwrap();
    let stub = Stub::answering([]);
    // As the vendor's own examples print it.
    let url = "http://api.arrow.com/itemservice/v4/en/search/token?search_token=bav99";
    let error = client(&account, &stub).get(url).send().await.unwrap_err();
    let error = Error::find(&error).unwrap();
    assert_eq!(error.kind(), ErrorKind::Insecure);
    assert_eq!(stub.count(), 0);
    let base = arrow_itemservice::account("l", "k").base_url("http://api.arrow.com");
    assert!(base.build().is_err());
    let account = findchips::account(CANARY).build().unwrap();
    let url = "http://api.findchips.com/v1/search?part=bav99";
    let error = client(&account, &stub).get(url).send().await.unwrap_err();
    assert_eq!(Error::find(&error).unwrap().kind(), ErrorKind::Insecure);
    assert_eq!(stub.count(), 0);
}

type ByKey = fn(Secret) -> AccountBuilder;

/// Observed at Mouser; the codes of Future's Postman collection; TE's page.
fn bad_key_answers() -> Vec<(ByKey, Answer)> {
    let invalid = r#"{"Errors":[{"Id":0,"Code":"Invalid","Message":"Invalid unique identifier.","ResourceKey":"InvalidIdentifier","PropertyName":"API Key"}],"SearchResults":null}"#;
    let unauthorized = r#"{"Errors":[{"Code": "InvalidAuthorization"}]}"#;
    vec![
        (|key| mouser::account(key), answer(200).body(invalid)),
        (|key| mouser::account(key), answer(403).body(invalid)),
        (|key| mouser::account(key), answer(401).body(unauthorized)),
        (|key| future::account(key), answer(401)),
        (|key| future::account(key), answer(406)),
        (
            |key| te::account("id", key),
            answer(401).body(r#"{"error":"Invalid Client"}"#),
        ),
    ]
}

#[tokio::test]
async fn a_refused_key_is_asked_once_and_the_answer_handed_on() {
    for (builder, refusal) in bad_key_answers() {
        let account = builder(Secret::from(CANARY)).build().unwrap();
        let stub = Stub::answering([refusal.clone()]);
        let url = account.base_url().clone();
        let response = client(&account, &stub).get(url).send().await.unwrap();
        assert_eq!(response.status(), refusal.status);
        if let Some(body) = refusal.body {
            assert_eq!(response.text().await.unwrap(), body);
        }
        assert_eq!(stub.count(), 1, "{}: nothing renews a key", account.name());
    }
}

#[tokio::test]
async fn a_refused_key_that_changed_in_its_file_is_read_again() {
    for (builder, refusal) in bad_key_answers() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "old").unwrap();
        let account = builder(Secret::file(&file)).build().unwrap();
        std::fs::write(&file, "new").unwrap();
        let stub: Arc<Stub> = Stub::answering([refusal]);
        let url = account.base_url().clone();
        let response = client(&account, &stub).get(url).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "answer 200");
        let wire = wire(&stub.seen()[1]);
        let is_new = wire.iter().any(|field| field.ends_with("new"));
        assert!(is_new, "{}: {wire:?}", account.name());
    }
}

/// Mouser's rules look into each 200; those that are good prove the key.
#[tokio::test]
async fn a_key_that_works_and_is_refused_to_one_request_is_tried_once_more() {
    let account = mouser::account(CANARY).build().unwrap();
    let good = || answer(200).body(r#"{"Errors":[],"SearchResults":{}}"#);
    let stub = Stub::answering([good(), answer(401), good()]);
    let client = client(&account, &stub);
    for _ in 0..2 {
        let url = account.base_url().clone();
        assert_eq!(client.get(url).send().await.unwrap().status(), 200);
    }
    assert_eq!(stub.count(), 3);
}

#[tokio::test]
async fn a_blocked_address_is_neither_a_quota_nor_a_key() {
    let account = mouser::account(CANARY).build().unwrap();
    let page = "<HTML><HEAD><TITLE>Access Denied</TITLE></HEAD></HTML>";
    let stub = Stub::answering([answer(403).body(page)]);
    let url = account.base_url().clone();
    let response = client(&account, &stub).get(url).send().await.unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(response.text().await.unwrap(), page);
    assert_eq!(stub.count(), 1);
}
