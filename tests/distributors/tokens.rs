//! Presets with a token endpoint: what is sent there, and which answers renew a token.

use std::sync::{Arc, Mutex};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use httpmock::{HttpMockRequest, HttpMockResponse, MockServer};
use reqwest_tollgate::distributors::{
    avnet, buerklin, digikey, disruptive, my_arrow, nexar, ti, tme_v2,
};
use reqwest_tollgate::{Account, AccountBuilder, Window};

use crate::CANARY;
use crate::common::{Stub, answer, client};

/// A token endpoint that remembers what it was asked: the tokens are `token-1`, `token-2`, …
pub(crate) struct Tokens {
    server: MockServer,
    asked: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Clone)]
pub(crate) struct Asked {
    headers: HeaderMap,
    pub(crate) form: Vec<(String, String)>,
}

impl Asked {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut form = self.form.iter();
        let found = form.find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Tokens {
    /// `more` is what an answer has beside the token.
    pub(crate) async fn new(more: &'static str) -> Self {
        let server = MockServer::start_async().await;
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let remembered = asked.clone();
        let respond = move |request: &HttpMockRequest| {
            let form = url::form_urlencoded::parse(request.body_ref()).into_owned();
            let mut asked = remembered.lock().unwrap();
            asked.push(Asked {
                headers: request.headers(),
                form: form.collect(),
            });
            let count = asked.len();
            let body = format!(r#"{{"access_token":"token-{count}","token_type":"Bearer"{more}}}"#);
            HttpMockResponse::builder().status(200).body(body).build()
        };
        let mock = server.mock_async(|when, then| {
            when.any_request();
            then.respond_with(respond);
        });
        mock.await;
        Self { server, asked }
    }

    /// With a client of its own: a shared one would keep connections of other tests' runtimes.
    pub(crate) fn account(&self, builder: AccountBuilder) -> Account {
        builder
            .token_client(reqwest::Client::new())
            .token_url(self.server.url("/token"))
            .build()
            .unwrap()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn all() -> Vec<AccountBuilder> {
    vec![
        avnet::account("id", CANARY, "api://x/.default", CANARY),
        buerklin::account("id", CANARY, "me", CANARY),
        digikey::account("id", CANARY),
        disruptive::account("key-1", "me@example", CANARY),
        my_arrow::account("id", CANARY),
        nexar::account("id", CANARY),
        ti::account("id", CANARY),
        tme_v2::account("id", CANARY),
    ]
}

pub(crate) fn authorizations(stub: &Stub) -> Vec<String> {
    let seen = stub.seen();
    let value =
        |seen: &crate::common::Seen| seen.headers[AUTHORIZATION].to_str().unwrap().to_owned();
    seen.iter().map(value).collect()
}

pub(crate) async fn send(account: &Account, stub: &Arc<Stub>) -> reqwest::Response {
    let url = account.base_url().join("some/path").unwrap();
    client(account, stub).get(url).send().await.unwrap()
}

#[tokio::test]
async fn one_token_serves_many_requests_and_shows_nowhere() {
    for builder in all() {
        // As short as TME's, with the refresh token that comes along there.
        let tokens = Tokens::new(r#","expires_in":300,"refresh_token":"r-1""#).await;
        let account = tokens.account(builder.window(Window::per_second(1000)));
        let stub = Stub::answering([answer(404)]);
        let response = send(&account, &stub).await;
        let error = response.error_for_status().unwrap_err();
        let client = client(&account, &stub);
        for _ in 0..20 {
            client.get(account.base_url().clone()).send().await.unwrap();
        }
        let shown = format!("{error:?} {account:?} {:?}", account.health());
        assert!(
            !shown.contains(CANARY) && !shown.contains("token-1"),
            "{shown}"
        );
        assert_eq!(tokens.asked().len(), 1, "{}", account.name());
        let sent = authorizations(&stub);
        assert!(
            sent.iter().all(|value| value == "Bearer token-1"),
            "{sent:?}"
        );
    }
}

#[tokio::test]
async fn a_foreign_origin_sees_neither_token_nor_key() {
    for builder in all() {
        let tokens = Tokens::new("").await;
        let account = tokens.account(builder);
        let stub = Stub::answering([]);
        let url = "https://datasheets.example/lm358.pdf";
        client(&account, &stub).get(url).send().await.unwrap();
        let seen = &stub.seen()[0];
        assert!(seen.headers.is_empty() && seen.query.is_none(), "{seen:?}");
        assert!(tokens.asked().is_empty());
    }
}

#[tokio::test]
async fn a_401_renews_the_token_once() {
    for builder in all() {
        let tokens = Tokens::new("").await;
        let account = tokens.account(builder);
        let stub = Stub::answering([answer(401)]);
        assert_eq!(send(&account, &stub).await.status(), 200);
        assert_eq!(authorizations(&stub), ["Bearer token-1", "Bearer token-2"]);
        assert_eq!(tokens.asked().len(), 2, "{}", account.name());
    }
}
