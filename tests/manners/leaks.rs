//! Where a credential does not go.

use http::Response;
use reqwest_tollgate::sandbox::{Manners, Sandbox};

use crate::{Scene, for_each};

#[tokio::test]
async fn a_foreign_origin_sees_no_credential() {
    for_each(
        |_| true,
        |vendor| async move {
            let scene = Scene::new(vendor, Sandbox::builder()).await;
            // It would count a credential of this vendor's in any of its places as a wrong one.
            let manners = Manners::of(vendor.name).unwrap();
            let foreign = Sandbox::builder().manners(manners).start().await.unwrap();
            scene.request_to(foreign.url()).send().await.unwrap();
            let counters = foreign.counters();
            assert_eq!(
                counters.missing_credentials, 1,
                "{}: {counters:?}",
                vendor.name
            );
            assert_eq!(scene.sandbox.counters().requests, 0);
        },
    )
    .await;
}

#[tokio::test]
async fn a_redirect_elsewhere_is_not_followed() {
    for_each(
        |_| true,
        |vendor| async move {
            let manners = Manners::of(vendor.name).unwrap();
            let foreign = Sandbox::builder().manners(manners).start().await.unwrap();
            let elsewhere = foreign.url().join("/datasheet.pdf").unwrap().to_string();
            let builder = Sandbox::builder().resource(move |_| {
                let answer = Response::builder().status(307);
                let answer = answer.header("Location", elsewhere.as_str());
                answer.body("").unwrap()
            });
            let scene = Scene::new(vendor, builder).await;
            let answer = scene.send().await.unwrap();
            assert_eq!(answer.status(), 307, "{}", vendor.name);
            assert_eq!(foreign.counters().requests, 0, "{}", vendor.name);
        },
    )
    .await;
}

#[tokio::test]
async fn an_answer_and_its_error_show_what_was_asked_and_no_more() {
    for_each(
        |_| true,
        |vendor| async move {
            let builder = Sandbox::builder().resource(|_| {
                let answer = Response::builder().status(404);
                answer.body("nothing here").unwrap()
            });
            let scene = Scene::new(vendor, builder).await;
            let asked = scene.request_to(scene.sandbox.url()).build().unwrap();
            let answer = scene.send().await.unwrap();
            assert_eq!(answer.url(), asked.url(), "{}", vendor.name);
            let shown = format!("{answer:?} {:?}", scene.account);
            let error = answer.error_for_status().unwrap_err();
            let shown = format!("{shown} {error} {error:?}");
            for secret in [
                Sandbox::CLIENT_SECRET,
                Sandbox::KEY,
                "signature",
                "sandbox-at",
            ] {
                assert!(!shown.contains(secret), "{}: {shown}", vendor.name);
            }
        },
    )
    .await;
}
