//! The way on to the open socket for what is not worth keeping.

use std::sync::{Mutex, PoisonError};

use sotto_proto::socket::{ClientFrame, Send, client_frame};
use tokio::sync::mpsc;

/// Frames of the socket that is open, while one is.
#[derive(Default)]
pub(crate) struct Line(Mutex<Option<mpsc::Sender<ClientFrame>>>);

impl Line {
    /// There is a socket, until the guard is dropped.
    pub(crate) fn open(&self, frames: mpsc::Sender<ClientFrame>) -> Open<'_> {
        self.set(Some(frames));
        Open(self)
    }

    /// Sends it, if that is possible at once; nobody waits for an answer.
    pub(crate) fn send(&self, send: Send) -> bool {
        let frame = ClientFrame { id: 0, body: Some(client_frame::Body::Send(send)) };
        let frames = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        frames.as_ref().is_some_and(|frames| frames.try_send(frame).is_ok())
    }

    fn set(&self, frames: Option<mpsc::Sender<ClientFrame>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = frames;
    }
}

/// Closes the line when it is dropped.
pub(crate) struct Open<'l>(&'l Line);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.set(None);
    }
}
