//! The task of one socket: it hears what happens, has the machine decide, and does
//! what that says.
//!
//! It waits for four things at once: the peer, the mailbox, a link with room, and the
//! end of the connection. The peer is not heard while a link has no room or too many
//! of its sends are undecided: TCP then holds it back.

use std::{future::pending, sync::Arc};

use bytes::Bytes;
use futures_util::FutureExt as _;
use sotto_kit::limits::Allowance;
use sotto_proto::{groups, messages::uplink::Item};
use tokio::time::timeout;

use super::{
    close::CloseCode,
    codec::Encoding,
    ending::{Ending, Tally},
    io::{Action, Actions, Event, Input},
    line::Line,
    machine::{Machine, Setup},
    outbox::Outbox,
    uplink::Asker,
};
use crate::{
    entrance::Opening,
    gateway::Gateway,
    groups::{Membership, line::GroupLine},
    mailbox::Mailbox,
    metrics,
    registry::{Handle, Registered},
    tickets::TicketKey,
    transport::{Broken, Gone, Incoming, Transport},
};

/// Messages of the peer that are taken in one go, so that what they cause goes out in
/// one write.
const READ_AHEAD: usize = 32;

/// See the module.
pub(crate) struct Session<T> {
    pub(super) gateway: Arc<Gateway>,
    pub(super) registered: Registered,
    pub(super) socket: T,
    pub(super) encoding: Encoding,
    pub(super) machine: Machine,
    actions: Actions,
    pub(super) outbox: Outbox,
    /// From when its device is known.
    pub(super) line: Option<Line>,
    pub(super) group_line: Option<GroupLine>,
    /// What the device may still send before its limits are looked at; and what to groups.
    pub(super) allowance: Allowance,
    pub(super) group_allowance: Allowance,
    /// From when it is told of its groups.
    pub(super) membership: Option<Membership>,
    /// What the device may resume with.
    pub(super) ticket: Option<TicketKey>,
    /// Until the first page of its queue is here.
    pub(super) opening: Option<Opening>,
    pub(super) tally: Tally,
}

/// What woke a session.
enum Wake {
    Mail,
    Heard(Result<Incoming, Broken>),
    Room(Result<(), Box<Item>>),
    GroupRoom(Result<(), Box<groups::uplink::Item>>),
    Gone,
}

