//! "Credentials go to the account's origins and nowhere else": two real servers, one of them
//! somebody else's, and every way in which the first can send a client to the second.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // Tests may read time, and panic.

mod common;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::Events;
use http::header::{HeaderValue, LOCATION};
use http::{Extensions, Method};
use reqwest::{Request, Response, ResponseBuilderExt as _};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use reqwest_tollgate::{
    Account, AccountBuilder, Attempt, BoxError, Event, Quota, RequestOptions, Signer, Window,
    http_client_builder,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

const CANARY: &str = "canary-4711";

/// A server on a loopback port that keeps each request as it came in.
struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `answer` gets the request and gives head and body.
    async fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = seen.clone();
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, kept.clone(), answer.clone()));
            }
        });
        Self { port, seen }
    }

    /// One that finds everything.
    async fn finding() -> Self {
        Self::start(|_| found()).await
    }

    /// One that sends every request for `/go` on.
    async fn leading_to(status: u16, location: String) -> Self {
        Self::start(move |request| match request.contains(" /go") {
            true => format!("HTTP/1.1 {status} x\r\nlocation: {location}\r\n"),
            false => found(),
        })
        .await
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn found() -> String {
    "HTTP/1.1 200 OK\r\n".to_owned()
}

async fn serve(
    mut stream: TcpStream,
    seen: Arc<Mutex<Vec<String>>>,
    answer: Arc<impl Fn(&str) -> String>,
) {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !is_whole(&text) {
        match stream.read(&mut buffer).await {
            Ok(length) if length > 0 => text += &String::from_utf8_lossy(&buffer[..length]),
            _ => return,
        }
    }
    let head = answer(&text);
    seen.lock().unwrap().push(text);
    let answer = format!("{head}content-length: 0\r\nconnection: close\r\n\r\n");
    let _ = stream.write_all(answer.as_bytes()).await;
}

fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.parse::<usize>().unwrap())
    });
    body.len() >= length.unwrap_or(0)
}

/// Puts the key where `{key}` stands in the path.
struct InPath;

impl Signer for InPath {
    fn sign(&self, attempt: &mut Attempt<'_>) -> Result<(), BoxError> {
        let url = attempt.request.url_mut();
        let path = url.path().replace("%7Bkey%7D", CANARY);
        url.set_path(&path);
        Ok(())
    }
}

/// Puts the key into the body.
struct InBody;

impl Signer for InBody {
    fn sign(&self, attempt: &mut Attempt<'_>) -> Result<(), BoxError> {
        attempt.set_body(format!("secret={CANARY}"));
        Ok(())
    }
}

/// Where a vendor can have its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Header(&'static str),
    Query,
    Path,
    Body,
    Authorization,
}

const PLACES: [Place; 7] = [
    Place::Header("X-Api-Key"),
    Place::Header("Ocp-Apim-Subscription-Key"),
    Place::Header("client_secret"),
    Place::Query,
    Place::Path,
    Place::Body,
    Place::Authorization,
];

const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

fn account(place: Place, server: &Server) -> AccountBuilder {
    let account = Account::builder("acme", server.url());
    match place {
        Place::Header(name) => account.header(name, CANARY),
        Place::Query => account.query("apiKey", CANARY),
        Place::Path => account.signer(InPath),
        Place::Body => account.signer(InBody),
        Place::Authorization => account.bearer(CANARY),
    }
}

async fn post(client: &ClientWithMiddleware, server: &Server) -> Response {
    let url = format!("{}/go/{{key}}", server.url());
    client.post(url).body("the body").send().await.unwrap()
}

fn redirected(events: &Events) -> usize {
    events.count(|event| matches!(event, Event::CredentialsRedirected { .. }))
}

