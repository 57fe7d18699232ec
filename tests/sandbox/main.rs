//! The sandbox as its clients see it: a plain `reqwest::Client`, no layer of ours.

// Clippy takes only `#[test]` functions for tests, and the sandbox's time is real.
#![allow(clippy::expect_used, clippy::disallowed_methods)]

mod faults;
mod life;
mod quotas;
mod resource;
mod tokens;

use std::time::Duration;

use reqwest::{Client, Response};
use reqwest_tollgate::sandbox::{Sandbox, SandboxBuilder};
use serde_json::Value;

/// A sandbox, a client, and the client's token.
struct Scene {
    sandbox: Sandbox,
    client: Client,
    token: String,
}

impl Scene {
    async fn new(builder: SandboxBuilder) -> Self {
        let sandbox = builder.start().await.expect("it starts");
        let client = Client::new();
        let token = text(&issued(&client, &sandbox).await, "access_token");
        Self {
            sandbox,
            client,
            token,
        }
    }

    async fn try_get(&self) -> Result<Response, reqwest::Error> {
        let url = self
            .sandbox
            .url()
            .join("products/v4/search/LM358P/productdetails");
        let request = self.client.get(url.expect("a URL"));
        request.bearer_auth(&self.token).send().await
    }

    async fn get(&self) -> Response {
        self.try_get().await.expect("an answer")
    }

    async fn status(&self) -> u16 {
        self.get().await.status().as_u16()
    }

    async fn statuses(&self, requests: usize) -> Vec<u16> {
        let mut statuses = Vec::new();
        for _ in 0..requests {
            statuses.push(self.status().await);
        }
        statuses
    }

    /// A request that has met the fault and waits half a minute for its answer.
    async fn hang(&self) -> tokio::task::JoinHandle<Result<Response, reqwest::Error>> {
        self.inject("hang=30s");
        let request = self.client.get(self.sandbox.url().clone());
        let hanging = tokio::spawn(request.bearer_auth(&self.token).send());
        while self.sandbox.counters().injected == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        hanging
    }

    fn inject(&self, fault: &str) {
        self.sandbox.inject(fault.parse().expect(fault));
    }

    async fn ask_token(&self) -> Result<Response, reqwest::Error> {
        ask(&self.client, &self.sandbox, &client_credentials()).await
    }

    async fn token_status(&self) -> u16 {
        let response = self.ask_token().await.expect("an answer");
        response.status().as_u16()
    }

    /// The answer to a refresh: its status, and its body.
    async fn refresh(&self, refresh_token: &str) -> (u16, Value) {
        let form = refresh(refresh_token);
        let response = ask(&self.client, &self.sandbox, &form).await;
        let response = response.expect("an answer");
        let status = response.status().as_u16();
        (status, response.json().await.expect("JSON"))
    }
}

type Form<'a> = Vec<(&'a str, &'a str)>;

fn client_credentials() -> Form<'static> {
    vec![("grant_type", "client_credentials")]
}

fn refresh(token: &str) -> Form<'_> {
    vec![("grant_type", "refresh_token"), ("refresh_token", token)]
}

async fn ask(
    client: &Client,
    sandbox: &Sandbox,
    form: &Form<'_>,
) -> Result<Response, reqwest::Error> {
    let mut form = form.clone();
    form.push(("client_id", sandbox.client_id()));
    form.push(("client_secret", sandbox.client_secret()));
    client.post(sandbox.token_url()).form(&form).send().await
}

async fn issued(client: &Client, sandbox: &Sandbox) -> Value {
    let response = ask(client, sandbox, &client_credentials()).await;
    response.expect("an answer").json().await.expect("JSON")
}

fn text(body: &Value, key: &str) -> String {
    body[key].as_str().expect(key).to_owned()
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    let value = response.headers().get(name)?;
    Some(value.to_str().expect("text"))
}

fn number(response: &Response, name: &str) -> u64 {
    header(response, name)
        .and_then(|text| text.parse().ok())
        .expect(name)
}

fn limited(window: &str) -> SandboxBuilder {
    Sandbox::builder().window(window.parse().expect(window))
}
