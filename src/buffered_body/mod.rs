//! Reading the body of a response that the caller may still get.
//!
//! A refused request's body may say why, and a response kept unread while something else goes on
//! keeps its connection from everybody. So it is read, if that is small work, and rebuilt as it
//! was.

mod holding;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body::{Body as HttpBody, Frame, SizeHint};
use reqwest::{Body, Response, ResponseBuilderExt};

use crate::clock::Clock;

pub(crate) use holding::holding;

const LARGEST: usize = 64 * 1024;

/// A body that does not say its length may be a stream that never ends: a longer wait for it would
/// keep the caller from what is there. No server needs that long for 64 KiB that it has.
const LONGEST: Duration = Duration::from_secs(30);

/// What is read for the sake of its connection alone.
const LONGEST_DISCARD: Duration = Duration::from_millis(100);

/// Media types that come piece by piece, perhaps for ever.
const STREAMS: [&str; 9] = [
    "text/event-stream",
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/json-seq",
    "application/stream+json",
    "application/grpc",
    "multipart/x-mixed-replace",
    "multipart/mixed",
];

/// Reads the body, up to 64 KiB, and gives the response back with status, headers, URL, extensions
/// and body as they were.
///
/// A body that says its length is waited for as long as the client itself would, whose timeouts
/// hold here too; one that does not, for 30 s at most, and not at all where its media type is one
/// that comes piece by piece.
///
/// A body that is larger or slower is not known (`None`); the response still has all of it, what
/// was read first and the rest behind it. An error on the way stays where it was in the body, too.
///
/// # Cancel safety
/// Dropping it drops the response.
pub(crate) async fn buffer(response: Response, clock: &dyn Clock) -> (Response, Option<Bytes>) {
    let is_sized = response.content_length().is_some();
    if !is_sized && is_stream(response.headers()) {
        return (response, None);
    }
    let url = response.url().clone();
    let (parts, body) = http::Response::from(response).into_parts();
    let mut read = Partial::new(body);
    let complete = match is_sized {
        true => read.fill().await,
        false => filled_within(LONGEST, &mut read, clock).await,
    };
    let bytes = complete.then(|| read.bytes());
    let body = match &bytes {
        Some(bytes) if !read.has_trailers() => Body::from(bytes.clone()),
        _ => Body::wrap(read),
    };
    (of_parts(url, parts, body), bytes)
}

/// Reads what is there of a response that nothing needs any more, so that its connection is free.
pub(crate) async fn discard(response: Response, clock: &dyn Clock) {
    let (_, body) = http::Response::from(response).into_parts();
    filled_within(LONGEST_DISCARD, &mut Partial::new(body), clock).await;
}

fn is_stream(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(CONTENT_TYPE)
        .map_or(&b""[..], |value| value.as_bytes());
    STREAMS.iter().any(|stream| {
        let beginning = media_type.get(..stream.len());
        beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(stream.as_bytes()))
    })
}

async fn filled_within(span: Duration, read: &mut Partial, clock: &dyn Clock) -> bool {
    let reading = pin!(read.fill());
    match select(reading, clock.sleep(span)).await {
        Either::Left((complete, _)) => complete,
        Either::Right(_) => false,
    }
}

/// The URL of a response travels as a private extension, which only this trait can make.
fn of_parts(url: url::Url, mut parts: http::response::Parts, body: Body) -> Response {
    if let Ok(carrier) = http::response::Builder::new().url(url).body(()) {
        parts.extensions.extend(carrier.into_parts().0.extensions);
    }
    http::Response::from_parts(parts, body).into()
}

/// A body of which the beginning was read already.
struct Partial {
    frames: VecDeque<Result<Frame<Bytes>, reqwest::Error>>,
    size: usize,
    rest: Option<Body>,
}

impl Partial {
    fn new(body: Body) -> Self {
        Self {
            frames: VecDeque::new(),
            size: 0,
            rest: Some(body),
        }
    }

    /// Reads on; true at the end, false if it is too large or breaks off. Dropping it loses
    /// nothing.
    async fn fill(&mut self) -> bool {
        while let Some(rest) = &mut self.rest {
            if self.size > LARGEST || rest.size_hint().lower() > LARGEST as u64 {
                return false;
            }
            match poll_fn(|context| Pin::new(&mut *rest).poll_frame(context)).await {
                None => self.rest = None,
                Some(Ok(frame)) => {
                    self.size += frame.data_ref().map_or(0, Bytes::len);
                    self.frames.push_back(Ok(frame));
                }
                Some(Err(error)) => {
                    self.frames.push_back(Err(error));
                    return false;
                }
            }
        }
        true
    }

    /// Whether nothing more comes from the server, or nothing that could be read.
    fn is_over(&self) -> bool {
        let broke_off = self.frames.back().is_some_and(Result::is_err);
        self.rest.as_ref().is_none_or(HttpBody::is_end_stream) || broke_off
    }

    fn data(&self) -> impl Iterator<Item = &Bytes> {
        let frames = self.frames.iter().filter_map(|frame| frame.as_ref().ok());
        frames.filter_map(Frame::data_ref)
    }

    fn bytes(&self) -> Bytes {
        let mut data = self.data();
        match (data.next(), data.next()) {
            (None, _) => Bytes::new(),
            (Some(only), None) => only.clone(),
            _ => {
                let mut bytes = BytesMut::with_capacity(self.size);
                self.data().for_each(|data| bytes.extend_from_slice(data));
                bytes.freeze()
            }
        }
    }

    fn has_trailers(&self) -> bool {
        let mut frames = self.frames.iter();
        frames.any(|frame| frame.as_ref().is_ok_and(Frame::is_trailers))
    }
}