#[tokio::test]
async fn no_redirect_to_another_origin_is_followed() {
    let foreign = Server::finding().await;
    let pool = http_client_builder().build().unwrap();
    let elsewhere = format!("//127.0.0.1:{}/datasheet", foreign.port);
    for status in STATUSES {
        for location in [format!("http:{elsewhere}"), elsewhere.clone()] {
            let server = Server::leading_to(status, location).await;
            for place in PLACES {
                let events = Events::default();
                let account = account(place, &server).observer(events.observer());
                let account = account.build().unwrap();
                let builder = ClientBuilder::new(pool.clone());
                let answer = post(&account.attach(builder).build(), &server).await;
                assert_eq!(answer.status(), status, "{place:?}");
                assert!(server.seen().last().unwrap().contains(CANARY), "{place:?}");
                assert_eq!(redirected(&events), 0, "{place:?}");
            }
        }
    }
    assert_eq!(foreign.seen(), [""; 0]);
}

#[tokio::test]
async fn nor_by_the_accounts_own_client() {
    let foreign = Server::finding().await;
    for status in [302, 308] {
        let server = Server::leading_to(status, format!("{}/x", foreign.url())).await;
        let account = account(Place::Header("X-Api-Key"), &server)
            .build()
            .unwrap();
        let answer = post(&account.client().unwrap(), &server).await;
        assert_eq!(answer.status(), status);
        assert!(server.seen()[0].contains(CANARY));
    }
    assert_eq!(foreign.seen(), [""; 0]);
}

#[tokio::test]
async fn within_the_origin_they_are_followed_with_all_that_was_on_the_request() {
    let pool = http_client_builder().build().unwrap();
    for status in STATUSES {
        for absolute in [false, true] {
            let port = Arc::new(Mutex::new(0));
            let own = port.clone();
            let server = Server::start(move |request| {
                let own = format!("http://127.0.0.1:{}", *own.lock().unwrap());
                let base = if absolute { &*own } else { "" };
                match request.contains(" /go") {
                    true => format!("HTTP/1.1 {status} x\r\nlocation: {base}/found\r\n"),
                    false => found(),
                }
            })
            .await;
            *port.lock().unwrap() = server.port;
            for place in PLACES {
                let builder = ClientBuilder::new(pool.clone());
                let client = account(place, &server)
                    .build()
                    .unwrap()
                    .attach(builder)
                    .build();
                let answer = post(&client, &server).await;
                assert_eq!(answer.status(), 200, "{place:?} {status}");
                assert_eq!(answer.url().path(), "/found");
                let second = server.seen().pop().unwrap();
                let keeps_method = status > 303;
                let method = if keeps_method {
                    Method::POST
                } else {
                    Method::GET
                };
                assert!(second.starts_with(&format!("{method} /found ")), "{second}");
                let carried = match place {
                    Place::Header(_) | Place::Authorization => true,
                    Place::Body => keeps_method,
                    Place::Query | Place::Path => false,
                };
                assert_eq!(second.contains(CANARY), carried, "{place:?} {second}");
                assert!(
                    !second.to_ascii_lowercase().contains("\r\nreferer:"),
                    "{second}"
                );
            }
        }
    }
}

/// reqwest's own policy follows to wherever it is sent, and only the answer tells.
#[tokio::test]
async fn another_client_that_takes_keys_elsewhere_is_reported_once_for_each_host() {
    let foreign = Server::finding().await;
    let pool = reqwest::Client::new();
    for place in PLACES {
        for status in STATUSES {
            let names = ["127.0.0.1", "localhost"];
            let turn = Mutex::new(names.into_iter().cycle());
            let port = foreign.port;
            let server = Server::start(move |_| {
                let host = turn.lock().unwrap().next().unwrap();
                format!("HTTP/1.1 {status} x\r\nlocation: http://{host}:{port}/x\r\n")
            })
            .await;
            let events = Events::default();
            let hosts: Arc<Mutex<Vec<String>>> = Arc::default();
            let heard = hosts.clone();
            let account = account(place, &server).observer(events.observer());
            let account = account.observer(move |_: &str, event: &Event| {
                if let Event::CredentialsRedirected { host } = event {
                    heard.lock().unwrap().push(host.clone());
                }
            });
            let builder = ClientBuilder::new(pool.clone());
            let client = account.build().unwrap().attach(builder).build();
            let before = foreign.seen().len();
            for _ in 0..4 {
                assert_eq!(post(&client, &server).await.status(), 200);
            }
            let leaked = foreign.seen()[before..]
                .iter()
                .any(|text| text.contains(CANARY));
            let expected = match place {
                Place::Authorization => vec![],
                _ => names.map(|name| format!("{name}:{port}")).to_vec(),
            };
            assert_eq!(*hosts.lock().unwrap(), expected, "{place:?} {status}");
            let leaks = match place {
                Place::Authorization => false,
                Place::Body => status > 303,
                Place::Header(_) | Place::Query | Place::Path => true,
            };
            assert_eq!(
                leaked, leaks,
                "{place:?} {status}: the test has lost its subject"
            );
        }
    }
}

