//! The task of one socket: it hears what happens, has the machine decide, and does
//! what that says.
//!
//! It waits for four things at once: the peer, the mailbox, a link with room, and the
//! end of the connection. The peer is not heard while a link has no room or too many
//! of its sends are undecided: TCP then holds it back.

use std::{
    collections::VecDeque,
    future::{Future, pending},
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use sotto_ids::DeviceAddress;
use sotto_kit::{auth::AuthError, clock::millis, fault::Fault as _};
use sotto_proto::messages::uplink::Item;
use tokio::time::timeout;

use super::{
    close::CloseCode,
    codec::Encoding,
    io::{Action, Actions, Event, Identity, Input, Page, Refusal},
    machine::{Machine, Setup, unavailable},
    outbox::Outbox,
    uplink::Asker,
};
use crate::{
    gateway::Gateway,
    links::TrySendError,
    mailbox::Mailbox,
    metrics,
    registry::{Handle, Registered},
    transport::{Broken, Gone, Incoming, Transport},
};

/// Messages of the peer that are taken in one go, so that what they cause goes out in
/// one write.
const READ_AHEAD: usize = 32;

/// How long a peer may take to see that the socket closes: a device that was revoked
/// is off it within a second, whatever it does.
const CLOSE_PATIENCE: Duration = Duration::from_millis(800);

/// An item on its way to a link that has no room; it comes back where the link is lost.
type Waiting = Pin<Box<dyn Future<Output = Result<(), Box<Item>>>>>;

/// See the module.
pub(crate) struct Session<T> {
    gateway: Arc<Gateway>,
    registered: Registered,
    socket: T,
    encoding: Encoding,
    machine: Machine,
    actions: Actions,
    outbox: Outbox,
    asker: Option<(DeviceAddress, Asker)>,
    waiting: Option<Waiting>,
    /// What comes after the one that waits.
    backlog: VecDeque<Item>,
    tally: Tally,
}

/// What the one log line of a session says.
#[derive(Debug)]
struct Tally {
    since: Instant,
    sent: u64,
    delivered: u64,
    acknowledged: u64,
}

/// How a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// We close; the last frames are in the outbox.
    Ours(CloseCode),
    /// We let go of a socket that cannot be written to.
    Abandoned(CloseCode),
    /// The peer has closed; our answer is in the outbox.
    Peer,
    /// The connection is gone.
    Lost,
}

impl Ending {
    const fn reason(self) -> &'static str {
        match self {
            Self::Ours(code) | Self::Abandoned(code) => code.reason(),
            Self::Peer => "closed_by_peer",
            Self::Lost => "connection_lost",
        }
    }
}

/// What woke a session.
enum Wake {
    Mail,
    Heard(Result<Incoming, Broken>),
    Room(Result<(), Box<Item>>),
    Gone,
}

impl<T: Transport> Session<T> {
    /// Registers a socket that was upgraded.
    pub(crate) fn open(gateway: &Arc<Gateway>, socket: T, encoding: Encoding) -> Self {
        let (connection, phase) = gateway.draw();
        let mailbox = gateway.config.mailbox;
        let handle = Handle::new(connection, Mailbox::new(mailbox));
        metrics::opened(encoding.label());
        Self {
            gateway: gateway.clone(),
            registered: gateway.registry.open(handle),
            socket,
            encoding,
            machine: Machine::new(Setup {
                connection,
                session: gateway.session.clone(),
                mailbox,
                phase,
                now_ms: gateway.clock.now_ms(),
            }),
            actions: Actions::new(),
            outbox: Outbox::new(encoding),
            asker: None,
            waiting: None,
            backlog: VecDeque::new(),
            tally: Tally { since: Instant::now(), sent: 0, delivered: 0, acknowledged: 0 },
        }
    }

