//! What goes into a session and what comes out of it: plain values, no socket.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use sotto_ids::{DeviceAddress, EnvelopeId};
use sotto_proto::{
    groups,
    messages::outcome,
    socket::{
        ClientFrame, GroupCursor, GroupHead, GroupSend, QueueOverflow, Retract, Send, ServerFrame,
    },
};

use super::close::CloseCode;
use crate::groups::{Broadcast, Group};

/// Something happens to a session.
#[derive(Debug)]
pub(crate) enum Input {
    /// The socket is open. The first input.
    Opened {
        /// The token that the upgrade carried.
        token: Option<String>,
    },
    /// The peer has sent a frame of the protocol.
    Frame(ClientFrame),
    /// The peer has sent a ping, a pong, or a part of a message.
    Heard,
    /// The peer has sent something else.
    Refused(CloseCode),
    /// The answer to [`Action::Verify`].
    Verified {
        /// The frame that showed the token, 0 where the upgrade did.
        in_reply_to: u64,
        /// Whose it is, or why it was not taken.
        verdict: Result<Identity, Refusal>,
    },
    /// Instead of [`Input::Verified`] or [`Input::Redeemed`]: too many sockets are on
    /// their way in.
    Crowded {
        /// The frame that showed the token or ticket, 0 where the upgrade did.
        in_reply_to: u64,
        /// When there may be room.
        retry_after: Duration,
    },
    /// The answer to [`Action::Redeem`].
    Redeemed {
        /// The frame that showed the ticket.
        in_reply_to: u64,
        /// Whose it was, if it was any good.
        identity: Option<Identity>,
    },
    /// The answer to [`Action::Admit`]: from now on hints reach this socket.
    Admitted {
        /// What the device may resume with after this socket.
        ticket: Option<Ticket>,
    },
    /// News from the rest of the gateway.
    Event(Event),
}

/// News for a session from the rest of the gateway.
#[derive(Debug)]
pub(crate) enum Event {
    /// A send or a retraction has been decided.
    Outcome {
        /// The frame that it came in.
        frame: u64,
        /// The decision.
        result: outcome::Result,
    },
    /// An envelope has just become durable.
    Delivery(Stored),
    /// An encoded envelope that is stored nowhere.
    Ephemeral(Bytes),
    /// A page of the queue has been read.
    Page(Page),
    /// Hints may have been lost: the queue must be read.
    Missed,
    /// The device has opened another socket.
    Displaced,
    /// The device is no longer one of its account.
    Revoked,
    /// The stock of one-time prekeys is low.
    PrekeysLow {
        /// EC keys left.
        one_time_ec: u32,
        /// Kyber keys left.
        one_time_kyber: u32,
    },
    /// A send to a group has been decided.
    GroupOutcome {
        /// The frame that it came in.
        frame: u64,
        /// The decision.
        result: groups::outcome::Result,
    },
    /// Entries of a group's log have just become durable.
    Broadcast(Arc<Broadcast>),
    /// Entries of a group's log may not come: the device has to look where it ends.
    GroupBehind(Arc<Group>),
    /// Where the logs of groups end.
    GroupHeads {
        /// The groups.
        heads: Vec<GroupHead>,
        /// They are all groups of the device.
        complete: bool,
    },
    /// The stock of one-time KeyPackages is low.
    KeyPackagesLow {
        /// How many are left.
        key_packages: u32,
    },
    /// The time of an [`Action::WakeAt`] has come.
    Tick,
    /// The process ends.
    Drain {
        /// When the device may come back.
        reconnect_after_ms: u32,
    },
}

/// An envelope as it stands in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) id: EnvelopeId,
    /// An encoded `sotto.socket.v1.Envelope`.
    pub(crate) encoded: Bytes,
}

/// The oldest envelopes of a queue, without those in flight.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) envelopes: Vec<Stored>,
    /// Nothing else waited when this was read.
    pub(crate) last: bool,
    /// The queue could not be read.
    pub(crate) failed: bool,
    /// The device is none of its account any more.
    pub(crate) revoked: bool,
    /// Messages were turned away while the queue was full.
    pub(crate) overflow: Option<QueueOverflow>,
}

impl Page {
    /// That of a queue that could not be read.
    pub(crate) fn failed() -> Self {
        Self { failed: true, ..Self::default() }
    }
}

/// What a device may show instead of a token on its next socket.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Ticket(pub(crate) [u8; Self::BYTES]);

impl Ticket {
    pub(crate) const BYTES: usize = 32;
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket")
    }
}

/// Whose token it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) device: DeviceAddress,
    /// The app that the token was bought with.
    pub(crate) app: String,
    pub(crate) token_expires_at_ms: u64,
}

/// Why a token was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: &'static str,
    pub(crate) detail: String,
    /// How a socket ends that has no other token.
    pub(crate) close: CloseCode,
}

/// Something that a session wants done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Write a frame.
    Send(ServerFrame),
    /// Write an encoded envelope.
    Deliver(Bytes),
    /// Write an encoded envelope that is stored nowhere.
    Pass(Bytes),
    /// Ping the peer.
    Ping,
    /// Verify a token, and answer with [`Input::Verified`].
    Verify {
        /// What the answer carries back.
        in_reply_to: u64,
        /// The token.
        token: String,
    },
    /// Find whose ticket it is, and answer with [`Input::Redeemed`]. It is worth nothing
    /// after that.
    Redeem {
        /// What the answer carries back.
        in_reply_to: u64,
        /// The ticket.
        ticket: Ticket,
    },
    /// The token of the socket was replaced: so is what its ticket stands for.
    Prolong(Identity),
    /// Make the socket the one of this device, and answer with [`Input::Admitted`].
    Admit(Identity),
    /// Hand a send to the messages service. Answered by [`Event::Outcome`].
    Submit {
        /// What the outcome carries back.
        frame: u64,
        /// The send.
        send: Send,
    },
    /// Hand a retraction to the messages service. Answered by [`Event::Outcome`].
    Retract {
        /// What the outcome carries back.
        frame: u64,
        /// The retraction.
        retract: Retract,
    },
    /// Hand acknowledgements to the messages service. Not answered.
    Acknowledge(Vec<EnvelopeId>),
    /// Ask for a page of the queue. Answered by one [`Event::Page`].
    Pull {
        /// What the page leaves out.
        in_flight: Vec<EnvelopeId>,
        /// Envelopes at most.
        limit: u32,
    },
    /// Have the socket told what happens in the groups of its device.
    EnterGroups,
    /// Hand a send to the groups service. Answered by [`Event::GroupOutcome`].
    GroupSubmit {
        /// What the outcome carries back.
        frame: u64,
        /// The send.
        send: GroupSend,
    },
    /// Hand acknowledgements to the groups service. Not answered.
    GroupAcknowledge(Vec<GroupCursor>),
    /// Write entries of a group's log.
    Broadcast(Arc<Broadcast>),
    /// Send [`Event::Tick`] at this time, or a little after it.
    WakeAt(u64),
    /// Close. Nothing follows.
    Close(CloseCode),
}

/// What a session wants done, in order.
pub(crate) type Actions = std::collections::VecDeque<Action>;