#[tokio::test]
async fn a_file_of_another_origin_may_redirect_unreported() {
    let (api, foreign) = (Server::finding().await, Server::finding().await);
    let files = Server::leading_to(302, format!("{}/x.pdf", foreign.url())).await;
    let events = Events::default();
    let account = account(Place::Header("X-Api-Key"), &api).observer(events.observer());
    let builder = ClientBuilder::new(reqwest::Client::new());
    let client = account.build().unwrap().attach(builder).build();
    assert_eq!(post(&client, &files).await.status(), 200);
    assert_eq!((redirected(&events), foreign.seen().len()), (0, 1));
}

fn left(account: &Account, quota: usize) -> u64 {
    account.quotas()[quota].windows()[0].remaining
}

/// Each URL leads to itself with a slash.
async fn adding_slashes() -> Server {
    Server::start(|request| {
        let asked = request.split(' ').nth(1).unwrap();
        let (path, query) = asked.split_once('?').unwrap_or((asked, ""));
        match path.ends_with('/') {
            true => found(),
            false => format!("HTTP/1.1 308 x\r\nlocation: {path}/?{query}\r\n"),
        }
    })
    .await
}

#[tokio::test]
async fn a_redirect_costs_one_request_more_in_the_quota_of_the_url_that_it_led_to() {
    let server = adding_slashes().await;
    for place in [
        Place::Header("X-Api-Key"),
        Place::Query,
        Place::Authorization,
    ] {
        let day = || Window::per_day(100);
        let slash = Quota::new("slash").path("/moved/").window(day());
        let account = account(place, &server).window(day()).quota(slash);
        let account = account.build().unwrap();
        let client = account.client().unwrap();
        let get = async |path: &str, options: RequestOptions| {
            let request = client.get(format!("{}{path}", server.url()));
            let answer = request.with_extension(options).send().await.unwrap();
            assert_eq!(answer.status(), 200);
        };
        let none = RequestOptions::new;
        get("/found/", none()).await;
        get("/found/?q=1%20k#part", none()).await;
        assert_eq!(left(&account, 0), 98, "{place:?}: none was redirected");
        get("/found", none()).await;
        assert_eq!(left(&account, 0), 96, "{place:?}");
        get("/moved", none()).await;
        assert_eq!(
            (left(&account, 0), left(&account, 1)),
            (95, 99),
            "{place:?}"
        );
        get("/moved", none().quota("default")).await;
        assert_eq!(
            (left(&account, 0), left(&account, 1)),
            (93, 99),
            "{place:?}"
        );
    }
}

/// 20 in 2 s, both hops counted: 17 of 60 were rejected.
#[tokio::test(start_paused = true)]
async fn whoever_sends_one_request_after_the_other_is_never_rejected_for_its_redirects() {
    let counted = Mutex::new((Instant::now(), 0));
    let rejected = Arc::new(AtomicUsize::new(0));
    let rejections = rejected.clone();
    let account = common::acme().window("20/2s".parse().unwrap());
    let account = account.build().unwrap();
    let stub = common::Stub::new(move |_| {
        let mut counted = counted.lock().unwrap();
        if counted.0.elapsed() >= common::seconds(2) {
            *counted = (Instant::now(), 0);
        }
        counted.1 += 2;
        let is_rejected = counted.1 > 20;
        rejections.fetch_add(is_rejected.into(), Ordering::Relaxed);
        let status = if is_rejected { 429 } else { 200 };
        common::answer(status).after(common::millis(1))
    });
    let client = account
        .attach(ClientBuilder::new(reqwest::Client::new()))
        .with(Slashes)
        .with(common::Terminal(stub.clone()))
        .build();
    for number in 0..60 {
        let url = format!("{}/{number}", common::API);
        client.get(url).send().await.unwrap();
    }
    assert_eq!((stub.count(), rejected.load(Ordering::Relaxed)), (60, 0));
}

