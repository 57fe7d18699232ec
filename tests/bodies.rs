//! Stories about answers whose bodies come later than their heads: what is still on the wire, and
//! what a rule can know. Under paused time and without sockets, but for the last one.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // Under paused time; tests may panic.

mod common;

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use common::{API, acme, millis, seconds};
use futures_util::future::join_all;
use futures_util::stream;
use http::Extensions;
use http_body::{Body as HttpBody, Frame, SizeHint};
use reqwest::{Body, Request, Response, ResponseBuilderExt as _, StatusCode};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use reqwest_tollgate::{Account, Error, ErrorKind, RequestOptions, Rule, Verdict, Window};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};

/// What comes of a body, and how long after what came before.
type Piece = (Duration, &'static [u8]);

/// Whether a body says how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Told,
    Unknown,
}

const BOTH: [Length; 2] = [Length::Told, Length::Unknown];

/// A server that has a request until the last of its answer's body is written, or nobody reads it.
struct Server {
    pieces: Vec<Piece>,
    length: Length,
    media_type: &'static str,
    start: Instant,
    arrivals: Mutex<Vec<u64>>,
    present: Arc<AtomicUsize>,
    most: AtomicUsize,
}

impl Server {
    fn new(length: Length, pieces: impl Into<Vec<Piece>>) -> Self {
        Self {
            pieces: pieces.into(),
            length,
            media_type: "application/json",
            start: Instant::now(),
            arrivals: Mutex::default(),
            present: Arc::default(),
            most: AtomicUsize::new(0),
        }
    }

