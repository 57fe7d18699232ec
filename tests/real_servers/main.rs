//! Crawls of servers that we did not write: a certified authorization server (`oidc-provider`), the
//! rate limiter that most Node services use (`express-rate-limit`) and nginx.

#![allow(clippy::disallowed_methods)] // Tests may read the time.

mod browser;
#[path = "../../examples/login/certificate.rs"]
mod certificate;
mod crawl;
#[path = "../../examples/login/desk.rs"]
mod desk;
mod express;
#[allow(dead_code)] // The example prints the certificate's fingerprint.
#[path = "../../examples/login/listener.rs"]
mod listener;
mod login;
mod nginx;
mod node;
#[path = "../../examples/login/page.rs"]
mod page;

use std::collections::BTreeMap;

use anyhow::Result;
use reqwest_tollgate::{Account, ClientAuth, ErrorKind};

use crate::crawl::{Tally, client, crawl};
use crate::node::Server;

/// Twelve seconds, at fifty requests a second: more than two lifetimes of a token.
const PARTS_OF_TWO_RENEWALS: usize = 600;

#[tokio::test]
async fn a_crawl_outlives_the_tokens_of_oidc_provider_by_basic_authentication() -> Result<()> {
    outlive_tokens("cc-basic", ClientAuth::Basic).await
}

#[tokio::test]
async fn a_crawl_outlives_the_tokens_of_oidc_provider_by_credentials_in_the_body() -> Result<()> {
    outlive_tokens("cc-post", ClientAuth::Body).await
}

/// What is encoded (RFC 6749 section 2.3.1) is understood, and what needs no encoding may go raw.
#[tokio::test]
async fn a_client_of_odd_characters_and_one_that_encodes_nothing_are_known_to_oidc_provider()
-> Result<()> {
    let Some(server) = Server::start("oidc", &[])? else {
        return Ok(());
    };
    let warm_up = async |client_id, secret: &str, how| {
        let account = Account::builder("oidc", server.url())
            .token_url("token")
            .client_id(client_id)
            .client_secret(secret)
            .client_auth(how)
            .build()?;
        account.warm_up().await
    };
    let (odd, odd_secret) = ("cc:special id", "p@ss:w/ord d+%");
    warm_up(odd, odd_secret, ClientAuth::Basic).await?;
    warm_up("cc-basic", "cc-secret", ClientAuth::BasicRaw).await?;
    let raw = warm_up(odd, odd_secret, ClientAuth::BasicRaw).await;
    let kind = raw.expect_err("the colon of the id ends it").kind();
    assert_eq!(kind, ErrorKind::ClientRejected);
    Ok(())
}

/// Every part is answered, no request refused, and each renewal took one token request.
async fn outlive_tokens(client_id: &str, how: ClientAuth) -> Result<()> {
    // It reckons in whole seconds, so such a token lives six to seven; renewed at five, it leaves a
    // busy machine three quarters of a second.
    let Some(server) = Server::start("oidc", &[("TOKEN_TTL", "7")])? else {
        return Ok(());
    };
    let tally = Tally::default();
    let account = Account::builder("oidc", server.url())
        .token_url("token")
        .client_id(client_id)
        .client_secret("cc-secret")
        .client_auth(how)
        .scope("api")
        .window("25/500ms".parse()?)
        .observer(tally.clone())
        .build()?;

    let url = format!("{}/api/parts", server.url());
    let answers = crawl(&client(&account), &url, PARTS_OF_TWO_RENEWALS).await?;

    assert_eq!(answers, BTreeMap::from([(200, PARTS_OF_TWO_RENEWALS)]));
    let stats = server.stats().await?;
    assert_eq!(stats["api_refused"], 0, "{stats}");
    assert_eq!(stats["api_answered"], PARTS_OF_TWO_RENEWALS, "{stats}");
    let renewals = tally.renewals();
    assert!(
        renewals >= 3,
        "the first token and two renewals: {renewals}"
    );
    assert_eq!(tally.token_requests(), renewals);
    assert_eq!(stats["tokens"], renewals, "{stats}");
    assert_eq!(stats["token_errors"], 0, "{stats}");
    Ok(())
}