    /// Serves the socket until it ends. `token`: the one that the upgrade carried.
    pub(crate) async fn run(mut self, token: Option<String>) {
        self.step(Input::Opened { token });
        let ending = match self.serve().await {
            Ok(never) => match never {},
            Err(ending) => ending,
        };
        Box::pin(self.finish(ending)).await;
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, Ending> {
        loop {
            self.act().await?;
            self.flush().await?;
            match self.wake().await {
                Wake::Mail => self.take_mail(),
                Wake::Heard(heard) => {
                    self.hear(heard)?;
                    self.hear_more().await?;
                }
                Wake::Room(sent) => {
                    self.waiting = None;
                    if let Err(item) = sent {
                        self.fail(&item);
                    }
                    self.put_backlog();
                }
                Wake::Gone => return Err(Ending::Lost),
            }
        }
    }

    async fn wake(&mut self) -> Wake {
        let reads = self.reads();
        let Self { registered, socket, waiting, .. } = self;
        let mailbox = &registered.handle().mailbox;
        let peer = async {
            if reads {
                Wake::Heard(socket.next().await)
            } else {
                socket.gone().await;
                Wake::Gone
            }
        };
        let room = async {
            match waiting {
                Some(waiting) => Wake::Room(waiting.await),
                None => pending().await,
            }
        };
        tokio::select! {
            () = mailbox.arrived() => Wake::Mail,
            wake = peer => wake,
            wake = room => wake,
        }
    }

    fn reads(&self) -> bool {
        self.waiting.is_none() && self.machine.wants_frames()
    }

    fn step(&mut self, input: Input) {
        self.machine.step(input, self.gateway.clock.now_ms(), &mut self.actions);
    }

    fn take_mail(&mut self) {
        if !self.reads() {
            // Nobody listens to the peer now, so its silence says nothing.
            self.machine.alive();
        }
        for event in self.registered.handle().mailbox.take().events() {
            self.step(Input::Event(event));
        }
    }

    fn hear(&mut self, heard: Result<Incoming, Broken>) -> Result<(), Ending> {
        let input = match heard {
            Ok(Incoming::Binary(payload)) if self.encoding == Encoding::Proto => {
                self.decode(payload)
            }
            Ok(Incoming::Text(payload)) if self.encoding == Encoding::Json => self.decode(payload),
            Ok(Incoming::Binary(_) | Incoming::Text(_)) => {
                Input::Refused(CloseCode::WrongFrameKind)
            }
            Ok(Incoming::Ping(payload)) => {
                self.machine.alive();
                self.outbox.pong(&payload);
                return Ok(());
            }
            Ok(Incoming::Pong) => {
                self.machine.alive();
                return Ok(());
            }
            Ok(Incoming::Close) => {
                self.outbox.close_back();
                return Err(Ending::Peer);
            }
            Err(Broken::TooLarge) => Input::Refused(CloseCode::FrameTooLarge),
            Err(Broken::Malformed) => Input::Refused(CloseCode::MalformedFrame),
            Err(Broken::OverBudget) => Input::Refused(CloseCode::Unavailable),
            Err(Broken::Gone) => return Err(Ending::Lost),
        };
        self.step(input);
        Ok(())
    }

    fn decode(&self, payload: Bytes) -> Input {
        self.gateway.meters.frames_in.increment(1);
        match self.encoding.decode(payload) {
            Ok(frame) => Input::Frame(frame),
            Err(_) => Input::Refused(CloseCode::MalformedFrame),
        }
    }

    /// Takes what else has arrived already. Each frame is acted on before the next is
    /// heard: one may stand behind the Authenticate that it needs.
    async fn hear_more(&mut self) -> Result<(), Ending> {
        for _ in 0..READ_AHEAD {
            self.act().await?;
            if !self.reads() {
                break;
            }
            let Some(heard) = self.socket.next().now_or_never() else {
                break;
            };
            self.hear(heard)?;
        }
        Ok(())
    }

    /// Does what the machine has said, and what follows from it.
    async fn act(&mut self) -> Result<(), Ending> {
        while let Some(action) = self.actions.pop_front() {
            match action {
                Action::Send(frame) => self.outbox.frame(&frame),
                Action::Deliver(encoded) => {
                    self.tally.delivered += 1;
                    self.gateway.meters.delivered.increment(1);
                    self.outbox.deliver(encoded);
                }
                Action::Ping => self.outbox.ping(),
                Action::Verify { in_reply_to, token } => {
                    // Boxed, like what else is rare: a socket that is idle should not
                    // keep room for it.
                    let verdict = Box::pin(self.verify(&token)).await;
                    // It may have taken long. The token of a running socket changes
                    // nothing about what its peer sent before it went.
                    if self.asker.is_none() && self.socket.has_left() {
                        return Err(self.left());
                    }
                    self.step(Input::Verified { in_reply_to, verdict });
                }
                Action::Admit(identity) => {
                    if !Box::pin(self.admit(&identity)).await {
                        return Err(self.left());
                    }
                    self.step(Input::Admitted);
                }
                Action::Submit { frame, send } => {
                    self.tally.sent += 1;
                    self.put(|asker| asker.submit(frame, send));
                }
                Action::Acknowledge(ids) => {
                    self.tally.acknowledged += ids.len() as u64;
                    self.gateway.meters.acknowledged.increment(ids.len() as u64);
                    self.put(|asker| asker.acknowledge(&ids));
                }
                Action::Pull { in_flight, limit } => {
                    self.put(|asker| asker.pull(&in_flight, limit));
                }
                Action::WakeAt(at_ms) => {
                    self.gateway.wheel.wake_at(self.registered.handle().connection, at_ms);
                }
                Action::Close(code) => {
                    self.outbox.close(code);
                    return Err(Ending::Ours(code));
                }
            }
            if self.outbox.is_enough() {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn verify(&self, token: &str) -> Result<Identity, Refusal> {
        let verified =
            timeout(self.gateway.session.verify_timeout, self.gateway.verifier.verify(token));
        let refusal = |error: &AuthError| Refusal {
            reason: error.reason(),
            detail: error.public_message(),
            close: match error {
                AuthError::Expired => CloseCode::TokenExpired,
                AuthError::Missing | AuthError::Malformed | AuthError::Invalid => {
                    CloseCode::AuthenticationFailed
                }
                AuthError::KeysUnavailable(_) => CloseCode::Unavailable,
            },
        };
        match verified.await {
            Ok(Ok(caller)) => Ok(Identity {
                device: caller.device,
                app: caller.app,
                token_expires_at_ms: caller.expires_at_ms,
            }),
            Ok(Err(error)) => Err(refusal(&error)),
            Err(_) => Err(Refusal {
                reason: "token_keys_unavailable",
                detail: "the token cannot be verified now".to_owned(),
                close: CloseCode::Unavailable,
            }),
        }
    }

    /// Says whether the peer was there for it.
    async fn admit(&mut self, identity: &Identity) -> bool {
        let Self { gateway, registered, socket, asker, .. } = self;
        let handle = registered.handle();
        *asker = Some((identity.device, Asker::new(handle.connection, identity)));
        gateway.admission.admit(handle, identity.device, || socket.has_left()).await
    }

    /// The end of a socket whose peer went before it was admitted.
    fn left(&mut self) -> Ending {
        self.outbox.close_back();
        Ending::Peer
    }

    /// Puts an item on the device's link, behind what waits already.
    fn put(&mut self, item: impl FnOnce(&Asker) -> Item) {
        let Some((_, asker)) = &self.asker else {
            return;
        };
        let item = item(asker);
        if self.waiting.is_some() {
            self.backlog.push_back(item);
        } else {
            self.put_now(item);
        }
    }

    fn put_backlog(&mut self) {
        while self.waiting.is_none()
            && let Some(item) = self.backlog.pop_front()
        {
            self.put_now(item);
        }
    }

    fn put_now(&mut self, item: Item) {
        let link = self.asker.as_ref().and_then(|(device, _)| self.gateway.links.route(*device));
        let Some(link) = link else {
            return self.fail(&item);
        };
        match link.try_send(item) {
            Ok(()) => {}
            Err(TrySendError::Lost(item)) => self.fail(&item),
            Err(TrySendError::Full(item)) => {
                self.gateway.meters.waits.increment(1);
                self.waiting = Some(Box::pin(async move { link.send(item).await }));
            }
        }
    }

    /// Answers an item that no replica took.
    fn fail(&mut self, item: &Item) {
        let event = match item {
            Item::Submit(submit) => {
                self.gateway.meters.unavailable.increment(1);
                Event::Outcome { frame: submit.frame, result: unavailable() }
            }
            Item::Pull(_) => Event::Page(Page { envelopes: Vec::new(), last: false, failed: true }),
            // What it names is delivered once more.
            Item::Acknowledge(_) => return,
        };
        self.step(Input::Event(event));
    }

    /// Writes what has gathered. Waits for a slow peer, but not for ever, and not for
    /// a peer whose socket is to end.
    async fn flush(&mut self) -> Result<(), Ending> {
        let Some(wire) = self.outbox.take() else {
            return Ok(());
        };
        self.gateway.meters.frames_out.increment(self.outbox.take_count());
        let write = timeout(self.gateway.session.write_timeout, self.socket.write(wire));
        tokio::select! {
            biased;
            written = write => match written {
                Ok(Ok(())) => Ok(()),
                Ok(Err(Gone)) => Err(Ending::Lost),
                Err(_) => Err(Ending::Abandoned(CloseCode::TooSlow)),
            },
            () = self.registered.handle().mailbox.cut() => Err(self.cut()),
        }
    }

    /// Why the socket is to end though it cannot be written to.
    fn cut(&mut self) -> Ending {
        self.take_mail();
        let code = self.actions.iter().find_map(|action| match action {
            Action::Close(code) => Some(*code),
            _ => None,
        });
        Ending::Abandoned(code.unwrap_or(CloseCode::Displaced))
    }

    async fn finish(self, ending: Ending) {
        let Self { gateway, registered, mut socket, mut outbox, asker, tally, encoding, .. } = self;
        let handle = registered.handle();
        // The audit no longer writes its place anew. The registry has it until all is
        // done, since a drain waits for that.
        registered.leave();

        let wire = match ending {
            Ending::Ours(_) | Ending::Peer => outbox.take(),
            Ending::Abandoned(_) | Ending::Lost => None,
        };
        let take_leave = async {
            if let Some(wire) = wire
                && socket.write(wire).await.is_ok()
                && matches!(ending, Ending::Ours(_))
            {
                // A connection that ends with bytes unread is reset, and the Close frame
                // may be lost with it. So the peer closes first, if it can.
                closed_by_peer(&mut socket).await;
            }
        };
        let forget_place = async {
            if let Some((device, _)) = asker {
                gateway.admission.leave(handle, device).await;
            }
        };
        let (_in_time, ()) = tokio::join!(timeout(CLOSE_PATIENCE, take_leave), forget_place);
        drop(socket);

        gateway.meters.frames_out.increment(outbox.take_count());
        metrics::closed(ending.reason());
        tracing::info!(
            connection = %handle.connection,
            encoding = encoding.label(),
            sent = tally.sent,
            delivered = tally.delivered,
            acknowledged = tally.acknowledged,
            duration_ms = millis(tally.since.elapsed()),
            close = ending.reason(),
            "session ended"
        );
    }
}

/// Reads, and passes over, what the peer still sends.
async fn closed_by_peer(socket: &mut impl Transport) {
    while !matches!(socket.next().await, Ok(Incoming::Close) | Err(_)) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::http1::Http1;

    fn size_of_future<A, B, F>(_: impl FnOnce(A, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_task_of_a_socket_is_small() {
        let bytes = size_of_future(Session::<Http1>::run);
        assert!(bytes <= 4096, "{bytes}");
    }
}
