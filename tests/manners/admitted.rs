//! Credentials that are in order.

use reqwest_tollgate::Window;
use reqwest_tollgate::sandbox::{Manners, Sandbox};

use crate::vendors::VENDORS;
use crate::{Scene, for_each, has_tokens, manners};

#[test]
fn every_vendor_has_a_story_and_its_preset_knows_its_hosts() {
    let named: Vec<_> = VENDORS.iter().map(|vendor| vendor.name).collect();
    for manners in Manners::all() {
        assert!(named.contains(&manners.name()), "{}", manners.name());
    }
    for vendor in VENDORS {
        let manners = manners(vendor);
        let account = (vendor.account)(["secret", "key"]).build().unwrap();
        let url = account.base_url();
        assert_eq!(
            (url.scheme(), url.host_str()),
            ("https", Some(manners.host()))
        );
        if let Some(url) = vendor.token_url() {
            assert_eq!(Some(url.to_owned()), manners.token_endpoint());
        }
    }
}

#[tokio::test]
async fn twenty_requests_at_once_are_admitted_with_one_token() {
    for_each(
        |_| true,
        |vendor| async move {
            let scene = Scene::new(vendor, Sandbox::builder()).await;
            assert_eq!(scene.send_all(20).await, [200; 20], "{}", vendor.name);
            let counters = scene.sandbox.counters();
            assert_eq!(counters.requests, 20, "{}: {counters:?}", vendor.name);
            assert_eq!(counters.answered, 20, "{}: {counters:?}", vendor.name);
            assert_eq!(counters.wrong_paths, 0, "{}", vendor.name);
            let tokens = u64::from(has_tokens(vendor));
            assert_eq!(counters.token_requests, tokens, "{}", vendor.name);
            assert_eq!(counters.tokens_issued, tokens, "{}", vendor.name);
        },
    )
    .await;
}

/// The sandbox would not notice if it looked at nothing.
#[tokio::test]
async fn without_a_credential_nobody_is_admitted() {
    for_each(
        |_| true,
        |vendor| async move {
            let scene = Scene::new(vendor, Sandbox::builder()).await;
            let bare = reqwest_middleware::ClientWithMiddleware::from(crate::POOL.clone());
            let mut request = scene.request_to(scene.sandbox.url()).build().unwrap();
            let method = request.method().clone();
            let mut plain = bare.request(method, request.url().clone());
            plain = plain.headers(request.headers().clone());
            if let Some(body) = request.body_mut().take() {
                plain = plain.body(body);
            }
            plain.send().await.unwrap();
            let counters = scene.sandbox.counters();
            assert_eq!(counters.missing_credentials, 1, "{}", vendor.name);
            assert_eq!(counters.rejected_401, 1, "{}", vendor.name);
        },
    )
    .await;
}

#[tokio::test]
async fn the_windows_of_a_preset_let_its_first_requests_go_at_once() {
    for_each(
        |_| true,
        |vendor| async move {
            let scene = Scene::new(vendor, Sandbox::builder().window(Window::per_minute(2))).await;
            assert_eq!(scene.send_all(2).await, [200; 2], "{}", vendor.name);
            assert_eq!(scene.sandbox.counters().rejected_429, 0);
        },
    )
    .await;
}