impl HttpBody for Partial {
    type Data = Bytes;
    type Error = reqwest::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, reqwest::Error>>> {
        if let Some(frame) = self.frames.pop_front() {
            return Poll::Ready(Some(frame));
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let here: u64 = self.data().map(|data| data.len() as u64).sum();
        let rest = match &self.rest {
            Some(rest) => rest.size_hint(),
            None => SizeHint::with_exact(0),
        };
        let mut hint = SizeHint::new();
        hint.set_lower(here.saturating_add(rest.lower()));
        if let Some(upper) = rest.upper() {
            hint.set_upper(here.saturating_add(upper));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use futures_util::{StreamExt, stream};
    use url::Url;

    fn response(body: Body) -> Response {
        let url = Url::parse("https://api.example/x?y").expect("a URL");
        let response = http::Response::builder()
            .status(401)
            .header("x-kept", "yes")
            .extension(7_u8)
            .url(url)
            .body(body)
            .expect("a response");
        Response::from(response)
    }

    fn assert_kept(response: &Response) {
        assert_eq!(response.status(), 401);
        assert_eq!(response.url().as_str(), "https://api.example/x?y");
        assert_eq!(response.headers()["x-kept"], "yes");
        assert_eq!(response.extensions().get::<u8>(), Some(&7));
    }

    fn chunks(
        sizes: Vec<usize>,
    ) -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> {
        stream::iter(sizes).map(|size| Ok(Bytes::from(vec![b'x'; size])))
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_body_is_read_and_still_there() {
        let body = Body::wrap_stream(chunks(vec![3, 4]));
        let (response, bytes) = buffer(response(body), &SystemClock).await;
        assert_kept(&response);
        assert_eq!(bytes.as_deref(), Some(&b"xxxxxxx"[..]));
        assert_eq!(response.content_length(), Some(7));
        assert_eq!(response.bytes().await.expect("a body"), "xxxxxxx");
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_body_is_not_known_and_still_complete() {
        let body = Body::wrap_stream(chunks(vec![1; 100]).chain(chunks(vec![50_000; 4])));
        let (response, bytes) = buffer(response(body), &SystemClock).await;
        assert_kept(&response);
        assert!(bytes.is_none());
        assert_eq!(response.bytes().await.expect("a body").len(), 200_100);
    }

    fn late(seconds: u64) -> Body {
        let late = stream::once(async move {
            SystemClock.sleep(Duration::from_secs(seconds)).await;
            Ok(Bytes::from_static(b"late"))
        });
        Body::wrap_stream(chunks(vec![2]).chain(late))
    }

    /// A body that says how long it is.
    struct Measured(Body, u64);

    impl HttpBody for Measured {
        type Data = Bytes;
        type Error = reqwest::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, reqwest::Error>>> {
            Pin::new(&mut self.0).poll_frame(context)
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.1)
        }
    }

    /// What was read of it, and after how long.
    async fn read(response: Response) -> (Response, Option<Bytes>, Duration) {
        let started = SystemClock.now().moment;
        let (response, bytes) = buffer(response, &SystemClock).await;
        assert_kept(&response);
        (response, bytes, SystemClock.now().moment - started)
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_is_waited_for() {
        let (_, bytes, span) = read(response(late(29))).await;
        assert_eq!(bytes.as_deref(), Some(&b"xxlate"[..]));
        assert_eq!(span, Duration::from_secs(29));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_says_its_length_is_waited_for_as_long_as_the_client_would() {
        let body = Body::wrap(Measured(late(3_600), 6));
        let (_, bytes, span) = read(response(body)).await;
        assert_eq!(bytes.as_deref(), Some(&b"xxlate"[..]));
        assert_eq!(span, Duration::from_secs(3_600));
        let large = Body::wrap(Measured(late(3_600), 64 * 1024 + 1));
        let (_, bytes, span) = read(response(large)).await;
        assert_eq!((bytes, span), (None, Duration::ZERO), "not even begun");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_is_given_up_and_still_complete() {
        let (response, bytes, span) = read(response(late(31))).await;
        assert_eq!((bytes, span), (None, LONGEST));
        assert_eq!(response.bytes().await.expect("a body"), "xxlate");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_comes_piece_by_piece_is_not_waited_for() {
        for (media_type, is_stream) in [
            ("text/event-stream", true),
            ("Text/Event-Stream; charset=utf-8", true),
            ("application/x-ndjson", true),
            ("application/grpc+proto", true),
            ("application/json", false),
            ("text/html", false),
            ("", false),
        ] {
            let mut response = response(late(5));
            let value = http::HeaderValue::from_static(media_type);
            response.headers_mut().insert(CONTENT_TYPE, value);
            let (response, bytes, span) = read(response).await;
            assert_eq!(bytes.is_none(), is_stream, "{media_type}");
            assert_eq!(span.is_zero(), is_stream, "{media_type}");
            assert_eq!(response.bytes().await.expect("a body"), "xxlate");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_nothing_needs_is_read_for_a_moment() {
        let started = SystemClock.now().moment;
        discard(response(late(5)), &SystemClock).await;
        assert_eq!(SystemClock.now().moment - started, LONGEST_DISCARD);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_breaks_off_is_not_known_and_breaks_off_for_the_caller_too() {
        let broken = stream::once(async { Err(std::io::Error::other("broken")) });
        let body = Body::wrap_stream(chunks(vec![2]).chain(broken));
        let (mut response, bytes) = buffer(response(body), &SystemClock).await;
        assert!(bytes.is_none());
        let first = response.chunk().await.expect("what came before");
        assert_eq!(first.as_deref(), Some(&b"xx"[..]));
        assert!(response.chunk().await.is_err());
    }
}
