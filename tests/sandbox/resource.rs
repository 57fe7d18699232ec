//! What the API answers.

use reqwest_tollgate::sandbox::{Dialect, Sandbox};
use serde_json::Value;

use crate::{Scene, header, limited, number};

#[tokio::test]
async fn real_part_numbers_come_back_as_they_are() {
    let scene = Scene::new(Sandbox::builder()).await;
    for part in ["LTC3780EG#PBF", "SN74LVC1G07DCKR/T", "AD8495 +/-", "LM358P"] {
        let mut url = scene.sandbox.url().clone();
        url.path_segments_mut().expect("segments").extend([
            "products",
            "v4",
            "search",
            part,
            "productdetails",
        ]);
        let request = scene.client.get(url).bearer_auth(&scene.token);
        let body: Value = request.send().await.expect(part).json().await.expect(part);
        assert_eq!(body["Product"]["ManufacturerProductNumber"], part);
    }
}

#[tokio::test]
async fn the_closure_answers_behind_credential_and_quota_and_its_headers_stay() {
    let builder = limited("1/h").resource(|request| {
        let body = format!("{} {:?}", request.method(), request.body());
        let response = http::Response::builder().header("X-RateLimit-Limit", "lots");
        response.body(body).expect("a response")
    });
    let mut scene = Scene::new(builder.dialect(Dialect::SourceDocument)).await;
    let url = scene.sandbox.url().join("any/where").expect("a URL");
    let request = scene.client.put(url).bearer_auth(&scene.token).body("hi");
    let response = request.send().await.expect("an answer");
    assert_eq!(header(&response, "x-ratelimit-limit"), Some("lots"));
    assert_eq!(number(&response, "x-burstlimit-limit"), 1);
    assert!(header(&response, "x-digikey-request-id").is_some());
    assert_eq!(response.text().await.expect("text"), r#"PUT b"hi""#);

    assert_eq!(scene.status().await, 429);
    scene.token.push('x');
    assert_eq!(scene.status().await, 401);
}

#[tokio::test]
async fn a_closure_that_panics_costs_one_connection() {
    let builder = Sandbox::builder().resource(|request| {
        assert!(request.uri().path().ends_with("productdetails"), "boom");
        http::Response::new("fine")
    });
    let scene = Scene::new(builder).await;
    let request = scene.client.get(scene.sandbox.url().clone());
    request
        .bearer_auth(&scene.token)
        .send()
        .await
        .expect_err("no answer");
    assert_eq!(scene.status().await, 200);
}