    /// In whole seconds since the start.
    fn arrivals(&self) -> Vec<u64> {
        self.arrivals.lock().unwrap().clone()
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    fn body(&self, presence: Present) -> Body {
        let pieces = self.pieces.clone().into_iter();
        let body = stream::unfold((pieces, presence), async |(mut pieces, presence)| {
            let (after, piece) = pieces.next()?;
            sleep(after).await;
            let piece = Ok::<_, std::io::Error>(Bytes::from_static(piece));
            Some((piece, (pieces, presence)))
        });
        let body = Body::wrap_stream(body);
        let size: usize = self.pieces.iter().map(|(_, piece)| piece.len()).sum();
        match self.length {
            Length::Told => Body::wrap(Measured(body, size as u64)),
            Length::Unknown => body,
        }
    }
}

/// A request at the server.
struct Present(Arc<AtomicUsize>);

impl Drop for Present {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// As with a `Content-Length`, at which a client stops.
struct Measured(Body, u64);

impl HttpBody for Measured {
    type Data = Bytes;
    type Error = reqwest::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, reqwest::Error>>> {
        let polled = Pin::new(&mut self.0).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.1 -= frame.data_ref().map_or(0, |data| data.len() as u64);
            if self.1 == 0 {
                // The server has written everything.
                self.0 = Body::from("");
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.1 == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.1)
    }
}

struct Terminal(Arc<Server>);

#[async_trait]
impl Middleware for Terminal {
    async fn handle(
        &self,
        request: Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let server = &self.0;
        let at = server.start.elapsed().as_secs();
        server.arrivals.lock().unwrap().push(at);
        let present = server.present.fetch_add(1, Ordering::Relaxed) + 1;
        server.most.fetch_max(present, Ordering::Relaxed);
        let presence = Present(server.present.clone());
        sleep(millis(1)).await;
        let response = http::Response::builder()
            .header("content-type", server.media_type)
            .url(request.url().clone());
        Ok(response.body(server.body(presence)).unwrap().into())
    }
}

fn client(account: &Account, server: &Arc<Server>) -> ClientWithMiddleware {
    account
        .attach(ClientBuilder::new(reqwest::Client::new()))
        .with(Terminal(server.clone()))
        .build()
}

async fn send(client: &ClientWithMiddleware) -> Response {
    client.get(API).send().await.unwrap()
}

async fn read(client: &ClientWithMiddleware) -> usize {
    send(client).await.bytes().await.unwrap().len()
}

fn at_most(requests: usize) -> Account {
    acme().max_in_flight(requests).build().unwrap()
}

const LARGE: &[u8] = &[b'x'; 40_000];

#[tokio::test(start_paused = true)]
async fn max_in_flight_counts_until_the_body_has_ended() {
    for length in BOTH {
        for piece in [LARGE, b"small"] {
            let pieces = [(millis(900), piece), (millis(900), piece)];
            let server = Arc::new(Server::new(length, pieces));
            let client = client(&at_most(2), &server);
            let sizes = join_all((0..8).map(|_| read(&client))).await;
            assert_eq!(sizes, [2 * piece.len(); 8]);
            assert_eq!(server.most(), 2, "{length:?}");
            assert_eq!(server.arrivals(), [0, 0, 1, 1, 3, 3, 5, 5], "{length:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn small_answers_that_are_kept_unread_hold_nobody_up() {
    for length in BOTH {
        let server = Arc::new(Server::new(length, [(millis(900), &b"small"[..])]));
        let client = client(&at_most(2), &server);
        let kept = join_all((0..6).map(|_| send(&client))).await;
        assert_eq!(server.arrivals(), [0, 0, 0, 0, 1, 1], "{length:?}");
        for response in kept {
            assert_eq!(response.text().await.unwrap(), "small");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_one_that_nobody_reads_lets_go_when_it_is_dropped_or_after_a_while() {
    let server = Arc::new(Server::new(Length::Unknown, [(seconds(1), LARGE); 3]));
    let account = acme().max_in_flight(1).unanswered_after(seconds(60));
    let client = client(&account.build().unwrap(), &server);
    let kept = send(&client).await;
    sleep(seconds(30)).await;
    let second = send(&client).await;
    assert_eq!(server.arrivals(), [0, 60]);
    drop(second);
    let third = send(&client).await;
    assert_eq!(server.arrivals(), [0, 60, 60]);
    for response in [kept, third] {
        assert_eq!(response.bytes().await.unwrap().len(), 3 * LARGE.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_comes_piece_by_piece_and_counts_until_its_end() {
    let server = Arc::new(Server::new(
        Length::Unknown,
        [(seconds(10), &b"data"[..]); 3],
    ));
    let client = client(&at_most(1), &server);
    let mut streamed = send(&client).await;
    let other = async {
        sleep(millis(5)).await;
        read(&client).await
    };
    let reader = async {
        for number in 1..=3 {
            assert_eq!(streamed.chunk().await.unwrap().unwrap(), "data");
            assert_eq!(server.start.elapsed().as_secs(), 10 * number);
        }
        assert!(streamed.chunk().await.unwrap().is_none());
    };
    tokio::join!(reader, other);
    assert_eq!(server.arrivals(), [0, 30]);
}

#[tokio::test(start_paused = true)]
async fn a_window_counts_from_the_head() {
    let account = acme().window("1/10s".parse().unwrap()).max_in_flight(2);
    let server = Arc::new(Server::new(Length::Unknown, [(seconds(5), &b"x"[..])]));
    let client = client(&account.build().unwrap(), &server);
    tokio::join!(read(&client), read(&client));
    assert_eq!(server.arrivals(), [0, 10]);
}

/// A vendor that says 200 and the error inside.
fn with_rule() -> reqwest_tollgate::AccountBuilder {
    acme()
        .window(Window::per_minute(1_000))
        .rule(Rule::new(200, Verdict::QuotaSpent).body("part limit of 0"))
        .options(RequestOptions::new().max_wait(seconds(10)))
}

const SPENT: &[u8] = br#"{"errors": "exceeded your part limit of 0"}"#;

#[tokio::test(start_paused = true)]
async fn a_200_with_an_error_inside_is_known_however_slow_its_body_is() {
    for length in BOTH {
        for after in [millis(0), millis(400), seconds(20)] {
            let server = Arc::new(Server::new(length, [(after, SPENT)]));
            let account = with_rule().max_replays(0).build().unwrap();
            let client = client(&account, &server);
            let first = send(&client).await;
            assert_eq!(first.bytes().await.unwrap(), SPENT);
            let begun = Instant::now();
            for _ in 1..20 {
                let refused = client.get(API).send().await.unwrap_err();
                let kind = Error::find(&refused).unwrap().kind();
                assert_eq!(kind, ErrorKind::QuotaExceeded, "{length:?} {after:?}");
            }
            assert_eq!(begun.elapsed(), Duration::ZERO);
            assert_eq!(server.arrivals().len(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_keeps_no_stream_and_no_large_body_from_the_caller() {
    for (media_type, length, piece, waits) in [
        ("text/event-stream", Length::Unknown, &b"data: x\n\n"[..], 0),
        ("application/json", Length::Told, LARGE, 0),
        // The first 64 KiB of what does not say how much it is.
        ("application/json", Length::Unknown, LARGE, 20),
        // And no more than half a minute of what trickles.
        ("application/json", Length::Unknown, &b"{}"[..], 30),
    ] {
        let pieces = vec![(seconds(10), piece); 5];
        let mut server = Server::new(length, pieces);
        server.media_type = media_type;
        let server = Arc::new(server);
        let client = client(&with_rule().build().unwrap(), &server);
        let mut response = send(&client).await;
        assert_eq!(response.status(), StatusCode::OK);
        let waited = server.start.elapsed().as_secs();
        assert_eq!(waited, waits, "{media_type} {length:?}");
        let mut size = 0;
        while let Some(chunk) = response.chunk().await.unwrap() {
            size += chunk.len();
        }
        assert_eq!(size, 5 * piece.len());
        assert_eq!(server.start.elapsed().as_secs(), 50);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_up_gives_up_the_wait_for_the_body_too() {
    let server = Arc::new(Server::new(Length::Told, [(seconds(1_000_000), SPENT)]));
    let account = with_rule().max_in_flight(1).build().unwrap();
    let client = client(&account, &server);
    let impatient = timeout(seconds(7), send(&client)).await;
    assert!(impatient.is_err());
    let next = timeout(millis(10), send(&client)).await;
    assert!(next.is_err());
    assert_eq!(server.arrivals(), [0, 7]);
}

/// It has each request for a while after the head of its answer; by its own count.
#[tokio::test]
async fn over_a_connection_no_more_are_at_the_server_than_may_be_in_flight() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (present, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = (present.clone(), most.clone());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (present, most) = counted.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).await.unwrap_or(0) > 0 {
                    let now = present.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n";
                    stream.write_all(head.as_bytes()).await.unwrap();
                    sleep(millis(20)).await;
                    present.fetch_sub(1, Ordering::SeqCst);
                    stream.write_all(b"3\r\nend\r\n0\r\n\r\n").await.unwrap();
                }
            });
        }
    });
    let account = Account::builder("acme", url.as_str()).max_in_flight(2);
    let client = account.build().unwrap().client().unwrap();
    let read = async || client.get(&url).send().await.unwrap().text().await.unwrap();
    let texts = join_all((0..12).map(|_| read())).await;
    assert_eq!(texts, ["partend"; 12]);
    assert_eq!(most.load(Ordering::SeqCst), 2);
    // Nobody reads them.
    let kept = join_all((0..12).map(|_| client.get(&url).send())).await;
    assert!(kept.iter().all(Result::is_ok));
    assert_eq!(most.load(Ordering::SeqCst), 2);
}
