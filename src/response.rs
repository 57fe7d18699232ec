//! Reading the body of a response that the caller may still get.
//!
//! A refused request's body may say why, and a response kept unread while something else goes on
//! keeps its connection from everybody. So it is read, if that is small work, and rebuilt as it
//! was.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use http_body::{Body as HttpBody, Frame, SizeHint};
use reqwest::{Body, Response, ResponseBuilderExt};

use crate::clock::Clock;

const LARGEST: usize = 64 * 1024;
const LONGEST: Duration = Duration::from_millis(100);

/// Reads the body, up to 64 KiB within 100 ms, and gives the response back with status, headers,
/// URL, extensions and body as they were.
///
/// A body that is larger or slower is not known (`None`); the response still has all of it, what
/// was read first and the rest behind it. An error on the way stays where it was in the body, too.
///
/// # Cancel safety
/// Dropping it drops the response.
pub(crate) async fn buffer(response: Response, clock: &dyn Clock) -> (Response, Option<Bytes>) {
    let url = response.url().clone();
    let (mut parts, body) = http::Response::from(response).into_parts();
    let mut read = Partial::new(body);
    let complete = {
        let reading = pin!(read.fill());
        match select(reading, clock.sleep(LONGEST)).await {
            Either::Left((complete, _)) => complete,
            Either::Right(_) => false,
        }
    };
    // The URL of a response travels as a private extension, which only this trait can make.
    if let Ok(carrier) = http::response::Builder::new().url(url).body(()) {
        parts.extensions.extend(carrier.into_parts().0.extensions);
    }
    let bytes = complete.then(|| read.bytes());
    let body = match &bytes {
        Some(bytes) if !read.has_trailers() => Body::from(bytes.clone()),
        _ => Body::wrap(read),
    };
    (http::Response::from_parts(parts, body).into(), bytes)
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

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_is_not_known_and_still_complete() {
        let late = stream::once(async {
            SystemClock.sleep(Duration::from_secs(5)).await;
            Ok(Bytes::from_static(b"late"))
        });
        let body = Body::wrap_stream(chunks(vec![2]).chain(late));
        let started = SystemClock.now().moment;
        let (response, bytes) = buffer(response(body), &SystemClock).await;
        assert_eq!(SystemClock.now().moment - started, LONGEST);
        assert!(bytes.is_none());
        assert_kept(&response);
        assert_eq!(response.bytes().await.expect("a body"), "xxlate");
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
