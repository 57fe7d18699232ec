//! Start, end, and what is around it.

use std::time::Duration;

use reqwest::Client;
use reqwest_tollgate::Window;
use reqwest_tollgate::sandbox::Sandbox;

use crate::{Scene, issued, limited};

#[tokio::test]
async fn a_dropped_sandbox_closes_its_port_and_its_connections() {
    let scene = Scene::new(Sandbox::builder()).await;
    let hanging = scene.hang().await;
    let address = scene.sandbox.url().socket_addrs(|| None).expect("one")[0];
    drop(scene.sandbox);
    let lost = tokio::time::timeout(Duration::from_secs(10), hanging).await;
    lost.expect("it ends at once")
        .expect("no panic")
        .expect_err("no answer");
    std::net::TcpStream::connect(address).expect_err("the port is closed");
}

#[tokio::test]
async fn a_sandbox_owned_by_its_own_closure_can_end() {
    use std::sync::{Arc, Mutex};
    let place: Arc<Mutex<Option<Sandbox>>> = Arc::default();
    let owner = place.clone();
    let builder = Sandbox::builder().resource(move |_| {
        drop(owner.lock().expect("no panic").take());
        http::Response::new("")
    });
    let Scene {
        sandbox,
        client,
        token,
    } = Scene::new(builder).await;
    let url = sandbox.url().clone();
    let address = url.socket_addrs(|| None).expect("one")[0];
    *place.lock().expect("no panic") = Some(sandbox);
    let _ = client.get(url).bearer_auth(token).send().await;
    while std::net::TcpStream::connect(address).is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn its_port_can_be_chosen_and_is_free_again_after_it() {
    let first = Sandbox::builder().start().await.expect("it starts");
    let port = first.url().port().expect("a port");
    let taken = Sandbox::builder().port(port).start().await;
    let error = taken.expect_err("the port is taken").to_string();
    assert!(error.contains(&port.to_string()), "{error}");
    drop(first);
    let second = Sandbox::builder().port(port).start().await;
    assert_eq!(second.expect("it starts").url().port(), Some(port));
}

#[tokio::test(start_paused = true)]
async fn paused_time_on_the_users_side_stops_nothing_here() {
    let builder = limited("2/300ms").latency(Duration::from_millis(5)..Duration::from_millis(10));
    let sandbox = builder.start().await.expect("it starts");
    sandbox.inject("token-down=500ms".parse().expect("a fault"));
    // Blocking, so that no timer of the paused runtime has a part in it.
    let url = sandbox.token_url();
    let request = format!(
        "POST /v1/oauth2/token HTTP/1.1\r\nhost: {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        url.authority()
    );
    let address = url.socket_addrs(|| None).expect("one")[0];
    let ask = || {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(address).expect("a connection");
        stream.write_all(request.as_bytes()).expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("read");
        answer
    };
    assert!(ask().starts_with("HTTP/1.1 503"));
    std::thread::sleep(Duration::from_millis(510));
    assert!(ask().starts_with("HTTP/1.1 400"));
}

#[test]
fn it_outlives_the_runtime_that_started_it() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().expect("a runtime")
    };
    let sandbox = runtime().block_on(Sandbox::builder().start());
    let sandbox = sandbox.expect("it starts");
    let body = runtime().block_on(async { issued(&Client::new(), &sandbox).await });
    assert!(body["access_token"].is_string());
}

#[tokio::test]
async fn one_error_lists_everything_that_is_wrong() {
    let second = Duration::from_secs(1);
    let error = Sandbox::builder()
        .client("", "x")
        .token_lifetime(Duration::ZERO)
        .latency(Duration::MAX..second)
        .window(Window::new(0, second))
        .window(Window::per_day(1).limit_header("not a name"))
        .window(Window::new(1, Duration::MAX))
        .start()
        .await
        .expect_err("all wrong")
        .to_string();
    for problem in [
        "client",
        "token_lifetime",
        "latency",
        "at least 1",
        "not a header name",
        "ten years",
    ] {
        assert!(error.contains(problem), "{problem} is missing in {error}");
    }
}
