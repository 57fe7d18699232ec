//! Each thing that happens to a token is told, once.

use std::sync::Arc;

use crate::auth::cache::Cache;
use crate::auth::cache::state::Need;
use crate::auth::testing::*;
use crate::auth::token::Token;
use crate::auth::{Grant, OAuthSettings};
use crate::error::Error;
use crate::options::Patience;
use crate::stores::MemoryStore;

fn cache(script: &Script, oauth: OAuthSettings, log: &Log) -> Arc<Cache> {
    let settings = settings(None, log);
    let endpoint = Box::new(script.clone());
    Arc::new(Cache::new(&settings, Arc::new(oauth), endpoint))
}

fn plain(script: &Script, log: &Log) -> Arc<Cache> {
    cache(script, oauth(Grant::client_credentials()), log)
}

async fn token(cache: &Cache) -> Result<Arc<Token>, Error> {
    match cache.ready(clock().now()) {
        Some(token) => Ok(token),
        None => cache.token(Need::Usable, PATIENT).await,
    }
}

/// How many events there are of each kind, in the order of their first.
fn told(log: &Log) -> Vec<(String, usize)> {
    let mut told: Vec<(String, usize)> = Vec::new();
    for line in log.lines() {
        let kind = line.split([' ', '{']).next().unwrap_or_default().to_owned();
        match told.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => told.push((kind, 1)),
        }
    }
    told
}

fn events(expected: &[(&str, usize)]) -> Vec<(String, usize)> {
    let owned = |(kind, count): &(&str, usize)| ((*kind).to_owned(), *count);
    expected.iter().map(owned).collect()
}

#[tokio::test(start_paused = true)]
async fn a_renewal_its_saving_and_the_wait_for_it_are_told_once_each() {
    let (script, log) = (Script::of([rotate("a", "r2")]), Log::default());
    let oauth = with_store(Grant::refresh_token("r1"), MemoryStore::new());
    let cache = cache(&script, oauth, &log);
    token(&cache).await.expect("a token");
    clock().sleep(SECOND).await;
    let once = [
        ("TokenRequested", 1),
        ("TokenSaved", 1),
        ("TokenRenewed", 1),
        ("TokenAwaited", 1),
    ];
    assert_eq!(told(&log), events(&once));
    token(&cache).await.expect("a fresh one");
    assert_eq!(told(&log), events(&once), "nothing happened");
    let renewed = log
        .lines()
        .into_iter()
        .find(|line| line.starts_with("TokenRenewed"));
    let renewed = renewed.expect("the event");
    assert!(renewed.contains("reason: Cold") && renewed.contains("rotated: true"));
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_many_wait_for_is_told_once_and_each_wait_once() {
    let (script, log) = (Script::of([refuse(503, "x")]), Log::default());
    let cache = plain(&script, &log);
    let waits = (0..100).map(|_| cache.token(Need::Usable, IMPATIENT));
    let results = futures_util::future::join_all(waits).await;
    assert!(results.iter().all(Result::is_err));
    let once = [
        ("TokenRequested", 1),
        ("TokenFailed", 1),
        ("TokenAwaited", 100),
    ];
    assert_eq!(told(&log), events(&once));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_its_caller_gives_up_is_told_and_one_that_never_was_is_not() {
    let (script, log) = (Script::of([refuse(503, "x")]), Log::default());
    let cache = plain(&script, &log);
    let limit = std::time::Duration::from_millis(300);
    let given_up = futures_util::future::select(Box::pin(token(&cache)), clock().sleep(limit));
    drop(given_up.await);
    assert_eq!(log.count("TokenAwaited { span: 300ms }"), 1);
    clock().sleep(SECOND).await;
    let hurried = Patience {
        max_wait: std::time::Duration::ZERO,
        ..PATIENT
    };
    let refused = cache.token(Need::Usable, hurried).await;
    refused.expect_err("backing off");
    assert_eq!(log.count("TokenAwaited"), 1, "it did not wait");
}

#[tokio::test(start_paused = true)]
async fn a_token_of_another_process_is_told_as_adopted_and_with_the_reason() {
    let (script, log) = (Script::default(), Log::default());
    let store = Arc::new(MemoryStore::new());
    let with = |log: &Log| {
        let oauth = with_store(Grant::client_credentials(), store.clone());
        cache(&script, oauth, log)
    };
    token(&with(&Log::default())).await.expect("a token");
    clock().sleep(SECOND).await;
    token(&with(&log)).await.expect("adopted");
    assert_eq!(told(&log), events(&[("TokenAdopted", 1)]));
    assert!(log.lines()[0].contains("reason: Cold"));
}
