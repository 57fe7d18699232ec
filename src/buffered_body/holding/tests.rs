use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use http::Version;
use url::Url;

use super::*;
use crate::clock::{Clock, SystemClock};

type Chunk = Result<Bytes, std::io::Error>;

fn response(body: impl Into<Body>) -> Response {
    let url = Url::parse("https://api.example/x?y").expect("a URL");
    let response = http::Response::builder()
        .version(Version::HTTP_2)
        .header("x-kept", "yes")
        .extension(7_u8)
        .body(());
    let (parts, ()) = response.expect("a response").into_parts();
    of_parts(url, parts, body.into())
}

/// Chunks of these sizes, each so many seconds after the one before.
fn chunks(chunks: impl IntoIterator<Item = (u64, usize), IntoIter: Send + 'static>) -> Body {
    let chunks = stream::iter(chunks);
    Body::wrap_stream(chunks.then(|(seconds, size)| async move {
        SystemClock.sleep(Duration::from_secs(seconds)).await;
        Chunk::Ok(Bytes::from(vec![b'x'; size]))
    }))
}

/// What is held, and whether it still is.
fn thing() -> (Arc<()>, impl Fn() -> bool) {
    let kept = Arc::new(());
    let weak = Arc::downgrade(&kept);
    (kept, move || weak.strong_count() > 0)
}

async fn seconds(seconds: u64) {
    SystemClock.sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_small_body_lets_go_at_its_end_though_nobody_reads_it() {
    let (kept, is_held) = thing();
    let response = holding(response(chunks([(1, 3), (2, 4)])), kept);
    seconds(2).await;
    assert!(is_held(), "there is more to come");
    seconds(2).await;
    assert!(!is_held());
    assert_eq!(response.bytes().await.expect("a body"), "xxxxxxx");
}

#[tokio::test(start_paused = true)]
async fn a_large_body_lets_go_when_it_was_read_to_its_end() {
    let (kept, is_held) = thing();
    let mut response = holding(response(chunks([(0, 50_000), (0, 50_000), (1, 5)])), kept);
    seconds(60).await;
    assert!(is_held(), "the server still has it");
    for size in [50_000, 50_000, 5] {
        assert!(is_held());
        let chunk = response.chunk().await.expect("a body").expect("a chunk");
        assert_eq!(chunk.len(), size);
    }
    assert!(response.chunk().await.expect("a body").is_none());
    assert!(!is_held());
}

#[tokio::test(start_paused = true)]
async fn a_body_whose_size_is_known_is_read_ahead_only_if_it_is_small() {
    for (size, is_read) in [(LARGEST, true), (LARGEST + 1, false)] {
        let (kept, is_held) = thing();
        let response = holding(response(vec![b'x'; size]), kept);
        assert_eq!(response.content_length(), Some(size as u64));
        seconds(1).await;
        assert_eq!(is_held(), !is_read, "{size}");
        assert_eq!(response.bytes().await.expect("a body").len(), size);
        assert!(!is_held());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_stays_a_stream() {
    let (kept, is_held) = thing();
    let mut response = holding(response(chunks((0..).map(|_| (10, 1)))), kept);
    let begun = SystemClock.now().moment;
    for number in 1..=20 {
        response.chunk().await.expect("a body").expect("a chunk");
        let elapsed = SystemClock.now().moment - begun;
        assert_eq!(elapsed.as_secs(), 10 * number);
    }
    assert!(is_held());
    drop(response);
    tokio::task::yield_now().await;
    assert!(!is_held());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_dropped_lets_go_read_or_not() {
    for is_read in [false, true] {
        let (kept, is_held) = thing();
        let mut response = holding(response(chunks([(0, 1), (3_600, 1)])), kept);
        if is_read {
            response.chunk().await.expect("a body").expect("a chunk");
        }
        assert!(is_held());
        drop(response);
        seconds(1).await;
        assert!(!is_held(), "read: {is_read}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_lets_go_and_breaks_off_for_the_caller_too() {
    for is_read in [false, true] {
        let broken = stream::once(async { Chunk::Err(std::io::Error::other("broken")) });
        let first = stream::once(async { Chunk::Ok(Bytes::from_static(b"xx")) });
        let (kept, is_held) = thing();
        let mut response = holding(response(Body::wrap_stream(first.chain(broken))), kept);
        if !is_read {
            seconds(1).await;
            assert!(!is_held());
        }
        let first = response.chunk().await.expect("what came before");
        assert_eq!(first.as_deref(), Some(&b"xx"[..]));
        assert!(response.chunk().await.is_err());
        assert!(!is_held());
    }
}

#[tokio::test(start_paused = true)]
async fn everything_else_stays_as_it_was() {
    let response = holding(response("text"), ());
    assert_eq!(response.url().as_str(), "https://api.example/x?y");
    assert_eq!(response.headers()["x-kept"], "yes");
    assert_eq!(response.extensions().get::<u8>(), Some(&7));
    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(response.content_length(), Some(4));
    assert_eq!(response.text().await.expect("a body"), "text");
}

#[test]
fn outside_of_a_runtime_the_caller_alone_reads() {
    let (kept, is_held) = thing();
    let response = holding(response("text"), kept);
    assert!(is_held());
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.build().expect("a runtime");
    let text = runtime.block_on(response.text());
    assert_eq!(text.expect("a body"), "text");
    assert!(!is_held());
}

#[test]
fn a_body_whose_runtime_is_gone_is_an_error_and_lets_go() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime")
    };
    let (kept, is_held) = thing();
    let first = runtime();
    let response = first.block_on(async { holding(response(chunks([(60, 1)])), kept) });
    drop(first);
    assert!(!is_held());
    assert!(runtime().block_on(response.text()).is_err());
}