impl<T: Transport> Session<T> {
    /// Registers a socket that was upgraded. `opening`: where the upgrade carried a token.
    pub(crate) fn open(
        gateway: &Arc<Gateway>,
        mut socket: T,
        encoding: Encoding,
        opening: Option<Opening>,
    ) -> Self {
        let (connection, phase) = gateway.draw();
        let mailbox = gateway.config.mailbox;
        let handle = Handle::new(connection, Mailbox::new(mailbox));
        metrics::opened(encoding.label());
        socket.bound_frames(gateway.config.max_unauthenticated_frame.0);
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
                groups: gateway.has_groups,
            }),
            actions: Actions::new(),
            outbox: Outbox::new(encoding),
            line: None,
            group_line: None,
            allowance: Allowance::default(),
            group_allowance: Allowance::default(),
            membership: None,
            ticket: None,
            opening,
            tally: Tally::start(),
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
                    let failed = self.line.as_mut().map(|line| line.go_on(sent));
                    for event in failed.into_iter().flatten() {
                        self.step(Input::Event(event));
                    }
                }
                Wake::GroupRoom(sent) => {
                    let failed = self.group_line.as_mut().map(|line| line.go_on(sent));
                    for event in failed.into_iter().flatten() {
                        self.step(Input::Event(event));
                    }
                }
                Wake::Gone => return Err(Ending::Lost),
            }
        }
    }

    async fn wake(&mut self) -> Wake {
        let reads = self.reads();
        let Self { registered, socket, line, group_line, .. } = self;
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
            match line {
                Some(line) => Wake::Room(line.room().await),
                None => pending().await,
            }
        };
        let group_room = async {
            match group_line {
                Some(line) => Wake::GroupRoom(line.room().await),
                None => pending().await,
            }
        };
        tokio::select! {
            () = mailbox.arrived() => Wake::Mail,
            wake = peer => wake,
            wake = room => wake,
            wake = group_room => wake,
        }
    }

    fn reads(&self) -> bool {
        !self.line.as_ref().is_some_and(Line::is_full)
            && !self.group_line.as_ref().is_some_and(GroupLine::is_full)
            && self.machine.wants_frames()
    }

    pub(super) fn step(&mut self, input: Input) {
        match &input {
            Input::Event(Event::Page(_)) => self.opening = None,
            Input::Event(Event::GroupOutcome { frame, .. }) => {
                if let Some(line) = &mut self.group_line {
                    line.decided(*frame);
                }
            }
            _ => {}
        }
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
                self.outbox.pong(&payload);
                Input::Heard
            }
            Ok(Incoming::Pong | Incoming::Part) => Input::Heard,
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
                Action::Pass(encoded) => {
                    self.gateway.meters.ephemeral.increment(1);
                    self.outbox.deliver(encoded);
                }
                Action::Ping => self.outbox.ping(),
                // Boxed, like what else is rare: a socket that is idle should not keep
                // room for it.
                Action::Verify { in_reply_to, token } => {
                    Box::pin(self.verify(in_reply_to, &token)).await?;
                }
                Action::Redeem { in_reply_to, ticket } => {
                    Box::pin(self.redeem(in_reply_to, &ticket)).await?;
                }
                Action::Admit(identity) => Box::pin(self.admit(&identity)).await?,
                Action::Prolong(identity) => {
                    if let Some(ticket) = self.ticket {
                        Box::pin(self.gateway.tickets.prolong(ticket, &identity)).await;
                    }
                }
                Action::Submit { frame, send } => {
                    if self.allowance.spend(1) || Box::pin(self.may_send(frame)).await {
                        self.tally.sent += 1;
                        self.put(|asker| asker.submit(frame, send));
                    }
                }
                Action::Retract { frame, retract } => {
                    if self.allowance.spend(1) || Box::pin(self.may_send(frame)).await {
                        self.put(|asker| asker.retract(frame, retract));
                    }
                }
                Action::Acknowledge(ids) => {
                    self.tally.acknowledged += ids.len() as u64;
                    self.gateway.meters.acknowledged.increment(ids.len() as u64);
                    self.put(|asker| asker.acknowledge(&ids));
                }
                Action::Pull { in_flight, limit } => {
                    self.put(|asker| asker.pull(&in_flight, limit));
                }
                Action::EnterGroups => self.enter_groups(),
                Action::GroupSubmit { frame, send } => {
                    if self.group_allowance.spend(1) || Box::pin(self.may_group_send(frame)).await {
                        self.group_submit(frame, send);
                    }
                }
                Action::GroupAcknowledge(cursors) => {
                    if let Some(line) = &mut self.group_line {
                        line.acknowledge(cursors);
                    }
                }
                Action::Broadcast(broadcast) => self.broadcast(&broadcast),
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

    fn put(&mut self, item: impl FnOnce(&Asker) -> Item) {
        if let Some(answer) = self.line.as_mut().and_then(|line| line.put(item)) {
            self.step(Input::Event(answer));
        }
    }

    /// Writes what has gathered. Waits for a slow peer, but not for ever, and not for
    /// a peer whose socket is to end.
    async fn flush(&mut self) -> Result<(), Ending> {
        while let Some(wire) = self.outbox.take() {
            self.write(wire).await?;
        }
        self.gateway.meters.frames_out.increment(self.outbox.take_count());
        Ok(())
    }

    async fn write(&mut self, wire: Bytes) -> Result<(), Ending> {
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
