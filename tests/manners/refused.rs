//! A token or a key that is refused, in the vendor's own way.

use reqwest_tollgate::sandbox::{Fault, Sandbox};
use reqwest_tollgate::{Error, ErrorKind};

use crate::{Scene, for_each, has_tokens};

/// As many as any vendor has words for it.
const WAYS: u64 = 3;

#[tokio::test]
async fn a_revoked_token_is_renewed_once_however_many_requests_meet_the_refusal() {
    for_each(has_tokens, |vendor| async move {
        // A fresh sandbox for each of the vendor's words: so many refusals in a row are a storm.
        for words in 0..WAYS {
            let scene = Scene::new(vendor, Sandbox::builder()).await;
            for _ in 0..words {
                spend_a_word(&scene).await;
            }
            scene.send().await.unwrap();
            scene.sandbox.revoke_tokens();
            assert_eq!(scene.send_all(8).await, [200; 8], "{}", vendor.name);
            let counters = scene.sandbox.counters();
            // The first, and one more.
            assert_eq!(counters.token_requests, 2, "{} {words}", vendor.name);
            assert_eq!(counters.missing_credentials, 0, "{}", vendor.name);
        }
    })
    .await;
}

/// A good token of somebody else's, refused in the next of the vendor's words.
async fn spend_a_word(scene: &Scene) {
    let request = scene.request_to(scene.sandbox.url());
    let answer = request.bearer_auth("somebody-elses").send().await;
    answer.unwrap();
}

#[tokio::test]
async fn what_is_not_the_tokens_fault_renews_nothing() {
    for_each(
        |vendor| vendor.name == "digikey",
        |vendor| async move {
            let scene = Scene::new(vendor, Sandbox::builder()).await;
            scene.sandbox.inject(Fault::NotSubscribed(1));
            let answer = scene.send().await.unwrap();
            assert_eq!(answer.status(), 401);
            assert!(answer.text().await.unwrap().contains("Invalid clientId"));
            assert_eq!(scene.sandbox.counters().token_requests, 1);
            assert_eq!(scene.sandbox.counters().requests, 1);
        },
    )
    .await;
}

#[tokio::test]
async fn a_refused_key_is_sent_once_and_the_answer_handed_on() {
    for_each(
        |vendor| !has_tokens(vendor),
        |vendor| async move {
            let account = (vendor.account)(["wrong-secret", "wrong-key"]);
            let scene = Scene::with(vendor, Sandbox::builder(), account).await;
            for nth in 1..=WAYS {
                let answer = scene.send().await.unwrap();
                assert!(!answer.text().await.unwrap().contains("vendor"));
                let counters = scene.sandbox.counters();
                assert_eq!(counters.requests, nth, "{}: {counters:?}", vendor.name);
                assert_eq!(counters.wrong_credentials, nth, "{}", vendor.name);
                assert_eq!(
                    counters.answered + counters.token_requests,
                    said_as_200(nth, &scene)
                );
            }
        },
    )
    .await;
}

/// How many of the first refusals had a status that says all is well.
fn said_as_200(refusals: u64, scene: &Scene) -> u64 {
    match scene.vendor.name {
        "arrow_itemservice" | "lcsc" => refusals,
        "mouser" => refusals.div_ceil(3),
        _ => 0,
    }
}

#[tokio::test]
async fn a_refused_key_that_changed_in_its_file_is_read_again() {
    for_each(
        |vendor| matches!(vendor.name, "mouser" | "future" | "te" | "jlcpcb"),
        |vendor| async move {
            use reqwest_tollgate::Secret;
            use reqwest_tollgate::distributors::{future, jlcpcb, mouser, te};

            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("secret");
            std::fs::write(&file, "old").unwrap();
            let secret = Secret::file(&file);
            let account = match vendor.name {
                "mouser" => mouser::account(secret),
                "future" => future::account(secret),
                "te" => te::account(Sandbox::CLIENT_ID, secret),
                _ => jlcpcb::account(Sandbox::CLIENT_ID, Sandbox::KEY, secret),
            };
            let scene = Scene::with(vendor, Sandbox::builder(), account).await;
            std::fs::write(&file, Sandbox::CLIENT_SECRET).unwrap();
            let answer = scene.send().await.unwrap();
            assert!(answer.text().await.unwrap().contains("vendor"));
            let counters = scene.sandbox.counters();
            assert_eq!(counters.wrong_credentials, 1, "{}", vendor.name);
            assert_eq!(counters.requests, 2, "{}", vendor.name);
        },
    )
    .await;
}

#[tokio::test]
async fn a_refused_client_gets_no_token_and_nothing_is_sent_to_the_api() {
    for_each(has_tokens, |vendor| async move {
        let account = (vendor.account)(["wrong-secret", "wrong-key"]);
        let scene = Scene::with(vendor, Sandbox::builder(), account).await;
        let error = scene.send().await.unwrap_err();
        let ours = Error::find(&error).unwrap();
        assert_eq!(ours.kind(), ErrorKind::ClientRejected, "{}", vendor.name);
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("wrong-secret"), "{shown}");
        let counters = scene.sandbox.counters();
        assert_eq!(counters.requests, 0, "{}", vendor.name);
        assert!(counters.token_refusals >= 1, "{}", vendor.name);
        assert!(
            counters.token_requests <= 2,
            "{}: {counters:?}",
            vendor.name
        );
    })
    .await;
}

/// It counted as none at all, so that one that leaked would not have shown.
#[tokio::test]
async fn a_credential_of_another_scheme_is_a_wrong_one() {
    for_each(has_tokens, |vendor| async move {
        let scene = Scene::new(vendor, Sandbox::builder()).await;
        let bare = reqwest_middleware::ClientWithMiddleware::from(crate::POOL.clone());
        let url = scene.request_to(scene.sandbox.url()).build().unwrap();
        let request = bare.request(url.method().clone(), url.url().clone());
        request
            .basic_auth("id", Some("secret"))
            .send()
            .await
            .unwrap();
        let counters = scene.sandbox.counters();
        assert_eq!(counters.missing_credentials, 0, "{}", vendor.name);
        assert_eq!(counters.wrong_credentials, 1, "{}", vendor.name);
    })
    .await;
}
