//! A response that keeps something until its body has ended.
//!
//! Many a caller keeps responses whose bodies it has not read yet: each would keep that thing for
//! ever, though the server has long sent all of it. So a body that is not read yet is read ahead,
//! by a task of its own: 64 KiB at most, and no further once the caller reads it, so that a stream
//! stays one.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body::{Body as HttpBody, Frame, SizeHint};
use reqwest::{Body, Response};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{LARGEST, Partial, of_parts};
use crate::error::BoxError;

/// The same response, which drops `kept` once its body has ended, broke off, or was dropped.
pub(crate) fn holding<T: Send + Sync + Unpin + 'static>(response: Response, kept: T) -> Response {
    let url = response.url().clone();
    let (parts, body) = http::Response::from(response).into_parts();
    let is_large = body.size_hint().lower() > LARGEST as u64;
    let held = match Handle::try_current() {
        Ok(runtime) if !is_large => Held::Ahead(Ahead::new(body, kept, &runtime)),
        _ => Held::Here(Partial::new(body), Some(kept)),
    };
    of_parts(url, parts, Body::wrap(held))
}

enum Held<T> {
    Ahead(Ahead<T>),
    Here(Partial, Option<T>),
    /// The runtime that read ahead is gone, and the body with it.
    Gone,
}

/// A body that a task reads until the caller does.
struct Ahead<T> {
    size: SizeHint,
    /// Dropped, it ends the reading.
    unread: Option<oneshot::Sender<()>>,
    task: JoinHandle<(Partial, Option<T>)>,
}

impl<T: Send + 'static> Ahead<T> {
    fn new(body: Body, kept: T, runtime: &Handle) -> Self {
        let size = body.size_hint();
        let (unread, wanted) = oneshot::channel();
        let task = runtime.spawn(async move {
            let mut read = Partial::new(body);
            let is_read = matches!(select(pin!(read.fill()), wanted).await, Either::Left(_));
            let kept = Some(kept).filter(|_| !(is_read && read.is_over()));
            (read, kept)
        });
        Self {
            size,
            unread: Some(unread),
            task,
        }
    }
}

impl<T> Drop for Ahead<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<T: Send + Sync + Unpin + 'static> HttpBody for Held<T> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Self::Ahead(ahead) = &mut *self {
            ahead.unread = None;
            match ready!(Pin::new(&mut ahead.task).poll(context)) {
                Ok((read, kept)) => *self = Self::Here(read, kept),
                Err(error) => {
                    *self = Self::Gone;
                    return Poll::Ready(Some(Err(error.into())));
                }
            }
        }
        let Self::Here(read, kept) = &mut *self else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(&mut *read).poll_frame(context));
        if read.is_over() || !matches!(frame, Some(Ok(_))) {
            *kept = None;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Ahead(_) => false,
            Self::Here(read, _) => read.is_end_stream(),
            Self::Gone => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Ahead(ahead) => ahead.size,
            Self::Here(read, _) => read.size_hint(),
            Self::Gone => SizeHint::with_exact(0),
        }
    }
}

#[cfg(test)]
mod tests;