/// Answers come from where a client would have been led to.
struct Slashes;

#[async_trait::async_trait]
impl Middleware for Slashes {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let path = format!("{}/", request.url().path());
        request.url_mut().set_path(&path);
        next.run(request, extensions).await
    }
}

/// A key in the query is put there beneath a limiter that stands alone.
#[tokio::test(start_paused = true)]
async fn a_layer_beneath_that_adds_to_the_query_costs_nothing_more() {
    struct Keyed;

    #[async_trait::async_trait]
    impl Middleware for Keyed {
        async fn handle(
            &self,
            mut request: Request,
            extensions: &mut Extensions,
            next: Next<'_>,
        ) -> reqwest_middleware::Result<Response> {
            request.url_mut().set_query(Some("key=k"));
            next.run(request, extensions).await
        }
    }

    let account = common::acme()
        .window(Window::per_minute(5))
        .build()
        .unwrap();
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(account.rate_limit())
        .with(Keyed)
        .with(common::Terminal(common::Stub::answering([])))
        .build();
    client.get(common::API).send().await.unwrap();
    assert_eq!(left(&account, 0), 4);
}

/// Whoever answers there could stop the account, or say that nothing is used.
#[tokio::test(start_paused = true)]
async fn what_another_origin_answers_after_a_redirect_teaches_nothing() {
    for status in [200, 429, 503] {
        let account = common::acme().window(Window::per_minute(5));
        let account = account.build().unwrap();
        let stub = common::Stub::new(move |_| {
            common::answer(status)
                .header("x-ratelimit-limit", 1)
                .header("x-ratelimit-remaining", 0)
                .header("x-ratelimit-reset", 50)
                .header("retry-after", 50)
                .after(common::millis(1))
        });
        let client = account
            .attach(ClientBuilder::new(reqwest::Client::new()))
            .with(ToAnotherHost)
            .with(common::Terminal(stub.clone()))
            .build();
        for number in 1..=5 {
            let answer = client.get(common::API).send().await.unwrap();
            assert_eq!(answer.status(), status);
            let quotas = account.quotas();
            assert_eq!(quotas[0].blocked_until(), None, "{status}");
            let window = &quotas[0].windows()[0];
            assert_eq!(
                (window.limit, window.remaining),
                (5, 5 - number),
                "{status}"
            );
        }
        assert_eq!(stub.arrivals(), [0; 5], "{status}");
    }
}

struct ToAnotherHost;

#[async_trait::async_trait]
impl Middleware for ToAnotherHost {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        *request.url_mut() = "https://files.example/x".parse().unwrap();
        next.run(request, extensions).await
    }
}

#[tokio::test]
async fn a_connection_that_is_never_made_costs_no_quota() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let account = Account::builder("acme", nobody.as_str());
    let account = account.window(Window::per_day(2)).build().unwrap();
    let client = account.client().unwrap();
    for _ in 0..3 {
        client.get(&nobody).send().await.unwrap_err();
        assert_eq!(left(&account, 0), 2);
    }
}

/// It may have arrived.
#[tokio::test]
async fn a_connection_that_breaks_off_costs_what_the_request_costs() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
        }
    });
    let account = Account::builder("acme", url.as_str());
    let account = account.window(Window::per_day(2)).build().unwrap();
    account
        .client()
        .unwrap()
        .get(&url)
        .send()
        .await
        .unwrap_err();
    assert_eq!(left(&account, 0), 1);
}

/// Answers as after a redirect, each time to another host.
#[derive(Default)]
struct Elsewhere(AtomicUsize);

