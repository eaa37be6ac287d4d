//! The way of bytes from a session to the HTTP/1 dispatcher of its connection.
//!
//! It holds one chunk: what does not fit waits with the session, which can bound it.
//! Both ends live on the same worker, so this needs no lock, and next to no memory
//! for a socket that is idle.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use actix_http::body::{BodySize, MessageBody};
use bytes::Bytes;

use super::Gone;

#[derive(Debug, Default)]
struct Shared {
    chunk: Option<Bytes>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    writer_gone: bool,
    reader_gone: bool,
}

/// The end of the session.
#[derive(Debug)]
pub(crate) struct PipeWriter(Rc<RefCell<Shared>>);

/// The end of the dispatcher: the body of the response.
#[derive(Debug)]
pub(crate) struct PipeBody(Rc<RefCell<Shared>>);

pub(crate) fn pipe() -> (PipeWriter, PipeBody) {
    let shared = Rc::new(RefCell::new(Shared::default()));
    (PipeWriter(shared.clone()), PipeBody(shared))
}

impl PipeWriter {
    /// Returns once the chunk before has been taken.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<(), Gone> {
        let mut bytes = Some(bytes);
        poll_fn(|cx| {
            let mut shared = self.0.borrow_mut();
            if shared.reader_gone {
                return Poll::Ready(Err(Gone));
            }
            if shared.chunk.is_some() {
                shared.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
            shared.chunk = bytes.take();
            wake(shared.reader.take());
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Returns once the body has been dropped: with the connection, or at its end.
    pub(crate) async fn gone(&mut self) {
        poll_fn(|cx| {
            let mut shared = self.0.borrow_mut();
            if shared.reader_gone {
                return Poll::Ready(());
            }
            shared.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Drop for PipeWriter {
    fn drop(&mut self) {
        let mut shared = self.0.borrow_mut();
        shared.writer_gone = true;
        wake(shared.reader.take());
    }
}

impl MessageBody for PipeBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let mut shared = self.0.borrow_mut();
        if let Some(bytes) = shared.chunk.take() {
            wake(shared.writer.take());
            return Poll::Ready(Some(Ok(bytes)));
        }
        if shared.writer_gone {
            return Poll::Ready(None);
        }
        shared.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for PipeBody {
    fn drop(&mut self) {
        let mut shared = self.0.borrow_mut();
        shared.reader_gone = true;
        shared.chunk = None;
        wake(shared.writer.take());
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn chunk(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    async fn read(body: &mut PipeBody) -> Option<Bytes> {
        poll_fn(|cx| Pin::new(&mut *body).poll_next(cx)).await.map(|Ok(bytes)| bytes)
    }

    #[tokio::test]
    async fn a_second_chunk_waits_until_the_first_is_taken() {
        let (mut writer, mut body) = pipe();
        writer.write(chunk("one")).await.unwrap();
        assert!(writer.write(chunk("lost")).now_or_never().is_none());

        assert_eq!(read(&mut body).await, Some(chunk("one")));
        writer.write(chunk("two")).await.unwrap();

        assert_eq!(read(&mut body).await, Some(chunk("two")));
    }

    #[tokio::test]
    async fn the_body_ends_after_the_last_chunk() {
        let (mut writer, mut body) = pipe();
        writer.write(chunk("last")).await.unwrap();
        drop(writer);

        assert_eq!(read(&mut body).await, Some(chunk("last")));
        assert_eq!(read(&mut body).await, None);
    }

    #[tokio::test]
    async fn the_writer_learns_that_the_connection_is_gone() {
        let (mut writer, body) = pipe();
        writer.write(chunk("one")).await.unwrap();
        let (written, ()) = tokio::join!(writer.write(chunk("two")), async { drop(body) });

        assert_eq!(written, Err(Gone));
        writer.gone().await;
    }
}
