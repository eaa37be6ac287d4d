//! The socket of a device in groups: it sends, hears what is published, and comes back.

use std::{collections::HashMap, sync::Arc, time::Duration};

use sotto_proto::socket::{
    ClientFrame, GroupAck, GroupDeliver, GroupHeads, GroupSend, ServerFrame, client_frame,
    server_frame,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::{AbortHandle, JoinSet},
};
use tokio_tungstenite::tungstenite::Error as WsError;
use url::Url;

use super::api::Moved;
use crate::light::socket::{Closed, Incoming, Socket};

/// What may wait to be said.
const DESK: usize = 1_024;

/// Frames that are written before they are flushed.
const AT_ONCE: usize = 64;

/// The pause before a socket that was lost is opened again.
const RETRY: Duration = Duration::from_millis(300);

/// Who hears what comes. It must not wait for anything.
pub(crate) trait Ear: Send + Sync + 'static {
    /// The socket is open.
    fn hello(&self);
    /// Entries of a log.
    fn deliver(&self, deliver: GroupDeliver);
    /// Where logs end.
    fn heads(&self, heads: GroupHeads);
}

/// What became of a send.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It stands in the log, here.
    Accepted(u64),
    /// The group has moved on.
    Stale(Moved),
    /// It was refused, with when the same may pass, if it may.
    Refused(String, Option<Duration>),
}

/// The socket of a device. It ends with the handle.
#[derive(Debug)]
pub(crate) struct Line {
    desk: mpsc::Sender<Say>,
    task: AbortHandle,
}

#[derive(Debug)]
enum Say {
    Send(GroupSend, oneshot::Sender<Answer>),
    Ack(GroupAck),
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Line {
    /// Connects a device, and keeps it connected.
    pub(crate) fn open(
        url: Url,
        token: String,
        ear: Arc<impl Ear>,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let (desk, orders) = mpsc::channel(DESK);
        let task = tasks.spawn(async move {
            let mut run = Run { ear, orders, pending: HashMap::new(), last: 0 };
            loop {
                match Socket::open(&url, &token).await {
                    Ok(socket) => run.stay(socket).await,
                    Err(Closed::Busy(after)) => {
                        tokio::time::sleep(after.unwrap_or(RETRY)).await;
                    }
                    Err(Closed::Token) => return,
                    Err(Closed::Away) => {}
                }
                tokio::time::sleep(RETRY).await;
            }
        });
        Self { desk, task }
    }

    /// Sends a message. `None` where the socket was lost before an answer came.
    pub(crate) async fn send(&self, send: GroupSend) -> Option<Answer> {
        let (answer, answered) = oneshot::channel();
        self.desk.send(Say::Send(send, answer)).await.ok()?;
        answered.await.ok()
    }

    /// Acknowledges. One that finds no room is passed over: a later one says more.
    pub(crate) fn acknowledge(&self, ack: GroupAck) {
        self.desk.try_send(Say::Ack(ack)).ok();
    }
}

struct Run<E> {
    ear: Arc<E>,
    orders: mpsc::Receiver<Say>,
    pending: HashMap<u64, oneshot::Sender<Answer>>,
    last: u64,
}

impl<E: Ear> Run<E> {
    async fn stay(&mut self, mut socket: Socket) {
        let mut is_welcome = false;
        loop {
            let written = tokio::select! {
                incoming = socket.next() => match incoming {
                    Incoming::Frame(frame) => {
                        is_welcome |= self.take(*frame);
                        Ok(())
                    }
                    Incoming::Beat => socket.flush().await,
                    Incoming::End(_) => break,
                },
                Some(say) = self.orders.recv(), if is_welcome => self.say(say, &mut socket).await,
            };
            if written.is_err() {
                break;
            }
        }
        // Whoever waits for an answer sends again, with the same id.
        self.pending.clear();
    }

    /// Says what is to be said, and whatever else is by now.
    async fn say(&mut self, first: Say, socket: &mut Socket) -> Result<(), WsError> {
        let mut next = Some(first);
        let mut written = 0;
        while let Some(say) = next {
            let (id, body) = match say {
                Say::Send(send, answer) => {
                    self.last += 1;
                    self.pending.insert(self.last, answer);
                    (self.last, client_frame::Body::GroupSend(send))
                }
                Say::Ack(ack) => (0, client_frame::Body::GroupAck(ack)),
            };
            socket.feed(&ClientFrame { id, body: Some(body) }).await?;
            written += 1;
            next = if written < AT_ONCE { self.orders.try_recv().ok() } else { None };
        }
        socket.flush().await
    }

    /// Takes a frame in. Whether it was the hello.
    fn take(&mut self, frame: ServerFrame) -> bool {
        let id = frame.in_reply_to;
        match frame.body {
            Some(server_frame::Body::Hello(_)) => {
                self.ear.hello();
                return true;
            }
            Some(server_frame::Body::GroupDeliver(deliver)) => self.ear.deliver(deliver),
            Some(server_frame::Body::GroupHeads(heads)) => self.ear.heads(heads),
            Some(server_frame::Body::GroupAccepted(accepted)) => {
                self.answer(id, Answer::Accepted(accepted.seq));
            }
            Some(server_frame::Body::GroupStale(stale)) => {
                let reason = "stale_epoch".to_owned();
                let (epoch, entries, more) = (stale.epoch, stale.entries, stale.more);
                self.answer(id, Answer::Stale(Moved { reason, epoch, entries, more }));
            }
            Some(server_frame::Body::Error(error)) => {
                let after = u64::from(error.retry_after_ms);
                let after = (after > 0).then(|| Duration::from_millis(after));
                self.answer(id, Answer::Refused(error.reason, after));
            }
            _ => {}
        }
        false
    }

    fn answer(&mut self, id: u64, answer: Answer) {
        if let Some(waiting) = self.pending.remove(&id) {
            // Whoever has stopped waiting needs none.
            waiting.send(answer).ok();
        }
    }
}