#[async_trait::async_trait]
impl Middleware for Elsewhere {
    async fn handle(
        &self,
        _: Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        let url = format!("https://host-{number}.example/").parse().unwrap();
        Ok(http::Response::builder().url(url).body("").unwrap().into())
    }
}

/// Their names come from the wire.
#[tokio::test]
async fn no_more_than_sixty_four_hosts_are_remembered() {
    let server = Server::finding().await;
    let events = Events::default();
    let account = account(Place::Query, &server).observer(events.observer());
    let builder = ClientBuilder::new(reqwest::Client::new());
    let client = account.build().unwrap().attach(builder);
    let client = client.with(Elsewhere::default()).build();
    for _ in 0..70 {
        post(&client, &server).await;
    }
    assert_eq!(redirected(&events), 64);
}

/// A server that echoes what it was asked for sends the key back.
#[tokio::test]
async fn whoever_follows_a_location_by_hand_takes_no_key_along() {
    let foreign = Server::finding().await;
    let port = foreign.port;
    for place in [Place::Query, Place::Path] {
        let server = Server::start(move |request| {
            let asked = request.split(' ').nth(1).unwrap();
            format!("HTTP/1.1 302 x\r\nlocation: http://127.0.0.1:{port}{asked}\r\n")
        })
        .await;
        let client = account(place, &server).build().unwrap().client().unwrap();
        let answer = post(&client, &server).await;
        assert!(!format!("{answer:?}").contains(CANARY), "{answer:?}");
        let location = answer.headers()[LOCATION].to_str().unwrap().to_owned();
        client.get(&location).send().await.unwrap();
        let text = foreign.seen().pop().unwrap();
        assert!(text.contains("/go") && !text.contains(CANARY), "{text}");
    }
    let link = HeaderValue::from_static("https://a.example/x?apiKey=theirs");
    let location = link.to_str().unwrap().to_owned();
    let server = Server::leading_to(302, location).await;
    let client = account(Place::Query, &server)
        .build()
        .unwrap()
        .client()
        .unwrap();
    assert_eq!(post(&client, &server).await.headers()[LOCATION], link);
}

#[tokio::test]
async fn all_clients_of_an_account_share_a_pool_and_pass_both_layers() {
    let server = Server::finding().await;
    let account = account(Place::Query, &server).window("9/60s".parse().unwrap());
    let account = account.build().unwrap();
    for client in [account.client().unwrap(), account.clone().client().unwrap()] {
        post(&client, &server).await;
    }
    assert_eq!(account.quotas()[0].windows()[0].remaining, 7);
    assert!(server.seen().iter().all(|text| text.contains(CANARY)));
}

/// A client that is copied from there keeps the promise of the README.
#[test]
fn what_users_copy_makes_no_client_that_follows_redirects_elsewhere() {
    let mut files = vec![PathBuf::from("README.md"), "src".into(), "examples".into()];
    let (mut read, mut made) = (0, 0);
    while let Some(path) = files.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap();
            files.extend(entries.map(|entry| entry.unwrap().path()));
            continue;
        }
        let is_copied = path
            .extension()
            .is_some_and(|name| name == "rs" || name == "md");
        if !is_copied || path.ends_with("tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let all = path.starts_with("examples") || path.starts_with("README.md");
        let is_shown = |line: &&str| all || line.trim_start().starts_with("//");
        let shown: Vec<_> = text.lines().filter(is_shown).collect();
        for (number, line) in shown.iter().enumerate() {
            let is_new = line.contains("reqwest::Client::new()");
            let builds = line.contains("reqwest::Client::builder()");
            let next = shown.get(number + 1).copied().unwrap_or_default();
            let stays = line.contains(".redirect(") || next.contains(".redirect(");
            let names = line.contains("`reqwest::Client");
            assert!(
                names || !is_new && (!builds || stays),
                "{}: {line}",
                path.display()
            );
            let ours = [".client()?", "http_client_builder()"];
            made += usize::from(ours.iter().any(|way| line.contains(way)));
        }
        read += 1;
    }
    assert!(
        read > 200 && made > 8,
        "the test has lost its subject: {read} {made}"
    );
}
